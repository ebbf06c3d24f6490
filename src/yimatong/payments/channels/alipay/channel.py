"""The thin part of Alipay that does the I/O: sign, send, verify, decide what a reply means.

A reply is believed only when its signature verifies. The one exception is the body of a bill, which Alipay does not
sign: it must come from an address that is allowed, and be a whole zip of this merchant's day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from urllib.parse import urlencode

from yimatong.crypto.pem import UNREADABLE
from yimatong.kit.http import Outbound
from yimatong.payments.channels.abilities import (
    AgreementKind,
    AgreementRequest,
    AgreementStanding,
    ChannelAgreement,
)
from yimatong.payments.channels.alipay import agreements, bills, replies, signing
from yimatong.payments.channels.alipay import transformers as wire
from yimatong.payments.channels.alipay.facts import PARTY, alipay_keys
from yimatong.payments.channels.alipay.meaning import CLOSED, NO_SUCH_TRADE, WAITING, done, unknown
from yimatong.payments.channels.alipay.notices import parse_notice
from yimatong.payments.channels.base import (
    BillKind,
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    NoticeAnswer,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    Scene,
)
from yimatong.payments.errors import AccountUnusable, BillBroken, BillNotReady, ChannelAlreadyPaid

_OK = 200
_PAGES = frozenset({Scene.H5, Scene.PAGE})
_TAKES = frozenset({Scene.BARCODE, Scene.AGREEMENT})


class Alipay:
    """Alipay behind the port, and its password-free agreements. Stateless."""

    name = PARTY
    scenes = frozenset(wire.METHODS)
    agreement_kinds = frozenset({AgreementKind.PASSWORD_FREE})

    def __init__(
        self, outbound: Outbound, gateway_url: str, *, bill_hosts: frozenset[str] = frozenset({bills.HOST})
    ) -> None:
        """Send by ``outbound`` to ``gateway_url`` (https://openapi.alipay.com/gateway.do in production).

        ``bill_hosts`` are the hosts besides the gateway's own from which a bill may be fetched, by https.
        """
        self._outbound = outbound
        self._gateway_url = gateway_url
        self._bill_hosts = bill_hosts

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment, or sign what the payer's browser or app takes to Alipay (nothing is sent then).

        A payment code or an agreement takes the money: code 10000 has taken it, 10003 waits for the payer's password.

        Raises:
            ChannelAlreadyPaid: this attempt was paid before.
            ChannelRefused, ChannelBusy, AccountUnusable, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        method, biz = wire.METHODS[intent.scene], wire.intent_facts(account, intent)
        if intent.scene in _PAGES or intent.scene is Scene.APP:
            return_url = intent.return_url if intent.scene in _PAGES else ""
            parameters = self._signed(account, method, biz, now=now, notify=intent.notify_url, back=return_url)
            if intent.scene is Scene.APP:
                return CashierAction(sdk_params={"order_string": wire.order_string(parameters)})
            return CashierAction(redirect_url=wire.jump(self._gateway_url, parameters))
        reply = await self._call(account, method, biz, now=now, notify=intent.notify_url)
        if intent.scene in _TAKES and reply.code == WAITING:
            return CashierAction()
        node = done(reply)
        try:
            if intent.scene in _TAKES:
                return CashierAction(settled=wire.decode_settled(node, account, intent))
            given = wire.decode_placed(node, intent)
        except replies.Garbled as error:
            raise unknown(audit=f"placed: {error}") from error
        if intent.scene is Scene.NATIVE:
            return CashierAction(qr_text=given)
        return CashierAction(sdk_params={"trade_no": given})

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask by our number (alipay.trade.query).

        A number that Alipay does not know is ``ABSENT``, or ``PENDING`` while the payer may still arrive at its page.
        """
        reply = await self._call(account, "alipay.trade.query", {"out_trade_no": payment.attempt_no}, now=now)
        if reply.sub_code in NO_SUCH_TRADE:
            return wire.no_such_trade(account, payment, now=now)
        try:
            return wire.decode_payment(done(reply), account, payment)
        except replies.Garbled as error:
            raise unknown(audit=f"query: {error}") from error

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Make the payment unpayable: alipay.trade.close, or alipay.trade.cancel for a payment code or an agreement.

        A page or a code that no payer has reached cannot be closed; it ends with its ``time_expire``, and the next
        query says so. A reversal that comes after the payment gives the money back.

        Raises:
            ChannelAlreadyPaid: paid first.
            ChannelRefused: among others ``ACQ.TRADE_NOT_EXIST`` for a number that was never placed.
            PartyOutcomeUnknown: also where Alipay asks to send the reversal again.
        """
        number = {"out_trade_no": payment.attempt_no}
        if payment.scene in wire.REVERSIBLE:
            await self._cancel(account, number, now=now)
            return
        reply = await self._call(account, "alipay.trade.close", number, now=now)
        if reply.sub_code in NO_SUCH_TRADE and payment.scene in wire.PAYER_MADE:
            return
        if reply.sub_code not in CLOSED:
            done(reply)
            return
        # The code says "not waiting for a payer", which paid and closed trades are alike.
        found = await self.query(account, payment, now=now)
        if found.status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED):
            raise ChannelAlreadyPaid
        if found.status is not PaymentStatus.CLOSED:
            raise unknown(audit=f"close: {reply.sub_code}, query: {found.status}")

    async def _cancel(self, account: ChannelAccount, number: Mapping[str, str], *, now: datetime) -> None:
        node = done(await self._call(account, "alipay.trade.cancel", number, now=now))
        try:
            told = replies.read(node, wire.Cancelled)
        except replies.Garbled as error:
            raise unknown(audit=f"cancel: {error}") from error
        if told.retry_flag != "N":
            raise unknown(audit=f"cancel: retry_flag {told.retry_flag[:8]}")

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund (alipay.trade.refund); the same ``refund_no`` again moves nothing (``fund_change`` N)."""
        node = done(await self._call(account, "alipay.trade.refund", wire.refund_facts(request), now=now))
        try:
            return wire.decode_refunded(node, account, request)
        except replies.Garbled as error:
            raise unknown(audit=f"refund: {error}") from error

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands (alipay.trade.fastpay.refund.query); one that was never taken is ``ABSENT``."""
        biz = wire.refund_query_facts(request)
        reply = await self._call(account, "alipay.trade.fastpay.refund.query", biz, now=now)
        if reply.sub_code in NO_SUCH_TRADE:
            return wire.absent_refund(account, request)
        try:
            return wire.decode_refund(done(reply), account, request)
        except replies.Garbled as error:
            raise unknown(audit=f"refund query: {error}") from error

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice, and raise, as ``notices.parse_notice`` does."""
        return parse_notice(account, headers, body, now)

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return ``success``, or ``failure`` after which it comes again; Alipay reads the text, not the status."""
        del status
        return NoticeAnswer(status=_OK, body=b"failure" if problem else b"success")

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the bill of a day: the zip as it came, checked to be whole and this merchant's.

        Raises:
            BillNotReady: not written yet (the next day after about 10:00), or nothing happened on that day.
            BillBroken: an address that is not allowed, or not a whole zip of this merchant's day.
        """
        biz = {"bill_type": bills.TYPES[kind], "bill_date": day.isoformat()}
        reply = await self._call(account, bills.METHOD, biz, now=now)
        if reply.sub_code in bills.NOT_YET:
            raise BillNotReady(day=day.isoformat(), audit=reply.sub_code)
        try:
            place = replies.read(done(reply), wire.BillPlace)
        except replies.Garbled as error:
            raise unknown(audit=f"bill: {error}") from error
        url = bills.checked_address(place.bill_download_url, gateway_url=self._gateway_url, hosts=self._bill_hosts)
        download = await self._outbound.send(PARTY, "GET", url)
        if download.status != _OK:
            raise BillBroken(detail=f"HTTP {download.status}")
        return await asyncio.to_thread(bills.checked_zip, download.body, merchant_id=account.merchant_id, day=day)

    async def agree(self, account: ChannelAccount, request: AgreementRequest, *, now: datetime) -> CashierAction:
        """Return the page on which the payer agrees (alipay.user.agreement.page.sign); nothing is sent."""
        biz = agreements.sign_facts(account, request)
        parameters = self._signed(
            account, agreements.PAGE_SIGN, biz, now=now, notify=request.notify_url, back=request.return_url
        )
        return CashierAction(redirect_url=wire.jump(self._gateway_url, parameters))

    async def confirm_agreement(
        self, account: ChannelAccount, request: AgreementRequest, answer: str, *, now: datetime
    ) -> ChannelAgreement:
        """Return how the agreement stands: the payer agrees on Alipay's page, there is no challenge to answer."""
        del answer
        return await self.query_agreement(account, request, now=now)

    async def query_agreement(
        self, account: ChannelAccount, request: AgreementRequest, *, now: datetime
    ) -> ChannelAgreement:
        """Ask how an agreement stands (alipay.user.agreement.query), by our own number."""
        reply = await self._call(account, agreements.QUERY, agreements.query_facts(account, request), now=now)
        if reply.sub_code in agreements.NO_SUCH_AGREEMENT:
            return agreements.no_such_agreement(request, now=now)
        try:
            return agreements.decode_agreement(done(reply), request)
        except replies.Garbled as error:
            raise unknown(audit=f"agreement: {error}") from error

    async def end_agreement(
        self, account: ChannelAccount, request: AgreementRequest, agreement_no: str, *, now: datetime
    ) -> ChannelAgreement:
        """End an agreement (alipay.user.agreement.unsign); one that has ended stays ended."""
        reply = await self._call(account, agreements.UNSIGN, agreements.unsign_facts(agreement_no), now=now)
        if reply.sub_code not in agreements.NO_SUCH_AGREEMENT:
            done(reply)
        return ChannelAgreement(
            request_no=request.request_no, standing=AgreementStanding.ENDED, agreement_no=agreement_no
        )

    async def _call(
        self, account: ChannelAccount, method: str, biz: Mapping[str, Any], *, now: datetime, notify: str = ""
    ) -> replies.Reply:
        """Sign, send and verify; only a signed reply comes back, whatever its code."""
        parameters, keys = self._signed(account, method, biz, now=now, notify=notify), alipay_keys(account)
        try:
            signing.check_public_keys(keys)
        except UNREADABLE as error:
            raise AccountUnusable(channel=PARTY, name="alipay_public_key_pem", audit=type(error).__name__) from error
        answer = await self._outbound.send(
            PARTY,
            "POST",
            f"{self._gateway_url}?charset=utf-8",
            body=urlencode(parameters).encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8", "User-Agent": "yimatong"},
        )
        if answer.status != _OK:
            raise unknown(audit=f"HTTP {answer.status}")
        try:
            return replies.decode(answer.body, method, keys=keys)
        except (signing.Unverified, replies.Garbled) as error:
            raise unknown(audit=f"{method}: {error}") from error

    def _signed(
        self,
        account: ChannelAccount,
        method: str,
        biz: Mapping[str, Any],
        *,
        now: datetime,
        notify: str = "",
        back: str = "",
    ) -> dict[str, str]:
        try:
            return wire.signed_parameters(account, method, biz, now=now, notify_url=notify, return_url=back)
        except UNREADABLE as error:
            raise AccountUnusable(channel=PARTY, name="private_key_pem", audit=type(error).__name__) from error
