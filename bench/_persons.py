"""The made-up people of ``ymt bench population``: who they are, and how often what is said of them errs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True, slots=True)
class Levels:
    """Rates from 0 to 1; each is a share of the records (or of births, families) that it can strike."""

    id_missing_first: float = 0.10
    id_missing_later: float = 0.35
    id_mistyped: float = 0.04
    id_15_digits: float = 0.03
    phone_missing: float = 0.02
    phone_changed: float = 0.35
    phones_swapped: float = 0.01
    address_missing: float = 0.01
    address_changed: float = 0.30
    address_shortened: float = 0.30
    birth_slipped: float = 0.02
    birth_first_january: float = 0.02
    homophone: float = 0.025
    wrong_character: float = 0.012
    traditional: float = 0.02
    pinyin_only: float = 0.008
    surname_changed: float = 0.004
    sex_wrong: float = 0.004
    minority: float = 0.02
    twin_births: float = 0.03
    newborns: float = 0.015


@dataclass(slots=True)
class Person:
    """Somebody as she is."""

    number: int
    surname: str
    given: str
    sex: str
    born: date
    id_number: str
    phone: str
    address: str
    mother: str = ""
    newborn: str = ""
    home: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Surname and given name, or own name and father's."""
        return self.surname + self.given
