"""Payments from placing to paid, closed, reversed and refunded, over the wire."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from msgspec.structs import replace
from unionpay_books import placed, refund_of

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.payments.channels.base import PaymentStatus, RefundStatus, Scene
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelRefused

CODE = "6220000000000000001"


async def ask(channel, account, payment, now=None):
    return await channel.query(account, payment, now=now or clock.now())


async def test_scanned_order_from_placing_to_paid(channel, account, intent, post):
    wanted = intent("NATIVE0001")
    action = await channel.start(account, wanted, now=clock.now())
    assert action.qr_text.startswith("https://qr.95516.com/")
    assert await channel.start(account, wanted, now=clock.now()) == action
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.PENDING
    await post("pay", {"order_id": "NATIVE0001"})
    paid = await ask(channel, account, placed(wanted))
    assert paid.status is PaymentStatus.SUCCEEDED
    assert (paid.attempt_no, paid.merchant_id, paid.amount_fen, paid.currency) == (
        "NATIVE0001",
        account.merchant_id,
        1234,
        "CNY",
    )
    assert len(paid.channel_trade_no) == 21
    assert abs(paid.paid_at - clock.now()) < timedelta(seconds=5)


@pytest.mark.parametrize("scene", [Scene.PAGE, Scene.H5])
async def test_payer_posts_the_form_pays_and_comes_back(channel, account, intent, scene):
    number = f"FRONT{scene}0001"
    wanted = intent(number, scene=scene, return_url="http://127.0.0.1:9/back", description="挂号费&诊查费={甲}")
    form = (await channel.start(account, wanted, now=clock.now())).form
    assert form.fields["channelType"] == ("07" if scene is Scene.PAGE else "08")
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.PENDING
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.post(form.url, data=dict(form.fields))
        assert "银联支付模拟器" in page.text
        assert "¥ 12.34" in page.text
        token = page.text.split('action="/unionpay/pay/')[1].split('"')[0]
        base = form.url.partition("/unionpay/")[0]
        done = await browser.post(f"{base}/unionpay/pay/{token}", data={"decision": "pay"})
    assert 'action="http://127.0.0.1:9/back"' in done.text
    assert 'name="signature"' in done.text
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.SUCCEEDED


async def test_a_form_that_the_payer_alters_is_refused(channel, account, intent):
    wanted = intent("ALTERED001", scene=Scene.PAGE, return_url="http://127.0.0.1:9/back")
    form = (await channel.start(account, wanted, now=clock.now())).form
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.post(form.url, data=dict(form.fields) | {"txnAmt": "1"})
    assert page.status_code == 400
    assert "验证签名失败" in page.text


async def test_app_order_gives_a_tn(channel, account, intent, post):
    wanted = intent("APPORDER01", scene=Scene.APP)
    action = await channel.start(account, wanted, now=clock.now())
    assert len(action.sdk_params["tn"]) == 21
    await post("pay", {"order_id": "APPORDER01"})
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.SUCCEEDED


async def test_the_time_of_the_order_is_part_of_its_name(channel, account, intent, post):
    wanted = intent("TXNTIME001")
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"order_id": "TXNTIME001"})
    other = placed(wanted, placed_at=wanted.placed_at - timedelta(seconds=7))
    assert (await ask(channel, account, other)).status is PaymentStatus.PENDING
    later = clock.now() + timedelta(minutes=20)
    assert (await ask(channel, account, placed(wanted), later)).status is PaymentStatus.SUCCEEDED


async def test_unpaid_front_orders_close_by_time_alone_with_a_margin(channel, account, intent, post):
    wanted = intent("TIMEOUT001", expires_at=clock.now() + timedelta(minutes=3))
    await channel.start(account, wanted, now=clock.now())
    await channel.close(account, placed(wanted), now=clock.now())
    for after, status in ((7, PaymentStatus.PENDING), (9, PaymentStatus.CLOSED)):
        moment = clock.now() + timedelta(minutes=after)
        assert (await ask(channel, account, placed(wanted), moment)).status is status
    await post("conditions", {"business_offset_s": 600})
    with pytest.raises(httpx.HTTPStatusError):
        await post("pay", {"order_id": "TIMEOUT001"})
    await post("faults", {"late_money": 1})
    await post("pay", {"order_id": "TIMEOUT001"})
    moment = clock.now() + timedelta(minutes=9)
    assert (await ask(channel, account, placed(wanted), moment)).status is PaymentStatus.SUCCEEDED


async def test_payment_code_is_charged_and_reversed(channel, account, intent):
    wanted = intent("BARCODE001", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    action = await channel.start(account, wanted, now=clock.now())
    assert (action.qr_text, action.form, action.settled) == ("", None, None)
    assert (await channel.start(account, wanted, now=clock.now())).qr_text == ""
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.SUCCEEDED
    for _ in range(2):
        await channel.close(account, placed(wanted), now=clock.now())
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.CLOSED


async def test_payment_code_that_waits_or_fails(channel, account, intent, post):
    waits = intent("BARCODE002", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    await post("faults", {"barcode_waits": 1})
    await channel.start(account, waits, now=clock.now())
    assert (await ask(channel, account, placed(waits))).status is PaymentStatus.PENDING
    await channel.close(account, placed(waits), now=clock.now())
    assert (await ask(channel, account, placed(waits))).status is PaymentStatus.CLOSED
    with pytest.raises(httpx.HTTPStatusError):
        await post("pay", {"order_id": "BARCODE002"})
    fails = intent("BARCODE003", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    await post("faults", {"barcode_refused": 1})
    await channel.start(account, fails, now=clock.now())
    assert (await ask(channel, account, placed(fails))).status is PaymentStatus.FAILED
    absent = intent("BARCODE004", scene=Scene.BARCODE)
    assert (await ask(channel, account, placed(absent))).status is PaymentStatus.ABSENT
    await channel.close(account, placed(absent), now=clock.now())


async def test_yesterday_s_payment_cannot_be_reversed(channel, account, intent, post):
    wanted = intent("BARCODE005", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    await channel.start(account, wanted, now=clock.now())
    await post("conditions", {"business_offset_s": 86400})
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(account, placed(wanted), now=clock.now())


async def test_a_code_of_letters_is_refused(channel, account, intent):
    wanted = intent("BARCODE006", scene=Scene.BARCODE, auth_code="abc", terminal_no="W01")
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, wanted, now=clock.now())
    assert refused.value.facts["channel_code"] == "13"


async def test_refunds_in_parts_up_to_what_was_paid(channel, account, intent, post):
    wanted = intent("REFUND0001")
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"order_id": "REFUND0001"})
    paid = await ask(channel, account, placed(wanted))
    payment = placed(wanted, paid.channel_trade_no)
    await post("conditions", {"refund_settles_s": 60})
    first = refund_of(payment, "REFUND0001R1", 1000)
    accepted = await channel.refund(account, first, now=clock.now())
    assert (accepted.status, accepted.refund_fen) == (RefundStatus.PROCESSING, 1000)
    again = await channel.refund(account, first, now=clock.now())
    assert again.status is RefundStatus.PROCESSING
    with pytest.raises(ChannelRefused) as refused:
        await channel.refund(account, refund_of(payment, "REFUND0001R2", 235), now=clock.now())
    assert refused.value.facts["channel_code"] == "36"
    await post("settle-refund", {"order_id": "REFUND0001R1"})
    settled = await channel.query_refund(account, first, now=clock.now())
    assert (settled.status, settled.refund_fen, settled.attempt_no) == (RefundStatus.SUCCEEDED, 1000, "REFUND0001")
    assert settled.succeeded_at is not None
    assert settled.channel_refund_no == accepted.channel_refund_no
    absent = refund_of(payment, "REFUND0001R9", 1)
    assert (await channel.query_refund(account, absent, now=clock.now())).status is RefundStatus.ABSENT
    moved = replace(first, asked_at=first.asked_at - timedelta(seconds=5))
    assert (await channel.query_refund(account, moved, now=clock.now())).status is RefundStatus.ABSENT


async def test_a_refund_that_fails_is_closed(channel, account, intent, post):
    wanted = intent("REFUND0002")
    await channel.start(account, wanted, now=clock.now())
    await post("pay", {"order_id": "REFUND0002"})
    payment = placed(wanted, (await ask(channel, account, placed(wanted))).channel_trade_no)
    await post("conditions", {"refund_settles_s": 0})
    await post("faults", {"refund_fails": 1})
    request = refund_of(payment, "REFUND0002R1", 34)
    await channel.refund(account, request, now=clock.now())
    assert (await channel.query_refund(account, request, now=clock.now())).status is RefundStatus.CLOSED


@pytest.mark.parametrize("fault", ["unsigned_answers", "wrong_signatures", "foreign_chain", "wrong_cn", "answer_5xx"])
async def test_answers_that_prove_nothing_are_unknown(channel, account, intent, post, fault):
    payment = placed(intent("NOBODY0002", scene=Scene.BARCODE))
    await post("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await ask(channel, account, payment)
    assert (await ask(channel, account, payment)).status is PaymentStatus.ABSENT


async def test_lost_answer_is_unknown_and_money_moved_once(channel, account, intent, post):
    wanted = intent("LOSTANSW01", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, wanted, now=clock.now())
    await channel.start(account, wanted, now=clock.now())
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.SUCCEEDED
    assert len([each for each in await post("transactions") if each["order_id"] == "LOSTANSW01"]) == 1


async def test_read_lag_is_pending_and_nothing_listens_means_nothing_was_sent(channel, account, intent, post):
    wanted = intent("READLAG001", scene=Scene.BARCODE, auth_code=CODE, terminal_no="W01-00000001")
    await channel.start(account, wanted, now=clock.now())
    await post("faults", {"read_lag": 1})
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.PENDING
    assert (await ask(channel, account, placed(wanted))).status is PaymentStatus.SUCCEEDED
    async with Outbound() as outbound:
        with pytest.raises(PartyUnreachable):
            await ask(UnionPay(outbound, "http://127.0.0.1:9", "http://127.0.0.1:9"), account, placed(wanted))
