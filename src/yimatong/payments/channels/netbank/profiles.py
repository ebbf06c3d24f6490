"""What differs between banks. Pure.

``icbc`` follows ICBC's published handbook of the B2C payment interface, version 1.0.0.11 (B2C支付接口v1.0.0.11
商户手册): form, order XML and notice XML. Not known from public sources, and therefore assumed: that signatures are RSA
with SHA-256 (ICBC hands out a library that signs), that an order is taken within one hour of its date, and how long a
page that is open already can still pay. ICBC's own order query (ICBCAPI, EAPI) is answered unsigned over two-way TLS,
and no refund interface of it is public; both are therefore asked in the signed form of ``generic``, which the link to
the bank has to offer.
``generic`` is the same exchange in UTF-8 with amounts in yuan and an expiry, as other banks have it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from yimatong.payments.channels.base import ChannelAccount, PlacedPayment
from yimatong.payments.errors import ChannelNotOffered

PAGE_TTL: Final = timedelta(minutes=15)
"""How long a bank's page that was opened in time may still pay (assumed; a bank's session is shorter)."""


class Profile(NamedTuple):
    """One bank's way."""

    bank: str
    charset: str
    interface_name: str
    interface_version: str
    currency: str
    """What stands for yuan renminbi."""
    in_yuan: bool
    """Whether amounts are yuan with two decimals; whole fen otherwise."""
    sends_expiry: bool
    """Whether the order carries the moment after which it cannot be paid."""
    order_ttl: timedelta | None
    """How long after its date the bank takes an order, where no expiry is sent."""

    def payable_until(self, payment: PlacedPayment) -> datetime:
        """Return when an order that the bank has not heard of cannot be paid any more, open pages included."""
        end = payment.expires_at if self.order_ttl is None else payment.placed_at + self.order_ttl
        return end + PAGE_TTL


ICBC: Final = Profile(
    bank="icbc",
    charset="GBK",
    interface_name="ICBC_PERBANK_B2C",
    interface_version="1.0.0.11",
    currency="001",
    in_yuan=False,
    sends_expiry=False,
    order_ttl=timedelta(hours=1),
)
GENERIC: Final = Profile(
    bank="generic",
    charset="UTF-8",
    interface_name="NETBANK_B2C",
    interface_version="1.0",
    currency="CNY",
    in_yuan=True,
    sends_expiry=True,
    order_ttl=None,
)
PROFILES: Final = {profile.bank: profile for profile in (ICBC, GENERIC)}


def profile_of(account: ChannelAccount) -> Profile:
    """Return the profile of an account's bank (``account.profile["bank"]``).

    Raises:
        ChannelNotOffered: no such bank.
    """
    bank = account.profile.get("bank", "")
    if bank not in PROFILES:
        raise ChannelNotOffered(channel=f"netbank {bank}".strip())
    return PROFILES[bank]
