"""HTTP of visits."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import RecordNotFound
from yimatong.care.errors import VerificationTooOld, VerificationUsed, VisitExists, VisitNotFound
from yimatong.care.visits import queries, service
from yimatong.care.visits.schemas import NewVisit, VisitView

OwnNumber = Annotated[
    str, PathParameter(pattern="^[A-Za-z0-9_.-]{1,64}(?!\\n)$", description="the institution's own number")
]


@post(
    "/api/v1/visits",
    permission="visits:write",
    status_code=201,
    responses=documented(VisitView, RecordNotFound, VerificationTooOld, VerificationUsed, VisitExists),
)
async def register_visit(data: JSONBody[NewVisit], call: NamedDependency[Call]) -> Response[bytes]:
    """登记就诊. Register a visit within ten minutes after this institution verified the resident's code."""
    return await call.write(lambda tx: service.register(tx, data, caller=call.caller, now=call.now))


@get(
    "/api/v1/visits/{visit_no:str}",
    permission="visits:read",
    reads="personal",
    responses=documented(VisitView, VisitNotFound, status=200),
)
async def read_visit(visit_no: OwnNumber, call: NamedDependency[Call]) -> VisitView:
    """查询就诊. Read a visit."""
    return await call.read(lambda tx: queries.find(tx, visit_no, scope=call.caller.scope))


ROUTES = [register_visit, read_visit]
