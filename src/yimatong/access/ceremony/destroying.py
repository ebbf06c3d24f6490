"""Whether a key version may be destroyed: nothing stands on it, nothing is sealed under it, and nothing is on its way.

A transaction that took the version to seal with just before it stopped being the active one is seen by no count until
it commits. So a destruction waits until ``SETTLE`` has passed since then, and until every transaction of the database
that had begun by that moment is over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text

from yimatong.access.ceremony import ledger
from yimatong.access.ceremony.schemas import Request
from yimatong.access.errors import KeySettling, KeyStillNeeded, WritesStillOpen
from yimatong.crypto.devices.base import KeyInfo, KeyState, KeyUsage
from yimatong.kit.clock import BEIJING
from yimatong.kit.db import Database

SETTLE: Final = timedelta(seconds=30)
"""For those who took the version before they began their transaction, and for clocks that differ."""

Remaining = Callable[[int], Awaitable[dict[str, int]]]
"""Counts what is still sealed under a protection key version, by place; handed in by the assembly."""

_OLDEST = text(
    "SELECT min(xact_start) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start < :horizon"
)


async def check(infos: Sequence[KeyInfo], request: Request, *, anchor: int, remaining: Remaining) -> None:
    """Refuse to destroy what is needed.

    Raises:
        KeyStillNeeded: the version made card ids, is the anchor, or data sealed under it remain.
    """
    if not _concerns(infos, request):
        return
    if request.usage == KeyUsage.SECURITY:
        raise KeyStillNeeded(what="card ids (VUID)", rows="-")
    if request.usage == KeyUsage.PROTECTION:
        if request.version == anchor:
            raise KeyStillNeeded(what="anchor", rows="-")
        for place, rows in (await remaining(request.version)).items():
            if rows:
                raise KeyStillNeeded(what=place, rows=rows)


async def check_settled(db: Database, infos: Sequence[KeyInfo], request: Request, *, now: datetime) -> None:
    """Refuse to destroy what somebody may still be sealing with; asked before the counting.

    Raises:
        KeySettling: it says until when. WritesStillOpen: it says since when a transaction is open.
    """
    if request.usage != KeyUsage.PROTECTION or not _concerns(infos, request):
        return
    async with db.read() as connection:
        entries = await ledger.entries(connection)
        entry = next((one for one in entries if (one.usage, one.version) == (request.usage, request.version)), None)
        if entry is None:  # it was never active under this platform
            return
        horizon = (now if entry.state is KeyState.ACTIVE else entry.since) + SETTLE
        if now < horizon:
            raise KeySettling(version=request.version, until=_beijing(horizon))
        oldest = (await connection.execute(_OLDEST, {"horizon": horizon})).scalar_one()
    if oldest is not None:
        raise WritesStillOpen(version=request.version, since=_beijing(oldest))


def _concerns(infos: Sequence[KeyInfo], request: Request) -> bool:
    """Say whether this destroys a version that something may have been made with."""
    state = next((info.state for info in infos if info.version == request.version), None)
    return request.action == "destroy" and state not in {None, KeyState.READY, KeyState.DESTROYED}


def _beijing(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
