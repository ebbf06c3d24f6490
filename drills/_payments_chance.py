"""Chance that can be had again: one generator for a seed decides everything, and every fault is counted.

While a seed runs, ``secrets`` and ``os.urandom`` draw from it too, so that order numbers, nonces and tokens are the
same when it is run again; what the cryptographic library draws inside (nonces of sealed fields) decides nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

FAULTS: Final = {
    1: "notice lost",
    2: "notice duplicated",
    3: "concurrent duplicates of a notice",
    4: "notices reordered",
    5: "notice with a forged signature",
    6: "genuine notice replayed to another merchant",
    7: "amount tampered in a genuine notice",
    8: "paid after we closed",
    9: "close and pay race",
    10: "crash before a channel call",
    11: "crash between the channel's success and our commit",
    12: "crash after the commit, before the acknowledgement",
    13: "time-out of the channel, which acted",
    14: "5xx, garbage, unsigned or busy answer",
    15: "read lag",
    16: "paid twice through two channels",
    17: "refund abnormal or late",
    18: "bill late, cut, altered or with rows twice",
    19: "clock skew and rows on another day's bill",
    20: "hospital's system down, slow, or booking and answering an error",
    21: "keys changed in the middle of the day",
    22: "transaction lost to another, or database away at the commit",
    23: "two workers at once",
    24: "insurer settled, own part failed",
}
"""1-20 are the listed ones; 21-24 stand beside them."""

LISTED: Final = 20
_LOW: Final = {1: 0.04, 2: 0.04, 3: 0.03, 4: 0.06, 10: 0.004, 11: 0.004, 12: 0.004, 13: 0.03, 14: 0.03, 15: 0.05}
_LOW_OTHER: Final = 0.03
_HIGH: Final = {1: 0.5, 2: 0.5, 3: 0.4, 4: 0.5, 10: 0.05, 11: 0.05, 12: 0.05, 13: 0.35, 14: 0.35, 15: 0.6}
_HIGH_OTHER: Final = 0.4
_PAIRS: Final = [(one, other) for one in range(1, LISTED + 1) for other in range(one, LISTED + 1)]
"""Every listed fault alone and with every other one: 210. A seed's number chooses which of them strikes often."""

ALL_PAIRS: Final = len(_PAIRS)

_STRIDE: Final = 97
"""Neighbouring seeds get pairs that lie far apart; 210 seeds in a row get them all."""


def pair_of(seed: int) -> tuple[int, int]:
    """Return the faults that strike often in a seed."""
    return _PAIRS[seed * _STRIDE % len(_PAIRS)]


class Chance:
    """The dice of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.often = pair_of(seed)
        self.struck: Counter[int] = Counter()
        self.calm = False
        self._digest = hashlib.sha256()
        self.lines: list[str] = []

    def strikes(self, fault: int, weight: float = 1.0) -> bool:
        """Say whether a fault strikes now, and count it; never once the world is calm."""
        if self.calm:
            return False
        high = fault in self.often
        rate = _HIGH.get(fault, _HIGH_OTHER) if high else _LOW.get(fault, _LOW_OTHER)
        if self.random.random() >= rate * weight:
            return False
        self.struck[fault] += 1
        return True

    def count(self, fault: int) -> None:
        """Count a fault that a play made on purpose."""
        self.struck[fault] += 1

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        self._digest.update(line.encode() + b"\n")
        self.lines.append(line)

    @property
    def digest(self) -> str:
        """Return the digest of the trace so far."""
        return self._digest.hexdigest()[:16]


@contextmanager
def drawn_from(source: random.Random) -> Iterator[None]:
    """Let every draw of this process come from ``source``; what asks the system itself has dice of its own.

    Libraries do so when it suits them (the first time they name an alias, say): it must not move ours.
    """
    aside = random.Random(source.randbytes(16))
    kept = {name: getattr(secrets, name) for name in ("token_bytes", "token_hex", "token_urlsafe", "randbelow")}
    urandom = os.urandom
    replaced = {
        "token_bytes": lambda size=32: source.randbytes(size),
        "token_hex": lambda size=32: source.randbytes(size).hex(),
        "token_urlsafe": lambda size=32: base64.urlsafe_b64encode(source.randbytes(size)).rstrip(b"=").decode(),
        "randbelow": source.randrange,
    }
    for name, function in replaced.items():
        setattr(secrets, name, function)
    os.urandom = aside.randbytes
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(secrets, name, function)
        os.urandom = urandom
