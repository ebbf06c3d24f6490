"""A provider says that two of its own records are one resident (HL7 v2 ADT^A40, 病人信息合并).

It decides about its own records, not about the persons behind them. Where the retired record's person is known through
this institution alone, both persons become one; where others speak of her, too, only the record moves. What the cluster
check forbids is put before a steward, and the provider is told so.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import select

from yimatong.access import callers
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import SourceRecordUnknown
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.merges import pointers, queries, rules
from yimatong.empi.merges import waiting as reviews
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.relinking import relink
from yimatong.empi.merges.schemas import RecordsToMerge
from yimatong.empi.merges.service import merge_pair
from yimatong.empi.merges.waiting import NewReview
from yimatong.empi.models import contribution
from yimatong.kit.db import Connection, raw


class Provider(NamedTuple):
    """In whose name records are merged."""

    institution_id: str
    caller_id: str


class Outcome(NamedTuple):
    """What became of two records: whose they are now, and the review, if a steward judges."""

    mpi: UUID
    outcome: Literal["merged", "moved", "same", "review"]
    review_id: str = ""


async def merge_records(
    connection: Connection,
    wanted: RecordsToMerge,
    *,
    provider: Provider,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> Outcome:
    """Merge two records of one institution.

    Raises:
        SourceRecordUnknown: one of them is unknown, or another institution's.
    """
    await pointers.hold(connection)
    keeps = await _owner(connection, wanted.surviving, provider, blinder)
    goes = await _owner(connection, wanted.retired, provider, blinder)
    persons = await queries.current_of(connection, [keeps, goes])
    survivor, retired = persons[keeps], persons[goes]
    if survivor == retired:
        return Outcome(survivor, "same")
    groups = await queries.groups(connection, [survivor, retired])
    against = await queries.rejections(connection, groups[survivor].members, groups[retired].members)
    found = rules.conflicts(groups[survivor], groups[retired], against)
    if found:
        review = NewReview(
            survivor,
            retired,
            "cluster_conflict",
            guards=found,
            because="provider_merge",
            institution_id=provider.institution_id,
            method="provider",
        )
        (review_id,) = await reviews.open_many(await raw(connection), [review], now, operator=provider.caller_id)
        return Outcome(survivor, "review", review_id)
    decision = NewDecision(
        kind="merge", method="provider", left=retired, right=survivor, operator=provider.caller_id, reason="a40"
    )
    if await _alone(connection, groups[retired].members, provider):
        done = await merge_pair(
            connection, left=survivor, right=retired, decision=decision, sealer=sealer, blinder=blinder, now=now
        )
        return Outcome(done.survivor, "merged")
    moved = await relink(
        connection,
        domain=wanted.retired.domain,
        source_blind=blinder.number_blind(wanted.retired.domain, wanted.retired.number),
        to=survivor,
        decision=decision,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    return Outcome(moved.right, "merged" if moved.merged else "moved")


async def _owner(connection: Connection, number: SourceNumber, provider: Provider, blinder: Blinder) -> UUID:
    """Return the id under which the institution's record stands."""
    rows = (
        await connection.execute(
            select(contribution.c.mpi, contribution.c.provider).where(
                contribution.c.domain == number.domain,
                contribution.c.source_blind == blinder.number_blind(number.domain, number.number),
                contribution.c.current,
            )
        )
    ).all()
    whose = await callers.institutions_of(connection, {row.provider for row in rows})
    for row in rows:
        if whose.get(row.provider) == provider.institution_id:
            mpi: UUID = row.mpi
            return mpi
    raise SourceRecordUnknown


async def _alone(connection: Connection, members: frozenset[UUID], provider: Provider) -> bool:
    """Say whether nobody but this institution speaks of a group."""
    rows = await connection.execute(
        select(contribution.c.provider).where(contribution.c.mpi.in_(members), contribution.c.current).distinct()
    )
    providers = set(rows.scalars())
    whose = await callers.institutions_of(connection, providers)
    return all(whose.get(each) == provider.institution_id for each in providers)
