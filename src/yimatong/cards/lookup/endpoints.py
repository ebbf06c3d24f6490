"""HTTP of looking accounts up, and of their history."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.errors import AccountNotFound
from yimatong.cards.lookup import queries
from yimatong.cards.lookup.schemas import FoundAccounts, History, Wanted


@post(
    "/api/v1/accounts/search",
    permission="accounts:search",
    reads="personal",
    status_code=200,
    responses=documented(FoundAccounts, status=200),
)
async def search_accounts(data: JSONBody[Wanted], call: NamedDependency[Call]) -> FoundAccounts:
    """Find accounts by VUID, reference, certificate, or whole name and phone; the answer is masked."""
    return await call.read(lambda tx: queries.find(tx, call.vault, data, scope=call.caller.scope))


@get(
    "/api/v1/accounts/{vuid:str}/history",
    permission="accounts:read",
    reads="personal",
    responses=documented(History, AccountNotFound, status=200),
)
async def read_history(
    vuid: VuidInPath,
    call: NamedDependency[Call],
    after: Annotated[str, QueryParameter(pattern="^(aev_[0-9a-f]{32})?(?!\\n)$")] = "",
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 50,
) -> History:
    """Show who changed an account, when, from where, and what was before and after, masked."""
    return await call.read(
        lambda tx: queries.read_history(tx, call.vault, vuid, scope=call.caller.scope, after=after, limit=limit)
    )


ROUTES = [search_accounts, read_history]
