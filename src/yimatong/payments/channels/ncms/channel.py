r"""Cooperative medical care (新农合) behind the port: an insurance driver over docs/spec/cooperative-medical.md.

Requests carry ``X-App-Id``, ``X-Timestamp`` (Unix seconds), ``X-Nonce`` and ``X-Sign``: hexadecimal HMAC-SM3
(GB/T 15852.2) over ``METHOD\nPATH\nTIMESTAMP\nNONCE\nBODY``; an answer is believed only when its ``X-Sign`` is the
code over ``STATUS\nNONCE\nBODY`` with the same nonce, so an answer serves one question only. ``secret`` (hexadecimal)
is the account's one secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.http import Answer, Outbound
from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
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
from yimatong.payments.channels.ncms import transformers as wire
from yimatong.payments.errors import (
    AccountUnusable,
    BillNotOffered,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
)

PARTY: Final = "ncms"
_OK: Final = 200
_BUSY: Final = 429
_REFUSAL: Final = range(400, 500)
_SETTLED: Final = "ALREADY_SETTLED"
_SEEN: Final = "TOO_OLD"
_NO_BILL: Final = "BILL_NOT_READY"


class CooperativeMedical:
    """Cooperative medical care. Stateless; ``base_url`` is where the agency is, without a trailing slash."""

    name = PARTY
    part = Part.INSURANCE
    scenes = frozenset({Scene.DIRECT})

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url``."""
        self._outbound = outbound
        self._base_url = base_url.rstrip("/")

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask what the agency pays of a bill; nothing is settled.

        Raises:
            ChannelRefused: not a member, a bill that is not taken.
            AccountUnusable, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: asking again is safe.
        """
        answer = await self._done(account, "presettle", wire.presettling(account, request), now=now)
        try:
            return wire.presettled(answer.body, request)
        except wire.Garbled as error:
            raise _unknown(audit=f"presettle: {error}") from error

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Settle with the promised split; the agency settles exactly that, or refuses with ``SPLIT_CHANGED``.

        An agency that settled another split all the same is told to cancel before anybody hears of it.
        """
        try:
            content = wire.settling(account, intent)
            promised = {name: fen for name, fen in wire.promised(intent.references).items() if fen}
        except wire.Garbled as error:
            raise ChannelRefused(channel_code="INVALID_REQUEST", channel_message=str(error)) from error
        if sum(promised.values()) != intent.amount_fen:
            raise ChannelRefused(channel_code="SPLIT_CHANGED", channel_message="结算金额与预结算不一致")
        answer = await self._done(account, "settle", content, now=now)
        found = _standing(account, answer, intent.attempt_no, intent.references)
        if found.status is PaymentStatus.SUCCEEDED and dict(found.components) != promised:
            await self._take_back(account, intent, now=now)
            raise ChannelRefused(channel_code="SPLIT_CHANGED", channel_message="结算金额与预结算不一致，已撤回")
        return CashierAction(settled=found)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask by our number; an unknown one is ``ABSENT``."""
        content = _about(account, payment.references, payment.attempt_no)
        answer = await self._done(account, "query", content, now=now)
        return _standing(account, answer, payment.attempt_no, payment.references)

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Make the claim unpayable by this attempt, whether or not it ever arrived. Raises ``ChannelAlreadyPaid``.

        ``undo`` lets the agency take back a settlement too, but only one that is not the promised split.
        """
        content = _about(account, payment.references, payment.attempt_no) | {"undo": True}
        await self._done(account, "cancel", content, now=now)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Give back of fund and family account; the same number again moves nothing more."""
        try:
            content = wire.refunding(account, request)
        except wire.Garbled as error:
            raise ChannelRefused(channel_code="INVALID_REQUEST", channel_message=str(error)) from error
        return _refund(account, await self._done(account, "refund", content, now=now), request)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands; an unknown number is ``ABSENT``."""
        try:
            content = wire.refund_about(account, request)
        except wire.Garbled as error:
            raise ChannelRefused(channel_code="INVALID_REQUEST", channel_message=str(error)) from error
        return _refund(account, await self._done(account, "refund-query", content, now=now), request)

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Refuse: the protocol has no notices, the platform asks."""
        del account, headers, body, now
        raise NoticeNotGenuine(audit="cooperative medical care sends no notices")

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return the status with the problem."""
        body = msgspec.json.encode({"message": problem})
        return NoticeAnswer(status=status, body=body, media_type="application/json")

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Return the day's settlements and refunds: UTF-8, one JSON object a line, signed like every answer."""
        if kind is not BillKind.TRADE:
            raise BillNotOffered(channel=self.name, kind=kind)
        content = {"institution": account.merchant_id, "day": day.isoformat()}
        try:
            return (await self._done(account, "bill", content, now=now)).body
        except ChannelRefused as error:
            if error.facts.get("channel_code") == _NO_BILL:
                raise BillNotReady(day=day.isoformat()) from error
            raise

    async def _take_back(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> None:
        """Return when a settlement that must not stand is undone. Raises ``PartyOutcomeUnknown`` otherwise."""
        content = _about(account, intent.references, intent.attempt_no) | {"undo": True}
        try:
            await self._done(account, "cancel", content, now=now)
        except Exception as error:
            raise _unknown(audit="another split was settled and is not yet taken back") from error

    async def _done(self, account: ChannelAccount, verb: str, content: Mapping[str, Any], *, now: datetime) -> Answer:
        """Send, and return a signed success; errors as ``believed``."""
        mac = _mac(account)
        url, body, nonce = f"{self._base_url}/v1/{verb}", msgspec.json.encode(content), secrets.token_hex(16)
        stamp = str(int(now.timestamp()))
        signed = f"POST\n{urlsplit(url).path}\n{stamp}\n{nonce}\n".encode() + body
        headers = {
            "content-type": "application/json",
            "x-app-id": account.app_id,
            "x-timestamp": stamp,
            "x-nonce": nonce,
            "x-sign": mac.digest(signed).hex(),
        }
        answer = await self._outbound.send(PARTY, "POST", url, body=body, headers=headers)
        return believed(account, answer, nonce=nonce, verb=verb)


def believed(account: ChannelAccount, answer: Answer, *, nonce: str, verb: str) -> Answer:
    """Return an answer that is signed for the question with this ``nonce`` and is a success. Pure.

    Raises:
        PartyOutcomeUnknown: not signed, or no word that the protocol has. ChannelBusy: ask again.
        ChannelAlreadyPaid, ChannelRefused: what a signed refusal means. AccountUnusable: the account has no secret.
    """
    try:
        code = bytes.fromhex(answer.headers.get("x-sign", ""))
        _mac(account).verify(f"{answer.status}\n{nonce}\n".encode() + answer.body, code)
    except (ValueError, SignatureInvalid) as error:
        raise _unknown(audit=f"{verb}: HTTP {answer.status}, not signed") from error
    if answer.status == _OK:
        return answer
    if answer.status == _BUSY:
        raise ChannelBusy(audit=verb)
    if answer.status not in _REFUSAL:
        raise _unknown(audit=f"{verb}: HTTP {answer.status}")
    try:
        refusal = wire.read(answer.body, wire.Refusal)
    except wire.Garbled as error:
        raise _unknown(audit=f"{verb}: HTTP {answer.status}: {error}") from error
    if refusal.code == _SETTLED:
        raise ChannelAlreadyPaid
    if refusal.code == _SEEN:  # a second copy of a question that may have been acted on
        raise _unknown(audit=f"{verb}: expired or seen before")
    raise ChannelRefused(channel_code=refusal.code, channel_message=refusal.message)


def _mac(account: ChannelAccount) -> HmacSm3:
    try:
        key = bytes.fromhex(str(account.secrets["secret"]))
    except (KeyError, ValueError) as error:
        raise AccountUnusable(channel=PARTY, name="secret") from error
    if not key:
        raise AccountUnusable(channel=PARTY, name="secret")
    return HmacSm3(key)


def _about(account: ChannelAccount, known: Mapping[str, str], attempt_no: str) -> dict[str, Any]:
    try:
        return wire.about(account, known, attempt_no)
    except wire.Garbled as error:
        raise ChannelRefused(channel_code="INVALID_REQUEST", channel_message=str(error)) from error


def _standing(account: ChannelAccount, answer: Answer, attempt_no: str, known: Mapping[str, str]) -> ChannelPayment:
    try:
        return wire.standing(account, answer.body, attempt_no, known["claim_no"])
    except wire.Garbled as error:
        raise _unknown(audit=f"settlement: {error}") from error


def _refund(account: ChannelAccount, answer: Answer, request: RefundRequest) -> ChannelRefund:
    try:
        return wire.refunded(account, answer.body, request)
    except wire.Garbled as error:
        raise _unknown(audit=f"refund: {error}") from error


def _unknown(*, audit: str) -> PartyOutcomeUnknown:
    return PartyOutcomeUnknown(party=PARTY, audit=audit)
