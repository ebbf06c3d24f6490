"""What a browser keeps for its payer: the channel she used last, and large print.

Where the platform knows the payer the channel is kept on the server (``payments.preferences``); else a cookie of this
site keeps it, signed so that nothing but a channel's name that we wrote comes back. A kiosk keeps nothing of anybody.
"""

from __future__ import annotations

import hmac
from typing import Final

from litestar.datastructures import Cookie

from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.web.page import Page

CHANNEL_COOKIE: Final = "ymt_channel"
LARGE_COOKIE: Final = "ymt_large"
_PATH: Final = "/cashier"
_YEAR_S: Final = 365 * 24 * 3600


def channel_cookie(page: Page, channel: str) -> Cookie:
    """Return the cookie that keeps a channel for a payer whom the platform does not know."""
    return page.cookie(CHANNEL_COOKIE, f"{channel}.{_signature(page, channel)}", path=_PATH, max_age=_YEAR_S)


def kept_channel(page: Page) -> str:
    """Return the channel that this browser kept, empty for none or for a cookie that we did not write."""
    channel, _, signature = page.request.cookies.get(CHANNEL_COOKIE, "").partition(".")
    return channel if hmac.compare_digest(_signature(page, channel).encode(), signature.encode()) else ""


def large_cookie(page: Page, *, large: bool) -> Cookie:
    """Return the cookie that keeps large print, or takes it back."""
    return page.cookie(LARGE_COOKIE, "1" if large else "", path=_PATH, max_age=_YEAR_S if large else 0)


def is_large(page: Page) -> bool:
    """Say whether this browser wants large print."""
    return page.request.cookies.get(LARGE_COOKIE) == "1"


def _signature(page: Page, channel: str) -> str:
    key = bytes.fromhex(page.parts.settings.web_session_key)
    return hmac_sm3(key, b"channel:" + channel.encode()).hex()
