"""Errors of electronic receipts (PAY-43xx)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class ReceiptNotIssued(Refusal):
    """No receipt of this order has been issued: not paid, still being asked for, or of a kind that has none."""

    code = "PAY-4301"
    status = 404
    zh = "电子票据尚未开具，请稍后再查"
    en = "no electronic receipt has been issued for this order yet"
