"""Attempts and refunds as the platform hands them to an adapter."""

from __future__ import annotations

from datetime import timedelta

from yimatong.kit import clock
from yimatong.payments.channels.base import PlacedPayment, RefundRequest, Scene


def placed(attempt_no: str, amount_fen: int = 1234, scene: Scene = Scene.NATIVE, **more: object) -> PlacedPayment:
    """Return an attempt as our books hold it."""
    now = clock.now()
    facts: dict[str, object] = {"placed_at": now, "expires_at": now + timedelta(minutes=30)}
    return PlacedPayment(attempt_no=attempt_no, amount_fen=amount_fen, scene=scene, **(facts | more))


def refund_of(
    attempt_no: str, refund_no: str, refund_fen: int, paid_fen: int = 1234, *, of: PlacedPayment | None = None, **more
) -> RefundRequest:
    """Return a refund of an attempt as our books hold it."""
    return RefundRequest(
        refund_no=refund_no,
        payment=of or placed(attempt_no, paid_fen),
        refund_fen=refund_fen,
        reason="患者退号",
        notify_url="http://127.0.0.1:9/notify",
        asked_at=clock.now(),
        **more,
    )
