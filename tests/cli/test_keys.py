"""``ymt keys`` as custodians use it: real commands in processes of their own, on a database of their own."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from yimatong.access import operators
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm import sm4
from yimatong.kit.db import Database

PASSWORD = "Custodian-2026"
PARTS = [bytes(range(n, n + 16)).hex() for n in (1, 40)]
KEY = bytes(a ^ b for a, b in zip(*map(bytes.fromhex, PARTS), strict=True))


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

    async def enter():
        db = Database(database_url, size=1)
        async with db.transaction() as connection:
            for login in ("zhou", "wu", "zheng"):
                await operators.add(
                    connection,
                    login=login,
                    name=f"保管人{login}",
                    roles=frozenset({"key_custodian"}),
                    password=PASSWORD,
                    institution_id=None,
                    now=datetime.now(UTC),
                )
        await db.close()

    asyncio.run(enter())
    return folder


@pytest.fixture
def ymt(place):
    def run(*words, login="", status=0, stdin=""):
        said = [*words, "--login", login, "--password-file", str(place / "password")] if login else [*words]
        done = subprocess.run(
            [sys.executable, "-m", "yimatong.cli.main", "keys", *said],
            env={**os.environ, "YMT_SETTINGS": str(place / "settings.toml"), "COLUMNS": "200"},
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert all(part not in done.stdout + done.stderr for part in PARTS)
        return done.stdout + done.stderr

    return run


def test_custodians_set_up_and_run_a_production_keystore(ymt, place):
    ymt("init")
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


def test_what_is_wrong_is_one_sentence(ymt, place):
    assert "密码不正确" in ymt("propose", "rotate", "protection", "--reason", "x", login="nobody", status=1)
    assert "用途" in ymt("propose", "rotate", "device", "--reason", "x", login="zhou", status=1)
    assert "apv-none" in ymt("approve", "apv-none", login="zhou", status=1)
    assert "empi_person.sealed" in ymt("reseal", "--status")
    (place / "secret").chmod(0o644)
    assert "权限过宽" in ymt("list", status=1)
    (place / "secret").chmod(0o400)
