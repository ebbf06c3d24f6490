"""Demonstration data of Alipay: each hospital's own app at the simulated Alipay."""

from __future__ import annotations

from yimatong.access.callers import Institution
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.alipay.enrolment import app_keys
from yimatong.sandbox.app import World


def account(world: World, hospital: Institution, number: int) -> ChannelAccount:
    """Register the hospital's app in ``world`` and return its merchant account."""
    app, private_key_pem = app_keys(app_id=f"2021{number:012d}", pid=f"2088{number:012d}", name=hospital.name)
    world.alipay.register(app)
    return ChannelAccount(
        account_id=f"alipay-{hospital.institution_id}",
        institution_id=hospital.institution_id,
        channel="alipay",
        merchant_id=app.pid,
        app_id=app.app_id,
        secrets={
            "private_key_pem": Secret(private_key_pem),
            "alipay_public_key_pem": Secret(world.alipay.key.public_pem),
        },
    )
