"""HTTP of residents without a certificate."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history
from yimatong.cards.accounts.schemas import AccountView
from yimatong.cards.entries import service
from yimatong.cards.entries.schemas import NewEntry
from yimatong.cards.errors import (
    AccountNotFound,
    FamilyFull,
    GuardianNotFit,
    RealNameTooWeak,
    RegistrationRaced,
)
from yimatong.empi.errors import BirthDateImpossible, NotIdentifiable

_TRIES = 3


@post(
    "/api/v1/accounts/without-certificate",
    permission="accounts:enter",
    reads="personal",
    responses=documented(
        AccountView,
        NotIdentifiable,
        BirthDateImpossible,
        AccountNotFound,
        GuardianNotFit,
        FamilyFull,
        RealNameTooWeak,
        RegistrationRaced,
    ),
)
async def enter_resident(data: JSONBody[NewEntry], call: NamedDependency[Call]) -> Response[bytes]:
    """Register a newborn, an unidentified patient or somebody without papers; the same again gives the same account."""
    before = await call.answered_before()
    if before is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    for tries in range(1, _TRIES + 1):
        prepared = await service.prepare(call.db, call.vault, data, origin=origin, now=call.now)
        try:
            return await call.write(
                lambda tx, prepared=prepared: service.register(  # type: ignore[misc]  # the loop's own value
                    tx, call.vault, prepared, origin=origin, now=call.now
                )
            )
        except RegistrationRaced:
            if tries == _TRIES:
                raise
    raise RegistrationRaced


ROUTES = [enter_resident]
