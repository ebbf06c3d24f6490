"""Net bank against the simulated banks: form, page, notice, query, refund, file; faults and forgeries."""

from __future__ import annotations

import asyncio
import base64
import http.server
import re
import secrets
import threading
import time
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import (
    BillKind,
    ChannelAccount,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.netbank import signing
from yimatong.payments.channels.netbank.channel import NetBank
from yimatong.payments.channels.netbank.profiles import PROFILES
from yimatong.payments.errors import (
    BillBroken,
    BillNotOffered,
    BillNotReady,
    ChannelBusy,
    ChannelNotOffered,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

MER_ID, MER_ACCT = "0200EC20001119", "0200026009018372212"


class Receiver:
    """The platform's end of a notice: reads it with the adapter and answers as the adapter says."""

    def __init__(self, channel, account) -> None:
        self.channel, self.account = channel, account
        self.got: list[bytes] = []
        self.status = 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append(body)
                problem = "" if receiver.status == 200 else "稍后再试"
                answer = receiver.channel.answer_notice(problem=problem, status=receiver.status)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def notice(self, place=0):
        return self.channel.read_notice(self.account, {}, self.got[place], now=clock.now())

    async def wait(self, count: int) -> None:
        end = time.monotonic() + 20
        while len(self.got) < count:
            assert time.monotonic() < end, "no notice came"
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def merchant_keys():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hospital.e.0200")])
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    cert = builder.not_valid_before(moment).not_valid_after(moment + timedelta(days=3650)).sign(key, SHA256())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return pem, base64.b64encode(cert.public_bytes(serialization.Encoding.DER)).decode()


class Bank:
    """One bank, the hospital's account there, a browser's way to its page, its control port."""

    def __init__(self, name, world, outbound, merchant_keys) -> None:
        self.name, self.world = name, world
        private_pem, self.cert = merchant_keys
        self.channel = NetBank(outbound)
        base = f"{world.url}/netbank/{name}"
        self.enrolment = {"bank": name, "mer_id": MER_ID, "mer_acct": MER_ACCT, "mer_cert": self.cert}
        shown = world.control("/control/netbank/merchants", self.enrolment)
        profile = {"bank": name, "mer_cert": self.cert} | {
            f"{verb}_url": f"{base}/{verb}" for verb in ("pay", "query", "refund", "file")
        }
        self.account = ChannelAccount(
            account_id=f"netbank-{name}",
            institution_id="hospital-1",
            channel="netbank",
            merchant_id=MER_ID,
            app_id=MER_ACCT,
            secrets={
                "private_key_pem": Secret(private_pem),
                "bank_public_key_pem": Secret(shown["bank_public_key_pem"]),
            },
            profile=profile,
        )

    def changed(self, **change):
        facts = {name: getattr(self.account, name) for name in self.account.__struct_fields__}
        return ChannelAccount(**(facts | change))

    async def control(self, path, body=None):
        return await asyncio.to_thread(self.world.control, f"/control/netbank/{path}", body)

    async def page(self, form, client=None):
        """Post the form as a browser does, its fields in the form's own character set."""
        body = urlencode(dict(form.fields), encoding=form.charset)
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with httpx.AsyncClient(trust_env=False, timeout=15) as browser:
            return await browser.post(form.url, content=body, headers=headers)

    async def decide(self, page, decision):
        action = re.search(r'action="([^"]+)"', page.text)
        assert action is not None, page.text
        async with httpx.AsyncClient(trust_env=False, timeout=15) as browser:
            return await browser.post(self.world.url + action[1], data={"decision": decision})

    async def brought(self, intent):
        action = await self.channel.start(self.account, intent, now=clock.now())
        return await self.page(action.form)

    async def paid(self, intent):
        await self.brought(intent)
        await self.control("pay", {"orderid": intent.attempt_no})

    async def query(self, intent, now=None):
        return await self.channel.query(self.account, placed(intent), now=now or clock.now())


def make(amount_fen=1234, notify_url="http://127.0.0.1:9/notify", **more):
    facts = {
        "attempt_no": f"P{secrets.token_hex(10)}",
        "amount_fen": amount_fen,
        "description": "门诊缴费 <一> & 𠮷",
        "placed_at": clock.now(),
        "expires_at": clock.now() + timedelta(minutes=30),
        "notify_url": notify_url,
        "return_url": "http://127.0.0.1:9/back?a=1&b=2",
        "scene": Scene.PAGE,
    }
    return PaymentIntent(**(facts | more))


def placed(intent):
    names = ("attempt_no", "amount_fen", "scene", "placed_at", "expires_at", "part", "references")
    return PlacedPayment(**{name: getattr(intent, name) for name in names})


def refund_of(intent, refund_fen, refund_no=""):
    return RefundRequest(
        refund_no=refund_no or f"R{secrets.token_hex(10)}",
        payment=placed(intent),
        refund_fen=refund_fen,
        reason="退号",
        notify_url="http://127.0.0.1:9/notify",
        asked_at=clock.now(),
    )


@pytest.fixture(params=sorted(PROFILES))
async def bank(request, world, merchant_keys):
    async with Outbound(read_s=1.0) as outbound:
        made = await asyncio.to_thread(Bank, request.param, world, outbound, merchant_keys)
        await made.control("faults", {})
        await made.control("conditions", {"refund_settles_s": 0.0})
        yield made
        await made.control("faults", {})
        await made.control("conditions", {})


@pytest.fixture
def receiver(bank):
    made = Receiver(bank.channel, bank.account)
    yield made
    made.close()


async def test_the_payer_brings_the_order_pays_and_sees_our_answer(bank, receiver):
    intent = make(notify_url=receiver.url)
    action = await bank.channel.start(bank.account, intent, now=clock.now())
    assert action.form is not None
    assert action.form == (await bank.channel.start(bank.account, intent, now=clock.now())).form
    page = await bank.page(action.form)
    assert page.status_code == 200, page.text
    assert "¥ 12.34" in page.text
    assert "门诊缴费 &lt;一&gt; &amp; 𠮷" in page.text
    assert (await bank.query(intent)).status is PaymentStatus.PENDING
    result = await bank.decide(page, "pay")
    assert "支付成功" in result.text
    payment = receiver.notice().payment
    assert payment is not None
    assert (payment.attempt_no, payment.status, payment.amount_fen) == (
        intent.attempt_no,
        PaymentStatus.SUCCEEDED,
        1234,
    )
    assert (payment.merchant_id, payment.app_id, payment.currency) == (MER_ID, MER_ACCT, "CNY")
    asked = await bank.query(intent)
    assert asked.channel_trade_no == payment.channel_trade_no
    assert (asked.status, asked.amount_fen, asked.paid_at) == (PaymentStatus.SUCCEEDED, 1234, payment.paid_at)
    notice = (await bank.control("notices"))[-1]
    assert "&#25903;&#20184;" in notice["answer"]
    assert notice["answered_in_s"] < 1.0


async def test_the_form_of_icbc_is_the_published_one(bank):
    intent = make(description="西药费")
    form = (await bank.channel.start(bank.account, intent, now=clock.now())).form
    assert form is not None
    assert list(form.fields) == ["interfaceName", "interfaceVersion", "tranData", "merSignMsg", "merCert"]
    document = base64.b64decode(form.fields["tranData"])
    profile = PROFILES[bank.name]
    assert (form.charset, b"\n" in document) == (profile.charset, False)
    assert form.fields["merSignMsg"] == signing.sign(str(bank.account.secrets["private_key_pem"]), document)
    text = document.decode(profile.charset)
    stamp = f"{intent.placed_at.astimezone(clock.BEIJING):%Y%m%d%H%M%S}"
    if bank.name == "icbc":
        assert text.startswith(
            '<?xml version="1.0" encoding="GBK" standalone="no"?><B2CReq>'
            "<interfaceName>ICBC_PERBANK_B2C</interfaceName>"
            f"<interfaceVersion>1.0.0.11</interfaceVersion><orderInfo><orderDate>{stamp}</orderDate>"
            f"<curType>001</curType><merID>{MER_ID}</merID><subOrderInfoList><subOrderInfo>"
            f"<orderid>{intent.attempt_no}</orderid><amount>1234</amount><installmentTimes>1</installmentTimes>"
            f"<merAcct>{MER_ACCT}</merAcct>"
        )
        assert "expireTime" not in text
    else:
        assert "<amount>12.34</amount>" in text
        assert "<expireTime>" in text


async def test_a_failed_try_is_not_the_end_and_the_second_succeeds(bank, receiver):
    intent = make(notify_url=receiver.url)
    page = await bank.brought(intent)
    assert "支付失败" in (await bank.decide(page, "fail")).text
    told = receiver.notice().payment
    assert told is not None
    assert told.status is PaymentStatus.PENDING
    assert (await bank.query(intent)).status is PaymentStatus.PENDING
    await bank.decide(await bank.brought(intent), "pay")
    assert (await bank.query(intent)).status is PaymentStatus.SUCCEEDED
    assert receiver.notice(0).notice_id != receiver.notice(1).notice_id


async def test_a_failed_order_is_final_once_it_cannot_be_paid(bank):
    intent = make()
    await bank.decide(await bank.brought(intent), "fail")
    late = PROFILES[bank.name].payable_until(placed(intent))
    if bank.name == "generic":
        await bank.control("conditions", {"business_offset_s": 7200})
        assert (await bank.query(intent, now=late)).status is PaymentStatus.CLOSED
    else:
        assert (await bank.query(intent, now=late - timedelta(seconds=1))).status is PaymentStatus.PENDING
        assert (await bank.query(intent, now=late)).status is PaymentStatus.FAILED


async def test_an_order_nobody_brought_is_pending_while_it_may_still_come(bank):
    intent = make()
    late = PROFILES[bank.name].payable_until(placed(intent))
    assert late > intent.expires_at
    assert (await bank.query(intent)).status is PaymentStatus.PENDING
    assert (await bank.query(intent, now=late - timedelta(seconds=1))).status is PaymentStatus.PENDING
    assert (await bank.query(intent, now=late)).status is PaymentStatus.ABSENT
    await bank.channel.close(bank.account, placed(intent), now=clock.now())


async def test_the_bank_takes_no_order_that_is_over(bank):
    over = make(placed_at=clock.now() - timedelta(minutes=61), expires_at=clock.now() - timedelta(minutes=1))
    page = await bank.brought(over)
    assert page.status_code == 400
    assert "ORDER_EXPIRED" in page.text
    intent = make()
    page = await bank.brought(intent)
    await bank.control("conditions", {"business_offset_s": 3700})
    assert "ORDER_EXPIRED" in (await bank.decide(page, "pay")).text


async def test_the_bank_refuses_what_the_merchant_did_not_sign(bank):
    form = (await bank.channel.start(bank.account, make(), now=clock.now())).form
    assert form is not None
    for name, value in (
        (
            "tranData",
            base64.b64encode(base64.b64decode(form.fields["tranData"]).replace(b"34</amount>", b"1</amount>")).decode(),
        ),
        ("merSignMsg", base64.b64encode(b"0" * 256).decode()),
        ("merCert", ""),
        ("interfaceVersion", "1.0.0.3"),
    ):
        fields = dict(form.fields) | {name: value}
        page = await bank.page(type(form)(url=form.url, fields=fields, charset=form.charset))
        assert page.status_code == 400


async def test_refunds_in_parts_up_to_what_was_paid(bank):
    intent = make()
    await bank.brought(intent)
    with pytest.raises(ChannelRefused) as refused:
        await bank.channel.refund(bank.account, refund_of(intent, 1), now=clock.now())
    assert refused.value.facts["channel_code"] == "NOT_PAID"
    await bank.control("pay", {"orderid": intent.attempt_no})
    await bank.control("conditions", {"refund_settles_s": 0.2})
    first = refund_of(intent, 1000)
    assert (await bank.channel.query_refund(bank.account, first, now=clock.now())).status is RefundStatus.ABSENT
    asked = await bank.channel.refund(bank.account, first, now=clock.now())
    assert (asked.status, asked.refund_fen, asked.attempt_no) == (RefundStatus.PROCESSING, 1000, intent.attempt_no)
    again = await bank.channel.refund(bank.account, first, now=clock.now())
    assert again.channel_refund_no == asked.channel_refund_no
    for wrong, error in (
        (refund_of(intent, 235), ChannelRefused),
        (refund_of(intent, 999, first.refund_no), PartyOutcomeUnknown),
    ):
        with pytest.raises(error):
            await bank.channel.refund(bank.account, wrong, now=clock.now())
    await asyncio.sleep(0.25)
    done = await bank.channel.query_refund(bank.account, first, now=clock.now())
    assert done.status is RefundStatus.SUCCEEDED
    assert done.succeeded_at is not None
    paid = await bank.query(intent)
    assert paid.status in (PaymentStatus.REFUNDED, PaymentStatus.SUCCEEDED)
    assert paid.paid_at is not None


async def test_a_refund_that_cannot_arrive_is_abnormal(bank):
    intent = make()
    await bank.paid(intent)
    await bank.control("faults", {"refund_fails": 1})
    asked = refund_of(intent, 1234)
    await bank.channel.refund(bank.account, asked, now=clock.now())
    assert (await bank.channel.query_refund(bank.account, asked, now=clock.now())).status is RefundStatus.ABNORMAL


@pytest.mark.parametrize(
    "fault",
    [
        "answer_5xx",
        "lost_answers",
        "garbage",
        "unsigned_answers",
        "wrong_signatures",
        "replayed_answers",
        "timeout_after_acting",
    ],
)
async def test_answers_that_prove_nothing_are_unknown_and_the_refund_is_there(bank, fault):
    intent, other = make(), make()
    await bank.paid(intent)
    await bank.paid(other)
    await bank.channel.refund(bank.account, refund_of(other, 1), now=clock.now())
    asked = refund_of(intent, 34)
    await bank.control("faults", {fault: 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await bank.channel.refund(bank.account, asked, now=clock.now())
    found = await bank.channel.query_refund(bank.account, asked, now=clock.now())
    assert found.status is (RefundStatus.ABSENT if fault == "answer_5xx" else RefundStatus.SUCCEEDED)


async def test_busy_and_read_lag(bank):
    intent = make()
    await bank.paid(intent)
    await bank.control("faults", {"busy": 1})
    with pytest.raises(ChannelBusy):
        await bank.query(intent)
    await bank.control("faults", {"read_lag": 1})
    assert (await bank.query(intent)).status is PaymentStatus.PENDING
    assert (await bank.query(intent)).status is PaymentStatus.SUCCEEDED


async def test_notices_dropped_duplicated_late_and_repeated(bank, receiver):
    await bank.control("faults", {"drop_notices": 1, "path": receiver.url})
    await bank.paid(make(notify_url=receiver.url))
    assert receiver.got == []
    await bank.control("faults", {"duplicate_notices": 1, "path": receiver.url})
    await bank.paid(make(notify_url=receiver.url))
    await receiver.wait(2)
    assert receiver.notice(0).notice_id == receiver.notice(1).notice_id
    await bank.control("conditions", {"notice_delay_s": 3600, "notice_factor": 0.001})
    receiver.status = 503
    await bank.paid(make(notify_url=receiver.url))
    assert len(receiver.got) == 2
    late = (await bank.control("notices"))[-1]
    await bank.control("notices/send-again", {"notice_id": late["notice_id"]})
    await receiver.wait(4)
    assert receiver.notice(2) == receiver.notice(3)


async def test_forged_notices_are_not_genuine(bank, receiver, merchant_keys):
    await bank.paid(make(notify_url=receiver.url))
    form = {name: value[0] for name, value in parse_qs(receiver.got[0].decode()).items()}
    document = base64.b64decode(form["notifyData"])
    read = bank.channel.read_notice

    def refused(fields, account=bank.account, body=b""):
        with pytest.raises(NoticeNotGenuine):
            read(account, {}, body or urlencode(fields).encode(), now=clock.now())

    refused(form | {"notifyData": base64.b64encode(document.replace(b"34</amount>", b"35</amount>")).decode()})
    refused(form | {"signMsg": signing.sign(merchant_keys[0], document)})
    refused(form | {"signMsg": "!"})
    refused({"merVAR": "1"})
    refused({}, body=receiver.got[0] + b"&signMsg=1")
    refused({}, body=b"\xff\xfe")
    refused(form, account=bank.changed(merchant_id="0200EC20000001"))
    changed = {"private_key_pem": bank.account.secrets["private_key_pem"]}
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = other.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    changed["bank_public_key_pem"] = Secret(pem)
    refused(form, account=bank.changed(secrets=changed))
    both = changed | {"previous_bank_public_key_pem": bank.account.secrets["bank_public_key_pem"]}
    assert read(bank.changed(secrets=both), {}, receiver.got[0], now=clock.now()).payment is not None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<B2CRes/>",
        b"<other/>",
        b'<!DOCTYPE B2CRes [<!ENTITY a "1">]><B2CRes>&a;</B2CRes>',
        b"<B2CRes><interfaceName>x</interfaceName><interfaceName>x</interfaceName></B2CRes>",
        b"<B2CRes>" + b"x" * 70_000 + b"</B2CRes>",
        b"\xff\xff\x81",
    ],
)
async def test_genuine_notices_of_another_shape_are_not_understood(bank, merchant_keys, document):
    """Signed with a key that the account believes, so that only the shape is wrong."""
    key = serialization.load_pem_private_key(merchant_keys[0].encode(), password=None)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    secrets_of = dict(bank.account.secrets) | {"bank_public_key_pem": Secret(public.decode())}
    form = {"notifyData": base64.b64encode(document).decode(), "signMsg": signing.sign(merchant_keys[0], document)}
    with pytest.raises(NoticeNotUnderstood):
        bank.channel.read_notice(bank.changed(secrets=secrets_of), {}, urlencode(form).encode(), now=clock.now())


async def test_the_file_of_a_day(bank):
    intent = make(1234, description="中药 | 饮片")
    await bank.paid(intent)
    asked = refund_of(intent, 34)
    await bank.channel.refund(bank.account, asked, now=clock.now())
    await bank.channel.query_refund(bank.account, asked, now=clock.now())
    day = clock.business_date(clock.now())
    with pytest.raises(BillNotReady):
        await bank.channel.bill(bank.account, day, now=clock.now())
    with pytest.raises(BillNotOffered):
        await bank.channel.bill(bank.account, day, kind=BillKind.FUNDS, now=clock.now())
    await bank.control("conditions", {"business_offset_s": 86400})
    text = (await bank.channel.bill(bank.account, day, now=clock.now())).decode("gbk")
    head, *rows = text.splitlines()
    assert head.split("|")[:3] == [MER_ID, f"{day:%Y%m%d}", str(len(rows))]
    own = [row.split("|") for row in rows if intent.attempt_no in row]
    assert [(cells[3], cells[4]) for cells in own] == [("支付", "12.34"), ("退款", "0.34")]
    assert own[1][6] == asked.refund_no
    await bank.control("faults", {"broken_files": 1})
    with pytest.raises(BillBroken):
        await bank.channel.bill(bank.account, day, now=clock.now())


async def test_a_bank_that_nobody_knows_and_one_that_does_not_answer(bank):
    strange = bank.changed(profile=dict(bank.account.profile) | {"bank": "other"})
    with pytest.raises(ChannelNotOffered):
        await bank.channel.start(strange, make(), now=clock.now())
    lost = bank.changed(profile=dict(bank.account.profile) | {"query_url": "http://127.0.0.1:9/query"})
    with pytest.raises(PartyUnreachable):
        await bank.channel.query(lost, placed(make()), now=clock.now())


def test_the_published_notice_of_icbc_is_read():
    """The sample that merchants of ICBC print in public (interface 1.0.0.11), beside our own decoder."""
    from yimatong.payments.channels.netbank.transformers import decode_notice

    sample = (
        '<?xml  version="1.0" encoding="GBK" standalone="no" ?><B2CRes><interfaceName>ICBC_PERBANK_B2C</interfaceName>'
        "<interfaceVersion>1.0.0.11</interfaceVersion><orderInfo><orderDate>20100901162142</orderDate>"
        "<curType>001</curType><merID>0200EC20001119</merID><subOrderInfoList><subOrderInfo>"
        "<orderid>201009011621420</orderid><amount>100</amount><installmentTimes>1</installmentTimes>"
        "<merAcct>0200026009018372212</merAcct><tranSerialNo>HFG000000000000421</tranSerialNo></subOrderInfo>"
        "</subOrderInfoList></orderInfo><custom><verifyJoinFlag>0</verifyJoinFlag><JoinFlag></JoinFlag>"
        "<UserNum></UserNum></custom><bank><TranBatchNo></TranBatchNo><notifyDate>20100901162238</notifyDate>"
        "<tranStat>1</tranStat><comment>交易成功！</comment></bank></B2CRes>"
    ).encode("gbk")
    account = ChannelAccount(
        account_id="a",
        institution_id="h",
        channel="netbank",
        merchant_id=MER_ID,
        app_id=MER_ACCT,
        secrets={},
        profile={"bank": "icbc"},
    )
    payment = decode_notice(PROFILES["icbc"], account, sample).payment
    assert payment is not None
    assert (payment.attempt_no, payment.amount_fen, payment.currency) == ("201009011621420", 100, "CNY")
    assert (payment.status, payment.channel_trade_no) == (PaymentStatus.SUCCEEDED, "HFG000000000000421")
    assert payment.paid_at == datetime(2010, 9, 1, 8, 22, 38, tzinfo=UTC)
