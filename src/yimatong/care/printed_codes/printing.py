"""Making the code of a prescription's bill and drawing it for paper; the text is told once and only its SM3 is kept."""

from __future__ import annotations

import base64
import secrets
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy.dialects.postgresql import insert

from yimatong.cards.codes import symbols
from yimatong.care.models import prescription_code
from yimatong.care.printed_codes import texts
from yimatong.kit.db import Connection


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """A code and its picture: an SVG document, a PNG image in base64, or nothing."""

    code: str
    image: str


NOTHING: Final = Printed(code="", image="")


async def print_code(
    connection: Connection, institution_id: str, bill_no: str, *, image: str, now: datetime
) -> Printed:
    """Make a new code for a prescription's bill; the one before is dead. ``image``: none, svg or png."""
    text = texts.text_of(secrets.token_bytes(texts.TOKEN_BYTES))
    made = {"digest": texts.digest_of(text), "created_at": now}
    await connection.execute(
        insert(prescription_code)
        .values(institution_id=institution_id, bill_no=bill_no, **made)
        .on_conflict_do_update(index_elements=["institution_id", "bill_no"], set_=made)
    )
    return Printed(code=text, image=drawn(text, image))


def drawn(text: str, image: str) -> str:
    """Return a code as a QR for paper (level Q): an SVG document, a PNG in base64, or nothing: pure."""
    if image == "svg":
        return symbols.qr_svg(text, level="Q")
    return base64.b64encode(symbols.qr_png(text, level="Q")).decode() if image == "png" else ""
