"""Demonstration data: the first hospital's accounts at a net bank, at the bank of bound cards and at payers.

The credit scheme and the insurer take in whoever asks, so that every made-up resident can be paid for. The bank of
bound cards knows the platform as a merchant too: in its name tokens of two-in-one codes are asked for. The net bank's
addresses stand in the account; where the processes get other ports at a later start, ``renew`` enters them again.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from yimatong.access.callers import Institution
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Settings
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.app import World
from yimatong.sandbox.netbank.enrolment import merchant_keys
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Conditions, Merchant

BANK: Final = "icbc"
PLATFORM: Final = Institution(
    institution_id="platform", name="电子健康卡平台", kind="platform", org_code="", region_code="610000"
)
"""The platform itself, as the bank of bound cards knows it; it is entered nowhere as an institution."""
LIMIT_FEN: Final = 500_000
"""What the credit scheme lets a newcomer owe."""
SUM_INSURED_FEN: Final = 5_000_000


def enrol(world: World, settings: Settings, hospital: Institution) -> list[ChannelAccount]:
    """Register a hospital at the three parties and return its accounts; the caller flushes the journal."""
    return [
        _net_bank(world, settings, hospital),
        _signed(world.credit, hospital, LIMIT_FEN),
        _signed(world.commercial, hospital, SUM_INSURED_FEN),
        _signed(world.quickpay, hospital, 0),
        _signed(world.quickpay, PLATFORM, 0),
    ]


async def renew(
    connection: Connection, vault: Vault, settings: Settings, hospital: Institution, *, now: datetime
) -> None:
    """Enter the net bank's present addresses, where the hospital has an account there."""
    if "netbank" not in await accounts.offered(connection, hospital.institution_id):
        return
    known = await accounts.by_id(connection, vault, _account_id("netbank", hospital))
    moved = replace(known, profile={**known.profile, **_addresses(settings)})
    await accounts.put_account(connection, vault, moved, now=now)


def _net_bank(world: World, settings: Settings, hospital: Institution) -> ChannelAccount:
    mer_id, mer_acct = "0200EC20001119", "0200026009018372212"
    merchant, private_key_pem = merchant_keys(bank=BANK, mer_id=mer_id, mer_acct=mer_acct, name=hospital.name)
    world.netbank.register(merchant)
    return ChannelAccount(
        account_id=_account_id("netbank", hospital),
        institution_id=hospital.institution_id,
        channel="netbank",
        merchant_id=mer_id,
        app_id=mer_acct,
        secrets={
            "private_key_pem": Secret(private_key_pem),
            "bank_public_key_pem": Secret(world.netbank.key.public_pem),
        },
        profile={"bank": BANK, "mer_cert": merchant.mer_cert, **_addresses(settings)},
    )


def _addresses(settings: Settings) -> Mapping[str, str]:
    base = f"{settings.addresses.sandbox}/netbank/{BANK}"
    return {f"{verb}_url": f"{base}/{verb}" for verb in ("pay", "query", "refund", "file")}


def _signed(books: Books, hospital: Institution, auto_fen: int) -> ChannelAccount:
    app_id, secret_hex = f"ymt-{hospital.institution_id}", secrets.token_hex(32)
    merchant = Merchant(merchant_id=hospital.institution_id, app_id=app_id, secret_hex=secret_hex, name=hospital.name)
    books.merchants.put(merchant.merchant_id, merchant)
    books.set_conditions(Conditions(auto_fen=auto_fen))
    return ChannelAccount(
        account_id=_account_id(books.name, hospital),
        institution_id=hospital.institution_id,
        channel=books.name,
        merchant_id=merchant.merchant_id,
        app_id=app_id,
        secrets={"secret_hex": Secret(secret_hex)},
    )


def _account_id(channel: str, hospital: Institution) -> str:
    return f"{channel}-{hospital.institution_id}"
