"""Is this code good, here and now? Pure: what was read, what is known of the account and of earlier uses, the moment.

The order of the questions is the rule of what a refusal may say: first whether the code is genuine (one answer for
everything that is not), and only then expired, revoked, burnt, used, wrong purpose.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from yimatong.access.errors import IdempotencyKeyReused
from yimatong.cards.codec import (
    SERVES,
    STATIC_SERVES,
    CodeKind,
    CodeText,
    Purpose,
    Valid,
    open_valid,
)
from yimatong.cards.errors import (
    CodeBurnt,
    CodeElsewhere,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUsed,
    CodeWrongPurpose,
    StaticCodeSwitchedOff,
)
from yimatong.crypto.gm.sm3 import sm3

SKEW_S: Final = 30
"""How far a phone's code may be off the server's clock, in seconds, on either side, where no policy says otherwise."""

SKEW_S_MAX: Final = 120
"""More than this no policy can allow; uses are remembered for so long on either side."""

FAILURES_MAX: Final = 3
"""同一验证码失败三次: the third failure burns the code."""


class Policy(NamedTuple):
    """How the codes that an application reads are verified. ``purposes`` None means all."""

    uses: int = 1
    skew_s: int = SKEW_S
    purposes: Sequence[str] | None = None
    rubbish_max: int | None = None


DEFAULT: Final = Policy()


class KnownAccount(NamedTuple):
    """What the verification reads of an account. ``alias_on`` matters for a row of state ``alias``."""

    vuid: str
    mpi: UUID
    state: str
    static_allowed: bool
    codes_valid_from: datetime | None
    alias_on: bool = True


class EarlierUse(NamedTuple):
    """What is known of a dynamic code that was seen before; ``older`` are (caller, key, record) before the last use."""

    used_by: str | None
    used_key: str | None
    record_id: str | None
    failures: int
    uses_left: int = 0
    place: str | None = None
    older: Sequence[str] | None = None
    token_digest: bytes | None = None


def opened(code: CodeText, keys: Sequence[bytes]) -> tuple[Valid, int]:
    """Open VALID with the live keys of its VUID, newest first; return it and the position of the key that fits.

    Raises:
        CodeNotGenuine: no key opens it.
    """
    for position, key in enumerate(keys):
        try:
            return open_valid(key, code.valid), position
        except CodeNotGenuine:
            continue
    raise CodeNotGenuine(audit="no live key opens VALID")


def account_of_today(own: KnownAccount, today: KnownAccount | None) -> KnownAccount:
    """Return the account that a code's own row stands for: an alias, or one of two that the index joined, points on.

    What happened to the code's own VUID goes on counting: its state, its switch, and from when its codes are good.
    """
    if own.state == "alias" and not own.alias_on:
        return own._replace(state="alias switched off")
    if today is None:
        return own._replace(state="alias of nobody") if own.state == "alias" else own
    moments = [moment for moment in (own.codes_valid_from, today.codes_valid_from) if moment is not None]
    return KnownAccount(
        vuid=today.vuid,
        mpi=today.mpi,
        state=today.state if own.state in {"alias", "active"} else own.state,
        static_allowed=own.static_allowed and today.static_allowed,
        codes_valid_from=max(moments, default=None),
    )


def judge_account(account: KnownAccount | None) -> KnownAccount:
    """Refuse a code of nobody.

    Raises:
        CodeNotGenuine: there is no such account.
    """
    if account is None:
        raise CodeNotGenuine(audit="no such account")
    return account


def judge_label(code: CodeText, state: str | None) -> None:
    """Judge the printed label that a static code was read from, if its fourth field is a label's serial.

    Raises:
        CodeNotGenuine: no such label was printed for this account. CodeRevoked: it was revoked.
    """
    if not is_label(code):
        return
    if state is None:
        raise CodeNotGenuine(audit="no such label")
    if state != "live":
        raise CodeRevoked(audit="label revoked")


def judge_static(account: KnownAccount, purpose: Purpose) -> None:
    """Judge a static code. It carries no secret, so nothing is counted against it and it is never burnt.

    Raises:
        CodeRevoked, StaticCodeSwitchedOff, CodeWrongPurpose.
    """
    if account.state != "active":
        raise CodeRevoked(audit=account.state)
    if not account.static_allowed:
        raise StaticCodeSwitchedOff
    if purpose not in STATIC_SERVES:
        raise CodeWrongPurpose


def judge_token(code: CodeText, earlier: EarlierUse | None) -> None:
    """Refuse any token but the one that the code was issued with; a code issued with one is nothing without it.

    Raises:
        CodeNotGenuine: another token, a missing one, or one that was never issued.
    """
    issued_with = earlier.token_digest if earlier is not None else None
    if issued_with is None and not code.token:
        return
    if issued_with is None or not hmac.compare_digest(token_digest(code.token), bytes(issued_with)):
        raise CodeNotGenuine(audit="not the token that the code was issued with")


def judge_time(valid: Valid, *, now: datetime, skew_s: int = SKEW_S) -> None:
    """Judge the window of a genuine code by the server's clock.

    Raises:
        CodeExpired: not yet, or not any more.
    """
    moment, skew_s = now.timestamp(), min(skew_s, SKEW_S_MAX)
    if not valid.issued_at - skew_s <= moment <= valid.issued_at + valid.ttl_s + skew_s:
        raise CodeExpired


def judge_standing(account: KnownAccount, valid: Valid) -> None:
    """Judge a genuine code against what happened to its account since.

    Raises:
        CodeRevoked: frozen, cancelled, or its codes revoked after this one was issued.
    """
    if account.state != "active":
        raise CodeRevoked(audit=account.state)
    if account.codes_valid_from is not None and valid.issued_at < account.codes_valid_from.timestamp():
        raise CodeRevoked(audit="issued before codes_valid_from")


def judge_use(
    valid: Valid, purpose: Purpose, earlier: EarlierUse | None, *, uses: int = 1, place: str | None = None
) -> None:
    """Judge a genuine, live code against its earlier uses and the purpose. A refusal here is counted.

    ``uses`` is how many the reader's policy allows at one ``place`` (institution and visit); the first use decides.

    Raises:
        CodeBurnt, CodeUsed, CodeElsewhere, CodeWrongPurpose.
    """
    if earlier is not None and earlier.failures >= FAILURES_MAX:
        raise CodeBurnt
    if earlier is not None and earlier.used_by is not None:
        if uses == 1 or earlier.uses_left < 1:
            raise CodeUsed
        if earlier.place != place:
            raise CodeElsewhere
    if valid.code_class not in SERVES[purpose]:
        raise CodeWrongPurpose


COUNTED = (CodeUsed, CodeElsewhere, CodeWrongPurpose)
"""Refusals that count as a failure of the code itself."""


def first_answer(earlier: EarlierUse | None, caller_id: str, mark: str) -> str | None:
    """Return the record of an earlier use that was this very request, sent again with a fresh nonce.

    ``mark`` is what ``used_key`` keeps: the idempotency key and, after a blank, what it was asked with.

    Raises:
        IdempotencyKeyReused: the caller used the code with this key for something else.
    """
    key = mark.partition(" ")[0]
    if earlier is None or earlier.used_by is None or not key:
        return None
    last = (earlier.used_by, earlier.used_key or "", earlier.record_id or "")
    for used_by, used_key, record_id in (last, *(use.split("\n") for use in earlier.older or ())):
        if (used_by, used_key) == (caller_id, mark):
            return record_id
        if (used_by, used_key.partition(" ")[0]) == (caller_id, key):
            raise IdempotencyKeyReused
    return None


def token_digest(token: str) -> bytes:
    """Return what is kept of a code's token: SM3 of its text."""
    return sm3(token.encode())


def is_static(code: CodeText) -> bool:
    """Say whether a text is a static code."""
    return code.kind is CodeKind.STATIC


def is_label(code: CodeText) -> bool:
    """Say whether a static code carries the serial of one of our printed labels, not a platform's number."""
    return code.label.startswith("L")
