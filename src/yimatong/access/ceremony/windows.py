"""When a change of keys would refuse codes that are still valid, how many, and until when; and the numbers left.

Only the two newest live versions of the protection key are tried on a code, so a rotation ends the codes of the version
before the previous one, and a switch-off those of its version. A code lives for ``life`` after the active version took
over, at most: before that the change is refused, unless it is proposed as an emergency, which the audit keeps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from yimatong.access.ceremony import ledger
from yimatong.access.ceremony.schemas import LedgerEntry, Request
from yimatong.access.errors import CodesStillValid, KeyVersionsShort
from yimatong.crypto.devices.base import VERSIONS, CryptoDevice, KeyInfo, KeyState, KeyUsage
from yimatong.kit.clock import BEIJING
from yimatong.kit.db import Database

RESERVE: Final = 16
"""The last version numbers of a usage are kept for emergencies: a number travels as one byte and never returns."""

_ENDS: Final = frozenset({"switch-off", "destroy"})
_MAKES: Final = frozenset({"generate", "rotate", "import-component", "import-wrapped"})
_VERIFIES: Final = frozenset({KeyUsage.PROTECTION.value, KeyUsage.SIGNING.value})

Issued = Callable[[str, int, datetime], Awaitable[int]]
"""Counts the codes made with a version of a usage since a moment; handed in by the assembly."""


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """Codes that a change refuses although they are valid: ``codes`` of them at most, until ``until``."""

    version: int
    codes: int
    until: datetime


class Windows:
    """The look at what is still in its window. ``life``: longest lifetime of a code, with tolerance and settling."""

    def __init__(self, *, life: timedelta, issued: Issued) -> None:
        """Keep the parts."""
        self._life = life
        self._issued = issued

    async def affected(
        self, db: Database, infos: Sequence[KeyInfo], request: Request, now: datetime
    ) -> Affected | None:
        """Return which codes ``request`` would refuse, None when it refuses none."""
        version = ended(request, infos)
        if version is None:
            return None
        async with db.read() as connection:
            entries = await ledger.entries(connection)
        since = _active_since(request.usage, infos, entries)
        if since is None or now >= since + self._life:
            return None
        codes = await self._issued(request.usage, version, now - self._life)
        return Affected(version=version, codes=codes, until=since + self._life)

    async def check(self, db: Database, infos: Sequence[KeyInfo], request: Request, now: datetime) -> None:
        """Refuse what ends valid codes, and a version number out of the reserve, unless it is an emergency.

        Raises:
            CodesStillValid: it says until when. KeyVersionsShort: the numbers are (nearly) used up.
        """
        if request.action in _MAKES:
            _check_numbers(request, infos)
        found = None if request.emergency else await self.affected(db, infos, request, now)
        if found is not None:
            raise CodesStillValid(
                version=found.version, codes=found.codes, until=f"{found.until.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
            )


def ended(request: Request, infos: Sequence[KeyInfo]) -> int | None:
    """Return the version whose codes verify now and would not after ``request``; None when there is none."""
    if request.usage not in _VERIFIES:
        return None
    older = [info.version for info in infos if info.usage == request.usage and info.state is KeyState.ENABLED]
    if request.action == "rotate" and request.usage == KeyUsage.PROTECTION:
        return max(older, default=None)
    if request.action in _ENDS and request.version in older:
        # of the protection key only the newest enabled version is tried beside the active one
        tried = older if request.usage == KeyUsage.SIGNING else [max(older)]
        return request.version if request.version in tried else None
    return None


def left(usage: str, infos: Sequence[KeyInfo]) -> int:
    """Return how many version numbers a usage has left."""
    return VERSIONS[-1] - max((info.version for info in infos if info.usage == usage), default=0)


def _check_numbers(request: Request, infos: Sequence[KeyInfo]) -> None:
    mine = [info for info in infos if info.usage == request.usage]
    newest = max(mine, key=lambda info: info.version, default=None)
    if request.action == "rotate" and newest is not None and newest.state is KeyState.READY:
        return  # no new number is taken
    remaining = left(request.usage, infos)
    if remaining <= (0 if request.emergency else RESERVE):
        raise KeyVersionsShort(usage=request.usage, left=remaining, reserve=RESERVE)


def _active_since(usage: str, infos: Sequence[KeyInfo], entries: Sequence[LedgerEntry]) -> datetime | None:
    """Return when the active version took over; None where the ledger never saw it (it was not made here)."""
    active = next((info for info in infos if info.usage == usage and info.state is KeyState.ACTIVE), None)
    if active is None:
        return None
    return next(
        (
            entry.since
            for entry in entries
            if (entry.usage, entry.version, entry.state) == (usage, active.version, KeyState.ACTIVE)
        ),
        None,
    )


def book_of(device: CryptoDevice, usage: str) -> Sequence[KeyInfo]:
    """Return the versions of one usage; nothing for what is about the whole device. Blocking."""
    return device.key_versions(KeyUsage(usage)) if usage in set(KeyUsage) else ()
