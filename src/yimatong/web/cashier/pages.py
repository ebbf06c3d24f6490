"""The cashier: what is paid for, the channels, and how it stands, told live. It never turns waiting into an outcome.

One page for phones, computers and kiosks; a kiosk opens it for somebody it has identified (``web.kiosk.paying``).
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Response, get, post, route
from litestar.di import NamedDependency
from litestar.enums import HttpMethod
from litestar.params import FromPath

from yimatong.access import sessions
from yimatong.access.caller import PLATFORM
from yimatong.kit.db import Connection
from yimatong.kit.errors import OutcomeUnknown, Refusal, Unavailable
from yimatong.payments.cashier import service
from yimatong.payments.cashier.schemas import NewAttempt, StartedAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.errors import ChannelNotOffered, LegPending, OrderNotPayable
from yimatong.payments.preferences import service as preferences
from yimatong.web.cashier import elsewhere, insurance, leaving, live, quick, receipts
from yimatong.web.cashier.device import channel_of_code, ways
from yimatong.web.cashier.remembering import channel_cookie, large_cookie
from yimatong.web.cashier.showing import desk_of, look, show, this_device
from yimatong.web.cashier.standing import till_of
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import KINDS, Page


@get("/cashier/open/{link:str}", permission="cashier:open", opt={"public": True}, include_in_schema=False)
async def open_cashier(link: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Use up the link of an order and open its cashier in this browser."""
    token = await page.write(
        lambda tx: sessions.open_link(tx, link, purpose="cashier", lifetime_s=KINDS["cashier"].lifetime_s, now=page.now)
    )
    return page.go("/cashier", page.session_cookie("cashier", token))


@route(
    "/cashier/return",
    http_method=[HttpMethod.GET, HttpMethod.POST],
    permission="cashier:open",
    opt={"public": True},
    status_code=303,
    include_in_schema=False,
)
async def come_back() -> Response[None]:
    """Lead a browser that a channel sends back to the cashier; nothing that it brings along is believed or read.

    A channel's own page posts, and such a request has none of our cookies (SameSite=Lax): the answer is a GET, which
    has them. How the payment stands is asked from the channel.
    """
    return Response(None, status_code=303, headers={"location": "/cashier?back=1"})


@get("/cashier", session="cashier", permission="cashier:show", reads="personal", include_in_schema=False)
async def show_cashier(page: NamedDependency[Page]) -> Response[str]:
    """Show the order as it stands."""
    return show(page, await look(page))


@get("/cashier/size", session="cashier", permission="cashier:show", include_in_schema=False)
async def choose_size(page: NamedDependency[Page]) -> Response[None]:
    """Keep large print, or normal print, for this browser."""
    return page.go("/cashier", large_cookie(page, large=page.request.query_params.get("large") == "1"))


@post("/cashier/pay", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def pay(page: NamedDependency[Page]) -> Response[Any]:
    """Start a payment, or go on with the open one, and lead to what the payer has to do."""
    form = await page.request.form()
    channel = str(form.get("channel", ""))
    scene = str(form.get("scene", "")) or await _own_scene(page, channel)
    wanted = _wanted(page, channel=channel, scene=scene, payer_id=str(form.get("payer_id", "")).strip())
    return await _start(page, wanted)


@post("/cashier/scan", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def scan(page: NamedDependency[Page]) -> Response[Any]:
    """Take the payment code that a kiosk's scanner has read; its first digits say whose it is."""
    code = str((await page.request.form()).get("line", "")).strip()
    channel = channel_of_code(code)
    if not till_of(page).kiosk or not channel:
        return show(page, await look(page), problem=ChannelNotOffered(channel=channel or "?"))
    return await _start(page, _wanted(page, channel=channel, scene=Scene.BARCODE, auth_code=code))


@post("/cashier/ask", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def ask(page: NamedDependency[Page]) -> Response[Any]:
    """Ask the channel now how the payment stands."""
    await page.write(_nothing)
    await service.refresh(desk_of(page), till_of(page).order_no, scope=PLATFORM, now=page.now)
    return page.go("/cashier?asked=1")


@post("/cashier/other", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def choose_again(page: NamedDependency[Page]) -> Response[Any]:
    """Close what is open at the channel, so that another can be chosen and nobody pays twice."""
    await page.write(_nothing)
    await service.take_back(desk_of(page), till_of(page).order_no, scope=PLATFORM, now=page.now)
    return page.go("/cashier")


async def _start(page: Page, wanted: NewAttempt) -> Response[Any]:
    """Start a payment; whatever its outcome may become stands on the page that this leads to."""
    till = till_of(page)
    remembered = await page.write(lambda tx: _remember(tx, page, wanted))
    try:
        started = await service.start_attempt(
            desk_of(page), till.order_no, wanted, scope=PLATFORM, at_counter=bool(till.kiosk), now=page.now
        )
    except LegPending:
        return page.go(f"/cashier?go_on={wanted.channel}")
    except (OutcomeUnknown, OrderNotPayable):
        return page.go("/cashier")
    except (Refusal, Unavailable) as error:
        return show(page, await look(page), problem=error)
    cookies = [] if remembered or till.kiosk else [channel_cookie(page, wanted.channel)]
    return page.go(_next(started), *cookies)


async def _remember(tx: Connection, page: Page, wanted: NewAttempt) -> bool:
    """Keep the channel for the payer, if she is known; with the audit row of the request."""
    till = till_of(page)
    return await preferences.remember(tx, till.order_no, wanted.channel, now=page.now)


def _next(started: StartedAttempt) -> str:
    return "/cashier/leave" if started.form_url else "/cashier"


async def _own_scene(page: Page, channel: str) -> str:
    """Return how this device pays at a channel where the form does not say; the service refuses what is not served."""
    seen = await look(page)
    found = [way.scene for way in ways(seen.stand.order, this_device(page)) if way.channel == channel]
    return str(found[0]) if found else str(Scene.NATIVE)


def _wanted(page: Page, *, channel: str, scene: str, payer_id: str = "", auth_code: str = "") -> NewAttempt:
    address = page.request.client.host if page.request.client else "127.0.0.1"
    try:
        return msgspec.convert(
            {
                "channel": channel,
                "scene": scene,
                "client_ip": address,
                "return_url": f"{page.parts.settings.addresses.web}/cashier/return",
                "payer_id": payer_id,
                "auth_code": auth_code,
            },
            NewAttempt,
        )
    except msgspec.ValidationError as error:
        raise FilterInvalid(detail="channel, scene") from error


async def _nothing(_tx: Connection) -> None:
    """Stand for the verb that runs outside this transaction; only its audit row is written in it."""


ROUTES = [
    *(open_cashier, come_back, show_cashier, choose_size, pay, scan, ask, choose_again),
    *(*live.ROUTES, *leaving.ROUTES, *insurance.ROUTES, *quick.ROUTES, *elsewhere.ROUTES, *receipts.ROUTES),
]
