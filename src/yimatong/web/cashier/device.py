"""What the payer holds in her hands, and how she meets each channel there: pure.

A browser inside WeChat (``MicroMessenger``), Alipay (``AlipayClient``) or the banks' app (``UnionPay``) says so in its
user agent. WeChat Pay's H5 payment is made for browsers outside WeChat, and JSAPI needs the page of the hospital's own
service account; WeChat and Alipay do not open each other's apps. Inside one of them the cashier shows the code of what
cannot be jumped to from there, for another phone, and offers the way to the browser (``web.cashier.elsewhere``).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import StrEnum
from typing import Final

import msgspec

from yimatong.payments.cashier.schemas import CashierView, ChannelOffer
from yimatong.payments.channels.base import Part, Scene


class Kind(StrEnum):
    """What kind of device it is."""

    PHONE = "phone"
    COMPUTER = "computer"
    KIOSK = "kiosk"


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """A device; ``inside`` names the channel whose own app the browser is part of, empty for any other browser."""

    kind: Kind
    inside: str = ""


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """A channel as the page offers it: by which scene, and another that can be chosen instead (empty: none)."""

    channel: str
    scene: Scene
    other: str = ""


_MOBILE: Final = re.compile(r"Mobile|Android|iPhone|iPad|HarmonyOS")
_INSIDE: Final = (("MicroMessenger", "wechat"), ("AlipayClient", "alipay"), ("UnionPay/", "unionpay"))
_SCENES: Final = {
    Kind.PHONE: (Scene.H5, Scene.NATIVE, Scene.PAGE, Scene.DIRECT),
    Kind.COMPUTER: (Scene.NATIVE, Scene.PAGE, Scene.DIRECT),
    Kind.KIOSK: (Scene.NATIVE,),
}
_SHUT_IN: Final = {"wechat": ("wechat", "alipay"), "alipay": ("wechat",)}
"""Channels whose jump does not work inside an app. That apps block each other's addresses is what their users meet; no
public document of WeChat or Alipay promises either way."""
_OTHERS: Final = {Kind.PHONE: Scene.NATIVE, Kind.COMPUTER: Scene.PAGE}
_CODES: Final = (
    (re.compile(r"1[0-5][0-9]{16}", re.ASCII), "wechat"),
    (re.compile(r"(?:2[5-9]|30)[0-9]{14,22}", re.ASCII), "alipay"),
    (re.compile(r"62[0-9]{17}", re.ASCII), "unionpay"),
)
"""Payment codes as the channels' documents for merchants give them: 18 digits from 10 to 15 (WeChat Pay), 16 to 24
digits from 25 to 30 (Alipay), 19 digits from 62 (UnionPay QR code)."""


def device_of(agent: str, *, kiosk: bool = False) -> Device:
    """Return the device of a user agent; a kiosk is known by its session, whatever its browser says."""
    if kiosk:
        return Device(kind=Kind.KIOSK)
    inside = next((channel for word, channel in _INSIDE if word in agent), "")
    return Device(kind=Kind.PHONE if _MOBILE.search(agent) else Kind.COMPUTER, inside=inside)


def ways(order: CashierView, device: Device, *, preferred: str = "") -> list[Way]:
    """Return the channels of the payer's own part that this device can pay by, the preferred one first."""
    able = [each for each in order.offers if each.part == Part.CASH and not each.troubled]
    found = [way for each in able if (way := _way(each, device)) is not None]
    return sorted(found, key=lambda way: way.channel != preferred)


def _way(offer: ChannelOffer, device: Device) -> Way | None:
    scenes = _scenes(offer.channel, offer.scenes, device)
    if not scenes:
        return None
    other = _OTHERS.get(device.kind)
    return Way(channel=offer.channel, scene=scenes[0], other=other if other in scenes[1:] else "")


def _scenes(channel: str, served: Collection[Scene], device: Device) -> list[Scene]:
    scenes = [scene for scene in _SCENES[device.kind] if scene in served]
    if channel in _SHUT_IN.get(device.inside, ()) and Scene.NATIVE in scenes:
        scenes.sort(key=lambda scene: scene is not Scene.NATIVE)
    return scenes


def scanned(order: CashierView) -> list[str]:
    """Return the channels whose payment codes a scanner can take here."""
    return [
        each.channel
        for each in order.offers
        if each.part == Part.CASH and not each.troubled and Scene.BARCODE in each.scenes
    ]


def channel_of_code(code: str) -> str:
    """Return whose payment code this is, empty for none that we know."""
    return next((channel for form, channel in _CODES if form.fullmatch(code)), "")
