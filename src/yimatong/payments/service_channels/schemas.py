"""Shapes of service channels (线上服务渠道)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

KINDS: Final = (*("ios", "android", "wechat_account", "mini_program", "alipay_account", "web", "his_window", "kiosk"),)
"""The channels of the seed's list: the two apps, 服务号, 小程序, 生活号, web, the hospital's window and its kiosks."""

Kind = Literal["ios", "android", "wechat_account", "mini_program", "alipay_account", "web", "his_window", "kiosk"]
Line = Annotated[str, Meta(min_length=1, max_length=127, pattern="^[^\\x00-\\x1f\\x7f]+(?!\\n)$")]
TerminalNo = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,32}(?!\n)$")]
Channels = Annotated[list[Annotated[str, Meta(pattern=r"^[a-z]{1,16}(?!\n)$")]], Meta(max_length=20)]
NotifyUrl = Annotated[str, Meta(max_length=500)]


class Terminal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A terminal of a service channel; ``proof``: its orders must be proven with its key."""

    terminal_no: TerminalNo
    name: Line
    proof: bool = False


class NewServiceChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service channel to register. ``channels``: the payment channels it takes, none for all of the hospital's."""

    kind: Kind
    name: Line
    caller_id: str
    institution_id: str | None = None
    terminals: list[Terminal] = []
    channels: Channels = []
    notify_url: NotifyUrl = ""


class ServiceChannelChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be changed; what is left out stays."""

    name: Line | None = None
    channels: Channels | None = None
    notify_url: NotifyUrl | None = None


class ServiceChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A service channel as everybody may see it: no key is ever in it.

    ``previous_until``: until when the key before the present one still counts; None where there is none.
    """

    service_channel_id: str
    institution_id: str | None
    caller_id: str
    kind: str
    name: str
    merchant_no: str
    terminals: list[Terminal]
    channels: list[str]
    notify_url: str
    state: str
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime


class ServiceChannels(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's own service channels, by their number."""

    service_channels: list[ServiceChannel]


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Keys that were made, in hex (32 bytes); they are told once, and sealed for ever after.

    ``key``: the merchant's, empty where it was not made; ``terminal_keys``: by terminal number.
    """

    service_channel_id: str
    merchant_no: str
    key: str = ""
    terminal_keys: dict[str, str] = {}
    previous_until: datetime | None = None
