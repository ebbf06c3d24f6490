"""A sheet of paper with symbols and text on it, measured in millimetres, as SVG or as PDF (ISO 32000-1).

Everything is filled outlines: no bitmap, no font to embed or to miss. The PDF asks its viewer not to scale it, for a
label printed at 96 % lies beside its own edges.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import msgspec

from yimatong.cards.symbologies.glyphs import glyph, width
from yimatong.cards.symbologies.modules import Modules

_POINTS: Final = 72 / 25.4


class PlacedSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol; ``x_mm`` and ``y_mm`` are the top left corner of its quiet zone."""

    modules: Modules
    x_mm: float
    y_mm: float
    module_mm: float


class PlacedText(msgspec.Struct, frozen=True, kw_only=True):
    """A line of text from ``x_mm``, on the base line ``y_mm``; ``size_mm`` is its em."""

    text: str
    x_mm: float
    y_mm: float
    size_mm: float


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A filled rectangle: the line of a table; ``x_mm`` and ``y_mm`` are its top left corner."""

    x_mm: float
    y_mm: float
    width_mm: float
    height_mm: float


class Paper(msgspec.Struct, frozen=True, kw_only=True):
    """One page."""

    width_mm: float
    height_mm: float
    symbols: tuple[PlacedSymbol, ...] = ()
    texts: tuple[PlacedText, ...] = ()
    rules: tuple[Rule, ...] = ()


def centred(text: str, *, middle_mm: float, y_mm: float, size_mm: float) -> PlacedText:
    """Place a line around a vertical middle."""
    return PlacedText(text=text, x_mm=middle_mm - width(text, size_mm) / 2, y_mm=y_mm, size_mm=size_mm)


def ending(text: str, *, right_mm: float, y_mm: float, size_mm: float) -> PlacedText:
    """Place a line so that it ends at ``right_mm``, as amounts stand below each other."""
    return PlacedText(text=text, x_mm=right_mm - width(text, size_mm), y_mm=y_mm, size_mm=size_mm)


def svg(page: Paper) -> str:
    """Return one page as an SVG element in its true size; where it stands says what it is.

    Raises:
        LabelFontMissing.
    """
    needed = sorted({char for line in page.texts for char in line.text if glyph(char).steps})
    marks = {char: f"{ord(char):x}" for char in needed}
    shapes = "".join(f'<path id="ymt-{marks[char]}" d="{_svg_outline(char)}"/>' for char in needed)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_n(page.width_mm)}mm" height="{_n(page.height_mm)}mm"',
        f' viewBox="0 0 {_n(page.width_mm)} {_n(page.height_mm)}" aria-hidden="true">',
        f'<path fill="#fff" d="M0 0h{_n(page.width_mm)}v{_n(page.height_mm)}H0Z"/>',
        f"<defs>{shapes}</defs>" if shapes else "",
    ]
    parts += [
        f'<path shape-rendering="crispEdges" transform="translate({_n(each.x_mm)} {_n(each.y_mm)}) '
        f'scale({_n(each.module_mm)})" d="{each.modules.path()}"/>'
        for each in page.symbols
    ]
    parts += [
        f'<path d="M{_n(each.x_mm)} {_n(each.y_mm)}h{_n(each.width_mm)}v{_n(each.height_mm)}h-{_n(each.width_mm)}Z"/>'
        for each in page.rules
    ]
    for line in page.texts:
        x = line.x_mm
        for char in line.text:
            if char in marks:
                size = _n(line.size_mm)
                parts.append(
                    f'<use href="#ymt-{marks[char]}" transform="translate({_n(x)} {_n(line.y_mm)}) '
                    f'scale({size} -{size})"/>'
                )
            x += glyph(char).advance * line.size_mm
    return "".join([*parts, "</svg>"])


def _svg_outline(char: str) -> str:
    return "".join(kind + " ".join(f"{part:g}" for part in numbers) for kind, numbers in glyph(char).steps)


def pdf(pages: Sequence[Paper]) -> bytes:
    """Return pages as one PDF document; every character's outline stands in it once, as a form (8.10).

    Raises:
        LabelFontMissing.
    """
    chars = sorted({char for page in pages for line in page.texts for char in line.text if glyph(char).steps})
    first_page = 3 + len(chars)
    kids = " ".join(f"{first_page + 2 * number} 0 R" for number in range(len(pages)))
    forms = "".join(f"/{_form(char)} {3 + number} 0 R" for number, char in enumerate(chars))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R/ViewerPreferences<</PrintScaling/None>>>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]/Resources<</XObject<<{forms}>>>>>>".encode(),
    ]
    head = "/Type/XObject/Subtype/Form/BBox[-1 -1 3 2]"
    objects += [_stream("\n".join([*(_pdf_step(*step) for step in glyph(char).steps), "f"]), head) for char in chars]
    for number, page in enumerate(pages):
        box = f"0 0 {_n(page.width_mm * _POINTS)} {_n(page.height_mm * _POINTS)}"
        contents = first_page + 2 * number + 1
        objects += [
            f"<</Type/Page/Parent 2 0 R/MediaBox[{box}]/Contents {contents} 0 R>>".encode(),
            _stream(_content(page)),
        ]
    return _document(objects)


def _stream(text: str, head: str = "") -> bytes:
    packed = zlib.compress(text.encode(), 6)
    return f"<<{head}/Length {len(packed)}/Filter/FlateDecode>>stream\n".encode() + packed + b"\nendstream"


def _form(char: str) -> str:
    return f"u{ord(char):x}"


def _document(objects: Sequence[bytes]) -> bytes:
    """Join numbered objects with their table of places (7.5)."""
    whole, places = bytearray(b"%PDF-1.7\n%\xe4\xb8\x80\xe7\xa0\x81\n"), list[int]()
    for number, content in enumerate(objects, start=1):
        places.append(len(whole))
        whole += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = len(whole)
    whole += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    whole += b"".join(b"%010d 00000 n \n" % place for place in places)
    whole += b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table)
    return bytes(whole)


def _content(page: Paper) -> str:
    """Return the content stream: millimetres from the top left corner, turned into the page's own points."""
    up = page.height_mm
    lines = [f"{_POINTS:.5f} 0 0 {_POINTS:.5f} 0 0 cm 0 g"]
    for each in page.symbols:
        module, tall = _n(each.module_mm), each.modules.row_height
        lines.append(f"q {module} 0 0 -{module} {_n(each.x_mm)} {_n(up - each.y_mm)} cm")
        lines += [f"{x} {y} {length} {tall} re" for x, y, length in each.modules.runs()]
        lines.append("f Q")
    lines += [
        f"{_n(each.x_mm)} {_n(up - each.y_mm - each.height_mm)} {_n(each.width_mm)} {_n(each.height_mm)} re f"
        for each in page.rules
    ]
    for line in page.texts:
        x, size = line.x_mm, _n(line.size_mm)
        for char in line.text:
            outline = glyph(char)
            if outline.steps:
                lines.append(f"q {size} 0 0 {size} {_n(x)} {_n(up - line.y_mm)} cm /{_form(char)} Do Q")
            x += outline.advance * line.size_mm
    return "\n".join(lines)


def _pdf_step(kind: str, numbers: tuple[float, ...]) -> str:
    operator = {"M": "m", "L": "l", "C": "c", "Z": "h"}[kind]
    return " ".join([*(f"{part:g}" for part in numbers), operator])


def _n(number: float) -> str:
    return f"{number:.4f}".rstrip("0").rstrip(".")
