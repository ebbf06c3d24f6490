"""Identifiers that the platform makes: time-ordered, so that indexes grow at one end."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32 in lower case: no i, l, o, u."""


def new_id(prefix: str) -> str:
    """Return ``prefix_`` and 26 characters: 48 bits of milliseconds, 80 random bits (the layout of a ULID)."""
    number = (time.time_ns() // 1_000_000 << 80) | secrets.randbits(80)
    return f"{prefix}_" + "".join(_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))


def new_number(prefix: str, day: str) -> str:
    """Return a business number that people read aloud: prefix, ``yyyymmdd``, 12 random digits."""
    return f"{prefix}{day}{secrets.randbelow(10**12):012d}"
