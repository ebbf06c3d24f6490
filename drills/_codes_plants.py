"""Bugs that the codes drill plants into itself, in a process of its own, to show that it would see them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from yimatong.cards.codec import CodeClass, Purpose
from yimatong.cards.codes import judgement, statements
from yimatong.crypto import keys
from yimatong.crypto.gm.sm3 import sm3


def _unbound_validity() -> None:
    """The key of a code is the same for every card: the naive reading of the guidance."""

    def blocks(issuer: str, vuids: Sequence[str]) -> bytes:
        return sm3(b"YMT-VALID-1" + issuer.encode())[:16] * len(vuids)

    keys._valid_blocks = blocks  # noqa: SLF001 -- that is what planting means


def _missing_nonce_insert() -> None:
    """A use is recorded, but nothing is used up."""
    statements._STORE = statements._STORE.replace(  # noqa: SLF001 -- the same
        "FROM i WHERE uses > 0 OR fails > 0", "FROM i WHERE fails > 0"
    ).replace("uses > 0 AND record_id NOT IN", "false AND record_id NOT IN")


def _skew_unbounded() -> None:
    """Any time is inside the window."""
    judgement.judge_time = lambda *_, **__: None


def _token_not_compared() -> None:
    """Any token stands on any code."""
    judgement.judge_token = lambda *_: None


def _purpose_not_asked() -> None:
    """A code of any class serves every purpose."""
    judgement.SERVES = dict.fromkeys(Purpose, frozenset(CodeClass))


PLANTS: dict[str, Callable[[], None]] = {
    "unbound-validity": _unbound_validity,
    "missing-nonce-insert": _missing_nonce_insert,
    "skew-unbounded": _skew_unbounded,
    "token-not-compared": _token_not_compared,
    "purpose-not-asked": _purpose_not_asked,
}
