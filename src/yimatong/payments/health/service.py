"""Storing what was counted, judging accounts, asking a sick one again, and an operator's word.

``flush`` runs in every process that calls channels, every few seconds, apart from any request. ``judge_all`` runs in
the worker; several may run at once, an account's row is locked while its standing changes. The one question that a sick
account is asked after its pause is about its newest attempt: asking moves no money.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import PLATFORM, Scope
from yimatong.kit import alarms, audit
from yimatong.kit.db import Connection, Database
from yimatong.kit.errors import PlatformError
from yimatong.payments import accounts, placed
from yimatong.payments.channels.base import ChannelAccount, PlacedPayment
from yimatong.payments.desk import Desk
from yimatong.payments.errors import AccountUnknown
from yimatong.payments.health import judging, queries
from yimatong.payments.health.judging import Mood
from yimatong.payments.health.queries import Judged
from yimatong.payments.health.tally import Tally
from yimatong.payments.log import PaymentsLog
from yimatong.payments.models import attempt, channel_account, channel_health, health_minute

ALARM: Final = "payments:channel_sick"
KEPT: Final = timedelta(days=7)
"""How long minutes are kept: long enough to look back at a week's troubles."""
_COUNTS: Final = ("ok", "refused", "silent", "ms_sum")


async def flush(db: Database, tally: Tally) -> int:
    """Store what was counted since the last flush by one statement; return how many rows it had.

    What cannot be stored is counted on and tried again with the next flush.

    Raises:
        DatabaseUnavailable: it was not stored.
    """
    taken = tally.take()
    if not taken:
        return 0
    rows = [place._asdict() | msgspec.structs.asdict(taken[place]) for place in sorted(taken)]
    put = insert(health_minute).values(rows)
    grown = {name: health_minute.c[name] + put.excluded[name] for name in _COUNTS}
    grown["ms_max"] = func.greatest(health_minute.c.ms_max, put.excluded.ms_max)
    try:
        async with db.transaction() as connection:
            await connection.execute(
                put.on_conflict_do_update(index_elements=["account_id", "minute", "verb"], set_=grown)
            )
    except BaseException:
        tally.put_back(taken)
        raise
    return len(rows)


async def judge_all(desk: Desk, *, now: datetime) -> int:
    """Judge every account that was called lately or is not well; ask those whose pause is over. Return the changes."""
    async with desk.db.read() as connection:
        found = await queries.to_judge(connection, now=now)
    changed = [each for each in found if judging.judge(each.standing, each.seen, now=now) != each.standing]
    trying = [each for each in changed if await _change(desk.db, each.account_id, now=now) is Mood.TRYING]
    for each in trying:
        await _ask(desk, each, now=now)
    async with desk.db.transaction() as connection:
        await connection.execute(delete(health_minute).where(health_minute.c.minute < now - KEPT))
    return len(changed)


async def _change(db: Database, account_id: str, *, now: datetime) -> Mood | None:
    """Judge one account again under its lock and keep what comes of it; return its new mood, None if it has none."""
    async with db.transaction() as connection:
        await queries.lock_account(connection, account_id)
        found = await queries.to_judge(connection, now=now, only=account_id)
        if not found:
            return None
        before = found[0].standing
        after = judging.judge(before, found[0].seen, now=now)
        if after == before:
            return None
        values = msgspec.structs.asdict(after) | {
            "mood": after.mood.value,
            "base_asked": found[0].this_minute.asked,
            "base_answered": found[0].this_minute.answered,
            "updated_at": now,
        }
        await connection.execute(
            insert(channel_health)
            .values(account_id=account_id, **values)
            .on_conflict_do_update(index_elements=["account_id"], set_=values)
        )
        if before.mood is Mood.WELL:
            await _alarm(connection, found[0], now=now)
    PaymentsLog.CHANNEL_MOOD.emit(account_id=account_id, mood=after.mood.value, pause_s=after.pause_s)
    return after.mood


async def _alarm(connection: Connection, judged: Judged, *, now: datetime) -> None:
    seen = judged.seen
    await alarms.raise_alarm(
        connection,
        kind=ALARM,
        subject=judged.account_id,
        detail=f"{judged.channel}: {seen.answered}/{seen.asked} 次得到应答 answered",
        now=now,
    )


async def _ask(desk: Desk, judged: Judged, *, now: datetime) -> None:
    """Ask an account that was sick about its newest attempt; what comes of it is counted by the watch."""
    newest = await _newest(desk, judged.account_id)
    if newest is None:
        return
    account, payment = newest
    try:
        await desk.channel(judged.channel).query(account, payment, now=now)
    except PlatformError as error:
        PaymentsLog.CHANNEL_SILENT.emit(account_id=judged.account_id, cause=error.code)


async def _newest(desk: Desk, account_id: str) -> tuple[ChannelAccount, PlacedPayment] | None:
    mine = select(attempt).where(attempt.c.account_id == account_id).limit(1)
    last_paid = mine.where(attempt.c.paid_at.is_not(None)).order_by(attempt.c.paid_at.desc())
    async with desk.db.read() as connection:
        row = (await connection.execute(last_paid)).first() or (await connection.execute(mine)).first()
        if row is None:
            return None
        account = await accounts.by_id(connection, desk.vault, account_id)
        return account, await placed.payment(connection, desk.vault, row)


async def pin(
    connection: Connection,
    account_id: str,
    word: str,
    *,
    scope: Scope = PLATFORM,
    actor: str,
    request_id: str,
    now: datetime,
) -> None:
    """Keep an operator's word: ``shown``, ``hidden``, or an empty text to leave it to what is measured.

    Raises:
        AccountUnknown: no such account in ``scope``.
    """
    known = select(channel_account.c.account_id).where(channel_account.c.account_id == account_id)
    if not scope.all_rows:
        known = known.where(channel_account.c.institution_id == scope.institution_id)
    if (await connection.execute(known)).first() is None:
        raise AccountUnknown(account_id=account_id)
    values = {"pin": word, "pinned_by": actor if word else "", "updated_at": now}
    await connection.execute(
        insert(channel_health)
        .values(account_id=account_id, since=now, **values)
        .on_conflict_do_update(index_elements=["account_id"], set_=values)
    )
    await audit.record(
        connection,
        actor=actor,
        action="channel-health:pin",
        object_kind="channel_account",
        object_id=account_id,
        request_id=request_id,
        now=now,
        detail=word or "measured",
    )
