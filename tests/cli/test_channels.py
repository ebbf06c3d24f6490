"""``ymt channels``: accounts from a file that is closed to others, keys changed over, service channels."""

from __future__ import annotations

import re

import psycopg
import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from yimatong.cli import channels
from yimatong.cli.platform import make_keys
from yimatong.kit import settings
from yimatong.kit.errors import PlatformError

NEW = """account_id = "{}"
institution_id = "{}"
channel = "wechat"
merchant_id = "1"
[secrets]
a = "b"
"""
HOSPITAL = (
    "INSERT INTO access_institution (institution_id, name, kind, org_code, region_code, state, created_at)"
    " VALUES ('inst-h1', '第一医院', 'hospital', '435628013', '610100', 'approved', now())"
)
SYSTEM = (
    "INSERT INTO access_caller (caller_id, kind, name, institution_id, state, secret_sealed, created_at)"
    " VALUES ('his-1', 'institution', 'HIS', 'inst-h1', 'approved', '', now())"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("channels")


@pytest.fixture(scope="module")
def ymt(folder, database_url):
    path = folder / "settings.toml"
    path.write_text(
        f'data = "{folder}"\ndatabase_url = "{database_url}"\nkeystore = "{folder}/keystore.json"\n'
        f'keystore_passphrase = "correct horse battery"\nweb_session_key = "{"00" * 32}"\n'
    )
    make_keys(settings.load(path))
    with psycopg.connect(database_url) as connection:
        connection.execute(HOSPITAL)
        connection.execute(SYSTEM)
    app = typer.Typer()
    channels.register(app)

    def run(*words, status=0):
        done = CliRunner().invoke(app, list(words), env={"YMT_SETTINGS": str(path)})
        refused = isinstance(done.exception, PlatformError)
        assert refused or isinstance(done.exception, SystemExit | None), repr(done.exception)
        assert bool(done.exit_code) == bool(status), done.output
        return done.output + (f"{done.exception.code} {done.exception.text('en')}" if refused else "")

    return run


@pytest.fixture(scope="module")
def pair():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return private, public


def write(path, text, mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def account(folder, pair, mode=0o600):
    private, public = pair
    write(folder / "private.pem", private)
    return write(
        folder / "account.toml",
        'account_id = "wechat-h1"\ninstitution_id = "inst-h1"\nchannel = "wechat"\nmerchant_id = "1900000109"\n'
        'app_id = "wx1"\n[secret_files]\nprivate_key_pem = "private.pem"\n[secrets]\nserial_no = "AB12"\n'
        f'api_v3_key = "{"k" * 32}"\nplatform_key_id = "PUB_KEY_ID_1"\nplatform_public_key_pem = """{public}"""\n',
        mode,
    )


def test_an_account_is_entered_from_files_that_are_closed(ymt, folder, pair):
    refused = ymt("channels", "put", account(folder, pair, 0o644), status=1)
    assert "0600" in refused
    file = account(folder, pair)
    (folder / "private.pem").chmod(0o640)
    assert "private.pem" in ymt("channels", "put", file, status=1)
    assert "wechat-h1" not in ymt("channels", "list")
    (folder / "private.pem").chmod(0o600)
    ymt("channels", "put", file)
    listed = ymt("channels", "list")
    assert "wechat-h1  inst-h1  wechat  1900000109" in listed


def test_keys_are_named_and_never_shown(ymt, folder, pair):
    ymt("channels", "put", account(folder, pair))
    shown = ymt("channels", "keys", "wechat-h1")
    assert "k" * 8 not in shown
    assert "BEGIN" not in shown
    assert re.search(r"^platform_public_key_pem  public  [0-9a-f]{12}$", shown, re.MULTILINE)
    assert re.search(r"^private_key_pem  secret  -$", shown, re.MULTILINE)


def test_a_key_is_changed_over_and_the_one_before_counts_until_the_end(ymt, folder, pair, database_url):
    ymt("channels", "put", account(folder, pair))
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = other.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    before = ymt("channels", "keys", "wechat-h1")
    print_of = dict(re.findall(r"^(\w+)  public  (\w+)", before, re.MULTILINE))
    file = write(
        folder / "new.toml",
        'account_id = "wechat-h1"\n[secrets]\nplatform_key_id = "PUB_KEY_ID_2"\n'
        f'platform_public_key_pem = """{pem}"""\n',
    )
    ymt("channels", "put", file)
    after = ymt("channels", "keys", "wechat-h1")
    assert f"previous_public_key_pem  public  {print_of['platform_public_key_pem']}  旧" in after
    assert "previous_key_id  name  PUB_KEY_ID_1  旧" in after
    assert "platform_key_id  name  PUB_KEY_ID_2" in after
    assert "previous_key_id, previous_public_key_pem" in ymt("channels", "end", "wechat-h1")
    assert "previous" not in ymt("channels", "keys", "wechat-h1")
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT action, detail FROM kit_audit_event WHERE object_id = 'wechat-h1' ORDER BY id DESC LIMIT 2"
        ).fetchall()
    assert [row[0] for row in rows] == ["channel-accounts:change-over-ended", "channel-accounts:put"]
    assert "BEGIN" not in str(rows)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('account_id = "x-1"\n[secrets]\na = "b"\n', "institution_id"),
        ('account_id = "wechat-h1"\nchannel = "alipay"\n', "channel"),
        ('account_id = "wechat-h1"\n[secrets]\nplatform_public_key_pem = "not a key"\n', "platform_public_key_pem"),
        (NEW.format("wechat-h2", "inst-h1"), "wechat-h1"),
        (NEW.format("p-1", "nobody"), "nobody"),
        ("account_id =", "TOML"),
        ('account_id = "wechat-h1"\nsecret = "x"\n', "secret"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_kept(ymt, folder, pair, text, said):
    ymt("channels", "put", account(folder, pair))
    before = ymt("channels", "keys", "wechat-h1")
    assert said in ymt("channels", "put", write(folder / "wrong.toml", text), status=1)
    assert ymt("channels", "keys", "wechat-h1") == before


def test_an_account_is_switched_off_and_on(ymt, folder, pair):
    ymt("channels", "put", account(folder, pair))
    ymt("channels", "off", "wechat-h1")
    assert "停用 off" in ymt("channels", "list")
    ymt("channels", "on", "wechat-h1")
    assert "停用 off" not in ymt("channels", "list")
    assert "PAY-4210" in ymt("channels", "off", "nobody", status=1)


def test_a_service_channel_lives_from_its_registration_to_its_end(ymt):
    made = ymt(
        "channels", "service-register", "kiosk",
        "--name", "门诊自助机", "--caller", "his-1", "--institution", "inst-h1",
        "--terminal", "K01=一楼大厅 01 号", "--channel", "wechat", "--notify-url", "https://kiosk.example.com/told",
    )  # fmt: skip
    (service_channel_id,) = re.findall(r"^(svc_[0-9a-f]{32})", made, re.MULTILINE)
    (key,) = re.findall(r"^key  ([0-9a-f]{64})$", made, re.MULTILINE)
    assert re.search(r"^terminal K01  [0-9a-f]{64}$", made, re.MULTILINE)
    assert "门诊自助机" in ymt("channels", "services")
    assert key not in ymt("channels", "services")
    rotated = ymt("channels", "service-rotate", service_channel_id, "--grace-s", "60")
    (fresh,) = re.findall(r"^key  ([0-9a-f]{64})$", rotated, re.MULTILINE)
    assert fresh != key
    assert "旧密钥有效至" in rotated
    assert "terminal K02  " in ymt("channels", "service-terminal", service_channel_id, "K02=二楼", "--proof")
    assert "K01" in ymt("channels", "service-terminal", service_channel_id, "K01=一楼", status=1)
    ymt("channels", "service-off", service_channel_id)
    assert "停用 off" in ymt("channels", "services")
    assert "PAY-4201" in ymt("channels", "service-off", "svc_no", status=1)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tablet",), "kind"),
        (("kiosk", "--channel", "barter"), "barter"),
        (("kiosk", "--caller", "nobody"), "nobody"),
        (("kiosk", "--notify-url", "http://169.254.169.254/latest"), "internal"),
        (("kiosk", "--terminal", "a b=x"), "terminal_no"),
    ],
)
def test_a_service_channel_that_makes_no_sense_is_refused(ymt, words, said):
    given = {"--name": "x", "--caller": "his-1", "--institution": "inst-h1"}
    kind, *rest = words
    given |= dict(zip(rest[::2], rest[1::2], strict=True))
    flat = [part for pair in given.items() for part in pair]
    assert said in ymt("channels", "service-register", kind, *flat, status=1)
    assert "x  " not in ymt("channels", "services")
