"""The thin part of net bank payments that does the I/O.

``start`` asks nobody: the payer's own browser brings the signed order to the bank. The bank's notice and its result
page are serial (ICBC's handbooks say so): the payer waits until the notice is answered, and the bank shows what the
answer holds. An answer of the bank is believed only when its signature verifies and it repeats the number of our
question; an old answer proves nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final
from urllib.parse import urlencode

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
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.netbank import signing
from yimatong.payments.channels.netbank import transformers as wire
from yimatong.payments.channels.netbank.documents import Document, Garbled
from yimatong.payments.channels.netbank.profiles import Profile, profile_of
from yimatong.payments.errors import (
    BillBroken,
    BillNotOffered,
    BillNotReady,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

PARTY: Final = "netbank"
_OK: Final = 200
_REFUSALS: Final = frozenset(
    {wire.ORDER_NOT_FOUND, "NOT_PAID", "REFUND_TOO_MUCH", "FORMAT_ERROR", "MERCHANT_UNKNOWN", "SIGN_ERROR"}
)
"""Codes that say that nothing was done; ``NUMBER_USED`` leaves open what our number stands for there."""
_SHOWN: Final = """<!doctype html><html lang="zh-CN"><head><meta charset="utf-8"><title>支付结果已送达</title></head>
<body><p>支付结果已通知医院，请返回原页面查看。</p>
<p lang="en">The hospital has been told. Please go back to its page.</p>
</body></html>"""


class NetBank:
    """Net banks behind the port. Stateless; every address stands in the account's profile.

    ``account.profile``: ``bank``, ``pay_url``, ``query_url``, ``refund_url``, ``file_url``, ``mer_cert`` (base64), and
    where the bank wants them ``mer_acct`` and ``reference``. ``account.secrets``: ``private_key_pem``,
    ``bank_public_key_pem`` and, while the bank changes its key, ``previous_bank_public_key_pem``.
    """

    name = PARTY
    scenes = frozenset({Scene.PAGE, Scene.H5})

    def __init__(self, outbound: Outbound) -> None:
        """Send by ``outbound``."""
        self._outbound = outbound

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Return the signed form for the payer's browser; the same attempt gives the same form.

        Raises:
            ChannelNotOffered: the account names no bank that we know.
        """
        del now
        return CashierAction(form=wire.order_form(profile_of(account), account, intent))

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how an order stands, by its number and date."""
        profile, nonce = profile_of(account), secrets.token_hex(16)
        document = wire.query_document(profile, account, payment, nonce)
        told, _form = await self._ask(account, "query_url", document, ("QueryRes", nonce))
        try:
            if told.text("retCode") != wire.ORDER_NOT_FOUND:
                _done(told)
            return wire.decode_query(profile, account, payment, told, now=now)
        except Garbled as error:
            raise _unknown(audit=f"query: {error}") from error

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Return: banks have no close. The order ends by its date or its expiry, and the next query decides."""

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund; acceptance, not arrival."""
        del now
        nonce = secrets.token_hex(16)
        document = wire.refund_document(profile_of(account), account, request, nonce)
        told, _form = await self._ask(account, "refund_url", document, ("RefundRes", nonce))
        try:
            return wire.decode_refund(account, request, _done(told))
        except Garbled as error:
            raise _unknown(audit=f"refund: {error}") from error

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands; an unknown number is ``ABSENT``."""
        del now
        nonce = secrets.token_hex(16)
        document = wire.refund_query_document(profile_of(account), account, request, nonce)
        told, _form = await self._ask(account, "refund_url", document, ("RefundRes", nonce))
        try:
            if told.text("retCode") == wire.REFUND_NOT_FOUND:
                return ChannelRefund(
                    refund_no=request.refund_no,
                    attempt_no=request.payment.attempt_no,
                    status=RefundStatus.ABSENT,
                    merchant_id=account.merchant_id,
                )
            return wire.decode_refund(account, request, _done(told))
        except Garbled as error:
            raise _unknown(audit=f"refund: {error}") from error

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and read a notice: the form fields ``notifyData`` and ``signMsg``; ``merVAR`` is not signed.

        A notice carries no time stamp: one that is sent again tells the same, and is known by its ``notice_id``.

        Raises:
            NoticeNotGenuine: signature or merchant do not hold.
            NoticeNotUnderstood: genuine, and without the published shape.
        """
        del headers, now
        profile = profile_of(account)
        try:
            document = signing.verified(signing.fields(body), keys_pem=_bank_keys(account))
            notice = wire.decode_notice(profile, account, document)
        except signing.Unverified as error:
            raise NoticeNotGenuine(audit=str(error)) from error
        except Garbled as error:
            raise NoticeNotUnderstood(audit=str(error)) from error
        if notice.payment is None or notice.payment.merchant_id != account.merchant_id:
            raise NoticeNotGenuine(audit="the notice is about another merchant")
        return notice

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return the page that the bank shows the payer, in character references: it fits every character set."""
        text = problem or _SHOWN
        body = text.encode("ascii", "xmlcharrefreplace")
        return NoticeAnswer(status=status if problem else _OK, body=body, media_type="text/html")

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the file of a day (T+1): GBK text, its SHA-256 signed by the bank.

        Raises:
            BillNotReady: not written yet.
            BillBroken: another digest, or rows that do not fit its first line.
            BillNotOffered: another kind.
        """
        del now
        if kind is not BillKind.TRADE:
            raise BillNotOffered(channel=self.name, kind=kind)
        nonce = secrets.token_hex(16)
        document = wire.file_document(profile_of(account), account, day, nonce)
        told, form = await self._ask(account, "file_url", document, ("FileRes", nonce))
        try:
            if told.text("retCode") == wire.NO_FILE:
                raise BillNotReady(day=day.isoformat(), audit=wire.NO_FILE)
            return wire.checked_file(account, day, _done(told), form)
        except Garbled as error:
            raise BillBroken(detail=str(error)) from error

    async def _ask(
        self, account: ChannelAccount, address: str, document: bytes, wanted: tuple[str, str]
    ) -> tuple[Document, Mapping[str, str]]:
        """Send and verify; return the answer with our number in it, and the form that it came in."""
        profile: Profile = profile_of(account)
        body = urlencode(wire.envelope(profile, account, document)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._outbound.send(PARTY, "POST", account.profile[address], body=body, headers=headers)
        if answer.status != _OK:
            raise _unknown(audit=f"HTTP {answer.status}")
        root, nonce = wanted
        try:
            form = signing.fields(answer.body)
            told = Document(profile, signing.verified(form, keys_pem=_bank_keys(account)), root=root)
            if told.text("requestNo") == nonce:
                return told, form
        except (signing.Unverified, Garbled) as error:
            raise _unknown(audit=str(error)) from error
        raise _unknown(audit="the answer is to another question")


def _bank_keys(account: ChannelAccount) -> list[str]:
    names = ("bank_public_key_pem", "previous_bank_public_key_pem")
    return [str(account.secrets[name]) for name in names if name in account.secrets]


def _done(told: Document) -> Document:
    """Return a success; raise what a refusal means. Raises ``Garbled`` without a code."""
    code = told.text("retCode")
    if code == wire.DONE:
        return told
    if code == wire.BUSY:
        raise ChannelBusy(audit=code)
    if code in _REFUSALS:
        raise ChannelRefused(channel_code=code, channel_message=told.text("retMsg"))
    raise _unknown(audit=f"code {code[:64]}")


def _unknown(*, audit: str) -> PartyOutcomeUnknown:
    return PartyOutcomeUnknown(party=PARTY, audit=audit)
