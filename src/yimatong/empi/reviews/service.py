"""Verbs of the steward's queue: take, decide, put off, ask the provider, note, undo, and judging a second time.

Every verb writes its step; a decision writes who is who through ``merges.service`` in the same transaction. ``later``
and ``asked`` come back by themselves: the queue shows them again from ``due_at`` on.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, select, update

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import topics
from yimatong.empi.errors import (
    ReviewTakenByAnother,
    SourceNotAskable,
)
from yimatong.empi.merges import queries as merge_queries
from yimatong.empi.merges import service as merges
from yimatong.empi.merges import waiting
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.rules import Conflict
from yimatong.empi.merges.waiting import NewReview, open_many
from yimatong.empi.models import contribution, review, review_step
from yimatong.empi.reviews import double_checks, rows
from yimatong.empi.reviews.rows import note_aad
from yimatong.empi.reviews.undoing import second_opinion, undo
from yimatong.kit import outbox
from yimatong.kit.db import Connection

__all__ = [
    "NewReview",
    "answered",
    "ask",
    "decide",
    "later",
    "note",
    "note_aad",
    "open_many",
    "read_note",
    "second_opinion",
    "take",
    "undo",
]

Outcome = Literal["merged", "rejected"]


async def take(connection: Connection, review_id: str, *, operator: str, now: datetime, over: bool = False) -> None:
    """Note who is at work on a review; ``over`` takes it from somebody else.

    Raises:
        ReviewNotFound, ReviewNotWaiting. ReviewTakenByAnother: somebody else has it.
    """
    row = await rows.waiting(connection, review_id)
    if row.assignee == operator:
        return
    if row.assignee is not None and not over:
        raise ReviewTakenByAnother
    await rows.change(connection, review_id, assignee=operator)
    await waiting.step(connection, [review_id], "taken", operator=operator, now=now)


async def decide(
    connection: Connection,
    review_id: str,
    outcome: Outcome,
    *,
    operator: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    reason: str = "",
    over: Collection[Conflict] = (),
    checked_share: float = double_checks.SHARE,
) -> str:
    """Judge a pair, and return the decision's id. ``reason`` is one of a list (``twins``, ...), no free text.

    ``over`` names the conflicts that the steward saw and passes over. Of ``checked_share`` of the decisions a second
    operator judges again.

    Raises:
        ReviewNotFound, ReviewNotWaiting. MergeConflict: one that ``over`` does not name. SamePerson: merged meanwhile.
    """
    row = await rows.waiting(connection, review_id)
    given = NewDecision(
        kind="merge" if outcome == "merged" else "reject",
        method="steward",
        left=row.left_mpi,
        right=row.right_mpi,
        operator=operator,
        weight=row.weight,
        probability=row.probability,
        rule_version=row.rule_version,
        reason=reason,
    )
    await rows.change(connection, review_id, state=outcome, due_at=None, decided_at=now, decided_by=operator)
    if outcome == "merged":
        decision_id = await _merge(connection, row, given, over, sealer=sealer, blinder=blinder, now=now)
    else:
        decision_id = await merges.reject(
            connection, left=row.left_mpi, right=row.right_mpi, decision=given, sealer=sealer, blinder=blinder, now=now
        )
        await _close_same(connection, row, decision_id, operator, now=now)
    await rows.change(connection, review_id, decision_id=decision_id)
    await waiting.step(connection, [review_id], outcome, operator=operator, now=now)
    await double_checks.draw(connection, review_id, operator=operator, outcome=outcome, share=checked_share, now=now)
    return decision_id


async def _merge(
    connection: Connection,
    row: Row[Any],
    given: NewDecision,
    over: Collection[Conflict],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> str:
    """Merge a review's pair; the review has its end before, so that the merge does not make it void."""
    done = await merges.merge_pair(
        connection,
        left=row.left_mpi,
        right=row.right_mpi,
        decision=given,
        sealer=sealer,
        blinder=blinder,
        now=now,
        over=over,
    )
    known = await merge_queries.standing(connection, done.merge_id)
    return "" if known is None else str(known.decision_id)


async def _close_same(connection: Connection, row: Row[Any], decision_id: str, operator: str, *, now: datetime) -> None:
    """Make other reviews of the same pair of persons void: the one that was judged answers them all."""
    mpis = await merge_queries.current_of(connection, [row.left_mpi, row.right_mpi])
    groups = await merge_queries.groups(connection, sorted(set(mpis.values())))
    left, right = (groups[mpis[own]].members for own in (row.left_mpi, row.right_mpi))
    same = await connection.execute(
        update(review)
        .where(
            review.c.state.in_(rows.WAITING),
            review.c.review_id != row.review_id,
            review.c.left_mpi.in_(left | right),
            review.c.right_mpi.in_(left | right),
        )
        .values(state="void", decided_at=now, decided_by=operator, decision_id=decision_id)
        .returning(review.c.review_id)
    )
    await waiting.step(connection, list(same.scalars()), "void", operator=operator, now=now)


async def later(connection: Connection, review_id: str, *, due_at: datetime, operator: str, now: datetime) -> None:
    """Put a review off until a moment.

    Raises:
        ReviewNotFound, ReviewNotWaiting.
    """
    await rows.waiting(connection, review_id)
    await rows.change(connection, review_id, state="later", due_at=due_at, assignee=None)
    await waiting.step(connection, [review_id], "later", operator=operator, now=now)


async def ask(
    connection: Connection,
    review_id: str,
    *,
    institution_id: str,
    providers: Collection[str],
    question: str,
    reference: str,
    due_at: datetime,
    operator: str,
    sealer: Sealer,
    now: datetime,
) -> None:
    """Ask an institution about its record of one of the two; it hears by webhook, and the review waits until due.

    ``providers`` are the names under which its records stand (itself and its callers); ``reference`` is the
    institution's own reference of the person of whom it has a record. ``question`` is kept sealed and not sent: the
    message says only that a record is to be checked against its papers.

    Raises:
        ReviewNotFound, ReviewNotWaiting. SourceNotAskable: the institution has no record of either.
    """
    row = await rows.waiting(connection, review_id)
    await require_record(connection, row, providers)
    await rows.change(connection, review_id, state="asked", institution_id=institution_id, due_at=due_at, assignee=None)
    await rows.keep_note(connection, review_id, "asked", question, operator=operator, sealer=sealer, now=now)
    await outbox.write(
        connection,
        topic=topics.SOURCE_ASKED,
        ordering_key=f"review:{review_id}",
        payload={
            "event": "identity_question",
            "institution_id": institution_id,
            "review_id": review_id,
            "mpi_ref": reference,
            "answer_by": due_at.isoformat(),
        },
        now=now,
    )


async def require_record(connection: Connection, row: Row[Any], providers: Collection[str]) -> UUID:
    """Return the id of the side that one of the providers has a record of.

    Raises:
        SourceNotAskable: of neither.
    """
    mpis = await merge_queries.current_of(connection, [row.left_mpi, row.right_mpi])
    groups = await merge_queries.groups(connection, sorted(set(mpis.values())))
    for own in (row.left_mpi, row.right_mpi):
        found = await connection.execute(
            select(contribution.c.mpi)
            .where(contribution.c.mpi.in_(groups[mpis[own]].members), contribution.c.provider.in_(providers))
            .limit(1)
        )
        if found.first() is not None:
            return mpis[own]
    raise SourceNotAskable


async def answered(
    connection: Connection, review_id: str, answer: str, *, who: str, sealer: Sealer, now: datetime
) -> None:
    """Keep what a provider answered (sealed), and put the review before the stewards again.

    Raises:
        ReviewNotFound, ReviewNotWaiting.
    """
    await rows.waiting(connection, review_id)
    await rows.change(connection, review_id, state="open", due_at=None)
    await rows.keep_note(connection, review_id, "answered", answer, operator=who, sealer=sealer, now=now)


async def note(
    connection: Connection, review_id: str, words: str, *, operator: str, sealer: Sealer, now: datetime
) -> None:
    """Keep a note, sealed: stewards write names.

    Raises:
        ReviewNotFound: no such review.
    """
    await rows.locked(connection, review_id)
    await rows.keep_note(connection, review_id, "noted", words, operator=operator, sealer=sealer, now=now)


async def read_note(connection: Connection, review_id: str, *, sealer: Sealer) -> list[tuple[datetime, str, str, str]]:
    """Return the notes of a review, opened: (moment, operator, step, text), oldest first.

    Raises:
        SealBroken: a row was edited.
    """
    found = await connection.execute(
        select(review_step)
        .where(review_step.c.review_id == review_id, review_step.c.note_sealed.is_not(None))
        .order_by(review_step.c.id)
    )
    return [
        (row.at, row.operator_id, row.what, sealer.unseal(row.note_sealed, rows.note_aad(review_id)).decode())
        for row in found
    ]
