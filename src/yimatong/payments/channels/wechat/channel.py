"""The thin part of WeChat Pay that does the I/O: sign, send, verify, decide what an answer means.

An answer is believed only when its signature verifies, whatever its status: an unsigned 404 must not make a paid order
look absent. The one exception is the body of a bill, which WeChat Pay does not sign; the signed answer before it
carries its hash.
"""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Mapping
from datetime import date, datetime
from urllib.parse import quote, urlencode, urlsplit

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound
from yimatong.payments.channels.base import (
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    PaymentIntent,
    PaymentStatus,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.wechat import signing
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.errors import (
    BillBroken,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

PARTY = "wechat"
BILL_BYTES_MAX = 1 << 30
_SUCCESS = range(200, 300)
_REFUSAL = range(400, 500)
_BUSY = 429
_GZIP_MAGIC = b"\x1f\x8b"
# WeChat Pay's products spell some codes in two ways; both are in its error tables.
_UNKNOWN_NUMBER = frozenset({"ORDER_NOT_EXIST", "ORDERNOTEXIST", "RESOURCE_NOT_EXISTS"})
_PAID = frozenset({"ORDERPAID", "ORDER_PAID"})
_CLOSED = frozenset({"ORDER_CLOSED", "ORDERCLOSED"})
_NO_BILL = frozenset({"NO_STATEMENT_EXIST", "STATEMENT_CREATING", "STATEMENT_CREATED_FAIL"})


class WeChatPay:
    """WeChat Pay behind the port. Stateless; ``base_url`` is where it is, without a trailing slash."""

    name = "wechat"

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url`` (https://api.mch.weixin.qq.com in production)."""
        self._outbound = outbound
        self._base_url = base_url

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment (下单).

        Raises:
            ChannelAlreadyPaid: this attempt was paid before.
            ChannelRefused, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        body = wire.encode_intent(account, intent)
        answer = _done(await self._call(account, "POST", wire.PLACE_PATH[intent.scene], body, now=now))
        try:
            action = wire.decode_placed(answer.body, account, intent, now=now, nonce=secrets.token_hex(16))
        except wire.Garbled as error:
            raise _unknown(audit=f"placed: {error}") from error
        if intent.scene is Scene.H5 and intent.return_url:
            jump = f"{action.redirect_url}&redirect_url={quote(intent.return_url, safe='')}"
            return CashierAction(redirect_url=jump)
        return action

    async def query(self, account: ChannelAccount, attempt_no: str, *, now: datetime) -> ChannelPayment:
        """Ask by our number (商户订单号查询订单); an unknown number is ``ABSENT``."""
        target = f"/v3/pay/transactions/out-trade-no/{_part(attempt_no)}?{urlencode({'mchid': account.merchant_id})}"
        answer = await self._call(account, "GET", target, now=now)
        if _code(answer) in _UNKNOWN_NUMBER:
            return ChannelPayment(
                attempt_no=attempt_no,
                status=PaymentStatus.ABSENT,
                merchant_id=account.merchant_id,
                app_id=account.app_id,
            )
        try:
            payment = wire.decode_payment(_done(answer).body)
        except wire.Garbled as error:
            raise _unknown(audit=f"query: {error}") from error
        if payment.attempt_no != attempt_no:
            raise _unknown(audit="query: the answer is about another order")
        return payment

    async def close(self, account: ChannelAccount, attempt_no: str, *, now: datetime) -> None:
        """Make the payment unpayable (关闭订单); one that is closed already stays so.

        Raises:
            ChannelAlreadyPaid: paid first.
            ChannelRefused: among others ``ORDER_NOT_EXIST`` for a number that was never placed.
        """
        target = f"/v3/pay/transactions/out-trade-no/{_part(attempt_no)}/close"
        answer = await self._call(account, "POST", target, wire.encode_close(account), now=now)
        if _code(answer) not in _CLOSED:
            _done(answer)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund (退款申请); acceptance, not arrival."""
        body = wire.encode_refund(request)
        answer = _done(await self._call(account, "POST", "/v3/refund/domestic/refunds", body, now=now))
        return _refund_in(answer, account, request.refund_no)

    async def query_refund(self, account: ChannelAccount, refund_no: str, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands (查询单笔退款); an unknown number is ``ABSENT``."""
        answer = await self._call(account, "GET", f"/v3/refund/domestic/refunds/{_part(refund_no)}", now=now)
        if _code(answer) in _UNKNOWN_NUMBER:
            return ChannelRefund(
                refund_no=refund_no, attempt_no="", status=RefundStatus.ABSENT, merchant_id=account.merchant_id
            )
        return _refund_in(_done(answer), account, refund_no)

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and open a notice (支付通知, 退款结果通知); ``headers`` have lower-case names.

        Raises:
            NoticeNotGenuine: signature, age, key or merchant do not hold.
            NoticeNotUnderstood: genuine, and of a kind or shape that is not ours.
        """
        try:
            signing.verify(headers, body, keys=wire.platform_keys(account), now=now)
            envelope = wire.read(body, wire.Envelope)
            resource = signing.unseal(
                envelope.resource.ciphertext,
                nonce=envelope.resource.nonce,
                associated_data=envelope.resource.associated_data,
                api_v3_key=wire.secret(account, "api_v3_key"),
            )
            notice = wire.decode_notice(envelope, resource)
        except signing.Unverified as error:
            raise NoticeNotGenuine(audit=str(error)) from error
        except wire.Garbled as error:
            raise NoticeNotUnderstood(audit=str(error)) from error
        about = notice.payment or notice.refund
        if about is None or about.merchant_id != account.merchant_id:
            raise NoticeNotGenuine(audit="the notice is about another merchant")
        return notice

    async def bill(self, account: ChannelAccount, day: date, *, now: datetime) -> bytes:
        """Download the trade bill of a day (申请交易账单 ALL, 下载账单): plain text, its SHA-1 verified.

        Raises:
            BillNotReady: not written yet, or nothing was paid.
            BillBroken: what came does not have the announced hash.
        """
        wanted = urlencode({"bill_date": day.isoformat(), "bill_type": "ALL", "tar_type": "GZIP"})
        answer = await self._call(account, "GET", f"/v3/bill/tradebill?{wanted}", now=now)
        if _code(answer) in _NO_BILL:
            raise BillNotReady(day=day.isoformat(), audit=_code(answer))
        try:
            place = wire.read(_done(answer).body, wire.BillPlace)
        except wire.Garbled as error:
            raise _unknown(audit=f"bill: {error}") from error
        split = urlsplit(place.download_url)  # the host stays ours: a signed request goes nowhere else
        download = await self._send(account, "GET", f"{split.path}?{split.query}", b"", now=now)
        if download.status not in _SUCCESS:
            raise BillBroken(detail=f"HTTP {download.status}")
        return _checked(download.body, place)

    async def _call(
        self, account: ChannelAccount, method: str, target: str, body: bytes = b"", *, now: datetime
    ) -> Answer:
        """Send and verify; only a signed 2xx or 4xx comes back."""
        answer = await self._send(account, method, target, body, now=now)
        try:
            signing.verify(answer.headers, answer.body, keys=wire.platform_keys(account), now=now)
        except signing.Unverified as error:
            raise _unknown(audit=f"HTTP {answer.status}, {error}") from error
        if answer.status not in _SUCCESS and answer.status not in _REFUSAL:
            raise _unknown(audit=f"HTTP {answer.status}")
        return answer

    async def _send(self, account: ChannelAccount, method: str, target: str, body: bytes, *, now: datetime) -> Answer:
        headers = {
            "Authorization": signing.authorization(
                merchant_id=account.merchant_id,
                serial_no=wire.secret(account, "serial_no"),
                private_key_pem=wire.secret(account, "private_key_pem"),
                method=method,
                target=target,
                body=body.decode(),
                now=now,
                nonce=secrets.token_hex(16),
            ),
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "yimatong",
            "Wechatpay-Serial": wire.secret(account, "platform_key_id"),
        }
        return await self._outbound.send(PARTY, method, self._base_url + target, body=body, headers=headers)


def _part(number: str) -> str:
    return quote(number, safe="")


def _unknown(*, audit: str) -> PartyOutcomeUnknown:
    return PartyOutcomeUnknown(party=PARTY, audit=audit)


def _code(answer: Answer) -> str:
    """Return WeChat Pay's own code of a signed refusal; empty for a success. Raises for a refusal without one."""
    if answer.status in _SUCCESS:
        return ""
    try:
        return wire.read(answer.body, wire.ErrorAnswer).code
    except wire.Garbled as error:
        raise _unknown(audit=f"HTTP {answer.status}: {error}") from error


def _done(answer: Answer) -> Answer:
    """Return a signed success; raise what a signed refusal means."""
    code = _code(answer)
    if not code:
        return answer
    if code in _PAID:
        raise ChannelAlreadyPaid
    if answer.status == _BUSY:
        raise ChannelBusy(audit=code)
    message = wire.read(answer.body, wire.ErrorAnswer).message
    raise ChannelRefused(channel_code=code, channel_message=message)


def _refund_in(answer: Answer, account: ChannelAccount, refund_no: str) -> ChannelRefund:
    try:
        refund = wire.decode_refund(answer.body, account.merchant_id)
    except wire.Garbled as error:
        raise _unknown(audit=f"refund: {error}") from error
    if refund.refund_no != refund_no:
        raise _unknown(audit="refund: the answer is about another refund")
    return refund


def _checked(body: bytes, place: wire.BillPlace) -> bytes:
    """Return the plain bill; its hash is over the text before compression."""
    text = body
    if body.startswith(_GZIP_MAGIC):
        inflate = zlib.decompressobj(wbits=31)
        try:
            text = inflate.decompress(body, BILL_BYTES_MAX)
        except zlib.error as error:
            raise BillBroken(detail=f"gzip: {error}") from error
        if not inflate.eof:
            raise BillBroken(detail=f"gzip: truncated, or more than {BILL_BYTES_MAX} bytes")
    if place.hash_type != "SHA1":
        raise BillBroken(detail=f"hash type {place.hash_type}")
    found = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    if found != place.hash_value.lower():
        raise BillBroken(detail=f"SHA1 {found}, announced {place.hash_value}")
    return text
