"""Quick payment against the simulated bank on the wire: codes, tokens, and what goes wrong."""

from __future__ import annotations

import asyncio
import json
import secrets
from datetime import timedelta

import pytest
from msgspec.structs import replace
from quickpay_bank import bind, merchant_of

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound
from yimatong.payments.channels.abilities import TokenGiving
from yimatong.payments.channels.base import (
    PaymentChannel,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.quickpay.channel import QuickPay
from yimatong.payments.errors import BillNotReady, ChannelAlreadyPaid, ChannelRefused


class AtTheBank:
    """The adapter, a hospital, the platform, and a resident's agreement."""

    def __init__(self, world, outbound, agreement_no) -> None:
        self.world = world
        self.channel = QuickPay(outbound, f"{world.url}/bank")
        self.hospital, self.platform = merchant_of(world, "H0001"), merchant_of(world, "platform")
        self.agreement_no = agreement_no

    async def control(self, path, body=None):
        return await asyncio.to_thread(self.world.control, f"/control/quickpay/{path}", body)

    def intent(self, amount_fen=1234, *, token="", **more):
        facts = {
            "attempt_no": f"P{secrets.token_hex(10)}",
            "amount_fen": amount_fen,
            "description": "门诊缴费",
            "placed_at": clock.now(),
            "expires_at": clock.now() + timedelta(minutes=30),
            "notify_url": "http://127.0.0.1:9/notify",
            "scene": Scene.BARCODE if token else Scene.AGREEMENT,
            "auth_code": token,
            "agreement_no": "" if token else self.agreement_no,
        }
        return PaymentIntent(**(facts | more))

    async def start(self, intent):
        return await self.channel.start(self.hospital, intent, now=clock.now())

    async def query(self, intent):
        return await self.channel.query(self.hospital, placed(intent), now=clock.now())

    async def close(self, intent):
        await self.channel.close(self.hospital, placed(intent), now=clock.now())

    async def code_of(self, intent):
        return next(each["secret"] for each in await self.control("codes") if each["payment_no"] == intent.attempt_no)

    async def answered(self, intent):
        """Have the code sent and return the intent with it."""
        action = await self.start(intent)
        assert action.settled is None
        assert action.challenge == "138****8000"
        return replace(intent, answer=await self.code_of(intent))

    async def token(self, nonce="0a1b2c3d4e", *, ttl_s=60.0, checked=True):
        expires_at = clock.now() + timedelta(seconds=ttl_s)
        given = await self.channel.give_token(
            self.platform, agreement_no=self.agreement_no, nonce=nonce, expires_at=expires_at, now=clock.now()
        )
        if checked:
            await self.check(given.token, nonce)
        return given.token

    async def check(self, token, nonce="0a1b2c3d4e"):
        await self.channel.check_token(self.platform, token=token, nonce=nonce, now=clock.now())


def placed(intent):
    names = ("attempt_no", "amount_fen", "scene", "placed_at", "expires_at", "part")
    return PlacedPayment(**{name: getattr(intent, name) for name in names})


async def refused(work) -> str:
    with pytest.raises(ChannelRefused) as caught:
        await work
    return str(caught.value.facts["channel_code"])


@pytest.fixture(scope="module")
def agreement_no(world):
    return bind(world)


@pytest.fixture
async def bank(world, agreement_no):
    async with Outbound(read_s=1.0) as outbound:
        made = AtTheBank(world, outbound, agreement_no)
        await made.control("faults", {})
        await made.control("conditions", {"refund_settles_s": 0})
        yield made
        await made.control("faults", {})


def test_it_is_a_channel_that_gives_tokens(bank):
    channel: PaymentChannel = bank.channel
    assert isinstance(channel, TokenGiving)
    assert channel.scenes == {Scene.AGREEMENT, Scene.BARCODE}


async def test_a_code_is_sent_and_pays_once(bank):
    intent = await bank.answered(bank.intent())
    assert (await bank.query(intent)).status is PaymentStatus.PENDING
    assert (await bank.start(replace(intent, answer=""))).challenge  # asked for again: the same code
    assert await bank.code_of(intent) == intent.answer
    action = await bank.start(intent)
    assert action.settled is not None
    assert (action.settled.status, action.settled.amount_fen) == (PaymentStatus.SUCCEEDED, 1234)
    again = await bank.start(intent)
    assert again.settled == action.settled
    with pytest.raises(PartyOutcomeUnknown):
        await bank.start(replace(intent, answer=""))
    with pytest.raises(ChannelAlreadyPaid):
        await bank.close(intent)
    assert len([each for each in await bank.control("payments") if each["payment_no"] == intent.attempt_no]) == 1


async def test_a_wrong_code_has_one_try_and_the_number_stays_declined(bank):
    right = await bank.answered(bank.intent())
    wrong = f"{(int(right.answer) + 1) % 10**6:06d}"
    assert await refused(bank.start(replace(right, answer=wrong))) == "WRONG_CODE"
    assert (await bank.query(right)).status is PaymentStatus.FAILED
    with pytest.raises(PartyOutcomeUnknown):  # the number stands for another question
        await bank.start(right)
    assert (await bank.query(right)).status is PaymentStatus.FAILED


async def test_a_code_is_for_one_number_amount_and_agreement(bank):
    intent = await bank.answered(bank.intent())
    other = await bank.answered(bank.intent())
    assert await refused(bank.start(replace(intent, amount_fen=1235))) == "NO_CODE"
    assert await refused(bank.start(replace(other, attempt_no=f"P{secrets.token_hex(10)}"))) == "NO_CODE"
    assert (await bank.start(other)).settled is not None


async def test_nobody_types_the_code(bank, monkeypatch):
    intent = await bank.answered(bank.intent())
    late = clock.now() + timedelta(minutes=6)
    monkeypatch.setattr("yimatong.sandbox.settling.wire.clock", _Clock(late))
    found = await bank.channel.query(bank.hospital, placed(intent), now=late)
    assert found.status is PaymentStatus.FAILED


async def test_taken_back_while_the_code_is_typed(bank):
    intent = await bank.answered(bank.intent())
    await bank.close(intent)
    assert (await bank.query(intent)).status is PaymentStatus.CLOSED
    assert await refused(bank.start(intent)) == "REVOKED"


async def test_an_agreement_that_ended_and_a_card_without_money(bank, world):
    ended = bind(world)
    intent = bank.intent(agreement_no=ended)
    answered = await bank.answered(intent)
    await bank.control("money", {"agreement_no": ended, "left_fen": 1233})
    assert await refused(bank.start(answered)) == "FUNDS"
    answered = await bank.answered(bank.intent(agreement_no=ended, amount_fen=1233))
    assert (await bank.start(answered)).settled is not None
    waiting = await bank.answered(bank.intent(agreement_no=ended))
    await asyncio.to_thread(bind, world, ended)
    assert await refused(bank.start(waiting)) == "NO_AGREEMENT"
    assert await refused(bank.start(bank.intent(agreement_no=ended))) == "NO_AGREEMENT"
    given = bank.channel.give_token(
        bank.platform, agreement_no=ended, nonce="00", expires_at=clock.now() + timedelta(minutes=1), now=clock.now()
    )
    assert await refused(given) == "NO_AGREEMENT"


async def test_a_token_pays_once_whichever_hospital(bank):
    token = await bank.token()
    await bank.check(token)
    intent = bank.intent(token=token)
    assert (await bank.start(intent)).settled is not None
    assert (await bank.start(intent)).settled is not None  # the same question again: the same payment
    assert await refused(bank.start(bank.intent(token=token))) == "TOKEN_USED"
    assert await refused(bank.check(token)) == "TOKEN_REFUSED"


async def test_tokens_that_do_not_pay(bank):
    unchecked = await bank.token(checked=False)
    assert await refused(bank.start(bank.intent(token=unchecked))) == "TOKEN_NOT_CHECKED"
    assert await refused(bank.check(unchecked, "0a1b2c3d4f")) == "TOKEN_REFUSED"
    assert await refused(bank.start(bank.intent(token=unchecked))) == "TOKEN_NOT_CHECKED"
    assert await refused(bank.start(bank.intent(token="nobody-gave-it"))) == "TOKEN_UNKNOWN"
    stranger = bank.channel.check_token(bank.hospital, token=unchecked, nonce="0a1b2c3d4e", now=clock.now())
    assert await refused(stranger) == "TOKEN_REFUSED"
    short = await bank.token(ttl_s=1.5)
    await asyncio.sleep(1.6)
    assert await refused(bank.check(short)) == "TOKEN_REFUSED"
    assert await refused(bank.start(bank.intent(token=short))) == "TOKEN_EXPIRED"


@pytest.mark.parametrize(
    "fault", ["answer_5xx", "lost_answers", "garbage", "unsigned_answers", "wrong_signatures", "timeout_after_acting"]
)
@pytest.mark.parametrize("by", ["code", "token"])
async def test_a_missing_answer_is_unknown_and_the_query_tells(bank, fault, by):
    intent = await bank.answered(bank.intent()) if by == "code" else bank.intent(token=await bank.token())
    await bank.control("faults", {fault: 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await bank.start(intent)
    missing = PaymentStatus.PENDING if by == "code" else PaymentStatus.ABSENT
    assert (await bank.query(intent)).status is (missing if fault == "answer_5xx" else PaymentStatus.SUCCEEDED)
    assert (await bank.start(intent)).settled is not None


@pytest.mark.parametrize("fault", ["answer_5xx", "lost_answers", "garbage", "unsigned_answers", "wrong_signatures"])
async def test_a_missing_answer_to_a_challenge_or_a_token(bank, fault):
    intent = bank.intent()
    await bank.control("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await bank.start(intent)
    assert (await bank.start(intent)).challenge
    await bank.control("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await bank.token()
    token = await bank.token(checked=False)
    await bank.control("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await bank.check(token)
    await bank.check(token)
    await bank.control("faults", {"read_lag": 1})
    paid = bank.intent(token=token)
    await bank.start(paid)
    assert (await bank.query(paid)).status is PaymentStatus.PENDING
    assert (await bank.query(paid)).status is PaymentStatus.SUCCEEDED


async def test_money_goes_back_to_the_card(bank):
    await bank.control("money", {"agreement_no": bank.agreement_no, "left_fen": 1234})
    intent = bank.intent(token=await bank.token())
    await bank.start(intent)
    asked = RefundRequest(
        refund_no=f"R{secrets.token_hex(8)}", payment=placed(intent), refund_fen=1000, reason="退号",
        notify_url="http://127.0.0.1:9/notify", asked_at=clock.now(),
    )  # fmt: skip
    assert (await bank.channel.refund(bank.hospital, asked, now=clock.now())).status is RefundStatus.SUCCEEDED
    assert (await bank.channel.query_refund(bank.hospital, asked, now=clock.now())).refund_fen == 1000
    more = replace(asked, refund_no=f"R{secrets.token_hex(8)}", refund_fen=235)
    assert await refused(bank.channel.refund(bank.hospital, more, now=clock.now())) == "REFUND_TOO_MUCH"
    assert await refused(bank.start(bank.intent(1001, token=await bank.token()))) == "FUNDS"
    assert (await bank.start(bank.intent(1000, token=await bank.token()))).settled is not None
    await bank.control("money", {"agreement_no": bank.agreement_no, "left_fen": 10**8})


async def test_the_bill_of_a_day(bank, monkeypatch):
    intent = bank.intent(token=await bank.token())
    await bank.start(intent)
    today = clock.business_date(clock.now())
    with pytest.raises(BillNotReady):
        await bank.channel.bill(bank.hospital, today, now=clock.now())
    tomorrow = clock.now() + timedelta(days=1)
    monkeypatch.setattr("yimatong.sandbox.settling.wire.clock", _Clock(tomorrow))
    head, *lines = (await bank.channel.bill(bank.hospital, today, now=tomorrow)).splitlines()
    assert json.loads(head)["rows"] == len(lines)
    assert intent.attempt_no in {json.loads(line)["payment_no"] for line in lines}


class _Clock:
    """The simulator's clock at another time: it runs in this process, in a thread of its own."""

    def __init__(self, moment) -> None:
        self.moment = moment

    def now(self):
        return self.moment
