"""Leaving for a channel by a form that the payer's own browser posts: UnionPay's and the banks' pages.

A script of ours sends the form; without it a button does. The page's content policy lets forms go to the channel's
address and nowhere else.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from litestar import Response, get
from litestar.di import NamedDependency

from yimatong.web.cashier.showing import frame, look
from yimatong.web.page import Page


@get("/cashier/leave", session="cashier", permission="cashier:show", include_in_schema=False)
async def leave(page: NamedDependency[Page]) -> Response[Any]:
    """Show the form of the open attempt; where there is none any more, the cashier."""
    stand = (await look(page)).stand
    attempt = stand.attempt
    if stand.face != "wait" or attempt is None or attempt.form is None:
        return page.go("/cashier")
    page.request.scope["state"]["form_action"] = origin_of(attempt.form.url)
    return page.html("cashier/leave.html", **frame(page), order=stand.order, attempt=attempt, form=attempt.form)


def origin_of(address: str) -> str:
    """Return scheme, host and port of a channel's address, as a content policy names it: pure.

    Raises:
        ValueError: not an address of the web, or one with characters that would end the policy's word.
    """
    parts = urlsplit(address)
    origin = f"{parts.scheme}://{parts.netloc}"
    plain = all(sign.isalnum() or sign in "-.:[]" for sign in parts.netloc)
    if parts.scheme not in {"http", "https"} or not parts.hostname or not parts.netloc.isascii() or not plain:
        message = "not an address that a form can be sent to"
        raise ValueError(message)
    return origin


ROUTES = [leave]
