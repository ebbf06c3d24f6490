"""Propose / approve: one mechanism for everything that needs two persons.

Keys, matching rules, discrepancies, refunds by hand, exports. That the approver is another person is a constraint of
the database as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select, update

from yimatong.access.errors import ApprovalNotOpen, ApproverIsProposer
from yimatong.access.models import approval
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A proposal and how it stands."""

    approval_id: str
    kind: str
    subject: str
    payload: dict[str, Any]
    reason: str
    state: str
    proposer_id: str
    proposed_at: datetime
    approver_id: str | None
    decided_at: datetime | None


async def propose(
    connection: Connection,
    *,
    kind: str,
    subject: str,
    payload: Mapping[str, object],
    reason: str,
    proposer_id: str,
    now: datetime,
) -> str:
    """Put a proposal up for a second person and return its id."""
    approval_id = new_id("apv")
    await connection.execute(
        insert(approval).values(
            approval_id=approval_id,
            kind=kind,
            subject=subject,
            payload=dict(payload),
            reason=reason,
            proposer_id=proposer_id,
            proposed_at=now,
        )
    )
    return approval_id


async def decide(
    connection: Connection, approval_id: str, *, approver_id: str, approve: bool, now: datetime
) -> Approval:
    """Approve or reject an open proposal and return it; what it allows is then done by the room that asked.

    Raises:
        ApprovalNotOpen: unknown or decided already. ApproverIsProposer: the same person.
    """
    row = (
        await connection.execute(select(approval).where(approval.c.approval_id == approval_id).with_for_update())
    ).first()
    if row is None or row.state != "proposed":
        raise ApprovalNotOpen
    if row.proposer_id == approver_id:
        raise ApproverIsProposer
    decided = (
        await connection.execute(
            update(approval)
            .where(approval.c.approval_id == approval_id)
            .values(state="approved" if approve else "rejected", approver_id=approver_id, decided_at=now)
            .returning(*approval.c)
        )
    ).one()
    return Approval(**decided._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor


async def of_subject(connection: Connection, *, kind: str, subject: str) -> list[Approval]:
    """Return every proposal of a kind about one subject, open or decided, newest first."""
    rows = await connection.execute(
        select(approval)
        .where(approval.c.kind == kind, approval.c.subject == subject)
        .order_by(approval.c.proposed_at.desc(), approval.c.approval_id)
    )
    return [Approval(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor


async def open_proposals(connection: Connection, *, kind: str) -> list[Approval]:
    """Return the open proposals of a kind, oldest first."""
    rows = await connection.execute(
        select(approval).where(approval.c.kind == kind, approval.c.state == "proposed").order_by(approval.c.proposed_at)
    )
    return [Approval(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor
