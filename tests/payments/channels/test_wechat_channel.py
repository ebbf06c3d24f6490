from __future__ import annotations

import asyncio
from datetime import date, timedelta
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from in_our_books import placed, refund_of

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import PaymentStatus, RefundStatus, Scene
from yimatong.payments.channels.registry import CHANNELS
from yimatong.payments.channels.wechat import signing
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.errors import BillBroken, BillNotReady, ChannelAlreadyPaid, ChannelRefused

NOBODYS = refund_of("", "NOBODY-R1", 1)


async def test_native_payment_from_placing_to_paid(channel, account, intent, post):
    action = await channel.start(account, intent("NATIVE0001"), now=clock.now())
    assert action.qr_text.startswith("weixin://wxpay/bizpayurl?pr=")
    before = await channel.query(account, placed("NATIVE0001"), now=clock.now())
    assert before.status is PaymentStatus.PENDING
    await post("pay", {"out_trade_no": "NATIVE0001"})
    after = await channel.query(account, placed("NATIVE0001"), now=clock.now())
    assert after.status is PaymentStatus.SUCCEEDED
    assert (after.merchant_id, after.app_id) == (account.merchant_id, account.app_id)
    assert (after.amount_fen, after.currency) == (1234, "CNY")
    assert len(after.channel_trade_no) == 28
    assert after.paid_at is not None
    assert abs(after.paid_at - clock.now()) < timedelta(seconds=5)


async def test_h5_payer_pays_on_the_page_and_comes_back(channel, account, intent, world):
    wanted = intent("H5ORDER0001", scene=Scene.H5, return_url="http://127.0.0.1:9/back?a=1&b=2")
    action = await channel.start(account, wanted, now=clock.now())
    query = parse_qs(urlsplit(action.redirect_url).query)
    assert query["redirect_url"] == ["http://127.0.0.1:9/back?a=1&b=2"]
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.get(action.redirect_url)
        assert "微信支付模拟器" in page.text
        assert "¥ 12.34" in page.text
        form = {"decision": "pay", "redirect_url": query["redirect_url"][0]}
        gone = await browser.post(f"{world.url}/pay/{query['prepay_id'][0]}", data=form)
    assert (gone.status_code, gone.headers["location"]) == (303, "http://127.0.0.1:9/back?a=1&b=2")
    assert (await channel.query(account, placed("H5ORDER0001"), now=clock.now())).status is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("scene", "names"),
    [
        (Scene.JSAPI, ["appId", "timeStamp", "nonceStr", "package"]),
        (Scene.APP, ["appid", "timestamp", "noncestr", "prepayid"]),
    ],
)
async def test_sdk_parameters_are_signed_by_the_merchant(channel, account, intent, scene, names):
    action = await channel.start(account, intent(f"SDK{scene}0001", scene=scene), now=clock.now())
    params = action.sdk_params
    expected = signing.sign(str(account.secrets["private_key_pem"]), *(params[name] for name in names))
    assert expected == params.get("paySign", params.get("sign"))


async def test_the_same_attempt_may_be_placed_again_and_another_amount_not(channel, account, intent):
    wanted = intent("AGAIN0001")
    first = await channel.start(account, wanted, now=clock.now())
    assert await channel.start(account, wanted, now=clock.now()) == first
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, intent("AGAIN0001", 999), now=clock.now())
    assert refused.value.facts["channel_code"] == "OUT_TRADE_NO_USED"


async def test_numbers_nobody_placed_are_absent(channel, account):
    assert (await channel.query(account, placed("NOBODY0001"), now=clock.now())).status is PaymentStatus.ABSENT
    assert (
        await channel.query_refund(account, refund_of("", "NOBODY-R1", 1), now=clock.now())
    ).status is RefundStatus.ABSENT
    with pytest.raises(ChannelRefused) as refused:
        await channel.close(account, placed("NOBODY0001"), now=clock.now())
    assert refused.value.facts["channel_code"] == "ORDER_NOT_EXIST"


async def test_every_character_of_a_number_survives_the_address(channel, account, intent):
    number = "aZ09_-|*" * 4
    await channel.start(account, intent(number), now=clock.now())
    assert (await channel.query(account, placed(number), now=clock.now())).status is PaymentStatus.PENDING
    await channel.close(account, placed(number), now=clock.now())


async def test_close_makes_unpayable_and_paid_makes_unclosable(channel, account, intent, post):
    for number in ("CLOSE0001", "CLOSE0002"):
        await channel.start(account, intent(number), now=clock.now())
    await channel.close(account, placed("CLOSE0001"), now=clock.now())
    await channel.close(account, placed("CLOSE0001"), now=clock.now())
    assert (await channel.query(account, placed("CLOSE0001"), now=clock.now())).status is PaymentStatus.CLOSED
    with pytest.raises(httpx.HTTPStatusError):
        await post("pay", {"out_trade_no": "CLOSE0001"})
    await post("pay", {"out_trade_no": "CLOSE0002"})
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(account, placed("CLOSE0002"), now=clock.now())


async def test_expiry_stops_paying_and_does_not_close(channel, account, intent, post):
    await channel.start(account, intent("EXPIRE0001"), now=clock.now())
    await post("conditions", {"business_offset_s": 3600})
    with pytest.raises(httpx.HTTPStatusError):
        await post("pay", {"out_trade_no": "EXPIRE0001"})
    assert (await channel.query(account, placed("EXPIRE0001"), now=clock.now())).status is PaymentStatus.PENDING


async def test_refunds_in_parts_up_to_what_was_paid(channel, account, intent, post):
    await channel.start(account, intent("REFUND0001"), now=clock.now())
    with pytest.raises(ChannelRefused):
        await channel.refund(account, refund_of("REFUND0001", "R-0", 1), now=clock.now())
    await post("pay", {"out_trade_no": "REFUND0001"})
    first = await channel.refund(account, refund_of("REFUND0001", "R-1", 1000), now=clock.now())
    assert (first.status, first.refund_fen, first.merchant_id) == (RefundStatus.PROCESSING, 1000, account.merchant_id)
    again = await channel.refund(account, refund_of("REFUND0001", "R-1", 1000), now=clock.now())
    assert again.channel_refund_no == first.channel_refund_no
    for number, refund_fen in (("R-1", 999), ("R-2", 235)):
        with pytest.raises(ChannelRefused) as refused:
            await channel.refund(account, refund_of("REFUND0001", number, refund_fen), now=clock.now())
        assert refused.value.facts["channel_code"] == "INVALID_REQUEST"
    await channel.refund(account, refund_of("REFUND0001", "R-2", 234), now=clock.now())
    await post("settle-refund", {"mchid": account.merchant_id, "out_refund_no": "R-1"})
    settled = await channel.query_refund(account, refund_of("", "R-1", 1), now=clock.now())
    assert settled.status is RefundStatus.SUCCEEDED
    assert settled.succeeded_at is not None
    assert (await channel.query(account, placed("REFUND0001"), now=clock.now())).status is PaymentStatus.REFUNDED


async def test_refund_that_cannot_arrive_is_abnormal(channel, account, intent, post):
    await channel.start(account, intent("ABNORMAL01"), now=clock.now())
    await post("pay", {"out_trade_no": "ABNORMAL01"})
    await post("conditions", {"refund_settles_s": 0})
    await post("faults", {"refund_abnormal": 1})
    await channel.refund(account, refund_of("ABNORMAL01", "R-AB", 1234), now=clock.now())
    assert (
        await channel.query_refund(account, refund_of("", "R-AB", 1), now=clock.now())
    ).status is RefundStatus.ABNORMAL


@pytest.mark.parametrize("fault", ["unsigned_answers", "wrong_signatures", "answer_5xx"])
async def test_answers_that_prove_nothing_are_unknown(channel, account, post, fault):
    await post("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.query(account, placed("NOBODY0002"), now=clock.now())
    assert (await channel.query(account, placed("NOBODY0002"), now=clock.now())).status is PaymentStatus.ABSENT


async def test_timeout_after_acting_is_unknown_and_the_order_is_there(channel, account, intent, post):
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, intent("TIMEOUT0001"), now=clock.now())
    assert (await channel.query(account, placed("TIMEOUT0001"), now=clock.now())).status is PaymentStatus.PENDING


async def test_nothing_listens_means_nothing_was_sent(account):
    async with Outbound() as outbound:
        with pytest.raises(PartyUnreachable):
            await WeChatPay(outbound, "http://127.0.0.1:9").query(account, placed("NOBODY0001"), now=clock.now())


async def test_an_old_answer_is_not_trusted(channel, account, post):
    await post("conditions", {"wire_offset_s": -280})
    later = clock.now() + timedelta(seconds=15)
    await channel.query(account, placed("NOBODY0001"), now=later)
    with pytest.raises(PartyOutcomeUnknown):
        await channel.query(account, placed("NOBODY0001"), now=clock.now() + timedelta(seconds=40))


async def test_a_stranger_s_key_is_refused_by_the_channel(channel, account, world):
    other = await asyncio.to_thread(world.enrol, mchid="1900000999", appid="wx999")
    stranger = account.__class__(
        **{name: getattr(account, name) for name in account.__struct_fields__ if name != "secrets"},
        secrets=dict(account.secrets) | {"private_key_pem": Secret(other.private_key_pem)},
    )
    with pytest.raises(ChannelRefused) as refused:
        await channel.query(stranger, placed("NOBODY0001"), now=clock.now())
    assert refused.value.facts["channel_code"] == "SIGN_ERROR"


async def test_bill_with_its_hash_and_without(channel, account, intent, post):
    day = clock.business_date(clock.now())
    await channel.start(account, intent("BILL0001"), now=clock.now())
    await post("pay", {"out_trade_no": "BILL0001"})
    with pytest.raises(BillNotReady):
        await channel.bill(account, day, now=clock.now())
    await post("close-day", {"date": day.isoformat(), "kinds": []})
    text = (await channel.bill(account, day, now=clock.now())).decode()
    assert text.startswith("交易时间,公众账号ID,商户号,")
    assert "`BILL0001," in text
    await post("faults", {"broken_bills": 1})
    with pytest.raises(BillBroken):
        await channel.bill(account, day, now=clock.now())
    with pytest.raises(BillNotReady):
        await channel.bill(account, date(2001, 1, 1), now=clock.now())


def test_registry_makes_the_channel_from_the_settings():
    made = CHANNELS["wechat"](None, SimpleNamespace(wechat_base_url="http://127.0.0.1:9"))
    assert isinstance(made, WeChatPay)
    assert made._connection._base_url == "http://127.0.0.1:9"
