"""The port of the symbologies: what draws a symbol, what one that is missing says, what a vendor's driver is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, Protocol

import msgspec

from yimatong.cards.errors import SymbologyDriverFailed, SymbologyNotAvailable
from yimatong.cards.symbologies.modules import Modules

Medium = Literal["screen", "paper"]
"""Where a symbol will be read: paper gets the stronger error correction, for it is creased and stained."""

_SIDE_MAX: Final = 400


class Symbology(Protocol):
    """What draws the symbols of one kind."""

    @property
    def name(self) -> str:
        """Return the name that a request says."""
        ...

    @property
    def title(self) -> str:
        """Return the name that people know."""
        ...

    @property
    def standard(self) -> str:
        """Return the standard that describes it, or nothing."""
        ...

    def draw(self, text: str, medium: Medium) -> Modules:
        """Return the module grid that carries ``text``.

        Raises:
            SymbologyNotAvailable, SymbologyDriverFailed, SymbolDoesNotFit.
        """
        ...


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """A known symbology without a driver; drawing says what is missing."""

    name: str
    title: str
    standard: str
    missing_zh: str
    missing_en: str

    def draw(self, text: str, medium: Medium) -> Modules:
        """Refuse.

        Raises:
            SymbologyNotAvailable: always.
        """
        del text, medium
        raise SymbologyNotAvailable(symbology=self.title, missing_zh=self.missing_zh, missing_en=self.missing_en)


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """A symbology drawn by an installed package.

    ``offered`` is what its entry point names: a function of ``(text: str, medium: str)`` that returns the rows of the
    grid as strings of ``1`` and ``0``, with the attributes ``quiet_zone`` (modules) and ``standard``.
    """

    name: str
    title: str
    standard: str
    quiet_zone: int
    offered: Callable[[str, str], Sequence[str]]

    def draw(self, text: str, medium: Medium) -> Modules:
        """Ask the package and check that its answer is a grid.

        Raises:
            SymbologyDriverFailed: it raised, or its answer is no rectangle of modules.
        """
        try:
            rows = tuple(str(row) for row in self.offered(text, medium))
        except Exception as error:
            raise SymbologyDriverFailed(symbology=self.title, audit=repr(type(error))) from error
        wide = len(rows[0]) if rows else 0
        if not 0 < wide <= _SIDE_MAX or len(rows) > _SIDE_MAX:
            raise SymbologyDriverFailed(symbology=self.title, audit=f"{len(rows)} rows of {wide}")
        if any(len(row) != wide or row.strip("01") for row in rows):
            raise SymbologyDriverFailed(symbology=self.title, audit="not a rectangle of 1 and 0")
        return Modules(rows=rows, quiet_zone=self.quiet_zone)
