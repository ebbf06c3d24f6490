"""HTTP of an account's state."""

from __future__ import annotations

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.accounts.schemas import AccountState, StateChange
from yimatong.cards.errors import AccountCancelled, AccountNotFound, DeathNeedsInstitution, FreezeByStronger
from yimatong.cards.standing import service
from yimatong.empi.errors import BirthDateImpossible


@post(
    "/api/v1/accounts/{vuid:str}/state",
    permission="accounts:change",
    status_code=200,
    responses=documented(
        AccountState,
        AccountNotFound,
        AccountCancelled,
        FreezeByStronger,
        DeathNeedsInstitution,
        BirthDateImpossible,
        status=200,
        keyed=True,
    ),
)
async def change_state(vuid: VuidInPath, data: JSONBody[StateChange], call: NamedDependency[Call]) -> Response[bytes]:
    """Freeze, release or cancel an account; frozen and cancelled cards' codes die at once."""
    origin = history.of_caller(call.caller, call.request_id)
    return await call.write(
        lambda tx: service.change_state(tx, call.vault, vuid, data, origin=origin, now=call.now), status=200
    )


ROUTES = [change_state]
