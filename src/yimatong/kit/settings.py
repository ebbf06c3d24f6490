"""The settings of a process: one frozen object, read once from a TOML file named by ``YMT_SETTINGS``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from yimatong.kit.errors import Refusal

_OTHERS: Final = 0o077
TEST_SITE_SECRET: Final = "9a22d7ceb5ac015e3cc73f9695983728cc1830040374027c5374375f8c0abb50"  # noqa: S105 -- published
"""What the simulated police register, bank and insurer publish as the secret of their test site; worth nothing else."""


class SettingsInvalid(Refusal):
    """The settings file is missing or does not have the documented shape."""

    code = "KIT-1201"
    zh = "配置文件不可用：{detail}"
    en = "the settings file cannot be used: {detail}"


class Addresses(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base URLs, without a trailing slash, by which the processes find each other."""

    core: str = "http://127.0.0.1:8410"
    institution_front: str = "http://127.0.0.1:8420"
    internet_front: str = "http://127.0.0.1:8430"
    web: str = "http://127.0.0.1:8400"
    health: str = "http://127.0.0.1:8450"
    hl7v2: str = "mllp://127.0.0.1:8451"
    sandbox: str = "http://127.0.0.1:8490"
    sandbox_control: str = "http://127.0.0.1:8491"


class CryptoMachine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One crypto machine behind a library of GM/T 0018 (docs/crypto-machine.md)."""

    name: str
    """Names the machine in the key book; a machine that takes another's place gets a new name."""
    library: Path
    key_index: int = 1
    """Key pair whose encryption half protects our keys outside the machine."""
    pin: str = ""
    """Access code of that key pair, 8 bytes at least; empty when the machine asks for none."""
    signing_indexes: tuple[int, ...] = ()
    """Key pairs for signing: the n-th is version n of the signing key."""
    signing_pin: str = ""
    kek_index: int = 0
    """KEK under which new keys are made instead; 0 for none."""
    sessions: int = 8
    wait_s: float = 2.0
    """How long a request waits for a session, or for another call to end, before it is refused."""
    serialised: bool = True
    """Whether no two calls of the library run at once; say no only where its maker promises thread safety."""


class Hl7Partner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A system that may send HL7 v2 messages, and the caller that it stands for (docs/spec/hl7v2.md)."""

    application: str = ""
    """MSH-3; empty for any."""
    facility: str = ""
    """MSH-4; empty for any."""
    caller_id: str
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """Addresses that it may send from."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that differs between two installations. Secrets come as values in a file of mode 0600."""

    mode: Literal["demonstration", "production"] = "demonstration"
    data: Path
    database_url: str
    issuer: str = "610000"
    """Region code of the issuing province (GB/T 2260); part of every code's key derivation."""
    device: Literal["soft", "sdf"] = "soft"
    """Where the keys are: sealed in the keystore file, or in crypto machines, the file then holding their book."""
    crypto_machines: tuple[CryptoMachine, ...] = ()
    """In the order in which they are asked; the next one when one is lost."""
    keystore: Path
    keystore_passphrase: str = ""
    """Only where no secret of the operating system can hold it."""
    keystore_secret_file: Path | None = None
    """File of the passphrase, readable by its owner only; else the systemd credential ``ymt-keystore`` counts."""
    web_session_key: str
    """64 hex characters; signs the CSRF token of the pages."""
    addresses: Addresses = Addresses()
    database_pool: int = 10
    wechat_base_url: str = "http://127.0.0.1:8490"
    """Where WeChat Pay is: https://api.mch.weixin.qq.com in production."""
    alipay_gateway_url: str = "http://127.0.0.1:8490/alipay/gateway.do"
    """Where Alipay's gateway is: https://openapi.alipay.com/gateway.do in production."""
    alipay_bill_host: str = "dwbillcenter.alipay.com"
    """Besides the gateway's own, the host from which Alipay's bills may be fetched (https)."""
    unionpay_gateway_url: str = "http://127.0.0.1:8490/unionpay/gateway/api"
    """Where UnionPay's gateway is: https://gateway.95516.com/gateway/api in production."""
    unionpay_files_url: str = "http://127.0.0.1:8490/unionpay/files"
    """Where UnionPay's reconciliation files are: https://filedownload.95516.com in production."""
    credit_base_url: str = "http://127.0.0.1:8490/credit"
    """Where the credit scheme (先诊疗后付费) is."""
    commercial_base_url: str = "http://127.0.0.1:8490/commercial"
    """Where the commercial insurer's direct claims (商保快赔) are."""
    insurance_base_url: str = "http://127.0.0.1:8490/insurance"
    """Where medical insurance is: mobile payment centre and hospital interface."""
    ncms_base_url: str = "http://127.0.0.1:8490/ncms"
    """Where the agency of cooperative medical care is."""
    real_name_base_url: str = "http://127.0.0.1:8490/realname"
    """Where the police register's real-name check is."""
    real_name_app_id: str = "ymt-demo"
    real_name_secret: str = TEST_SITE_SECRET
    """Hexadecimal HMAC-SM3 key; in production the test site's counts as no contract."""
    bank_base_url: str = "http://127.0.0.1:8490/bank"
    """Where the bank's real-name check and its quick-payment agreements are."""
    bank_app_id: str = "ymt-demo"
    bank_secret: str = TEST_SITE_SECRET
    receipts_base_url: str = "http://127.0.0.1:8490/receipts"
    """Where the finance department's e-bill platform is; docs/spec/receipts.md."""
    receipts_app_id: str = "ymt-demo"
    receipts_secret: str = TEST_SITE_SECRET
    """Hexadecimal HMAC-SM3 key; empty, or in production the test site's: no electronic receipts are asked for."""
    insurer_base_url: str = "http://127.0.0.1:8490/insurer"
    """Where the insurer's real-name check and its card links are."""
    insurer_app_id: str = "ymt-demo"
    insurer_secret: str = TEST_SITE_SECRET
    insurer_public_key: str = (
        "04ee310c8e020b31551aa84c9ae5b626d3f3d494de2f03c176269cd31dd749052a"
        "00b5593818dbad2917ce2c0b4ee1347e1245ffae681536031ea2c7c9bda049ee"
    )
    """SM2 key to which passwords of insurance cards are encrypted: 130 hex characters."""
    national_base_url: str = "http://127.0.0.1:8490/national"
    """Where the national person index is; empty: there is no exchange."""
    national_sender_id: str = "ymt-demo"
    """What the national index knows this province by: sender of every message."""
    national_secret: str = TEST_SITE_SECRET
    """Hexadecimal HMAC-SM3 key; in production the test site's counts as none, and there is no exchange."""
    national_per_s: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 50.0
    """How many messages a second are sent to the national index at most."""
    bank_cards_max: int = 5
    """How many bank cards one account may have bound."""
    records_keep_months: int = 13
    """How many whole months of records of codes stay in the database before they are archived; 0 archives none."""
    records_archive: Path | None = None
    """Where archived records are kept, for core, web and worker; ``archive/records`` in the data folder if unset."""
    outbox_keep_days: int = 7
    """How many days a delivered message stays in the outbox to be looked at; parked ones stay until replayed."""
    upload_bytes_max: int = 64 * 1024 * 1024
    """The largest file that the console takes; it is held in memory while it is read and sealed."""
    label_serial_in_code: bool = True
    """Whether a printed label's code carries its serial, so that one lost label can be revoked alone."""
    family_members_max: int = 8
    """How many family members one guardian's phone may manage."""
    statistics_min_cell: Annotated[int, msgspec.Meta(ge=3, le=1000)] = 10
    """The smallest count of persons that statistics tell, and the step to which all counts are rounded."""
    double_check_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.05
    """The share of stewards' decisions that a second operator judges again."""
    webhook_hosts: tuple[str, ...] = ()
    """Where subscriptions may be delivered: hosts, ``.endings``, networks; empty: any host that is not internal."""
    subscribers_to_all: tuple[str, ...] = ()
    """Callers (by id) who may subscribe to the changes of all persons."""
    health_public_url: str = ""
    """Under which callers outside reach the health interfaces, as the reverse proxy serves it; empty: ``addresses``."""
    health_requests_per_s: float = 100.0
    """How many requests a second one caller may send to a process of the health interfaces; 0 for any number."""
    health_open_caller: str = ""
    """Demonstration on this machine only: the caller that counts where a request brings no credentials."""
    changes_keep_days: int = 90
    """How many days changes of persons are kept after every reader has them behind it."""
    hl7v2_partners: tuple[Hl7Partner, ...] = ()
    """Who may send HL7 v2 messages, the first that fits counts; with none no message is taken."""
    front_id: str = ""
    """Caller id of this process when it is a front."""
    front_secret: str = ""
    """64 hex characters; HMAC-SM3 key of this front."""

    def keystore_secret(self) -> str:
        """Return the passphrase of the keystore: from the secret file, a systemd credential, or these settings.

        A systemd unit passes it with ``LoadCredential=ymt-keystore:PATH`` (systemd.exec(5)); it is read at each use.

        Raises:
            SettingsInvalid: the file cannot be read, is open to others, or nothing holds a passphrase.
        """
        folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
        credential = Path(folder) / "ymt-keystore"
        place = self.keystore_secret_file or (credential if folder and credential.is_file() else None)
        if place is None:
            if not self.keystore_passphrase:
                raise SettingsInvalid(
                    detail="没有密钥库口令 (no keystore_secret_file, credential or keystore_passphrase)"
                )
            return self.keystore_passphrase
        try:
            mode = place.stat().st_mode
            secret = place.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsInvalid(detail=f"keystore_secret_file {place}: {error}") from error
        if os.name != "nt" and mode & _OTHERS:
            raise SettingsInvalid(detail=f"keystore_secret_file {place}: 权限过宽，应为0600或0400 (open to others)")
        if not secret:
            raise SettingsInvalid(detail=f"keystore_secret_file {place}: 为空 (empty)")
        return secret

    @property
    def health_url(self) -> str:
        """Return the address under which callers outside reach the health interfaces, without a trailing slash."""
        return (self.health_public_url or self.addresses.health).rstrip("/")

    @property
    def archive_folder(self) -> Path:
        """Return the folder of the archived records."""
        return self.records_archive or self.data / "archive" / "records"

    @property
    def production(self) -> bool:
        """Say whether demonstration keys and logins must be refused."""
        return self.mode == "production"


def _path(kind: type, value: object) -> object:
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError


def load(path: Path | None = None) -> Settings:
    """Read the settings file.

    Raises:
        SettingsInvalid: no such file, or an unknown, missing or wrong value in it.
    """
    source = path or Path(os.environ.get("YMT_SETTINGS", ""))
    if not source.is_file():
        raise SettingsInvalid(detail=f"{source} 不存在 (no such file; name it in YMT_SETTINGS)")
    try:
        return msgspec.toml.decode(source.read_bytes(), type=Settings, dec_hook=_path)
    except msgspec.DecodeError as error:
        raise SettingsInvalid(detail=f"{source}: {error}") from error
