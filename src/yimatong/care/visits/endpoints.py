"""HTTP of visits."""

from __future__ import annotations

from typing import Annotated

from litestar import get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access.edge import Call, documented
from yimatong.care.errors import VisitNotFound
from yimatong.care.visits import queries
from yimatong.care.visits.schemas import VisitView

OwnNumber = Annotated[
    str, PathParameter(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$", description="the institution's own number")
]


@get(
    "/api/v1/visits/{visit_no:str}",
    permission="visits:read",
    reads="personal",
    responses=documented(VisitView, VisitNotFound, status=200),
)
async def read_visit(visit_no: OwnNumber, call: NamedDependency[Call]) -> VisitView:
    """查询就诊. Read a visit."""
    return await call.read(lambda tx: queries.find(tx, visit_no, scope=call.caller.scope))


ROUTES = [read_visit]
