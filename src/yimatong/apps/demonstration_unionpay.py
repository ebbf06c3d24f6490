"""Demonstration data of UnionPay: the first hospital's merchant account at the simulated UnionPay."""

from __future__ import annotations

from yimatong.access.callers import Institution
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.app import World
from yimatong.sandbox.unionpay.control import certificates
from yimatong.sandbox.unionpay.enrol import Enrolled, merchant_keys

MER_ID = "777610000001001"


def account(world: World, hospital: Institution) -> ChannelAccount:
    """Register the hospital in ``world`` and return its merchant account."""
    merchant, private_key_pem = merchant_keys(mer_id=MER_ID, name=hospital.name)
    world.unionpay.register(merchant)
    enrolled = Enrolled(merchant=merchant, private_key_pem=private_key_pem, certificates=certificates(world.unionpay))
    return ChannelAccount(
        account_id=f"unionpay-{hospital.institution_id}",
        institution_id=hospital.institution_id,
        channel="unionpay",
        merchant_id=merchant.mer_id,
        app_id="",
        secrets={name: Secret(value) for name, value in enrolled.secrets().items()},
        profile=enrolled.profile(),
    )
