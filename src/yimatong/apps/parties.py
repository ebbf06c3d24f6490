"""The outside parties, from the settings: police register, bank and insurer, who certify, and the national index.

In production the keys of the simulators' test site count as no contract: such a party is not asked at all.
"""

from __future__ import annotations

from yimatong.cards.accounts.real_name import OnlineRealNameCheck
from yimatong.cards.bindings.issuers import Bank, Desk, Insurer
from yimatong.cards.parties import Party
from yimatong.crypto.vault import Vault
from yimatong.empi.identifiers import catalogue
from yimatong.empi.national.client import NationalClient
from yimatong.empi.national.numbers import DOMAIN as NATIONAL
from yimatong.empi.national.schemas import Names
from yimatong.empi.national.tasks import Exchange
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.kit.settings import TEST_SITE_SECRET, Settings
from yimatong.payments.receipts.issuer import FinancePlatform


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


def receipts(outbound: Outbound, settings: Settings) -> FinancePlatform | None:
    """Return who issues electronic receipts, where there is a contract."""
    secret = _contracted(settings, settings.receipts_secret)
    if not secret:
        return None
    return FinancePlatform(
        outbound, base_url=settings.receipts_base_url, app_id=settings.receipts_app_id, secret_hex=Secret(secret)
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


def national(db: Database, vault: Vault, outbound: Outbound, settings: Settings) -> Exchange | None:
    """Return the exchange with the national person index; None where its address or our contract is not set."""
    secret = _contracted(settings, settings.national_secret)
    if not settings.national_base_url or not secret:
        return None
    return Exchange(
        db=db,
        vault=vault,
        national=NationalClient(
            outbound,
            base_url=settings.national_base_url,
            sender_id=settings.national_sender_id,
            secret=secret,
            clock=clock.now,
        ),
        names=Names(
            sender_id=settings.national_sender_id,
            own_root=catalogue.oid_of(f"region:{settings.issuer}"),
            national_root=catalogue.oid_of(NATIONAL),
        ),
        per_s=settings.national_per_s,
    )


def _contracted(settings: Settings, secret: str) -> str:
    return "" if settings.production and secret == TEST_SITE_SECRET else secret
