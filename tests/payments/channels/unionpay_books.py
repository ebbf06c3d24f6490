"""UnionPay's attempts and refunds as the platform hands them to the adapter."""

from __future__ import annotations

from yimatong.kit import clock
from yimatong.payments.channels.base import PaymentIntent, PlacedPayment, RefundRequest


def placed(intent: PaymentIntent, channel_trade_no: str = "", **more: object) -> PlacedPayment:
    """Return an attempt that was made from ``intent``."""
    facts: dict[str, object] = {
        "attempt_no": intent.attempt_no,
        "amount_fen": intent.amount_fen,
        "scene": intent.scene,
        "placed_at": intent.placed_at,
        "expires_at": intent.expires_at,
        "channel_trade_no": channel_trade_no,
    }
    return PlacedPayment(**(facts | more))


def refund_of(payment: PlacedPayment, refund_no: str, refund_fen: int) -> RefundRequest:
    """Return a refund asked for now."""
    return RefundRequest(
        refund_no=refund_no,
        payment=payment,
        refund_fen=refund_fen,
        reason="患者退号",
        notify_url="http://127.0.0.1:9/notify",
        asked_at=clock.now(),
    )
