"""What every verb that talks to a channel needs, put together once by the assembly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.payments.channels.base import ChannelAccount, PaymentChannel
from yimatong.payments.errors import ChannelNotOffered


@dataclass(frozen=True, kw_only=True)
class Desk:
    """Database, vault and channels, and the two addresses under which others reach us (no trailing slash)."""

    db: Database
    vault: Vault
    channels: Mapping[str, PaymentChannel]
    notify_base: str
    """Where channels send notices: the internet front or the core itself."""
    web_base: str
    """Where people open the cashier page."""

    def channel(self, name: str) -> PaymentChannel:
        """Return a channel's adapter.

        Raises:
            ChannelNotOffered: the platform has no such channel.
        """
        found = self.channels.get(name)
        if found is None:
            raise ChannelNotOffered(channel=name)
        return found

    def notify_url(self, account: ChannelAccount) -> str:
        """Return where the channel tells us of this account's payments and refunds."""
        return f"{self.notify_base}/notify/{account.channel}/{account.account_id}"

    def cashier_url(self, token: str) -> str:
        """Return the page that a cashier link opens."""
        return f"{self.web_base}/cashier/open/{token}"
