"""The cashier: what is paid for, the channels, and how it stands, told live. It never turns waiting into an outcome."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import sessions
from yimatong.access.caller import PLATFORM
from yimatong.kit.db import Connection
from yimatong.kit.errors import OutcomeUnknown, PlatformError, Refusal, Unavailable
from yimatong.payments.cashier import queries, service
from yimatong.payments.cashier.schemas import CashierView, NewAttempt, OpenAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered, OrderNotPayable
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import KINDS, Page
from yimatong.web.symbols import picture

_MOBILE: Final = ("Mobile", "Android", "iPhone", "iPad")


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """How an order stands for its payer. ``face`` names what the page shows.

    ``choose`` a channel, ``wait`` for the payer, ``ask`` the channel, ``paid``, ``refunded``, ``closed``, ``expired``.
    """

    order: CashierView
    attempt: OpenAttempt | None
    face: str

    @property
    def mark(self) -> str:
        """Return what changes when the page has to be drawn again."""
        return f"{self.face}.{self.order.state}.{self.attempt.attempt_no if self.attempt else ''}"


def face_of(order: CashierView, attempt: OpenAttempt | None, *, expired: bool) -> str:
    """Return the face of an order: pure. An open attempt past its time is asked about, never called failed."""
    if order.state == "paid":
        return "paid"
    if order.state in {"partly_refunded", "refunded"}:
        return "refunded"
    if order.state == "closed":
        return "closed"
    if order.state == "closing" or (attempt is not None and (attempt.unknown or expired)):
        return "ask"
    if expired:
        return "expired"
    return "choose" if attempt is None else "wait"


@get("/cashier/open/{link:str}", permission="cashier:open", opt={"public": True}, include_in_schema=False)
async def open_cashier(link: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Use up the link of an order and open its cashier in this browser."""
    token = await page.write(
        lambda tx: sessions.open_link(tx, link, purpose="cashier", lifetime_s=KINDS["cashier"].lifetime_s, now=page.now)
    )
    return page.go("/cashier", page.session_cookie("cashier", token))


@get("/cashier", session="cashier", permission="cashier:show", reads="personal", include_in_schema=False)
async def show_cashier(page: NamedDependency[Page]) -> Response[str]:
    """Show the order as it stands."""
    return _show(page, await page.read(lambda tx: _stand(tx, page)))


@get("/cashier/state", session="cashier", permission="cashier:show", include_in_schema=False)
async def tell_state(page: NamedDependency[Page]) -> Response[Any]:
    """Say whether the page has to be drawn again; asked every two seconds while it waits."""
    stand = await page.read(lambda tx: _stand(tx, page))
    changed = page.request.query_params.get("seen", "") != stand.mark
    return Response(None, status_code=204, headers={"hx-refresh": "true"} if changed else {})


@post("/cashier/pay", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def pay(page: NamedDependency[Page]) -> Response[Any]:
    """Start a payment, or go on with the open one, and lead back to the cashier that shows what to do."""
    form = await page.request.form()
    wanted = _wanted(page, channel=str(form.get("channel", "")), scene=str(form.get("scene", "")))
    await page.write(_nothing)
    try:
        await service.start_attempt(_desk(page), page.subject, wanted, scope=PLATFORM, now=page.now)
    except (OutcomeUnknown, OrderNotPayable):
        return page.go("/cashier")
    except (Refusal, Unavailable) as error:
        return _show(page, await page.read(lambda tx: _stand(tx, page)), problem=error)
    return page.go("/cashier")


@post("/cashier/ask", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def ask(page: NamedDependency[Page]) -> Response[Any]:
    """Ask the channel now how the payment stands."""
    await page.write(_nothing)
    await service.refresh(_desk(page), page.subject, scope=PLATFORM, now=page.now)
    return page.go("/cashier?asked=1")


async def _nothing(_tx: Connection) -> None:
    """Stand for the verb that runs outside this transaction; only its audit row is written in it."""


async def _stand(tx: Connection, page: Page) -> Stand:
    order = await queries.view(tx, page.subject, scope=PLATFORM)
    attempt = await queries.open_attempt(tx, page.subject, scope=PLATFORM)
    return Stand(order=order, attempt=attempt, face=face_of(order, attempt, expired=order.expires_at <= page.now))


def _show(page: Page, stand: Stand, *, problem: PlatformError | None = None) -> Response[str]:
    attempt = stand.attempt
    return page.html(
        "cashier/cashier.html",
        status=problem.status if problem else 200,
        stand=stand,
        order=stand.order,
        attempt=attempt,
        picture=picture(attempt.qr_text) if attempt and attempt.qr_text and stand.face == "wait" else None,
        phone=_on_phone(page),
        asked=bool(page.request.query_params.get("asked")),
        problem=problem.text(page.language) if problem else "",
        problem_code=problem.code if problem else "",
    )


def _wanted(page: Page, *, channel: str, scene: str) -> NewAttempt:
    """Return the attempt asked for; without a wish a phone jumps to the channel and a computer shows a code."""
    address = page.request.client.host if page.request.client else "127.0.0.1"
    try:
        return msgspec.convert(
            {
                "channel": channel,
                "scene": scene or (Scene.H5 if _on_phone(page) else Scene.NATIVE),
                "client_ip": address,
                "return_url": f"{page.parts.settings.addresses.web}/cashier",
            },
            NewAttempt,
        )
    except msgspec.ValidationError as error:
        raise FilterInvalid(detail="channel, scene") from error


def _on_phone(page: Page) -> bool:
    agent = page.request.headers.get("user-agent", "")
    return any(word in agent for word in _MOBILE)


def _desk(page: Page) -> Desk:
    if page.parts.desk is None:
        raise ChannelNotOffered(channel="*")
    return page.parts.desk


ROUTES = [open_cashier, show_cashier, tell_state, pay, ask]
