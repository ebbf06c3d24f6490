"""Terminals that send rubbish: counted, throttled and reported, on every node alike, and nobody's card is touched.

A text that does not decode, or that is no genuine code, counts against the caller that sent it and nothing else. Too
many in a minute and nothing of that caller's is verified for a minute; an alarm is raised once and counted from then
on. Rows are written on failures only, in the transaction of the batch that saw them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from yimatong.cards.codes.item import Item
from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable, TerminalThrottled
from yimatong.kit.alarms import raising
from yimatong.kit.arrays import plain
from yimatong.kit.db import RawConnection

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
    f"SELECT '{ALARM}', t.caller_id, t.number || ' texts in {WINDOW_S} s that are no genuine codes', i.at"  # noqa: S608
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
    most = {item.caller.caller_id: _most(item) for item in items}
    callers = sorted(by_caller)
    parameters: tuple[Any, ...] = (
        items[0].now,
        plain(callers),
        plain(by_caller[caller] for caller in callers),
        plain(most[caller] for caller in callers),
    )
    await connection.execute(_COUNT, parameters)


def _most(item: Item) -> int:
    wanted = item.found.policy.rubbish_max if item.found else None
    return wanted or RUBBISH_MAX.get(item.caller.kind, RUBBISH_MAX_OTHERS)
