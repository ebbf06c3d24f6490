"""Medical insurance behind the port: one class, the account's profile chooses the interface.

A part of a bill is presettled first, settled by ``start`` (scene DIRECT, between systems alone) and told at once; the
payer's own part is another channel's payment. All amounts are fen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

import msgspec

from yimatong.kit.http import Outbound
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
    PlacedPayment,
    RefundRequest,
    Scene,
)
from yimatong.payments.channels.insurance import bills, hospital, keys, notices
from yimatong.payments.channels.insurance.credentials import CredentialAsked, CredentialFacts, Shown
from yimatong.payments.channels.insurance.hospital_driver import HospitalDriver
from yimatong.payments.channels.insurance.mobile_driver import MobileDriver
from yimatong.payments.channels.insurance.splits import Garbled
from yimatong.payments.channels.insurance.wire import Declined, Wire, unknown
from yimatong.payments.errors import BillNotOffered, BillNotReady


class MedicalInsurance:
    """Medical insurance (医保移动支付). Stateless; ``base_url`` is where it is, without a trailing slash."""

    name = "insurance"
    part = Part.INSURANCE
    scenes = frozenset({Scene.DIRECT})

    def __init__(self, outbound: Outbound, base_url: str) -> None:
        """Send by ``outbound`` to ``base_url``, a province's gateway in production."""
        self._wire = Wire(outbound, base_url)
        self._mobile = MobileDriver(self._wire)
        self._hospital = HospitalDriver(self._wire)

    def _driver(self, account: ChannelAccount) -> MobileDriver | HospitalDriver:
        return self._hospital if keys.driver(account) == "hospital" else self._mobile

    async def exchange(self, account: ChannelAccount, asked: CredentialAsked, *, now: datetime) -> CredentialFacts:
        """Exchange an electronic credential or a settlement code for certificate facts, or a certificate for a token.

        Raises:
            ChannelRefused: no such credential, or one that has ended.
            AccountUnusable, PartyUnreachable, PartyOutcomeUnknown: asking again is safe.
        """
        return await self._mobile.exchange(account, asked, now=now)

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask what the insurance pays of a bill (6201, or 2206); nothing is settled.

        Raises:
            ChannelRefused: not insured, another's credential, a bill that the insurance does not take.
            AccountUnusable, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: asking again is safe.
        """
        if keys.driver(account) == "hospital" and request.insured.credential == "setl_code":
            request = await self._with_token(account, request, now=now)
        return await self._driver(account).presettle(account, request, now=now)

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Settle what was presettled (6202, or 2207); ``settled`` of the action says what came of it.

        Raises:
            ChannelRefused: among others ``SPLIT_CHANGED``: another split was settled than presettled, and taken back.
            AccountUnusable, ChannelBusy, PartyUnreachable: nothing was done.
            PartyOutcomeUnknown: the answer is missing, or another split could not surely be taken back.
        """
        return await self._driver(account).start(account, intent, now=now)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how a settlement stands (6301, or 5203; a lost 2207 is reversed by 2601 and then ``CLOSED``)."""
        return await self._driver(account).query(account, payment, now=now)

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Revoke what is not settled (6401), reverse what may be (2601). Raises ``ChannelAlreadyPaid``."""
        await self._driver(account).close(account, payment, now=now)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Give back fund and account (6203), or take the whole settlement back (2208).

        Raises:
            ChannelRefused: among others ``WHOLE_ONLY``: the hospital interface takes no part back.
        """
        return await self._driver(account).refund(account, request, now=now)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands (6301, or 5203)."""
        return await self._driver(account).query_refund(account, request, now=now)

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and open a notice of the mobile payment centre; its proof is in the body, not in ``headers``."""
        del headers
        return notices.read(account, body, now=now)

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return the centre's own form of *taken* (code 0) or of *not taken* (the form is not public)."""
        body = {"code": -1 if problem else 0, "success": not problem, "message": problem or "成功"}
        return NoticeAnswer(
            status=status if problem else 200, body=msgspec.json.encode(body), media_type="application/json"
        )

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download the detail file of a day (3202, 9102), of both interfaces: UTF-8, TAB, see ``bills.COLUMNS``.

        Raises:
            BillNotReady, BillBroken, BillNotOffered.
        """
        if kind is not BillKind.TRADE:
            raise BillNotOffered(channel=self.name, kind=kind)
        code = keys.institution(account)
        first = hospital.msgid(account, "3202", day.isoformat(), moment=now)
        second = hospital.msgid(account, "9102", day.isoformat(), moment=now)
        try:
            told = await self._wire.hospital(account, "3202", bills.asking(day, code), msg=first, now=now)
            info = told.get("fileinfo") or {}
            content = bills.fetching(info, code)
        except Declined as error:
            raise BillNotReady(day=day.isoformat(), audit=error.message) from error
        except Garbled as error:
            raise unknown(audit=f"3202: {error}") from error
        return bills.opened(await self._wire.download(account, content, msg=second, now=now), info)

    async def _with_token(
        self, account: ChannelAccount, request: PresettleRequest, *, now: datetime
    ) -> PresettleRequest:
        """Return a request whose settlement code is exchanged for a credential token."""
        facts = await self.exchange(
            account, CredentialAsked(shown=Shown.SETTLEMENT_CODE, value=request.insured.credential_no), now=now
        )
        insured = msgspec.structs.replace(request.insured, credential="ecert", credential_no=facts.token)
        return msgspec.structs.replace(request, insured=insured)
