"""The texts of the codes drill: genuine ones, and what an attacker makes of them. Drawn from the printed seed."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from yimatong.cards.codec import CodeClass, Purpose, Valid, dynamic_text, seal_valid
from yimatong.cards.codes.offline import Header, token
from yimatong.crypto.gm.sm4 import encrypt_blocks

TTL_S = 120
SERVED = {
    CodeClass.GENERAL: Purpose.REGISTER,
    CodeClass.VISIT: Purpose.VISIT,
    CodeClass.RECORDS: Purpose.RECORDS,
    CodeClass.PAYMENT: Purpose.PAYMENT,
}


class Shown(NamedTuple):
    """A text as a terminal reads it, and what for."""

    text: str
    purpose: Purpose


class Wallet:
    """Accounts with the keys of their codes, as only the platform has them. ``keys`` are K_vuid by VUID."""

    def __init__(self, draw: random.Random, keys: dict[str, bytes]) -> None:
        self.draw = draw
        self.keys = keys
        self.vuids = list(keys)

    def somebody(self) -> str:
        return self.draw.choice(self.vuids)

    def valid(self, issued_at: int, code_class: CodeClass | None = None) -> Valid:
        chosen = self.draw.choice(list(CodeClass)) if code_class is None else code_class
        return Valid(chosen, issued_at, TTL_S, self.draw.randbytes(5))

    def genuine(self, issued_at: int, *, vuid: str = "") -> tuple[str, Valid, bytes]:
        """Return (VUID, what VALID says, its 16 bytes)."""
        owner, valid = vuid or self.somebody(), self.valid(issued_at)
        return owner, valid, seal_valid(self.keys[owner], valid)


def good(wallet: Wallet, number: int, *, now: int) -> Iterator[Shown]:
    """Yield genuine codes of every class, shown for what they serve."""
    for _ in range(number):
        vuid, valid, sealed = wallet.genuine(now)
        yield Shown(dynamic_text(vuid, sealed), SERVED[valid.code_class])


def forged(wallet: Wallet, number: int, *, now: int) -> Iterator[Shown]:
    """Yield forgeries of every kind in turn; those that cost the reader a signature to check are rarer."""
    kinds: Sequence[Callable[[Wallet, int], Shown]] = (
        *[_random_block] * 9,
        *[_altered] * 9,
        *[_naive] * 6,
        *[_other_issuer_key] * 6,
        *[_invented_token] * 3,
        *[_unknown_account] * 3,
        *[_unreadable] * 3,
        _invented_signature,
    )
    for position in range(number):
        yield kinds[position % len(kinds)](wallet, now)


def _purpose(wallet: Wallet) -> Purpose:
    return wallet.draw.choice(list(Purpose))


def _random_block(wallet: Wallet, _now: int) -> Shown:
    return Shown(dynamic_text(wallet.somebody(), wallet.draw.randbytes(16)), _purpose(wallet))


def _altered(wallet: Wallet, now: int) -> Shown:
    vuid, valid, sealed = wallet.genuine(now)
    flipped = int.from_bytes(sealed) ^ (1 << wallet.draw.randrange(128))
    return Shown(dynamic_text(vuid, flipped.to_bytes(16)), SERVED[valid.code_class])


def _naive(wallet: Wallet, now: int) -> Shown:
    """Seal the time under a key that somebody guessed: zero, or the beginning of the VUID."""
    vuid, valid = wallet.somebody(), wallet.valid(now)
    key = bytes(16) if wallet.draw.random() < 0.5 else bytes.fromhex(vuid)[:16]
    return Shown(dynamic_text(vuid, seal_valid(key, valid)), SERVED[valid.code_class])


def _other_issuer_key(wallet: Wallet, now: int) -> Shown:
    """Seal under a key that is bound to nobody: what another province, or a naive reading, would use for everyone."""
    vuid, valid = wallet.somebody(), wallet.valid(now)
    key = encrypt_blocks(b"another province", bytes.fromhex(vuid)[:16])
    return Shown(dynamic_text(vuid, seal_valid(key, valid)), SERVED[valid.code_class])


def _invented_token(wallet: Wallet, now: int) -> Shown:
    vuid, valid, sealed = wallet.genuine(now)
    invented = "P." + base64.b64encode(wallet.draw.randbytes(24)).decode()
    return Shown(dynamic_text(vuid, sealed, invented), SERVED[valid.code_class])


def _invented_signature(wallet: Wallet, now: int) -> Shown:
    vuid = wallet.somebody()
    valid = wallet.valid(now, CodeClass.VISIT)
    sealed = seal_valid(wallet.keys[vuid], valid)
    return Shown(dynamic_text(vuid, sealed, token(Header(1, valid), wallet.draw.randbytes(64))), Purpose.VISIT)


def _unknown_account(wallet: Wallet, _now: int) -> Shown:
    return Shown(dynamic_text(wallet.draw.randbytes(32).hex().upper(), wallet.draw.randbytes(16)), _purpose(wallet))


def _unreadable(wallet: Wallet, now: int) -> Shown:
    vuid, valid, sealed = wallet.genuine(now)
    text = dynamic_text(vuid, sealed)
    broken = wallet.draw.choice(
        (text[:-1], text + "0", text.replace(":", "::", 1), text + ":X.1", text[:70] + "٠" + text[71:], "\0" + text)
    )
    return Shown(broken, SERVED[valid.code_class])


def swapped(wallet: Wallet, number: int, *, now: int) -> Iterator[Shown]:
    """Yield genuine parts in the wrong place: a VALID on another VUID, a code for another purpose."""
    for position in range(number):
        vuid, valid, sealed = wallet.genuine(now)
        if position % 10 == 0:
            wrong = wallet.draw.choice([each for each in Purpose if not _serves(valid.code_class, each)])
            yield Shown(dynamic_text(vuid, sealed), wrong)
            continue
        other = wallet.somebody()
        while other == vuid:
            other = wallet.somebody()
        yield Shown(dynamic_text(other, sealed), SERVED[valid.code_class])


def _serves(code_class: CodeClass, purpose: Purpose) -> bool:
    """Say what the specification promises, not what the code under test has in its table."""
    low = code_class in {CodeClass.GENERAL, CodeClass.VISIT}
    return purpose in {Purpose.REGISTER, Purpose.VISIT} if low else purpose is SERVED[code_class]


def stale(wallet: Wallet, number: int, *, now: int) -> Iterator[Shown]:
    """Yield genuine codes outside their window: screenshots of yesterday, and phones of tomorrow."""
    for _ in range(number):
        late_s = wallet.draw.randrange(TTL_S + 31, 86_400)
        issued_at = now - late_s if wallet.draw.random() < 0.8 else now + late_s
        vuid, valid, sealed = wallet.genuine(issued_at)
        yield Shown(dynamic_text(vuid, sealed), SERVED[valid.code_class])


def tokens_swapped(texts: Sequence[str]) -> Iterator[Shown]:
    """Yield codes that were issued with a token, with another code's token, without it, or on another VUID."""
    for position, text in enumerate(texts):
        vuid, flag, sealed, own = text.split(":")
        other = texts[position - 1].split(":")
        yield Shown(f"{vuid}:{flag}:{sealed}:{other[3]}", Purpose.VISIT)
        yield Shown(f"{vuid}:{flag}:{sealed}", Purpose.VISIT)
        yield Shown(f"{other[0]}:{flag}:{sealed}:{own}", Purpose.VISIT)
