from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.kit import clock
from yimatong.kit.clock import business_date
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import BillLine, Insured, PresettledPart, PresettleRequest, Presettling
from yimatong.payments.channels.base import (
    BillKind,
    ChannelAccount,
    Part,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.ncms import transformers as wire
from yimatong.payments.channels.ncms.channel import CooperativeMedical
from yimatong.payments.errors import (
    AccountUnusable,
    BillNotOffered,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
)

EXAMPLES = int(os.environ.get("YMT_FUZZ_EXAMPLES", "150"))


@pytest.fixture(scope="module")
def agency(world) -> ChannelAccount:
    secret = secrets.token_hex(32)
    hospital = {"app_id": "ncms-hospital-1", "secret": secret, "institution": "61010001"}
    world.control("/control/ncms/hospitals", hospital)
    return ChannelAccount(
        account_id="ncms-1",
        institution_id="hospital-1",
        channel="ncms",
        merchant_id="61010001",
        app_id="ncms-hospital-1",
        secrets={"secret": Secret(secret)},
    )


@pytest.fixture(autouse=True)
def _quiet(world):
    yield
    world.control("/control/ncms/faults", {})


@pytest.fixture
async def cooperative(world) -> AsyncIterator[CooperativeMedical]:
    async with Outbound(read_s=1.0) as outbound:
        yield CooperativeMedical(outbound, f"{world.url}/ncms")


@pytest.fixture
def tell(world):
    async def call(path: str, body: object = None) -> object:
        return await asyncio.to_thread(world.control, f"/control/ncms/{path}", body)

    return call


def request_of(amount_fen: int = 10_000, name: str = "王小明") -> PresettleRequest:
    number = f"P{secrets.randbelow(10**20):020d}"
    return PresettleRequest(
        leg_no=f"{number}L01",
        order_no=number,
        institution_id="hospital-1",
        visit_no="V1",
        description="门诊缴费",
        lines=(BillLine(name="西药费", amount_fen=amount_fen),),
        amount_fen=amount_fen,
        insured=Insured(name=name, id_type="01", id_number=f"6101{secrets.randbelow(10**14):014d}"),
        placed_at=clock.now(),
    )


def intent_of(request: PresettleRequest, part: PresettledPart, sequence: int = 1) -> PaymentIntent:
    return PaymentIntent(
        attempt_no=f"{request.order_no}A{sequence:02d}",
        amount_fen=part.amount_fen,
        description="门诊缴费",
        expires_at=clock.now() + timedelta(minutes=30),
        notify_url="",
        scene=Scene.DIRECT,
        placed_at=clock.now(),
        part=Part.INSURANCE,
        references=part.references,
        components=part.components,
    )


def placed_of(intent: PaymentIntent) -> PlacedPayment:
    names = ("attempt_no", "amount_fen", "scene", "placed_at", "expires_at", "part", "references")
    return PlacedPayment(**{name: getattr(intent, name) for name in names})


def refund_of(payment: PlacedPayment, number: int = 1, **parts: int) -> RefundRequest:
    return RefundRequest(
        refund_no=f"{payment.attempt_no[:21]}R{number:02d}",
        payment=payment,
        refund_fen=sum(parts.values()),
        reason="退费",
        notify_url="",
        asked_at=clock.now(),
        components=parts,
    )


async def presettled(cooperative, agency, amount_fen: int = 10_000):
    request = request_of(amount_fen)
    part = await cooperative.presettle(agency, request, now=clock.now())
    return request, part, intent_of(request, part)


async def test_whole_life(cooperative, agency, tell):
    assert isinstance(cooperative, Presettling)
    request, part, intent = await presettled(cooperative, agency)
    assert (part.amount_fen, part.components) == (8000, {"fund_fen": 6000, "account_fen": 2000})
    assert await cooperative.presettle(agency, request, now=clock.now()) == part
    placed = placed_of(intent)
    assert (await cooperative.query(agency, placed, now=clock.now())).status is PaymentStatus.ABSENT
    first = await cooperative.start(agency, intent, now=clock.now())
    assert await cooperative.start(agency, intent, now=clock.now()) == first
    assert (first.settled.status, first.settled.components) == (PaymentStatus.SUCCEEDED, part.components)
    assert await cooperative.query(agency, placed, now=clock.now()) == first.settled
    with pytest.raises(ChannelAlreadyPaid):
        await cooperative.close(agency, placed, now=clock.now())
    back = refund_of(placed, 1, fund_fen=6000)
    assert (await cooperative.query_refund(agency, back, now=clock.now())).status is RefundStatus.ABSENT
    done = await cooperative.refund(agency, back, now=clock.now())
    assert (done.status, done.refund_fen) == (RefundStatus.SUCCEEDED, 6000)
    assert await cooperative.refund(agency, back, now=clock.now()) == done
    assert await cooperative.query_refund(agency, back, now=clock.now()) == done
    for parts in ({"fund_fen": 1}, {"account_fen": 2001}):
        with pytest.raises(ChannelRefused):
            await cooperative.refund(agency, refund_of(placed, 2, **parts), now=clock.now())
    after = await cooperative.query(agency, placed, now=clock.now())
    assert (after.status, after.amount_fen) == (PaymentStatus.REFUNDED, 8000)
    known = next(each for each in await tell("members") if each["id_number"] == request.insured.id_number)
    assert known["account_fen"] == 28_000


@pytest.mark.parametrize("amount_fen", [1, 3, 101, 1_000_003])
async def test_parts_add_up(cooperative, agency, amount_fen):
    _, part, _ = await presettled(cooperative, agency, amount_fen)
    assert sum(part.components.values()) == part.amount_fen <= amount_fen
    assert part.components.get("account_fen", 0) <= 30_000


async def test_who_is_no_member_is_refused(cooperative, agency):
    with pytest.raises(ChannelRefused) as refused:
        await cooperative.presettle(agency, request_of(name="假名字"), now=clock.now())
    assert refused.value.facts["channel_code"] == "NOT_A_MEMBER"


async def test_lost_answers_are_found_by_asking(cooperative, agency, tell):
    _, part, intent = await presettled(cooperative, agency)
    placed = placed_of(intent)
    await tell("faults", {"lost_answers": 1, "hang_s": 1.5, "path": "settle"})
    with pytest.raises(PartyOutcomeUnknown):
        await cooperative.start(agency, intent, now=clock.now())
    await tell("faults", {"read_lag": 1})
    assert (await cooperative.query(agency, placed, now=clock.now())).status is PaymentStatus.ABSENT
    assert (await cooperative.query(agency, placed, now=clock.now())).components == part.components


class Twice:
    """A line that sends every question to settle or refund twice, and hands on the second answer."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound

    async def send(self, party: str, method: str, url: str, **more: Any) -> Answer:
        if url.endswith(("/settle", "/refund")):
            await self._outbound.send(party, method, url, **more)
        return await self._outbound.send(party, method, url, **more)


async def test_a_question_that_came_twice_is_not_a_refusal(cooperative, agency, world):
    """The agency acts on the first copy and declines the second: the money is settled. Found by the payments drill."""
    async with Outbound(read_s=1.0) as outbound:
        doubling = CooperativeMedical(Twice(outbound), f"{world.url}/ncms")
        _, part, intent = await presettled(cooperative, agency)
        with pytest.raises(PartyOutcomeUnknown):
            await doubling.start(agency, intent, now=clock.now())
        placed = placed_of(intent)
        found = await cooperative.query(agency, placed, now=clock.now())
        assert (found.status, found.components) == (PaymentStatus.SUCCEEDED, part.components)
        back = refund_of(placed, **part.components)
        with pytest.raises(PartyOutcomeUnknown):
            await doubling.refund(agency, back, now=clock.now())
        again = await cooperative.refund(agency, back, now=clock.now())
        assert again.refund_fen == part.amount_fen


async def test_what_is_closed_before_it_comes_is_refused_when_it_comes(cooperative, agency):
    _, _, intent = await presettled(cooperative, agency)
    placed = placed_of(intent)
    await cooperative.close(agency, placed, now=clock.now())
    assert (await cooperative.start(agency, intent, now=clock.now())).settled.status is PaymentStatus.CLOSED
    assert (await cooperative.query(agency, placed, now=clock.now())).status is PaymentStatus.CLOSED


async def test_one_claim_is_settled_by_one_attempt(cooperative, agency):
    request, part, intent = await presettled(cooperative, agency)
    await cooperative.start(agency, intent, now=clock.now())
    with pytest.raises(ChannelRefused) as refused:
        await cooperative.start(agency, intent_of(request, part, 2), now=clock.now())
    assert refused.value.facts["channel_code"] == "CLAIM_SETTLED"


async def test_another_split_is_refused_or_taken_back(cooperative, agency, tell):
    for fault in ("refuses_split", "split_changes"):
        _, _, intent = await presettled(cooperative, agency)
        await tell("faults", {fault: 1})
        with pytest.raises(ChannelRefused) as refused:
            await cooperative.start(agency, intent, now=clock.now())
        assert refused.value.facts["channel_code"] == "SPLIT_CHANGED"
        left = (await cooperative.query(agency, placed_of(intent), now=clock.now())).status
        assert left in (PaymentStatus.ABSENT, PaymentStatus.CLOSED)
    _, _, intent = await presettled(cooperative, agency)
    with pytest.raises(ChannelRefused):
        await cooperative.start(agency, msgspec.structs.replace(intent, amount_fen=1), now=clock.now())


async def test_another_split_that_cannot_surely_be_taken_back_is_unknown(cooperative, agency, tell):
    _, _, intent = await presettled(cooperative, agency)
    await tell("faults", {"split_changes": 1, "lost_cancels": 1})
    with pytest.raises(PartyOutcomeUnknown):
        await cooperative.start(agency, intent, now=clock.now())
    placed = placed_of(intent)
    assert (await cooperative.query(agency, placed, now=clock.now())).amount_fen != intent.amount_fen
    await cooperative.close(agency, placed, now=clock.now())
    assert (await cooperative.query(agency, placed, now=clock.now())).status is PaymentStatus.CLOSED


async def test_settling_later_and_failing_refunds(cooperative, agency, tell):
    _, _, intent = await presettled(cooperative, agency)
    await tell("faults", {"settles_later": 1})
    assert (await cooperative.start(agency, intent, now=clock.now())).settled.status is PaymentStatus.PENDING
    await tell("finish", {"attempt_no": intent.attempt_no})
    placed = placed_of(intent)
    assert (await cooperative.query(agency, placed, now=clock.now())).status is PaymentStatus.SUCCEEDED
    await tell("faults", {"refund_fails": 1})
    failed = await cooperative.refund(agency, refund_of(placed, fund_fen=5), now=clock.now())
    assert failed.status is RefundStatus.CLOSED
    wrong = msgspec.structs.replace(refund_of(placed, 2, fund_fen=5), refund_fen=6)
    with pytest.raises(ChannelRefused):
        await cooperative.refund(agency, wrong, now=clock.now())


@pytest.mark.parametrize("fault", ["answer_5xx", "garbage", "wrong_signatures"])
async def test_what_is_not_signed_is_not_believed(cooperative, agency, tell, fault):
    _, _, intent = await presettled(cooperative, agency)
    for ask in (cooperative.start, cooperative.query):
        await tell("faults", {fault: 1})
        with pytest.raises(PartyOutcomeUnknown):
            await ask(agency, intent if ask == cooperative.start else placed_of(intent), now=clock.now())


async def test_busy_and_unusable(cooperative, agency, tell):
    _, _, intent = await presettled(cooperative, agency)
    await tell("faults", {"busy": 1})
    with pytest.raises(ChannelBusy):
        await cooperative.start(agency, intent, now=clock.now())
    for secret in ({}, {"secret": Secret("")}, {"secret": Secret("no hex")}):
        poor = msgspec.structs.replace(agency, secrets=secret)
        with pytest.raises(AccountUnusable):
            await cooperative.start(poor, intent, now=clock.now())
    stranger = msgspec.structs.replace(agency, secrets={"secret": Secret("00" * 32)})
    with pytest.raises(PartyOutcomeUnknown):
        await cooperative.start(stranger, intent, now=clock.now())
    with pytest.raises(NoticeNotGenuine):
        cooperative.read_notice(agency, {}, b"{}", now=clock.now())


async def test_the_bill_of_a_day(cooperative, agency, tell):
    day = business_date(clock.now())
    _, part, intent = await presettled(cooperative, agency)
    await cooperative.start(agency, intent, now=clock.now())
    await cooperative.refund(agency, refund_of(placed_of(intent), fund_fen=7), now=clock.now())
    with pytest.raises(BillNotReady):
        await cooperative.bill(agency, day, now=clock.now())
    with pytest.raises(BillNotOffered):
        await cooperative.bill(agency, day, kind=BillKind.FUNDS, now=clock.now())
    await tell("close-day", {"date": day.isoformat()})
    rows = [json.loads(line) for line in (await cooperative.bill(agency, day, now=clock.now())).splitlines()]
    own = [row for row in rows if row["attempt_no"] == intent.attempt_no]
    assert [(row["kind"], row["fund_fen"]) for row in own] == [
        ("settlement", part.components["fund_fen"]),
        ("refund", 7),
    ]


TEXT = st.text(max_size=8)
JSONS = st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda inner: st.lists(inner, max_size=3))
NAMES = ("attempt_no", "state", "claim_no", "settlement_no", "fund_fen", "account_fen", "settled_at", "leg_no")


@given(st.dictionaries(st.sampled_from(NAMES), JSONS) | st.binary(max_size=40))
@settings(max_examples=EXAMPLES, deadline=None)
def test_answers_of_any_shape_raise_one_named_error(told):
    body = told if isinstance(told, bytes) else json.dumps(told).encode()
    account = ChannelAccount(
        account_id="a", institution_id="i", channel="ncms", merchant_id="m", app_id="p", secrets={}
    )
    try:
        found = wire.standing(account, body, "A", "C")
    except wire.Garbled:
        return
    assert found.amount_fen == sum(found.components.values())
    assert found.attempt_no == "A"


@given(st.integers(-5, 100), st.integers(-5, 100), st.integers(-5, 100), st.integers(-5, 100))
def test_a_presettlement_adds_up_or_is_refused(total, fund, account, own):
    request = msgspec.structs.replace(request_of(50), leg_no="L", amount_fen=50)
    told = {
        "claim_no": "C",
        "leg_no": "L",
        "member_no": "M",
        "total_fen": total,
        "fund_fen": fund,
        "account_fen": account,
        "own_fen": own,
    }
    adds_up = total == 50 and min(fund, account, own) >= 0 and fund + account + own == 50
    try:
        part = wire.presettled(json.dumps(told).encode(), request)
    except wire.Garbled:
        assert not adds_up
        return
    assert adds_up
    assert part.amount_fen == fund + account
