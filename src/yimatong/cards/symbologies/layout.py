"""Where things stand on a label: symbol, number under it, masked name, institution; and labels on a sheet.

Modules are whole eighths of a millimetre, which are the dots of a 203 dpi label printer, and never under two of them:
below 0.25 mm a hand-held reader gives up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from yimatong.cards.errors import SymbolDoesNotFit
from yimatong.cards.symbologies.glyphs import width
from yimatong.cards.symbologies.modules import Modules
from yimatong.cards.symbologies.paper import Paper, PlacedSymbol, PlacedText, centred

DOT_MM: Final = 0.125
MODULE_MM_MIN: Final = 0.25
_MARGIN_MM: Final = 1.0
_GAP_MM: Final = 1.0
_LEADING: Final = 1.3
_CUT: Final = "…"
_SQUEEZED: Final = 1.25
"""A line that is too long by no more than this is set smaller, not broken: no bracket stands alone."""
_WIDE: Final = 1.5
"""A symbol wider than this times its height (PDF417) takes the whole width, with the text under it."""


class LabelSize(msgspec.Struct, frozen=True, kw_only=True):
    """One label, in millimetres."""

    width_mm: float
    height_mm: float


class SheetFormat(msgspec.Struct, frozen=True, kw_only=True):
    """An A4 sheet of stickers: where the first lies and how far it is to the next."""

    label: LabelSize
    columns: int
    rows: int
    left_mm: float
    top_mm: float
    across_mm: float
    down_mm: float


class LabelContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a label shows. ``name`` is masked already; ``number`` stands under the symbol."""

    modules: Modules
    symbology: str
    title: str
    name: str
    number: str
    institution: str
    day: str


SIZES: Final = {
    "40x30": LabelSize(width_mm=40, height_mm=30),
    "50x30": LabelSize(width_mm=50, height_mm=30),
    "60x40": LabelSize(width_mm=60, height_mm=40),
    "100x70": LabelSize(width_mm=100, height_mm=70),
}
"""Rolls of label printers that hospitals buy."""

A4: Final = LabelSize(width_mm=210, height_mm=297)
SHEETS: Final = {
    "a4_65": SheetFormat(
        label=LabelSize(width_mm=38.1, height_mm=21.2),
        columns=5,
        rows=13,
        left_mm=4.65,
        top_mm=10.7,
        across_mm=40.65,
        down_mm=21.2,
    ),
    "a4_40": SheetFormat(
        label=LabelSize(width_mm=52.5, height_mm=29.7),
        columns=4,
        rows=10,
        left_mm=0,
        top_mm=0,
        across_mm=52.5,
        down_mm=29.7,
    ),
    "a4_24": SheetFormat(
        label=LabelSize(width_mm=70, height_mm=37),
        columns=3,
        rows=8,
        left_mm=0,
        top_mm=0.5,
        across_mm=70,
        down_mm=37,
    ),
    "a4_21": SheetFormat(
        label=LabelSize(width_mm=63.5, height_mm=38.1),
        columns=3,
        rows=7,
        left_mm=7.25,
        top_mm=15.15,
        across_mm=66,
        down_mm=38.1,
    ),
}
"""Sheets of stickers sold for office printers, by how many are on one."""


def label(content: LabelContent, size: LabelSize) -> Paper:
    """Lay one label out on a page of its own.

    Raises:
        SymbolDoesNotFit: modules would be under 0.25 mm. LabelFontMissing.
    """
    symbol, texts = _placed(content, size, left_mm=0, top_mm=0)
    return Paper(width_mm=size.width_mm, height_mm=size.height_mm, symbols=(symbol,), texts=texts)


def sheets(contents: Sequence[LabelContent], form: SheetFormat) -> list[Paper]:
    """Lay labels out on as many sheets as they need, row by row.

    Raises:
        SymbolDoesNotFit, LabelFontMissing: see ``label``.
    """
    full, pages = form.columns * form.rows, list[Paper]()
    for start in range(0, len(contents), full):
        symbols, texts = list[PlacedSymbol](), list[PlacedText]()
        for place, content in enumerate(contents[start : start + full]):
            row, column = divmod(place, form.columns)
            symbol, lines = _placed(
                content,
                form.label,
                left_mm=form.left_mm + column * form.across_mm,
                top_mm=form.top_mm + row * form.down_mm,
            )
            symbols.append(symbol)
            texts += lines
        pages.append(Paper(width_mm=A4.width_mm, height_mm=A4.height_mm, symbols=tuple(symbols), texts=tuple(texts)))
    return pages


def _placed(
    content: LabelContent, size: LabelSize, *, left_mm: float, top_mm: float
) -> tuple[PlacedSymbol, tuple[PlacedText, ...]]:
    wide = content.modules.width > _WIDE * content.modules.height
    symbol, texts = (_stacked if wide else _beside)(content, size)
    return (
        msgspec.structs.replace(symbol, x_mm=symbol.x_mm + left_mm, y_mm=symbol.y_mm + top_mm),
        tuple(msgspec.structs.replace(line, x_mm=line.x_mm + left_mm, y_mm=line.y_mm + top_mm) for line in texts),
    )


def _beside(content: LabelContent, size: LabelSize) -> tuple[PlacedSymbol, list[PlacedText]]:
    """Symbol at the left with its number under it, the rest at the right."""
    small = max(1.7, size.height_mm * 0.065)
    side = min(size.height_mm - 2 * _MARGIN_MM - small * _LEADING, size.width_mm * 0.62)
    symbol = _fitted(content, x_mm=_MARGIN_MM, y_mm=_MARGIN_MM, width_mm=side, height_mm=side)
    high = content.modules.height * symbol.module_mm
    broad = content.modules.width * symbol.module_mm
    under = shrunk(content.number, room_mm=max(broad, side), size_mm=small)
    number = centred(
        under[0], middle_mm=_MARGIN_MM + broad / 2, y_mm=_MARGIN_MM + high + under[1] * 0.95, size_mm=under[1]
    )
    if number.x_mm < _MARGIN_MM:
        number = msgspec.structs.replace(number, x_mm=_MARGIN_MM)
    left = max(_MARGIN_MM + broad, number.x_mm + width(number.text, number.size_mm)) + _GAP_MM / 2
    column = size.width_mm - left - _MARGIN_MM
    big = max(2.4, size.height_mm * 0.13)
    lines = [(content.title, small * 1.15), (content.name, big)]
    lines += [(part, small) for part in wrap(content.institution, room_mm=column, size_mm=small, lines_max=3)]
    lines.append((content.day, small))
    return symbol, [number, *_column(lines, x_mm=left, room_mm=column, size=size)]


def _column(lines: Sequence[tuple[str, float]], *, x_mm: float, room_mm: float, size: LabelSize) -> list[PlacedText]:
    fitted = [fit(text, room_mm=room_mm, size_mm=wanted) for text, wanted in lines if text]
    high = sum(each * _LEADING for _, each in fitted)
    y, placed = max(_MARGIN_MM, (size.height_mm - high) / 2), list[PlacedText]()
    for text, each in fitted:
        y += each * _LEADING
        placed.append(PlacedText(text=text, x_mm=x_mm, y_mm=y - each * 0.3, size_mm=each))
    return placed


def _stacked(content: LabelContent, size: LabelSize) -> tuple[PlacedSymbol, list[PlacedText]]:
    """Symbol over the whole width, number, name and institution under it."""
    small = max(1.7, size.height_mm * 0.065)
    big = max(2.4, size.height_mm * 0.09)
    room = size.width_mm - 2 * _MARGIN_MM
    texts_high = (small * 2 + big) * _LEADING
    symbol = _fitted(
        content, x_mm=0, y_mm=_MARGIN_MM, width_mm=size.width_mm, height_mm=size.height_mm - texts_high - _MARGIN_MM
    )
    broad, high = content.modules.width * symbol.module_mm, content.modules.height * symbol.module_mm
    above = max(_MARGIN_MM / 2, (size.height_mm - high - texts_high) / 2)
    symbol = msgspec.structs.replace(symbol, x_mm=(size.width_mm - broad) / 2, y_mm=above)
    y, placed, middle = above + high, list[PlacedText](), size.width_mm / 2
    for text, wanted in (
        (content.number, small),
        (f"{content.title} {content.name}", big),
        (f"{content.institution} {content.day}", small),
    ):
        shown, each = (shrunk if text == content.number else fit)(text, room_mm=room, size_mm=wanted)
        y += each * _LEADING
        placed.append(centred(shown, middle_mm=middle, y_mm=y - each * 0.25, size_mm=each))
    return symbol, placed


def _fitted(content: LabelContent, *, x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> PlacedSymbol:
    most = min(width_mm / content.modules.width, height_mm / content.modules.height)
    module = int(most / DOT_MM + 1e-9) * DOT_MM
    if module < MODULE_MM_MIN:
        raise SymbolDoesNotFit(symbology=content.symbology)
    return PlacedSymbol(modules=content.modules, x_mm=x_mm, y_mm=y_mm, module_mm=module)


def shrunk(text: str, *, room_mm: float, size_mm: float) -> tuple[str, float]:
    """Return a line and the size at which all of it fits: a number with its end cut off is nobody's number."""
    return text, min(size_mm, size_mm * room_mm / width(text, size_mm) * 0.999)


def fit(text: str, *, room_mm: float, size_mm: float) -> tuple[str, float]:
    """Return a line and the size at which it fits: down to 70 % of the wanted size, then cut with an ellipsis."""
    needed = width(text, size_mm)
    if needed <= room_mm:
        return text, size_mm
    size = max(size_mm * room_mm / needed * 0.999, size_mm * 0.7)
    if width(text, size) <= room_mm:
        return text, size
    while text and width(text + _CUT, size) > room_mm:
        text = text[:-1]
    return text + _CUT, size


def wrap(text: str, *, room_mm: float, size_mm: float, lines_max: int) -> list[str]:
    """Break a text into at most ``lines_max`` lines; what is left over stays on the last one, to be fitted."""
    lines, rest = list[str](), text
    while rest and len(lines) < lines_max - 1 and width(rest, size_mm) > room_mm * _SQUEEZED:
        take = len(rest)
        while take > 1 and width(rest[:take], size_mm) > room_mm:
            take -= 1
        lines.append(rest[:take].strip())
        rest = rest[take:].strip()
    return [*lines, rest] if rest else lines
