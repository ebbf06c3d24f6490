"""Quick payment (快捷支付) behind the port: the bank of a bound card, and its tokens in two-in-one codes (二码合一).

Banks and clearing houses agree on quick payment by contract and publish no common interface that we know of, so the
protocol is our own signed JSON: docs/spec/quick-payment.md. A bank that speaks another one is adapted in a folder
beside this one. The code of an SMS and the number of an agreement come with the intent and are kept nowhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yimatong.payments.channels.abilities import PaymentToken
from yimatong.payments.channels.base import CashierAction, ChannelAccount, PaymentIntent, Scene
from yimatong.payments.channels.quickpay import transformers as quick
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.channels.signed.channel import REFUSALS, SignedChannel
from yimatong.payments.errors import ChannelRefused


class QuickPay(SignedChannel):
    """A bank. By AGREEMENT it is paid in two calls: the first has a code sent, the second brings it."""

    name = "quickpay"
    noun = "payments"
    scenes = frozenset({Scene.AGREEMENT, Scene.BARCODE})
    refusals = REFUSALS | {"NO_AGREEMENT", "TOKEN_REFUSED"}

    def question(self, account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
        """Return what is asked of the bank when the money is to be taken."""
        return quick.encode_pay(account, intent)

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Take the money, or have a code sent first where the scene is AGREEMENT and no answer came with the intent.

        Raises:
            ChannelRefused: declined (a wrong code too); the number stays declined.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        if intent.scene is not Scene.AGREEMENT or intent.answer:
            return await super().start(account, intent, now=now)
        body = await self._call(account, "/v1/challenges", quick.encode_challenge(account, intent), now=now)
        try:
            reply = wire.read(body, quick.ChallengeReply)
            self._done(wire.Reply(code=reply.code, message=reply.message))
            return CashierAction(challenge=quick.decode_challenge(reply, account, intent.attempt_no))
        except wire.Garbled as error:
            raise self._unknown(audit=f"challenge: {error}") from error

    async def give_token(
        self, account: ChannelAccount, *, agreement_no: str, nonce: str, expires_at: datetime, now: datetime
    ) -> PaymentToken:
        """Ask for a token of a bound card, good for the code with this nonce alone.

        Raises:
            ChannelRefused: no such agreement, or it has ended.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        question = quick.encode_give(account, agreement_no, nonce, expires_at)
        return await self._token(account, "/v1/tokens", question, nonce, now=now)

    async def check_token(self, account: ChannelAccount, *, token: str, nonce: str, now: datetime) -> None:
        """Have the bank verify a token with the nonce of the code that carried it; checking again is the same.

        Raises:
            ChannelRefused: of another nonce, expired, or paid with.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        question = quick.encode_check(account, token, nonce)
        found = await self._token(account, "/v1/tokens/check", question, nonce, token=token, now=now)
        if found.expires_at <= now:
            raise ChannelRefused(channel_code="TOKEN_REFUSED", channel_message="expired")

    async def _token(
        self,
        account: ChannelAccount,
        path: str,
        asked: dict[str, Any],
        nonce: str,
        *,
        token: str = "",
        now: datetime,
    ) -> PaymentToken:
        body = await self._call(account, path, asked, now=now)
        try:
            reply = wire.read(body, quick.TokenReply)
            self._done(wire.Reply(code=reply.code, message=reply.message))
            return quick.decode_token(reply, account, nonce, token=token)
        except wire.Garbled as error:
            raise self._unknown(audit=f"{path}: {error}") from error
