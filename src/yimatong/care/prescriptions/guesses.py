"""Guessing at prescription codes: counted, throttled, on every node alike.

A text that is no code counts against the caller and, in an app, against the resident it asks for: one resident who
tries numbers is stopped long before her app is. The row is written in a transaction of its own, for the refusal rolls
the request's back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select, text

from yimatong.access.caller import Caller
from yimatong.cards.errors import TerminalThrottled
from yimatong.care.models import code_guess
from yimatong.kit.db import Connection

WINDOW: Final = timedelta(seconds=60)
PAUSE: Final = timedelta(seconds=60)
RESIDENT_MAX: Final = 10
CALLER_MAX: Final = {"terminal": 30}
CALLER_MAX_OTHERS: Final = 300
"""How many texts that are no code a minute before nothing is resolved for a minute."""

_COUNT: Final = text(
    """
    INSERT INTO care_code_guess AS g (subject, since, number, throttled_until)
    VALUES (:subject, :now, 1, NULL)
    ON CONFLICT (subject) DO UPDATE SET
        since = CASE WHEN g.since <= :stale THEN :now ELSE g.since END,
        number = CASE WHEN g.since <= :stale THEN 1 ELSE g.number + 1 END,
        throttled_until = CASE WHEN g.since > :stale AND g.number + 1 >= :most THEN :until ELSE g.throttled_until END
    """
)


async def admit(connection: Connection, caller: Caller, vuid: str, *, now: datetime) -> None:
    """Let somebody through who did not guess too much.

    Raises:
        TerminalThrottled: she did; for another ``retry_after_s``.
    """
    found = await connection.execute(
        select(func.max(code_guess.c.throttled_until)).where(code_guess.c.subject.in_(list(_subjects(caller, vuid))))
    )
    until = found.scalar()
    if until is not None and until > now:
        raise TerminalThrottled(retry_after_s=int((until - now).total_seconds()) + 1, audit=caller.caller_id)


async def count(connection: Connection, caller: Caller, vuid: str, *, now: datetime) -> None:
    """Charge one text that is no code."""
    for subject, most in sorted(_subjects(caller, vuid).items()):
        await connection.execute(
            _COUNT,
            {"subject": subject, "now": now, "stale": now - WINDOW, "until": now + PAUSE, "most": most},
        )


def _subjects(caller: Caller, vuid: str) -> dict[str, int]:
    """Return who is charged, with how many are allowed: pure."""
    subjects = {caller.caller_id: CALLER_MAX.get(caller.kind, CALLER_MAX_OTHERS)}
    if not caller.at_counter:
        subjects[f"{caller.caller_id}:{vuid}"] = RESIDENT_MAX
    return subjects
