"""A commercial insurer behind the port: pre-settlement of a bill, then a direct claim.

Protocol: docs/spec/commercial-insurance.md. It is our own, since insurers and their platforms publish no common
interface; an insurer that speaks another one is adapted in a folder beside this one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
from yimatong.payments.channels.base import ChannelAccount, Part, PaymentIntent
from yimatong.payments.channels.commercial import transformers as claims
from yimatong.payments.channels.signed import transformers as wire
from yimatong.payments.channels.signed.channel import REFUSALS, SignedChannel
from yimatong.payments.errors import ChannelRefused


class CommercialInsurer(SignedChannel):
    """An insurer. ``presettle`` asks, ``start`` claims, ``close`` withdraws a claim that is not settled."""

    name = "commercial"
    noun = "claims"
    part = Part.COMMERCIAL
    refusals = REFUSALS | {
        *("POLICY_UNKNOWN", "POLICY_EXPIRED", "NOT_COVERED"),
        *("PRESETTLE_UNKNOWN", "PRESETTLE_EXPIRED", "PRESETTLE_USED", "AMOUNT_DIFFERS"),
    }

    def question(self, account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
        """Return what is asked of the insurer when the claim is made."""
        return claims.encode_claim(account, intent)

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask what would be paid; nothing is settled, and the same ``leg_no`` may be asked again.

        Raises:
            ChannelRefused: no such policy, or nothing of the bill is covered.
            ChannelBusy, PartyUnreachable, PartyOutcomeUnknown: see their classes.
        """
        body = await self._call(account, "/v1/presettle", claims.encode_presettle(account, request), now=now)
        try:
            reply = wire.read(body, claims.PresettleReply)
            if reply.code == wire.NUMBER_USED:
                raise ChannelRefused(channel_code=reply.code, channel_message=reply.message)
            self._done(wire.Reply(code=reply.code, message=reply.message))
            return claims.decode_presettled(reply, account, request)
        except wire.Garbled as error:
            raise self._unknown(audit=f"presettle: {error}") from error
