"""The error catalogue of the cards room, one module per group of codes: accounts, codes, registry, batches."""

from __future__ import annotations

from yimatong.cards.errors.accounts import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    RealNameMethodNotAllowed,
    RealNameMismatch,
    RealNameTooWeak,
    RegistrationRaced,
)
from yimatong.cards.errors.codes import (
    CodeBurnt,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUnreadable,
    CodeUsed,
    CodeWrongPurpose,
    RecordNotFound,
    StaticCodeSwitchedOff,
)

__all__ = [
    "AccountCancelled",
    "AccountFrozen",
    "AccountNotFound",
    "CodeBurnt",
    "CodeExpired",
    "CodeNotGenuine",
    "CodeRevoked",
    "CodeUnreadable",
    "CodeUsed",
    "CodeWrongPurpose",
    "RealNameMethodNotAllowed",
    "RealNameMismatch",
    "RealNameTooWeak",
    "RecordNotFound",
    "RegistrationRaced",
    "StaticCodeSwitchedOff",
]
