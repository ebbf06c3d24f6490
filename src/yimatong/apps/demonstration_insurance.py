"""Demonstration data: the first hospital's accounts at the medical insurance and at an agency of cooperative care.

Both simulated parties insure whoever is asked about and does not carry 假 in the name. Notices of the insurance go to
the address of the first start; where the processes get other ports later they do not arrive, and the platform asks.
"""

from __future__ import annotations

import secrets
from typing import Final

from yimatong.access.callers import Institution
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Settings
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.app import World
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong.sandbox.ncms.rows import Hospital

CODE: Final = "H61010000001"
"""The first hospital's code at the insurance (定点医药机构编号), made up."""


def enrol(world: World, settings: Settings, hospital: Institution) -> list[ChannelAccount]:
    """Register a hospital at both parties and return its accounts; the caller flushes the journal."""
    return [_insurance(world, settings, hospital), _cooperative(world, hospital)]


def _insurance(world: World, settings: Settings, hospital: Institution) -> ChannelAccount:
    account_id = f"insurance-{hospital.institution_id}"
    institution, private_key = institution_keys(
        fixmedins_code=CODE,
        name=hospital.name,
        notify_url=f"{settings.addresses.core}/notify/insurance/{account_id}",
    )
    world.insurance.institutions.put(institution.fixmedins_code, institution)
    return ChannelAccount(
        account_id=account_id,
        institution_id=hospital.institution_id,
        channel="insurance",
        merchant_id=CODE,
        app_id=institution.app_id,
        secrets={
            "private_key": Secret(private_key),
            "app_secret": Secret(institution.app_secret),
            "platform_public_key": Secret(world.insurance.key.public_hex),
        },
        profile={"driver": "mobile", "fixmedins_code": CODE, "fixmedins_name": hospital.name},
    )


def _cooperative(world: World, hospital: Institution) -> ChannelAccount:
    app_id, secret = f"ymt-{hospital.institution_id}", secrets.token_hex(32)
    world.ncms.hospitals.put(app_id, Hospital(app_id=app_id, secret=secret, institution=hospital.institution_id))
    return ChannelAccount(
        account_id=f"ncms-{hospital.institution_id}",
        institution_id=hospital.institution_id,
        channel="ncms",
        merchant_id=hospital.institution_id,
        app_id=app_id,
        secrets={"secret": Secret(secret)},
    )
