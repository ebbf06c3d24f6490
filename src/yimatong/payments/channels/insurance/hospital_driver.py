"""A payment's life at the hospital interface: 1101, 2204, 2206, then 2207; 2601 when its answer is lost; 2208 back.

The public tables have no question that finds a settlement by our own number, only by the ``setl_id`` that the lost
answer would have told. What they offer for a transaction of unknown outcome is its reversal (2601). So a settlement
without its answer is not found again but reversed, once the request cannot be on its way any more, and is then
``CLOSED``: nothing was settled, and a new attempt may be made. A settlement whose ``setl_id`` is known is asked for by
5203 and never reversed by a question.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
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
)
from yimatong.payments.channels.insurance import hospital
from yimatong.payments.channels.insurance.splits import Garbled, text_in, within
from yimatong.payments.channels.insurance.wire import Declined, Wire, refused, unknown
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelBusy, ChannelRefused

IN_THE_AIR: Final = timedelta(seconds=60)
"""How long a request may be on its way; only then a reversal is final."""

_FAILED_THERE = (Declined, Garbled, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown)


class HospitalDriver:
    """The hospital interface. Stateless."""

    def __init__(self, wire: Wire) -> None:
        """Speak through ``wire``."""
        self._wire = wire

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask who is insured (1101), upload the lines (2204), presettle (2206)."""

        async def ask(infno: str, content: dict[str, Any], insuplc: str = "") -> dict[str, Any]:
            msg = hospital.msgid(account, infno, request.leg_no, moment=request.placed_at)
            return await self._wire.hospital(account, infno, content, msg=msg, insuplc=insuplc, now=now)

        try:
            question = hospital.asking_person(request.insured)
        except Garbled as error:
            raise refused(error, "CREDENTIAL_NOT_TAKEN") from error
        try:
            who = hospital.person(await ask("1101", question), request.insured)
            await ask("2204", hospital.fees(request, who), who.insuplc)
            content = hospital.presettling(account, request, who)
            part = hospital.presettled(await ask("2206", content, who.insuplc), request, content)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"presettling: {error}") from error
        return PresettledPart(
            amount_fen=part.amount_fen,
            components=part.components,
            references={**part.references, "insuplc_admdvs": who.insuplc},
        )

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Settle (2207)."""
        known = intent.references
        msg = hospital.msgid(account, "2207", intent.attempt_no, moment=intent.placed_at)
        try:
            content = hospital.settling(known)
        except Garbled as error:
            raise refused(error) from error
        try:
            told = await self._ask(account, "2207", content, known, msg=msg, now=now)
            found = hospital.settled(account, told, attempt_no=intent.attempt_no, msg=msg, known=known)
            as_promised = found.amount_fen == intent.amount_fen and hospital.fits(found, known)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"2207: {error}") from error
        if not as_promised:
            await self._take_back(account, known, msg, now=now)
            raise ChannelRefused(channel_code="SPLIT_CHANGED", channel_message="医保结算金额与预结算不一致，已撤回")
        return CashierAction(settled=found)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask by ``setl_id`` (5203); without one, reverse what may have been settled (2601) and say so."""
        if payment.channel_trade_no:
            return await self._settlement(account, payment, now=now)
        status = PaymentStatus.PENDING
        if now - payment.placed_at >= IN_THE_AIR:
            status = await self._reversed(account, payment, now=now)
        return ChannelPayment(
            attempt_no=payment.attempt_no, status=status, merchant_id=account.merchant_id, app_id=account.app_id
        )

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Reverse a settlement whose answer is missing (2601); one that is known is paid."""
        if not payment.channel_trade_no:
            if await self._reversed(account, payment, now=now) is PaymentStatus.PENDING:
                raise unknown(audit="2601 did not say whether there is nothing to reverse")
            return
        found = await self._settlement(account, payment, now=now)
        if found.status in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED):
            raise ChannelAlreadyPaid

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Take a settlement back, which this interface does as a whole only (2208)."""
        payment = request.payment
        if request.refund_fen != payment.amount_fen:
            raise ChannelRefused(channel_code="WHOLE_ONLY", channel_message="该医保接口只支持整单撤销结算，不能部分退")
        try:
            content = hospital.about(payment.references, payment.channel_trade_no)
        except Garbled as error:
            raise refused(error) from error
        msg = hospital.msgid(account, "2208", request.refund_no, moment=request.asked_at)
        try:
            told = await self._ask(account, "2208", content, payment.references, msg=msg, now=now)
            info = within(told, "setlinfo")
            if text_in(info, "mdtrt_id") != payment.references["mdtrt_id"]:
                raise unknown(audit="2208: the answer is about another visit")
        except Declined as error:
            after = await self.query_refund(account, request, now=now)
            if after.status is RefundStatus.SUCCEEDED:
                return after
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"2208: {error}") from error
        return _refund(account, request, RefundStatus.SUCCEEDED, text_in(info, "setl_id"), now)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask whether the settlement is marked as taken back (5203)."""
        found = await self._settlement(account, request.payment, now=now)
        if found.status is PaymentStatus.REFUNDED:
            return _refund(account, request, RefundStatus.SUCCEEDED, "", None)
        in_the_air = now - request.asked_at < IN_THE_AIR
        return _refund(account, request, RefundStatus.PROCESSING if in_the_air else RefundStatus.ABSENT, "", None)

    async def _settlement(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        known, number = payment.references, payment.attempt_no
        ours = hospital.msgid(account, "2207", number, moment=payment.placed_at)
        msg = hospital.msgid(account, "5203", number, moment=now)
        try:
            content = hospital.about(known, payment.channel_trade_no)
            told = await self._ask(account, "5203", content, known, msg=msg, now=now)
            found = hospital.settled(account, told, attempt_no=number, msg=ours, known=known)
        except (Declined, Garbled) as error:
            raise unknown(audit=f"5203: {error}") from error
        if found.channel_trade_no != payment.channel_trade_no:
            raise unknown(audit="5203: the answer is about another settlement")
        return found

    async def _reversed(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> PaymentStatus:
        """Reverse by message (2601): ``CLOSED`` when nothing stands, ``ABSENT`` when nothing was there, or pending."""
        known = payment.references
        omsg = hospital.msgid(account, "2207", payment.attempt_no, moment=payment.placed_at)
        msg = hospital.msgid(account, "2601", payment.attempt_no, moment=now)
        try:
            content = hospital.reversing(known, omsg)
        except Garbled as error:
            raise refused(error) from error
        try:
            await self._ask(account, "2601", content, known, msg=msg, now=now)
        except Declined as error:
            said = account.profile
            if error.message in hospital.REVERSAL_DONE or error.message == said.get("reversal_done"):
                return PaymentStatus.CLOSED
            if error.message in hospital.REVERSAL_ABSENT or error.message == said.get("reversal_absent"):
                return PaymentStatus.ABSENT
            return PaymentStatus.PENDING
        return PaymentStatus.CLOSED

    async def _take_back(self, account: ChannelAccount, known: Any, settled_by: str, *, now: datetime) -> None:
        """Return when a settlement that must not stand is reversed. Raises ``PartyOutcomeUnknown`` otherwise."""
        msg = hospital.msgid(account, "2601", settled_by, moment=now)
        try:
            await self._ask(account, "2601", hospital.reversing(known, settled_by), known, msg=msg, now=now)
        except _FAILED_THERE as error:
            raise unknown(audit=f"another split was settled and is not yet taken back: {error}") from error

    async def _ask(
        self, account: ChannelAccount, infno: str, content: dict[str, Any], known: Any, *, msg: str, now: datetime
    ) -> dict[str, Any]:
        insuplc = known.get("insuplc_admdvs", "")
        return await self._wire.hospital(account, infno, content, msg=msg, insuplc=insuplc, now=now)


def _refund(
    account: ChannelAccount, request: RefundRequest, status: RefundStatus, number: str, at: datetime | None
) -> ChannelRefund:
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        channel_refund_no=number,
        refund_fen=request.refund_fen,
        succeeded_at=at,
    )
