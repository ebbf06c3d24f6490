"""What the worker does for the exchange: note who is due, upload, ask for notices, do them, watch.

Of several workers one does it at a time (a lock of the session, with no transaction open), so that the pace is the
whole platform's. Nothing is called inside a transaction: a message is written down and committed, sent, and its
answer kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

import msgspec

from yimatong.crypto.vault import Vault
from yimatong.empi.errors import NationalAnswerUnreadable, NationalRefusesUs
from yimatong.empi.national import messages, queries, reading, receiving, service
from yimatong.empi.national.schemas import Answer, Names, National
from yimatong.empi.national.service import Claimed
from yimatong.kit import alarms
from yimatong.kit.db import Database
from yimatong.kit.errors import PartyOutcomeUnknown, PlatformError, Unavailable

LOCK: Final = "empi.national"
NOTE_AT_ONCE: Final = 500
EVERYBODY_AT_ONCE: Final = 5000
SEND_AT_ONCE: Final = 50
CALLS_AT_ONCE: Final = 8
NOTICES_AT_ONCE: Final = 50

Outcome = Answer | PlatformError


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """What the exchange needs; ``per_s``: messages a second at most."""

    db: Database
    vault: Vault
    national: National
    names: Names
    per_s: float


async def run(exchange: Exchange, *, now: datetime, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> int:
    """Do one round of everything; return how much was done. Of several processes one does, the others return 0."""
    async with exchange.db.alone(LOCK) as mine:
        if not mine:
            return 0
        noted = await note(exchange, now=now)
        began = asyncio.get_running_loop().time()
        sent, settled = await upload(exchange, now=now)
        heard = await hear(exchange, now=now)
        done = await do_notices(exchange, now=now)
        spent = asyncio.get_running_loop().time() - began
        if sent:
            await sleep(max(sent / exchange.per_s - spent, 0.0))
        return noted + settled + heard + done


async def note(exchange: Exchange, *, now: datetime) -> int:
    """Note who is due: everybody once, then by the changes; return how many rows were looked at."""
    async with exchange.db.transaction() as connection:
        noted = await service.note_everybody(connection, limit=EVERYBODY_AT_ONCE, now=now)
    async with exchange.db.transaction() as connection:
        return noted + await service.note_changes(connection, limit=NOTE_AT_ONCE, now=now)


async def upload(exchange: Exchange, *, now: datetime) -> tuple[int, int]:
    """Send a batch; return how many messages left, and of how many the outcome is known.

    After the first call that reaches nobody the rest of the batch is not tried: it is due as before.
    """
    sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
    async with exchange.db.transaction() as connection:
        claimed = await service.claim(
            connection, exchange.vault, exchange.names, sealer=sealer, blinder=blinder, limit=_batch(exchange), now=now
        )
    if not claimed:
        return 0, 0
    outcomes = await _send(exchange, claimed)
    settled = 0
    for item, outcome in zip(claimed, outcomes, strict=True):
        sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
        async with exchange.db.transaction() as connection:
            if isinstance(outcome, Answer):
                await service.settle(connection, item, outcome, sealer=sealer, blinder=blinder, now=now)
                settled += 1
            elif isinstance(outcome, Unavailable):
                await service.not_sent(connection, item, now=now)
            else:
                await service.unknown(connection, item, now=now)
    refusal = next((each for each in outcomes if isinstance(each, NationalRefusesUs)), None)
    if refusal is not None:
        await _tell(exchange, refusal, now=now)
    return len(claimed), settled


def _batch(exchange: Exchange) -> int:
    return max(1, min(SEND_AT_ONCE, int(exchange.per_s)))


async def _send(exchange: Exchange, claimed: list[Claimed]) -> list[Outcome]:
    """Send messages, a few at once; one that was never tried is answered with what stopped the others."""
    free = asyncio.Semaphore(CALLS_AT_ONCE)
    stopped: list[Unavailable] = []

    async def one(item: Claimed) -> Outcome:
        async with free:
            if stopped:
                return stopped[0]
            outcome = await _call(exchange, item)
            if isinstance(outcome, Unavailable):
                stopped.append(outcome)
            return outcome

    return list(await asyncio.gather(*(one(item) for item in claimed)))


async def _call(exchange: Exchange, item: Claimed) -> Outcome:
    try:
        text = await exchange.national.call(messages.INTERACTIONS[item.action][0], item.message)
        answer = reading.answer(text, exchange.names)
    except (Unavailable, PartyOutcomeUnknown) as error:
        return error
    except NationalAnswerUnreadable as error:
        return PartyOutcomeUnknown(party="national", audit=error.text("en"))
    if answer.message_id != item.message_id:
        return PartyOutcomeUnknown(party="national", audit="the answer to another message")
    return answer


async def hear(exchange: Exchange, *, now: datetime) -> int:
    """Ask for a page of notices and enter it; asking behind it the next time is what acknowledges it.

    Return how many notices came; 0 where the national index is away or says what cannot be read.
    """
    async with exchange.db.transaction() as connection:
        after = await receiving.place(connection, now=now)
    try:
        asked = messages.ask_notices(exchange.names, after=after, limit=NOTICES_AT_ONCE)
        text = await exchange.national.call(messages.ASK_NOTICES, asked)
        page = reading.page(text, exchange.names)
    except (Unavailable, PartyOutcomeUnknown):
        return 0
    except NationalAnswerUnreadable as error:
        await _tell(exchange, error, now=now)
        return 0
    if not page.notices:
        return 0
    sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
    async with exchange.db.transaction() as connection:
        return await receiving.receive(connection, exchange.vault, page, sealer=sealer, blinder=blinder, now=now)


async def do_notices(exchange: Exchange, *, now: datetime) -> int:
    """Do notices that wait, each in a transaction of its own; return how many were done."""
    async with exchange.db.transaction() as connection:
        found = await receiving.waiting(connection, limit=NOTICES_AT_ONCE, now=now)
    done = 0
    for notice_id in found:
        sealer, blinder = await exchange.vault.sealer(), await exchange.vault.blinder()
        try:
            async with exchange.db.transaction() as connection:
                applied = await receiving.apply(
                    connection, exchange.vault, notice_id, sealer=sealer, blinder=blinder, now=now
                )
            done += applied is not None
        except PlatformError as error:
            async with exchange.db.transaction() as connection:
                await receiving.failed(connection, notice_id, error, now=now)
    return done


async def watch(exchange: Exchange, *, now: datetime) -> int:
    """Raise the alarm when what waits longest has been waiting for more than an hour; return how many wait."""
    async with exchange.db.transaction() as connection:
        stands = await queries.progress(connection, now=now)
        count = stands.due + stands.sent + stands.unknown
        await service.watch(connection, oldest_due=stands.oldest_due, count=count, now=now)
    return count


async def _tell(exchange: Exchange, error: PlatformError, *, now: datetime) -> None:
    async with exchange.db.transaction() as connection:
        await alarms.raise_alarm(
            connection, kind="national-refuses", subject=error.code, detail=error.text("zh"), now=now
        )
