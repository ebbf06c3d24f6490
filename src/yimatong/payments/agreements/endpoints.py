"""HTTP of payment agreements."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import AccountNotFound, BindingNotFound
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.agreements import queries, service
from yimatong.payments.agreements.schemas import (
    Agreements,
    AgreementView,
    Answer,
    NewAgreement,
    NewPayment,
)
from yimatong.payments.cashier.schemas import StartedAttempt
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AgreementExists,
    AgreementLimitExceeded,
    AgreementNotFound,
    AgreementNotOffered,
    AgreementNotUsable,
    AttemptsExhausted,
    AttemptUnderWay,
    ChannelNotOffered,
    ChannelRefused,
    LegPending,
    OrderExpired,
    OrderNotFound,
    OrderNotPayable,
    PayerNotProven,
)

AgreementInPath = Annotated[str, PathParameter(pattern="^agr_[0-9a-f]{32}(?!\\n)$")]
PayingInPath = Annotated[str, PathParameter(pattern="^(agr|bkc)_[0-9a-f]{32}(?!\\n)$")]
"""An agreement, or a bound bank card."""
_PARTY = (ChannelRefused, PartyUnreachable, PartyOutcomeUnknown)


async def _noted(call: Call, desk: Desk) -> None:
    async with desk.db.transaction() as connection:
        await call.note(connection)


@post(
    "/api/v1/agreements",
    permission="agreements:write",
    reads="personal",
    responses=documented(
        AgreementView,
        AccountNotFound,
        BindingNotFound,
        ChannelNotOffered,
        AgreementNotOffered,
        AgreementExists,
        *_PARTY,
        keyed=False,
    ),
)
async def make_agreement(
    data: JSONBody[NewAgreement], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> AgreementView:
    """签约免密或快捷支付. Begin an agreement; begun before and still waiting, the same one goes on, without a key."""
    await _noted(call, desk)
    return await service.make(desk, data, caller=call.caller, now=call.now)


@get(
    "/api/v1/agreements",
    permission="agreements:read",
    responses=documented(Agreements, AccountNotFound, status=200),
)
async def list_agreements(
    call: NamedDependency[Call], vuid: Annotated[str, QueryParameter(pattern="^[0-9A-F]{64}(?!\\n)$")]
) -> Agreements:
    """查询支付协议. List the agreements of an account that the caller made, or that its hospital holds."""
    return await call.read(lambda tx: queries.of_account(tx, vuid, scope=call.caller.scope))


@post(
    "/api/v1/agreements/{agreement_id:str}/confirm",
    permission="agreements:write",
    status_code=200,
    responses=documented(AgreementView, AgreementNotFound, AgreementNotUsable, *_PARTY, status=200),
)
async def confirm_agreement(
    agreement_id: AgreementInPath, data: JSONBody[Answer], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> AgreementView:
    """回填短信验证码. Hand in the answer to the channel's challenge."""
    await _noted(call, desk)
    return await service.confirm(desk, agreement_id, data.answer, scope=call.caller.scope, now=call.now)


@post(
    "/api/v1/agreements/{agreement_id:str}/refresh",
    permission="agreements:read",
    status_code=200,
    responses=documented(AgreementView, AgreementNotFound, status=200),
)
async def refresh_agreement(
    agreement_id: AgreementInPath, call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> AgreementView:
    """查询签约结果. Ask the channel now how an agreement stands."""
    await _noted(call, desk)
    return await service.refresh(desk, agreement_id, scope=call.caller.scope, now=call.now)


@post(
    "/api/v1/agreements/{agreement_id:str}/end",
    permission="agreements:write",
    status_code=200,
    responses=documented(AgreementView, AgreementNotFound, status=200),
)
async def end_agreement(
    agreement_id: AgreementInPath, call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> AgreementView:
    """解约. End an agreement; ending it again answers the same."""
    await _noted(call, desk)
    return await service.end(desk, agreement_id, scope=call.caller.scope, now=call.now)


@post(
    "/api/v1/agreements/{agreement_id:str}/pay",
    permission="orders:pay",
    status_code=201,
    responses=documented(
        StartedAttempt,
        AgreementNotFound,
        AgreementNotUsable,
        AgreementLimitExceeded,
        PayerNotProven,
        OrderNotFound,
        OrderNotPayable,
        OrderExpired,
        AttemptUnderWay,
        AttemptsExhausted,
        LegPending,
        *_PARTY,
        keyed=False,
    ),
)
async def pay_by_agreement(
    agreement_id: PayingInPath, data: JSONBody[NewPayment], call: NamedDependency[Call], desk: NamedDependency[Desk]
) -> StartedAttempt:
    """协议支付. Pay an order under an agreement or by a bound card, within limits; one at a time."""
    await _noted(call, desk)
    return await service.pay(
        desk, agreement_id, data, scope=call.caller.scope, at_counter=call.caller.at_counter, now=call.now
    )


ROUTES = [
    make_agreement,
    list_agreements,
    confirm_agreement,
    refresh_agreement,
    end_agreement,
    pay_by_agreement,
]
