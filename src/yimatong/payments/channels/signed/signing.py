r"""Signatures of the signed JSON protocol. Pure: time and nonce are arguments; verification raises.

Hexadecimal HMAC-SM3 (GB/T 15852.2, GB/T 32905) over lines: a request signs ``POST\nPATH\nTIMESTAMP\nNONCE\nBODY``,
its answer ``STATUS\nNONCE\nBODY`` with the request's nonce, a notice ``NOTICE\nTIMESTAMP\nNONCE\nBODY``. A notice names
no path: where the platform receives it is the platform's own business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3

WINDOW_S: Final = 300
_CODE: Final = re.compile("[0-9a-f]{64}")


class Unverified(Exception):
    """What came is not proven to come from the other side; the text says why, for the audit only."""


def request_headers(
    *, app_id: str, secret_hex: str, path: str, body: bytes, now: datetime, nonce: str
) -> dict[str, str]:
    """Return the headers of a request to ``path``. Raises ``ValueError`` for a secret that is not hexadecimal."""
    timestamp = str(int(now.timestamp()))
    signed = f"POST\n{path}\n{timestamp}\n{nonce}\n".encode() + body
    return {
        "Content-Type": "application/json",
        "X-App-Id": app_id,
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Sign": HmacSm3(bytes.fromhex(secret_hex)).digest(signed).hex(),
    }


def verify_answer(
    headers: Mapping[str, str], body: bytes, *, status: int, nonce: str, secrets_hex: Sequence[str]
) -> None:
    """Check an answer against the nonce of its request. Raises ``Unverified``."""
    _verify(headers, f"{status}\n{nonce}\n".encode() + body, secrets_hex)


def verify_notice(
    headers: Mapping[str, str], body: bytes, *, app_id: str, secrets_hex: Sequence[str], now: datetime
) -> None:
    """Check a notice: our own application id, a time stamp within five minutes, a signature with one of our secrets.

    Raises:
        Unverified: anything is missing, old, of somebody else, or wrong.
    """
    timestamp, nonce = headers.get("x-timestamp", ""), headers.get("x-nonce", "")
    if headers.get("x-app-id") != app_id or not nonce:
        message = "another application id, or no nonce"
        raise Unverified(message)
    if not (timestamp.isascii() and timestamp.isdecimal()) or abs(int(timestamp[:20]) - now.timestamp()) > WINDOW_S:
        message = f"time stamp {timestamp[:20]} is not within {WINDOW_S} s"
        raise Unverified(message)
    _verify(headers, f"NOTICE\n{timestamp}\n{nonce}\n".encode() + body, secrets_hex)


def _verify(headers: Mapping[str, str], signed: bytes, secrets_hex: Sequence[str]) -> None:
    text = headers.get("x-sign", "")
    if not _CODE.fullmatch(text):
        message = "the signature is not 64 hexadecimal digits"
        raise Unverified(message)
    given = bytes.fromhex(text)
    for secret_hex in secrets_hex:
        try:
            HmacSm3(bytes.fromhex(secret_hex)).verify(signed, given)
        except SignatureInvalid:
            continue
        return
    message = "the signature does not fit"
    raise Unverified(message)
