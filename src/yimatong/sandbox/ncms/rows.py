"""What the agency hears and remembers: one struct per question and per table. Amounts are fen."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.sandbox.medical.faults import Counted

Number = Annotated[str, Meta(min_length=1, max_length=64)]
Fen = Annotated[int, Meta(ge=0, le=10**12)]


class AgencyError(Exception):
    """A refusal as the agency answers it."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


class Hospital(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hospital at the agency; ``secret`` is hexadecimal."""

    app_id: Number
    secret: Annotated[str, Meta(pattern="^([0-9a-f]{2}){16,64}(?!\\n)$")]
    institution: Number


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A member; ``account_fen`` is what her family's account holds."""

    id_number: Number
    name: Number
    card_no: str = ""
    fund_percent: Annotated[int, Meta(ge=0, le=100)] = 60
    account_percent: Annotated[int, Meta(ge=0, le=100)] = 50
    account_fen: Fen = 30_000


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a bill."""

    name: str
    amount_fen: Fen
    code: str = ""
    quantity: int = 1


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bill it is."""

    name: Number
    id_type: str
    id_number: Number
    card_no: str = ""


class Presettle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What would be paid?"""

    leg_no: Number
    institution: Number
    visit_no: str
    placed_at: datetime
    total_fen: Fen
    lines: list[Line]
    member: Who


class Settle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settle exactly this."""

    attempt_no: Number
    claim_no: Number
    institution: Number
    fund_fen: Fen
    account_fen: Fen
    placed_at: datetime


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which settlement; ``undo`` also takes back one that is settled, with a split that was not promised."""

    attempt_no: Number
    claim_no: Number
    institution: Number
    undo: bool = False


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give back."""

    attempt_no: Number
    claim_no: Number
    institution: Number
    refund_no: Number
    fund_fen: Fen
    account_fen: Fen
    reason: str = ""


class AboutRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which refund."""

    attempt_no: Number
    claim_no: Number
    institution: Number
    refund_no: Number


class Bill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which day."""

    institution: Number
    day: date


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A presettled bill."""

    claim_no: str
    leg_no: str
    institution: str
    id_number: str
    total_fen: int
    fund_fen: int
    account_fen: int
    expires_at: datetime
    digest: str
    settled_by: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement, or the trace of one that was cancelled before it came."""

    attempt_no: str
    claim_no: str
    institution: str
    state: Literal["settling", "settled", "refunded", "cancelled"]
    settlement_no: str = ""
    fund_fen: int = 0
    account_fen: int = 0
    settled_at: datetime | None = None
    before: str = "absent"


class GivenBack(msgspec.Struct, frozen=True, kw_only=True):
    """A refund."""

    refund_no: str
    attempt_no: str
    institution: str
    fund_fen: int
    account_fen: int
    state: Literal["done", "failed"]
    agency_refund_no: str
    done_at: datetime


class Faults(Counted, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next; forgotten at a restart."""

    hang_s: float = 15.0
    answer_5xx: int = 0
    busy: int = 0
    garbage: int = 0
    lost_answers: int = 0
    wrong_signatures: int = 0
    read_lag: int = 0
    split_changes: int = 0
    lost_cancels: int = 0
    refuses_split: int = 0
    settles_later: int = 0
    refund_fails: int = 0
