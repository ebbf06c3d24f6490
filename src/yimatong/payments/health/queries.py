"""Every SELECT of channel health."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, false, func, or_, select, true

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.payments.health import judging
from yimatong.payments.health.judging import WINDOW, Mood, Seen, Standing
from yimatong.payments.health.schemas import AccountHealth, ChannelsHealth, Minute
from yimatong.payments.models import channel_account, channel_health, health_minute

BILL: Final = "bill"
"""A nightly download says little of whether payers can pay."""


async def hidden(connection: Connection, institution_id: str) -> frozenset[str]:
    """Return the channels of an institution that the cashier does not offer now."""
    rows = await connection.execute(
        select(channel_account.c.channel)
        .join(channel_health, channel_health.c.account_id == channel_account.c.account_id)
        .where(
            channel_account.c.institution_id == institution_id,
            or_(channel_health.c.pin == "hidden", (channel_health.c.pin == "") & (channel_health.c.mood == Mood.SICK)),
        )
    )
    return frozenset(rows.scalars())


async def of(
    connection: Connection, *, scope: Scope, now: datetime, institution_id: str = "", channel: str = ""
) -> ChannelsHealth:
    """Return how merchant accounts in ``scope`` stand, by institution and channel; optionally some of them."""
    query = (
        select(
            channel_account.c.account_id,
            channel_account.c.institution_id,
            channel_account.c.channel,
            channel_account.c.state,
            func.coalesce(channel_health.c.mood, Mood.WELL.value).label("mood"),
            func.coalesce(channel_health.c.pin, "").label("pin"),
            channel_health.c.since,
            channel_health.c.try_at,
        )
        .outerjoin(channel_health, channel_health.c.account_id == channel_account.c.account_id)
        .where(_within(scope))
        .order_by(channel_account.c.institution_id, channel_account.c.channel)
    )
    if institution_id:
        query = query.where(channel_account.c.institution_id == institution_id)
    if channel:
        query = query.where(channel_account.c.channel == channel)
    rows: list[Row[Any]] = list(await connection.execute(query))
    counted = await minutes(connection, {row.account_id for row in rows}, since=now - WINDOW)
    return ChannelsHealth(
        window_s=int(WINDOW.total_seconds()), accounts=[_health(row, counted.get(row.account_id, [])) for row in rows]
    )


async def minutes(connection: Connection, ids: Collection[str], *, since: datetime) -> dict[str, list[Minute]]:
    """Return the minutes from that of ``since`` on, oldest first, by account; one without calls is left out."""
    rows = await connection.execute(
        select(
            health_minute.c.account_id,
            health_minute.c.minute,
            *(func.sum(health_minute.c[name]).label(name) for name in ("ok", "refused", "silent", "ms_sum")),
            func.max(health_minute.c.ms_max).label("ms_max"),
        )
        .where(
            health_minute.c.account_id.in_(ids), health_minute.c.minute >= whole(since), health_minute.c.verb != BILL
        )
        .group_by(health_minute.c.account_id, health_minute.c.minute)
        .order_by(health_minute.c.minute)
    )
    found: dict[str, list[Minute]] = defaultdict(list)
    for row in rows:
        found[row.account_id].append(
            Minute(minute=row.minute, **{name: int(getattr(row, name)) for name in Minute.__struct_fields__[1:]})
        )
    return dict(found)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """An account with its standing and what was seen of it since; ``this_minute`` is the base of a new standing."""

    account_id: str
    channel: str
    standing: Standing
    seen: Seen
    this_minute: Seen


async def to_judge(connection: Connection, *, now: datetime, only: str = "") -> list[Judged]:
    """Return every account that was called within the window or is not well; with ``only`` that one."""
    called = select(health_minute.c.account_id).where(health_minute.c.minute >= whole(now - WINDOW))
    query = select(channel_account.c.account_id, channel_account.c.channel, *_STANDING).outerjoin(
        channel_health, channel_health.c.account_id == channel_account.c.account_id
    )
    if only:
        query = query.where(channel_account.c.account_id == only)
    else:
        query = query.where(or_(channel_health.c.mood != Mood.WELL, channel_account.c.account_id.in_(called)))
    rows = (await connection.execute(query.order_by(channel_account.c.account_id))).all()
    counted = await minutes(connection, {row.account_id for row in rows}, since=now - WINDOW)
    return [_judged(row, counted.get(row.account_id, []), now=now) for row in rows]


async def lock_account(connection: Connection, account_id: str) -> None:
    """Let whoever judges an account do so alone until the transaction ends."""
    await connection.execute(
        select(channel_account.c.account_id).where(channel_account.c.account_id == account_id).with_for_update()
    )


_STANDING: Final = tuple(
    channel_health.c[name] for name in ("mood", "since", "pause_s", "try_at", "base_asked", "base_answered")
)


def _judged(row: Row[Any], counted: Sequence[Minute], *, now: datetime) -> Judged:
    known = row.mood is not None
    standing = (
        Standing(mood=Mood(row.mood), since=row.since, pause_s=row.pause_s, try_at=row.try_at)
        if known
        else judging.first(now - WINDOW)
    )
    begin = whole(max(standing.since, now - WINDOW))
    seen = _seen([each for each in counted if each.minute >= begin])
    if known and begin == whole(standing.since):
        seen = Seen(
            asked=max(seen.asked - row.base_asked, 0),
            answered=max(min(seen.answered - row.base_answered, seen.asked - row.base_asked), 0),
        )
    return Judged(
        account_id=row.account_id,
        channel=row.channel,
        standing=standing,
        seen=seen,
        this_minute=_seen([each for each in counted if each.minute == whole(now)]),
    )


def _seen(counted: Sequence[Minute]) -> Seen:
    answered = sum(each.ok + each.refused for each in counted)
    return Seen(asked=answered + sum(each.silent for each in counted), answered=answered)


def _health(row: Row[Any], counted: Sequence[Minute]) -> AccountHealth:
    seen = _seen(counted)
    return AccountHealth(
        account_id=row.account_id,
        institution_id=row.institution_id,
        channel=row.channel,
        state=row.state,
        mood=row.mood,
        pin=row.pin,
        hidden=judging.hidden(row.mood, row.pin),
        since=row.since,
        try_at=row.try_at,
        asked=seen.asked,
        answered=seen.answered,
        answered_permille=1000 * seen.answered // seen.asked if seen.asked else None,
        mean_ms=sum(each.ms_sum for each in counted) // seen.asked if seen.asked else None,
        max_ms=max((each.ms_max for each in counted), default=0),
    )


def _within(scope: Scope) -> ColumnElement[bool]:
    if scope.all_rows:
        return true()
    if scope.institution_id is None:
        return false()
    return channel_account.c.institution_id == scope.institution_id


def whole(moment: datetime) -> datetime:
    """Return the minute that a moment lies in."""
    return moment.replace(second=0, microsecond=0)


def ago(now: datetime, minutes_back: int) -> datetime:
    """Return the whole minute so many minutes before."""
    return whole(now) - timedelta(minutes=minutes_back)
