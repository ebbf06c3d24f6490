"""What the processes on the database share: the pool, the crypto device behind its vault, the way out, the channels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import msgspec
from sqlalchemy import text

from yimatong.access.webhooks import Destinations
from yimatong.cards.records.archive import Archive
from yimatong.crypto.devices.choice import open_device
from yimatong.crypto.devices.sdf import SdfDevice
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.settings import Settings
from yimatong.payments.channels.base import PaymentChannel
from yimatong.payments.channels.registry import CHANNELS
from yimatong.payments.desk import Desk
from yimatong.payments.health.tally import Tally
from yimatong.payments.health.watch import Watched


class Parts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one process."""

    settings: Settings
    db: Database
    vault: Vault
    outbound: Outbound
    channels: Mapping[str, PaymentChannel]
    tally: Tally

    @property
    def archive(self) -> Archive:
        """Return the archive of the records of codes."""
        return Archive(self.settings.archive_folder, self.vault)

    @property
    def audit_anchor(self) -> Path:
        """Return the file outside the database that the ends of the audit chain are written to."""
        return self.settings.data / "audit-anchor.log"

    @property
    def destinations(self) -> Destinations:
        """Return where callers may have deliveries sent to."""
        return Destinations(production=self.settings.production, hosts=self.settings.webhook_hosts)

    @property
    def desk(self) -> Desk:
        """Return what verbs that talk to a payment channel need."""
        addresses = self.settings.addresses
        return Desk(
            db=self.db,
            vault=self.vault,
            channels=self.channels,
            notify_base=addresses.core,
            web_base=addresses.web,
        )

    async def ready(self) -> None:
        """Return when the database answers and the device can derive a key.

        Raises:
            DatabaseUnavailable, DeviceUnavailable.
        """
        async with self.db.read() as connection:
            await connection.execute(text("SELECT 1"))
        await self.vault.valid_keys(["0" * 64])

    async def close(self) -> None:
        """Close every connection, and the crypto machines."""
        await self.outbound.close()
        await self.db.close()
        if isinstance(self.vault.device, SdfDevice):
            await asyncio.to_thread(self.vault.device.close)


def assemble(settings: Settings) -> Parts:
    """Open the crypto device and prepare the pools.

    Raises:
        KeystoreUnreadable, PassphraseWrong, SdfLibraryUnusable: the device cannot be opened.
        DemonstrationKeysInProduction: production mode with demonstration keys.
    """
    device = open_device(settings)
    outbound, tally = Outbound(), Tally()
    return Parts(
        settings=settings,
        db=Database(settings.database_url, size=settings.database_pool),
        vault=Vault(device, issuer=settings.issuer),
        outbound=outbound,
        channels={name: Watched(make(outbound, settings), tally) for name, make in CHANNELS.items()},
        tally=tally,
    )
