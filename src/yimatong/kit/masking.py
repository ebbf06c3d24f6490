"""Personal data that masks itself: the type says what it is, so logs and pages cannot show it by accident.

The values are ordinary strings to the database and to JSON; ``masked`` is what people without the right see. An id
number hides the birth date (GB/T 35273 asks that the shown part does not identify; the area code alone does not).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Personal(str):
    """A string with personal data in it. ``repr`` and ``format`` give the mask; ``str.__str__`` the value."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return the form that may be shown without a right."""
        return "***"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.masked}>"

    def __format__(self, spec: str) -> str:
        return format(self.masked, spec)


class PersonName(Personal):
    """Name of a person: first character, then stars; the last one stays when there are three or more."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return ``张*``, ``张*丰``, ``阿**木``."""
        if len(self) <= 2:  # noqa: PLR2004 -- two characters: surname and a star
            return self[:1] + "*"
        return self[:1] + "*" * (len(self) - 2) + self[-1:]


class IdNumber(Personal):
    """Number of a certificate: the first six and the last two characters at most."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return ``610102**********2X``; short numbers show the first and the last character."""
        if len(self) < 15:  # noqa: PLR2004 -- 15 digits is the shortest resident id number
            return self[:1] + "*" * max(len(self) - 2, 1) + self[-1:]
        return self[:6] + "*" * (len(self) - 8) + self[-2:]


class Phone(Personal):
    """Telephone number: three, stars, four."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return ``138****5678``."""
        if len(self) < 8:  # noqa: PLR2004 -- shorter than any number with area code
            return "*" * len(self)
        return self[:3] + "*" * (len(self) - 7) + self[-4:]


class Address(Personal):
    """Detailed address: the first six characters (province and city)."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return ``陕西省西安市****``."""
        return self[:6] + "****"


class BankCard(Personal):
    """Bank card number: the last four digits."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """Return ``**** 1234``."""
        return "**** " + self[-4:]


class Secret(Personal):
    """A key, a password, a token: never shown at all."""

    __slots__ = ()


def masked(value: object) -> object:
    """Return ``value`` with every ``Personal`` inside replaced by its mask (containers are copied)."""
    if isinstance(value, Personal):
        return value.masked
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        return [masked(item) for item in value]
    return value
