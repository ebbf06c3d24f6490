"""The keys of a service channel: which count now, and what an order's proof is made of. Pure.

A merchant key signs what the platform tells the channel, and proves orders that are placed in its name; a terminal's
key proves those of one window or kiosk. After a rotation the key before counts until its time is over.
"""

from __future__ import annotations

import hmac
from datetime import datetime

import msgspec

from yimatong.access import request_auth
from yimatong.payments.errors import ProofWrong

KEY_BYTES = 32


class Keyring(msgspec.Struct, frozen=True, kw_only=True):
    """Keys in hex (32 bytes each); ``terminals`` by terminal number."""

    key: str
    previous: str = ""
    terminals: dict[str, str] = {}

    def counting(self, *, previous_until: datetime | None, now: datetime) -> list[str]:
        """Return the merchant keys that count now, the present one first."""
        kept = bool(self.previous) and previous_until is not None and now < previous_until
        return [self.key, self.previous] if kept else [self.key]


def proof_text(*, merchant_no: str, terminal_no: str, source_no: str, amount_fen: int) -> bytes:
    """Return what the proof of an order is made over: four lines, each ended by a line feed."""
    return f"{merchant_no}\n{terminal_no}\n{source_no}\n{amount_fen}\n".encode()


def proof(key_hex: str, text: bytes) -> str:
    """Return the proof: HMAC-SM3 in 64 lower-case hex characters."""
    return request_auth.sign(bytes.fromhex(key_hex), text)


def require_proof(keys: list[str], text: bytes, given: str) -> None:
    """Compare in constant time with every key that counts.

    Raises:
        ProofWrong: it fits none of them.
    """
    fits = [hmac.compare_digest(proof(key, text), given) for key in keys]
    if not any(fits):
        raise ProofWrong
