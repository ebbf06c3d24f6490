"""``ymt import`` as a process: killed with SIGKILL in the middle, run again, nothing lost and nothing twice."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from core_world import make_resident

from yimatong.crypto.devices.soft import SoftDevice

SETTINGS = """
data = "{data}"
database_url = "{database_url}"
keystore = "{data}/keystore.json"
keystore_passphrase = "a passphrase of the tests"
web_session_key = "{key}"
"""


@pytest.fixture(scope="module")
def environment(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    data = tmp_path_factory.mktemp("import")
    SoftDevice.create_demonstration(data / "keystore.json", "a passphrase of the tests")
    path = data / "settings.toml"
    path.write_text(SETTINGS.format(data=data, database_url=database_url, key="00" * 32))
    return {**os.environ, "YMT_SETTINGS": str(path)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "yimatong.cli.main", "import", *arguments]


def write_list(path: Path, count: int, *bad: str) -> int:
    people = {(each := make_resident()).id_number: each for _ in range(count)}
    lines = [f"{each.name},{each.id_number},{each.phone}" for each in people.values()]
    path.write_text("\n".join(["姓名,身份证号,手机号", *lines, *bad, ""]), encoding="utf-8")
    return len(people)


def test_killed_and_run_again(environment: dict[str, str], database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    people = write_list(path, 6000, f"张三,{'1' * 18},13800138000")
    running = subprocess.Popen(
        command("residents", str(path)), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    done = 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        while done == 0 and time.monotonic() < deadline and running.poll() is None:
            time.sleep(0.02)
            row = connection.execute("SELECT count(*) FROM cards_batch_chunk WHERE state = 'done'").fetchone()
            done = row[0] if row else 0
    running.kill()
    assert running.wait(10) == -9, "the import was over before it could be killed"
    report = tmp_path / "bad.csv"
    again = subprocess.run(
        [*command("residents", str(path)), "--report", str(report)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert again.returncode == 2, again.stderr
    with psycopg.connect(database_url) as connection:
        opened = connection.execute(
            "SELECT b.state, b.rows, sum(c.opened), sum(c.bad), (SELECT count(*) FROM cards_account_event e"
            " WHERE e.request_id = b.batch_id) FROM cards_batch b JOIN cards_batch_chunk c USING (batch_id)"
            " GROUP BY b.batch_id"
        ).fetchone()
    assert opened == ("done", people + 1, people, 1, people)
    lines = report.read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith(f"{people + 2},")
    third = subprocess.run(
        command("residents", str(path)), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "imported before" in third.stderr


def test_dry_run_writes_nothing(environment: dict[str, str], database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "dry.csv"
    write_list(path, 20)
    with psycopg.connect(database_url) as connection:
        before = connection.execute("SELECT count(*) FROM empi_person").fetchone()
    tag = secrets.token_hex(3)
    done = subprocess.run(
        [*command("residents", str(path)), "--dry-run", "--tag", tag],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM empi_person").fetchone() == before
    wrong = subprocess.run(
        [*command("residents", str(path)), "--map", "nonsense=姓名"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert wrong.returncode == 1
    assert "CRD-4006" in wrong.stderr or "nonsense" in wrong.stderr
