"""A channel's word reaches the books once, whatever the order, the number and the simultaneity of its deliveries."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments import asking, history, ledger, settlement
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import ChannelRefund, Notice, PaymentStatus, RefundStatus, Scene
from yimatong.payments.errors import (
    OrderNotFound,
    PaymentMismatch,
    RefundExceedsPaid,
    RefundNumberReused,
    StateEdgeRefused,
)
from yimatong.payments.orders import queries as orders
from yimatong.payments.refunds import queries as refund_queries
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund
from yimatong.payments.states import OrderState

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
H5 = NewAttempt(channel="wechat", scene=Scene.H5, client_ip="203.0.113.7")


async def rows(desk, query: str, **facts):
    async with desk.db.read() as connection:
        return (await connection.execute(text(query), facts)).all()


async def movements(desk, order_no: str) -> list[str]:
    return [
        row[0]
        for row in await rows(
            desk, "SELECT movement FROM payments_ledger_transaction WHERE order_no = :o ORDER BY movement", o=order_no
        )
    ]


async def topics(desk, order_no: str) -> list[str]:
    """What the hospital is told; receipts are asked for beside it."""
    return [
        row[0]
        for row in await rows(
            desk,
            "SELECT topic FROM kit_outbox WHERE payload->>'order_no' = :o "
            "AND topic <> 'payments.receipt_due' ORDER BY id",
            o=order_no,
        )
    ]


async def view(desk, order_no: str):
    async with desk.db.read() as connection:
        return await orders.find(connection, order_no, scope=PLATFORM)


async def started(desk, order_no: str, new: NewAttempt = NATIVE) -> str:
    return (await cashier.start_attempt(desk, order_no, new, now=clock.now())).attempt_no


async def balanced(desk) -> dict[str, int]:
    async with desk.db.read() as connection:
        found = await ledger.balances(connection)
    assert sum(found.values()) == 0
    return found


@pytest.mark.parametrize("only_notices", [True, False])
async def test_sixteen_at_once_are_one(desk, place, account, said, only_notices) -> None:
    order_no = await place()
    attempt_no = await started(desk, order_no)
    where = await account()
    told = Notice(notice_id=f"n-{attempt_no}", payment=said(attempt_no))

    async def one(number: int) -> None:
        if number % 2 or only_notices:
            await settlement.settle_notice(desk.db, where, told, now=clock.now())
        else:
            await settlement.settle(desk.db, where, told.payment, cause="query", now=clock.now())

    await asyncio.gather(*(one(number) for number in range(16)))
    found = await view(desk, order_no)
    assert (found.state, found.paid_fen, found.channel) == ("paid", 1234, "wechat")
    assert await movements(desk, order_no) == [f"paid:{attempt_no}"]
    assert await topics(desk, order_no) == ["payments.order_paid"]
    await balanced(desk)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_fen": 1233},
        {"merchant_id": "1900000110"},
        {"app_id": "wx0000000000000000"},
        {"currency": "USD"},
        {"attempt_no": "P" + "0" * 20 + "A01"},
        {"attempt_no": "not a number of ours"},
    ],
)
async def test_words_that_do_not_fit_change_nothing_and_raise_one_alarm(desk, place, account, said, change) -> None:
    order_no = await place()
    attempt_no = await started(desk, order_no)
    found = said(**({"attempt_no": attempt_no} | change))
    for _ in range(2):
        with pytest.raises(PaymentMismatch):
            await settlement.settle(desk.db, await account(), found, cause="query", now=clock.now())
    assert (await view(desk, order_no)).state == "paying"
    assert await movements(desk, order_no) == []
    alarms = await rows(desk, "SELECT kind FROM kit_alarm WHERE subject LIKE '%:' || :n", n=found.attempt_no)
    assert [row[0] for row in alarms] == ["payments:mismatch"]


async def test_another_hospitals_account_cannot_settle(desk, place, account, said) -> None:
    order_no = await place()
    attempt_no = await started(desk, order_no)
    with pytest.raises(PaymentMismatch):
        await settlement.settle(desk.db, await account(2), said(attempt_no), cause="query", now=clock.now())
    assert (await view(desk, order_no)).state == "paying"


async def test_a_notice_id_cannot_say_two_things(desk, place, account, said) -> None:
    first, second = await place(), await place()
    one, two = await started(desk, first), await started(desk, second)
    where = await account()
    await settlement.settle_notice(desk.db, where, Notice(notice_id="n-2", payment=said(one)), now=clock.now())
    with pytest.raises(PaymentMismatch):
        await settlement.settle_notice(desk.db, where, Notice(notice_id="n-2", payment=said(two)), now=clock.now())
    assert (await view(desk, second)).state == "paying"


async def test_a_second_payment_goes_to_suspense_and_back(desk, place, account, said) -> None:
    order_no = await place()
    one, two = await started(desk, order_no), await started(desk, order_no, H5)
    where = await account()
    both = [said(one), said(two)]
    await asyncio.gather(
        *(settlement.settle(desk.db, where, each, cause="query", now=clock.now()) for each in both * 4)
    )
    found = await view(desk, order_no)
    assert (found.state, found.paid_fen, found.late_fen) == ("paid", 1234, 1234)
    assert [(each.kind, each.amount_fen, each.state) for each in found.refunds] == [("late", 1234, "requested")]
    late = {"late", "refund_asked"}
    assert {each.split(":")[0] for each in await movements(desk, order_no)} == {"paid", *late}
    refund_no = found.refunds[0].refund_no
    loser = two if f"late:{two}" in await movements(desk, order_no) else one
    back = ChannelRefund(
        refund_no=refund_no,
        attempt_no=loser,
        status=RefundStatus.SUCCEEDED,
        merchant_id=where.merchant_id,
        refund_fen=1234,
    )
    for _ in range(3):
        await settlement.settle(desk.db, where, back, cause="query", now=clock.now())
    found = await view(desk, order_no)
    assert (found.state, found.refunded_fen, found.refunds[0].state) == ("paid", 0, "succeeded")
    assert (await balanced(desk))["suspense:late:hospital-1"] == 0


async def test_failed_attempt_frees_the_order_and_later_money_is_still_taken(desk, place, account, said) -> None:
    order_no = await place()
    attempt_no = await started(desk, order_no)
    where = await account()
    gone = said(attempt_no, status=PaymentStatus.FAILED, amount_fen=0)
    await settlement.settle(desk.db, where, gone, cause="query", now=clock.now())
    assert (await view(desk, order_no)).state == "created"
    await settlement.settle(desk.db, where, said(attempt_no), cause="notice", now=clock.now())
    await settlement.settle(desk.db, where, gone, cause="query", now=clock.now())
    assert (await view(desk, order_no)).state == "paid"
    await balanced(desk)


async def test_an_old_notice_of_an_ended_attempt_is_asked_about_first(desk, place, account, said) -> None:
    order_no = await place()
    attempt_no = await started(desk, order_no)
    where = await account()
    await desk.channel("wechat").close(where, (await asking._attempt(desk, attempt_no)).placed, now=clock.now())
    await asking.ask_attempt(desk, attempt_no, now=clock.now())
    assert (await view(desk, order_no)).state == "created"
    told = Notice(notice_id="n-old", payment=said(attempt_no))
    with pytest.raises(settlement.AskFirst):
        await settlement.settle_notice(desk.db, where, told, now=clock.now())
    await asking.confirm(desk, attempt_no, now=clock.now())
    assert (await view(desk, order_no)).state == "created"
    assert await movements(desk, order_no) == []


async def test_a_notice_of_money_after_all_comes_again_while_the_channels_queries_lag(
    desk, place, account, said
) -> None:
    attempt_no = await started(desk, await place())
    where, now = await account(), clock.now()
    gone = said(attempt_no, status=PaymentStatus.FAILED, amount_fen=0)
    await settlement.settle(desk.db, where, gone, cause="query", now=now)
    with pytest.raises(PartyOutcomeUnknown):  # it can still be paid: this is no answer to a notice that it was
        await asking.confirm(desk, attempt_no, paid_at=now - timedelta(hours=1), now=now)
    await desk.channel("wechat").close(where, (await asking._attempt(desk, attempt_no)).placed, now=now)
    with pytest.raises(PartyOutcomeUnknown):
        await asking.confirm(desk, attempt_no, paid_at=now - timedelta(seconds=10), now=now)
    await asking.confirm(desk, attempt_no, paid_at=now - timedelta(seconds=301), now=now)


async def test_refunds_never_exceed_what_was_paid(desk, place, account, said, callers) -> None:
    order_no = await place(1000)
    attempt_no = await started(desk, order_no)
    await settlement.settle(desk.db, await account(), said(attempt_no, 1000), cause="query", now=clock.now())

    async def ask(number: int) -> str | None:
        new = NewRefund(order_no=order_no, request_no=f"r-{number}", amount_fen=300, reason="退药")
        try:
            async with desk.db.transaction() as connection:
                return (await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())).refund_no
        except RefundExceedsPaid:
            return None

    made = [each for each in await asyncio.gather(*(ask(number) for number in range(8))) if each]
    assert len(made) == 3
    assert len(set(made)) == 3
    held = (await rows(desk, "SELECT refund_reserved_fen FROM payments_order WHERE order_no = :o", o=order_no))[0][0]
    assert held == 900
    await balanced(desk)


async def test_refund_request_numbers_mean_one_refund(desk, place, account, said, callers) -> None:
    order_no = await place(1000)
    attempt_no = await started(desk, order_no)
    where = await account()
    await settlement.settle(desk.db, where, said(attempt_no, 1000), cause="query", now=clock.now())
    new = NewRefund(order_no=order_no, request_no="r-1", amount_fen=400, reason="退药")
    made = set()
    for _ in range(2):
        async with desk.db.transaction() as connection:
            made.add((await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())).refund_no)
    assert len(made) == 1
    other = NewRefund(order_no=order_no, request_no="r-1", amount_fen=401, reason="退药")
    with pytest.raises(RefundNumberReused):
        async with desk.db.transaction() as connection:
            await refunds.ask(connection, other, caller=callers.his(1), now=clock.now())
    refund_no = made.pop()
    facts = {"refund_no": refund_no, "attempt_no": attempt_no, "merchant_id": where.merchant_id}
    wrong = ChannelRefund(status=RefundStatus.SUCCEEDED, refund_fen=399, **facts)
    with pytest.raises(PaymentMismatch):
        await settlement.settle(desk.db, where, wrong, cause="notice", now=clock.now())
    for status in (RefundStatus.SUCCEEDED, RefundStatus.PROCESSING, RefundStatus.ABNORMAL, RefundStatus.SUCCEEDED):
        word = ChannelRefund(status=status, refund_fen=400, **facts)
        await settlement.settle(desk.db, where, word, cause="notice", now=clock.now())
    found = await view(desk, order_no)
    assert (found.state, found.refunded_fen) == ("partly_refunded", 400)
    assert await topics(desk, order_no) == ["payments.order_paid", "payments.refund_succeeded"]


async def test_declined_refund_gives_its_money_back_to_the_order(desk, place, account, said, callers) -> None:
    order_no = await place(1000)
    attempt_no = await started(desk, order_no)
    where = await account()
    await settlement.settle(desk.db, where, said(attempt_no, 1000), cause="query", now=clock.now())
    for number, status in (("r-1", RefundStatus.CLOSED), ("r-2", RefundStatus.SUCCEEDED)):
        new = NewRefund(order_no=order_no, request_no=number, amount_fen=1000, reason="退费")
        async with desk.db.transaction() as connection:
            made = await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())
        word = ChannelRefund(
            refund_no=made.refund_no,
            attempt_no=attempt_no,
            status=status,
            merchant_id=where.merchant_id,
            refund_fen=1000,
        )
        await settlement.settle(desk.db, where, word, cause="query", now=clock.now())
    assert (await view(desk, order_no)).state == "refunded"
    await balanced(desk)


async def test_two_institutions_do_not_see_each_other(desk, place, account, said, callers) -> None:
    order_no = await place()
    other = Scope(institution_id="hospital-2", caller_id="his-2")
    async with desk.db.read() as connection:
        for missing in (order_no, "P" + "9" * 20, "x\x00"):
            with pytest.raises(OrderNotFound):
                await orders.find(connection, missing, scope=other)
        assert await refund_queries.of_order(connection, order_no, scope=other) == []
        page = await orders.page(connection, scope=other, limit=100)
        assert order_no not in {each.order_no for each in page.orders}
    new = NewRefund(order_no=order_no, request_no="r-1", amount_fen=1, reason="x")
    with pytest.raises(OrderNotFound):
        async with desk.db.transaction() as connection:
            await refunds.ask(connection, new, caller=callers.his(2), now=clock.now())


async def test_pages_are_whole_and_without_repeats(desk, place) -> None:
    made = {await place(hospital=2) for _ in range(5)}
    scope, cursor, seen = Scope(institution_id="hospital-2"), "", []
    async with desk.db.read() as connection:
        while True:
            page = await orders.page(connection, scope=scope, limit=2, cursor=cursor)
            seen += [each.order_no for each in page.orders]
            cursor = page.next
            if not cursor:
                break
    assert len(seen) == len(set(seen))
    assert made <= set(seen)


async def test_a_stale_row_moves_nothing(desk, place) -> None:
    order_no = await place()
    async with desk.db.transaction() as connection:
        old = await history.lock_order(connection, order_no, scope=PLATFORM)
        await history.move_order(connection, old, OrderState.PAYING, cause="test", now=clock.now())
        with pytest.raises(StateEdgeRefused):
            await history.move_order(connection, old, OrderState.PAYING, cause="test", now=clock.now())
