"""A whole channel in one file, as docs/channels.md describes it: consumption vouchers (消费券) of a made-up office.

One JSON call to the office's address; questions, answers and notices carry ``x-sign``, HMAC-SM3 over their body.
"""

from __future__ import annotations

import msgspec

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.clock import rfc3339
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.base import (
    CashierAction,
    ChannelPayment,
    ChannelRefund,
    Notice,
    NoticeAnswer,
    PaymentStatus,
    RefundStatus,
    Scene,
)
from yimatong.payments.errors import BillNotOffered, ChannelAlreadyPaid, NoticeNotGenuine, NoticeNotUnderstood

PAYMENT = {"waiting": PaymentStatus.PENDING, "paid": PaymentStatus.SUCCEEDED, "shut": PaymentStatus.CLOSED}
REFUND = {"returned": RefundStatus.SUCCEEDED}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the office says of a voucher payment, or of a return."""

    number: str
    state: str
    office_no: str = ""
    amount_fen: int = 0


class Vouchers:
    """The adapter: stateless, unknown is pending, verified before it is read."""

    name = "voucher"
    scenes = frozenset({Scene.H5})

    def __init__(self, outbound) -> None:
        self._outbound = outbound

    async def start(self, account, intent, *, now):
        until = rfc3339(intent.expires_at)
        facts = {"number": intent.attempt_no, "amount_fen": intent.amount_fen, "until": until}
        await self._ask(account, "place", facts | {"notify_url": intent.notify_url})
        return CashierAction(redirect_url=f"{account.profile['url']}/page/{intent.attempt_no}")

    async def query(self, account, payment, *, now):
        return _payment(account, await self._ask(account, "ask", {"number": payment.attempt_no}))

    async def close(self, account, payment, *, now):
        told = await self._ask(account, "shut", {"number": payment.attempt_no})
        if told.state == "paid":
            raise ChannelAlreadyPaid

    async def refund(self, account, request, *, now):
        facts = {"number": request.refund_no, "of": request.payment.attempt_no, "amount_fen": request.refund_fen}
        return _refund(account, request, await self._ask(account, "return", facts))

    async def query_refund(self, account, request, *, now):
        return _refund(account, request, await self._ask(account, "ask", {"number": request.refund_no}))

    def read_notice(self, account, headers, body, *, now):
        try:
            _mac(account).verify(body, bytes.fromhex(headers.get("x-sign", "")))
        except (ValueError, SignatureInvalid) as error:
            raise NoticeNotGenuine(audit="x-sign") from error
        try:
            told = msgspec.json.decode(body, type=Told)
        except msgspec.DecodeError as error:
            raise NoticeNotUnderstood(audit=str(error)) from error
        return Notice(notice_id=f"{told.number}-{told.state}", payment=_payment(account, told))

    def answer_notice(self, *, problem, status):
        return NoticeAnswer(status=status, body=problem.encode() or b"ok")

    async def bill(self, account, day, *, kind, now):
        raise BillNotOffered(channel=self.name, kind=kind)

    async def _ask(self, account, verb, facts):
        body, mac = msgspec.json.encode(facts), _mac(account)
        headers = {"x-sign": mac.digest(body).hex()}
        answer = await self._outbound.send(
            self.name, "POST", f"{account.profile['url']}/{verb}", body=body, headers=headers
        )
        try:
            mac.verify(answer.body, bytes.fromhex(answer.headers.get("x-sign", "")))
            return msgspec.json.decode(answer.body, type=Told)
        except (ValueError, SignatureInvalid, msgspec.DecodeError) as error:
            raise PartyOutcomeUnknown(party=self.name, audit=f"HTTP {answer.status}") from error


def _mac(account):
    return HmacSm3(bytes.fromhex(str(account.secrets["secret_hex"])))


def _payment(account, told):
    return ChannelPayment(
        attempt_no=told.number,
        status=PaymentStatus.ABSENT if told.state == "none" else PAYMENT.get(told.state, PaymentStatus.PENDING),
        merchant_id=account.merchant_id,
        app_id=account.app_id,
        channel_trade_no=told.office_no,
        amount_fen=told.amount_fen,
    )


def _refund(account, request, told):
    return ChannelRefund(
        refund_no=told.number,
        attempt_no=request.payment.attempt_no,
        status=RefundStatus.ABSENT if told.state == "none" else REFUND.get(told.state, RefundStatus.PROCESSING),
        merchant_id=account.merchant_id,
        channel_refund_no=told.office_no,
        refund_fen=told.amount_fen,
    )
