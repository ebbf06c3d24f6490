"""Wire shapes of the cashier."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from yimatong.payments.channels.base import Scene
from yimatong.payments.orders.schemas import Item


class CashierView(msgspec.Struct, frozen=True, kw_only=True):
    """What the payer sees: what is paid for, how much, until when, and by which channels."""

    order_no: str
    institution_name: str
    description: str
    items: list[Item]
    amount_fen: int
    state: str
    expires_at: datetime
    channels: list[str]
    paid_at: datetime | None
    refunded_fen: int


class NewAttempt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A try at a channel, started by an institution's own app or kiosk."""

    channel: Annotated[str, Meta(pattern="^[a-z]{1,16}(?!\\n)$")]
    scene: Scene
    client_ip: Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}(?!\n)$")] = "127.0.0.1"
    return_url: Annotated[str, Meta(max_length=512, pattern="^(https?://[!-~]+)?(?!\\n)$")] = ""
    payer_id: Annotated[str, Meta(max_length=128, pattern="^[!-~]*(?!\\n)$")] = ""


class StartedAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """What to do next: show ``qr_text``, jump to ``redirect_url``, or hand ``sdk_params`` to the channel's SDK."""

    attempt_no: str
    qr_text: str
    redirect_url: str
    sdk_params: Mapping[str, str]


class OpenAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A try whose outcome is open, as the cashier page goes on with it; ``unknown``: the channel is being asked."""

    attempt_no: str
    channel: str
    scene: str
    unknown: bool
    qr_text: str
    redirect_url: str
