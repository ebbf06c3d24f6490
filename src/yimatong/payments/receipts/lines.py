"""The sheet of a receipt or slip: its edges, and how a line of text or a rule is put on it. Millimetres. Pure."""

from __future__ import annotations

from typing import Final

from yimatong.cards.symbologies.layout import fit
from yimatong.cards.symbologies.paper import PlacedText, Rule

WIDE, HIGH, EDGE = 210.0, 148.0, 12.0
RIGHT: Final = WIDE - EDGE
SIZE: Final = 3.2
_LINE: Final = 0.25


def fitted(x: float, text: str, y: float, room: float) -> PlacedText:
    """Place a text that is made smaller, and cut at last, to stay within ``room``."""
    shown, size = fit(text, room_mm=room, size_mm=SIZE)
    return PlacedText(text=shown, x_mm=x, y_mm=y, size_mm=size)


def at(x: float, text: str, y: float) -> PlacedText:
    """Place a short text."""
    return PlacedText(text=text, x_mm=x, y_mm=y, size_mm=SIZE)


def across(y: float) -> Rule:
    """Return a line from edge to edge."""
    return Rule(x_mm=EDGE, y_mm=y, width_mm=RIGHT - EDGE, height_mm=_LINE)


def down(x: float, top: float, bottom: float) -> Rule:
    """Return an upright line."""
    return Rule(x_mm=x, y_mm=top, width_mm=_LINE, height_mm=bottom - top + _LINE)
