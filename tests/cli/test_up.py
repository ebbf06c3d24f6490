"""The platform as a whole: started by one command, found again, and gone without a trace when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from yimatong.cli import ports
from yimatong.cli.children import Register, birth
from yimatong.cli.errors import AlreadyRunning, DatabaseUrlInvalid, ProcessFailed
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import LocalPostgres
from yimatong.cli.processes import PROCESSES
from yimatong.cli.supervisor import Process, Supervisor, ready

pytestmark = pytest.mark.slow

ONLY = ["--process", "sandbox", "--no-seed"]
"""The lightest process stands for all where which one it is does not matter."""

YMT = [sys.executable, "-m", "yimatong.cli.main"]
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")


@pytest.fixture
def port_base():
    return ports.free_base()


@contextmanager
def running(data, **options):
    """A platform without processes: its folder, database, schema and keys."""
    platform = LocalPlatform(data, **options)
    try:
        platform.start([], seed=False)
        yield platform
    finally:
        platform.stop()


def start_up(data, port_base, *options):
    command = [*YMT, "up", "--data", str(data), "--port-base", str(port_base)]
    started = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = []
    for line in started.stdout:
        said.append(line)
        if "Ctrl-C" in line:
            return started
    started.wait()
    started.stdout.close()
    raise AssertionError("".join(said))


def family(started):
    return [(child.pid, birth(child.pid)) for child in psutil.Process(started.pid).children(recursive=True)]


def all_gone(members, *, within_s=20):
    deadline = time.monotonic() + within_s
    while any(birth(pid) == born for pid, born in members):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stops_everything_it_started(data_folder, port_base, number):
    with start_up(data_folder, port_base, *ONLY) as started:
        members = family(started)
        assert len(members) >= 2
        started.send_signal(number)
        started.stdout.read()
        assert started.wait(30) == 0
    assert all_gone(members, within_s=1)
    assert Register(data_folder / "processes.json").entries() == {}


def test_children_die_with_a_killed_parent_and_the_next_start_is_clean(data_folder, port_base):
    with start_up(data_folder, port_base, *ONLY) as started:
        members = family(started)
        started.kill()
    if sys.platform == "linux":
        assert all_gone(members)
    with start_up(data_folder, port_base, *ONLY) as again:
        assert ready(port_base + ports.OFFSETS["sandbox"], "/health/live")
        again.send_signal(signal.SIGINT)
        again.stdout.read()
        assert again.wait(30) == 0


def test_leftovers_are_ended_and_a_recycled_number_is_not(data_folder, port_base):
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(sleeping) as leftover, subprocess.Popen(sleeping) as stranger:
        noted = {"core": [leftover.pid, birth(leftover.pid)], "web": [stranger.pid, "another boot:1"]}
        (data_folder / "processes.json").write_text(json.dumps(noted))
        with running(data_folder, port_base=port_base) as platform:
            assert leftover.wait(10) == -signal.SIGTERM
            assert stranger.poll() is None
            assert platform.database.pid is not None
        stranger.kill()


def test_the_whole_platform_forked_from_one_dies_with_a_killed_parent(data_folder, port_base):
    with start_up(data_folder, port_base, "--no-seed") as started:
        named = set(Register(data_folder / "processes.json").living())
        assert named >= {"postgres", *PROCESSES}
        assert subprocess.run([*YMT, "status", "--data", str(data_folder)], check=False).returncode == 0
        members = family(started)
        started.kill()
    if sys.platform == "linux":
        assert all_gone(members)
    assert not ready(port_base)


def test_second_start_keeps_secrets_and_data_and_moves_with_the_ports(data_folder):
    path = data_folder / "settings.toml"
    platform = LocalPlatform(data_folder)
    platform.start([], seed=False)
    first, fronts = platform.settings, tomllib.loads((data_folder / "settings.institution-front.toml").read_text())
    with psycopg.connect(first.database_url) as connection:
        connection.execute("CREATE TABLE yesterday AS SELECT 1 AS id")
    platform.stop()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(path.read_text().replace('issuer = "610000"', "").replace("mode =", 'issuer = "440000"\nmode ='))

    platform = LocalPlatform(data_folder, port_base=ports.free_base())
    platform.start([], seed=False)
    second = platform.settings
    with psycopg.connect(second.database_url) as connection:
        assert connection.execute("SELECT id FROM yesterday").fetchone() == (1,)
    platform.stop()
    assert second.keystore_passphrase == first.keystore_passphrase
    assert second.web_session_key == first.web_session_key
    assert second.issuer == "440000"
    assert second.keystore.exists()
    assert second.wechat_base_url == platform.addresses.sandbox
    later = tomllib.loads((data_folder / "settings.institution-front.toml").read_text())
    assert later["front_secret"] == fronts["front_secret"]
    assert later["front_id"]
    assert platform.addresses == second.addresses


def test_two_platforms_on_one_folder_are_refused(data_folder):
    with running(data_folder) as platform:
        with pytest.raises(AlreadyRunning):
            LocalPlatform(data_folder).start([], seed=False)
        assert platform.database.pid is not None


@pytest.mark.skipif(not (DEBIAN_15 / "initdb").exists(), reason="Debian's PostgreSQL 15 is not installed")
def test_uses_a_server_of_postgresql_15(data_folder):
    with LocalPostgres(data_folder / "server", port=ports.free_base(), folder=DEBIAN_15) as server:
        url = server.url().replace("@/", f"@127.0.0.1:{server._port}/").partition("?")[0]
        platform = LocalPlatform(data_folder / "platform", database_url=url)
        platform.start(["sandbox"], seed=False)
        assert platform.database is None
        assert platform.settings.database_url == url
        platform.stop()
        with psycopg.connect(server.admin_url(), autocommit=True) as connection:
            connection.execute("CREATE DATABASE old_bytes ENCODING 'SQL_ASCII' TEMPLATE template0 OWNER ymt")
        other = LocalPlatform(data_folder / "other", database_url=url.replace("/yimatong", "/old_bytes"))
        with pytest.raises(DatabaseUrlInvalid, match="UTF8"):
            other.start([], seed=False)


def test_killed_database_comes_back_with_its_data(data_folder):
    with running(data_folder) as platform:
        with psycopg.connect(platform.settings.database_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        platform.kill_database()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(platform.settings.database_url)
        platform.look()
        with psycopg.connect(platform.settings.database_url) as connection:
            assert connection.execute("SELECT id FROM kept").fetchone() == (1,)


SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def supervisor(data_folder):
    heard = []
    made = Supervisor(data_folder, say=heard.append)
    made.heard = heard
    yield made
    made.stop()


def test_crashed_process_is_restarted_and_said(supervisor, port_base):
    supervisor.start([Process("page", [sys.executable, "-c", SERVER, str(port_base)], port_base)])
    first = supervisor.pid("page")
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 20
    while supervisor.pid("page") == first:
        assert time.monotonic() < deadline
        supervisor.look()
        time.sleep(0.05)
    supervisor.wait_ready("page", within_s=20)
    assert len(supervisor.heard) == 1
    assert "page" in supervisor.heard[0]


def test_process_that_ends_at_the_start_is_reported_with_its_last_words(supervisor, port_base):
    bad = Process("broken", [sys.executable, "-c", "raise SystemExit('no such luck')"], port_base)
    with pytest.raises(ProcessFailed, match="no such luck"):
        supervisor.start([bad])
    assert supervisor.names == []


def test_kill_and_restart(supervisor, port_base):
    supervisor.start([Process("page", [sys.executable, "-c", SERVER, str(port_base)], port_base)])
    supervisor.kill("page")
    assert not ready(port_base)
    supervisor.restart("page")
    assert ready(port_base)


@pytest.mark.skipif(shutil.which("ps") is None, reason="ps is not installed")
def test_passwords_do_not_stand_in_the_process_list(data_folder):
    with running(data_folder) as platform:
        listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        password = platform.database._passwords()["application"]
        assert password not in listed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux spreads connections over listeners of one port")
def test_two_processes_share_a_port_and_one_outlives_the_other(data_folder):
    platform = LocalPlatform(data_folder)
    try:
        platform.start(["core", "core@2"], seed=False)
        first, second = platform.supervisor.pid("core"), platform.supervisor.pid("core@2")
        core = ports.ports(platform.port_base)["core"]
        assert first != second
        platform.kill("core")
        platform.supervisor.wait_ready("core@2", within_s=30)  # the first may have answered for it until now
        assert all(ready(core) for _ in range(20))
        platform.restart("core")
        assert ready(core)
        assert platform.supervisor.pid("core") != first
    finally:
        platform.stop()
