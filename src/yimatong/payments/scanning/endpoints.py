"""HTTP of scanned payments."""

from __future__ import annotations

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from yimatong.access import idempotency
from yimatong.access.edge import Call, documented
from yimatong.cards.codec import Purpose
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.schemas import CodeToVerify, VerifiedCode
from yimatong.cards.errors import (
    CodeBurnt,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUnreadable,
    CodeUsed,
    CodeWrongPurpose,
)
from yimatong.kit.db import Batch
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AgreementLimitExceeded,
    AttemptsExhausted,
    AttemptUnderWay,
    ChannelNotOffered,
    ChannelRefused,
    LegPending,
    OrderExpired,
    OrderNotFound,
    OrderNotPayable,
    PayerNotProven,
    ScannedCannotPay,
    ScannedUnreadable,
    SceneNotOffered,
    TokenRefused,
)
from yimatong.payments.scanning import reading, service
from yimatong.payments.scanning.schemas import Scanned, ScannedPayment


@post(
    "/api/v1/orders/{order_no:str}/scan",
    permission="orders:scan",
    reads="personal",
    status_code=200,
    responses=documented(
        ScannedPayment,
        OrderNotFound,
        OrderNotPayable,
        OrderExpired,
        ChannelNotOffered,
        SceneNotOffered,
        AttemptUnderWay,
        AttemptsExhausted,
        LegPending,
        ScannedUnreadable,
        ScannedCannotPay,
        TokenRefused,
        PayerNotProven,
        AgreementLimitExceeded,
        CodeUnreadable,
        CodeNotGenuine,
        CodeExpired,
        CodeUsed,
        CodeBurnt,
        CodeRevoked,
        CodeWrongPurpose,
        ChannelRefused,
        PartyUnreachable,
        PartyOutcomeUnknown,
        status=200,
        keyed=True,
    ),
)
async def scan(
    order_no: FromPath[str],
    data: JSONBody[Scanned],
    call: NamedDependency[Call],
    desk: NamedDependency[Desk],
    verifications: NamedDependency[Batch[Item, VerifiedCode]],
) -> ScannedPayment:
    """扫码支付：付款码、二码合一或电子健康卡. Pay an order with the code that a window's scanner read.

    Asked again with the same key while the outcome is open it is refused as under way: ask how the order stands.
    """
    idempotency.require(call.key)
    channel = reading.channel_of(data.text)
    async with desk.db.transaction() as connection:
        await call.note(connection)
    scope = call.caller.scope
    if channel != reading.CARD:
        return await service.pay_by_channel(desk, order_no, channel, data.text, scope=scope, now=call.now)
    verified = await verifications.submit(
        Item(
            caller=call.caller,
            nonce=call.request_id,
            idempotency_key=call.key,
            request_id=call.request_id,
            wanted=CodeToVerify(code=data.text, purpose=Purpose.PAYMENT),
            now=call.now,
        )
    )
    return await service.pay_by_card(desk, order_no, verified, data.text, scope=scope, now=call.now)


ROUTES = [scan]
