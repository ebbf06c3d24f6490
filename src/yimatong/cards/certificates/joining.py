"""The rows of an account when its VUID changes: the old one becomes an alias, every alias points on in one step."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.cards.accounts import queries
from yimatong.cards.models import account, account_join, holder
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection


async def move(connection: Connection, row: Row[Any], *, vuid: str, key_version: int, now: datetime) -> None:
    """Make ``vuid`` the VUID of a live account: its row of today turns alias, the new one takes its place.

    A VUID that the account had before (a wrong change is corrected) comes back to life instead.
    """
    if vuid == row.vuid:
        return
    kept = {
        "state": row.state,
        "static_allowed": row.static_allowed,
        "codes_valid_from": row.codes_valid_from,
        "reason": row.reason,
        "opened_at": row.opened_at,
        "changed_at": now,
    }
    earlier = await queries.row_of(connection, vuid)
    await point(connection, [row.vuid], at=vuid, generation=row.generation, now=now)
    if earlier is not None and earlier.state == "alias":
        await connection.execute(
            update(account)
            .where(account.c.vuid == vuid, account.c.generation == earlier.generation)
            .values(alias_of=None, alias_on=True, **kept)
        )
    else:
        await connection.execute(
            insert(account).values(
                vuid=vuid,
                generation=1 if earlier is None else earlier.generation + 1,
                mpi=row.mpi,
                vuid_key_version=key_version,
                **kept,
            )
        )
    await point(connection, await _leading_to(connection, row.vuid, but=vuid), at=vuid, generation=None, now=now)
    await _copy_holders(connection, row.vuid, vuid)


async def point(
    connection: Connection, vuids: Sequence[str], *, at: str, generation: int | None, now: datetime
) -> None:
    """Turn live rows, or aliases, into aliases of ``at``."""
    own = account.c.generation == generation if generation is not None else account.c.state == "alias"
    await connection.execute(
        update(account)
        .where(account.c.vuid.in_(vuids), own)
        .values(state="alias", alias_of=at, frozen_by=None, frozen_strength=None, reason=None, changed_at=now)
    )


async def join(
    connection: Connection, row: Row[Any], *, into_vuid: str, into_mpi: UUID, actor: str, now: datetime
) -> None:
    """Make an account and its aliases aliases of another person's account, and keep what undoes that."""
    before = await _leading_to(connection, row.vuid, but="")
    await connection.execute(
        insert(account_join).values(
            vuid=row.vuid,
            into_vuid=into_vuid,
            mpi=row.mpi,
            into_mpi=into_mpi,
            state_before=row.state,
            aliases_before=before,
            at=now,
            actor=actor,
        )
    )
    await point(connection, [row.vuid], at=into_vuid, generation=row.generation, now=now)
    await point(connection, before, at=into_vuid, generation=None, now=now)


async def separate(connection: Connection, mpis: Sequence[UUID], *, now: datetime) -> list[str]:
    """Undo the joins of persons whom the index took apart again; return the VUIDs that live again.

    A join whose two persons are still one stays, so that a message that comes late or twice changes nothing.
    """
    rows = await connection.execute(
        select(account_join).where(account_join.c.mpi.in_(mpis), account_join.c.undone_at.is_(None))
    )
    back: list[str] = []
    for row in rows.all():
        if row.into_mpi in await persons.members(connection, row.mpi):
            continue
        await connection.execute(
            update(account)
            .where(account.c.vuid == row.vuid, account.c.state == "alias", account.c.alias_of == row.into_vuid)
            .values(state=row.state_before, alias_of=None, changed_at=now)
        )
        await point(connection, row.aliases_before, at=row.vuid, generation=None, now=now)
        await connection.execute(
            update(account_join)
            .where(account_join.c.vuid == row.vuid, account_join.c.at == row.at)
            .values(undone_at=now)
        )
        back.append(row.vuid)
    return back


async def open_next(connection: Connection, *, vuid: str, mpi: UUID, key_version: int, now: datetime) -> None:
    """Open the next account of a VUID for a person who has none."""
    earlier = await queries.row_of(connection, vuid)
    await connection.execute(
        insert(account).values(
            vuid=vuid,
            generation=1 if earlier is None else earlier.generation + 1,
            mpi=mpi,
            vuid_key_version=key_version,
            state="active",
            codes_valid_from=None if earlier is None else now,
            opened_at=now,
            changed_at=now,
        )
    )


async def hold(connection: Connection, vuid: str, who: str, *, level: int, now: datetime) -> None:
    """Let a holder show the codes of an account by a proof of this level, or of the stronger one that it had."""
    statement = upsert(holder).values(vuid=vuid, holder=who, real_name_level=level, since=now)
    strongest = func.greatest(holder.c.real_name_level, statement.excluded.real_name_level)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["vuid", "holder"], set_={"real_name_level": strongest})
    )


async def _leading_to(connection: Connection, vuid: str, *, but: str) -> list[str]:
    rows = await connection.execute(
        select(account.c.vuid).where(account.c.alias_of == vuid, account.c.vuid != but).order_by(account.c.vuid)
    )
    return list(rows.scalars())


async def _copy_holders(connection: Connection, old: str, new: str) -> None:
    rows = select(literal(new), holder.c.holder, holder.c.real_name_level, holder.c.since).where(holder.c.vuid == old)
    statement = upsert(holder).from_select(["vuid", "holder", "real_name_level", "since"], rows)
    strongest = func.greatest(holder.c.real_name_level, statement.excluded.real_name_level)
    await connection.execute(
        statement.on_conflict_do_update(index_elements=["vuid", "holder"], set_={"real_name_level": strongest})
    )
