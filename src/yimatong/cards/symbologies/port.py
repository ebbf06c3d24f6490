"""The port of the symbologies: what draws a symbol, which there are, and how a vendor's driver takes its place.

QR, PDF417, Grid Matrix and Han Xin are drawn here. CM and D9ing are in the list and say what they lack, until an
installed package offers a driver under the entry point group ``yimatong.symbologies`` (docs/symbologies.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from yimatong.cards.errors import SymbologyDriverFailed, SymbologyNotAvailable, SymbologyUnknown
from yimatong.cards.symbologies.modules import Modules

Medium = Literal["screen", "paper"]
"""Where a symbol will be read: paper gets the stronger error correction, for it is creased and stained."""

DRIVERS: Final = "yimatong.symbologies"
"""The entry point group in which an installed package offers a driver."""

_SIDE_MAX: Final = 400
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,23}", re.ASCII)


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


CM: Final = Missing(
    name="cm",
    title="CM",
    standard="GB/T 27767-2011",
    missing_zh="紧密矩阵码（GB/T 27767-2011）的编码库，须由获授权的厂商提供驱动包（入口点 yimatong.symbologies: cm）",
    missing_en=(
        "an encoder of Compact Matrix (GB/T 27767-2011), licensed by its owner, as a driver package "
        "(entry point cm in yimatong.symbologies)"
    ),
)
D9ING: Final = Missing(
    name="d9ing",
    title="D9ing",
    standard="",
    missing_zh="龙贝码（D9ing）的专用生成设备或厂商程序库，须由厂商提供驱动包（入口点 yimatong.symbologies: d9ing）",
    missing_en=(
        "the certified device or library that makes D9ing (LP Code), as a driver package "
        "(entry point d9ing in yimatong.symbologies)"
    ),
)


def get(name: str) -> Symbology:
    """Return a symbology by name.

    Raises:
        SymbologyUnknown: no such name. SymbologyDriverFailed: its driver package cannot be loaded.
    """
    found = registry().get(name)
    if found is None:
        raise SymbologyUnknown(symbology=name[:24] if _NAME.fullmatch(name[:24]) else "?")
    return found


@lru_cache(maxsize=1)
def registry() -> dict[str, Symbology]:
    """Return every symbology by name; drivers of installed packages replace what is missing, never what is ours.

    Read once in the life of a process: a driver installed later is there after a restart.
    """
    from yimatong.cards.symbologies.drawn import DRAWN  # noqa: PLC0415 -- drawn imports this port

    known: dict[str, Symbology] = {each.name: each for each in (*DRAWN, CM, D9ING)}
    for point in entry_points(group=DRIVERS):
        there = known.get(point.name)
        if _NAME.fullmatch(point.name) and (there is None or isinstance(there, Missing)):
            known[point.name] = _driver(point, there)
    return known


def _driver(point: EntryPoint, there: Symbology | None) -> Symbology:
    """Load a package's driver; one that cannot be loaded stands in the list and fails when it is used."""
    title = there.title if there else point.name
    try:
        offered: Any = point.load()
        quiet_zone, standard = int(offered.quiet_zone), str(offered.standard)
    except Exception as error:  # noqa: BLE001 -- a vendor's package may raise anything while it is imported
        cause = repr(type(error))

        def fail(text: str, medium: str) -> Sequence[str]:
            raise RuntimeError(cause, len(text), medium)

        offered, quiet_zone, standard = fail, 0, there.standard if there else ""
    return Driver(
        name=point.name,
        title=title,
        standard=standard,
        quiet_zone=max(quiet_zone, 0),
        offered=cast("Callable[[str, str], Sequence[str]]", offered),
    )
