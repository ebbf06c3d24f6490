"""A payment's life at the mobile payment centre: 6201, then 6202, 6301 whenever in doubt, 6401 or 6203 to take back.

What 6202 settles must be what 6201 promised. Where it is not, it is taken back before anybody is told, and where that
cannot be made sure, the outcome is unknown and is asked for again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

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
from yimatong.payments.channels.insurance import credentials, mobile
from yimatong.payments.channels.insurance.credentials import CredentialAsked, CredentialFacts
from yimatong.payments.channels.insurance.splits import Garbled
from yimatong.payments.channels.insurance.wire import Declined, Wire, refused, unknown
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelBusy, ChannelRefused

_FAILED_THERE = (Declined, Garbled, ChannelBusy, PartyUnreachable, PartyOutcomeUnknown)
ABSENT_CODE = "ORDER_NOT_EXIST"
"""What our simulator answers for an unknown order; a centre's own code stands in the profile (``absent_code``)."""


class MobileDriver:
    """The mobile payment centre. Stateless."""

    def __init__(self, wire: Wire) -> None:
        """Speak through ``wire``."""
        self._wire = wire

    async def exchange(self, account: ChannelAccount, asked: CredentialAsked, *, now: datetime) -> CredentialFacts:
        """Exchange a credential; see ``credentials``."""
        try:
            told = await self._wire.mobile(account, credentials.PATH, credentials.encode(account, asked), now=now)
            return credentials.decode(told, asked)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"exchange: {error}") from error

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Exchange what she showed, then upload the bill (6201)."""
        shown = await self.exchange(account, credentials.of_insured(request.insured), now=now)
        if not credentials.belongs(shown, request.insured):
            raise ChannelRefused(channel_code="CREDENTIAL_OF_ANOTHER", channel_message="医保凭证不属于就诊人")
        try:
            content = mobile.upload(account, request, shown)
        except Garbled as error:
            raise refused(error) from error
        try:
            return mobile.uploaded(await self._ask(account, "6201", content, now=now), request, shown)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"6201: {error}") from error

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Settle (6202)."""
        try:
            content = mobile.pay(account, intent)
        except Garbled as error:
            raise refused(error) from error
        try:
            told = await self._ask(account, "6202", content, now=now)
            self._same(told, intent.references)
            found = mobile.payment(account, told, intent.attempt_no)
            as_promised = found.amount_fen == intent.amount_fen and mobile.fits(found, intent.references)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"6202: {error}") from error
        if found.status is PaymentStatus.SUCCEEDED and not as_promised:
            await self._take_back(account, _placed(intent), found, now=now)
            raise ChannelRefused(channel_code="SPLIT_CHANGED", channel_message="医保结算金额与预结算不一致，已撤回")
        return CashierAction(settled=found)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how the order stands (6301)."""
        try:
            return mobile.payment(account, await self._order(account, payment, now=now), payment.attempt_no)
        except Declined as error:
            if error.code != account.profile.get("absent_code", ABSENT_CODE):
                raise unknown(audit=f"6301: {error}") from error
        except Garbled as error:
            raise unknown(audit=f"6301: {error}") from error
        return ChannelPayment(
            attempt_no=payment.attempt_no,
            status=PaymentStatus.ABSENT,
            merchant_id=account.merchant_id,
            app_id=account.app_id,
        )

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Revoke the upload (6401); a settlement that is not what was presettled is taken back."""
        try:
            content = mobile.about(account, payment.references)
        except Garbled as error:
            raise refused(error) from error
        try:
            await self._ask(account, "6401", content, now=now)
        except Declined as error:
            found = await self.query(account, payment, now=now)
            if found.status is PaymentStatus.SUCCEEDED:
                if not mobile.fits(found, payment.references):
                    await self._take_back(account, payment, found, now=now)
                    return
                raise ChannelAlreadyPaid from error
            if found.status is PaymentStatus.REFUNDED:
                raise ChannelAlreadyPaid from error
            if found.status is PaymentStatus.PENDING:
                raise refused(error) from error

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Give back fund and account (6203)."""
        try:
            content = mobile.refund(request)
        except Garbled as error:
            raise refused(error) from error
        try:
            return mobile.refunded(account, await self._ask(account, "6203", content, now=now), request)
        except Declined as error:
            raise refused(error) from error
        except Garbled as error:
            raise unknown(audit=f"6203: {error}") from error

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands (6301)."""
        try:
            told = await self._order(account, request.payment, now=now)
            return mobile.refund_listed(account, told, request)
        except (Declined, Garbled) as error:
            raise unknown(audit=f"6301: {error}") from error

    async def _take_back(
        self, account: ChannelAccount, payment: PlacedPayment, found: ChannelPayment, *, now: datetime
    ) -> None:
        """Return when nothing of a settlement stands any more. Raises ``PartyOutcomeUnknown`` when that is not sure."""
        request = mobile.undoing(payment, found, now=now)
        try:
            told = await self._ask(account, "6203", mobile.refund(request), now=now)
            if mobile.refunded(account, told, request).status is RefundStatus.SUCCEEDED:
                return
            after = await self.query(account, payment, now=now)
        except _FAILED_THERE as error:
            raise unknown(audit=f"another split was settled and is not yet taken back: {error}") from error
        if after.status is not PaymentStatus.CLOSED:
            raise unknown(audit="another split was settled and is not yet taken back")

    async def _order(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> dict[str, Any]:
        told = await self._ask(account, "6301", mobile.about(account, payment.references), now=now)
        self._same(told, payment.references)
        return told

    async def _ask(
        self, account: ChannelAccount, infno: str, content: dict[str, Any], *, now: datetime
    ) -> dict[str, Any]:
        return await self._wire.mobile(account, mobile.PATHS[infno], content, now=now)

    @staticmethod
    def _same(told: dict[str, Any], known: Any) -> None:
        if told.get("payOrdId") != known["payOrdId"]:
            message = "the answer is about another order"
            raise Garbled(message)


def _placed(intent: PaymentIntent) -> PlacedPayment:
    return PlacedPayment(
        attempt_no=intent.attempt_no,
        amount_fen=intent.amount_fen,
        scene=intent.scene,
        part=intent.part,
        placed_at=intent.placed_at,
        expires_at=intent.expires_at,
        references=intent.references,
    )
