"""The outside parties that certify residents and cards, from the settings: police register, bank, insurer.

In production the keys of the simulators' test site count as no contract: such a party is not asked at all.
"""

from __future__ import annotations

from yimatong.cards.accounts.real_name import OnlineRealNameCheck
from yimatong.cards.bindings.issuers import Bank, Desk, Insurer
from yimatong.cards.parties import Party
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.settings import TEST_SITE_SECRET, Settings


def police(outbound: Outbound, settings: Settings) -> Party:
    """Return the police register."""
    return Party(
        outbound,
        name="公安实名核验 (police register)",
        base_url=settings.real_name_base_url,
        app_id=settings.real_name_app_id,
        secret=_contracted(settings, settings.real_name_secret),
    )


def bank(outbound: Outbound, settings: Settings) -> Party:
    """Return the bank."""
    return Party(
        outbound,
        name="银行 (bank)",
        base_url=settings.bank_base_url,
        app_id=settings.bank_app_id,
        secret=_contracted(settings, settings.bank_secret),
    )


def insurer(outbound: Outbound, settings: Settings) -> Party:
    """Return the insurer."""
    return Party(
        outbound,
        name="医保经办机构 (insurer)",
        base_url=settings.insurer_base_url,
        app_id=settings.insurer_app_id,
        secret=_contracted(settings, settings.insurer_secret),
    )


def real_name(outbound: Outbound, settings: Settings) -> OnlineRealNameCheck:
    """Return the real-name check over its three parties."""
    return OnlineRealNameCheck(
        {
            "police_online": police(outbound, settings),
            "bank_online": bank(outbound, settings),
            "insurance_online": insurer(outbound, settings),
        }
    )


def bindings(db: Database, vault: Vault, outbound: Outbound, settings: Settings) -> Desk:
    """Return what binding cards needs."""
    return Desk(
        db=db,
        vault=vault,
        bank=Bank(bank(outbound, settings)),
        insurer=Insurer(insurer(outbound, settings), bytes.fromhex(settings.insurer_public_key)),
        bank_cards_max=settings.bank_cards_max,
    )


def _contracted(settings: Settings, secret: str) -> str:
    return "" if settings.production and secret == TEST_SITE_SECRET else secret
