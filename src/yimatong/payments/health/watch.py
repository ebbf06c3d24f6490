"""A payment channel that is watched: every call goes on to the channel itself and is counted on its way back.

The wrapper has exactly the abilities of what it wraps, so ``isinstance`` finds the same out as before. What is counted
stays in memory (``tally``); nothing is written on the way of a payment. A clock that only ever moves on measures how
long a call took; which minute it belongs to is the caller's ``now``.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime
from typing import Any, Final, Self, TypeVar

from yimatong.kit.errors import Refusal
from yimatong.payments.channels.abilities import (
    Agreeing,
    AgreementRequest,
    ChannelAgreement,
    PaymentToken,
    PresettledPart,
    PresettleRequest,
    Presettling,
    TokenGiving,
)
from yimatong.payments.channels.base import (
    BillKind,
    CashierAction,
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    Notice,
    NoticeAnswer,
    PaymentChannel,
    PaymentIntent,
    PlacedPayment,
    RefundRequest,
)
from yimatong.payments.errors import BillBroken, BillNotReady
from yimatong.payments.health.tally import Outcome, Tally

T = TypeVar("T")
_ANSWERS: Final = (Refusal, BillNotReady, BillBroken)
"""What a channel said, even where we would rather have heard something else."""


def outcome_of(error: Exception) -> Outcome:
    """Return how a failed call is counted: a refusal is an answer; a channel that asks to slow down does not serve."""
    return Outcome.REFUSED if isinstance(error, _ANSWERS) else Outcome.SILENT


class Watched:
    """The port of a payment channel by delegation; see :class:`~yimatong.payments.channels.base.PaymentChannel`."""

    def __new__(cls, channel: PaymentChannel, tally: Tally) -> Self:
        """Return a wrapper with the abilities of ``channel``."""
        del tally
        wrapped: object = channel
        found = [ability for kind, ability in _ABILITIES if isinstance(wrapped, kind)]
        made: type[Self] = type(cls.__name__, (*found, cls), {}) if found else cls
        return object.__new__(made)

    def __init__(self, channel: PaymentChannel, tally: Tally) -> None:
        """Watch ``channel``; its plain facts are copied, so that they are found where they are looked for."""
        self._channel: Any = channel
        self._tally = tally
        self.name = channel.name
        self.scenes = channel.scenes

    def __getattr__(self, name: str) -> Any:
        """Give whatever else the channel has, uncounted."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._channel, name)

    async def _counted(
        self, verb: str, account: ChannelAccount, call: Callable[[], Awaitable[T]], *, now: datetime
    ) -> T:
        began = time.monotonic()

        def ended(outcome: Outcome) -> None:
            self._tally.count(
                channel=self.name,
                account_id=account.account_id,
                verb=verb,
                outcome=outcome,
                took_ms=int((time.monotonic() - began) * 1000),
                now=now,
            )

        try:
            answer = await call()
        except Exception as error:
            ended(outcome_of(error))
            raise
        ended(Outcome.OK)
        return answer

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment."""
        return await self._counted("start", account, lambda: self._channel.start(account, intent, now=now), now=now)

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how the payment stands."""
        return await self._counted("query", account, lambda: self._channel.query(account, payment, now=now), now=now)

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Make the payment unpayable."""
        await self._counted("close", account, lambda: self._channel.close(account, payment, now=now), now=now)

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund."""
        return await self._counted("refund", account, lambda: self._channel.refund(account, request, now=now), now=now)

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands."""
        return await self._counted(
            "query_refund", account, lambda: self._channel.query_refund(account, request, now=now), now=now
        )

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and decrypt a notice: nobody is called, nothing is counted."""
        notice: Notice = self._channel.read_notice(account, headers, body, now=now)
        return notice

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return the channel's own form of *taken* or *not taken*."""
        answer: NoticeAnswer = self._channel.answer_notice(problem=problem, status=status)
        return answer

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download a file of a business day."""
        return await self._counted(
            "bill", account, lambda: self._channel.bill(account, day, kind=kind, now=now), now=now
        )


class _Presettling(Watched):
    def __init__(self, channel: Any, tally: Tally) -> None:
        super().__init__(channel, tally)
        self.part = channel.part

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask what would be paid."""
        return await self._counted(
            "presettle", account, lambda: self._channel.presettle(account, request, now=now), now=now
        )


class _Agreeing(Watched):
    def __init__(self, channel: Any, tally: Tally) -> None:
        super().__init__(channel, tally)
        self.agreement_kinds = channel.agreement_kinds

    async def agree(self, account: ChannelAccount, request: AgreementRequest, *, now: datetime) -> CashierAction:
        """Begin an agreement."""
        return await self._counted("agree", account, lambda: self._channel.agree(account, request, now=now), now=now)

    async def confirm_agreement(
        self, account: ChannelAccount, request: AgreementRequest, answer: str, *, now: datetime
    ) -> ChannelAgreement:
        """Hand in the answer to the challenge."""
        return await self._counted(
            "confirm_agreement",
            account,
            lambda: self._channel.confirm_agreement(account, request, answer, now=now),
            now=now,
        )

    async def query_agreement(
        self, account: ChannelAccount, request: AgreementRequest, *, now: datetime
    ) -> ChannelAgreement:
        """Ask how an agreement stands."""
        return await self._counted(
            "query_agreement", account, lambda: self._channel.query_agreement(account, request, now=now), now=now
        )

    async def end_agreement(
        self, account: ChannelAccount, request: AgreementRequest, agreement_no: str, *, now: datetime
    ) -> ChannelAgreement:
        """End it."""
        return await self._counted(
            "end_agreement",
            account,
            lambda: self._channel.end_agreement(account, request, agreement_no, now=now),
            now=now,
        )


class _TokenGiving(Watched):
    async def give_token(
        self, account: ChannelAccount, *, agreement_no: str, nonce: str, expires_at: datetime, now: datetime
    ) -> PaymentToken:
        """Ask for a token of a bound account."""
        return await self._counted(
            "give_token",
            account,
            lambda: self._channel.give_token(
                account, agreement_no=agreement_no, nonce=nonce, expires_at=expires_at, now=now
            ),
            now=now,
        )

    async def check_token(self, account: ChannelAccount, *, token: str, nonce: str, now: datetime) -> None:
        """Have the provider verify a token with its nonce."""
        await self._counted(
            "check_token",
            account,
            lambda: self._channel.check_token(account, token=token, nonce=nonce, now=now),
            now=now,
        )


_ABILITIES: Final = ((Presettling, _Presettling), (Agreeing, _Agreeing), (TokenGiving, _TokenGiving))
