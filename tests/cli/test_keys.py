"""``ymt keys`` as custodians use it: real commands in processes of their own, on a database of their own.

The processes are forked from one that has imported the command: an import costs two seconds, a fork none.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm import sm4

PASSWORD = "Custodian-2026"
PARTS = [bytes(range(n, n + 16)).hex() for n in (1, 40)]
KEY = bytes(a ^ b for a, b in zip(*map(bytes.fromhex, PARTS), strict=True))


STEM = """
import json, os, sys, tempfile
import yimatong.cli.keys
from yimatong.cli import main
for line in sys.stdin:
    asked = json.loads(line)
    out = tempfile.TemporaryFile()
    pid = os.fork()
    if not pid:
        given = tempfile.TemporaryFile()
        given.write(asked["stdin"].encode()), given.seek(0)
        os.dup2(given.fileno(), 0), os.dup2(out.fileno(), 1), os.dup2(out.fileno(), 2)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
        os.environ.update(asked["env"])
        sys.argv = ["ymt", "keys", *asked["words"]]
        try:
            main.run()
            status = 0
        except SystemExit as end:
            status = end.code or 0
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    out.seek(0)
    print(json.dumps([status, out.read().decode()]), flush=True)
"""


@pytest.fixture(scope="module")
def stem():
    with subprocess.Popen(
        [sys.executable, "-c", STEM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture(scope="module")
def place(tmp_path_factory, database_url):
    folder = tmp_path_factory.mktemp("keys")
    (folder / "secret").write_text("correct horse battery\n")
    (folder / "secret").chmod(0o400)
    (folder / "password").write_text(PASSWORD + "\n")
    (folder / "settings.toml").write_text(
        f'data = "{folder}"\ndatabase_url = "{database_url}"\nkeystore = "{folder}/keystore.json"\n'
        f'keystore_secret_file = "{folder}/secret"\nweb_session_key = "{"00" * 32}"\nmode = "production"\n'
    )
    return folder


@pytest.fixture(scope="module")
def ymt(place, stem):
    def run(*words, login="", status=0, stdin=""):
        said = [*words, "--login", login, "--password-file", str(place / "password")] if login else [*words]
        environment = {"YMT_SETTINGS": str(place / "settings.toml"), "COLUMNS": "200"}
        stem.stdin.write(json.dumps({"words": said, "stdin": stdin, "env": environment}) + "\n")
        stem.stdin.flush()
        ended, told = json.loads(stem.stdout.readline())
        assert ended == status, told
        assert all(part not in told for part in PARTS)
        return told

    return run


@pytest.fixture(scope="module", autouse=True)
def custodians(ymt, place):
    """The first security administrator enters without a login, everybody after her by her login."""
    ymt("init")
    new = ("--new-password-file", str(place / "password"))
    assert "已登记" in ymt("security-admin", "security", "安全管理员", *new)
    assert "已有操作员" in ymt("security-admin", "other", "第二人", *new, status=1)
    assert "密码不正确" in ymt("custodian", "zhou", "保管人zhou", *new, login="zhou", status=1)
    for login in ("zhou", "wu", "zheng"):
        ymt("custodian", login, f"保管人{login}", *new, login="security")
    assert "已被使用" in ymt("custodian", "zhou", "又一人", *new, login="security", status=1)
    assert "无权" in ymt("custodian", "more", "保管人", *new, login="zhou", status=1)


def test_custodians_set_up_and_run_a_production_keystore(ymt, place):
    for usage in ("security", "protection"):
        proposed = ymt(
            "propose", "import-component", usage, "--parts", "2", "--kcv", sm4.key_check_value(KEY),
            "--reason", "建站 first keys", login="zhou",
        )  # fmt: skip
        approval_id = re.search(r"apv\S+", proposed).group()
        assert "ACC" not in ymt("approve", approval_id, login="zhou", status=1)  # herself: one sentence, no code
        assert f"ymt keys component {approval_id}" in ymt("approve", approval_id, login="wu")
        for part, (login, value) in enumerate(zip(("zhou", "wu"), PARTS, strict=True), 1):
            line = f"{value} {sm4.key_check_value(bytes.fromhex(value))}\n"
            said = ymt("component", approval_id, str(part), "--component-file", "-", login=login, stdin=line)
        assert f"KCV {sm4.key_check_value(KEY)}" in said
    proposed = ymt("propose", "rotate", "protection", "--reason", "年度轮换", login="wu")
    approval_id = re.search(r"apv\S+", proposed).group()
    listed = ymt("list")
    assert approval_id in listed
    assert "保管人wu" in listed
    assert "保护密钥 protection v2" in ymt("approve", approval_id, login="zheng")
    listed = ymt("list")
    assert approval_id not in listed
    assert "锚 anchor" in listed
    device = SoftDevice.open(place / "keystore.json", "correct horse battery", production=True)
    assert [info.version for info in device.key_versions("protection")] == [2, 1]
    again = ("rotate", "protection", "--reason", "再次轮换")
    assert "起可执行" in ymt("propose", *again, login="wu", status=1)
    proposed = ymt("propose", *again, "--emergency", login="wu")
    assert "将被拒绝" in proposed
    approval_id = re.search(r"apv\S+", proposed).group()
    assert "紧急 emergency" in ymt("list")
    assert "将被拒绝" in ymt("approve", approval_id, login="zheng")


def test_a_backup_is_made_and_restored_by_its_custodians(ymt, place):
    words = []
    for number in (1, 2):
        file = place / f"component{number}"
        assert "KCV" in ymt("new-component", str(file))
        assert file.stat().st_mode & 0o777 == 0o600
        words += ["--component-file", str(file)]
    backup = place / "backup.json"
    for action in ("backup", "restore"):
        proposed = ymt("propose", action, "--parts", "2", "--reason", "月度备份", login="zhou")
        approval_id = re.search(r"apv\S+", proposed).group()
        ymt("approve", approval_id, login="wu")
        ymt("perform", approval_id, "--file", str(backup), *words, login="wu")
        assert backup.stat().st_mode & 0o777 == 0o600


def test_a_command_runs_by_itself(place):
    done = subprocess.run(
        [sys.executable, "-m", "yimatong.cli.main", "keys", "list"],
        env={**os.environ, "YMT_SETTINGS": str(place / "settings.toml"), "COLUMNS": "200"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "empi_person.sealed" in done.stdout, done.stderr


def test_what_is_wrong_is_one_sentence(ymt, place):
    assert "密码不正确" in ymt("propose", "rotate", "protection", "--reason", "x", login="nobody", status=1)
    assert "用途" in ymt("propose", "rotate", "device", "--reason", "x", login="zhou", status=1)
    assert "apv-none" in ymt("approve", "apv-none", login="zhou", status=1)
    assert "empi_person.sealed" in ymt("reseal", "--status")
    (place / "secret").chmod(0o644)
    assert "权限过宽" in ymt("list", status=1)
    (place / "secret").chmod(0o400)
