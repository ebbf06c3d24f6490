"""Outlines of characters, from the font that the installation put beside this module (Noto Sans SC, SIL OFL 1.1).

Labels carry their text as outlines, so a printer or a viewer needs no Chinese font. The font comes in about a hundred
small files by ranges of characters; a label opens the few that it needs, and they stay open. A character that the font
does not have is printed as 〓, the mark that Chinese typesetting puts for a character it lacks.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from fontTools.pens.basePen import BasePen
from fontTools.ttLib import TTFont

from yimatong.cards.errors import LabelFontMissing

LACKING: Final = "〓"
_FOLDER: Final = Path(__file__).parent / "vendor"
_WEIGHT: Final = 500
"""Medium: thin strokes break up at 203 dpi."""

Step = tuple[str, tuple[float, ...]]


class Glyph(msgspec.Struct, frozen=True, kw_only=True):
    """One character; lengths in ems, y upwards. Steps are ``M``, ``L``, ``C`` (cubic) and ``Z``."""

    advance: float
    steps: tuple[Step, ...]


class _Outline(BasePen):  # type: ignore[misc]  # fontTools has no types
    """Collects an outline with every curve as a cubic one."""

    def __init__(self, glyphs: Any, em: float) -> None:
        super().__init__(glyphs)
        self.steps: list[Step] = []
        self._em = em

    def _moveTo(self, pt: tuple[float, float]) -> None:  # noqa: N802 -- the names of fontTools' pens
        self._add("M", pt)

    def _lineTo(self, pt: tuple[float, float]) -> None:  # noqa: N802
        self._add("L", pt)

    def _curveToOne(  # noqa: N802
        self, pt1: tuple[float, float], pt2: tuple[float, float], pt3: tuple[float, float]
    ) -> None:
        self._add("C", pt1, pt2, pt3)

    def _closePath(self) -> None:  # noqa: N802
        self.steps.append(("Z", ()))

    def _add(self, kind: str, *points: tuple[float, float]) -> None:
        self.steps.append((kind, tuple(round(part / self._em, 3) for point in points for part in point)))


@lru_cache(maxsize=4096)
def glyph(char: str) -> Glyph:
    """Return the outline of one character, or that of 〓.

    Raises:
        LabelFontMissing: the font was not installed.
    """
    found = _drawn(char)
    if found is None:
        found = _drawn(LACKING)
    if found is None:
        raise LabelFontMissing
    return found


def width(text: str, size: float) -> float:
    """Return how wide a text is at a size, in the unit of ``size``.

    Raises:
        LabelFontMissing.
    """
    return sum(glyph(char).advance for char in text) * size


def _drawn(char: str) -> Glyph | None:
    for name in _places().get(ord(char), ()):
        font, glyphs, characters = _opened(name)
        if ord(char) in characters:
            em = float(font["head"].unitsPerEm)
            shape = glyphs[characters[ord(char)]]
            pen = _Outline(glyphs, em)
            shape.draw(pen)
            return Glyph(advance=round(shape.width / em, 4), steps=tuple(pen.steps))
    return None


@lru_cache(maxsize=128)
def _opened(name: str) -> tuple[Any, Any, dict[int, str]]:
    font: Any = TTFont(_FOLDER / name, lazy=True)
    return font, font.getGlyphSet(location={"wght": _WEIGHT}), font.getBestCmap()


@lru_cache(maxsize=1)
def _places() -> dict[int, tuple[str, ...]]:
    """Return which files may have a character, by its number, from the font's own list of ranges.

    Raises:
        LabelFontMissing.
    """
    listed = _FOLDER / "unicode.json"
    if not listed.is_file():
        raise LabelFontMissing(audit="no list of ranges beside the symbologies")
    found: dict[int, tuple[str, ...]] = {}
    for key, ranges in json.loads(listed.read_text()).items():
        name = f"noto-sans-sc-{key.strip('[]')}-wght-normal.woff2"
        if (_FOLDER / name).is_file():
            for part in ranges.replace("U+", "").split(","):
                first, _, last = part.partition("-")
                for number in range(int(first, 16), int(last or first, 16) + 1):
                    found[number] = (*found.get(number, ()), name)
    return found
