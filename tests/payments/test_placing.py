"""Orders placed at the same moment: each is placed or refused for itself, and a key stands for one order."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from yimatong.access.caller import Caller
from yimatong.access.errors import IdempotencyKeyReused, NotPermitted
from yimatong.access.shared import SharedWrite, sharing
from yimatong.kit import clock
from yimatong.payments.errors import ItemsDoNotAddUp, OrderExists
from yimatong.payments.orders import placing, service
from yimatong.payments.orders.placing import Placement, Placer
from yimatong.payments.orders.schemas import Item, NewOrder, PlacedOrder

Send = Callable[..., Awaitable[PlacedOrder]]


def his(number: int) -> Caller:
    return Caller(caller_id=f"his-{number}", kind="institution", name="HIS", institution_id=f"hospital-{number}")


HIS = his(1)


def wanted(source_no: str = "", *, fen: int = 500, items_fen: int | None = None) -> NewOrder:
    return NewOrder(
        source_no=source_no or secrets.token_hex(8),
        description="门诊医疗费",
        items=[Item(name="检查费“甲”\\", amount_fen=fen if items_fen is None else items_fen)],
        amount_fen=fen,
    )


@pytest.fixture
def send(desk: Any) -> Send:
    """Place as the edge does: by a batch whose items share a transaction."""
    batch = desk.db.batch(sharing(Placer(desk).place, lambda: desk.vault.sealer("answers")), lanes=1)

    async def place(new: NewOrder, *, caller: Caller = HIS, key: str = "") -> PlacedOrder:
        item = Placement(new=new, caller=caller, now=clock.now())
        write = SharedWrite(
            caller=caller,
            key=key or secrets.token_hex(16),
            digest=new.source_no.encode(),
            request_id="req_test",
            action="orders:write",
            path="/api/v1/orders",
            personal=False,
            now=item.now,
            payload=item,
        )
        status, body = await batch.submit(write)
        assert status == 201
        return msgspec.json.decode(body, type=PlacedOrder)

    return place


async def test_many_at_once_are_as_if_placed_alone(desk: Any, send: Send) -> None:
    new = [wanted(fen=number) for number in range(1, 25)]
    made = await asyncio.gather(*map(send, new))
    assert len({each.order_no for each in made}) == len({each.cashier_url for each in made}) == len(new)
    async with desk.db.transaction() as connection:
        alone = await service.place(connection, wanted(fen=7), desk=desk, caller=HIS, now=clock.now())
        rows = await connection.execute(
            text("SELECT * FROM payments_order WHERE order_no = ANY(:numbers)"),
            {"numbers": [alone.order_no, made[6].order_no]},
        )
        first, second = (dict(row._mapping) for row in rows)
        told = await connection.execute(
            text("SELECT count(*) FROM payments_event WHERE order_no = ANY(:numbers)"),
            {"numbers": [each.order_no for each in made]},
        )
        assert told.scalar_one() == len(new)
    own = {"order_no", "source_id", "created_at", "updated_at", "expires_at", "close_at"}
    assert {name: first[name] for name in first.keys() - own} == {name: second[name] for name in second.keys() - own}
    assert msgspec.structs.replace(alone, order_no="", cashier_url="", expires_at=clock.now()).state == made[6].state


async def test_each_is_refused_for_itself(send: Send) -> None:
    good, twice = wanted(), wanted()
    nobody = Caller(caller_id="app-1", kind="app", name="app", institution_id=None)
    answers = await asyncio.gather(
        send(good),
        send(wanted(items_fen=499)),
        send(wanted(), caller=nobody),
        send(twice),
        send(twice),
        send(twice, caller=his(2)),
        return_exceptions=True,
    )
    kinds = [type(each) for each in answers]
    assert kinds[:3] == [PlacedOrder, ItemsDoNotAddUp, NotPermitted]
    assert sorted(kind.__name__ for kind in kinds[3:5]) == ["OrderExists", "PlacedOrder"]
    assert kinds[5] is PlacedOrder, "another hospital's numbers are its own"
    refused = next(each for each in answers if isinstance(each, OrderExists))
    held = next(each for each in answers[3:5] if isinstance(each, PlacedOrder))
    assert refused.facts["order_no"] == held.order_no
    with pytest.raises(OrderExists):
        await send(good)


async def test_a_key_stands_for_one_order(send: Send) -> None:
    new, key = wanted(), secrets.token_hex(16)
    first, again = await asyncio.gather(send(new, key=key), send(new, key=key))
    assert first == again == await send(new, key=key)
    with pytest.raises(IdempotencyKeyReused):
        await send(wanted(), key=key)


async def test_a_number_that_is_taken_is_drawn_again(desk: Any, send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    taken, real = (await send(wanted())).order_no, service.draw
    numbers = iter([taken, taken])
    monkeypatch.setattr(placing.service, "draw", lambda now: next(numbers, None) or real(now))
    one, two = await asyncio.gather(send(wanted()), send(wanted()))
    assert len({taken, one.order_no, two.order_no}) == 3


def test_what_names_a_service_channel_is_looked_up() -> None:
    plain = wanted()
    assert placing.is_plain(plain)
    for more in ({"service_channel_id": f"svc_{'0' * 32}"}, {"terminal_no": "T1"}, {"proof": "0" * 64}):
        assert not placing.is_plain(msgspec.structs.replace(plain, **more))
