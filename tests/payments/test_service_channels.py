"""Service channels: whose they are, what an order may name, keys that are told once, count for a grace and die."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from yimatong.access import callers as registry
from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.access.callers import Institution
from yimatong.access.errors import WebhookAddressRefused
from yimatong.access.resealing import reseal
from yimatong.access.webhooks import Destinations
from yimatong.kit import clock
from yimatong.kit.models import audit_event
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.errors import (
    ChannelNotOffered,
    ProofWrong,
    ServiceChannelInvalid,
    ServiceChannelNotFound,
    ServiceChannelOff,
    TerminalExists,
    TerminalNotOfChannel,
)
from yimatong.payments.models import order
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, NewOrder
from yimatong.payments.resealing import PLACES
from yimatong.payments.service_channels import keyring, queries, service
from yimatong.payments.service_channels.keyring import Keyring
from yimatong.payments.service_channels.schemas import NewServiceChannel, ServiceChannelChange, Terminal
from yimatong.payments.service_channels.service import By

ANYWHERE = Destinations(production=False)
KNOWN = ("wechat", "alipay")
APP = Caller(caller_id="app-1", kind="app", name="APP", institution_id=None)


def by(now=None):
    return By(actor="op_1", request_id="req_1", now=now or clock.now())


@pytest.fixture(scope="module")
async def people(desk):
    """Two hospitals with their systems, and an app."""
    async with desk.db.transaction() as connection:
        for number, org in ((1, "435628013"), (2, "43562802X")):
            await registry.add_institution(
                connection,
                Institution(
                    institution_id=f"hospital-{number}",
                    name="医院",
                    kind="hospital",
                    org_code=org,
                    region_code="610100",
                ),
                now=clock.now(),
            )
        for caller_id, kind, own in (
            ("his-1", "institution", "hospital-1"),
            ("his-2", "institution", "hospital-2"),
            ("app-1", "app", None),
        ):
            await registry.enrol(
                connection,
                desk.vault,
                caller_id=caller_id,
                kind=kind,
                name=caller_id,
                institution_id=own,
                secret=bytes(32),
                now=clock.now(),
            )


@pytest.fixture
def register(desk, people):
    async def make(**change):
        facts = {
            "kind": "kiosk",
            "name": "自助机",
            "caller_id": "his-1",
            "institution_id": "hospital-1",
            "terminals": [
                Terminal(terminal_no="K01", name="大厅"),
                Terminal(terminal_no="K02", name="二楼", proof=True),
            ],
        }
        async with desk.db.transaction() as connection:
            return await service.register(
                connection,
                desk.vault,
                NewServiceChannel(**(facts | change)),
                destinations=ANYWHERE,
                known=KNOWN,
                by=by(),
            )

    return make


@pytest.fixture
def place_from(desk, callers):
    async def make(*, hospital=1, **facts):
        new = NewOrder(
            source_no=facts.pop("source_no", secrets.token_hex(8)),
            description="门诊缴费",
            items=[Item(name="西药费", amount_fen=1234)],
            amount_fen=1234,
            **facts,
        )
        async with desk.db.transaction() as connection:
            placed = await orders.place(connection, new, desk=desk, caller=callers.his(hospital), now=clock.now())
        async with desk.db.read() as connection:
            return (await connection.execute(select(order).where(order.c.order_no == placed.order_no))).one()

    return make


def proof_of(issued, key, *, terminal_no="", source_no="S1", amount_fen=1234):
    text = keyring.proof_text(
        merchant_no=issued.merchant_no, terminal_no=terminal_no, source_no=source_no, amount_fen=amount_fen
    )
    return keyring.proof(key, text)


async def test_an_order_carries_where_it_comes_from(register, place_from):
    issued = await register()
    row = await place_from(service_channel_id=issued.service_channel_id, terminal_no="K01")
    assert (row.service_channel_id, row.terminal_no) == (issued.service_channel_id, "K01")
    plain = await place_from()
    assert (plain.service_channel_id, plain.terminal_no) == (None, "")


@pytest.mark.parametrize(
    ("hospital", "facts", "error"),
    [
        (2, {"terminal_no": "K01"}, ServiceChannelNotFound),
        (1, {"terminal_no": "K09"}, TerminalNotOfChannel),
        (1, {"service_channel_id": "svc_" + "0" * 32}, ServiceChannelNotFound),
        (1, {"service_channel_id": None, "terminal_no": "K01"}, ServiceChannelNotFound),
        (1, {"service_channel_id": None, "proof": "0" * 64}, ServiceChannelNotFound),
        (1, {"terminal_no": "K02"}, ProofWrong),
        (1, {"terminal_no": "K01", "proof": "0" * 64}, ProofWrong),
        (1, {"proof": "0" * 64}, ProofWrong),
    ],
)
async def test_an_order_from_elsewhere_is_refused_by_name(register, place_from, hospital, facts, error):
    issued = await register()
    with pytest.raises(error):
        await place_from(hospital=hospital, **({"service_channel_id": issued.service_channel_id} | facts))


async def test_a_channel_that_is_off_takes_nothing_until_it_is_on(desk, register, place_from):
    issued = await register()
    for on in (False, True):
        async with desk.db.transaction() as connection:
            await service.switch(connection, issued.service_channel_id, on=on, by=by())
        if on:
            await place_from(service_channel_id=issued.service_channel_id)
        else:
            with pytest.raises(ServiceChannelOff):
                await place_from(service_channel_id=issued.service_channel_id)


async def test_a_terminals_proof_binds_amount_number_and_terminal(register, place_from):
    issued = await register()
    key = issued.terminal_keys["K02"]
    good = {"service_channel_id": issued.service_channel_id, "terminal_no": "K02", "source_no": "S1"}
    for wrong in (
        proof_of(issued, key, terminal_no="K01"),
        proof_of(issued, key, terminal_no="K02", source_no="S2"),
        proof_of(issued, key, terminal_no="K02", amount_fen=1),
        proof_of(issued, issued.key, terminal_no="K02"),
        proof_of(issued, issued.terminal_keys["K01"], terminal_no="K02"),
    ):
        with pytest.raises(ProofWrong):
            await place_from(**good, proof=wrong)
    await place_from(**good, proof=proof_of(issued, key, terminal_no="K02"))


async def test_a_rotated_key_counts_until_its_grace_is_over(desk, register, place_from):
    issued = await register()
    given = {"service_channel_id": issued.service_channel_id}

    async def rotate(grace_s, now):
        async with desk.db.transaction() as connection:
            return await service.rotate(connection, desk.vault, issued.service_channel_id, grace_s=grace_s, by=by(now))

    fresh = await rotate(3600, clock.now())
    assert fresh.key != issued.key
    for number, key in enumerate((issued.key, fresh.key)):
        source_no = f"R{number}"
        await place_from(**given, source_no=source_no, proof=proof_of(issued, key, source_no=source_no))
    third = await rotate(3600, clock.now() - timedelta(hours=2))
    for number, (key, fine) in enumerate(((issued.key, False), (fresh.key, False), (third.key, True))):
        source_no = f"T{number}"
        proof = proof_of(issued, key, source_no=source_no)
        if fine:
            await place_from(**given, source_no=source_no, proof=proof)
        else:
            with pytest.raises(ProofWrong):
                await place_from(**given, source_no=source_no, proof=proof)
    dead = await rotate(0, clock.now())
    assert dead.previous_until is None
    with pytest.raises(ServiceChannelInvalid):
        await rotate(service.GRACE_S_MAX + 1, clock.now())


async def test_terminals_come_and_go_with_their_keys(desk, register, place_from):
    issued = await register()
    service_channel_id = issued.service_channel_id

    async def act(verb, *words, **options):
        async with desk.db.transaction() as connection:
            return await verb(connection, desk.vault, service_channel_id, *words, **options, by=by())

    added = await act(service.put_terminal, Terminal(terminal_no="K03", name="三楼", proof=True))
    with pytest.raises(TerminalExists):
        await act(service.put_terminal, Terminal(terminal_no="K03", name="三楼"))
    with pytest.raises(TerminalNotOfChannel):
        await act(service.put_terminal, Terminal(terminal_no="K04", name="四楼"), again=True)
    changed = await act(service.put_terminal, Terminal(terminal_no="K03", name="三楼东", proof=True), again=True)
    facts = {"service_channel_id": service_channel_id, "terminal_no": "K03", "source_no": "S9"}
    with pytest.raises(ProofWrong):
        await place_from(**facts, proof=proof_of(issued, added.terminal_keys["K03"], terminal_no="K03", source_no="S9"))
    await place_from(**facts, proof=proof_of(issued, changed.terminal_keys["K03"], terminal_no="K03", source_no="S9"))
    after = await act(service.remove_terminal, "K03")
    assert [each.terminal_no for each in after.terminals] == ["K01", "K02"]
    with pytest.raises(TerminalNotOfChannel):
        await place_from(service_channel_id=service_channel_id, terminal_no="K03")
    with pytest.raises(TerminalNotOfChannel):
        await act(service.remove_terminal, "K03")


async def test_who_sees_what(desk, register):
    own = await register()
    apps = await register(kind="ios", caller_id="app-1", institution_id=None, terminals=[])
    async with desk.db.read() as connection:

        async def seen(scope):
            found = await queries.of(connection, scope=scope)
            return {each.service_channel_id for each in found.service_channels} & {
                own.service_channel_id,
                apps.service_channel_id,
            }

        assert await seen(PLATFORM) == {own.service_channel_id, apps.service_channel_id}
        assert await seen(Scope(institution_id="hospital-1", caller_id="his-1")) == {own.service_channel_id}
        assert await seen(Scope(institution_id="hospital-1", caller_id="term-1")) == {own.service_channel_id}
        assert await seen(Scope(institution_id="hospital-2", caller_id="his-2")) == set()
        assert await seen(APP.scope) == {apps.service_channel_id}
        with pytest.raises(ServiceChannelNotFound):
            await queries.find(connection, own.service_channel_id, scope=APP.scope)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"channels": ["barter"]}, ServiceChannelInvalid),
        ({"caller_id": "nobody"}, ServiceChannelInvalid),
        ({"institution_id": "nowhere"}, ServiceChannelInvalid),
        ({"caller_id": "his-2"}, ServiceChannelInvalid),
        ({"institution_id": None}, ServiceChannelInvalid),
        (
            {"terminals": [Terminal(terminal_no="A", name="a"), Terminal(terminal_no="A", name="b")]},
            ServiceChannelInvalid,
        ),
        ({"notify_url": "http://169.254.169.254/latest"}, WebhookAddressRefused),
        ({"notify_url": "ftp://example.com/"}, WebhookAddressRefused),
    ],
)
async def test_a_channel_that_makes_no_sense_is_not_registered(register, change, error):
    with pytest.raises(error):
        await register(**change)


async def test_only_its_payment_channels_are_taken(desk, register, place_from):
    issued = await register(channels=["alipay"])
    row = await place_from(service_channel_id=issued.service_channel_id)
    with pytest.raises(ChannelNotOffered):
        await cashier.start_attempt(
            desk, row.order_no, NewAttempt(channel="wechat", scene=Scene.NATIVE), now=clock.now()
        )
    async with desk.db.transaction() as connection:
        await service.change(
            connection,
            issued.service_channel_id,
            ServiceChannelChange(channels=["wechat"]),
            destinations=ANYWHERE,
            known=KNOWN,
            by=by(),
        )
    started = await cashier.start_attempt(
        desk, row.order_no, NewAttempt(channel="wechat", scene=Scene.NATIVE), now=clock.now()
    )
    assert started.qr_text


async def test_no_key_leaves_the_seal_and_every_verb_is_audited(desk, register):
    issued = await register()
    async with desk.db.read() as connection:
        row = await queries.row_of(connection, issued.service_channel_id, scope=PLATFORM)
        told = await connection.execute(select(audit_event).where(audit_event.c.object_id == issued.service_channel_id))
        rows = told.all()
    assert bytes.fromhex(issued.key) not in bytes(row.keys_sealed)
    assert issued.key not in str(row) + str(rows)
    assert issued.key not in str(queries.view(row))
    assert [each.action for each in rows] == ["service-channels:register"]
    assert any(place.name == "payments_service_channel.keys_sealed" for place in PLACES)
    assert await reseal(desk.db, desk.vault, PLACES, now=clock.now) == 0


@given(
    previous=st.booleans(),
    until=st.none() | st.integers(-100, 100),
)
def test_which_keys_count(previous, until):
    now = datetime(2026, 11, 23, tzinfo=UTC)
    ring = Keyring(key="a", previous="b" if previous else "")
    end = None if until is None else now + timedelta(seconds=until)
    kept = previous and until is not None and until > 0
    assert ring.counting(previous_until=end, now=now) == (["a", "b"] if kept else ["a"])
