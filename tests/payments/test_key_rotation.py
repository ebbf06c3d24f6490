"""Keys of merchants and channels change while payments run: notices of before count, nothing is refused in between.

The order is the one of the operations manual: the channel's new key is entered before the channel signs with it, and
taken as the only one when the change-over is ended. UnionPay needs no step of ours for its own key: its certificate
comes with each message, below authorities that the account holds.
"""

from __future__ import annotations

import asyncio
import http.server
import json
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import text

from yimatong.access import callers, resealing
from yimatong.access.callers import Institution
from yimatong.access.ceremony import steps
from yimatong.access.ceremony.schemas import Given, Request
from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm import sm2
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.payments import accounts
from yimatong.payments import resealing as sealed
from yimatong.payments.administration import service as administration
from yimatong.payments.administration.schemas import AccountFile
from yimatong.payments.channels.alipay.channel import Alipay
from yimatong.payments.channels.base import PaymentIntent, PaymentStatus, PlacedPayment, Scene
from yimatong.payments.channels.insurance.channel import MedicalInsurance
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.errors import NoticeNotGenuine
from yimatong.payments.service_channels.service import By
from yimatong.sandbox.alipay.enrolment import app_keys
from yimatong.sandbox.alipay.keys import PlatformKey as AlipayKey
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong.sandbox.medical.notify import sealed as sealed_notice
from yimatong.sandbox.medical.rows import Notice as MedicalNotice
from yimatong.sandbox.medical.sealing import PlatformKey as MedicalKey
from yimatong.sandbox.unionpay import authority
from yimatong.sandbox.unionpay.enrol import merchant_keys
from yimatong.sandbox.wechat.keys import PlatformKey as WeChatKey

PASSPHRASE = "a passphrase of the tests"
HOSPITAL = "hospital-9"
NOBODY = dict.fromkeys(("payOrdId", "payToken", "idNo", "userName", "idType"), "NOBODY")
CHANNELS = ("alipay", "insurance", "unionpay", "wechat")


class Listener:
    """A merchant's server that keeps what it is told."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"success")

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    async def next(self, count: int) -> tuple[dict[str, str], bytes]:
        end = time.monotonic() + 30
        while len(self.got) < count:
            assert time.monotonic() < end, "no notice came"
            await asyncio.sleep(0.02)
        return self.got[-1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Party:
    """One channel: how a merchant enrols there, how it changes its own key, and how a payment is told."""

    name = ""
    keeps_before = True

    def __init__(self, world, outbound, listener, folder) -> None:
        self.world, self.listener, self.folder = world, listener, folder
        self.account_id = f"{self.name}-{HOSPITAL}"
        self.channel = self.adapter(outbound)
        self.told = 0

    def control(self, path, body):
        return self.world.control(f"/control/{self.name}/{path}", body)

    def merchant(self, number: int) -> dict[str, object]:
        """Enrol, or enrol again with fresh keys; return what stands in the account's file."""
        raise NotImplementedError

    def change_own_key(self) -> dict[str, str]:
        """Let the channel sign with another key from now on; return the secrets that are entered before."""
        raise NotImplementedError

    async def notice(self, account):
        """Have a payment made and return what the channel tells of it."""
        intent = PaymentIntent(
            attempt_no=f"P{secrets.randbelow(10**20):020d}A01",
            amount_fen=1234,
            description="门诊缴费",
            placed_at=clock.now(),
            expires_at=clock.now() + timedelta(minutes=30),
            notify_url=self.listener.url,
            scene=Scene.NATIVE,
        )
        await self.channel.start(account, intent, now=clock.now())
        self.told = len(self.listener.got)
        await asyncio.to_thread(self.control, "pay", {self.number: intent.attempt_no})
        return await self.listener.next(self.told + 1)

    number = "out_trade_no"


class WeChat(Party):
    name = "wechat"

    def adapter(self, outbound):
        return WeChatPay(outbound, self.world.url)

    def merchant(self, number):
        enrolled = self.world.enrol(mchid="1900000999", appid="wx0000000000000999")
        names = ("private_key_pem", "serial_no", "api_v3_key", "platform_key_id", "platform_public_key_pem")
        kept = {name: getattr(enrolled, name) for name in names}
        if number:
            kept = {name: kept[name] for name in ("private_key_pem", "serial_no", "api_v3_key")}
        return {"merchant_id": enrolled.mchid, "app_id": enrolled.appid, "secrets": kept}

    def change_own_key(self):
        self.fresh = WeChatKey(self.folder)
        return {"platform_key_id": self.fresh.key_id, "platform_public_key_pem": self.fresh.public_pem}

    def switch(self):
        wechat = self.world._world.wechat
        wechat.signers.public = wechat.key = self.fresh


class AlipayParty(Party):
    name = "alipay"

    def adapter(self, outbound):
        return Alipay(outbound, f"{self.world.url}/alipay/gateway.do")

    def merchant(self, number):
        app, private_key_pem = app_keys(app_id="2021000000000999", pid="2088000000000999")
        shown = self.control("merchants", msgspec.to_builtins(app))
        kept = {"private_key_pem": private_key_pem, "alipay_public_key_pem": next(iter(shown.values()))}
        if number:
            del kept["alipay_public_key_pem"]
        return {"merchant_id": app.pid, "app_id": app.app_id, "secrets": kept}

    def change_own_key(self):
        self.fresh = AlipayKey(self.folder)
        return {"alipay_public_key_pem": self.fresh.public_pem}

    def switch(self):
        self.world._world.alipay.key = self.fresh


class UnionPayParty(Party):
    name = "unionpay"
    number = "order_id"
    keeps_before = False

    def adapter(self, outbound):
        return UnionPay(outbound, f"{self.world.url}/unionpay/gateway/api", f"{self.world.url}/unionpay/files")

    def merchant(self, number):
        merchant, private_key_pem = merchant_keys(mer_id="777290058110999", name="模拟医院")
        shown = self.control("merchants", msgspec.to_builtins(merchant))
        kept = {"private_key_pem": private_key_pem, "cert_id": merchant.cert_id}
        if not number:
            kept |= {name: shown[name] for name in ("root_cert_pem", "middle_cert_pem", "encrypt_cert_pem")}
        facts = {"merchant_id": merchant.mer_id, "app_id": "", "secrets": kept}
        return facts | {"profile": {"sign_method": "01", "tr_id": merchant.tr_id}}

    def change_own_key(self):
        return {}

    def switch(self):
        own = self.world._world.unionpay.authority
        key, middle = authority._key(), x509.load_pem_x509_certificate(own.pem["middle"].encode())
        made = authority._issue(authority.CN, key, middle.subject, own._keys["middle"], may_issue=False)
        own._keys["sign"] = key
        own.pem["sign"] = made.public_bytes(serialization.Encoding.PEM).decode()


class InsuranceParty(Party):
    name = "insurance"

    def adapter(self, outbound):
        return MedicalInsurance(outbound, f"{self.world.url}/insurance")

    def merchant(self, number):
        made, private_key = institution_keys(fixmedins_code="H61010000999")
        if number:  # the id and the secret stay, the key changes
            private, public = sm2.generate_keypair()
            made, private_key = msgspec.structs.replace(self.institution, public_key=public.hex()), private.hex()
        self.institution = made
        shown = self.control("institutions", msgspec.to_builtins(made))
        kept = {"private_key": private_key}
        if not number:
            kept |= {"app_secret": made.app_secret, "platform_public_key": shown["platform_public_key"]}
        code = made.fixmedins_code
        return {"merchant_id": code, "app_id": made.app_id, "secrets": kept, "profile": {"fixmedins_code": code}}

    def change_own_key(self):
        self.fresh = MedicalKey(self.folder)
        return {"platform_public_key": self.fresh.public_hex}

    def switch(self):
        self.world._world.insurance.key = self.fresh

    async def notice(self, account):
        """Sign a notice as the insurance does; the payer's own way there is the channel's tests' business."""
        content = json.dumps(
            {"payOrdId": "O1", "medOrgOrd": "P1L01", "orgBizSer": "P1A01", "ordStas": "4", "feeSumamt": "12.34"}
            | {"traceTime": "2026-11-30 12:00:00", "fundPay": "12.34", "psnAcctPay": "0.00", "ownPayAmt": "0.00"}
        )
        facts = {"notice_id": "n", "app_id": account.app_id, "url": "", "content": content, "due_at": clock.now()}
        return {}, sealed_notice(self.world._world.insurance, MedicalNotice(**facts), now=clock.now(), broken=False)


PARTIES = {each.name: each for each in (WeChat, AlipayParty, UnionPayParty, InsuranceParty)}


def by() -> By:
    return By(actor="ops", request_id=secrets.token_hex(8), now=clock.now())


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


@pytest.fixture
async def enter(desk):
    async with desk.db.transaction() as connection:
        for number, org_code in ((8, "43562802X"), (9, "435628013")):
            hospital = Institution(
                institution_id=f"hospital-{number}",
                name=f"第{number}医院",
                kind="hospital",
                org_code=org_code,
                region_code="610100",
            )
            await callers.add_institution(connection, hospital, now=clock.now())

    async def put(account_id: str, **facts: object) -> None:
        async with desk.db.transaction() as connection:
            file = AccountFile(account_id=account_id, **facts)
            await administration.put(connection, desk.vault, file, known=CHANNELS, by=by())

    return put


@pytest.fixture
def held(desk):
    async def read(account_id: str):
        async with desk.db.read() as connection:
            return await accounts.by_id(connection, desk.vault, account_id)

    return read


async def asked(party, account) -> PaymentStatus:
    """Ask about a payment that was never placed: only an answer that is verified says that it is absent.

    UnionPay's word for it means closed once the time to pay is over.
    """
    now = clock.now()
    nobody = PlacedPayment(
        attempt_no=f"P{secrets.randbelow(10**20):020d}A01",
        amount_fen=1,
        scene=Scene.DIRECT if party.name == "insurance" else Scene.NATIVE,
        placed_at=now - timedelta(hours=2),
        expires_at=now - timedelta(hours=1),
        references=NOBODY if party.name == "insurance" else {},
    )
    status = (await party.channel.query(account, nobody, now=now)).status
    return PaymentStatus.ABSENT if (party.name, status) == ("unionpay", PaymentStatus.CLOSED) else status


@pytest.mark.parametrize("name", CHANNELS)
async def test_keys_change_while_payments_run(name, world, desk, listener, enter, held, tmp_path):  # noqa: PLR0917
    async with Outbound(read_s=3.0) as outbound:
        party = PARTIES[name](world, outbound, listener, tmp_path)
        facts = await asyncio.to_thread(party.merchant, 0)
        await enter(party.account_id, institution_id=HOSPITAL, channel=name, **facts)
        first = await held(party.account_id)
        assert await asked(party, first) is PaymentStatus.ABSENT
        old_notice = await party.notice(first)

        def read(account, notice):
            return party.channel.read_notice(account, *notice, now=clock.now())

        told = read(first, old_notice)
        own = await asyncio.to_thread(party.merchant, 1)  # the hospital's own key
        await enter(party.account_id, secrets=own["secrets"], app_id=own["app_id"])
        second = await held(party.account_id)
        assert second.secrets != first.secrets
        assert await asked(party, second) is PaymentStatus.ABSENT
        with pytest.raises(Exception):  # noqa: B017, PT011 -- each channel refuses the key of before in its own way
            assert await asked(party, first) is PaymentStatus.ABSENT
        if name != "wechat":  # WeChat's notices are encrypted by the api_v3_key, which was changed with the rest
            assert read(second, old_notice) == told
        before_change = await party.notice(second)

        entered = await asyncio.to_thread(party.change_own_key)
        if entered:
            await enter(party.account_id, secrets=entered)
        both = await held(party.account_id)
        assert await asked(party, both) is PaymentStatus.ABSENT  # answered with the key of before
        assert read(both, before_change)
        party.switch()
        assert await asked(party, both) is PaymentStatus.ABSENT  # answered with the new key
        new_notice = await party.notice(both)
        assert read(both, new_notice)
        assert read(both, before_change)

        async with desk.db.transaction() as connection:
            gone = await administration.end_change_over(connection, desk.vault, party.account_id, by=by())
        after = await held(party.account_id)
        assert bool(gone) is party.keeps_before
        assert read(after, new_notice)
        assert await asked(party, after) is PaymentStatus.ABSENT
        if party.keeps_before:
            with pytest.raises(NoticeNotGenuine):
                read(after, before_change)
        await _nothing_lies_open(desk, [first, second, both, after])


async def _nothing_lies_open(desk, held) -> None:
    """Look for every secret of an account in the raw rows of every table of the room."""
    names = "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'payments\\_%'"
    known = {str.__str__(value) for account in held for value in account.secrets.values()}
    needles = {line.strip() for value in known for line in value.splitlines() if len(line.strip()) > 20}
    needles = {each for each in needles if not each.startswith("-----")} | {"PRIVATE KEY"}
    async with desk.db.read() as connection:
        for (table,) in (await connection.execute(text(names))).all():
            rows = await connection.execute(text(f"SELECT to_jsonb(t)::text FROM {table} AS t"))
            raw = "\n".join(row[0] for row in rows)
            unhexed = b"".join(bytes.fromhex(each.split('"')[0]) for each in raw.split("\\\\x")[1:])
            assert not [each for each in needles if each in raw or each.encode() in unhexed], table


async def test_a_rotation_of_the_vault_seals_every_account_anew(desk, vault, keystore, enter, held):
    private_key_pem = PLAIN.decode()
    facts = {"merchant_id": "1900000998", "app_id": "wx0000000000000998"}
    kept = {"private_key_pem": private_key_pem, "serial_no": "5A"}
    await enter("wechat-sealing", institution_id="hospital-8", channel="wechat", secrets=kept, **facts)
    device = SoftDevice.open(keystore, PASSPHRASE, production=False)
    request = Request(action="rotate", usage="protection")
    version = steps.version_of(device, request)
    old = device.key_versions(KeyUsage.PROTECTION)[0].version
    await asyncio.to_thread(steps.run, device, request, version, Given(), pause_s=1.0)
    before = await resealing.remaining(desk.db, sealed.PLACES, old)
    assert before["payments_channel_account.secrets_sealed"] >= 1
    await resealing.reseal(desk.db, vault, sealed.PLACES, now=clock.now)
    await resealing.reseal(desk.db, vault, sealed.PLACES, now=lambda: datetime.now(UTC) + timedelta(minutes=5))
    for each in (await vault.sealer()).older:
        assert not any((await resealing.remaining(desk.db, sealed.PLACES, each)).values())
    account = await held("wechat-sealing")
    assert str.__str__(account.secrets["private_key_pem"]) == private_key_pem


PLAIN = authority._key().private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)


def test_every_sealed_column_of_the_room_is_sealed_anew():
    from yimatong.kit.db import metadata

    columns = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.c
        if table.name.startswith("payments_") and column.name.endswith("_sealed")
    }
    assert columns == {place.name for place in sealed.PLACES}
    assert "payments_receipt.content_sealed" in columns
