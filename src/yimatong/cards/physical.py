"""The registry of physical cards (居民健康卡注册管理系统): its own tables, asked before the index makes a person.

Here it answers who is known and keeps the electronic account beside the plastic one; issuing, chip numbers and nightly
batches build on the same tables.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from yimatong.cards.models import physical_card, registry_resident
from yimatong.kit.db import Connection


class RegistryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry knows of the holder of a certificate."""

    mpi: UUID
    vuid: str | None


async def ask(connection: Connection, *, id_type: str, id_blind: bytes) -> RegistryEntry | None:
    """Return the registry's entry of a certificate, or None when it knows nobody."""
    row = (
        await connection.execute(
            select(registry_resident.c.mpi, registry_resident.c.vuid).where(
                registry_resident.c.id_type == id_type, registry_resident.c.id_blind == id_blind
            )
        )
    ).first()
    return None if row is None else RegistryEntry(mpi=row.mpi, vuid=row.vuid)


async def synchronise(
    connection: Connection, *, id_type: str, id_blind: bytes, mpi: UUID, vuid: str, now: datetime
) -> None:
    """Bring the registry's entry up to date with the electronic account, in the account's own transaction."""
    statement = insert(registry_resident).values(
        id_type=id_type, id_blind=id_blind, mpi=mpi, vuid=vuid, synchronised_at=now
    )
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["id_type", "id_blind"], set_={"mpi": mpi, "vuid": vuid, "synchronised_at": now}
        )
    )


async def enter_card(
    connection: Connection,
    *,
    card_number: str,
    card_type: str,
    chip_number: str | None,
    issuer: str,
    id_type: str,
    id_blind: bytes,
    now: datetime,
) -> None:
    """Enter a plastic card that was issued; entering it again changes nothing."""
    await connection.execute(
        insert(physical_card)
        .values(
            card_number=card_number,
            card_type=card_type,
            chip_number=chip_number,
            issuer=issuer,
            state="issued",
            id_type=id_type,
            id_blind=id_blind,
            issued_at=now,
        )
        .on_conflict_do_nothing()
    )
