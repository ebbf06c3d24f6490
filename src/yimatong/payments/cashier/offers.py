"""By which channels an order may be paid, and how at each: pure.

A service channel is where the payment starts (an app, a mini program, a window): what it is decides how the payer can
meet a payment channel there. The page of the cashier runs in any browser and picks by the device that it finds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from yimatong.payments.cashier.schemas import ChannelOffer
from yimatong.payments.channels.abilities import Presettling
from yimatong.payments.channels.base import PaymentChannel, Scene

_ANYWHERE: Final = frozenset({Scene.AGREEMENT, Scene.DIRECT})
_BROWSER: Final = frozenset({Scene.NATIVE, Scene.H5, Scene.PAGE})
SCENES_OF: Final[Mapping[str, frozenset[Scene]]] = {
    "ios": _ANYWHERE | {Scene.APP, Scene.H5},
    "android": _ANYWHERE | {Scene.APP, Scene.H5},
    "wechat_account": _ANYWHERE | {Scene.JSAPI, Scene.H5, Scene.NATIVE},
    "mini_program": _ANYWHERE | {Scene.JSAPI},
    "alipay_account": _ANYWHERE | {Scene.JSAPI, Scene.H5},
    "web": _ANYWHERE | _BROWSER,
    "his_window": _ANYWHERE | {Scene.BARCODE, Scene.NATIVE},
    "kiosk": _ANYWHERE | {Scene.NATIVE, Scene.BARCODE},
}
"""How a payer can meet a payment channel, by the kind of service channel that the order was made in."""

_ORDER: Final = ("wechat", "alipay", "unionpay", "netbank", "credit", "insurance", "ncms", "commercial")


def offers(
    names: Iterable[str], channels: Mapping[str, PaymentChannel], *, kind: str | None, allowed: Collection[str] | None
) -> list[ChannelOffer]:
    """Return what a hospital's channels offer for an order, in a stable order that people know.

    ``names``: the channels at which it has an account; ``kind``: of the order's service channel, None for any;
    ``allowed``: the channels that it takes, None for any. A channel that serves nothing there is left out.
    """
    served = None if kind is None else SCENES_OF.get(kind, frozenset())
    found = []
    for name in sorted(names, key=place):
        channel = channels.get(name)
        if channel is None or (allowed is not None and name not in allowed):
            continue
        part = str(channel.part) if isinstance(channel, Presettling) else "cash"
        scenes = sorted(channel.scenes if served is None else channel.scenes & served)
        if scenes:
            found.append(ChannelOffer(channel=name, part=part, scenes=scenes))
    return found


def place(name: str) -> tuple[int, str]:
    """Return where a channel stands in a list for people."""
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)
