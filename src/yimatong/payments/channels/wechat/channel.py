"""WeChat Pay behind the port: which call serves what. Signing, sending and verifying stand in ``connection``.

One class for every way in which a hospital's account meets a payer: code on a screen, browser, service account or mini
program, app, payment code at the window, and the mixed order with medical insurance.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import quote, urlencode

import msgspec

from yimatong.kit.http import Answer, Outbound
from yimatong.payments.channels.base import (
    BillKind,
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    NoticeAnswer,
    Part,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    Scene,
)
from yimatong.payments.channels.wechat import bills, certificates, mixed, notices, refunds
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.certificates import PlatformCertificate
from yimatong.payments.channels.wechat.connection import CLOSED, UNKNOWN_NUMBER, Connection, code_of, done, unknown
from yimatong.payments.errors import ChannelRefused

_ASKS_PAYER = "USERPAYING"


class WeChatPay:
    """WeChat Pay behind the port. Stateless; ``base_url`` is where it is, without a trailing slash."""

    name = "wechat"
    scenes = frozenset({Scene.NATIVE, Scene.H5, Scene.JSAPI, Scene.APP, Scene.BARCODE})

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url`` (https://api.mch.weixin.qq.com in production)."""
        self._connection = Connection(outbound, base_url)

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment (下单, 付款码支付, 医保自费混合收款下单).

        Raises:
            ChannelAlreadyPaid: this attempt was paid before.
            ChannelRefused: declined, among others a scene that this channel or this part does not serve.
            AccountUnusable, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        if intent.part is Part.WHOLE and intent.scene is Scene.JSAPI:
            return await mixed.start(self._connection, account, intent, now=now)
        if intent.scene not in self.scenes or intent.part is not Part.CASH:
            raise ChannelRefused(channel_code="SCENE", channel_message=f"{intent.part} {intent.scene}")
        if intent.scene is Scene.BARCODE:
            return await self._pay_by_code(account, intent, now=now)
        body, path = wire.encode_intent(account, intent), wire.PLACE_PATH[intent.scene]
        answer = done(await self._connection.call(account, "POST", path, body, now=now))
        try:
            action = wire.decode_placed(answer.body, account, intent, now=now, nonce=secrets.token_hex(16))
        except wire.Garbled as error:
            raise unknown(audit=f"placed: {error}") from error
        if intent.scene is Scene.H5 and intent.return_url:
            jump = f"{action.redirect_url}&redirect_url={quote(intent.return_url, safe='')}"
            return CashierAction(redirect_url=jump)
        return action

    async def _pay_by_code(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Pay by the payer's code: settled at once, or pending while the payer types a password."""
        path = wire.PLACE_PATH[Scene.BARCODE]
        answer = await self._connection.call(account, "POST", path, wire.encode_code(account, intent), now=now)
        if code_of(answer) == _ASKS_PAYER:
            return CashierAction(settled=wire.pending(account, intent))
        return CashierAction(settled=payment_in(done(answer), account, intent.attempt_no))

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask by our number (商户订单号查询订单); an unknown number is ``ABSENT``."""
        if payment.part is Part.WHOLE:
            return await mixed.query(self._connection, account, payment, now=now)
        attempt_no = payment.attempt_no
        target = f"/v3/pay/transactions/out-trade-no/{_part(attempt_no)}?{urlencode({'mchid': account.merchant_id})}"
        answer = await self._connection.call(account, "GET", target, now=now)
        if code_of(answer) in UNKNOWN_NUMBER:
            return ChannelPayment(
                attempt_no=attempt_no,
                status=PaymentStatus.ABSENT,
                merchant_id=account.merchant_id,
                app_id=account.app_id,
            )
        return payment_in(done(answer), account, attempt_no)

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Make the payment unpayable (关闭订单; of a payment by code 撤销); one that is closed already stays so.

        A reversal gives the money back when the payer was faster; the next query then says closed. Of a mixed order the
        own half is closed; one without own money has no close, and the next query decides.

        Raises:
            ChannelAlreadyPaid: paid first.
            ChannelRefused: among others ``ORDER_NOT_EXIST`` for a number that was never placed.
        """
        address = f"/v3/pay/transactions/out-trade-no/{_part(payment.attempt_no)}"
        if payment.scene is Scene.BARCODE:
            target, body = f"{address}/reverse", wire.encode_reversal(account)
        else:
            target, body = f"{address}/close", wire.encode_close(account)
        answer = await self._connection.call(account, "POST", target, body, now=now)
        code = code_of(answer)
        if code in CLOSED or (payment.part is Part.WHOLE and code in UNKNOWN_NUMBER):
            return
        done(answer)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund (退款申请); acceptance, not arrival."""
        if request.payment.part is Part.WHOLE:
            return await mixed.refund(self._connection, account, request, now=now)
        return await refunds.ask(self._connection, account, wire.encode_refund(request), request.refund_no, now=now)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands (查询单笔退款); an unknown number is ``ABSENT``."""
        if request.payment.part is Part.WHOLE:
            return await mixed.query_refund(self._connection, account, request, now=now)
        return await refunds.query(self._connection, account, request.refund_no, now=now)

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and open a notice (支付通知, 退款结果通知, 医保混合收款成功通知); see ``notices.read_notice``."""
        return notices.read_notice(account, headers, body, now=now)

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return 204, or the status with ``FAIL``, after which the notice comes again."""
        if not problem:
            return NoticeAnswer(status=204)
        body = msgspec.json.encode({"code": "FAIL", "message": problem})
        return NoticeAnswer(status=status, body=body, media_type="application/json")

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the trade bill (ALL) or the fund-flow bill (BASIC) of a day; see ``bills.fetch``."""
        return await bills.fetch(self._connection, account, day, kind, now=now)

    async def platform_certificates(self, account: ChannelAccount, *, now: datetime) -> tuple[PlatformCertificate, ...]:
        """Download the platform's certificates, for rotation; see ``certificates.fetch``."""
        return await certificates.fetch(self._connection, account, now=now)


def _part(number: str) -> str:
    return quote(number, safe="")


def payment_in(answer: Answer, account: ChannelAccount, attempt_no: str) -> ChannelPayment:
    """Return the payment of a signed answer. Raises ``PartyOutcomeUnknown`` for another shape or another order."""
    try:
        found = wire.decode_payment(answer.body, account)
    except wire.Garbled as error:
        raise unknown(audit=f"payment: {error}") from error
    if found.attempt_no != attempt_no:
        raise unknown(audit="payment: the answer is about another order")
    return found
