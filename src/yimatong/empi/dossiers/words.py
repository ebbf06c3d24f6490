"""What stored evidence means in words, by the comparisons and guards that the product knows."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Words(NamedTuple):
    """A thing in both languages."""

    zh: str
    en: str


@lru_cache(maxsize=1)
def comparisons() -> dict[str, tuple[Words, dict[str, Words]]]:
    """Return the comparisons of the shipped settings: each one's own words, and those of its levels."""
    from yimatong.empi.matching import settings  # noqa: PLC0415 -- its data are read at the first evidence shown

    found = {}
    for each in settings.shipped().comparisons:
        levels = {level.name: Words(level.zh, level.en) for level in settings.comparator(each).levels}
        found[each.name] = Words(each.zh or each.name, each.en or each.name), levels
    return found


@lru_cache(maxsize=1)
def guards() -> dict[str, Words]:
    """Return the guards that forbid an automatic link."""
    from yimatong.empi.matching import registry  # noqa: PLC0415 -- as above

    return {name: Words(guard.zh, guard.en) for name, guard in registry.GUARDS.items()}
