"""Wire shapes of scanned payments."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class Scanned(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the scanner read, as it read it."""

    text: Annotated[str, Meta(min_length=1, max_length=400)]


class ScannedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment that a scanned code started. ``state`` is the order's; while it is ``paying``, ask again.

    ``by``: ``payment_code`` (付款码), ``two_in_one`` (二码合一), ``agreement`` (免密支付 by the health card).
    """

    order_no: str
    attempt_no: str
    channel: str
    by: str
    state: str
