"""The module grid of a symbol and its pictures. Pure.

Whatever draws a symbol returns its grid, and every picture is made from that grid alone: one reading of the grid proves
what is on the screen and on the paper.
"""

from __future__ import annotations

import re
import struct
import zlib
from functools import lru_cache
from typing import Final

import msgspec

_RUN: Final = re.compile("1+")
_RUNS: Final = re.compile("1+|0+")
_SIDE_MAX: Final = 400
_PNG_MAGIC: Final = b"\x89PNG\r\n\x1a\n"


class Modules(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol. ``rows`` are strings of ``1`` (dark) and ``0`` (light), without the quiet zone.

    ``row_height`` is in modules (3 for PDF417, else 1); ``quiet_zone`` in modules on every side.
    """

    rows: tuple[str, ...]
    quiet_zone: int
    row_height: int = 1

    @property
    def width(self) -> int:
        """Return the width with the quiet zone, in modules."""
        return len(self.rows[0]) + 2 * self.quiet_zone

    @property
    def height(self) -> int:
        """Return the height with the quiet zone, in modules."""
        return len(self.rows) * self.row_height + 2 * self.quiet_zone

    def runs(self) -> list[tuple[int, int, int]]:
        """Return the dark runs as (x, y, length) in modules from the outer corner of the quiet zone."""
        quiet, tall = self.quiet_zone, self.row_height
        return [
            (run.start() + quiet, quiet + number * tall, run.end() - run.start())
            for number, row in enumerate(self.rows)
            for run in _RUN.finditer(row)
        ]

    def path(self) -> str:
        """Return the dark modules as one SVG path in module units, row by row, in relative steps."""
        tall, left = self.row_height, self.quiet_zone
        steps = _steps(tall)
        return "".join(
            f"M{left} {left + number * tall}" + "".join([steps[run] for run in _RUNS.findall(row)])
            for number, row in enumerate(self.rows)
        )

    def svg(self, *, module_px: int = 4) -> str:
        """Return an SVG document, white behind the symbol, ``module_px`` user pixels a module."""
        wide, high = self.width, self.height
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<svg width="{wide * module_px}" height="{high * module_px}" viewBox="0 0 {wide} {high}" '
            'xmlns="http://www.w3.org/2000/svg" shape-rendering="crispEdges">'
            f'<path fill="#fff" d="M0 0h{wide}v{high}H0Z"/><path d="{self.path()}"/></svg>\n'
        )

    def png(self, *, module_px: int = 8) -> bytes:
        """Return a PNG image of one bit a pixel, ``module_px`` pixels a module."""
        wide, high = self.width * module_px, self.height * module_px
        margin = "1" * (self.quiet_zone * module_px)
        blank = _scan_line("1" * wide) * (self.quiet_zone * module_px)
        wider = str.maketrans({"1": "0" * module_px, "0": "1" * module_px})
        body = b"".join(
            _scan_line(margin + row.translate(wider) + margin) * (self.row_height * module_px) for row in self.rows
        )
        head = struct.pack(">IIBBBBB", wide, high, 1, 0, 0, 0, 0)
        return (
            _PNG_MAGIC
            + _chunk(b"IHDR", head)
            + _chunk(b"IDAT", zlib.compress(blank + body + blank, 6))
            + _chunk(b"IEND", b"")
        )


@lru_cache(maxsize=4)
def _steps(tall: int) -> dict[str, str]:
    """Return the path of every run: a dark one is a rectangle and a move to its right end, a light one a move."""
    dark = {"1" * size: f"h{size}v{tall}h-{size}zm{size} 0" for size in range(1, _SIDE_MAX + 1)}
    return dark | {"0" * size: f"m{size} 0" for size in range(1, _SIDE_MAX + 1)}


def _scan_line(bits: str) -> bytes:
    """Return one line of a PNG of one bit a pixel, after filter type 0 (ISO/IEC 15948, 7.2 and 9.2)."""
    octets = -(-len(bits) // 8)
    return b"\0" + int(bits.ljust(octets * 8, "0"), 2).to_bytes(octets, "big")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
