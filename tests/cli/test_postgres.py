"""The embedded PostgreSQL: made, kept, recovered after being killed, and never taken for somebody else's process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from yimatong.cli import binaries, children
from yimatong.cli.errors import FolderUnusable
from yimatong.cli.postgres import LocalPostgres

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
SMALL = {"shared_buffers": "16MB"}

needs_postgres_15 = pytest.mark.skipif(
    not (DEBIAN_15 / "initdb").exists(), reason="Debian's PostgreSQL 15 is not installed"
)


def count(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM kept").fetchone()[0]


def keep_a_row(url):
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS id")


def test_data_stay_when_stopped_and_when_killed(data_folder):
    server = LocalPostgres(data_folder, settings=SMALL)
    with server:
        keep_a_row(server.url())
    with server:
        assert count(server.url()) == 1
        lingering = psycopg.connect(server.url())
        server.kill()
        server.start()
        assert count(server.url()) == 1
        lingering.close()


def test_asks_for_the_password_and_hides_the_socket(data_folder):
    with LocalPostgres(data_folder, settings=SMALL) as server:
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(server.url().replace("://ymt:", "://ymt:wrong"))
        with psycopg.connect(server.url()) as connection:
            assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'ymt'").fetchone() == (False,)
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert stat.S_IMODE((data_folder / "run").stat().st_mode) == 0o700
        assert stat.S_IMODE((data_folder / "database.json").stat().st_mode) == 0o600


def test_long_folder_gets_a_short_socket_folder(data_folder):
    deep = data_folder / ("d" * 100)
    with LocalPostgres(deep, settings=SMALL) as server:
        keep_a_row(server.url())
        short = server._run
        assert short.exists()
        assert short.parent != deep
    assert not short.exists()


def test_initdb_cut_short_is_done_again(data_folder):
    (data_folder / "postgres.new").mkdir()
    (data_folder / "postgres.new" / "PG_VERSION").write_text("18")
    with LocalPostgres(data_folder, settings=SMALL) as server:
        keep_a_row(server.url())


@needs_postgres_15
def test_data_of_an_older_version_get_binaries_of_that_version(data_folder):
    with LocalPostgres(data_folder, settings=SMALL, folder=DEBIAN_15) as server:
        keep_a_row(server.url())
    with LocalPostgres(data_folder, settings=SMALL) as server:
        with psycopg.connect(server.url()) as connection:
            assert connection.info.server_version // 10_000 == 15
        assert count(server.url()) == 1


def test_dies_with_a_killed_parent_and_comes_back(data_folder):
    script = (
        "import sys, time; from pathlib import Path; from yimatong.cli.postgres import LocalPostgres\n"
        f"server = LocalPostgres(Path({str(data_folder)!r})); server.start(); print(server.pid, flush=True)\n"
        "time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        born = children.birth(pid)
        parent.kill()
    if sys.platform == "linux":
        assert children._gone(pid, born, within_s=20)
    with LocalPostgres(data_folder, settings=SMALL) as server:
        keep_a_row(server.url())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_is_told_of_a_folder_that_the_database_user_cannot_reach(data_folder):
    private = data_folder / "private"
    private.mkdir(mode=0o700)
    with pytest.raises(FolderUnusable):
        LocalPostgres(private / "data").start()
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_binaries_out_of_reach_are_copied_and_nobodys_bits_change(data_folder, monkeypatch):
    wheel = binaries._wheel(None)
    package = wheel.parents[1]
    private = data_folder / "site-packages"
    private.mkdir(mode=0o700)
    shutil.copytree(package, private / package.name, symlinks=True)
    libraries = package.parent / f"{package.name}.libs"
    shutil.copytree(libraries, private / libraries.name, symlinks=True)
    monkeypatch.setattr(binaries, "SHARED", data_folder / "shared")
    (data_folder / "shared").mkdir()
    (data_folder / "shared").chmod(0o755)
    folder = binaries._copy(private / package.name)
    assert binaries.reachable(folder / "postgres", binaries.database_user())
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    with LocalPostgres(data_folder / "data", settings=SMALL, folder=folder) as server:
        keep_a_row(server.url())


@pytest.fixture
def bystander():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_leftover_is_ended(tmp_path, bystander):
    register = children.Register(tmp_path / "processes.json")
    register.add("core", bystander.pid)
    assert register.living() == {"core": bystander.pid}
    assert register.end_leftovers() == ["core"]
    assert bystander.wait(10) == -signal.SIGTERM


def test_stubborn_leftover_is_killed(tmp_path):
    script = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as stubborn:
        stubborn.stdout.readline()
        register = children.Register(tmp_path / "processes.json")
        register.add("core", stubborn.pid)
        register.end_leftovers(grace_s=0.3)
        assert stubborn.wait(10) == -signal.SIGKILL


def test_process_that_inherited_the_number_is_left_alone(tmp_path, bystander):
    path = tmp_path / "processes.json"
    born = children.birth(bystander.pid)
    earlier = born[:-1] + ("0" if born[-1] != "0" else "1")
    path.write_text(json.dumps({"core": [bystander.pid, earlier], "web": [2**22 - 3, born]}))
    assert children.Register(path).end_leftovers() == []
    time.sleep(0.1)
    assert bystander.poll() is None


def test_damaged_register_counts_as_empty(tmp_path):
    path = tmp_path / "processes.json"
    path.write_text('{"core": [12')
    assert children.Register(path).entries() == {}
