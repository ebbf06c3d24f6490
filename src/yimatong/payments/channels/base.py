"""The port of a payment channel: what the platform says to WeChat Pay, Alipay, UnionPay, a bank.

An adapter is stateless: the platform persists. Its transformers are pure functions; a thin class does the I/O.
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


class PaymentIntent(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt to have an order paid. ``attempt_no`` is the number that the channel knows it by."""

    attempt_no: str
    amount_fen: int
    description: str
    expires_at: datetime
    notify_url: str
    scene: Scene
    client_ip: str = "127.0.0.1"
    payer_id: str = ""
    """The payer's id at the channel (openid), needed by JSAPI."""
    return_url: str = ""


class CashierAction(msgspec.Struct, frozen=True, kw_only=True):
    """What the cashier does next: show ``qr_text``, jump to ``redirect_url``, or hand ``sdk_params`` to an SDK."""

    qr_text: str = ""
    redirect_url: str = ""
    sdk_params: Mapping[str, str] = {}


class ChannelPayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment as the channel sees it, from a query or a notice; every field is checked against our own books."""

    attempt_no: str
    status: PaymentStatus
    merchant_id: str
    app_id: str
    channel_trade_no: str = ""
    amount_fen: int = 0
    currency: str = "CNY"
    paid_at: datetime | None = None
    payer_id: str = ""


class RefundRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A refund to ask for; the same ``refund_no`` may be sent again and moves money once."""

    refund_no: str
    attempt_no: str
    refund_fen: int
    paid_fen: int
    reason: str
    notify_url: str


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
    """A verified, decrypted notice: exactly one of ``payment`` and ``refund`` is set."""

    notice_id: str
    payment: ChannelPayment | None = None
    refund: ChannelRefund | None = None


class PaymentChannel(Protocol):
    """What every channel can do. All amounts are fen."""

    name: str

    async def start(self, account: ChannelAccount, intent: PaymentIntent, *, now: datetime) -> CashierAction:
        """Place the payment. Raises ``PartyUnreachable``, ``PartyOutcomeUnknown``, ``ChannelRefused``."""
        ...

    async def query(self, account: ChannelAccount, attempt_no: str, *, now: datetime) -> ChannelPayment:
        """Ask how the payment stands. Raises ``PartyUnreachable``, ``PartyOutcomeUnknown``."""
        ...

    async def close(self, account: ChannelAccount, attempt_no: str, *, now: datetime) -> None:
        """Make the payment unpayable. Raises ``ChannelAlreadyPaid`` when it was paid first."""
        ...

    async def refund(self, account: ChannelAccount, request: RefundRequest, *, now: datetime) -> ChannelRefund:
        """Ask for a refund; the answer is acceptance, not arrival."""
        ...

    async def query_refund(self, account: ChannelAccount, refund_no: str, *, now: datetime) -> ChannelRefund:
        """Ask how a refund stands."""
        ...

    def read_notice(self, account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
        """Verify and decrypt a notice (header names in lower case). Raises ``NoticeNotGenuine``."""
        ...

    async def bill(self, account: ChannelAccount, day: date, *, now: datetime) -> bytes:
        """Download the bill of a business day, its hash verified, decompressed. Raises ``BillNotReady``."""
        ...
