"""Codes as pictures: QR (GB/T 18284, ISO/IEC 18004) as SVG and PNG, drawn by Zint. Pure.

Error correction level M on a screen, Q on paper; the quiet zone of four modules is part of the picture.
"""

from __future__ import annotations

from typing import Final, Literal

import zint

Level = Literal["M", "Q"]
_LEVELS: Final[dict[Level, int]] = {"M": 2, "Q": 3}
_PNG_SCALE: Final = 4.0
"""Zint draws two pixels a module at scale 1: eight pixels a module."""


def qr_svg(text: str, *, level: Level = "M") -> str:
    """Return an SVG document of a QR code that carries ``text``."""
    return _draw(text, level=level, file="code.svg", scale=2.0).decode()


def qr_png(text: str, *, level: Level = "M") -> bytes:
    """Return a PNG image of a QR code that carries ``text``."""
    return _draw(text, level=level, file="code.png", scale=_PNG_SCALE)


def _draw(text: str, *, level: Level, file: str, scale: float) -> bytes:
    symbol = zint.Symbol()
    symbol.symbology = zint.Symbology.QRCODE
    symbol.option_1 = _LEVELS[level]
    symbol.scale = scale
    symbol.output_options = zint.OutputOptions.BARCODE_QUIET_ZONES | zint.OutputOptions.BARCODE_MEMORY_FILE
    symbol.outfile = file
    symbol.encode(text)
    symbol.print()
    picture = symbol.memfile
    if picture is None:
        message = "the symbol library drew nothing"
        raise RuntimeError(message)
    return bytes(picture)
