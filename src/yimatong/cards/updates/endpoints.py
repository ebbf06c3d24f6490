"""HTTP of updates."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.accounts.real_name import REFUSALS, RealNameCheck
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    NothingToChange,
    ProofNeeded,
    RealNameMethodNotAllowed,
    RealNameMismatch,
)
from yimatong.cards.updates import service
from yimatong.cards.updates.schemas import Update, Updated
from yimatong.empi.errors import BirthDateDisagrees, BirthDateImpossible, SexDisagrees
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable


@post(
    "/api/v1/accounts/{vuid:str}/update",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(
        Updated,
        AccountNotFound,
        AccountFrozen,
        AccountCancelled,
        NothingToChange,
        ProofNeeded,
        RealNameMethodNotAllowed,
        RealNameMismatch,
        *REFUSALS,
        BirthDateDisagrees,
        BirthDateImpossible,
        SexDisagrees,
        PartyUnreachable,
        PartyOutcomeUnknown,
        status=200,
        keyed=True,
    ),
)
async def update_account(
    vuid: VuidInPath, data: JSONBody[Update], call: NamedDependency[Call], real_name: NamedDependency[RealNameCheck]
) -> Response[bytes]:
    """Change what is registered of a resident; the answer says what followed into the index and the card registry."""
    before = await call.answered_before()
    if before is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    mark = await service.prove(call.db, call.vault, vuid, data, origin=origin, check=real_name, now=call.now)
    return await call.write(
        lambda tx: service.apply(tx, call.vault, vuid, data, mark=mark, origin=origin, now=call.now), status=200
    )


ROUTES = [update_account]
