"""HTTP of two-in-one codes."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.codes.schemas import IssuedCode
from yimatong.cards.errors import AccountCancelled, AccountFrozen, AccountNotFound
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered, ChannelRefused, NobodyGivesTokens
from yimatong.payments.two_in_one import service
from yimatong.payments.two_in_one.schemas import NewTwoInOne


@post(
    "/api/v1/codes/two-in-one",
    permission="codes:issue",
    reads="personal",
    responses=documented(
        IssuedCode,
        AccountNotFound,
        AccountFrozen,
        AccountCancelled,
        NobodyGivesTokens,
        ChannelNotOffered,
        ChannelRefused,
        PartyUnreachable,
        PartyOutcomeUnknown,
        keyed=False,
    ),
)
async def issue_two_in_one(
    data: JSONBody[NewTwoInOne], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> IssuedCode:
    """申请二码合一码. Issue a payment code that carries the payment provider's token, without a key."""
    async with desk.db.transaction() as connection:
        await call.note(connection)
    return await service.issue(desk, data, caller=call.caller, request_id=call.request_id, now=call.now)


ROUTES = [issue_two_in_one]
