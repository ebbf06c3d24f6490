"""The whole way with WeChat Pay's simulator on the wire: notices, lost answers, late money, refunds, closing."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from yimatong.access.caller import PLATFORM
from yimatong.kit import clock
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments import asking, ledger, queries, returning, tasks
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.errors import OrderNotClosable, OrderNotPayable
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders import service as order_service
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
H5 = NewAttempt(channel="wechat", scene=Scene.H5, client_ip="203.0.113.7")


async def view(desk, order_no: str):
    async with desk.db.read() as connection:
        return await orders.find(connection, order_no, scope=PLATFORM)


async def until(desk, order_no: str, state: str):
    for _ in range(400):
        found = await view(desk, order_no)
        if found.state == state:
            return found
        await asyncio.sleep(0.05)
    pytest.fail(f"{order_no} is {found.state}, not {state}")


async def attempts(desk, order_no: str) -> list[tuple[str, str]]:
    async with desk.db.read() as connection:
        rows = await connection.execute(
            text("SELECT attempt_no, state FROM payments_attempt WHERE order_no = :o ORDER BY 1"), {"o": order_no}
        )
        return [tuple(row) for row in rows]


async def settled_books(desk) -> dict[str, int]:
    async with desk.db.read() as connection:
        found = await ledger.balances(connection)
    assert sum(found.values()) == 0
    return found


async def test_paid_by_notice(desk, place, control) -> None:
    order_no = await place()
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    again = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    assert begun == again
    assert begun.qr_text.startswith("weixin://")
    await control("faults", {"duplicate_notices": 3})
    await control("pay", {"out_trade_no": begun.attempt_no})
    found = await until(desk, order_no, "paid")
    assert found.channel_trade_no
    with pytest.raises(OrderNotPayable):
        await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    with pytest.raises(OrderNotClosable):
        await asking.close_order(desk, order_no, now=clock.now())
    start, end = day_bounds(business_date(clock.now()))
    async with desk.db.read() as connection:
        moved = await queries.day_movements(
            connection, channel="wechat", account_id="wechat-hospital-1", start=start, end=end
        )
    mine = [each for each in moved if each.order_no == order_no]
    assert [(each.kind, each.number, each.amount_fen, each.state) for each in mine] == [
        ("payment", begun.attempt_no, 1234, "succeeded")
    ]


async def test_a_lost_notice_is_made_good_by_asking(desk, place, control) -> None:
    order_no = await place()
    begun = await cashier.start_attempt(desk, order_no, H5, now=clock.now())
    assert begun.redirect_url.startswith("http")
    await control("faults", {"drop_notices": -1})
    await control("pay", {"out_trade_no": begun.attempt_no})
    await tasks.run_due(desk, now=clock.now())
    assert (await view(desk, order_no)).state == "paying"
    await tasks.run_due(desk, now=clock.now() + timedelta(seconds=6))
    assert (await view(desk, order_no)).state == "paid"


async def test_a_lost_answer_leaves_the_attempt_unknown_and_the_same_attempt_goes_on(desk, place, control) -> None:
    order_no = await place()
    await control("faults", {"timeout_after_acting": 1, "hang_s": 3.0})
    with pytest.raises(PartyOutcomeUnknown):
        await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    assert [state for _, state in await attempts(desk, order_no)] == ["unknown"]
    await control("faults", {"drop_notices": -1})
    later = clock.now() + timedelta(seconds=2)
    begun = await cashier.start_attempt(
        desk, order_no, NewAttempt(channel="wechat", scene=Scene.NATIVE, client_ip="::1"), now=later
    )
    assert len(await attempts(desk, order_no)) == 1
    assert begun.qr_text
    await control("pay", {"out_trade_no": begun.attempt_no})
    assert (await cashier.refresh(desk, order_no, now=clock.now())).state == "paid"


async def test_absent_ends_an_attempt_only_when_it_cannot_be_on_its_way(desk, place, control) -> None:
    order_no = await place()
    await control("faults", {"answer_5xx": 1})
    with pytest.raises(PartyOutcomeUnknown):
        await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    number = (await attempts(desk, order_no))[0][0]
    await control("faults", {"unsigned_answers": -1})
    await asking.ask_attempt(desk, number, now=clock.now() + timedelta(days=3))
    assert await attempts(desk, order_no) == [(number, "unknown")]
    await control("faults", {})
    await asking.ask_attempt(desk, number, now=clock.now() + timedelta(seconds=5))
    assert number not in {each["out_trade_no"] for each in await control("orders")}
    assert await attempts(desk, order_no) == [(number, "unknown")]
    await asking.ask_attempt(desk, number, now=clock.now() + timedelta(seconds=61))
    assert await attempts(desk, order_no) == [(number, "failed")]
    assert (await view(desk, order_no)).state == "created"


async def test_expired_orders_are_closed_at_the_channel_first(desk, place, control) -> None:
    order_no = await place(expires_in_s=60)
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await tasks.run_due(desk, now=clock.now() + timedelta(seconds=61))
    assert (await view(desk, order_no)).state == "closed"
    states = {each["out_trade_no"]: each["trade_state"] for each in await control("orders")}
    assert states[begun.attempt_no] == "CLOSED"
    with pytest.raises(httpx.HTTPStatusError):
        await control("pay", {"out_trade_no": begun.attempt_no})


async def test_money_that_arrives_before_the_close_has_ended_is_taken(desk, place, control) -> None:
    order_no = await place(expires_in_s=60)
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await control("faults", {"drop_notices": -1, "unsigned_answers": -1})
    await tasks.run_due(desk, now=clock.now() + timedelta(seconds=61))
    assert (await view(desk, order_no)).state == "closing"
    await control("faults", {"drop_notices": -1})
    await control("pay", {"out_trade_no": begun.attempt_no})
    await tasks.run_due(desk, now=clock.now() + timedelta(seconds=200))
    assert (await view(desk, order_no)).state == "paid"


async def test_paid_after_an_answered_read_lag(desk, place, control) -> None:
    order_no = await place()
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await control("faults", {"drop_notices": -1, "read_lag": 1})
    await control("pay", {"out_trade_no": begun.attempt_no})
    state = await order_service.close(desk, order_no, scope=PLATFORM, now=clock.now())
    assert state.state == "paid"


async def test_both_phones_paid_and_one_gets_it_back(desk, place, control) -> None:
    order_no = await place(4321)
    one = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    two = await cashier.start_attempt(desk, order_no, H5, now=clock.now())
    await control("pay", {"out_trade_no": one.attempt_no})
    await control("pay", {"out_trade_no": two.attempt_no})
    await until(desk, order_no, "paid")
    for pause_s in range(300):
        found = await view(desk, order_no)
        if found.refunds and found.refunds[0].state == "succeeded":
            break
        await tasks.run_due(desk, now=clock.now() + timedelta(seconds=pause_s))
        await asyncio.sleep(0.1)
    assert [(each.kind, each.state) for each in found.refunds] == [("late", "succeeded")]
    assert (found.state, found.late_fen, found.refunded_fen) == ("paid", 4321, 0)
    assert (await settled_books(desk))["suspense:late:hospital-1"] == 0


async def test_refund_in_two_parts_through_a_lost_answer(desk, place, control, callers) -> None:
    order_no = await place(1000)
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await control("pay", {"out_trade_no": begun.attempt_no})
    await until(desk, order_no, "paid")
    for number, amount_fen in (("r-1", 400), ("r-2", 600)):
        new = NewRefund(order_no=order_no, request_no=number, amount_fen=amount_fen, reason="退药")
        async with desk.db.transaction() as connection:
            made = await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())
        if number == "r-1":
            await control("faults", {"timeout_after_acting": 1, "hang_s": 3.0, "drop_notices": -1})
        await returning.ask_refund(desk, made.refund_no, now=clock.now())
        if number == "r-1":
            async with desk.db.read() as connection:
                state = await connection.execute(
                    text("SELECT state FROM payments_refund WHERE refund_no = :r"), {"r": made.refund_no}
                )
                assert state.scalar_one() == "unknown"
            await control("faults", {"drop_notices": -1})
        for _ in range(300):
            found = await view(desk, order_no)
            if found.refunds[-1].state == "succeeded":
                break
            await asyncio.sleep(0.1)
            await returning.ask_refund(desk, made.refund_no, now=clock.now())
    assert (found.state, found.refunded_fen) == ("refunded", 1000)
    assert len([each for each in await control("refunds") if each["out_trade_no"] == begun.attempt_no]) == 2
    await settled_books(desk)


async def test_a_notice_that_is_not_genuine_is_refused_in_the_channels_form(desk, notify_url) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        for account_id in ("wechat-hospital-1", "nobody", "%00"):
            answer = await client.post(f"{notify_url}/notify/wechat/{account_id}", content=b"{}")
            assert answer.status_code in (400, 401)
            assert answer.json()["code"] == "FAIL"


async def test_two_workers_share_what_is_due_and_a_dead_ones_part_comes_back(desk, place, control) -> None:
    order_no = await place()
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await control("faults", {"drop_notices": -1})
    await control("pay", {"out_trade_no": begun.attempt_no})
    due = clock.now() + timedelta(seconds=6)
    async with desk.db.transaction() as connection:  # a worker claims and dies before it asks
        lease = {"now": due, "lease": due + timedelta(seconds=45), "most": 20}
        claimed = list((await connection.execute(tasks._CLAIM_ATTEMPTS, lease)).scalars())
    assert begun.attempt_no in claimed
    await tasks.run_due(desk, now=due)
    assert (await view(desk, order_no)).state == "paying"
    later = clock.now() + timedelta(seconds=52)
    await asyncio.gather(*(tasks.run_due(desk, now=later) for _ in range(3)))
    assert (await view(desk, order_no)).state == "paid"
    await settled_books(desk)
