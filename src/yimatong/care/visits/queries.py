"""Every SELECT of visits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Row, false, select, true

from yimatong.access.caller import Scope
from yimatong.care.errors import VisitNotFound
from yimatong.care.models import visit
from yimatong.care.visits.schemas import VisitView
from yimatong.kit.db import Connection


async def find(connection: Connection, visit_no: str, *, scope: Scope) -> VisitView:
    """Return a visit of the scope's institution.

    Raises:
        VisitNotFound: no such visit in ``scope``.
    """
    return view(await row_of(connection, visit_no, scope=scope))


async def row_of(connection: Connection, visit_no: str, *, scope: Scope) -> Row[Any]:
    """Return a visit's row; errors as ``find``."""
    found = await connection.execute(select(visit).where(visit.c.visit_no == visit_no, within(scope)))
    row = found.first()
    if row is None:
        raise VisitNotFound
    return row


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that a visit's row lies in ``scope``; a caller without an institution has no visits."""
    if scope.all_rows:
        return true()
    return visit.c.institution_id == scope.institution_id if scope.institution_id is not None else false()


def view(row: Row[Any]) -> VisitView:
    """Return a visit's row as callers see it."""
    return VisitView(
        visit_no=row.visit_no,
        institution_id=row.institution_id,
        vuid=row.vuid,
        kind=row.kind,
        department=row.department,
        doctor=row.doctor,
        visited_at=row.visited_at,
        state=row.state,
    )
