"""Wire shapes of the cashier."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from yimatong.payments.channels.base import FormPost, Scene
from yimatong.payments.legs.schemas import LegView
from yimatong.payments.orders.schemas import Item


class ChannelOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A payment channel of the order's hospital.

    ``part``: ``cash`` is paid by the payer; ``insurance`` and ``commercial`` are insurers, asked at ``/legs`` first.
    ``scenes``: how it can be paid where the order was made (its service channel). ``troubled``: it is not answering
    now, so it should not be offered.
    """

    channel: str
    part: str
    scenes: list[Scene]
    troubled: bool = False


class CashierView(msgspec.Struct, frozen=True, kw_only=True):
    """What the payer sees: what is paid for, how much, until when, and by which channels.

    ``cash_fen`` is the payer's own part, the amount less the parts of insurers (``legs``). ``channels`` names those
    that can be paid at now; ``offers`` says more of each. ``app_until``: afterwards at a kiosk or window alone.
    """

    order_no: str
    institution_name: str
    description: str
    items: list[Item]
    amount_fen: int
    cash_fen: int
    state: str
    expires_at: datetime
    app_until: datetime | None
    channels: list[str]
    offers: list[ChannelOffer]
    legs: list[LegView]
    paid_at: datetime | None
    refunded_fen: int
    return_url: str


class NewAttempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A try at a channel, started by an institution's own app or kiosk."""

    channel: Annotated[str, Meta(pattern="^[a-z]{1,16}(?!\\n)$")]
    scene: Scene
    client_ip: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}(?!\n)$")] = "127.0.0.1"
    return_url: Annotated[str, Meta(max_length=512, pattern="^(https?://[!-~]+)?(?!\\n)$")] = ""
    payer_id: Annotated[str, Meta(max_length=128, pattern="^[!-~]*(?!\\n)$")] = ""
    auth_code: Annotated[str, Meta(max_length=320, pattern="^[!-~]*(?!\\n)$")] = ""
    """The payment code (付款码) that a scanner read; for the scene ``barcode`` alone."""
    part: Literal["cash", "whole"] = "cash"
    """``whole``: own part and insurance part in one order of the channel (医保混合支付)."""


class StartedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next.

    Show ``qr_text``, jump to ``redirect_url``, post ``form_fields`` to ``form_url`` by the payer's browser, hand
    ``sdk_params`` to the channel's SDK, or ask for the answer to ``challenge``. Nothing of it: ask how the order
    stands, the channel takes the money by itself.
    """

    attempt_no: str
    qr_text: str
    redirect_url: str
    form_url: str
    form_fields: Mapping[str, str]
    sdk_params: Mapping[str, str]
    challenge: str


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A try whose outcome is open, as the cashier page goes on with it; ``unknown``: the channel is being asked."""

    attempt_no: str
    channel: str
    scene: str
    part: str
    unknown: bool
    qr_text: str
    redirect_url: str
    form: FormPost | None


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands, in one small row: what an open page asks for every second.

    ``attempt_no`` and what follows are of the newest attempt whose outcome is open, empty where there is none;
    ``landed`` counts the parts that have their money.
    """

    state: str
    expires_at: datetime
    app_until: datetime | None
    cash_fen: int
    refunded_fen: int
    landed: int
    attempt_no: str
    attempt_part: str
    unknown: bool
    ready: bool
