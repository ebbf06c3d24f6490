"""Which symbologies there are.

QR, PDF417, Grid Matrix and Han Xin are drawn by us. CM and D9ing are in the list and say what they lack, until an
installed package offers a driver under the entry point group ``yimatong.symbologies`` (docs/symbologies.md).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, cast

from yimatong.cards.errors import SymbologyUnknown
from yimatong.cards.symbologies.drawn import DRAWN
from yimatong.cards.symbologies.port import Driver, Missing, Symbology

DRIVERS: Final = "yimatong.symbologies"
"""The entry point group in which an installed package offers a driver."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,23}", re.ASCII)

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
    found = known().get(name)
    if found is None:
        raise SymbologyUnknown(symbology=name[:24] if _NAME.fullmatch(name[:24]) else "?")
    return found


@lru_cache(maxsize=1)
def known() -> dict[str, Symbology]:
    """Return every symbology by name; drivers of installed packages replace what is missing, never what is ours.

    Read once in the life of a process: a driver installed later is there after a restart.
    """
    found: dict[str, Symbology] = {each.name: each for each in (*DRAWN, CM, D9ING)}
    for point in entry_points(group=DRIVERS):
        there = found.get(point.name)
        if _NAME.fullmatch(point.name) and (there is None or isinstance(there, Missing)):
            found[point.name] = _driver(point, there)
    return found


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
