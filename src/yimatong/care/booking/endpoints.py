"""HTTP of booking."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import RecordNotFound
from yimatong.care.booking import service
from yimatong.care.errors import BillExists, VerificationTooOld, VerificationUsed, VisitExists
from yimatong.care.visits.schemas import NewVisit, VisitView
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ItemsDoNotAddUp


@post(
    "/api/v1/visits",
    permission="visits:write",
    status_code=201,
    responses=documented(
        VisitView, RecordNotFound, VerificationTooOld, VerificationUsed, VisitExists, BillExists, ItemsDoNotAddUp
    ),
)
async def register_visit(
    data: JSONBody[NewVisit], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> Response[bytes]:
    """登记就诊. Register a visit within ten minutes after this institution verified the resident's code.

    With its fee it is booked: visit, bill and order at once; if nobody pays in time the visit is released.
    """
    return await call.write(lambda tx: service.book(tx, data, desk=desk, caller=call.caller, now=call.now))


ROUTES = [register_visit]
