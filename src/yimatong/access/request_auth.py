r"""The signature of the native API, as pure functions.

A request carries ``Authorization: YMT-HMAC-SM3 caller_id=...,timestamp=...,nonce=...,signature=...`` over
``METHOD\nPATH?QUERY\nTIMESTAMP\nNONCE\nIDEMPOTENCY_KEY\nBODY\n`` (an empty line where there is no key); an answer
carries ``YMT-Timestamp`` and ``YMT-Signature`` over ``STATUS\nTIMESTAMP\nREQUEST_NONCE\nBODY\n``. Signatures are
HMAC-SM3 (GB/T 32905, GB/T 15852.2) in lower-case hex. A front wraps what a caller signed, unchanged, in its own
``YMT-Front`` header of the same form over ``METHOD\nPATH?QUERY\nTIMESTAMP\nNONCE\nAUTHORIZATION\nBODY\n``.
"""

from __future__ import annotations

import hmac
import re
from datetime import datetime
from typing import NamedTuple

from yimatong.access.errors import CallerUnknown, IdInvalid, NotSigned, TimestampOutOfWindow
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.clock import rfc3339

SCHEME = "YMT-HMAC-SM3"
WINDOW_S = 300
"""How far a request's time stamp may be from the server's clock, in seconds."""

_ID = r"[A-Za-z0-9._-]{1,64}"
_PARAMETERS = re.compile(
    rf"caller_id=({_ID}),timestamp=(\d{{1,12}}),nonce=([A-Za-z0-9_-]{{8,64}}),signature=([0-9a-f]{{64}})",
    re.ASCII,
)


def require_id(given: str) -> None:
    """Refuse an id that no signed request could carry, or that readers of JSON and of arrays take for nothing.

    Raises:
        IdInvalid: not 1 to 64 of A-Z a-z 0-9 . _ -, or the word ``null`` in any case.
    """
    if re.fullmatch(_ID, given, re.ASCII) is None or given.lower() == "null":
        raise IdInvalid(id=given[:64])


class Credentials(NamedTuple):
    """What the header says, not yet believed. ``timestamp`` is Unix seconds."""

    caller_id: str
    timestamp: int
    nonce: str
    signature: str


def parse(header: str) -> Credentials:
    """Read an ``Authorization`` or ``YMT-Front`` header.

    Raises:
        NotSigned: another scheme, or a parameter missing or malformed.
    """
    scheme, _, parameters = header.partition(" ")
    if scheme != SCHEME:
        raise NotSigned(detail=f"Authorization: {SCHEME} ...")
    found = _PARAMETERS.fullmatch(parameters.strip())
    if found is None:
        raise NotSigned(detail="caller_id=...,timestamp=...,nonce=...,signature=...")
    caller_id, timestamp, nonce, signature = found.groups()
    return Credentials(caller_id, int(timestamp), nonce, signature)


def request_text(*, method: str, target: str, timestamp: int, nonce: str, bound: str, body: bytes) -> bytes:
    """Return the bytes that are signed.

    ``target`` is path and query; ``bound`` is the idempotency key, or for a front the caller's whole
    ``Authorization`` header.
    """
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n{bound}\n".encode() + body + b"\n"


def answer_text(*, status: int, timestamp: int, nonce: str, body: bytes) -> bytes:
    """Return the bytes of an answer that are signed; ``nonce`` is the request's."""
    return b"%d\n%d\n%s\n%s\n" % (status, timestamp, nonce.encode(), body)


def sign(secret: bytes | HmacSm3, text: bytes) -> str:
    """Return the signature: HMAC-SM3 in 64 lower-case hex characters. ``secret`` is the key, or its keyed HMAC."""
    keyed = HmacSm3(secret) if isinstance(secret, bytes) else secret
    return keyed.digest(text).hex()


def check_signature(secret: bytes | HmacSm3, text: bytes, signature: str) -> None:
    """Compare in constant time.

    Raises:
        CallerUnknown: the signature does not hold.
    """
    if not hmac.compare_digest(sign(secret, text), signature):
        raise CallerUnknown(audit="signature does not hold")


def check_window(timestamp: int, *, now: datetime) -> None:
    """Refuse a time stamp outside the window.

    Raises:
        TimestampOutOfWindow: more than ``WINDOW_S`` seconds from ``now``.
    """
    if abs(now.timestamp() - timestamp) > WINDOW_S:
        raise TimestampOutOfWindow(window_s=WINDOW_S, server_time=rfc3339(now))


def header(*, caller_id: str, timestamp: int, nonce: str, signature: str) -> str:
    """Write the header that ``parse`` reads."""
    return f"{SCHEME} caller_id={caller_id},timestamp={timestamp},nonce={nonce},signature={signature}"
