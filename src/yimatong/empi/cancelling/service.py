"""Cancel a person or one provider's records of her, and take that back. Nothing is deleted.

Who may do what: a death is a fact about the person, so any provider who has a record of her may report it. ``error``,
``duplicate`` and ``other`` are about records: an institution cancels its own, and the person is cancelled with the last
of them. Without any record of her nobody cancels anything. Only a steward restores.

A cancelled person keeps her ids and her certificates' claims: registering with one finds her and is refused, instead of
making her a second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, insert, or_, select, update

from yimatong.access import callers
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import topics
from yimatong.empi.cancelling import keeping
from yimatong.empi.cancelling.restoring import restore, restore_records
from yimatong.empi.cancelling.schemas import Extent, Reason
from yimatong.empi.errors import BirthDateImpossible, CancelNotAllowed, CancelReasonIncomplete, NotCancelled
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.merges import pointers, queries
from yimatong.empi.merges import waiting as reviews
from yimatong.empi.merges.decisions import Method
from yimatong.empi.merges.remaking import remake
from yimatong.empi.models import cancellation, contribution, identifier
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, raw
from yimatong.kit.ids import new_id

__all__ = ["Cancelled", "Wanted", "cancel", "cancel_by_institution", "require_reason", "restore", "restore_records"]

_ENDED = "person_cancelled"


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What was cancelled. ``again``: it was before; the first reason stands."""

    cancellation_id: str
    mpi: UUID
    extent: Extent
    reason: Reason
    at: datetime
    again: bool = False


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A cancellation and in whose name it is made: an operator's or a caller's id."""

    reason: Reason
    died_on: date | None
    operator: str
    method: Method = "provider"


async def cancel_by_institution(
    connection: Connection,
    mpi: UUID,
    wanted: Wanted,
    *,
    institution_id: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> Cancelled:
    """Cancel a person in the name of an institution, as far as it may (see the module).

    Raises:
        PersonNotFound: nobody. CancelNotAllowed: the institution has no record of her. CancelReasonIncomplete,
        BirthDateImpossible: the day of death.
    """
    row = (await pointers.lock(connection, mpi))[mpi]
    if row.state == "cancelled":
        await _require_known(connection, row.mpi, institution_id)
        return await _known(connection, row.mpi)
    own, others = await _records(connection, row.mpi, institution_id)
    if not own:
        raise CancelNotAllowed
    if wanted.reason == "death" or not others:
        return await cancel(connection, row.mpi, wanted, now=now)
    return await _cancel_records(connection, row, own, wanted, sealer=sealer, blinder=blinder, now=now)


async def cancel(connection: Connection, mpi: UUID, wanted: Wanted, *, now: datetime) -> Cancelled:
    """Cancel a person: her numbers end, what waits for a steward is void, her cards are frozen by outbox.

    Cancelling a cancelled one changes nothing.

    Raises:
        PersonNotFound: nobody. CancelReasonIncomplete, BirthDateImpossible: the day of death.
    """
    row = (await pointers.lock(connection, mpi))[mpi]
    if row.state == "cancelled":
        return await _known(connection, row.mpi)
    require_reason(wanted, born=row.birth_date, now=now)
    group = (await queries.groups(connection, [row.mpi]))[row.mpi]
    decision_id = await keeping.decide(
        connection, "cancel", row.mpi, operator=wanted.operator, method=wanted.method, reason=wanted.reason, now=now
    )
    ended = await _end(connection, identifier.c.mpi.in_(group.members), now=now)
    version = await keeping.mark(
        connection,
        row.mpi,
        state="cancelled",
        cancelled_at=now,
        cancel_reason=wanted.reason,
        deceased_on=wanted.died_on or row.deceased_on,
        changed_at=now,
    )
    kept = await _keep(
        connection,
        row.mpi,
        "person",
        wanted,
        decision_id=decision_id,
        relations=[each[0] for each in ended],
        contributions=[],
        now=now,
    )
    await reviews.close(
        connection, group.members, decision_id=decision_id, operator=wanted.operator, now=now, everything=True
    )
    told = [Change(row.mpi, "cancelled", wanted.operator, version)]
    told += [Change(row.mpi, "unlinked", wanted.operator, version, domain=domain) for _, domain in ended]
    await events.note(await raw(connection), told, now=now)
    await keeping.tell(connection, topics.PERSON_CANCELLED, group.members, decision_id, wanted.reason, now=now)
    return kept


def require_reason(wanted: Wanted, *, born: date | None, now: datetime) -> None:
    """Check the day of death.

    Raises:
        CancelReasonIncomplete: a death without its day, or another reason with one. BirthDateImpossible: before birth,
            or after today.
    """
    if (wanted.reason == "death") != (wanted.died_on is not None):
        raise CancelReasonIncomplete
    if wanted.died_on is not None and not (born or date.min) <= wanted.died_on <= business_date(now):
        raise BirthDateImpossible


async def _cancel_records(
    connection: Connection,
    row: Row[Any],
    own: Sequence[Row[Any]],
    wanted: Wanted,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> Cancelled:
    """Take one provider's records out of a person whom others know, too."""
    require_reason(wanted, born=row.birth_date, now=now)
    decision_id = await keeping.decide(
        connection, "cancel", row.mpi, operator=wanted.operator, method=wanted.method, reason=wanted.reason, now=now
    )
    ids = [each.contribution_id for each in own]
    await connection.execute(update(contribution).where(contribution.c.contribution_id.in_(ids)).values(current=False))
    numbers = [
        and_(identifier.c.domain == each.domain, identifier.c.number_blind == each.source_blind)
        for each in own
        if each.domain is not None
    ]
    ended = await _end(connection, or_(*numbers), now=now) if numbers else []
    version = await pointers.touch(connection, row.mpi, now=now)
    inside = await raw(connection)
    made_anew = await remake(inside, [row.mpi], sealer=sealer, blinder=blinder, now=now)
    version = made_anew.get(row.mpi, version)
    kept = await _keep(
        connection,
        row.mpi,
        "record",
        wanted,
        decision_id=decision_id,
        relations=[each[0] for each in ended],
        contributions=ids,
        now=now,
    )
    told = [Change(row.mpi, "updated", wanted.operator, version)]
    told += [Change(row.mpi, "unlinked", wanted.operator, version, domain=domain) for _, domain in ended]
    await events.note(inside, told, now=now)
    return kept


async def _records(connection: Connection, mpi: UUID, institution_id: str) -> tuple[list[Row[Any]], list[Row[Any]]]:
    """Return the current contributions to a person: those of an institution and its callers, and all others."""
    members = (await queries.groups(connection, [mpi]))[mpi].members
    rows = (
        await connection.execute(select(contribution).where(contribution.c.mpi.in_(members), contribution.c.current))
    ).all()
    whose = await callers.institutions_of(connection, {row.provider for row in rows})
    own = [row for row in rows if whose.get(row.provider) == institution_id]
    return own, [row for row in rows if whose.get(row.provider) != institution_id]


async def _require_known(connection: Connection, mpi: UUID, institution_id: str) -> None:
    own, _ = await _records(connection, mpi, institution_id)
    if not own:
        raise CancelNotAllowed


async def _end(connection: Connection, which: Any, *, now: datetime) -> list[tuple[str, str]]:
    done = await connection.execute(
        update(identifier)
        .where(which, identifier.c.state == "active")
        .values(state="ended", ended_at=now, ended_reason=_ENDED)
        .returning(identifier.c.relation_id, identifier.c.domain)
    )
    return sorted((row[0], row[1]) for row in done)


async def _keep(
    connection: Connection,
    mpi: UUID,
    extent: Extent,
    wanted: Wanted,
    *,
    decision_id: str,
    relations: Sequence[str],
    contributions: Sequence[str],
    now: datetime,
) -> Cancelled:
    cancellation_id = new_id("can")
    await connection.execute(
        insert(cancellation).values(
            cancellation_id=cancellation_id,
            mpi=mpi,
            extent=extent,
            reason=wanted.reason,
            died_on=wanted.died_on,
            provider=wanted.operator,
            decision_id=decision_id,
            relations=list(relations),
            contributions=list(contributions),
            at=now,
        )
    )
    return Cancelled(cancellation_id=cancellation_id, mpi=mpi, extent=extent, reason=wanted.reason, at=now)


async def _known(connection: Connection, mpi: UUID) -> Cancelled:
    known = await keeping.standing(connection, mpi, "person")
    if known is None:
        raise NotCancelled(audit="a cancelled person without a cancellation")
    return Cancelled(
        cancellation_id=known.cancellation_id, mpi=mpi, extent="person", reason=known.reason, at=known.at, again=True
    )
