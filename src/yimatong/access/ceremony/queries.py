"""Reading ceremonies: who proposed and approved what, how far it is, who brought components."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, Select, func, select

from yimatong.access.ceremony.schemas import KIND, Ceremony, Request
from yimatong.access.errors import CeremonyUnknown
from yimatong.access.models import approval, key_ceremony, key_ceremony_part
from yimatong.kit.db import Connection


def _wanted() -> Select[Any]:
    parts = (
        select(func.array_agg(key_ceremony_part.c.operator_id))
        .where(key_ceremony_part.c.approval_id == approval.c.approval_id)
        .scalar_subquery()
    )
    return select(
        *approval.c,
        key_ceremony.c.state.label("standing"),
        key_ceremony.c.version,
        key_ceremony.c.failure,
        key_ceremony.c.done_at,
        parts.label("custodians"),
    ).join(key_ceremony, key_ceremony.c.approval_id == approval.c.approval_id)


async def find(connection: Connection, approval_id: str) -> Ceremony:
    """Return one ceremony.

    Raises:
        CeremonyUnknown: there is none with this id.
    """
    row = (await connection.execute(_wanted().where(approval.c.approval_id == approval_id))).first()
    if row is None:
        raise CeremonyUnknown(approval_id=approval_id)
    return _ceremony(row)


async def latest(connection: Connection, *, limit: int = 20, open_only: bool = False) -> list[Ceremony]:
    """Return ceremonies, the newest first; ``open_only``: those that wait for somebody."""
    wanted = _wanted().where(approval.c.kind == KIND)
    if open_only:
        wanted = wanted.where(approval.c.state != "rejected", key_ceremony.c.state.in_(["open", "running"]))
    rows = await connection.execute(wanted.order_by(approval.c.proposed_at.desc()).limit(limit))
    return [_ceremony(row) for row in rows]


def _ceremony(row: Row[Any]) -> Ceremony:
    return Ceremony(
        approval_id=row.approval_id,
        request=msgspec.convert(row.payload, Request),
        reason=row.reason,
        state=row.state if row.standing == "open" else row.standing,
        proposer_id=row.proposer_id,
        proposed_at=row.proposed_at,
        approver_id=row.approver_id,
        decided_at=row.decided_at,
        done_at=row.done_at,
        version=row.version,
        failure=row.failure,
        custodians=tuple(row.custodians or ()),
    )
