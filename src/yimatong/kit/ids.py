"""Identifiers that the platform makes: time-ordered, so that indexes grow at one end."""

from __future__ import annotations

import os
import secrets
import time


def new_id(prefix: str) -> str:
    """Return ``prefix_`` and 32 hex characters: 48 bits of milliseconds, 80 random bits."""
    return f"{prefix}_{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"


def new_number(prefix: str, day: str) -> str:
    """Return a business number that people read aloud: prefix, ``yyyymmdd``, 12 random digits."""
    return f"{prefix}{day}{secrets.randbelow(10**12):012d}"
