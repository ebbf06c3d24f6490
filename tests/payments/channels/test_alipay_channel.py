from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterator
from datetime import date, timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from alipay_world import APP_ID, PID, account_of, intent_of, placed_of, refund_of

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import Agreeing, AgreementKind, AgreementRequest, AgreementStanding
from yimatong.payments.channels.alipay.channel import Alipay
from yimatong.payments.channels.alipay.notices import verify_return
from yimatong.payments.channels.base import BillKind, PaymentStatus, RefundStatus, Scene
from yimatong.payments.channels.registry import CHANNELS
from yimatong.payments.errors import (
    AccountUnusable,
    BillBroken,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
)
from yimatong.sandbox.alipay.enrolment import enrol_app

CODE = "28763443825664394"


@pytest.fixture(scope="module")
def account(world):
    return account_of(enrol_app(world.control, app_id=APP_ID, pid=PID))


@pytest.fixture(autouse=True)
def _calm_alipay(world) -> Iterator[None]:
    yield
    world.control("/control/alipay/faults", {})
    world.control("/control/alipay/conditions", {})


@pytest.fixture
def post(world):
    async def call(path: str, body: object = None) -> object:
        return await asyncio.to_thread(world.control, f"/control/alipay/{path}", body)

    return call


@pytest.fixture
async def channel(world) -> AsyncIterator[Alipay]:
    async with Outbound(read_s=1.0) as outbound:
        yield Alipay(outbound, f"{world.url}/alipay/gateway.do")


@pytest.fixture
async def phone() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as made:
        yield made


async def status_of(channel, account, payment, now=None):
    return (await channel.query(account, payment, now=now or clock.now())).status


async def test_native_payment_from_code_to_paid(channel, account, phone):
    wanted = intent_of("NATIVE0001")
    action = await channel.start(account, wanted, now=clock.now())
    payment = placed_of(wanted)
    assert await status_of(channel, account, payment) is PaymentStatus.PENDING
    page = await phone.get(action.qr_text)
    assert "支付宝模拟器" in page.text
    assert "¥ 12.34" in page.text
    assert await status_of(channel, account, payment) is PaymentStatus.PENDING
    token = action.qr_text.rpartition("/")[2]
    done = await phone.post(action.qr_text.replace(f"qr/{token}", f"pay/{token}"), data={"decision": "pay"})
    assert "支付成功" in done.text
    after = await channel.query(account, payment, now=clock.now())
    assert (after.status, after.amount_fen, after.currency) == (PaymentStatus.SUCCEEDED, 1234, "CNY")
    assert (after.merchant_id, after.app_id) == (PID, APP_ID)
    assert len(after.channel_trade_no) == 28
    assert after.payer_id.startswith("2088")
    assert after.paid_at is not None
    assert abs(after.paid_at - clock.now()) < timedelta(seconds=5)


async def test_a_code_that_nobody_scanned_is_open_until_its_expiry_and_absent_afterwards(channel, account, post):
    wanted = intent_of("UNSEEN0001")
    await channel.start(account, wanted, now=clock.now())
    payment = placed_of(wanted)
    await channel.close(account, payment, now=clock.now())
    assert await status_of(channel, account, payment) is PaymentStatus.PENDING
    await post("conditions", {"timestamp_window_s": 3600})
    assert await status_of(channel, account, payment, clock.now() + timedelta(minutes=32)) is PaymentStatus.ABSENT
    await post("pay", {"out_trade_no": "UNSEEN0001"})
    assert await status_of(channel, account, payment) is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize("scene", [Scene.H5, Scene.PAGE])
async def test_the_payer_goes_to_the_page_pays_and_comes_back(channel, account, phone, world, scene):
    wanted = intent_of(f"{scene}0001", scene, return_url="http://127.0.0.1:9/back?order=1")
    action = await channel.start(account, wanted, now=clock.now())
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.PENDING
    page = await phone.get(action.redirect_url)
    form = page.text.split('action="')[1].split('"')[0]
    gone = await phone.post(world.url + form, data={"decision": "pay"})
    back = urlsplit(gone.headers["location"])
    assert (gone.status_code, back.path) == (303, "/back")
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED
    query = back.query.removeprefix("order=1&")
    returned = verify_return(account, query)
    assert (returned.attempt_no, returned.amount_fen) == (wanted.attempt_no, 1234)
    for forged in (query.replace("12.34", "12.35"), query.replace(APP_ID, "2021000000000009"), back.query, ""):
        with pytest.raises(NoticeNotGenuine):
            verify_return(account, forged)


async def test_an_app_hands_the_order_string_to_the_sdk(channel, account, post):
    wanted = intent_of("APPORDER01", Scene.APP)
    order_string = (await channel.start(account, wanted, now=clock.now())).sdk_params["order_string"]
    told = {name: values[0] for name, values in parse_qs(order_string).items()}
    assert (told["method"], told["sign_type"], told["app_id"]) == ("alipay.trade.app.pay", "RSA2", APP_ID)
    with pytest.raises(httpx.HTTPStatusError):
        await post("app-pay", {"order_string": order_string.replace("12.34", "00.01")})
    await post("app-pay", {"order_string": order_string})
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize("payer_id", ["2088102146225135", "074a1CcTG1LelxKe4xQC0zgNdId0nxi95b5lsNpazWYoCo5"])
async def test_a_life_account_gets_a_trade_number(channel, account, post, payer_id):
    wanted = intent_of(f"JSAPI{payer_id[:4]}", Scene.JSAPI, payer_id=payer_id)
    action = await channel.start(account, wanted, now=clock.now())
    assert len(action.sdk_params["trade_no"]) == 28
    assert await channel.start(account, wanted, now=clock.now()) == action
    await post("pay", {"out_trade_no": wanted.attempt_no})
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED


async def test_a_payment_code_is_taken_at_once(channel, account):
    wanted = intent_of("BARCODE001", Scene.BARCODE, auth_code=CODE, terminal_no="W01")
    settled = (await channel.start(account, wanted, now=clock.now())).settled
    assert (settled.status, settled.amount_fen, settled.attempt_no) == (PaymentStatus.SUCCEEDED, 1234, "BARCODE001")
    assert settled.paid_at is not None
    with pytest.raises(ChannelAlreadyPaid):
        await channel.start(account, wanted, now=clock.now())
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, intent_of("BARCODE002", Scene.BARCODE, auth_code=CODE), now=clock.now())
    assert refused.value.facts["channel_code"] == "ACQ.PAYMENT_AUTH_CODE_INVALID"
    with pytest.raises(ChannelRefused):
        await channel.start(account, intent_of("BARCODE003", Scene.BARCODE, auth_code="1234"), now=clock.now())


async def test_a_payment_code_that_waits_for_the_payer(channel, account, post):
    await post("faults", {"wait_for_payer": 1})
    wanted = intent_of("BARWAIT001", Scene.BARCODE, auth_code="28763443825664001")
    action = await channel.start(account, wanted, now=clock.now())
    assert (action.settled, action.qr_text, action.redirect_url) == (None, "", "")
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.PENDING
    await post("pay", {"out_trade_no": "BARWAIT001"})
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("fault", "after"), [("unknown_after_acting", "SUCCEEDED"), ("unknown_without_acting", "ABSENT")]
)
async def test_20000_is_neither_success_nor_failure(channel, account, post, fault, after):
    await post("faults", {fault: 1, "method": "alipay.trade.pay"})
    wanted = intent_of(f"BAR{fault[8:13]}0", Scene.BARCODE, auth_code=f"2876344382566{len(fault):04d}")
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, wanted, now=clock.now())
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus[after]


async def test_a_reversal_closes_or_gives_the_money_back(channel, account, post):
    await post("faults", {"wait_for_payer": 1})
    waiting = intent_of("REVERSE001", Scene.BARCODE, auth_code="28763443825664002")
    await channel.start(account, waiting, now=clock.now())
    await post("faults", {"cancel_again": 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.close(account, placed_of(waiting), now=clock.now())
    await channel.close(account, placed_of(waiting), now=clock.now())
    assert await status_of(channel, account, placed_of(waiting)) is PaymentStatus.CLOSED
    taken = intent_of("REVERSE002", Scene.BARCODE, auth_code="28763443825664003")
    await channel.start(account, taken, now=clock.now())
    await channel.close(account, placed_of(taken), now=clock.now())
    assert await status_of(channel, account, placed_of(taken)) is PaymentStatus.CLOSED
    assert [each["refund_fen"] for each in await post("refunds") if each["out_trade_no"] == "REVERSE002"] == [1234]
    never = placed_of(intent_of("REVERSE003", Scene.BARCODE))
    await channel.close(account, never, now=clock.now())
    assert await status_of(channel, account, never) is PaymentStatus.ABSENT


async def test_close_makes_unpayable_and_paid_makes_unclosable(channel, account, post):
    for number in ("CLOSE0001", "CLOSE0002"):
        await channel.start(account, intent_of(number, Scene.JSAPI, payer_id="2088102146225135"), now=clock.now())
    first, second = (placed_of(intent_of(number, Scene.JSAPI)) for number in ("CLOSE0001", "CLOSE0002"))
    await channel.close(account, first, now=clock.now())
    await channel.close(account, first, now=clock.now())
    assert await status_of(channel, account, first) is PaymentStatus.CLOSED
    with pytest.raises(httpx.HTTPStatusError):
        await post("pay", {"out_trade_no": "CLOSE0001"})
    await post("pay", {"out_trade_no": "CLOSE0002"})
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(account, second, now=clock.now())
    with pytest.raises(ChannelRefused):
        await channel.close(account, placed_of(intent_of("NOBODY0001", Scene.JSAPI)), now=clock.now())


async def test_closed_for_late_payers_is_not_closed_by_refund(channel, account, post):
    """TRADE_CLOSED means both: never paid, and paid and wholly refunded."""
    late, refunded = (
        intent_of(number, Scene.JSAPI, payer_id="2088102146225135") for number in ("LATE00001", "BACK00001")
    )
    for wanted in (late, refunded):
        await channel.start(account, wanted, now=clock.now())
    await post("pay", {"out_trade_no": "BACK00001"})
    await channel.refund(account, refund_of(placed_of(refunded), "R-B1", 1234), now=clock.now())
    assert await status_of(channel, account, placed_of(refunded)) is PaymentStatus.REFUNDED
    await post("conditions", {"business_offset_s": 3600, "timestamp_window_s": 7200})
    assert await status_of(channel, account, placed_of(late)) is PaymentStatus.CLOSED


async def test_refunds_in_parts_up_to_what_was_paid(channel, account, post):
    wanted = intent_of("REFUND0001", Scene.JSAPI, payer_id="2088102146225135")
    await channel.start(account, wanted, now=clock.now())
    payment = placed_of(wanted)
    with pytest.raises(ChannelRefused):
        await channel.refund(account, refund_of(payment, "R-0", 1), now=clock.now())
    await post("pay", {"out_trade_no": "REFUND0001"})
    first = await channel.refund(account, refund_of(payment, "R-1", 1000), now=clock.now())
    assert (first.status, first.refund_fen, first.attempt_no) == (RefundStatus.SUCCEEDED, 1000, "REFUND0001")
    again = await channel.refund(account, refund_of(payment, "R-1", 1000), now=clock.now())
    assert again.status is RefundStatus.PROCESSING  # fund_change=N: nothing moved now, the query knows
    for number, refund_fen, code in (
        ("R-1", 999, "DISCORDANT_REPEAT_REQUEST"),
        ("R-2", 235, "REFUND_AMT_NOT_EQUAL_TOTAL"),
    ):
        with pytest.raises(ChannelRefused) as refused:
            await channel.refund(account, refund_of(payment, number, refund_fen), now=clock.now())
        assert refused.value.facts["channel_code"] == f"ACQ.{code}"
    await channel.refund(account, refund_of(payment, "R-2", 234), now=clock.now())
    found = await channel.query_refund(account, refund_of(payment, "R-1", 1000), now=clock.now())
    assert (found.status, found.refund_fen) == (RefundStatus.SUCCEEDED, 1000)
    assert found.succeeded_at is not None
    moved = [each["refund_fen"] for each in await post("refunds") if each["out_trade_no"] == "REFUND0001"]
    assert sorted(moved) == [234, 1000]


async def test_a_refund_query_that_worked_says_nothing_of_the_refund(channel, account, post):
    wanted = intent_of("SLOW000001", Scene.JSAPI, payer_id="2088102146225135")
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"out_trade_no": "SLOW000001"})
    asked = refund_of(placed_of(wanted), "R-S", 1234)
    assert (await channel.query_refund(account, asked, now=clock.now())).status is RefundStatus.ABSENT
    await post("conditions", {"refund_settles_s": 3600})
    await post("faults", {"slow_refunds": 1})
    assert (await channel.refund(account, asked, now=clock.now())).status is RefundStatus.PROCESSING
    which = {"app_id": APP_ID, "out_trade_no": "SLOW000001", "out_request_no": "R-S"}
    assert (await channel.query_refund(account, asked, now=clock.now())).status is RefundStatus.ABSENT
    await post("settle-refund", which | {"dback_status": "P"})
    assert (await channel.query_refund(account, asked, now=clock.now())).status is RefundStatus.PROCESSING
    await post("settle-refund", which | {"dback_status": "F"})
    assert (await channel.query_refund(account, asked, now=clock.now())).status is RefundStatus.ABNORMAL
    nobody = refund_of(placed_of(intent_of("NOBODY0002")), "R-N", 1)
    assert (await channel.query_refund(account, nobody, now=clock.now())).status is RefundStatus.ABSENT


async def test_a_finished_trade_is_paid_and_no_longer_refundable(channel, account, post):
    wanted = intent_of("FINISH0001", Scene.JSAPI, payer_id="2088102146225135")
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"out_trade_no": "FINISH0001"})
    await post("finish", {"out_trade_no": "FINISH0001"})
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED
    with pytest.raises(ChannelRefused) as refused:
        await channel.refund(account, refund_of(placed_of(wanted), "R-F", 1), now=clock.now())
    assert refused.value.facts["channel_code"] == "ACQ.TRADE_HAS_FINISHED"


async def test_an_agreement_from_the_page_to_its_end(channel, account, phone, world):
    assert isinstance(channel, Agreeing)
    asked = AgreementRequest(
        request_no="AGREE0001",
        kind=AgreementKind.PASSWORD_FREE,
        placed_at=clock.now(),
        notify_url="http://127.0.0.1:9/notify",
        return_url="http://127.0.0.1:9/back",
    )
    action = await channel.agree(account, asked, now=clock.now())
    assert (await channel.query_agreement(account, asked, now=clock.now())).standing is AgreementStanding.WAITING
    later = clock.now() + timedelta(minutes=10)
    page = await phone.get(action.redirect_url)
    gone = await phone.post(world.url + page.text.split('action="')[1].split('"')[0], data={"decision": "pay"})
    assert gone.status_code == 303
    found = await channel.query_agreement(account, asked, now=later)
    assert (found.standing, found.request_no) == (AgreementStanding.AGREED, "AGREE0001")
    wanted = intent_of("FREE000001", Scene.AGREEMENT, agreement_no=found.agreement_no)
    settled = (await channel.start(account, wanted, now=clock.now())).settled
    assert (settled.status, settled.amount_fen) == (PaymentStatus.SUCCEEDED, 1234)
    for _ in range(2):
        ended = await channel.end_agreement(account, asked, found.agreement_no, now=clock.now())
        assert ended.standing is AgreementStanding.ENDED
    assert (await channel.confirm_agreement(account, asked, "", now=later)).standing is AgreementStanding.ENDED
    with pytest.raises(ChannelRefused):
        await channel.start(
            account, intent_of("FREE000002", Scene.AGREEMENT, agreement_no=found.agreement_no), now=clock.now()
        )


@pytest.mark.parametrize("kind", list(BillKind))
async def test_bills_are_fetched_and_checked(channel, account, post, kind):
    day = clock.business_date(clock.now()) + timedelta(days=(-1 if kind is BillKind.TRADE else 0))
    if kind is BillKind.TRADE:
        await post("conditions", {"business_offset_s": -86_400, "timestamp_window_s": 90_000})
    number = f"BILL{kind}01"
    await channel.start(account, intent_of(number), now=clock.now())
    await post("pay", {"out_trade_no": number})
    await post("conditions", {})
    with pytest.raises(BillNotReady):
        await channel.bill(account, date(2001, 1, 1), kind=kind, now=clock.now())
    await post("close-day", {"date": day.isoformat(), "kinds": []})
    packed = await channel.bill(account, day, kind=kind, now=clock.now())
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert number in archive.read(archive.namelist()[0]).decode("gbk")
    await post("faults", {"broken_bills": 1})
    with pytest.raises(BillBroken):
        await channel.bill(account, day, kind=kind, now=clock.now())


async def test_a_bill_elsewhere_is_not_fetched(channel, account, world):
    """The gateway's word is signed, and still our server fetches only from places that the settings name."""
    day = clock.business_date(clock.now())
    await asyncio.to_thread(
        world.control, "/control/alipay/close-day", {"date": day.isoformat(), "kinds": ["channel_only"]}
    )
    elsewhere = world.url.replace("127.0.0.1", "localhost")
    async with Outbound() as outbound:
        with pytest.raises(BillBroken) as refused:
            await Alipay(_Readdressed(outbound, world.url), f"{elsewhere}/alipay/gateway.do").bill(
                account, day, now=clock.now()
            )
    assert "127.0.0.1" in str(refused.value.facts["detail"])


@pytest.mark.parametrize("fault", ["unsigned_answers", "wrong_signatures", "answer_5xx", "garbage"])
async def test_answers_that_prove_nothing_are_unknown(channel, account, post, fault):
    nobody = placed_of(intent_of("NOBODY0003", Scene.JSAPI))
    await post("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.query(account, nobody, now=clock.now())
    assert await status_of(channel, account, nobody) is PaymentStatus.ABSENT


async def test_slashes_that_the_gateway_escapes_do_not_break_the_signature(channel, account, post):
    await post("faults", {"escaped_slashes": -1})
    action = await channel.start(account, intent_of("SLASH00001"), now=clock.now())
    assert action.qr_text.startswith("http://127.0.0.1")


async def test_busy_and_timeout_after_acting(channel, account, post):
    await post("faults", {"busy": 1})
    with pytest.raises(ChannelBusy):
        await channel.start(account, intent_of("BUSY000001"), now=clock.now())
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5})
    wanted = intent_of("TIMEOUT001", Scene.BARCODE, auth_code="28763443825664009")
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, wanted, now=clock.now())
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED


async def test_a_lagging_query_is_pending_and_another_amount_is_refused(channel, account, post):
    wanted = intent_of("LAG0000001")
    first = await channel.start(account, wanted, now=clock.now())
    assert await channel.start(account, wanted, now=clock.now()) == first
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, intent_of("LAG0000001", amount_fen=999), now=clock.now())
    assert refused.value.facts["channel_code"] == "ACQ.CONTEXT_INCONSISTENT"
    await post("pay", {"out_trade_no": "LAG0000001"})
    await post("faults", {"read_lag": 1})
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.PENDING
    assert await status_of(channel, account, placed_of(wanted)) is PaymentStatus.SUCCEEDED


async def test_keys_that_do_not_fit(channel, account, world):
    other = await asyncio.to_thread(enrol_app, world.control, app_id="2021000000000002", pid="2088000000000002")
    payment = placed_of(intent_of("NOBODY0004", Scene.JSAPI))
    stranger = _with(account, private_key_pem=other.private_key_pem)
    with pytest.raises(ChannelRefused) as refused:
        await channel.query(stranger, payment, now=clock.now())
    assert refused.value.facts["channel_code"] == "isv.invalid-signature"
    with pytest.raises(PartyOutcomeUnknown):
        await channel.query(_with(account, alipay_public_key_pem=_public(other)), payment, now=clock.now())
    rotated = {"alipay_public_key_pem": _public(other)}
    rotated["previous_alipay_public_key_pem"] = str(account.secrets["alipay_public_key_pem"])
    assert await status_of(channel, _with(account, **rotated), payment) is PaymentStatus.ABSENT
    for name in ("private_key_pem", "alipay_public_key_pem"):
        with pytest.raises(AccountUnusable):
            await channel.query(_with(account, **{name: "no key"}), payment, now=clock.now())
    unknown_app = _with(account)
    unknown_app = unknown_app.__class__(**{**_facts(unknown_app), "app_id": "2021999999999999"})
    with pytest.raises(PartyOutcomeUnknown):  # a stranger's refusal is not signed
        await channel.query(unknown_app, payment, now=clock.now())


async def test_a_time_stamp_of_another_zone_is_refused(channel, account):
    with pytest.raises(ChannelRefused) as refused:
        await channel.query(account, placed_of(intent_of("NOBODY0005")), now=clock.now() - timedelta(hours=8))
    assert refused.value.facts["channel_code"] == "isv.invalid-timestamp"


async def test_nothing_listens_means_nothing_was_sent(account):
    async with Outbound() as outbound:
        with pytest.raises(PartyUnreachable):
            await Alipay(outbound, "http://127.0.0.1:9/gateway.do").query(
                account, placed_of(intent_of("NOBODY0001")), now=clock.now()
            )


def test_registry_makes_the_channel_from_the_settings():
    assert "alipay" in CHANNELS


class _Readdressed:
    """Sends to where the world is, whatever name the address has: the gateway then names its bills by that."""

    def __init__(self, outbound: Outbound, url: str) -> None:
        self._outbound, self._url = outbound, url

    async def send(self, party, method, url, **more):
        return await self._outbound.send(party, method, self._url + urlsplit(url).path, **more)


def _facts(account):
    return {name: getattr(account, name) for name in account.__struct_fields__}


def _with(account, **secrets: str):
    changed = dict(account.secrets) | {name: Secret(value) for name, value in secrets.items()}
    return account.__class__(**{**_facts(account), "secrets": changed})


def _public(enrolled) -> str:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(enrolled.private_key_pem.encode(), password=None).public_key()
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
