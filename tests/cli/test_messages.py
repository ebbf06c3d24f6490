"""What goes wrong before anything runs: one sentence in Chinese and English, a non-zero status, no trace."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
YMT = [sys.executable, "-m", "yimatong.cli.main"]


def failing(command, **environment):
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert re.search("[一-鿿]", lines[0])
    return lines[0]


def test_taken_port_names_the_port_and_the_holder(data_folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        said = failing([*YMT, "up", "--data", str(data_folder), "--port-base", str(port)])
    assert str(port) in said
    assert f"pid {os.getpid()}" in said


def test_read_only_folder(data_folder):
    locked = Path("/proc/1/yimatong") if os.geteuid() == 0 else data_folder / "locked"
    if os.geteuid() != 0:
        locked.mkdir(mode=0o500)
    said = failing([*YMT, "up", "--data", str(locked / "data")])
    assert str(locked) in said


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://ymt:s3cret@127.0.0.1:1/yimatong", "没有数据库在那里监听"),
        ("postgresql://ymt:s3cret@no-such-host.invalid/yimatong", "主机名无法解析"),
        ("mysql://ymt:s3cret@127.0.0.1/yimatong", "postgresql://"),
        ("postgresql://ymt:s3cret@127.0.0.1:port/yimatong", "格式不对"),
        ("ymt:s3cret", "postgresql://"),
    ],
)
def test_wrong_database_url_without_the_password(data_folder, url, reason):
    said = failing([*YMT, "up", "--data", str(data_folder), "--database-url", url])
    assert reason in said
    assert "s3cret" not in said


def test_wrong_password_of_the_database(data_folder, postgres_url):
    url = postgres_url.replace("://ymt:", "://ymt:s3cret", 1)
    said = failing([*YMT, "up", "--data", str(data_folder), "--database-url", url])
    assert "用户名或密码不对" in said
    assert "s3cret" not in said


def test_unknown_process_bench_and_drill(tmp_path):
    assert "core" in failing([*YMT, "serve", "kernel"], YMT_SETTINGS=str(tmp_path / "none"))
    assert "nonsense" in failing([*YMT, "bench", "nonsense"])
    assert "nonsense" in failing([*YMT, "drill", "nonsense"])


def test_missing_settings(tmp_path):
    said = failing([*YMT, "migrate"], YMT_SETTINGS=str(tmp_path / "none.toml"))
    assert "none.toml" in said


def test_old_python_is_named(tmp_path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\ncase "$2" in *exit*) exit 1 ;; *) echo 3.9 ;; esac\n')
    old.chmod(0o755)
    said = failing(["/bin/sh", "bootstrap/find-python.sh", "-c", "pass"], PATH=str(tmp_path))
    assert "3.11" in said
    assert "3.9" in said


def test_no_python_at_all(tmp_path):
    assert "3.11" in failing(["/bin/sh", "bootstrap/find-python.sh", "-c", "pass"], PATH=str(tmp_path))


def test_newer_python_on_the_path_is_found(tmp_path):
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    (tmp_path / "python3.13").symlink_to(sys.executable)
    command = ["/bin/sh", "bootstrap/find-python.sh", "-c", "print('found')"]
    done = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    assert done.stdout == "found\n"
