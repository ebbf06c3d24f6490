"""A payment code may be paid while it is reversed: its notice must not book what the reversal gives back."""

from __future__ import annotations

import dataclasses
import secrets
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from yimatong.access.caller import PLATFORM
from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments import asking, settlement
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Notice, PaymentStatus, Scene
from yimatong.payments.errors import ChannelAlreadyPaid
from yimatong.payments.notices import sharing
from yimatong.payments.orders import queries as orders


class Racing:
    """A channel in whose close other things happen first, or instead."""

    def __init__(self, channel: Any, meanwhile: Any, *, then: Exception | None = None) -> None:
        self._channel, self._meanwhile, self._then = channel, meanwhile, then

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    async def close(self, *told: Any, **more: Any) -> None:
        await self._meanwhile()
        if self._then is not None:
            raise self._then
        await self._channel.close(*told, **more)


@pytest.fixture
def racing(desk):
    def make(meanwhile: Any, then: Exception | None = None) -> Any:
        return dataclasses.replace(
            desk, channels=desk.channels | {"wechat": Racing(desk.channels["wechat"], meanwhile, then=then)}
        )

    return make


@pytest.fixture
async def waiting(desk, place, control) -> str:
    """An attempt by a payment code whose payer is asked for the password."""
    shown = await control("payment-codes", {"ends": "asks"})
    wanted = NewAttempt(channel="wechat", scene=Scene.BARCODE, auth_code=shown["auth_code"])
    begun = await cashier.start_attempt(desk, await place(), wanted, at_counter=True, now=clock.now())
    return str(begun.attempt_no)


async def stands(desk, attempt_no: str) -> tuple[str, str, int]:
    """Return the order's state, the attempt's, and how many movements there are."""
    order_no = attempt_no[:-3]
    async with desk.db.read() as connection:
        found = await orders.find(connection, order_no, scope=PLATFORM)
        tried = await connection.execute(
            text("SELECT state FROM payments_attempt WHERE attempt_no = :a"), {"a": attempt_no}
        )
        moved = await connection.execute(
            text("SELECT count(*) FROM payments_ledger_transaction WHERE order_no = :o"), {"o": order_no}
        )
        return found.state, tried.scalar_one(), moved.scalar_one()


@pytest.fixture
async def told(waiting, said) -> Notice:
    """The notice that the attempt was paid."""
    return Notice(notice_id=secrets.token_hex(8), payment=said(waiting))


async def test_a_notice_that_overtakes_the_reversal_books_nothing(desk, told, racing, account, control):
    where, waiting = await account(), told.payment.attempt_no
    asked: list[bool] = []

    async def paid_and_told() -> None:
        await control("pay", {"out_trade_no": waiting})
        word = sharing.Word(account=where, told=told, found=told.payment, now=clock.now())
        assert not await sharing.shared(desk.db, desk.vault).settlements.tried(word)
        with pytest.raises(settlement.AskFirst):
            await settlement.settle_notice(desk.db, where, told, now=clock.now())
        with pytest.raises(PartyOutcomeUnknown):
            await asking.confirm(desk, waiting, paid_at=clock.now(), now=clock.now())
        await asking.ask_attempt(desk, waiting, now=clock.now())
        asked.append(True)

    await asking.close_attempt(racing(paid_and_told), waiting, now=clock.now())
    assert asked
    assert await stands(desk, waiting) == ("created", "failed", 0)
    found = await desk.channel("wechat").query(where, (await asking._attempt(desk, waiting)).placed, now=clock.now())
    assert found.status is PaymentStatus.CLOSED


async def test_a_reversal_that_never_arrived_leaves_a_payment_that_is_booked_later(desk, waiting, racing, control):
    now = clock.now()

    async def pays() -> None:
        await control("pay", {"out_trade_no": waiting})

    lost = racing(pays, PartyOutcomeUnknown(party="wechat"))
    await asking.close_attempt(lost, waiting, now=now - timedelta(seconds=200))
    assert await stands(desk, waiting) == ("paying", "started", 0)
    await asking.ask_attempt(desk, waiting, now=now + timedelta(seconds=99))
    assert await stands(desk, waiting) == ("paying", "started", 0)
    await asking.ask_attempt(desk, waiting, now=now + timedelta(seconds=101))
    assert await stands(desk, waiting) == ("paid", "succeeded", 1)


async def test_what_the_channel_does_not_reverse_is_paid_at_once(desk, waiting, racing, control):
    async def pays() -> None:
        await control("pay", {"out_trade_no": waiting})

    await asking.close_attempt(racing(pays, ChannelAlreadyPaid()), waiting, now=clock.now())
    assert await stands(desk, waiting) == ("paid", "succeeded", 1)


async def test_one_that_was_paid_before_is_not_reversed(desk, waiting, account, said, monkeypatch):
    where, noted = await account(), asking._taking_back

    async def late(*told: Any, **more: Any) -> bool:
        await settlement.settle(desk.db, where, said(waiting), cause="query", now=clock.now())
        return await noted(*told, **more)

    monkeypatch.setattr(asking, "_taking_back", late)
    await asking.close_attempt(desk, waiting, now=clock.now())
    assert await stands(desk, waiting) == ("paid", "succeeded", 1)
    found = await desk.channel("wechat").query(where, (await asking._attempt(desk, waiting)).placed, now=clock.now())
    assert found.status is PaymentStatus.PENDING  # nothing was sent
