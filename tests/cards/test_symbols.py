"""Codes drawn by Zint are read back from the picture by an independent reader, ZXing."""

from __future__ import annotations

import io
import re

import pytest
import zxingcpp
from PIL import Image

from yimatong.cards.codec import dynamic_text, static_text
from yimatong.cards.codes.symbols import qr_png, qr_svg

VUID = "0F" * 32
TEXTS = [
    static_text(VUID),
    dynamic_text(VUID, bytes(range(16))),
    dynamic_text(VUID, bytes(range(16)), "P." + "Z" * 180),
]
_SQUARE = re.compile(r"M(-?[\d.]+) (-?[\d.]+)h([\d.]+)v([\d.]+)h-[\d.]+Z")
_RECT = re.compile(r'<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="([\d.]+)"')


def _read(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("level", ["M", "Q"])
def test_png_is_read_back(text: str, level: str) -> None:
    assert _read(Image.open(io.BytesIO(qr_png(text, level=level)))) == [text]


@pytest.mark.parametrize("text", TEXTS)
def test_svg_is_read_back(text: str) -> None:
    """The SVG consists of filled rectangles only; painted one by one they give the same picture."""
    svg = qr_svg(text)
    width, height = (int(float(size)) for size in re.search(r'width="([\d.]+)" height="([\d.]+)"', svg).groups())
    scale = 4
    image = Image.new("L", (width * scale, height * scale), 255)
    rectangles = _SQUARE.findall(svg) or _RECT.findall(svg)[1:]
    assert len(rectangles) > 100
    for x, y, w, h in ((float(a) * scale for a in found) for found in rectangles):
        image.paste(0, (round(x), round(y), round(x + w), round(y + h)))
    assert _read(image) == [text]
