"""Is this code good, here and now? Pure: what was read, what is known of the account and of earlier uses, the moment.

The order of the questions is the rule of what a refusal may say: first whether the code is genuine (one answer for
everything that is not), and only then expired, revoked, burnt, used, wrong purpose.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

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
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUsed,
    CodeWrongPurpose,
    StaticCodeSwitchedOff,
)

SKEW_S = 30
"""How far a phone's code may be off the server's clock, in seconds, on either side."""

FAILURES_MAX = 3
"""同一验证码失败三次: the third failure burns the code."""


class KnownAccount(NamedTuple):
    """What the verification reads of an account."""

    vuid: str
    mpi: UUID
    state: str
    static_allowed: bool
    codes_valid_from: datetime | None


class EarlierUse(NamedTuple):
    """What is known of a dynamic code that was seen before."""

    used_by: str | None
    used_key: str | None
    record_id: str | None
    failures: int


def opened(code: CodeText, keys: Sequence[bytes]) -> Valid:
    """Open VALID with the live keys of its VUID, newest first.

    A code with a token (two-in-one ``P.``, offline ``S.``) was never issued by this version, so it cannot be genuine.

    Raises:
        CodeNotGenuine: no key opens it, or it carries a token.
    """
    if code.token:
        raise CodeNotGenuine(audit="no token was issued")
    for key in keys:
        try:
            return open_valid(key, code.valid)
        except CodeNotGenuine:
            continue
    raise CodeNotGenuine(audit="no live key opens VALID")


def judge_account(account: KnownAccount | None) -> KnownAccount:
    """Refuse a code of nobody.

    Raises:
        CodeNotGenuine: there is no such account.
    """
    if account is None:
        raise CodeNotGenuine(audit="no such account")
    return account


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


def judge_time(valid: Valid, *, now: datetime) -> None:
    """Judge the window of a genuine code by the server's clock.

    Raises:
        CodeExpired: not yet, or not any more.
    """
    moment = now.timestamp()
    if not valid.issued_at - SKEW_S <= moment <= valid.issued_at + valid.ttl_s + SKEW_S:
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


def judge_use(valid: Valid, purpose: Purpose, earlier: EarlierUse | None) -> None:
    """Judge a genuine, live code against its earlier uses and the purpose. A refusal here is counted.

    Raises:
        CodeBurnt, CodeUsed, CodeWrongPurpose.
    """
    if earlier is not None and earlier.failures >= FAILURES_MAX:
        raise CodeBurnt
    if earlier is not None and earlier.used_by is not None:
        raise CodeUsed
    if valid.code_class not in SERVES[purpose]:
        raise CodeWrongPurpose


COUNTED = (CodeUsed, CodeWrongPurpose)
"""Refusals that count as a failure of the code itself."""


def is_static(code: CodeText) -> bool:
    """Say whether a text is a static code."""
    return code.kind is CodeKind.STATIC
