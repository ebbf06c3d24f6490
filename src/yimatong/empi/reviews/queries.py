"""Every SELECT of the steward's desk: the queue, one review with its steps, what was known of its pair before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, and_, case, func, or_, select, true, tuple_
from sqlalchemy.sql.selectable import Select

from yimatong.access.caller import Scope
from yimatong.crypto.sealing import Sealer
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.merges import queries as merges
from yimatong.empi.merges import rules
from yimatong.empi.merges.decisions import evidence_read
from yimatong.empi.models import double_check, person, rejected_pair, review, review_step
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.reviews.schemas import (
    HIGH_RISK,
    TAKEN_S,
    WAITING,
    Between,
    Counts,
    Line,
    Review,
    Step,
    Waiting,
)
from yimatong.kit.db import Connection
from yimatong.kit.errors import NotFound

_EARLIER_MAX: Final = 20

_taken = (
    select(func.max(review_step.c.at))
    .where(review_step.c.review_id == review.c.review_id, review_step.c.what == "taken")
    .scalar_subquery()
    .label("taken_at")
)


def _ready(now: datetime) -> ColumnElement[bool]:
    """Say whether a review waits for a steward now: open, or its time came back."""
    return or_(review.c.state == "open", and_(review.c.state.in_(("asked", "later")), review.c.due_at <= now))


def _own(scope: Scope) -> ColumnElement[bool]:
    return true() if scope.all_rows else review.c.institution_id == (scope.institution_id or "")


def _wanted(wanted: Waiting, *, scope: Scope, now: datetime) -> list[ColumnElement[bool]]:
    where: list[ColumnElement[bool]] = [_own(scope)]
    if wanted.stand == "waiting":
        where += [review.c.state.in_(WAITING), _ready(now)]
    elif wanted.stand in {"later", "asked"}:
        where += [review.c.state == wanted.stand, or_(review.c.due_at.is_(None), review.c.due_at > now)]
    else:
        where.append(review.c.state == wanted.stand)
    if wanted.kind:
        where.append(review.c.kind == wanted.kind)
    if wanted.institution_id:
        where.append(review.c.institution_id == wanted.institution_id)
    return where


def _ordered(query: Select[Any], order: str, after: tuple[int, datetime, str] | None) -> Select[Any]:
    """Sort by risk and then age, or by age alone, behind a row that was shown (risk, opened, id)."""
    if order == "age":
        if after is not None:
            query = query.where(tuple_(review.c.opened_at, review.c.review_id) > after[1:])
        return query.order_by(review.c.opened_at, review.c.review_id)
    if after is not None:
        query = query.where(
            or_(
                review.c.risk < after[0],
                and_(review.c.risk == after[0], tuple_(review.c.opened_at, review.c.review_id) > after[1:]),
            )
        )
    return query.order_by(review.c.risk.desc(), review.c.opened_at, review.c.review_id)


async def queue(
    connection: Connection,
    sealer: Sealer,
    wanted: Waiting,
    *,
    scope: Scope,
    now: datetime,
    limit: int,
    after: tuple[int, datetime, str] | None = None,
) -> list[Line]:
    """Return a page of the queue, the riskiest (or oldest) first, behind ``after`` (risk, opened, id).

    Raises:
        SealBroken: a person's row was edited.
    """
    query = select(review, _taken).where(*_wanted(wanted, scope=scope, now=now))
    rows = (await connection.execute(_ordered(query, wanted.order, after).limit(limit))).all()
    reviews = [_review(row) for row in rows]
    people = await _people(connection, sealer, {mpi for each in reviews for mpi in (each.left_mpi, each.right_mpi)})
    return [Line(review=each, left=people.get(each.left_mpi), right=people.get(each.right_mpi)) for each in reviews]


async def _people(connection: Connection, sealer: Sealer, mpis: set[UUID]) -> dict[UUID, PersonRecord]:
    rows = await connection.execute(select(person).where(person.c.mpi.in_(mpis)))
    return {row.mpi: persons.record(sealer, row) for row in rows}


async def following(
    connection: Connection,
    wanted: Waiting,
    *,
    scope: Scope,
    operator_id: str,
    free_since: datetime,
    now: datetime,
    but: str = "",
) -> str | None:
    """Return the id of the next review to judge, or None: not ``but``, nor one that somebody else took lately."""
    query = select(review.c.review_id).where(
        *_wanted(msgspec.structs.replace(wanted, stand="waiting"), scope=scope, now=now),
        review.c.review_id != but,
        or_(
            review.c.assignee.is_(None),
            review.c.assignee == operator_id,
            func.coalesce(_taken.element, review.c.opened_at) < free_since,
        ),
    )
    found: str | None = (await connection.execute(_ordered(query, wanted.order, None).limit(1))).scalar_one_or_none()
    return found


async def read(connection: Connection, review_id: str, *, scope: Scope) -> Review:
    """Return one review.

    Raises:
        NotFound: no such review in this scope.
    """
    row = (await connection.execute(select(review, _taken).where(review.c.review_id == review_id, _own(scope)))).first()
    if row is None:
        raise NotFound
    return _review(row)


def _review(row: Row[Any]) -> Review:
    return Review(
        review_id=row.review_id,
        left_mpi=row.left_mpi,
        right_mpi=row.right_mpi,
        kind=row.kind,
        weight=row.weight,
        probability=row.probability,
        evidence=evidence_read(row.evidence),
        rule_version=row.rule_version,
        risk=row.risk,
        state=row.state,
        because=row.because,
        institution_id=row.institution_id,
        opened_at=row.opened_at,
        due_at=row.due_at,
        assignee=row.assignee,
        taken_at=row.taken_at,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        decision_id=row.decision_id,
    )


async def steps(connection: Connection, review_id: str) -> list[Step]:
    """Return everything that happened to a review, the oldest first."""
    rows = await connection.execute(
        select(review_step).where(review_step.c.review_id == review_id).order_by(review_step.c.id)
    )
    return [
        Step(id=row.id, at=row.at, operator_id=row.operator_id, what=row.what, note_sealed=row.note_sealed)
        for row in rows
    ]


async def earlier(connection: Connection, lefts: Sequence[UUID], rights: Sequence[UUID], *, but: str) -> list[Review]:
    """Return other reviews between any ids of two persons, newest first."""
    rows = await connection.execute(
        select(review, _taken)
        .where(
            or_(
                and_(review.c.left_mpi.in_(lefts), review.c.right_mpi.in_(rights)),
                and_(review.c.left_mpi.in_(rights), review.c.right_mpi.in_(lefts)),
            ),
            review.c.review_id != but,
        )
        .order_by(review.c.opened_at.desc())
        .limit(_EARLIER_MAX)
    )
    return [_review(row) for row in rows]


async def rejections(
    connection: Connection, lefts: Sequence[UUID], rights: Sequence[UUID]
) -> list[tuple[datetime, datetime | None]]:
    """Return when ids of two persons were found to be two, and when that was lifted, newest first."""
    rows = await connection.execute(
        select(rejected_pair.c.at, rejected_pair.c.lifted_at)
        .where(
            or_(
                and_(rejected_pair.c.left_mpi.in_(lefts), rejected_pair.c.right_mpi.in_(rights)),
                and_(rejected_pair.c.left_mpi.in_(rights), rejected_pair.c.right_mpi.in_(lefts)),
            )
        )
        .order_by(rejected_pair.c.at.desc())
    )
    return [(row.at, row.lifted_at) for row in rows]


async def counts(connection: Connection, *, scope: Scope, now: datetime) -> Counts:
    """Return how much waits."""
    ready = _ready(now)
    rows = await connection.execute(
        select(
            review.c.kind,
            func.count().filter(ready).label("ready"),
            func.count().filter(~ready, review.c.state == "later").label("later"),
            func.count().filter(~ready, review.c.state == "asked").label("asked"),
            func.count().filter(ready, review.c.risk >= HIGH_RISK).label("high"),
            func.min(case((ready, review.c.opened_at))).label("oldest"),
        )
        .where(review.c.state.in_(WAITING), _own(scope))
        .group_by(review.c.kind)
    )
    found = rows.all()
    return Counts(
        by_kind={row.kind: row.ready for row in found},
        later=sum(row.later for row in found),
        asked=sum(row.asked for row in found),
        high=sum(row.high for row in found),
        oldest=min((row.oldest for row in found if row.oldest is not None), default=None),
    )


async def institutions(connection: Connection, *, scope: Scope) -> list[str]:
    """Return the institutions whose reviews wait."""
    rows = await connection.execute(
        select(review.c.institution_id)
        .where(review.c.state.in_(WAITING), review.c.institution_id.is_not(None), _own(scope))
        .distinct()
        .order_by(review.c.institution_id)
    )
    return list(rows.scalars())


async def to_check(
    connection: Connection, *, operator_id: str, scope: Scope, limit: int = 50
) -> list[tuple[str, date]]:
    """Return drawn reviews that this operator may judge a second time, the oldest first, with the day of drawing.

    Whoever gave the first answer is not asked; the answer itself is not read.
    """
    rows = await connection.execute(
        select(double_check.c.review_id, double_check.c.drawn_at)
        .join(review, review.c.review_id == double_check.c.review_id)
        .where(double_check.c.checked_at.is_(None), double_check.c.first_operator != operator_id, _own(scope))
        .order_by(double_check.c.drawn_at, double_check.c.review_id)
        .limit(limit)
    )
    return [(row.review_id, row.drawn_at) for row in rows]


async def may_check(connection: Connection, review_id: str, *, operator_id: str, scope: Scope) -> Review:
    """Return a drawn review for its second judge.

    Raises:
        NotFound: not drawn, judged by now, or this operator gave the first answer.
    """
    row = (
        await connection.execute(
            select(review, _taken)
            .join(double_check, review.c.review_id == double_check.c.review_id)
            .where(
                review.c.review_id == review_id,
                double_check.c.checked_at.is_(None),
                double_check.c.first_operator != operator_id,
                _own(scope),
            )
        )
    ).first()
    if row is None:
        raise NotFound
    return _review(row)


async def between(connection: Connection, left: UUID, right: UUID) -> Between:
    """Return what a merge of two ids would do today.

    Raises:
        PersonNotFound: one of them does not exist.
    """
    today = await merges.current_of(connection, [left, right])
    if {left, right} - today.keys():
        raise PersonNotFound
    ours, theirs = today[left], today[right]
    if ours == theirs:
        return Between(survivor_mpi=ours, retired_mpi=ours, conflicts=(), never=False, same=True)
    groups = await merges.groups(connection, [ours, theirs])
    of_ours, of_theirs = groups[ours], groups[theirs]
    known = await merges.rejections(connection, of_ours.members, of_theirs.members)
    against = rules.conflicts(of_ours, of_theirs, known)
    survivor, retired = rules.in_order(of_ours, of_theirs)
    return Between(
        survivor_mpi=survivor.mpi,
        retired_mpi=retired.mpi,
        conflicts=against,
        never=any(each in rules.NEVER for each in against),
        same=False,
    )


def free_since(now: datetime) -> datetime:
    """Return the moment before which taking a review no longer holds others off."""
    return now - timedelta(seconds=TAKEN_S)


def is_held(review: Review, *, by_another_than: str, now: datetime) -> bool:
    """Say whether somebody else took a review lately and still works on it."""
    taken = review.taken_at or review.opened_at
    return review.assignee not in {None, by_another_than} and taken >= free_since(now)
