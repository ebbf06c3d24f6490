"""The port of a payment channel: what the platform says to WeChat Pay, Alipay, UnionPay, a bank, an insurer.

An adapter is stateless: the platform persists, and hands over what it recorded. Its transformers are pure functions; a
thin class does the I/O. What only some channels can do stands in :mod:`~yimatong.payments.channels.abilities`.
Only an explicit success or failure is mapped to one; everything else is pending. A missing answer raises
``PartyOutcomeUnknown`` and the platform asks again; nothing here turns time into failure.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from yimatong.kit.masking import Secret


class Scene(StrEnum):
    """How the payer meets the channel."""

    NATIVE = "native"  # the cashier shows a QR code, another phone scans it
    H5 = "h5"  # the payer's own browser jumps to the channel
    JSAPI = "jsapi"  # inside the channel's own app (service account, mini program)
    APP = "app"  # a native app calls the channel's SDK
    PAGE = "page"  # a computer's browser leaves for the channel's own page
    BARCODE = "barcode"  # the payer shows a payment code (付款码), the window's scanner reads it
    AGREEMENT = "agreement"  # under an agreement: password-free (免密) or by a bound bank card (快捷)
    DIRECT = "direct"  # between systems alone: an insurance part, credit (先诊疗后付费)


class Part(StrEnum):
    """Which part of an order an attempt pays."""

    CASH = "cash"  # the payer's own part
    INSURANCE = "insurance"  # medical insurance: fund and personal account
    COMMERCIAL = "commercial"  # a commercial insurer's direct claim
    WHOLE = "whole"  # own part and insurance part in one order of the channel (WeChat's 医保混合支付)


class PaymentStatus(StrEnum):
    """What the channel says of a payment."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    REFUNDED = "refunded"  # paid, and money went back (partly or whole): still a success of the payment itself
    CLOSED = "closed"  # final: never paid and cannot be paid any more
    FAILED = "failed"  # final: the channel says that this payment failed
    ABSENT = "absent"  # the channel does not know this number: nothing was ever placed


class RefundStatus(StrEnum):
    """What the channel says of a refund."""

    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"  # the money could not be returned by the original way; a person must act
    CLOSED = "closed"
    ABSENT = "absent"


class ChannelAccount(msgspec.Struct, frozen=True, kw_only=True):
    """A hospital's own merchant account at a channel; secrets are unsealed for the call only."""

    account_id: str
    institution_id: str
    channel: str
    merchant_id: str
    app_id: str
    secrets: Mapping[str, Secret]
    """By the channel's own names: for WeChat ``private_key_pem``, ``serial_no``, ``api_v3_key``, ``platform_key_id``
    and ``platform_public_key_pem``."""
    profile: Mapping[str, str] = {}
    """What is not secret and differs between accounts, by the channel's own names: a bank's address, a seller's id."""


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to have an order paid. ``attempt_no`` is the number that the channel knows it by."""

    attempt_no: str
    amount_fen: int
    description: str
    expires_at: datetime
    notify_url: str
    scene: Scene
    placed_at: datetime
    """When the attempt was made: what channels call the order's time; the same when it is sent again."""
    part: Part = Part.CASH
    client_ip: str = "127.0.0.1"
    payer_id: str = ""
    """The payer's id at the channel (openid, buyer_open_id), needed by JSAPI."""
    return_url: str = ""
    auth_code: str = ""
    """The payment code that the payer shows, needed by BARCODE."""
    terminal_no: str = ""
    agreement_no: str = ""
    """The channel's number of the agreement, needed by AGREEMENT; never stored with the intent."""
    answer: str = ""
    """What the payer answers to a challenge (SMS code), where the channel asked for it; never stored."""
    references: Mapping[str, str] = {}
    """What the channel said before the payment and wants to hear again (an insurance part's pre-settlement)."""
    components: Mapping[str, int] = {}
    """What the amount is made of, in fen, by the channel's own names (``fund_fen``, ``account_fen``)."""


class PlacedPayment(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt as it stands in our books: what an adapter may need to ask, close or refund it."""

    attempt_no: str
    amount_fen: int
    scene: Scene
    placed_at: datetime
    expires_at: datetime
    part: Part = Part.CASH
    channel_trade_no: str = ""
    references: Mapping[str, str] = {}
    components: Mapping[str, int] = {}
    """As in the intent."""


class FormPost(msgspec.Struct, frozen=True, kw_only=True):
    """A form that the payer's browser posts to the channel."""

    url: str
    fields: Mapping[str, str]
    charset: str = "UTF-8"


class ChannelPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the channel sees it, from a query or a notice; every field is checked against our own books.

    An adapter whose channel does not repeat ``merchant_id``, ``app_id`` or ``currency`` fills in the account's own.
    """

    attempt_no: str
    status: PaymentStatus
    merchant_id: str
    app_id: str
    channel_trade_no: str = ""
    amount_fen: int = 0
    currency: str = "CNY"
    paid_at: datetime | None = None
    payer_id: str = ""
    components: Mapping[str, int] = {}
    """What an insurer paid of it, in fen, by its own names; they add up to ``amount_fen`` where there are any."""


class CashierAction(msgspec.Struct, frozen=True, kw_only=True):
    """What the cashier does next.

    Show ``qr_text``, jump to ``redirect_url``, post ``form``, hand ``sdk_params`` to an SDK, or ask the payer for the
    answer to ``challenge`` (what was sent where, e.g. ``138****8000``). Nothing of it: the payment is under way between
    systems; ``settled`` is what the channel has already said of it.
    """

    qr_text: str = ""
    redirect_url: str = ""
    sdk_params: Mapping[str, str] = {}
    form: FormPost | None = None
    challenge: str = ""
    settled: ChannelPayment | None = None


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A refund to ask for; the same ``refund_no`` may be sent again and moves money once."""

    refund_no: str
    payment: PlacedPayment
    refund_fen: int
    reason: str
    notify_url: str
    asked_at: datetime
    """When the refund was made: the same when it is sent again."""
    components: Mapping[str, int] = {}
    """How much of each component goes back, in fen; they add up to ``refund_fen`` where there are any."""


class ChannelRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund as the channel sees it."""

    refund_no: str
    attempt_no: str
    status: RefundStatus
    merchant_id: str
    channel_refund_no: str = ""
    refund_fen: int = 0
    succeeded_at: datetime | None = None


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """A verified, decrypted notice: exactly one of ``payment`` and ``refund`` is set.

    ``notice_id`` names what is told, and is the same when it is told again.
    """

    notice_id: str
    payment: ChannelPayment | None = None
    refund: ChannelRefund | None = None


class NoticeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a channel wants to hear when its notice was taken, or was not."""

    status: int
    body: bytes = b""
    media_type: str = "text/plain"


class BillKind(StrEnum):
    """Which file of a business day."""

    TRADE = "trade"  # every payment and refund
    FUNDS = "funds"  # every movement of the merchant's money


class PaymentChannel(Protocol):
    """What every channel can do. All amounts are fen."""

    name: str
    scenes: frozenset[Scene]
    """Which scenes it serves."""

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment. Raises ``PartyUnreachable``, ``PartyOutcomeUnknown``, ``ChannelRefused``."""
        ...

    async def query(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> ChannelPayment:
        """Ask how the payment stands. Raises ``PartyUnreachable``, ``PartyOutcomeUnknown``."""
        ...

    async def close(self, account: ChannelAccount, payment: PlacedPayment, *, now: datetime) -> None:
        """Make the payment unpayable. Raises ``ChannelAlreadyPaid`` when it was paid first.

        Of a BARCODE or AGREEMENT payment whose outcome is open it is the channel's reversal (撤销、冲正). A channel
        without a close returns; what it says to the next query decides.
        """
        ...

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund; the answer is acceptance, not arrival."""
        ...

    async def query_refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands."""
        ...

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and decrypt a notice (header names in lower case). Raises ``NoticeNotGenuine``."""
        ...

    def answer_notice(self, *, problem: str, status: int) -> NoticeAnswer:
        """Return the channel's own form of *taken* (``problem`` empty) or of *not taken*; ``status`` is ours for it."""
        ...

    async def bill(
        self, account: ChannelAccount, day: date, *, kind: BillKind = BillKind.TRADE, now: datetime
    ) -> bytes:
        """Download a file of a business day, its hash or signature verified, decompressed.

        Raises ``BillNotReady``, ``BillBroken``, ``BillNotOffered``.
        """
        ...
