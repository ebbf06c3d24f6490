"""What a refusal of a code may say, and when: the windows, the state of the account, earlier uses, purposes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from yimatong.cards.codec import CodeClass, Purpose, Valid
from yimatong.cards.codes import judgement
from yimatong.cards.codes.judgement import SKEW_S, EarlierUse, KnownAccount
from yimatong.cards.errors import (
    CodeBurnt,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUsed,
    CodeWrongPurpose,
    StaticCodeSwitchedOff,
)

ISSUED = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
VALID = Valid(CodeClass.VISIT, int(ISSUED.timestamp()), 60, b"nonce")


def _account(**changes: object) -> KnownAccount:
    return KnownAccount("A" * 64, uuid4(), "active", static_allowed=True, codes_valid_from=None)._replace(**changes)


@pytest.mark.parametrize("offset_s", [-SKEW_S, 0, 60, 60 + SKEW_S])
def test_inside_the_window(offset_s: int) -> None:
    judgement.judge_time(VALID, now=ISSUED + timedelta(seconds=offset_s))


@pytest.mark.parametrize("offset_s", [-86_400, -SKEW_S - 1, 61 + SKEW_S, 86_400])
def test_outside_the_window(offset_s: int) -> None:
    with pytest.raises(CodeExpired):
        judgement.judge_time(VALID, now=ISSUED + timedelta(seconds=offset_s))


@pytest.mark.parametrize(
    "account",
    [
        _account(state="frozen"),
        _account(state="cancelled"),
        _account(codes_valid_from=ISSUED + timedelta(seconds=1)),
    ],
)
def test_revoked(account: KnownAccount) -> None:
    with pytest.raises(CodeRevoked):
        judgement.judge_standing(account, VALID)


def test_code_issued_at_the_very_moment_is_good() -> None:
    judgement.judge_standing(_account(codes_valid_from=ISSUED), VALID)


@pytest.mark.parametrize(
    ("earlier", "error"),
    [
        (EarlierUse("term", "key", "rec", 0), CodeUsed),
        (EarlierUse(None, None, None, 3), CodeBurnt),
        (EarlierUse("term", "key", "rec", 3), CodeBurnt),
    ],
)
def test_earlier_use(earlier: EarlierUse, error: type[Exception]) -> None:
    with pytest.raises(error):
        judgement.judge_use(VALID, Purpose.VISIT, earlier)


def test_two_failures_do_not_burn() -> None:
    judgement.judge_use(VALID, Purpose.VISIT, EarlierUse(None, None, None, 2))


@pytest.mark.parametrize("code_class", CodeClass)
@pytest.mark.parametrize("purpose", Purpose)
def test_purpose_matrix(code_class: CodeClass, purpose: Purpose) -> None:
    allowed = {
        Purpose.REGISTER: {CodeClass.GENERAL, CodeClass.VISIT},
        Purpose.VISIT: {CodeClass.GENERAL, CodeClass.VISIT},
        Purpose.RECORDS: {CodeClass.RECORDS},
        Purpose.PAYMENT: {CodeClass.PAYMENT},
    }
    valid = VALID._replace(code_class=code_class)
    if code_class in allowed[purpose]:
        judgement.judge_use(valid, purpose, None)
    else:
        with pytest.raises(CodeWrongPurpose):
            judgement.judge_use(valid, purpose, None)


@pytest.mark.parametrize(
    ("account", "purpose", "error"),
    [
        (_account(static_allowed=False), Purpose.VISIT, StaticCodeSwitchedOff),
        (_account(state="frozen"), Purpose.VISIT, CodeRevoked),
        (_account(), Purpose.RECORDS, CodeWrongPurpose),
        (_account(), Purpose.PAYMENT, CodeWrongPurpose),
    ],
)
def test_static_code(account: KnownAccount, purpose: Purpose, error: type[Exception]) -> None:
    with pytest.raises(error):
        judgement.judge_static(account, purpose)


def test_nobody() -> None:
    with pytest.raises(CodeNotGenuine):
        judgement.judge_account(None)
