"""Who takes part: two hospitals with their merchants at every channel, and the keys of both sides.

Keys are made once for a process (RSA with 1024 bits: what is looked for here is not the strength of RSA). Which key
signs what changes in the middle of a seed's day; the keys themselves are the same for every seed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from _payments_database import Server, Statements
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from sqlalchemy import Connection

from yimatong.access import callers
from yimatong.access.caller import Caller
from yimatong.access.callers import Institution
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.alipay.keys import PlatformKey as AlipayKey
from yimatong.sandbox.unionpay.authority import Authority
from yimatong.sandbox.unionpay.enrol import merchant_keys
from yimatong.sandbox.unionpay.rows import Merchant as UnionPayMerchant
from yimatong.sandbox.wechat.keys import PlatformKey

HOSPITALS: Final = ("hospital-1", "hospital-2")
APP_ID: Final = "wx8888888888888888"
SIGNED: Final = ("credit", "commercial")
CHANNELS: Final = ("wechat", "alipay", "unionpay", "ncms", *SIGNED)
UNTURNED: Final = ("unionpay", "ncms")
"""Channels whose keys are not changed in a seed: there is no time at which both sides know both."""
BITS: Final = 1024


class Pair(NamedTuple):
    """An RSA key pair and the number of its certificate."""

    serial_no: str
    private_pem: str
    public_pem: str


def merchant_id(hospital: str) -> str:
    """Return a hospital's number at WeChat Pay."""
    return f"190000010{hospital[-1]}"


def alipay_app(hospital: str) -> str:
    """Return a hospital's app at Alipay."""
    return f"202100000000000{hospital[-1]}"


def alipay_pid(hospital: str) -> str:
    """Return who is paid at Alipay."""
    return f"208800000000000{hospital[-1]}"


def unionpay_id(hospital: str) -> str:
    """Return a hospital's number at UnionPay."""
    return f"89861000000000{hospital[-1]}"


def ncms_id(hospital: str) -> str:
    """Return a hospital at the agency of cooperative medical care."""
    return f"NCMS00{hospital[-1]}"


def api_key(hospital: str) -> str:
    """Return a hospital's APIv3 key."""
    return f"apiv3-key-of-{hospital}-000000000"[:32]


def secret_hex(channel: str, hospital: str, turn: int) -> str:
    """Return the secret that both sides hold at a signed party; ``turn`` counts its changes."""
    return f"{sum(channel.encode()):04x}{hospital[-1]}{turn:03d}" * 8


class Cast:
    """Everything that is made once for a process."""

    def __init__(self, home: Path) -> None:
        self.pairs = [_pair(f"{turn}A1B2C3D4E5F60718293A4B5C6D7E8F90123456{turn}") for turn in range(2)]
        self.folder = home / "wechat"
        self.platform_keys = [_platform_key(home / name) for name in ("wechat", "wechat-next")]
        self.alipay_folder = home / "alipay"
        self.alipay_keys = [_alipay_key(home / name) for name in ("alipay", "alipay-next")]
        (home / "unionpay").mkdir()
        self.authority = Authority(home / "unionpay")
        self._unionpay = {
            hospital: merchant_keys(mer_id=unionpay_id(hospital), name=hospital) for hospital in HOSPITALS
        }
        passphrase = "a passphrase of the drill"  # noqa: S105 -- of a keystore that lives as long as the drill
        SoftDevice.create_demonstration(home / "keystore.json", passphrase)
        device = SoftDevice.open(home / "keystore.json", passphrase, production=False)
        self.vault = Vault(device, issuer="610000", cache_s=10**9)

    def account(self, hospital: str, channel: str, turn: int) -> ChannelAccount:
        """Return a hospital's account at a channel after ``turn`` changes of keys."""
        if channel == "wechat":
            return self._wechat(hospital, turn)
        if channel == "alipay":
            return self._alipay(hospital, turn)
        if channel == "unionpay":
            return self._of_unionpay(hospital)
        if channel == "ncms":
            number, secrets = ncms_id(hospital), {"secret": secret_hex(channel, hospital, 0)}
            return _account(hospital, channel, number, number, secrets)
        secrets = {"secret_hex": secret_hex(channel, hospital, turn)}
        if turn:
            secrets["previous_secret_hex"] = secret_hex(channel, hospital, turn - 1)
        return _account(hospital, channel, f"{channel}-{hospital[-1]}", f"app-{channel}-{hospital[-1]}", secrets)

    def _wechat(self, hospital: str, turn: int) -> ChannelAccount:
        pair, ours = self.pairs[turn % 2], self.platform_keys[turn % 2]
        secrets = {
            "private_key_pem": pair.private_pem,
            "serial_no": pair.serial_no,
            "api_v3_key": api_key(hospital),
            "platform_key_id": ours.key_id,
            "platform_public_key_pem": ours.public_pem,
        }
        if turn:
            before = self.platform_keys[(turn - 1) % 2]
            secrets |= {"previous_key_id": before.key_id, "previous_public_key_pem": before.public_pem}
        return _account(hospital, "wechat", merchant_id(hospital), APP_ID, secrets)

    def _alipay(self, hospital: str, turn: int) -> ChannelAccount:
        secrets = {
            "private_key_pem": self.pairs[turn % 2].private_pem,
            "alipay_public_key_pem": self.alipay_keys[turn % 2].public_pem,
        }
        if turn:
            secrets["previous_alipay_public_key_pem"] = self.alipay_keys[(turn - 1) % 2].public_pem
        return _account(hospital, "alipay", alipay_pid(hospital), alipay_app(hospital), secrets)

    def unionpay_merchant(self, hospital: str) -> UnionPayMerchant:
        """Return a hospital as UnionPay registers it: the second one signs by a shared key."""
        made, _ = self._unionpay[hospital]
        if hospital == HOSPITALS[0]:
            return made
        return msgspec.structs.replace(made, sign_method="12", secure_key="5a" * 16)

    def _of_unionpay(self, hospital: str) -> ChannelAccount:
        merchant, pem = self.unionpay_merchant(hospital), self.authority.pem
        secrets = {
            "private_key_pem": self._unionpay[hospital][1],
            "cert_id": merchant.cert_id,
            "secure_key": merchant.secure_key,
            "root_cert_pem": pem["root"],
            "middle_cert_pem": pem["middle"],
            "encrypt_cert_pem": pem["encrypt"],
        }
        made = _account(hospital, "unionpay", merchant.mer_id, "", secrets)
        return msgspec.structs.replace(made, profile={"sign_method": merchant.sign_method})

    async def enter(self, server: Server) -> None:
        """Enter hospitals, callers and accounts for good: they are there before any seed."""
        connection: Connection = server.connect()
        statements, now = Statements(connection), datetime(2026, 1, 1, tzinfo=UTC)
        for hospital in HOSPITALS:
            found = Institution(
                institution_id=hospital,
                name=hospital,
                kind="hospital",
                org_code=f"1261000{hospital[-1]}",
                region_code="610000",
            )
            await callers.add_institution(statements, found, now=now)  # type: ignore[arg-type]
            await callers.enrol(
                statements,  # type: ignore[arg-type]
                self.vault,
                caller_id=his(hospital).caller_id,
                kind="institution",
                name="HIS",
                institution_id=hospital,
                secret=bytes(32),
                now=now,
                webhook_url=f"http://his/{hospital}",
            )
            for channel in CHANNELS:
                account = self.account(hospital, channel, 0)
                await accounts.put_account(statements, self.vault, account, now=now)  # type: ignore[arg-type]
        connection.commit()
        connection.close()


def his(hospital: str) -> Caller:
    """Return a hospital's own system as a caller."""
    return Caller(caller_id=f"his-{hospital[-1]}", kind="institution", name="HIS", institution_id=hospital)


def _account(hospital: str, channel: str, number: str, app_id: str, secrets: dict[str, str]) -> ChannelAccount:
    return ChannelAccount(
        account_id=f"{channel}-{hospital}",
        institution_id=hospital,
        channel=channel,
        merchant_id=number,
        app_id=app_id,
        secrets={name: Secret(value) for name, value in secrets.items()},
    )


def _pair(serial_no: str) -> Pair:
    key = rsa.generate_private_key(public_exponent=65537, key_size=BITS)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Pair(serial_no, _pem(key).decode(), public.decode())


def _platform_key(folder: Path) -> PlatformKey:
    _made(folder, "wechat-platform-key.pem")
    return PlatformKey(folder)


def _alipay_key(folder: Path) -> AlipayKey:
    _made(folder, "alipay-platform-key.pem")
    return AlipayKey(folder)


def _made(folder: Path, name: str) -> None:
    folder.mkdir()
    (folder / name).write_bytes(_pem(rsa.generate_private_key(public_exponent=65537, key_size=BITS)))


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
