"""HTTP of visit cards: a hospital makes one an electronic card, or asks for the card behind one."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history, registration
from yimatong.cards.batches import visiting
from yimatong.cards.batches.schemas import VisitCard, VisitCardAccount, VisitCardWanted
from yimatong.cards.errors import (
    AccountFrozen,
    BatchOptionInvalid,
    RealNameTooWeak,
    RegistrationRaced,
    VisitCardNotFound,
    VisitCardTaken,
)
from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    PersonDisagrees,
    SexDisagrees,
)


@post(
    "/api/v1/visit-cards",
    permission="visit-cards:write",
    reads="personal",
    responses=documented(
        VisitCardAccount,
        VisitCardTaken,
        PersonDisagrees,
        BirthDateDisagrees,
        SexDisagrees,
        BirthDateImpossible,
        CertificateTypeUnknown,
        CertificateNumberInvalid,
        RealNameTooWeak,
        RegistrationRaced,
        AccountFrozen,
        BatchOptionInvalid,
    ),
)
async def convert_visit_card(data: JSONBody[VisitCard], call: NamedDependency[Call]) -> Response[bytes]:
    """Make a visit card of the institution an electronic health card; the same again gives the same card."""
    applicant = visiting.applicant(data, now=call.now)
    prepared = await registration.prepare_one(call.db, call.vault, applicant)
    origin = history.of_caller(call.caller, call.request_id)
    return await call.write(
        lambda tx: visiting.convert(tx, call.vault, data.visit_card, prepared, origin=origin, now=call.now)
    )


@post(
    "/api/v1/visit-cards/find",
    permission="visit-cards:read",
    reads="personal",
    status_code=200,
    responses=documented(VisitCardAccount, VisitCardNotFound, BatchOptionInvalid, status=200),
)
async def find_visit_card(data: JSONBody[VisitCardWanted], call: NamedDependency[Call]) -> VisitCardAccount:
    """Return the electronic health card behind a visit card of the institution; the number stays out of addresses."""
    return await call.read(lambda tx: visiting.find(tx, call.vault, data.visit_card, scope=call.caller.scope))


ROUTES = [convert_visit_card, find_visit_card]
