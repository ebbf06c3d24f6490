"""Codes as pictures for the pages and the answers: QR by the port of the symbologies (docs/symbologies.md). Pure.

Error correction level M on a screen, Q on paper; the quiet zone of four modules is part of the picture.
"""

from __future__ import annotations

from typing import Final, Literal

from yimatong.cards.symbologies.drawn import QR
from yimatong.cards.symbologies.modules import Modules
from yimatong.cards.symbologies.port import Medium

Level = Literal["M", "Q"]
_MEDIA: Final[dict[Level, Medium]] = {"M": "screen", "Q": "paper"}


def qr_modules(text: str, *, level: Level = "M") -> Modules:
    """Return the module grid of a QR code that carries ``text``."""
    return QR.draw(text, _MEDIA[level])


def qr_svg(text: str, *, level: Level = "M") -> str:
    """Return an SVG document of a QR code that carries ``text``."""
    return qr_modules(text, level=level).svg()


def qr_png(text: str, *, level: Level = "M") -> bytes:
    """Return a PNG image of a QR code that carries ``text``, eight pixels a module."""
    return qr_modules(text, level=level).png()
