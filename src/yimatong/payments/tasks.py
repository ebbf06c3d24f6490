"""What the worker does every second: attempts and refunds whose question is due, orders whose time to pay is over.

Each is claimed for ``_LEASE_S`` by its own due column and committed before a channel is called; a worker that dies
gives it back when the lease ends. Several workers may run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from yimatong.kit.errors import PlatformError
from yimatong.payments import asking, returning
from yimatong.payments.agreements import service as agreements
from yimatong.payments.desk import Desk
from yimatong.payments.errors import OrderNotClosable
from yimatong.payments.log import PaymentsLog

_LEASE_S: Final = 45
_MOST: Final = 20

_CLAIM_ATTEMPTS = text(
    """
    UPDATE payments_attempt SET next_ask_at = :lease, asks = asks + 1
    WHERE (order_no, attempt_no) IN (
        SELECT order_no, attempt_no FROM payments_attempt
        WHERE state IN ('started', 'unknown') AND next_ask_at <= :now
        ORDER BY next_ask_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING attempt_no
    """
)
_CLAIM_REFUNDS = text(
    """
    UPDATE payments_refund SET next_ask_at = :lease, asks = asks + 1
    WHERE (order_no, refund_no) IN (
        SELECT order_no, refund_no FROM payments_refund
        WHERE state IN ('requested', 'processing', 'unknown') AND next_ask_at <= :now
        ORDER BY next_ask_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING refund_no
    """
)
_CLAIM_AGREEMENTS = text(
    """
    UPDATE payments_agreement SET next_ask_at = :lease, asks = asks + 1
    WHERE agreement_id IN (
        SELECT agreement_id FROM payments_agreement
        WHERE state IN ('waiting', 'ending') AND next_ask_at <= :now
        ORDER BY next_ask_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING agreement_id
    """
)
_CLAIM_ORDERS = text(
    """
    UPDATE payments_order SET close_at = :lease, close_tries = close_tries + 1
    WHERE order_no IN (
        SELECT order_no FROM payments_order
        WHERE state IN ('created', 'paying', 'closing') AND close_at <= :now
        ORDER BY close_at LIMIT :most FOR UPDATE SKIP LOCKED)
    RETURNING order_no
    """
)
_CLOSE_LATER = text("UPDATE payments_order SET close_at = :at WHERE order_no = :order_no AND state = 'closing'")
_CLOSE_TRIES = text("SELECT close_tries FROM payments_order WHERE order_no = :order_no")


async def run_due(desk: Desk, *, now: datetime) -> int:
    """Follow up everything that is due at ``now``; return how many things were looked at."""
    done = 0
    done += await _each(desk, _CLAIM_ATTEMPTS, asking.ask_attempt, now=now)
    done += await _each(desk, _CLAIM_REFUNDS, returning.ask_refund, now=now)
    done += await _each(desk, _CLAIM_AGREEMENTS, _ask_agreement, now=now)
    done += await _each(desk, _CLAIM_ORDERS, _close, now=now)
    return done


async def _each(desk: Desk, claim: object, verb: Callable[..., Awaitable[None]], *, now: datetime) -> int:
    async with desk.db.transaction() as connection:
        rows = await connection.execute(
            claim,  # type: ignore[call-overload]  # one of the texts above
            {"now": now, "lease": now + timedelta(seconds=_LEASE_S), "most": _MOST},
        )
        numbers = [str(row[0]) for row in rows]
    await asyncio.gather(*(_one(verb, desk, number, now=now) for number in numbers))
    return len(numbers)


async def _one(verb: Callable[..., Awaitable[None]], desk: Desk, number: str, *, now: datetime) -> None:
    try:
        await verb(desk, number, now=now)
    except Exception as error:  # noqa: BLE001 -- one thing that fails never holds up its neighbours; the lease gives it back
        cause = f"{error.code} {error.audit}" if isinstance(error, PlatformError) else repr(error)
        PaymentsLog.FOLLOW_UP_FAILED.emit(number=number, cause=cause)


async def _ask_agreement(desk: Desk, agreement_id: str, *, now: datetime) -> None:
    await agreements.refresh(desk, agreement_id, now=now)


async def _close(desk: Desk, order_no: str, *, now: datetime) -> None:
    try:
        await asking.close_order(desk, order_no, now=now)
    except OrderNotClosable:
        return
    async with desk.db.transaction() as connection:
        tries = (await connection.execute(_CLOSE_TRIES, {"order_no": order_no})).scalar_one()
        await connection.execute(_CLOSE_LATER, {"order_no": order_no, "at": now + asking.pause(tries)})
