"""What the tests of Alipay share: an account of an enrolled app, intents and refunds."""

from __future__ import annotations

from datetime import timedelta

from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount, PaymentIntent, PlacedPayment, RefundRequest, Scene
from yimatong.sandbox.alipay.enrolment import EnrolledApp

APP_ID, PID = "2021000000000001", "2088000000000001"
NOTIFY_URL = "http://127.0.0.1:9/notify"


def account_of(enrolled: EnrolledApp, **secrets: str) -> ChannelAccount:
    return ChannelAccount(
        account_id="account-1",
        institution_id="hospital-1",
        channel="alipay",
        merchant_id=enrolled.pid,
        app_id=enrolled.app_id,
        secrets={
            "private_key_pem": Secret(enrolled.private_key_pem),
            "alipay_public_key_pem": Secret(enrolled.alipay_public_key_pem),
        }
        | {name: Secret(value) for name, value in secrets.items()},
    )


def intent_of(attempt_no: str, scene: Scene = Scene.NATIVE, amount_fen: int = 1234, **more: object) -> PaymentIntent:
    facts: dict[str, object] = {
        "attempt_no": attempt_no,
        "amount_fen": amount_fen,
        "description": "门诊缴费/挂号=1&2",
        "expires_at": clock.now() + timedelta(minutes=30),
        "notify_url": NOTIFY_URL,
        "scene": scene,
        "placed_at": clock.now(),
    }
    return PaymentIntent(**(facts | more))


def placed_of(intent: PaymentIntent) -> PlacedPayment:
    return PlacedPayment(
        attempt_no=intent.attempt_no,
        amount_fen=intent.amount_fen,
        scene=intent.scene,
        placed_at=intent.placed_at,
        expires_at=intent.expires_at,
    )


def refund_of(payment: PlacedPayment, refund_no: str, refund_fen: int) -> RefundRequest:
    return RefundRequest(
        refund_no=refund_no,
        payment=payment,
        refund_fen=refund_fen,
        reason="患者退号",
        notify_url=NOTIFY_URL,
        asked_at=clock.now(),
    )
