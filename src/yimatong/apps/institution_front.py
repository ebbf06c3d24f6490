"""The institution front as a process of its own."""

from __future__ import annotations

from yimatong.gateways.front import INSTITUTION_PATHS, Front
from yimatong.kit.http import Outbound
from yimatong.kit.settings import Settings


def build(settings: Settings) -> Front:
    """Return the front as an ASGI application."""
    return Front(
        centre=settings.addresses.core,
        front_id=settings.front_id,
        secret=bytes.fromhex(settings.front_secret),
        paths=INSTITUTION_PATHS,
        outbound=Outbound(),
    )
