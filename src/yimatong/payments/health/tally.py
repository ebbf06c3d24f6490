"""Counting calls in memory: by merchant account, verb and minute. No I/O; a flush takes what was counted away."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import msgspec


class Outcome(StrEnum):
    """What became of a call. A refusal is an answer: the channel is there."""

    OK = "ok"
    REFUSED = "refused"
    SILENT = "silent"


class Place(NamedTuple):
    """What a count belongs to; ``minute`` is the whole minute that the call was made in."""

    account_id: str
    minute: datetime
    verb: str
    channel: str


class Count(msgspec.Struct, kw_only=True):
    """How many calls with which outcome, and how long they took together and at most, in milliseconds."""

    ok: int = 0
    refused: int = 0
    silent: int = 0
    ms_sum: int = 0
    ms_max: int = 0

    def add(self, other: Count) -> None:
        """Take another count of the same place in."""
        self.ok += other.ok
        self.refused += other.refused
        self.silent += other.silent
        self.ms_sum += other.ms_sum
        self.ms_max = max(self.ms_max, other.ms_max)


class Tally:
    """The counts of one process since its last flush. Used from one event loop."""

    def __init__(self) -> None:
        """Start with nothing counted."""
        self._counts: dict[Place, Count] = {}

    def count(self, *, channel: str, account_id: str, verb: str, outcome: Outcome, took_ms: int, now: datetime) -> None:
        """Count one call that was made at ``now``."""
        place = Place(account_id, now.replace(second=0, microsecond=0), verb, channel)
        self.put_back({place: Count(**{outcome.value: 1}, ms_sum=took_ms, ms_max=took_ms)})

    def take(self) -> dict[Place, Count]:
        """Return what was counted and start anew."""
        taken, self._counts = self._counts, {}
        return taken

    def put_back(self, counts: dict[Place, Count]) -> None:
        """Count what could not be stored again, beside what was counted meanwhile."""
        for place, count in counts.items():
            kept = self._counts.get(place)
            if kept is None:
                self._counts[place] = count
            else:
                kept.add(count)
