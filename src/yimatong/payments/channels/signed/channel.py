"""The thin part of the signed JSON protocol that does the I/O; credit and commercial insurance are made from it.

Every answer in the protocol, refusals included, is HTTP 200 with a signature bound to the nonce of its request.
Whatever else comes back proves nothing: an unsigned refusal must not make a settled payment look declined.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Outbound
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
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.signed import signing
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.errors import (
    BillBroken,
    BillNotOffered,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

_OK: Final = 200
REFUSALS: Final = frozenset({"BAD_REQUEST", "NOT_REFUNDABLE", "REFUND_TOO_MUCH", wire.UNKNOWN_NUMBER})
"""Codes that say for good that nothing was done; a code that no protocol knows leaves the outcome open.

``NUMBER_USED`` is none of them: our number stands for something there, and the query says for what.
"""


class SignedChannel:
    """What both protocols do alike. Stateless; ``base_url`` has no trailing slash."""

    name: str
    noun: str
    """What a payment is called in the addresses: ``payments``, ``claims``."""
    refusals: frozenset[str] = REFUSALS
    scenes = frozenset({Scene.DIRECT})

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url``."""
        self._outbound = outbound
        self._base_url = base_url

    def question(self, account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
        """Return what the protocol asks when a payment is placed."""
        return wire.encode_intent(account, intent)

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment; it may be settled in the same answer.

        Raises:
            ChannelRefused: declined; the number stays declined.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        reply = await self._asked(account, f"/v1/{self.noun}", self.question(account, intent), now=now)
        found = self._payment(reply, account, intent.attempt_no)
        if found.status is PaymentStatus.FAILED:
            reason = reply.payment.reason if reply.payment else ""
            raise ChannelRefused(channel_code=reason or wire.DECLINED, channel_message=reply.message)
        if found.status is PaymentStatus.CLOSED:
            raise ChannelRefused(channel_code="REVOKED", channel_message=reply.message)
        return CashierAction(settled=found)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how a payment stands; an unknown number is ``ABSENT``."""
        question = wire.encode_named(account, payment)
        reply = await self._ask(account, f"/v1/{self.noun}/query", question, now=now)
        if reply.code == wire.UNKNOWN_NUMBER:
            return ChannelPayment(
                attempt_no=payment.attempt_no,
                status=PaymentStatus.ABSENT,
                merchant_id=account.merchant_id,
                app_id=account.app_id,
            )
        return self._payment(self._done(reply), account, payment.attempt_no)

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Revoke a payment that is not settled; a number never heard of is remembered as revoked.

        Raises:
            ChannelAlreadyPaid: settled first.
        """
        question = wire.encode_named(account, payment)
        reply = await self._asked(account, f"/v1/{self.noun}/revoke", question, now=now)
        found = self._payment(reply, account, payment.attempt_no)
        if found.status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED):
            raise ChannelAlreadyPaid
        if found.status is PaymentStatus.PENDING:
            raise self._unknown(audit="revoked, and still pending")

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund; acceptance, not arrival."""
        reply = await self._asked(account, "/v1/refunds", wire.encode_refund(account, request), now=now)
        return self._refund(reply, account, request.refund_no)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands; an unknown number is ``ABSENT``."""
        question = {"merchant_id": account.merchant_id, "refund_no": request.refund_no}
        reply = await self._ask(account, "/v1/refunds/query", question, now=now)
        if reply.code == wire.UNKNOWN_NUMBER:
            return ChannelRefund(
                refund_no=request.refund_no,
                attempt_no=request.payment.attempt_no,
                status=RefundStatus.ABSENT,
                merchant_id=account.merchant_id,
            )
        return self._refund(self._done(reply), account, request.refund_no)

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice; ``headers`` have lower-case names.

        Raises:
            NoticeNotGenuine: signature, age, application or merchant do not hold.
            NoticeNotUnderstood: genuine, and of a kind or shape that is not ours.
        """
        try:
            known = wire.secrets_of(account)
            signing.verify_notice(headers, body, app_id=account.app_id, secrets_hex=known, now=now)
            notice = wire.decode_notice(body, account)
        except signing.Unverified as error:
            raise NoticeNotGenuine(audit=str(error)) from error
        except wire.Garbled as error:
            raise NoticeNotUnderstood(audit=str(error)) from error
        about = notice.payment or notice.refund
        if about is None or about.merchant_id != account.merchant_id:
            raise NoticeNotGenuine(audit="the notice is about another merchant")
        return notice

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return OK, or the status with FAIL, after which the notice comes again."""
        told = {"code": "FAIL", "message": problem} if problem else {"code": wire.OK}
        return NoticeAnswer(
            status=status if problem else _OK, body=msgspec.json.encode(told), media_type="application/json"
        )

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the bill of a day: JSON lines, the first with the merchant, the day, the count and the sums.

        Raises:
            BillNotReady: not written yet.
            BillBroken: what was signed does not add up.
            BillNotOffered: another kind.
        """
        if kind is not BillKind.TRADE:
            raise BillNotOffered(channel=self.name, kind=kind)
        question = {"merchant_id": account.merchant_id, "day": day.isoformat()}
        body = await self._call(account, "/v1/bills", question, now=now)
        try:
            head = wire.check_bill(body, account, day)
        except wire.Garbled as error:
            raise BillBroken(detail=str(error)) from error
        if head.code == wire.BILL_NOT_READY:
            raise BillNotReady(day=day.isoformat(), audit=head.message)
        self._done(wire.Reply(code=head.code, message=head.message))
        return body

    def _payment(self, reply: wire.Reply, account: ChannelAccount, attempt_no: str) -> ChannelPayment:
        try:
            found = wire.payment_of(reply.payment, account)
        except wire.Garbled as error:
            raise self._unknown(audit=str(error)) from error
        if (found.attempt_no, found.merchant_id) != (attempt_no, account.merchant_id):
            raise self._unknown(audit="the answer is about another payment")
        return found

    def _refund(self, reply: wire.Reply, account: ChannelAccount, refund_no: str) -> ChannelRefund:
        try:
            found = wire.refund_of(reply.refund)
        except wire.Garbled as error:
            raise self._unknown(audit=str(error)) from error
        if (found.refund_no, found.merchant_id) != (refund_no, account.merchant_id):
            raise self._unknown(audit="the answer is about another refund")
        return found

    async def _asked(
        self, account: ChannelAccount, path: str, question: Mapping[str, Any], *, now: datetime
    ) -> wire.Reply:
        return self._done(await self._ask(account, path, question, now=now))

    async def _ask(
        self, account: ChannelAccount, path: str, question: Mapping[str, Any], *, now: datetime
    ) -> wire.Reply:
        body = await self._call(account, path, question, now=now)
        try:
            return wire.read(body, wire.Reply)
        except wire.Garbled as error:
            raise self._unknown(audit=f"{path}: {error}") from error

    async def _call(self, account: ChannelAccount, path: str, question: Mapping[str, Any], *, now: datetime) -> bytes:
        """Send and verify; only a signed 200 comes back."""
        url, nonce, body = self._base_url + path, secrets.token_hex(16), msgspec.json.encode(question)
        known = wire.secrets_of(account)
        headers = signing.request_headers(
            app_id=account.app_id, secret_hex=known[0], path=urlsplit(url).path, body=body, now=now, nonce=nonce
        )
        answer = await self._outbound.send(self.name, "POST", url, body=body, headers=headers)
        try:
            signing.verify_answer(answer.headers, answer.body, status=answer.status, nonce=nonce, secrets_hex=known)
        except signing.Unverified as error:
            raise self._unknown(audit=f"HTTP {answer.status}, {error}") from error
        if answer.status != _OK:
            raise self._unknown(audit=f"HTTP {answer.status}")
        return answer.body

    def _done(self, reply: wire.Reply) -> wire.Reply:
        """Return a success; raise what a refusal means."""
        if reply.code == wire.OK:
            return reply
        if reply.code == wire.ALREADY_SETTLED:
            raise ChannelAlreadyPaid
        if reply.code == wire.BUSY:
            raise ChannelBusy(audit=reply.message)
        if reply.code in self.refusals:
            raise ChannelRefused(channel_code=reply.code, channel_message=reply.message)
        raise self._unknown(audit=f"code {reply.code[:64]}")

    def _unknown(self, *, audit: str) -> PartyOutcomeUnknown:
        return PartyOutcomeUnknown(party=self.name, audit=audit)
