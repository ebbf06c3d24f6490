"""Alipay's way of writing amounts and times, and what an account must hold. Pure.

Amounts are yuan with at most two decimals, as texts (in some documents' samples as numbers); times are Beijing civil
time ``yyyy-MM-dd HH:mm:ss``, with a fraction in ``gmt_refund``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import AmountInvalid, parse_yuan
from yimatong.payments.channels.alipay.replies import Garbled
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.errors import AccountUnusable

PARTY = "alipay"
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?", re.ASCII)
_NUMBER = re.compile(rb"\d{1,12}(\.\d{1,2})?")


def secret(account: ChannelAccount, name: str) -> str:
    """Return one of the account's secrets as a plain string. Raises ``AccountUnusable``."""
    if name not in account.secrets:
        raise AccountUnusable(channel=PARTY, name=name)
    return str(account.secrets[name])


def alipay_keys(account: ChannelAccount) -> tuple[str, ...]:
    """Return Alipay's public keys that count: the current one and, during an exchange, the previous one."""
    keys = [secret(account, "alipay_public_key_pem")]
    if "previous_alipay_public_key_pem" in account.secrets:
        keys.append(secret(account, "previous_alipay_public_key_pem"))
    return tuple(keys)


def seller_id(account: ChannelAccount) -> str:
    """Return who is paid: the profile's ``seller_id`` where it differs from the merchant's own number (2088...)."""
    return account.profile.get("seller_id") or account.merchant_id


def fen(value: msgspec.Raw | str) -> int:
    """Return the fen of an amount; nothing is nothing.

    Raises:
        Garbled: not an amount, or below zero.
    """
    if isinstance(value, str):
        text = value
    else:
        raw = bytes(value)
        text = raw.decode() if _NUMBER.fullmatch(raw) else _text(raw)
    if not text:
        return 0
    try:
        amount_fen = parse_yuan(text)
    except AmountInvalid as error:
        raise Garbled(str(error)) from error
    if amount_fen < 0:
        message = "an amount below zero"
        raise Garbled(message)
    return amount_fen


def _text(raw: bytes) -> str:
    if raw in (b"", b"null"):
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Garbled(str(error)) from error


def moment(text: str) -> datetime | None:
    """Return the moment (UTC) of a Beijing time; ``None`` for an empty text. Raises ``Garbled``."""
    if not text:
        return None
    if not _TIME.fullmatch(text):
        message = f"time {text[:32]!r}"
        raise Garbled(message)
    try:
        return datetime.fromisoformat(text[:19]).replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        message = f"time {text[:32]!r}"
        raise Garbled(message) from error


def stamp(when: datetime) -> str:
    """Return a moment as Alipay writes it, to the second."""
    return f"{when.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"
