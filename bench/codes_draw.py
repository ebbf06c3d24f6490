"""``ymt bench codes-draw``: symbols as SVG through the port against bare Zint drawing the same symbols, side by side.

Both sides draw the same texts (static with a label serial, dynamic, two-in-one) with the same error correction; rounds
alternate, so a busy machine slows both. ``ratio`` is that of QR, ``ratio_min`` the worst of the four symbologies. PNGs
and PDF labels are timed beside it. Every tenth picture is read back before anything is timed.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from collections.abc import Callable, Sequence

import zint

from yimatong.cards.codec import dynamic_text, static_text
from yimatong.cards.symbologies import layout, paper
from yimatong.cards.symbologies.drawn import DRAWN, PDF417, QR, Drawn

ROUNDS = 5


def texts(number: int) -> list[str]:
    """Return made-up texts of codes, a third of each kind, from one seed."""
    draw = random.Random(20_261_123)
    made = []
    for each in range(number):
        vuid = f"{draw.getrandbits(256):064X}"
        dynamic = dynamic_text(vuid, draw.randbytes(16))
        made.append(
            (f"{static_text(vuid)}::L7K2M9QX4T", dynamic, f"{dynamic}:P.{draw.getrandbits(600):0150x}")[each % 3]
        )
    return made


def bare(symbology: Drawn, text: str) -> bytes:
    """Draw one SVG with Zint alone."""
    symbol = zint.Symbol()
    symbol.symbology = symbology.kind
    symbol.option_1 = symbology.screen
    symbol.output_options = zint.OutputOptions.BARCODE_QUIET_ZONES | zint.OutputOptions.BARCODE_MEMORY_FILE
    symbol.outfile = "code.svg"
    symbol.encode(text)
    symbol.print()
    return bytes(symbol.memfile)


def label_of(text: str) -> bytes:
    """Draw one PDF label."""
    content = layout.LabelContent(
        modules=QR.draw(text, "paper"),
        symbology=QR.title,
        title="电子健康卡",
        name="张*丰",
        number=f"{text[:4]}…{text[60:64]} L7K2M9QX4T",
        institution="西安市第一人民医院",
        day="2026-11-23",
    )
    return paper.pdf([layout.label(content, layout.SIZES["50x30"])])


def seconds(work: Callable[[str], object], given: Sequence[str]) -> float:
    """Return how long one pass over the texts takes."""
    begun = time.perf_counter()
    for text in given:
        work(text)
    return time.perf_counter() - begun


def compare(symbology: Drawn, given: Sequence[str]) -> tuple[float, float]:
    """Return SVGs a second of ours and of bare Zint, the best round of each."""
    ours, theirs = list[float](), list[float]()
    for _ in range(ROUNDS):
        ours.append(seconds(lambda text: symbology.draw(text, "screen").svg(), given))
        theirs.append(seconds(lambda text: bare(symbology, text), given))
    return len(given) / min(ours), len(given) / min(theirs)


def check(given: Sequence[str]) -> int:
    """Read pictures of both readable symbologies back; return how many were wrong (0 where no reader is installed)."""
    try:
        import zxingcpp  # noqa: PLC0415 -- a test tool; the figures need it no more
        from PIL import Image  # noqa: PLC0415
    except ImportError:
        return 0
    formats = [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.PDF417]
    wrong = 0
    for symbology in (QR, PDF417):
        for text in given[::10]:
            found = zxingcpp.read_barcodes(
                Image.open(io.BytesIO(symbology.draw(text, "screen").png(module_px=3))), formats=formats
            )
            wrong += [each.text for each in found] != [text]
    return wrong


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    parser = argparse.ArgumentParser(prog="ymt bench codes-draw", description=__doc__)
    parser.add_argument("--number", type=int, default=1000, help="texts a round")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    given = texts(arguments.number)
    wrong = check(given[:200])
    figures: dict[str, float] = {}
    sys.stderr.write(f"{'码制 symbology':<16}{'ours svg/s':>12}{'zint svg/s':>12}{'ratio':>8}\n")
    ratios = []
    for symbology in DRAWN:
        ours, theirs = compare(symbology, given)
        ratios.append(ours / theirs)
        sys.stderr.write(f"{symbology.title:<16}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>8.2f}\n")
        if symbology is QR:
            figures |= {"ratio": ours / theirs, "svg_per_s": ours, "zint_per_s": theirs}
    labels = [text for text in given if "::L" in text][:200]
    figures |= {
        "ratio_min": min(ratios),
        "png_per_s": len(given) / seconds(lambda text: QR.draw(text, "screen").png(), given),
        "pdf_labels_per_s": len(labels) / seconds(label_of, labels),
        "wrong": wrong,
        "n": len(given),
    }
    shown = {key: round(value, 3 if "ratio" in key else None) for key, value in figures.items()}
    if arguments.json:
        sys.stdout.write(json.dumps(shown) + "\n")
    print("figure: codes-draw " + " ".join(f"{key}={value}" for key, value in shown.items()))
    return 0 if not wrong else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
