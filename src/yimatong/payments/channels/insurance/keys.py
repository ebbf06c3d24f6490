"""The keys and the facts of an account at the insurance. Pure.

Secrets that are read: ``private_key`` (our SM2 key, hexadecimal), ``platform_public_key`` (theirs, 130 hexadecimal
characters; ``previous_platform_public_key`` beside it while they change), ``app_secret``, and ``sm4_key`` (32
hexadecimal characters) only where a centre gave one instead of having it drawn from id and secret. The profile says
``driver`` (``mobile`` or ``hospital``), ``fixmedins_code`` (12 characters, else the merchant number),
``fixmedins_name``, ``mdtrtarea_admvs`` and what else :mod:`mobile` and :mod:`hospital` name.
"""

from __future__ import annotations

from typing import Final

from yimatong.crypto.gm import sm2, sm4
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.insurance.signing import Keys, derive_content_key
from yimatong.payments.errors import AccountUnusable

CHANNEL: Final = "insurance"
DRIVERS: Final = ("mobile", "hospital")


def of(account: ChannelAccount) -> Keys:
    """Return the account's keys. Raises ``AccountUnusable`` for what is missing or cannot be read."""
    app_secret = secret(account, "app_secret")
    platform = [_octets(account, "platform_public_key", sm2.PUBLIC_SIZE)]
    if account.secrets.get("previous_platform_public_key"):
        platform.append(_octets(account, "previous_platform_public_key", sm2.PUBLIC_SIZE))
    if account.secrets.get("sm4_key"):
        content_key = _octets(account, "sm4_key", sm4.KEY_SIZE)
    else:
        try:
            content_key = derive_content_key(account.app_id, app_secret)
        except ValueError as error:
            raise AccountUnusable(channel=CHANNEL, name="app_id") from error
    signer = account.profile.get("sm2_user_id", "")
    return Keys(
        app_id=account.app_id,
        app_secret=app_secret,
        private_key=_octets(account, "private_key", sm2.PRIVATE_SIZE),
        platform_keys=tuple(platform),
        signer_id=app_secret.encode() if signer == "app_secret" else signer.encode() or sm2.DEFAULT_ID,
        content_key=content_key,
    )


def driver(account: ChannelAccount) -> str:
    """Return which interface the account uses. Raises ``AccountUnusable`` for another word."""
    chosen = account.profile.get("driver", "mobile")
    if chosen not in DRIVERS:
        raise AccountUnusable(channel=CHANNEL, name="driver")
    return chosen


def institution(account: ChannelAccount) -> str:
    """Return the hospital's code at the insurance (定点医药机构编号)."""
    return account.profile.get("fixmedins_code", "") or account.merchant_id


def secret(account: ChannelAccount, name: str) -> str:
    """Return a secret as a plain string. Raises ``AccountUnusable``."""
    value = str(account.secrets.get(name, ""))
    if not value:
        raise AccountUnusable(channel=CHANNEL, name=name)
    return value


def _octets(account: ChannelAccount, name: str, size: int) -> bytes:
    try:
        octets = bytes.fromhex(secret(account, name))
    except ValueError as error:
        raise AccountUnusable(channel=CHANNEL, name=name) from error
    if len(octets) != size:
        raise AccountUnusable(channel=CHANNEL, name=name)
    return octets
