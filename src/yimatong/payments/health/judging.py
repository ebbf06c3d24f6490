"""How a merchant account stands at its channel, decided from counts alone. Pure.

*Well* until at least ten calls of the last five minutes have an outcome and fewer than half of them were answered. Then
*sick*: the cashier hides it. After a pause it is *trying*: one question is asked, and payers may try it again; the
first outcomes decide, and each failure doubles the pause. One that falls sick again soon after it was well goes on
with the pause it had reached.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

WINDOW: Final = timedelta(minutes=5)
ASKED_MIN: Final = 10
PAUSE_FIRST_S: Final = 30
PAUSE_MOST_S: Final = 900
STEADY: Final = timedelta(minutes=10)
"""One that was well for so long starts with the first pause again."""


class Mood(StrEnum):
    """How an account stands."""

    WELL = "well"
    SICK = "sick"
    TRYING = "trying"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Mood, since when; ``try_at`` is set exactly where it is sick; ``pause_s`` is the pause it last had."""

    mood: Mood
    since: datetime
    pause_s: int = 0
    try_at: datetime | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that ended, since the standing began and within the window: how many, and how many were answered."""

    asked: int
    answered: int


def first(now: datetime) -> Standing:
    """Return how an account stands of which nothing is known."""
    return Standing(mood=Mood.WELL, since=now)


def judge(standing: Standing, seen: Seen, *, now: datetime) -> Standing:
    """Return how the account stands from now on; the same standing where nothing changes."""
    answers = 2 * seen.answered >= seen.asked
    if standing.mood is Mood.WELL:
        return standing if answers or seen.asked < ASKED_MIN else _sick(standing, now=now)
    if standing.mood is Mood.SICK:
        due = standing.try_at is None or now >= standing.try_at
        return msgspec.structs.replace(standing, mood=Mood.TRYING, since=now, try_at=None) if due else standing
    if seen.asked == 0:
        return standing
    if answers:
        return msgspec.structs.replace(standing, mood=Mood.WELL, since=now)
    return _sick(standing, now=now)


def _sick(standing: Standing, *, now: datetime) -> Standing:
    steady = standing.mood is Mood.WELL and now - standing.since >= STEADY
    grown = PAUSE_FIRST_S if steady or standing.pause_s == 0 else min(2 * standing.pause_s, PAUSE_MOST_S)
    return Standing(mood=Mood.SICK, since=now, pause_s=grown, try_at=now + timedelta(seconds=grown))


def hidden(mood: str, pin: str) -> bool:
    """Say whether the cashier hides an account: an operator's word counts first."""
    return pin == "hidden" or (pin == "" and mood == Mood.SICK)
