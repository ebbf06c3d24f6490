"""Every comparator, guard and preparation that a settings file may name. Pure."""

from __future__ import annotations

from typing import Final

from yimatong.empi.matching import blocking, chinese_facts, chinese_guards, chinese_names, comparators, plain
from yimatong.empi.matching.comparators import ComparatorFactory, Guard, PreparationFactory

COMPARATORS: Final[dict[str, ComparatorFactory]] = {
    **comparators.COMPARATORS,
    **chinese_names.COMPARATORS,
    **chinese_facts.COMPARATORS,
}
GUARDS: Final[dict[str, Guard]] = {**comparators.GUARDS, **plain.GUARDS, **chinese_guards.GUARDS}
PREPARATIONS: Final[dict[str, PreparationFactory]] = {
    **comparators.PREPARATIONS,
    **plain.PREPARATIONS,
    **blocking.PREPARATIONS,
}
