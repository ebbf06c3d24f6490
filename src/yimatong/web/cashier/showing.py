"""What the page is drawn from: the order as it stands, the ways that this device can pay by, and who may share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Response

from yimatong.access.caller import PLATFORM
from yimatong.cards.errors import AccountNotFound
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.payments.agreements import service as agreements
from yimatong.payments.agreements.schemas import AgreementView
from yimatong.payments.cashier import queries as cashier
from yimatong.payments.channels.base import Part, Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered
from yimatong.payments.orders import queries as orders
from yimatong.payments.preferences import queries as preferences
from yimatong.web.cashier.device import Device, Kind, device_of, scanned, ways
from yimatong.web.cashier.receipts import receipt_state
from yimatong.web.cashier.remembering import is_large, kept_channel
from yimatong.web.cashier.standing import Stand, Till, read_stand, share_lines, till_of
from yimatong.web.page import Page
from yimatong.web.symbols import picture

ITEMS_SHOWN: Final = 8
"""A longer list of items is folded: the sum and the way to pay come first."""
_RETURN_S: Final[Mapping[str, int]] = {"choose": 120, "wait": 180, "ask": 180, "settling": 180}
_RETURN_DONE_S: Final = 45
_UNTYPED: Final = frozenset({"insurance"})
"""Insurers that need nothing typed of a patient whom the index knows: a kiosk in a hall has no keyboard for more."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at the database found.

    ``quick``: bound bank cards; ``known``: the patient is in the index; ``receipt``: how the electronic receipt of a
    paid order stands, ``asked``, ``issued`` or ``slip`` (of a deposit), empty where there is none.
    """

    stand: Stand
    preferred: str
    quick: list[AgreementView]
    known: bool
    receipt: str = ""


async def look(page: Page) -> Look:
    """Read what the page shows; with an audit row where the route reads personal data."""
    till = till_of(page)
    return await page.read(lambda tx: _read(tx, page, till))


async def _read(tx: Connection, page: Page, till: Till) -> Look:
    stand = await read_stand(tx, desk_of(page), till, now=page.now)
    quick = await _quick(tx, desk_of(page), till) if stand.face in {"choose", "wait"} else []
    if stand.face != "choose":
        receipt = await receipt_state(tx, till.order_no) if stand.face in {"paid", "refunded"} else ""
        return Look(stand=stand, preferred="", quick=quick, known=False, receipt=receipt)
    preferred = await preferences.preferred(tx, till.order_no)
    if preferred is None:
        preferred = "" if till.kiosk else kept_channel(page)
    patient, _ = await cashier.whose(tx, till.order_no)
    return Look(stand=stand, preferred=preferred, quick=quick, known=patient is not None)


async def _quick(tx: Connection, desk: Desk, till: Till) -> list[AgreementView]:
    """Return the payer's bank cards that pay at this hospital by an SMS code.

    Password-free agreements are not offered: a cashier link may be handed on, and a card is safe by its code.
    """
    payer = await preferences.payer_of(tx, till.order_no)
    if payer is None:
        return []
    order = await orders.find(tx, till.order_no, scope=PLATFORM)
    try:
        return await agreements.quick(tx, desk, payer, order.institution_id)
    except AccountNotFound:
        return []


def show(page: Page, seen: Look, *, problem: PlatformError | None = None) -> Response[str]:
    """Draw the cashier; ``problem`` is told in place, with its code."""
    stand, device = seen.stand, this_device(page)
    attempt, query = stand.attempt, page.request.query_params
    offered = ways(stand.order, device, preferred=seen.preferred)
    wish = query.get("go_on", "")
    settled = bool(stand.order.legs) and all(leg.state == "settled" for leg in stand.order.legs)
    return page.html(
        "cashier/cashier.html",
        status=problem.status if problem else 200,
        **frame(page),
        stand=stand,
        order=stand.order,
        attempt=attempt,
        picture=picture(attempt.qr_text) if attempt and attempt.qr_text and stand.face == "wait" else None,
        device=device,
        ways=offered,
        preferred=seen.preferred,
        scanned=scanned(stand.order) if device.kind is Kind.KIOSK else [],
        quick=seen.quick,
        known=seen.known,
        receipt=seen.receipt,
        insurers=[
            name for name in insurers(stand) if device.kind is not Kind.KIOSK or (seen.known and name in _UNTYPED)
        ],
        settled=settled,
        go_on=next((way for way in offered if way.channel == wish), None) if settled else None,
        leg_failed=bool(wish) and stand.face == "choose" and not settled,
        asked=bool(query.get("asked")),
        back=bool(query.get("back")),
        share_lines=share_lines,
        items_shown=ITEMS_SHOWN,
        start_s=_RETURN_S.get(stand.face, _RETURN_DONE_S),
        problem=problem.text(page.language) if problem else "",
        problem_code=problem.code if problem else "",
    )


def frame(page: Page) -> dict[str, Any]:
    """Return what every template of the cashier needs."""
    till = till_of(page)
    return {
        "base": "kiosk/base.html" if till.kiosk else "shared/base.html",
        "kiosk": bool(till.kiosk),
        "large": is_large(page),
    }


def insurers(stand: Stand) -> list[str]:
    """Return the insurers that can still be asked: each pays one part, and none pays a part twice."""
    if not stand.can_share:
        return []
    taken = {leg.part for leg in stand.order.legs}
    return [
        each.channel
        for each in stand.order.offers
        if each.part != Part.CASH and each.part not in taken and not each.troubled and Scene.DIRECT in each.scenes
    ]


def this_device(page: Page) -> Device:
    """Return the device that the page is shown on."""
    return device_of(page.request.headers.get("user-agent", ""), kiosk=bool(till_of(page).kiosk))


def desk_of(page: Page) -> Desk:
    """Return what payments need.

    Raises:
        ChannelNotOffered: these pages take no payment.
    """
    if page.parts.desk is None:
        raise ChannelNotOffered(channel="*")
    return page.parts.desk
