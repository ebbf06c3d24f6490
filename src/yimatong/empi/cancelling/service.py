"""Cancel a person or one provider's records of her, and take that back. Nothing is deleted.

Who may do what: a death is a fact about the person, so any provider who has a record of her may report it. ``error``,
``duplicate`` and ``other`` are about records: an institution cancels its own, and the person is cancelled with the last
of them. Without any record of her nobody cancels anything. Only a steward restores.

A cancelled person keeps her ids and her certificates' claims: registering with one finds her and is refused, instead of
making her a second time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, insert, or_, select, text, update

from yimatong.access import callers
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import topics
from yimatong.empi.cancelling.schemas import Extent, Reason
from yimatong.empi.errors import BirthDateImpossible, CancelNotAllowed, CancelReasonIncomplete, NotCancelled
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.merges import decisions, pointers, queries
from yimatong.empi.merges.decisions import Method, NewDecision
from yimatong.empi.merges.remaking import remake
from yimatong.empi.models import cancellation, contribution, identifier, person
from yimatong.empi.reviews import statements as reviews
from yimatong.kit import outbox
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, raw
from yimatong.kit.ids import new_id

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
    decision_id = await _decide(
        connection, "cancel", row.mpi, operator=wanted.operator, method=wanted.method, reason=wanted.reason, now=now
    )
    ended = await _end(connection, identifier.c.mpi.in_(group.members), now=now)
    version = await _mark(
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
    await _tell(connection, topics.PERSON_CANCELLED, group.members, decision_id, wanted.reason, now=now)
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
    decision_id = await _decide(
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


async def restore(
    connection: Connection, mpi: UUID, *, operator: str, reason: str, sealer: Sealer, blinder: Blinder, now: datetime
) -> UUID:
    """Take the cancellation of a person back (a steward): what ended with it is as it was; return her id.

    A number that somebody else got meanwhile stays with her.

    Raises:
        PersonNotFound: nobody. NotCancelled: she is not cancelled.
    """
    row = (await pointers.lock(connection, mpi))[mpi]
    known = await _standing(connection, row.mpi, "person")
    if row.state != "cancelled" or known is None:
        raise NotCancelled
    decision_id = await _decide(
        connection, "restore", row.mpi, operator=operator, method="steward", reason=reason, now=now
    )
    version = await _mark(
        connection,
        row.mpi,
        state="live",
        cancelled_at=None,
        cancel_reason=None,
        deceased_on=None if row.deceased_on == known.died_on else row.deceased_on,
        compared_at=None,
        changed_at=now,
    )
    await _undo(
        connection,
        known,
        decision_id=decision_id,
        mpi=row.mpi,
        version=version,
        operator=operator,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    await reviews.reopen(connection, known.decision_id, operator=operator, now=now)
    group = (await queries.groups(connection, [row.mpi]))[row.mpi]
    await _tell(connection, topics.PERSON_RESTORED, group.members, known.decision_id, reason, now=now)
    return cast("UUID", row.mpi)


async def restore_records(
    connection: Connection,
    cancellation_id: str,
    *,
    operator: str,
    reason: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> UUID:
    """Take the cancellation of one provider's records back (a steward); return whose they are.

    Raises:
        NotCancelled: no such cancellation of records, or it was taken back.
    """
    found = await connection.execute(
        select(cancellation).where(
            cancellation.c.cancellation_id == cancellation_id,
            cancellation.c.extent == "record",
            cancellation.c.undone_at.is_(None),
        )
    )
    known = found.first()
    if known is None:
        raise NotCancelled
    row = (await pointers.lock(connection, known.mpi))[known.mpi]
    decision_id = await _decide(
        connection, "restore", row.mpi, operator=operator, method="steward", reason=reason, now=now
    )
    version = await pointers.touch(connection, row.mpi, now=now)
    await _undo(
        connection,
        known,
        decision_id=decision_id,
        mpi=row.mpi,
        version=version,
        operator=operator,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    return cast("UUID", row.mpi)


_REVIVE = text(
    """
    UPDATE empi_identifier i SET state = 'active', ended_at = NULL, ended_reason = NULL
    WHERE i.relation_id = ANY(:ids) AND i.state = 'ended'
      AND NOT EXISTS (SELECT FROM empi_identifier o WHERE o.domain = i.domain AND o.number_blind = i.number_blind
                      AND o.state = 'active')
    RETURNING i.relation_id, i.domain
    """
)
_CURRENT_AGAIN = text(
    """
    UPDATE empi_contribution c SET current = true
    WHERE c.contribution_id = ANY(:ids)
      AND NOT EXISTS (SELECT FROM empi_contribution o WHERE o.domain = c.domain AND o.source_blind = c.source_blind
                      AND o.current)
    """
)


async def _undo(
    connection: Connection,
    known: Row[Any],
    *,
    decision_id: str,
    mpi: UUID,
    version: int,
    operator: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    await connection.execute(
        update(cancellation)
        .where(cancellation.c.cancellation_id == known.cancellation_id)
        .values(undone_at=now, undo_decision_id=decision_id)
    )
    back = (await connection.execute(_REVIVE, {"ids": list(known.relations)})).all()
    if known.contributions:
        await connection.execute(_CURRENT_AGAIN, {"ids": list(known.contributions)})
    inside = await raw(connection)
    made_anew = await remake(inside, [mpi], sealer=sealer, blinder=blinder, now=now)
    version = made_anew.get(mpi, version)
    told = [Change(mpi, "restored" if known.extent == "person" else "updated", operator, version)]
    told += [Change(mpi, "linked", operator, version, domain=row.domain) for row in back]
    await events.note(inside, told, now=now)


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


async def _mark(connection: Connection, mpi: UUID, **values: object) -> int:
    done = await connection.execute(
        update(person)
        .where(person.c.mpi == mpi)
        .values(version=person.c.version + 1, **values)
        .returning(person.c.version)
    )
    return int(done.scalar_one())


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


async def _standing(connection: Connection, mpi: UUID, extent: Extent) -> Row[Any] | None:
    """Return the cancellation of a person that stands, or None."""
    return (
        await connection.execute(
            select(cancellation)
            .where(
                cancellation.c.mpi.in_(await _members(connection, mpi)),
                cancellation.c.extent == extent,
                cancellation.c.undone_at.is_(None),
            )
            .order_by(cancellation.c.at.desc())
            .limit(1)
        )
    ).first()


async def _members(connection: Connection, mpi: UUID) -> Collection[UUID]:
    return (await queries.groups(connection, [mpi]))[mpi].members


async def _known(connection: Connection, mpi: UUID) -> Cancelled:
    known = await _standing(connection, mpi, "person")
    if known is None:
        raise NotCancelled(audit="a cancelled person without a cancellation")
    return Cancelled(
        cancellation_id=known.cancellation_id, mpi=mpi, extent="person", reason=known.reason, at=known.at, again=True
    )


async def _decide(
    connection: Connection, kind: Any, mpi: UUID, *, operator: str, method: Method, reason: str, now: datetime
) -> str:
    made = NewDecision(kind=kind, method=method, left=mpi, operator=operator, reason=reason)
    return (await decisions.write(await raw(connection), [made], now))[0]


async def _tell(
    connection: Connection, topic: str, mpis: Collection[UUID], decision_id: str, reason: str, *, now: datetime
) -> None:
    ordered = sorted(mpis)
    await outbox.write(
        connection,
        topic=topic,
        ordering_key=f"person:{ordered[0].hex}",
        payload={"mpis": [each.hex for each in ordered], "decision_id": decision_id, "reason": reason},
        now=now,
    )
