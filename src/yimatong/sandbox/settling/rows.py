"""What a party that settles remembers: one struct per table, and the answers made from them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from yimatong.kit.clock import rfc3339
from yimatong.sandbox.notifying import SentNotice

Number = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Za-z_.-]{1,64}(?!\n)$")]
Fen = Annotated[int, msgspec.Meta(ge=1, le=10**12)]


class Code(StrEnum):
    """Why something was not done, as answers say it."""

    ALREADY_SETTLED = "ALREADY_SETTLED"
    BAD_REQUEST = "BAD_REQUEST"
    BILL_NOT_READY = "BILL_NOT_READY"
    BUSY = "BUSY"
    NOT_COVERED = "NOT_COVERED"
    NOT_REFUNDABLE = "NOT_REFUNDABLE"
    NO_AGREEMENT = "NO_AGREEMENT"
    NUMBER_USED = "NUMBER_USED"
    POLICY_EXPIRED = "POLICY_EXPIRED"
    POLICY_UNKNOWN = "POLICY_UNKNOWN"
    REFUND_TOO_MUCH = "REFUND_TOO_MUCH"
    TOKEN_REFUSED = "TOKEN_REFUSED"  # noqa: S105 -- a code of an answer
    UNKNOWN_NUMBER = "UNKNOWN_NUMBER"


class Refused(Exception):
    """A signed refusal: its code, and a sentence."""

    def __init__(self, code: Code, message: str = "") -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Merchant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A hospital at the party: its number, its application and the secret that both sides hold."""

    merchant_id: Number
    app_id: Number
    secret_hex: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}(?!\n)$")]
    name: str = "模拟医院"


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment or claim: pending, settled, refunded, revoked or declined (``reason`` says why)."""

    merchant_id: str
    payment_no: str
    state: str
    amount_fen: int = 0
    digest: str = ""
    description: str = ""
    payer: str = ""
    notify_url: str = ""
    trade_no: str = ""
    reason: str = ""
    components: dict[str, int] = {}
    created_at: datetime
    settled_at: datetime | None = None
    settles_at: datetime | None = None
    """When a pending one is settled by itself; never where there is no time."""

    @property
    def key(self) -> str:
        """Return the key of the row: a number is unique within its merchant."""
        return f"{self.merchant_id}/{self.payment_no}"

    def shown(self) -> dict[str, Any]:
        """Return the JSON of answers and notices."""
        return {
            "payment_no": self.payment_no,
            "merchant_id": self.merchant_id,
            "state": self.state,
            "amount_fen": self.amount_fen,
            "trade_no": self.trade_no,
            "reason": self.reason,
            "settled_at": rfc3339(self.settled_at) if self.settled_at else None,
            "components": self.components,
        }


class Refund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund: processing, done, failed or closed."""

    merchant_id: str
    refund_no: str
    payment_no: str
    refund_fen: int
    state: str
    digest: str
    notify_url: str
    trade_no: str
    created_at: datetime
    settles_at: datetime
    settles_as: str
    settled_at: datetime | None = None

    @property
    def key(self) -> str:
        """Return the key of the row."""
        return f"{self.merchant_id}/{self.refund_no}"

    def shown(self) -> dict[str, Any]:
        """Return the JSON of answers and notices."""
        return {
            "refund_no": self.refund_no,
            "payment_no": self.payment_no,
            "merchant_id": self.merchant_id,
            "state": self.state,
            "refund_fen": self.refund_fen,
            "trade_no": self.trade_no,
            "settled_at": rfc3339(self.settled_at) if self.settled_at else None,
        }


class Notice(SentNotice, frozen=True, kw_only=True):
    """A notice on its way: pending, delivered, given_up or dropped."""

    merchant_id: str
    url: str
    body: str
    last_status: int = 0


class Conditions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the party behaves until told otherwise, in seconds.

    ``settles_s``: a payment is settled at once (0), later, or by hand only (-1). ``notice_delay_s`` makes every notice
    late; ``notice_factor`` stretches or shrinks the pauses between repeated ones. ``auto_fen``: who is unknown is taken
    in with a limit (credit) or a sum insured (insurance) of so much; 0 takes nobody in.
    """

    settles_s: float = 0.0
    refund_settles_s: float = 1.0
    notice_delay_s: float = 0.0
    notice_factor: float = 1.0
    auto_fen: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0


class Faults(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next. Counts go down as they strike, ``-1`` strikes until reset; forgotten at a restart."""

    path: str = ""
    """Limits the faults of the wire to addresses that contain it."""
    delay_s: float = 0.0
    hang_s: float = 15.0
    answer_5xx: int = 0
    garbage: int = 0
    lost_answers: int = 0
    timeout_after_acting: int = 0
    unsigned_answers: int = 0
    wrong_signatures: int = 0
    busy: int = 0
    read_lag: int = 0
    refund_fails: int = 0
    broken_bills: int = 0
    drop_notices: int = 0
    duplicate_notices: int = 0

    def strikes(self, name: str, path: str = "") -> bool:
        """Say whether fault ``name`` strikes now, and count it down."""
        left = int(getattr(self, name))
        if left == 0 or self.path not in path:
            return False
        if left > 0:
            setattr(self, name, left - 1)
        return True


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which payment."""

    merchant_id: Number
    payment_no: Number


class AskRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a refund is asked for; ``components`` add up to ``refund_fen`` where there are any."""

    merchant_id: Number
    refund_no: Number
    payment_no: Number
    refund_fen: Fen
    reason: str = ""
    asked_at: datetime
    notify_url: str
    components: dict[str, int] = {}


class NamedRefund(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which refund."""

    merchant_id: Number
    refund_no: Number


class AskBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which bill; ``day`` is ``YYYY-MM-DD``."""

    merchant_id: Number
    day: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(?!\n)$")]


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every payment and claim is asked with."""

    merchant_id: Number
    payment_no: Number
    amount_fen: Fen
    description: str
    placed_at: datetime
    expires_at: datetime
    notify_url: str
