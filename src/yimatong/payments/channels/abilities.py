"""What only some payment channels can do, beside :class:`~yimatong.payments.channels.base.PaymentChannel`.

*Presettling*: an insurer says what it pays of a bill before anybody pays. *Agreeing*: a payer agrees once, and later
payments need no password, or only an SMS code. *Token giving*: a provider gives a payment token that is shown inside a
two-in-one code (二码合一) and takes it back as a means of payment. ``isinstance`` finds out which a channel has.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

import msgspec

from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import CashierAction, ChannelAccount, Part


class Insured(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bill it is and by what she shows that she is insured. Personal data: never logged, stored sealed only."""

    name: str
    id_type: str
    id_number: str
    credential: str = ""
    """``ecert`` (医保电子凭证), ``id`` (certificate), ``card`` (social-insurance card) or a policy."""
    credential_no: Secret = Secret("")


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a bill as an insurer reads it; ``code`` is the catalogue's, empty where the hospital gave none."""

    name: str
    amount_fen: int
    quantity: int = 1
    code: str = ""


class PresettleRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What an insurer is asked before anybody pays. ``leg_no`` names the question and is the same when sent again."""

    leg_no: str
    order_no: str
    institution_id: str
    visit_no: str
    description: str
    lines: tuple[BillLine, ...]
    amount_fen: int
    insured: Insured
    placed_at: datetime


class PresettledPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the insurer would pay; ``amount_fen`` is the sum of ``components`` and at most the bill's.

    ``references`` is what the insurer wants to hear again at the settlement.
    """

    amount_fen: int
    components: Mapping[str, int]
    references: Mapping[str, str] = {}
    expires_at: datetime | None = None


@runtime_checkable
class Presettling(Protocol):
    """A channel that pays a part of a bill: medical insurance, 新农合, a commercial insurer."""

    part: Part

    async def presettle(self, account: ChannelAccount, request: PresettleRequest, *, now: datetime) -> PresettledPart:
        """Ask what would be paid; nothing is settled, and asking again is safe.

        Raises ``ChannelRefused``, ``PartyUnreachable``, ``PartyOutcomeUnknown``.
        """
        ...


class AgreementKind(StrEnum):
    """What is agreed upon."""

    PASSWORD_FREE = "password_free"  # noqa: S105 -- 免密支付: the channel takes the money without asking the payer
    BANK_CARD = "bank_card"  # 快捷支付: a bound bank card, an SMS code at each payment


class AgreementRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement to ask for; ``request_no`` names it and is the same when sent again."""

    request_no: str
    kind: AgreementKind
    placed_at: datetime
    notify_url: str
    return_url: str = ""
    name: str = ""
    id_type: str = ""
    id_number: str = ""
    card_number: Secret = Secret("")
    phone: str = ""


class AgreementStanding(StrEnum):
    """How an agreement stands at its channel."""

    WAITING = "waiting"  # for the payer: to agree on the channel's page, or to answer a challenge
    AGREED = "agreed"
    REFUSED = "refused"
    ENDED = "ended"
    ABSENT = "absent"


class ChannelAgreement(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement as the channel sees it."""

    request_no: str
    standing: AgreementStanding
    agreement_no: str = ""
    reason: str = ""


@runtime_checkable
class Agreeing(Protocol):
    """A channel that can be paid under an agreement (scene AGREEMENT)."""

    agreement_kinds: frozenset[AgreementKind]

    async def agree(self, account: ChannelAccount, request: AgreementRequest, *, now: datetime) -> CashierAction:
        """Begin an agreement: a page to jump to, or a challenge to answer."""
        ...

    async def confirm_agreement(
        self, account: ChannelAccount, request: AgreementRequest, answer: str, *, now: datetime
    ) -> ChannelAgreement:
        """Hand in the answer to the challenge."""
        ...

    async def query_agreement(
        self, account: ChannelAccount, request: AgreementRequest, *, now: datetime
    ) -> ChannelAgreement:
        """Ask how an agreement stands."""
        ...

    async def end_agreement(
        self, account: ChannelAccount, request: AgreementRequest, agreement_no: str, *, now: datetime
    ) -> ChannelAgreement:
        """End it; one that has ended stays ended."""
        ...


class PaymentToken(msgspec.Struct, frozen=True, kw_only=True):
    """A provider's payment token: what stands behind ``P.`` in a two-in-one code."""

    token: str
    expires_at: datetime


@runtime_checkable
class TokenGiving(Protocol):
    """A channel whose tokens can stand in two-in-one codes; such a token pays in the scene BARCODE."""

    async def give_token(
        self, account: ChannelAccount, *, agreement_no: str, nonce: str, expires_at: datetime, now: datetime
    ) -> PaymentToken:
        """Ask for a token of a bound account, tied to the code's nonce (hexadecimal)."""
        ...

    async def check_token(self, account: ChannelAccount, *, token: str, nonce: str, now: datetime) -> None:
        """Have the provider verify a token with its nonce. Raises ``ChannelRefused`` where it does not hold."""
        ...
