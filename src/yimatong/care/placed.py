"""Wire shapes that several features of this room answer with: a bill that can be paid now."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

CodeImage = Literal["none", "svg", "png"]
"""How a prescription's code is drawn."""


class PlacedBill(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that can be paid now; ``cashier_url`` opens the cashier page once.

    ``code``: what is printed for a prescription, told this once (``code_image``: the same as SVG, or PNG in base64);
    an app may pay it until ``app_until``.
    """

    bill_no: str
    visit_no: str
    kind: str
    order_no: str
    total_fen: int
    state: str
    expires_at: datetime
    cashier_url: str
    app_until: datetime | None = None
    code: str = ""
    code_image: str = ""
