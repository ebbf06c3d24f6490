"""Pairs that a steward judged not to be one person.

A rejected pair never comes back by itself: no merge joins two groups across it, no review is opened for it. It comes
back when what is known of either of them changed, and says so; whether that happened is seen by a keyed digest of what
was known of both, so that the table itself tells nothing. Of twins only what identifies counts: that they moved house
together proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import SamePerson
from yimatong.empi.matching.facts import Facts
from yimatong.empi.merges import decisions, pointers
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.rules import TWINS
from yimatong.empi.models import person, rejected_pair
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.db import Connection, raw


def facts_digest(blinder: Blinder, left: Facts, right: Facts, *, twins: bool = False) -> bytes:
    """Return the 32-byte keyed digest of what is known of a pair, whichever comes first.

    ``twins``: only name, sex, birth date and certificate count.
    """
    each = sorted(msgspec.json.encode(_counted(facts, twins=twins)) for facts in (left, right))
    return blinder.digest("rejected-twins" if twins else "rejected-pair", b"\0".join(each))


def digests(blinder: Blinder, left: Facts, right: Facts) -> tuple[bytes, bytes]:
    """Return both digests of a pair, as ``NewReview`` takes them: of all facts, and of what identifies."""
    return facts_digest(blinder, left, right), facts_digest(blinder, left, right, twins=True)


def facts_of(known: PersonRecord) -> Facts:
    """Return a golden record as facts to compare."""
    return Facts(
        name=str.__str__(known.name),
        sex=known.sex,
        birth_date=known.birth_date,
        id_type=known.id_type,
        id_number=str.__str__(known.id_number),
        phone=str.__str__(known.phone),
        address=str.__str__(known.address),
    )


async def reject(
    connection: Connection,
    *,
    left: UUID,
    right: UUID,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> str:
    """Note that two are not one person, and return the decision's id; ``decision.reason`` may be ``twins``.

    Rejecting again keeps the newer decision and what is known now.

    Raises:
        PersonNotFound: one of them does not exist. SamePerson: both ids mean one person: unmerge first.
    """
    rows = await pointers.lock(connection, left, right)
    if rows[left].mpi == rows[right].mpi:
        raise SamePerson
    made = decision._replace(kind="reject", left=rows[left].mpi, right=rows[right].mpi)
    (decision_id,) = await decisions.write(await raw(connection), [made], now)
    twins = decision.reason == TWINS
    await keep(
        connection, rows[left].mpi, rows[right].mpi, decision_id, twins=twins, sealer=sealer, blinder=blinder, now=now
    )
    return decision_id


async def keep(
    connection: Connection,
    left: UUID,
    right: UUID,
    decision_id: str,
    *,
    twins: bool,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Write the rejected pair of a decision, with the digest of what both rows say now."""
    found = await connection.execute(select(person).where(person.c.mpi.in_((left, right))))
    known = [facts_of(persons.record(sealer, row)) for row in found]
    first, second = sorted((left, right))
    values = {
        "facts_digest": facts_digest(blinder, known[0], known[1], twins=twins),
        "decision_id": decision_id,
        "at": now,
        "lifted_at": None,
    }
    await connection.execute(
        upsert(rejected_pair)
        .values(left_mpi=first, right_mpi=second, **values)
        .on_conflict_do_update(index_elements=["left_mpi", "right_mpi"], set_=values)
    )


async def lift(
    connection: Connection, left: Sequence[UUID], right: Sequence[UUID], *, now: datetime
) -> list[tuple[UUID, UUID]]:
    """Let go of the rejected pairs across two groups of ids; return them."""
    pair = rejected_pair.c
    done = await connection.execute(
        update(rejected_pair)
        .where(
            pair.lifted_at.is_(None),
            or_(
                and_(pair.left_mpi.in_(left), pair.right_mpi.in_(right)),
                and_(pair.left_mpi.in_(right), pair.right_mpi.in_(left)),
            ),
        )
        .values(lifted_at=now)
        .returning(pair.left_mpi, pair.right_mpi)
    )
    return [(row[0], row[1]) for row in done]


def _counted(facts: Facts, *, twins: bool) -> Facts:
    return msgspec.structs.replace(facts, phone="", address="") if twins else facts
