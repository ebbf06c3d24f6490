"""The four symbologies that Zint encodes: QR, PDF417, Grid Matrix, Han Xin.

Zint makes the module grid; the pictures are made from the grid (``modules``). Quiet zones and error correction follow
each standard: GB/T 18284-2000 (ISO/IEC 18004) 4 modules; GB/T 17172-1997 (ISO/IEC 15438) 2; GB/T 27766-2011 6;
GB/T 21049-2022 (ISO/IEC 20830) 3.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import zint

from yimatong.cards.errors import SymbolDoesNotFit
from yimatong.cards.symbologies.modules import Modules
from yimatong.cards.symbologies.port import Medium


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """One symbology of Zint. ``screen`` and ``paper`` are its error correction levels by Zint's numbers."""

    name: str
    title: str
    standard: str
    quiet_zone: int
    kind: Any
    screen: int
    paper: int
    row_height: int = 1
    paper_columns: int = 0

    def draw(self, text: str, medium: Medium) -> Modules:
        """Return the module grid that carries ``text``.

        Raises:
            SymbolDoesNotFit: the text is longer than the largest symbol takes.
        """
        if medium == "paper":
            return self.draw_at(text, self.paper, columns=self.paper_columns)
        return self.draw_at(text, self.screen)

    def draw_at(self, text: str, level: int, *, columns: int = 0) -> Modules:
        """Return the module grid at an error correction level by Zint's number; ``columns`` of codewords for PDF417.

        Raises:
            SymbolDoesNotFit: see ``draw``.
        """
        symbol = zint.Symbol()
        symbol.symbology = self.kind
        symbol.option_1 = level
        symbol.option_2 = columns
        try:
            symbol.encode(text)
        except Exception as error:
            raise SymbolDoesNotFit(symbology=self.title, audit=type(error).__name__) from error
        grid, wide = symbol.encoded_data, symbol.width
        packed, octets = grid.tobytes(), -(-wide // 8)
        stride = len(packed) // len(grid)
        rows = tuple(
            f"{int.from_bytes(packed[start : start + octets], 'little'):0{wide}b}"[::-1]
            for start in range(0, symbol.rows * stride, stride)
        )
        return Modules(rows=rows, quiet_zone=self.quiet_zone, row_height=self.row_height)


QR: Final = Drawn(
    name="qr",
    title="QR",
    standard="GB/T 18284-2000",
    quiet_zone=4,
    kind=zint.Symbology.QRCODE,
    screen=2,
    paper=3,
)
"""Level M (15 %) on a screen, Q (25 %) on paper."""

PDF417: Final = Drawn(
    name="pdf417",
    title="PDF417",
    standard="GB/T 17172-1997",
    quiet_zone=2,
    kind=zint.Symbology.PDF417,
    screen=3,
    paper=4,
    row_height=3,
    paper_columns=4,
)
"""Level 3 (16 codewords) on a screen; 4 (32 codewords) on paper, four columns wide so that it fits a label of 40 mm."""

GRID_MATRIX: Final = Drawn(
    name="grid_matrix",
    title="Grid Matrix",
    standard="GB/T 27766-2011",
    quiet_zone=6,
    kind=zint.Symbology.GRIDMATRIX,
    screen=2,
    paper=3,
)
"""Level 2 (20 %) on a screen, 3 (30 %) on paper."""

HAN_XIN: Final = Drawn(
    name="han_xin",
    title="Han Xin",
    standard="GB/T 21049-2022",
    quiet_zone=3,
    kind=zint.Symbology.HANXIN,
    screen=2,
    paper=3,
)
"""Level L2 (15 %) on a screen, L3 (23 %) on paper."""

DRAWN: Final = (QR, PDF417, GRID_MATRIX, HAN_XIN)
