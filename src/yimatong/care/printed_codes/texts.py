"""The text of a prescription code (处方缴费码): pure.

``YMTRX:1:`` and 26 characters of base32 (RFC 4648, section 6, without padding): 128 random bits. No public standard
that we found describes such a code, so the form is ours. It names nothing: whoever finds a slip learns from the text
neither patient nor hospital, and only its SM3 is kept.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from yimatong.care.errors import PrescriptionCodeUnknown
from yimatong.crypto.gm.sm3 import sm3

TOKEN_BYTES: Final = 16
_PREFIX: Final = "YMTRX:1:"
_FORM: Final = re.compile(rf"{_PREFIX}[A-Z2-7]{{26}}", re.ASCII)


def text_of(token: bytes) -> str:
    """Return the text that carries a token of ``TOKEN_BYTES`` random bytes."""
    return _PREFIX + base64.b32encode(token).decode().rstrip("=")


def digest_of(text: str) -> bytes:
    """Return the SM3 (32 bytes) under which a code is kept; scanners may add line ends and a full-width colon.

    Raises:
        PrescriptionCodeUnknown: it has not the form of one.
    """
    cleaned = text.strip("\r\n\t ").replace("：", ":").upper()
    if not _FORM.fullmatch(cleaned):
        raise PrescriptionCodeUnknown
    return sm3(cleaned.encode("ascii"))
