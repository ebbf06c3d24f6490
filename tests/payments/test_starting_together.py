"""Payments started together leave what each would have left alone; whatever is not plain is started alone."""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import text

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit import audit, clock
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier import sharing
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.cashier.sharing import Start, may_be_shared
from yimatong.payments.channels.base import Scene
from yimatong.payments.errors import ChannelNotOffered, OrderExpired, OrderNotFound, OrderNotPayable
from yimatong.payments.orders import service as orders

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
H5 = NewAttempt(channel="wechat", scene=Scene.H5, client_ip="203.0.113.7")
OWN = re.compile(r"P\d{20}|\d{4}-\d\d-\d\dT[0-9:.+Z]+|req_\w+|weixin://[^\"]+")
TABLES = {"payments_order": "order_no", "payments_attempt": "attempt_no", "payments_event": "kind, id"}


@pytest.fixture
def shared(desk):
    return sharing.shared(desk, desk.db)


def note(order_no: str):
    return audit.recording(
        actor="his-1",
        institution_id="hospital-1",
        action="orders:pay",
        object_kind="route",
        object_id=f"/api/v1/orders/{order_no}/attempts",
        request_id=f"req_{secrets.token_hex(8)}",
        now=clock.now(),
    )


def start(order_no: str, new: NewAttempt = NATIVE, scope: Scope = PLATFORM) -> Start:
    return Start(order_no=order_no, new=new, scope=scope, at_counter=False, note=note(order_no), now=clock.now())


async def left(desk, order_no: str) -> object:
    """Everything that our books and the audit say of an order, without what is its own."""
    found: list[object] = []
    async with desk.db.read() as connection:
        for table, by in TABLES.items():
            shown = f"to_jsonb({table}) - 'id' - 'source_id'"
            rows = await connection.execute(
                text(f"SELECT {shown} FROM {table} WHERE order_no = :o ORDER BY {by}"), {"o": order_no}
            )
            found.append([row[0] for row in rows])
        rows = await connection.execute(
            text("SELECT to_jsonb(e) - 'id' - 'txid' FROM kit_audit_event e WHERE object_id LIKE '%' || :o || '%'"),
            {"o": order_no},
        )
        found.append([row[0] for row in rows])
    return msgspec.json.decode(OWN.sub("~", msgspec.json.encode(found).decode()))


async def begin(desk, shared, order_no: str, new: NewAttempt = NATIVE):
    return await cashier.start_attempt(desk, order_no, new, note=note(order_no), shared=shared, now=clock.now())


async def test_together_and_alone_leave_the_same(desk, place, shared) -> None:
    alone, *others = [await place() for _ in range(5)]
    await cashier.start_attempt(desk, alone, NATIVE, note=note(alone), now=clock.now())
    begun = await asyncio.gather(*(begin(desk, shared, each) for each in others))
    assert all(each.qr_text.startswith("weixin://") for each in begun)
    expected = await left(desk, alone)
    assert [len(each) for each in expected] == [1, 1, 3, 1]
    for each in others:
        assert await left(desk, each) == expected


async def test_plain_starts_are_recorded_and_others_left_alone(desk, place, shared) -> None:
    fresh, tried, over, foreign = [await place() for _ in range(3)] + [await place(hospital=2)]
    await cashier.start_attempt(desk, tried, H5, now=clock.now())
    gone = await place(expires_in_s=60)
    later = msgspec.structs.replace(start(gone), now=clock.now() + timedelta(hours=1))
    await orders.close(desk, over, scope=PLATFORM, now=clock.now())
    scope = Scope(all_rows=False, institution_id="hospital-1", caller_id="his-1")
    nowhere = NewAttempt(channel="alipay", scene=Scene.NATIVE)
    unknown = await place()
    before = [await left(desk, each) for each in (tried, over, foreign, gone, unknown)]
    wishes = [
        start(fresh),
        start(tried),
        start(over),
        start(foreign, scope=scope),
        later,
        start(unknown, nowhere),
        start("P" + "0" * 20),
    ]
    done = await asyncio.gather(*map(shared.starts.submit, wishes))
    assert [each is not None for each in done] == [True, *[False] * 6]
    assert [await left(desk, each) for each in (tried, over, foreign, gone, unknown)] == before


async def test_what_is_refused_says_why(desk, place, shared) -> None:
    over = await place()
    await orders.close(desk, over, scope=PLATFORM, now=clock.now())
    for order_no, error in ((over, OrderNotPayable), ("P" + "0" * 20, OrderNotFound)):
        with pytest.raises(error):
            await begin(desk, shared, order_no)
    with pytest.raises(ChannelNotOffered):
        await begin(desk, shared, await place(), NewAttempt(channel="alipay", scene=Scene.NATIVE))
    gone = await place(expires_in_s=60)
    now = clock.now() + timedelta(hours=1)
    with pytest.raises(OrderExpired):
        await cashier.start_attempt(desk, gone, NATIVE, note=note(gone), shared=shared, now=now)


async def test_pressed_many_times_at_once_is_one_attempt(desk, place, shared) -> None:
    order_no = await place()
    begun = await asyncio.gather(*(begin(desk, shared, order_no) for _ in range(12)))
    assert {each.attempt_no for each in begun} == {f"{order_no}A01"}
    assert len((await left(desk, order_no))[1]) == 1


def test_only_the_payers_own_part_by_a_page_or_code_is_shared() -> None:
    assert may_be_shared(NATIVE)
    assert may_be_shared(H5)
    for change in ({"part": "whole"}, {"scene": Scene.BARCODE}, {"scene": Scene.AGREEMENT}):
        assert not may_be_shared(msgspec.structs.replace(NATIVE, **change))
