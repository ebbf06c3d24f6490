"""Telling the hospital and the service channel apart: a dead app holds up nobody, every try is there to be read."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar, Request, Response, get, post
from litestar.params import FromPath

from yimatong.access import callers as registry
from yimatong.access import request_auth
from yimatong.access.caller import Caller, Scope
from yimatong.access.callers import Institution
from yimatong.access.webhooks import Destinations
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.outbox import SCHEDULE_S, Relay
from yimatong.payments import settlement, webhooks
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.deliveries import queries, service
from yimatong.payments.errors import DeliveryNotParked, OrderNotFound
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, NewOrder
from yimatong.payments.service_channels import service as services
from yimatong.payments.service_channels.schemas import NewServiceChannel
from yimatong.payments.service_channels.service import By

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
OWN = Scope(institution_id="hospital-1", caller_id="his-1")
HIS = Caller(caller_id="his-1", kind="institution", name="HIS", institution_id="hospital-1")
LOCAL = Destinations(production=False, hosts=("127.0.0.0/8",))
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def receiver(serve: Callable[[object], str]) -> str:
    """A system on loopback that keeps what it is told and answers as it was asked to."""
    seen: list[dict[str, Any]] = []
    answers = {"status": 200}

    @post("/told/{name:str}", status_code=200)
    async def told(request: Request[Any, Any, Any], name: FromPath[str]) -> Response[None]:
        wanted = answers.get(name, 200)
        seen.append({"name": name, "headers": dict(request.headers), "body": (await request.body()).decode()})
        return Response(None, status_code=wanted)

    @post("/answer/{name:str}/{status:int}", status_code=200, sync_to_thread=False)
    def answer(name: FromPath[str], status: FromPath[int]) -> None:
        answers[name] = status

    @get("/seen/{name:str}", sync_to_thread=False)
    def listed(name: FromPath[str]) -> list[dict[str, Any]]:
        return [each for each in seen if each["name"] == name]

    return serve(lambda: Litestar([told, answer, listed]))


@pytest.fixture
def ask(receiver):
    async def call(path, method="GET"):
        async with Outbound() as outbound:
            reply = await outbound.send("receiver", method, f"{receiver}{path}")
        return msgspec.json.decode(reply.body) if reply.body else None

    return call


@pytest.fixture
async def told(desk, receiver):
    """A hospital's system and a service channel at addresses of their own; returns their names and what was drawn."""
    his, app = secrets.token_hex(4), secrets.token_hex(4)
    async with desk.db.transaction() as connection:
        hospital = Institution(
            institution_id="hospital-1", name="医院", kind="hospital", org_code="435628013", region_code="610100"
        )
        await registry.add_institution(connection, hospital, now=clock.now())
        if "his-1" not in await registry.registered(connection, {"his-1"}):
            await registry.enrol(
                connection,
                desk.vault,
                caller_id="his-1",
                kind="institution",
                name="HIS",
                institution_id="hospital-1",
                secret=bytes(32),
                now=clock.now(),
            )
        await registry.set_webhook(connection, "his-1", url=f"{receiver}/told/{his}")
        issued = await services.register(
            connection,
            desk.vault,
            NewServiceChannel(
                kind="ios",
                name="APP",
                caller_id="his-1",
                institution_id="hospital-1",
                notify_url=f"{receiver}/told/{app}",
            ),
            destinations=LOCAL,
            known=("wechat",),
            by=By(actor="op", request_id="r", now=clock.now()),
        )
    return his, app, issued


@pytest.fixture
def paid_order(desk, account, said):
    async def make(service_channel_id=None):
        new = NewOrder(
            source_no=secrets.token_hex(8),
            description="门诊缴费",
            items=[Item(name="西药费", amount_fen=1234)],
            amount_fen=1234,
            service_channel_id=service_channel_id,
        )
        async with desk.db.transaction() as connection:
            placed = await orders.place(connection, new, desk=desk, caller=HIS, now=clock.now())
        begun = await cashier.start_attempt(desk, placed.order_no, NATIVE, now=clock.now())
        await settlement.settle(desk.db, await account(), said(begun.attempt_no), cause="query", now=clock.now())
        return placed.order_no

    return make


@pytest.fixture
async def turn(desk):
    async with Outbound(read_s=2.0) as outbound:
        relay = Relay(desk.db, webhooks.handlers(desk.db, desk.vault, outbound, destinations=LOCAL))

        async def go(after_s=0):
            while await relay.deliver_due(now=clock.now() + timedelta(seconds=after_s)):
                if after_s:
                    break

        yield go


async def of_order(desk, order_no, scope=OWN):
    async with desk.db.read() as connection:
        return (await queries.of_order(connection, order_no, scope=scope)).messages


def require_signed(seen, *, caller_id, key_hex, header="authorization"):
    """Check a delivery as its receiver does: raises where the signature does not hold."""
    given = request_auth.parse(seen["headers"][header])
    assert given.caller_id == caller_id
    text = request_auth.request_text(
        method="POST",
        target=f"/told/{seen['name']}",
        timestamp=given.timestamp,
        nonce=given.nonce,
        bound=seen["headers"]["idempotency-key"],
        body=seen["body"].encode(),
    )
    request_auth.check_signature(bytes.fromhex(key_hex), text, given.signature)


async def test_both_are_told_each_signed_with_its_own_key(desk, told, paid_order, turn, ask):
    his, app, issued = told
    order_no = await paid_order(issued.service_channel_id)
    await turn()
    (to_his,), (to_app,) = await ask(f"/seen/{his}"), await ask(f"/seen/{app}")
    require_signed(to_his, caller_id="his-1", key_hex="00" * 32)
    require_signed(to_app, caller_id=issued.merchant_no, key_hex=issued.key)
    body = msgspec.json.decode(to_app["body"])
    assert (body["event"], body["order_no"], body["service_channel_id"]) == (
        "order_paid",
        order_no,
        issued.service_channel_id,
    )
    messages = await of_order(desk, order_no)
    assert {(each.topic, each.state, each.tries[0].receiver, each.tries[0].status) for each in messages} == {
        ("payments.order_paid", "delivered", "his-1", 200),
        ("payments.service_told", "delivered", issued.merchant_no, 200),
    }


async def test_an_order_without_a_service_channel_tells_the_hospital_alone(desk, told, paid_order, turn, ask):
    his, app, _ = told
    order_no = await paid_order()
    await turn()
    assert len(await ask(f"/seen/{his}")) == 1
    assert await ask(f"/seen/{app}") == []
    assert [each.topic for each in await of_order(desk, order_no)] == ["payments.order_paid"]


async def test_a_dead_app_never_holds_up_the_hospital_and_every_try_is_kept(desk, told, paid_order, turn, ask):
    his, app, issued = told
    await ask(f"/answer/{app}/503", "POST")
    order_no = await paid_order(issued.service_channel_id)
    await turn()
    await turn(60)
    assert len(await ask(f"/seen/{his}")) == 1
    states = {
        each.topic: (each.state, [t.status for t in each.tries], each.next_at)
        for each in await of_order(desk, order_no)
    }
    assert states["payments.order_paid"][:2] == ("delivered", [200])
    assert states["payments.service_told"][:2] == ("pending", [503, 503])
    assert states["payments.service_told"][2] is not None
    await ask(f"/answer/{app}/200", "POST")
    await turn(3600)
    tries = next(each.tries for each in await of_order(desk, order_no) if each.topic == "payments.service_told")
    assert [(each.attempt, each.status, each.cause) for each in tries] == [
        (1, 503, "ACC-4001"),
        (2, 503, "ACC-4001"),
        (3, 200, ""),
    ]
    assert all(each.took_ms >= 0 for each in tries)


async def test_an_address_that_became_internal_is_not_called(desk, told, paid_order, ask):
    _, app, issued = told
    order_no = await paid_order(issued.service_channel_id)
    async with Outbound() as outbound:
        strict = webhooks.handlers(desk.db, desk.vault, outbound, destinations=Destinations(production=True))
        await Relay(desk.db, strict).deliver_due(now=clock.now())
    assert await ask(f"/seen/{app}") == []
    (failed,) = [each for each in await of_order(desk, order_no) if each.topic == "payments.service_told"]
    assert [(each.status, each.cause) for each in failed.tries] == [(0, "ACC-4002")]


async def test_a_silent_receiver_leaves_a_try_without_a_status(desk, told, paid_order, turn):
    async with desk.db.transaction() as connection:
        await registry.set_webhook(connection, "his-1", url="http://127.0.0.1:9/none")
    order_no = await paid_order()
    await turn()
    (message,) = await of_order(desk, order_no)
    assert [(each.status, each.cause) for each in message.tries] == [(0, "KIT-5002")]


async def test_while_a_key_changes_over_both_keys_sign(desk, told, paid_order, turn, ask):
    _, app, issued = told
    async with desk.db.transaction() as connection:
        fresh = await services.rotate(
            connection,
            desk.vault,
            issued.service_channel_id,
            grace_s=600,
            by=By(actor="op", request_id="r", now=clock.now()),
        )
    await paid_order(issued.service_channel_id)
    await turn()
    (seen,) = await ask(f"/seen/{app}")
    require_signed(seen, caller_id=issued.merchant_no, key_hex=fresh.key)
    require_signed(seen, caller_id=issued.merchant_no, key_hex=issued.key, header="ymt-authorization-before")


async def test_a_channel_that_is_off_or_has_no_address_is_told_nothing(desk, told, paid_order, turn, ask):
    _, app, issued = told
    order_no = await paid_order(issued.service_channel_id)
    async with desk.db.transaction() as connection:
        off = By(actor="op", request_id="r", now=clock.now())
        await services.switch(connection, issued.service_channel_id, on=False, by=off)
    await turn()
    assert await ask(f"/seen/{app}") == []
    assert [each.topic for each in await of_order(desk, order_no)] == ["payments.order_paid"]


async def test_a_parked_message_is_replayed_by_its_own_institution_alone(desk, told, paid_order, turn, ask):
    his, _, issued = told
    await ask(f"/answer/{his}/500", "POST")
    order_no = await paid_order(issued.service_channel_id)
    for _ in range(len(SCHEDULE_S) + 1):
        await turn(40_000)
        async with desk.db.transaction() as connection:
            await connection.exec_driver_sql("UPDATE kit_outbox SET next_at = now() WHERE state = 'pending'")
    (message,) = [each for each in await of_order(desk, order_no) if each.topic == "payments.order_paid"]
    assert (message.state, len(message.tries)) == ("parked", len(SCHEDULE_S) + 1)

    async def replay(scope, order=order_no, number=message.message_id):
        async with desk.db.transaction() as connection:
            return await service.replay(connection, order, number, scope=scope, now=clock.now())

    async with desk.db.read() as connection:
        foreign = Scope(institution_id="hospital-2", caller_id="his-2")
        waiting = [each.order_no for each in await queries.parked(connection, scope=OWN)]
        assert waiting.count(order_no) == 1
        assert list(await queries.parked(connection, scope=foreign)) == []
        assert await queries.parked_number(connection, scope=OWN) == len(waiting)
    with pytest.raises(OrderNotFound):
        await replay(foreign)
    with pytest.raises(DeliveryNotParked):
        await replay(OWN, number=message.message_id + 10_000)
    other = await paid_order()
    with pytest.raises(DeliveryNotParked):
        await replay(OWN, order=other)
    await ask(f"/answer/{his}/200", "POST")
    assert (await replay(OWN)).message_id == message.message_id
    with pytest.raises(DeliveryNotParked):
        await replay(OWN)
    await turn(1)
    (message,) = [each for each in await of_order(desk, order_no) if each.topic == "payments.order_paid"]
    assert message.state == "delivered"
    assert [each.attempt for each in message.tries] == list(range(1, len(SCHEDULE_S) + 3))


async def test_tries_of_one_message_at_once_are_all_kept_or_one_of_them(desk, told, paid_order):
    order_no = await paid_order()
    (pending,) = await of_order(desk, order_no)
    tried = service.Try(
        order_no=order_no,
        message_id=pending.message_id,
        topic="payments.order_paid",
        receiver="his-1",
        status=200,
        cause="",
        took_ms=1,
        at=clock.now(),
    )
    alone, shared = (desk.db.batch(service.record, items_max=most, lanes=5) for most in (1, 64))
    for _ in range(3):
        await alone.submit(tried)
    await asyncio.gather(*(alone.submit(tried) for _ in range(5)))
    before = len((await of_order(desk, order_no))[0].tries)
    await asyncio.gather(*(shared.submit(tried) for _ in range(5)))
    (message_told,) = await of_order(desk, order_no)
    numbers = [each.attempt for each in message_told.tries]
    assert numbers == list(range(1, len(numbers) + 1))
    assert before >= 4
    assert len(numbers) > before


def test_the_published_schedule_is_the_one_that_is_kept():
    page = (ROOT / "docs/spec/webhooks.md").read_text("utf-8")
    (printed,) = re.findall(r"Pauses between tries, in seconds: ([0-9, \n]+):", page)
    assert tuple(int(each) for each in printed.split(",")) == SCHEDULE_S
    assert sum(SCHEDULE_S) >= 24 * 3600
    rows = re.findall(r"^\| (\d+) \| ([\d ]+) \| ([\d ]+) \|$", page, re.MULTILINE)
    table = [tuple(int(cell.replace(" ", "")) for cell in row) for row in rows]
    passed = [sum(SCHEDULE_S[: number + 1]) for number in range(len(SCHEDULE_S))]
    assert table == [
        (number + 2, pause, after) for number, (pause, after) in enumerate(zip(SCHEDULE_S, passed, strict=True))
    ]
