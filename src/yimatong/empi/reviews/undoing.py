"""Taking a decision back, and the second judge who may cause it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, select

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import ReviewNotUndoable
from yimatong.empi.merges import decisions, waiting
from yimatong.empi.merges import queries as merge_queries
from yimatong.empi.merges import service as merges
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.models import merge, review
from yimatong.empi.reviews import double_checks, rows
from yimatong.kit.db import Connection, raw


async def undo(
    connection: Connection,
    review_id: str,
    *,
    operator: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    reason: str = "",
) -> None:
    """Take a decision back: the two are apart again, or the rejection is lifted; the review is open again.

    Raises:
        ReviewNotFound. ReviewNotUndoable: it was not decided, its decision no longer stands, or the pair waits in
            another review.
    """
    row = await rows.locked(connection, review_id)
    if row.state not in ("merged", "rejected"):
        raise ReviewNotUndoable(why="尚未判定 (not decided)")
    given = NewDecision(
        kind="unmerge", method="steward", left=row.left_mpi, right=row.right_mpi, operator=operator, reason=reason
    )
    if row.state == "merged":
        await _unmerge(connection, row, given, sealer=sealer, blinder=blinder, now=now)
    else:
        await _lift(connection, row, given, now=now)
    open_now = await connection.execute(
        select(review.c.review_id).where(
            review.c.left_mpi == row.left_mpi, review.c.right_mpi == row.right_mpi, review.c.state.in_(rows.WAITING)
        )
    )
    if open_now.first() is not None:
        raise ReviewNotUndoable(why="该对已在另一事项中等待 (the pair waits in another review)")
    await rows.change(
        connection, review_id, state="open", decided_at=None, decided_by=None, decision_id=None, assignee=None
    )
    await waiting.step(connection, [review_id], "undone", operator=operator, now=now)
    await double_checks.forget(connection, review_id)


async def _unmerge(
    connection: Connection, row: Row[Any], given: NewDecision, *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    found = await connection.execute(
        select(merge.c.merge_id).where(merge.c.decision_id == row.decision_id, merge.c.undone_at.is_(None))
    )
    merge_id = found.scalar_one_or_none()
    if merge_id is None:
        raise ReviewNotUndoable(why="合并已拆分 (the merge was undone already)")
    await merges.unmerge(
        connection, merge_id=merge_id, decision=given, sealer=sealer, blinder=blinder, now=now, apart=False
    )


async def _lift(connection: Connection, row: Row[Any], given: NewDecision, *, now: datetime) -> None:
    lifted = await merges.lift(connection, [row.left_mpi], [row.right_mpi], now=now)
    lifted += await _lifted_of_today(connection, row, now=now)
    if not lifted:
        raise ReviewNotUndoable(why="判定已失效 (the rejection no longer stands)")
    made = given._replace(kind="review", reason=given.reason or "rejection_lifted")
    await decisions.write(await raw(connection), [made], now)


async def _lifted_of_today(connection: Connection, row: Row[Any], *, now: datetime) -> list[tuple[UUID, UUID]]:
    """Lift what was rejected under the ids that the pair meant when it was judged."""
    mpis = await merge_queries.current_of(connection, [row.left_mpi, row.right_mpi])
    groups = await merge_queries.groups(connection, sorted(set(mpis.values())))
    left, right = (groups[mpis[own]].members for own in (row.left_mpi, row.right_mpi))
    return [] if left == right else await merges.lift(connection, sorted(left), sorted(right), now=now)


async def second_opinion(
    connection: Connection,
    review_id: str,
    outcome: Literal["merged", "rejected", "unsure"],
    *,
    operator: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> bool:
    """Keep what a second operator judged without seeing the first answer; return whether both agree.

    Disagreement takes the first decision back, opens the review again and raises an alarm. ``unsure`` disagrees with
    nobody: it is counted, and nothing is undone.

    Raises:
        DoubleCheckNotOpen: nothing was drawn, it was checked, or this operator judged first.
    """
    await rows.locked(connection, review_id)
    first = await double_checks.answer(connection, review_id, outcome, operator=operator, now=now)
    if outcome in (first, "unsure"):
        return outcome == first
    await double_checks.raise_alarm(connection, review_id, first=first, second=outcome, now=now)
    try:
        await undo(
            connection,
            review_id,
            operator=operator,
            sealer=sealer,
            blinder=blinder,
            now=now,
            reason="double_check",
        )
    except ReviewNotUndoable:
        return False  # its decision was taken back before; the alarm stands
    return False
