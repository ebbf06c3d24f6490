"""Wire shapes of printed labels and of drawings."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.cards.codes.schemas import Vuid

LABELS_MAX = 100
"""How many labels one request prints."""

SymbologyName = Annotated[
    str,
    Meta(
        pattern="^[a-z][a-z0-9_]{0,23}(?!\\n)$",
        description="qr, pdf417, grid_matrix, han_xin; cm, d9ing and others where a driver is installed",
        examples=["qr"],
    ),
]
Size = Literal["40x30", "50x30", "60x40", "100x70"]
Sheet = Literal["a4_65", "a4_40", "a4_24", "a4_21"]
Serial = Annotated[str, Meta(pattern="^L[0-9A-Z]{9}(?!\\n)$", description="serial of a printed label")]


class LabelOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose label: an account that the caller holds, or one that it verified a code of before."""

    vuid: Vuid
    verification_id: Annotated[str, Meta(max_length=64, description="record_id of the verification; or empty")] = ""


class NewLabel(LabelOf, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A label to be printed."""

    symbology: SymbologyName = "qr"
    size: Size = "50x30"
    form: Literal["pdf", "svg"] = "pdf"


class NewSheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Labels of several accounts on sheets of stickers, in this order."""

    labels: Annotated[tuple[LabelOf, ...], Meta(min_length=1, max_length=LABELS_MAX)]
    symbology: SymbologyName = "qr"
    sheet: Sheet = "a4_65"


class PrintedLabel(msgspec.Struct, frozen=True, kw_only=True):
    """One printed label. ``text`` is what its symbol carries."""

    vuid: str
    serial: str
    state: str
    symbology: str
    text: str
    printed_at: datetime
    printed_by: str
    revoked_at: datetime | None = None


class LabelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Printed labels and their document: PDF in base 64, or SVG as it is."""

    labels: tuple[PrintedLabel, ...]
    media_type: str
    document: str
    pages: int


class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """Every label of an account, newest first."""

    labels: tuple[PrintedLabel, ...]


class RevokeLabel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a label is revoked."""

    vuid: Vuid
    reason: Literal["lost", "torn", "misprinted", "other"] = "lost"


class KioskLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kiosk's browser to be opened. ``staff`` adds the sheet of many labels, for a clinic's own desk."""

    staff: bool = False
    size: Size = "50x30"
    symbology: SymbologyName = "qr"


class NewDrawing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A symbol of a code that the caller has."""

    code: Annotated[str, Meta(min_length=1, max_length=400)]
    symbology: SymbologyName = "qr"
    form: Literal["svg", "png"] = "svg"
    medium: Literal["screen", "paper"] = "screen"
    module_px: Annotated[int, Meta(ge=1, le=32, description="pixels a module")] = 4


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """A drawn symbol: an SVG document, or a PNG in base 64. Sizes are in pixels, with the quiet zone."""

    symbology: str
    standard: str
    media_type: str
    image: str
    width_px: int
    height_px: int


class SymbologyView(msgspec.Struct, frozen=True, kw_only=True):
    """A symbology by name; ``missing`` says what keeps it from being drawn here."""

    name: str
    title: str
    standard: str
    available: bool
    missing_zh: str = ""
    missing_en: str = ""


class Symbologies(msgspec.Struct, frozen=True, kw_only=True):
    """Every symbology that this installation knows."""

    symbologies: tuple[SymbologyView, ...]
