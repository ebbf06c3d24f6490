"""Wire shapes of prescription codes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.care.placed import CodeImage
from yimatong.payments.orders.schemas import Item


class NewPrint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a prescription's code is printed again."""

    code_image: CodeImage = "none"


class PrintedCode(msgspec.Struct, frozen=True, kw_only=True):
    """The code that counts from now on; the slip before is dead. ``code_image``: SVG, or PNG in base64."""

    bill_no: str
    code: str
    code_image: str


class CodeToResolve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A prescription code as it was read. ``vuid``: the payer's account, which an app must hold."""

    code: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\\x00]+(?!\\n)$")]
    vuid: Annotated[str, Meta(pattern=r"^([0-9A-F]{64})?(?!\n)$")] = ""


class ResolvedPrescription(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be paid, for whom, and until when. The patient's name is masked: whoever holds the slip may pay.

    ``app_left_s``: for how many seconds an app may pay. ``cashier_url`` opens the cashier page once; none at a counter.
    """

    institution_id: str
    institution_name: str
    bill_no: str
    order_no: str
    patient: str
    description: str
    items: list[Item]
    amount_fen: int
    app_until: datetime
    app_left_s: int
    expires_at: datetime
    cashier_url: str
