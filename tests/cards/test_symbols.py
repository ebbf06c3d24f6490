"""Every symbol that is drawn carries its text: read back by an independent reader, or by a decoder of the grid."""

from __future__ import annotations

import io
import re
import string
import sys
from pathlib import Path

import pytest
import zint
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from decoders import grid_matrix, han_xin

from yimatong.cards.codec import TEXT_LENGTH_MAX, dynamic_text, parse, static_text
from yimatong.cards.codes.symbols import qr_png, qr_svg
from yimatong.cards.errors import SymbolDoesNotFit
from yimatong.cards.symbologies.drawn import DRAWN, GRID_MATRIX, HAN_XIN, PDF417, QR, Drawn
from yimatong.cards.symbologies.modules import Modules

VUID = "0F" * 32
MEDIA = ("screen", "paper")
FORMATS = [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.PDF417]
_STEP = re.compile(r"([MmhvZz])(-?[\d.]+)?(?: (-?[\d.]+))?")

vuids = st.text("0123456789ABCDEF", min_size=64, max_size=64)
serials = st.text(string.ascii_uppercase + string.digits, min_size=12, max_size=12)
tokens = st.text(string.ascii_letters + string.digits + "._~=/+-", min_size=1, max_size=210)
texts = st.one_of(
    vuids.map(static_text),
    st.tuples(vuids, serials).map(lambda parts: f"{parts[0]}:1::L{parts[1]}"),
    st.tuples(vuids, st.binary(min_size=16, max_size=16)).map(lambda parts: dynamic_text(*parts)),
    st.tuples(vuids, st.binary(min_size=16, max_size=16), st.sampled_from("PS"), tokens).map(
        lambda parts: dynamic_text(parts[0], parts[1], f"{parts[2]}.{parts[3]}")
    ),
)
"""Static, with a label serial, dynamic, two-in-one and offline, up to 312 characters."""


def painted(modules: Modules, pixels: int) -> Image.Image:
    """Paint the dark runs one by one, as a printer does."""
    image = Image.new("L", (modules.width * pixels, modules.height * pixels), 255)
    for x, y, length in modules.runs():
        left, top = x * pixels, y * pixels
        image.paste(0, (left, top, left + length * pixels, top + modules.row_height * pixels))
    return image


def zxing(image: Image.Image) -> list[str]:
    """Read as a health card reader is set up: the two codes alone, for stripes of a grid can pass as a linear code."""
    return [found.text for found in zxingcpp.read_barcodes(image, formats=FORMATS)]


def read_back(symbology: Drawn, modules: Modules) -> str:
    if symbology is HAN_XIN:
        return han_xin.read(modules.rows)
    if symbology is GRID_MATRIX:
        return grid_matrix.read(modules.rows)
    found = zxing(painted(modules, 3))
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
@settings(max_examples=60, deadline=None)
@given(text=texts)
def test_what_is_printed_carries_its_text(symbology: Drawn, medium: str, text: str) -> None:
    parse(text)
    assert read_back(symbology, symbology.draw(text, medium)) == text


@pytest.mark.parametrize("medium", MEDIA)
@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
def test_the_longest_text_is_carried(symbology: Drawn, medium: str) -> None:
    text = dynamic_text(VUID, bytes(range(16)), "P.").ljust(TEXT_LENGTH_MAX, "z")
    assert read_back(symbology, symbology.draw(text, medium)) == text


@pytest.mark.parametrize("symbology", [HAN_XIN, GRID_MATRIX], ids=lambda each: each.name)
def test_the_oracles_find_a_single_wrong_module(symbology: Drawn) -> None:
    """A reader would correct it; the oracle must not, or it could not prove a grid."""
    modules = symbology.draw(static_text(VUID), "paper")
    unseen = 0
    for y in range(0, len(modules.rows), 4):
        for x in range(1, len(modules.rows), 5):
            row = modules.rows[y]
            rows = list(modules.rows)
            rows[y] = row[:x] + str(1 - int(row[x])) + row[x + 1 :]
            try:
                unseen += read_back(symbology, Modules(rows=tuple(rows), quiet_zone=0)) == static_text(VUID)
            except ValueError:
                continue
    # Finder and alignment patterns of Han Xin and its filler modules carry nothing that the oracle reads.
    assert unseen < (0.35 if symbology is HAN_XIN else 0.01) * (len(modules.rows) / 4) * (len(modules.rows) / 5)


@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
def test_quiet_zones_and_row_heights_are_those_of_the_standards(symbology: Drawn) -> None:
    """Zint keeps a table of its own; both must say the same."""
    symbol = zint.Symbol()
    symbol.symbology = symbology.kind
    symbol.option_1 = symbology.screen
    symbol.output_options = zint.OutputOptions.BARCODE_QUIET_ZONES | zint.OutputOptions.BARCODE_MEMORY_FILE
    symbol.outfile, symbol.scale = "code.svg", 0.5
    symbol.encode(static_text(VUID))
    symbol.print()
    size = re.search(r'width="(\d+)" height="(\d+)"', bytes(symbol.memfile).decode()).groups()
    modules = symbology.draw(static_text(VUID), "screen")
    assert (modules.width, modules.height) == tuple(map(int, size))


@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
def test_svg_and_png_show_the_grid(symbology: Drawn) -> None:
    modules = symbology.draw(static_text(VUID), "paper")
    exact = painted(modules, 2)
    picture = Image.open(io.BytesIO(modules.png(module_px=2)))
    assert picture.convert("L").tobytes() == exact.tobytes()
    assert from_svg(modules.svg(module_px=2), 2).tobytes() == exact.tobytes()


def from_svg(svg: str, pixels: int) -> Image.Image:
    """Paint a document of ours: one white ground, one path of rectangles and moves."""
    width, height = (int(size) for size in re.search(r'width="(\d+)" height="(\d+)"', svg).groups())
    image = Image.new("L", (width, height), 255)
    x = y = 0
    runs: list[int] = []
    for step, first, second in _STEP.findall(re.findall(r' d="([^"]+)"', svg)[-1]):
        if step == "M":
            x, y = int(first), int(second)
        elif step == "m":
            x += int(first)
        elif step in "hv":
            runs.append(int(first))
        elif step == "z":
            assert runs[0] == -runs[2]
            image.paste(0, (x * pixels, y * pixels, (x + runs[0]) * pixels, (y + runs[1]) * pixels))
            runs.clear()
    return image


@pytest.mark.parametrize("dpi", [203, 300])
@pytest.mark.parametrize("symbology", [QR, PDF417], ids=lambda each: each.name)
def test_two_dots_a_module_are_enough_for_a_label_printer(symbology: Drawn, dpi: int) -> None:
    """The smallest module that labels use, 0.25 mm, is two dots at 203 dpi; edges blurred by the heat of the print."""
    text = static_text(VUID) + "::L7K2M9QX4TBN3"
    dots = round(0.25 / 25.4 * dpi)
    picture = painted(symbology.draw(text, "paper"), dots)
    scanned = picture.resize((picture.width * 5 // 2, picture.height * 5 // 2), Image.Resampling.BILINEAR).rotate(
        4, expand=True, fillcolor=255
    )
    assert zxing(scanned) == [text]


def test_a_text_beyond_the_largest_symbol_is_refused_by_name() -> None:
    with pytest.raises(SymbolDoesNotFit):
        PDF417.draw("é" * 3000, "paper")


@pytest.mark.parametrize("level", ["M", "Q"])
def test_the_short_cuts_for_pages_draw_the_same(level: str) -> None:
    text = static_text(VUID)
    assert zxing(Image.open(io.BytesIO(qr_png(text, level=level)))) == [text]
    assert zxing(from_svg(qr_svg(text, level=level), 4)) == [text]
