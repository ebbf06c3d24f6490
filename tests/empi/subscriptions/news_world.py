"""A database of persons without texts, callers, and a receiver."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from receiver import Receiver
from sqlalchemy import text

from yimatong.access import callers
from yimatong.access.caller import Caller
from yimatong.access.callers import Institution
from yimatong.access.webhooks import Destinations
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.vault import Vault
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.subscriptions import service
from yimatong.empi.subscriptions.schemas import NewSubscription, Subscription
from yimatong.kit.db import Connection, Database, raw
from yimatong.kit.ids import new_id

NOW = datetime(2026, 11, 23, 4, tzinfo=UTC)
SECRET = bytes(range(32))
OPEN = Destinations(production=False)


@pytest.fixture(scope="module")
def keystore(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "k.json"
    SoftDevice.create_demonstration(path, "p")
    return path


class Index:
    """The index as the tests see it."""

    def __init__(self, db: Database, vault: Vault) -> None:
        self.db = db
        self.vault = vault
        self.his = Caller(caller_id="his-1", kind="institution", name="his-1", institution_id="inst-1")
        self.app = Caller(caller_id="app-1", kind="app", name="app-1", institution_id=None)

    async def enrol(self) -> None:
        async with self.db.transaction() as tx:
            hospital = Institution(
                institution_id="inst-1", name="医院", kind="hospital", org_code="435628013", region_code="610100"
            )
            await callers.add_institution(tx, hospital, now=NOW)
            for each in (self.his, self.app):
                await callers.enrol(
                    tx,
                    self.vault,
                    caller_id=each.caller_id,
                    kind=each.kind,
                    name=each.name,
                    institution_id=each.institution_id,
                    secret=SECRET,
                    now=NOW,
                )

    async def person(self, *, provider: str = "inst-1") -> UUID:
        """Enter a person of whom a provider has a record."""
        mpi = uuid4()
        async with self.db.transaction() as tx:
            await tx.execute(
                text(
                    "INSERT INTO empi_person (mpi, sealed, search_tokens, sex, created_at, changed_at)"
                    " VALUES (:m, '', '{}', '1', :now, :now)"
                ),
                {"m": mpi, "now": NOW},
            )
            await tx.execute(
                text(
                    "INSERT INTO empi_contribution (mpi, contribution_id, provider, sealed, real_name_method,"
                    " real_name_level, real_name_at, at) VALUES (:m, :c, :p, '', 'stated', 1, :now, :now)"
                ),
                {"m": mpi, "c": new_id("ctb"), "p": provider, "now": NOW},
            )
        return mpi

    async def change(self, *changes: Change) -> None:
        async with self.db.transaction() as tx:
            await events.note(await raw(tx), changes, now=NOW)

    async def note(self, tx: Connection, *changes: Change) -> None:
        await events.note(await raw(tx), changes, now=NOW)

    async def subscribe(
        self, *, caller: Caller | None = None, to_all: tuple[str, ...] = (), **facts: Any
    ) -> Subscription:
        async with self.db.transaction() as tx:
            return await service.subscribe(
                tx,
                self.vault,
                NewSubscription(**facts),
                caller=caller or self.his,
                destinations=OPEN,
                to_all=to_all,
                now=NOW,
            )

    async def ref(self, mpi: UUID, caller: Caller | None = None) -> str:
        return await self.vault.mpi_ref((caller or self.his).holder, mpi.hex)

    async def merge(self, retired: UUID, survivor: UUID) -> None:
        """Move the pointer and note it, as the merge verb does."""
        async with self.db.transaction() as tx:
            await tx.execute(
                text("UPDATE empi_person SET state = 'retired', current_mpi = :s WHERE mpi = :r OR current_mpi = :r"),
                {"s": survivor, "r": retired},
            )
            await self.note(tx, Change(retired, "merged", "inst-1", 2, other=survivor))


@pytest.fixture(scope="module")
def module_index(database: Database, keystore: Path) -> Index:
    return Index(database, Vault(SoftDevice.open(keystore, "p", production=False), issuer="610000"))


@pytest.fixture
async def index(module_index: Index) -> Index:
    async with module_index.db.transaction() as tx:
        for table in ("empi_change_cursor", "empi_change", "empi_subscription", "kit_outbox", "empi_identifier"):
            await tx.execute(text(f"DELETE FROM {table}"))
        known = (await tx.execute(text("SELECT count(*) FROM access_caller"))).scalar_one()
    if not known:
        await module_index.enrol()
    return module_index


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver(SECRET)
    yield made
    made.close()
