"""What the worker does for accounts when the person index cancels, restores or separates somebody.

An account that is frozen here says by which cancellation (``frozen_by``), so that restoring releases exactly those and
none that another party froze. A merge needs no news: accounts find their person through the index on every look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from yimatong.access.caller import PLATFORM
from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts.history import Origin
from yimatong.cards.certificates import joining
from yimatong.cards.models import account
from yimatong.cards.registry.service import announce
from yimatong.cards.standing.service import after
from yimatong.crypto.vault import Vault
from yimatong.empi.topics import PERSON_CANCELLED, PERSON_RESTORED, PERSON_UNMERGED
from yimatong.kit.db import Connection, Database
from yimatong.kit.outbox import Handler, Message

ACTOR = "index"
_WHY = "person_cancelled"


def handlers(db: Database, vault: Vault) -> Mapping[str, Handler]:
    """Return the outbox handlers of what the index tells; a repeat changes nothing."""

    async def cancelled(message: Message) -> None:
        async with db.transaction() as connection:
            await freeze(connection, vault, message.payload, now=message.created_at)

    async def restored(message: Message) -> None:
        async with db.transaction() as connection:
            await release(connection, vault, message.payload, now=message.created_at)

    async def unmerged(message: Message) -> None:
        async with db.transaction() as connection:
            back = await joining.separate(connection, _mpis(message.payload), now=message.created_at)
            await announce(connection, back, now=message.created_at)

    return {PERSON_CANCELLED: cancelled, PERSON_RESTORED: restored, PERSON_UNMERGED: unmerged}


async def freeze(connection: Connection, vault: Vault, payload: Mapping[str, Any], *, now: datetime) -> None:
    """Freeze the accounts in force of a cancelled person; their codes die with it."""
    await queries.lock_persons(connection, _mpis(payload))
    done = await connection.execute(
        update(account)
        .where(account.c.mpi.in_(_mpis(payload)), account.c.state == "active")
        .values(
            state="frozen",
            reason=_WHY,
            frozen_by=_mark(payload),
            frozen_strength=history.STRENGTHS["operator"],
            codes_valid_from=after(now),
            changed_at=now,
        )
        .returning(account.c.vuid)
    )
    await _note(connection, vault, list(done.scalars()), ("active", "frozen"), str(payload["reason"]), now=now)


async def release(connection: Connection, vault: Vault, payload: Mapping[str, Any], *, now: datetime) -> None:
    """Release the accounts that this very cancellation froze."""
    await queries.lock_persons(connection, _mpis(payload))
    frozen = await connection.execute(
        select(account.c.vuid).where(
            account.c.mpi.in_(_mpis(payload)), account.c.state == "frozen", account.c.frozen_by == _mark(payload)
        )
    )
    vuids = list(frozen.scalars())
    await connection.execute(
        update(account)
        .where(account.c.vuid.in_(vuids), account.c.frozen_by == _mark(payload))
        .values(state="active", reason=None, frozen_by=None, frozen_strength=None, changed_at=now)
    )
    await _note(connection, vault, vuids, ("frozen", "active"), str(payload["reason"]), now=now)


async def _note(
    connection: Connection, vault: Vault, vuids: Sequence[str], change: tuple[str, str], reason: str, *, now: datetime
) -> None:
    origin = Origin(actor=ACTOR, actor_kind="operator", holder=ACTOR, scope=PLATFORM)
    sealer = await vault.sealer()
    for vuid in vuids:
        await history.note(
            connection,
            sealer,
            vuid,
            change[1],
            origin=origin,
            now=now,
            before={"state": change[0]},
            after={"state": change[1]},
            reason=reason,
        )
    await announce(connection, vuids, now=now)


def _mark(payload: Mapping[str, Any]) -> str:
    return f"{ACTOR}:{payload['decision_id']}"


def _mpis(payload: Mapping[str, Any]) -> list[UUID]:
    return [UUID(each) for each in payload["mpis"]]
