"""Codes drawn for a page: the SVG of the cards room, made to fill its box and without a file's head."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup

from yimatong.cards.codes.symbols import Level, qr_svg

_SIZE: Final = re.compile(r'<svg width="(\d+)" height="(\d+)"')
_OPENING: Final = r'<svg viewBox="0 0 \1 \2" shape-rendering="crispEdges" aria-hidden="true" focusable="false"'


def picture(text: str, *, level: Level = "M") -> Markup:
    """Return a QR code as an inline SVG that scales; the page names it for screen readers."""
    svg = qr_svg(text, level=level)
    body = _SIZE.sub(_OPENING, svg[svg.index("<svg") :], count=1)
    return Markup(body)  # noqa: S704 -- drawn by the symbol library from modules, the text itself is not in it
