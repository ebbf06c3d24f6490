"""Calls about mixed orders of medical insurance and own money; what they mean stands in ``medical``."""

from __future__ import annotations

import secrets
from datetime import datetime
from urllib.parse import quote, urlencode

from yimatong.kit.http import Answer
from yimatong.payments.channels.base import (
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.wechat import keys, medical, refunds
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.connection import UNKNOWN_NUMBER, Connection, code_of, done, unknown
from yimatong.payments.errors import ChannelRefused

_EXISTS = "ALREADY_EXISTS"


async def start(
    connection: Connection, account: ChannelAccount, intent: PaymentIntent, *, now: datetime
) -> CashierAction:
    """Place the own half, then the whole. Sent again it is the same order.

    Raises:
        ChannelRefused: declined, or something that the insurer gave is missing.
        AccountUnusable, ChannelAlreadyPaid, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
    """
    key_id, pem = next(iter(keys.platform_keys(account, now=now).items()))
    own = medical.cash_fen(intent)
    # Everything that can be missing is found out before the own half is placed.
    medical.encode_mixed(account, intent, prepay_id="", public_key_pem=pem)
    prepay_id = ""
    if own:
        body = medical.encode_cash_half(account, intent)
        answer = done(await connection.call(account, "POST", wire.PLACE_PATH[Scene.JSAPI], body, now=now))
        try:
            prepay_id = wire.prepaid(answer.body)
        except wire.Garbled as error:
            raise unknown(audit=f"own half: {error}") from error
    body = medical.encode_mixed(account, intent, prepay_id=prepay_id, public_key_pem=pem)
    answer = await connection.call(account, "POST", medical.ORDERS, body, key_id=key_id, now=now)
    if code_of(answer) == _EXISTS:
        answer = await _asked(connection, account, intent.attempt_no, now=now)
    placed = mixed_in(done(answer), intent.attempt_no)
    if (placed.total_fee, placed.wechat_pay_cash_fee) != (intent.amount_fen, own):
        raise ChannelRefused(channel_code=_EXISTS, channel_message="订单号已用于另一笔金额不同的订单")
    params = medical.launch_params(account, intent, placed, prepay_id, now=now, nonce=secrets.token_hex(16))
    return CashierAction(sdk_params=params)


async def query(
    connection: Connection, account: ChannelAccount, payment: PlacedPayment, *, now: datetime
) -> ChannelPayment:
    """Ask how the whole stands; ``ABSENT`` for an unknown number, ``CLOSED`` where a closed own half ended it."""
    answer = await _asked(connection, account, payment.attempt_no, now=now)
    if code_of(answer) in UNKNOWN_NUMBER:
        return ChannelPayment(
            attempt_no=payment.attempt_no,
            status=PaymentStatus.ABSENT,
            merchant_id=account.merchant_id,
            app_id=account.app_id,
        )
    told = mixed_in(done(answer), payment.attempt_no)
    try:
        found = medical.payment_of(told, account)
        if found.status is PaymentStatus.PENDING and medical.insurer_waits(told):
            half = await connection.call(account, "GET", _half(account, payment.attempt_no), now=now)
            if not code_of(half) and wire.cash_half_closed(half.body):
                return ChannelPayment(
                    attempt_no=found.attempt_no,
                    status=PaymentStatus.CLOSED,
                    merchant_id=found.merchant_id,
                    app_id=found.app_id,
                    channel_trade_no=found.channel_trade_no,
                )
    except wire.Garbled as error:
        raise unknown(audit=f"mixed order: {error}") from error
    return found


async def refund(
    connection: Connection, account: ChannelAccount, request: RefundRequest, *, now: datetime
) -> ChannelRefund:
    """Give the own share back and tell WeChat Pay of the insurer's, which the platform has reversed at the insurer.

    Raises:
        ChannelRefused: among others for a number of which WeChat Pay knows no mixed order.
        ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
    """
    answer = await _asked(connection, account, request.payment.attempt_no, now=now)
    told = mixed_in(done(answer), request.payment.attempt_no)
    insured = medical.insured_fen(request.components)
    own = request.refund_fen - insured
    status = RefundStatus.SUCCEEDED if not own else RefundStatus.PROCESSING
    if own:
        body = wire.encode_refund(request, refund_fen=own, paid_fen=told.wechat_pay_cash_fee, notify=not insured)
        half = await refunds.ask(connection, account, body, request.refund_no, now=now)
        status = half.status
    if insured:
        target = f"/v3/med-ins/refunds/notify?{urlencode({'mix_trade_no': told.mix_trade_no})}"
        body = medical.encode_insurer_refund(request)
        done(await connection.call(account, "POST", target, body, now=now))
    return _whole(account, request, status)


async def query_refund(
    connection: Connection, account: ChannelAccount, request: RefundRequest, *, now: datetime
) -> ChannelRefund:
    """Ask how a refund stands: the own share as it is, the insurer's when the order says that it went back."""
    insured = medical.insured_fen(request.components)
    own = request.refund_fen - insured
    half = await refunds.query(connection, account, request.refund_no, now=now) if own else None
    if half is not None and (half.status is not RefundStatus.SUCCEEDED or not insured):
        if half.status is RefundStatus.ABSENT:
            return half
        if half.refund_fen != own:
            raise unknown(audit="refund: the own share is another amount")
        return _whole(account, request, half.status, half)
    told = mixed_in(
        done(await _asked(connection, account, request.payment.attempt_no, now=now)), request.payment.attempt_no
    )
    back = told.med_ins_pay_status == "MED_INS_PAY_REFUND"
    return _whole(account, request, RefundStatus.SUCCEEDED if back else RefundStatus.PROCESSING, half)


def _whole(
    account: ChannelAccount, request: RefundRequest, status: RefundStatus, half: ChannelRefund | None = None
) -> ChannelRefund:
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        channel_refund_no=half.channel_refund_no if half is not None else "",
        refund_fen=request.refund_fen,
        succeeded_at=half.succeeded_at if half is not None and status is RefundStatus.SUCCEEDED else None,
    )


async def _asked(connection: Connection, account: ChannelAccount, attempt_no: str, *, now: datetime) -> Answer:
    return await connection.call(account, "GET", f"{medical.ORDERS}/out-trade-no/{quote(attempt_no, safe='')}", now=now)


def _half(account: ChannelAccount, attempt_no: str) -> str:
    mchid = urlencode({"mchid": account.merchant_id})
    return f"/v3/pay/transactions/out-trade-no/{quote(attempt_no, safe='')}?{mchid}"


def mixed_in(answer: Answer, attempt_no: str) -> medical.Mixed:
    """Return the mixed order of a signed answer. Raises ``PartyOutcomeUnknown`` for another shape or another order."""
    try:
        told = medical.decode_mixed(answer.body)
    except wire.Garbled as error:
        raise unknown(audit=f"mixed order: {error}") from error
    if told.out_trade_no != attempt_no:
        raise unknown(audit="mixed order: the answer is about another order")
    return told
