"""Payments by the payer's code at the window (付款码支付), mini programs, and a channel that asks to slow down."""

from __future__ import annotations

import pytest
from in_our_books import placed, refund_of
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.base import BillKind, Part, PaymentStatus, RefundStatus, Scene
from yimatong.payments.errors import (
    AccountUnusable,
    BillBroken,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
)

BARCODE = Scene.BARCODE


@pytest.fixture
def by_code(intent, post):
    async def make(attempt_no: str, ends: str = "pays", **more):
        shown = await post("payment-codes", {"ends": ends})
        return intent(attempt_no, scene=BARCODE, auth_code=shown["auth_code"], terminal_no="WIN-07", **more)

    return make


async def test_a_code_pays_at_once(channel, account, by_code):
    action = await channel.start(account, await by_code("CODE000001"), now=clock.now())
    paid = action.settled
    assert (paid.attempt_no, paid.status, paid.amount_fen) == ("CODE000001", PaymentStatus.SUCCEEDED, 1234)
    assert (paid.merchant_id, paid.app_id) == (account.merchant_id, account.app_id)
    assert await channel.query(account, placed("CODE000001", scene=BARCODE), now=clock.now()) == paid
    back = await channel.refund(account, refund_of("CODE000001", "R-CODE1", 234), now=clock.now())
    assert back.status is RefundStatus.PROCESSING


@pytest.mark.parametrize("ends", ["asks", "asks_refusing"])
async def test_a_code_that_asks_for_the_password_is_pending_until_the_payer_confirms(
    channel, account, by_code, post, ends
):
    number = f"ASKS-{ends}"
    action = await channel.start(account, await by_code(number, ends), now=clock.now())
    assert action.settled.status is PaymentStatus.PENDING
    asked = placed(number, scene=BARCODE)
    assert (await channel.query(account, asked, now=clock.now())).status is PaymentStatus.PENDING
    await post("pay", {"out_trade_no": number})
    assert (await channel.query(account, asked, now=clock.now())).status is PaymentStatus.SUCCEEDED


async def test_a_reversal_ends_what_waits_and_gives_back_what_was_paid(channel, account, by_code, post):
    for number, ends in (("REVERSE001", "asks"), ("REVERSE002", "pays")):
        await channel.start(account, await by_code(number, ends), now=clock.now())
        await channel.close(account, placed(number, scene=BARCODE), now=clock.now())
        await channel.close(account, placed(number, scene=BARCODE), now=clock.now())
        told = await channel.query(account, placed(number, scene=BARCODE), now=clock.now())
        assert told.status is PaymentStatus.CLOSED
    with pytest.raises(ChannelRefused) as refused:
        await channel.close(account, placed("NOBODY0009", scene=BARCODE), now=clock.now())
    assert refused.value.facts["channel_code"] == "ORDER_NOT_EXIST"


async def test_codes_that_do_not_pay(channel, account, by_code, intent):
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, await by_code("POOR000001", "poor"), now=clock.now())
    assert refused.value.facts["channel_code"] == "NOT_ENOUGH"
    told = await channel.query(account, placed("POOR000001", scene=BARCODE), now=clock.now())
    assert told.status is PaymentStatus.FAILED
    twice = await by_code("TWICE00001")
    await channel.start(account, twice, now=clock.now())
    with pytest.raises(ChannelAlreadyPaid):
        await channel.start(account, twice, now=clock.now())
    for number, code, told in (
        ("USED000001", twice.auth_code, "AUTH_CODE_EXPIRE"),
        ("STRANGE001", "130000000000000000", "AUTH_CODE_INVALID"),
        ("ALIPAY0001", "280000000000000000", "PARAM_ERROR"),
    ):
        with pytest.raises(ChannelRefused) as refused:
            await channel.start(account, intent(number, scene=BARCODE, auth_code=code), now=clock.now())
        assert refused.value.facts["channel_code"] == told


async def test_a_code_whose_answer_is_lost_is_unknown_and_the_query_knows(channel, account, by_code, post):
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5, "path": "/codepay"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, await by_code("LOST000001"), now=clock.now())
    told = await channel.query(account, placed("LOST000001", scene=BARCODE), now=clock.now())
    assert told.status is PaymentStatus.SUCCEEDED


async def test_scenes_that_are_not_served_are_declined_before_anything_is_sent(channel, account, intent):
    for wanted in (intent("SCENE00001", scene=Scene.PAGE), intent("SCENE00002", part=Part.INSURANCE)):
        with pytest.raises(ChannelRefused) as refused:
            await channel.start(account, wanted, now=clock.now())
        assert refused.value.facts["channel_code"] == "SCENE"


async def test_slow_down_is_busy_and_nothing_was_done(channel, account, intent, post):
    await post("faults", {"frequency_limited": 1})
    with pytest.raises(ChannelBusy) as busy:
        await channel.start(account, intent("BUSY000001"), now=clock.now())
    assert busy.value.audit == "FREQUENCY_LIMITED"
    told = await channel.query(account, placed("BUSY000001"), now=clock.now())
    assert told.status is PaymentStatus.ABSENT


async def test_the_mini_program_has_an_appid_of_its_own_and_our_books_know_one(
    *, channel, account, enrolled, intent, world, post
):
    merchants = {"mchid": enrolled.mchid, "appid": enrolled.appid, "serial_no": enrolled.serial_no}
    keys = {"public_key_pem": world._world.wechat.merchants.get(enrolled.mchid).public_key_pem}
    await post("merchants", merchants | keys | {"api_v3_key": enrolled.api_v3_key, "mini_appid": "wxmini"})
    wanted = intent("MINI000001", scene=Scene.JSAPI, references={"app": "mini"})
    with pytest.raises(AccountUnusable):
        await channel.start(account, wanted, now=clock.now())
    both = replace(account, profile={"mini_app_id": "wxmini"})
    action = await channel.start(both, wanted, now=clock.now())
    assert action.sdk_params["appId"] == "wxmini"
    assert world._world.wechat.order(enrolled.mchid, "MINI000001").appid == "wxmini"
    await post("pay", {"out_trade_no": "MINI000001"})
    paid = await channel.query(both, placed("MINI000001", scene=Scene.JSAPI), now=clock.now())
    assert (paid.status, paid.app_id) == (PaymentStatus.SUCCEEDED, account.app_id)
    unaware = await channel.query(account, placed("MINI000001", scene=Scene.JSAPI), now=clock.now())
    assert unaware.app_id == "wxmini"


async def test_fund_flow_bill_adds_up_and_its_hash_is_checked(channel, account, by_code, post):
    day = clock.business_date(clock.now())
    await channel.start(account, await by_code("FUNDS00001", amount_fen=10_000), now=clock.now())
    await channel.refund(account, refund_of("FUNDS00001", "R-FUNDS", 5000, 10_000), now=clock.now())
    await post("settle-refund", {"mchid": account.merchant_id, "out_refund_no": "R-FUNDS"})
    await post("close-day", {"date": day.isoformat(), "kinds": []})
    text = (await channel.bill(account, day, kind=BillKind.FUNDS, now=clock.now())).decode()
    lines = [line.split(",") for line in text.split("\r\n")]
    assert lines[0][:3] == ["记账时间", "微信支付业务单号", "资金流水单号"]
    rows = [[cell.removeprefix("`") for cell in line] for line in lines[1:-3]]
    mine = {(row[4], row[5], row[6]) for row in rows if row[10] in ("FUNDS00001", "R-FUNDS")}
    assert mine == {
        ("交易", "收入", "100.00"),
        ("扣除交易手续费", "支出", "0.60"),
        ("退款", "支出", "49.70"),
    }
    signed = [round(float(row[6]) * 100) * (1 if row[5] == "收入" else -1) for row in rows]
    assert sum(signed) == round(float(rows[-1][7]) * 100)
    assert lines[-2][0] == f"`{len(rows)}"
    await post("faults", {"broken_bills": 1})
    with pytest.raises(BillBroken):
        await channel.bill(account, day, kind=BillKind.FUNDS, now=clock.now())
