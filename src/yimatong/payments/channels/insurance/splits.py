"""How a bill is divided: total = fund + personal account + own part + others, in whole fen. Pure.

Sources: the tables of 2206 / 2207 (``medfee_sumamt``, ``fund_pay_sumamt``, ``acct_pay``, ``psn_cash_pay``,
``hosp_part_amt``, ``acct_mulaid_pay``) and of 6202 (``feeSumamt`` = ``ownPayAmt`` + ``psnAcctPay`` + ``fundPay``) in
public copies of the interface specification.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from yimatong.kit.money import AmountInvalid, parse_yuan


class Garbled(Exception):
    """A genuine message without its published shape, or whose amounts do not add up; the text is for the audit."""


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """A divided bill, in fen. ``mutual_fen`` is another's account (共济), ``hospital_fen`` what the hospital bears."""

    total_fen: int
    fund_fen: int
    account_fen: int
    own_fen: int
    mutual_fen: int = 0
    hospital_fen: int = 0

    def __post_init__(self) -> None:
        """Refuse what does not add up. Raises ``Garbled``."""
        parts = (self.fund_fen, self.account_fen, self.own_fen, self.mutual_fen, self.hospital_fen)
        if min(parts) < 0 or sum(parts) != self.total_fen:
            message = f"{self.total_fen} fen are not the sum of {parts}"
            raise Garbled(message)

    @property
    def components(self) -> dict[str, int]:
        """Return what the payer does not pay herself, by our names; parts of nothing are left out."""
        named = {
            "fund_fen": self.fund_fen,
            "account_fen": self.account_fen,
            "mutual_fen": self.mutual_fen,
            "hospital_fen": self.hospital_fen,
        }
        return {name: fen for name, fen in named.items() if fen}

    @property
    def insured_fen(self) -> int:
        """Return the sum of the components."""
        return self.total_fen - self.own_fen


def text_in(told: Mapping[str, Any], name: str) -> str:
    """Return a text or a number as it was written; empty where there is none. Raises ``Garbled`` for anything else."""
    value = told.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        message = f"{name} is no text"
        raise Garbled(message)
    return str(value)


def needed(told: Mapping[str, Any], name: str) -> str:
    """Return a text that must be there. Raises ``Garbled``."""
    value = text_in(told, name)
    if not value:
        message = f"no {name}"
        raise Garbled(message)
    return value


def fen_in(told: Mapping[str, Any], name: str, *, absent: int | None = None) -> int:
    """Return an amount of yuan in fen. Raises ``Garbled``: missing (unless ``absent``), broken or negative."""
    value = text_in(told, name)
    if not value and absent is not None:
        return absent
    try:
        found = parse_yuan(value)
    except AmountInvalid as error:
        message = f"{name} is no amount"
        raise Garbled(message) from error
    if found < 0:
        message = f"{name} is negative"
        raise Garbled(message)
    return found


def within(told: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return an object inside a message. Raises ``Garbled``."""
    value = told.get(name)
    if not isinstance(value, dict):
        message = f"no {name}"
        raise Garbled(message)
    return value
