"""Codes drawn for a page: the module grid of the cards room as an inline SVG that fills its box."""

from __future__ import annotations

from markupsafe import Markup

from yimatong.cards.codes.symbols import Level, qr_modules


def picture(text: str, *, level: Level = "M") -> Markup:
    """Return a QR code as an inline SVG that scales; the page names it for screen readers."""
    modules = qr_modules(text, level=level)
    body = (
        f'<svg viewBox="0 0 {modules.width} {modules.height}" shape-rendering="crispEdges" aria-hidden="true" '
        f'focusable="false"><path fill="#fff" d="M0 0h{modules.width}v{modules.height}H0Z"/>'
        f'<path d="{modules.path()}"/></svg>'
    )
    return Markup(body)  # noqa: S704 -- drawn from modules, the text itself is not in it
