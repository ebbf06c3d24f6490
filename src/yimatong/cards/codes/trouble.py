"""Terminals that send rubbish: counted, throttled and reported, on every node alike, and nobody's card is touched.

A text that does not decode, or that is no genuine code, counts against the caller that sent it and nothing else; so
does a number of a card or a certificate that finds nobody, which is how numbers are guessed. Too many in a minute and
nothing of that caller's is verified or identified for a minute; an alarm is raised once and counted from then on. Rows
are written on failures only, in the transaction of the batch that saw them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select

from yimatong.access.caller import Caller
from yimatong.cards.codes import policies
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.judgement import Policy
from yimatong.cards.codes.policies import CodePolicy
from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable, TerminalThrottled
from yimatong.cards.models import code_trouble
from yimatong.kit.alarms import raising
from yimatong.kit.arrays import plain
from yimatong.kit.db import Connection, RawConnection, raw

WINDOW_S: Final = 60
PAUSE_S: Final = 60
RUBBISH_MAX: Final = {"terminal": 30}
RUBBISH_MAX_OTHERS: Final = 300
"""How much a minute before a caller is throttled: one terminal, or a system that many windows scan through."""

ALARM: Final = "codes:rubbish"
RUBBISH = (CodeUnreadable, CodeNotGenuine)

_COUNT = f"""
    WITH i AS MATERIALIZED (
        SELECT caller, bad, most, %s::timestamptz AS at
        FROM unnest(%s::text[], %s::int[], %s::int[]) AS x (caller, bad, most)),
    t AS (
        INSERT INTO cards_code_trouble AS t (caller_id, since, number, throttled_until)
        SELECT caller, at, bad, CASE WHEN bad >= most THEN at + interval '{PAUSE_S} s' END FROM i ORDER BY caller
        ON CONFLICT (caller_id) DO UPDATE SET (since, number, throttled_until) = (
            SELECT CASE WHEN stale THEN i.at ELSE t.since END, CASE WHEN stale THEN bad ELSE t.number + bad END,
                   CASE WHEN CASE WHEN stale THEN bad ELSE t.number + bad END >= most
                        THEN greatest(i.at + interval '{PAUSE_S} s', t.throttled_until) ELSE t.throttled_until END
            FROM i, LATERAL (SELECT t.since <= i.at - interval '{WINDOW_S} s' AS stale) s
            WHERE i.caller = excluded.caller_id)
        RETURNING caller_id, number, throttled_until)
"""  # noqa: S608 -- constants of this module
_COUNT += raising(
    f"SELECT '{ALARM}', t.caller_id, t.number || ' codes, cards or certificates in {WINDOW_S} s that are none', i.at"  # noqa: S608
    " FROM t JOIN i ON i.caller = t.caller_id WHERE t.number >= i.most ORDER BY t.caller_id"
)


def check(caller_id: str, until: datetime | None, *, now: datetime) -> None:
    """Let a caller through that is not throttled.

    Raises:
        TerminalThrottled: it is, for another ``retry_after_s``.
    """
    if until is not None and until > now:
        raise TerminalThrottled(retry_after_s=int((until - now).total_seconds()) + 1, audit=caller_id)


def rubbish(items: Sequence[Item]) -> list[Item]:
    """Return those of ``items`` that were no genuine codes."""
    return [item for item in items if isinstance(item.refusal, RUBBISH)]


async def count(connection: RawConnection, items: Sequence[Item]) -> None:
    """Charge each item to its caller; throttle who has too many, and raise the alarm."""
    by_caller = Counter(item.caller.caller_id for item in items)
    most = {item.caller.caller_id: _most(item.caller, item.found.policy if item.found else None) for item in items}
    await _charge(connection, by_caller, most, now=items[0].now)


async def admit(connection: Connection, caller: Caller, *, now: datetime) -> None:
    """Let a caller through that is not throttled, on a path that does not share its look-ups.

    Raises:
        TerminalThrottled.
    """
    query = select(code_trouble.c.throttled_until).where(code_trouble.c.caller_id == caller.caller_id)
    check(caller.caller_id, (await connection.execute(query)).scalar(), now=now)


async def count_one(connection: Connection, caller: Caller, *, now: datetime) -> None:
    """Charge a caller with one number that finds nobody, as ``count`` charges it with a text that is no code."""
    policy = await policies.of_issuer(connection, caller.caller_id, scope=caller.scope)
    who = caller.caller_id
    await _charge(await raw(connection), {who: 1}, {who: _most(caller, policy)}, now=now)


async def _charge(
    connection: RawConnection, by_caller: Mapping[str, int], most: Mapping[str, int], *, now: datetime
) -> None:
    callers = sorted(by_caller)
    parameters: tuple[Any, ...] = (
        now,
        plain(callers),
        plain(by_caller[caller] for caller in callers),
        plain(most[caller] for caller in callers),
    )
    await connection.execute(_COUNT, parameters)


def _most(caller: Caller, policy: Policy | CodePolicy | None) -> int:
    wanted = policy.rubbish_max if policy else None
    return wanted or RUBBISH_MAX.get(caller.kind, RUBBISH_MAX_OTHERS)
