"""Paying at a kiosk: from somebody who was read to her unpaid bills here, and on to the cashier on this screen.

A label finds unpaid bills too: they are paid by separate means, nothing that is bound to the card moves. Who was read
travels sealed between the pages of this terminal, and no bill is shown that is not hers and this hospital's.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec
from litestar import Response, post
from litestar.di import NamedDependency

from yimatong.access import sessions
from yimatong.access.caller import Caller
from yimatong.care.payables import queries as payables
from yimatong.care.payables import service as paying
from yimatong.care.payables.schemas import BILLS_MAX, NewPayablesOrder, Payable
from yimatong.crypto.errors import SealBroken
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.payments import sources
from yimatong.payments.cashier import queries
from yimatong.payments.errors import OrderNotFound
from yimatong.payments.orders.schemas import OrderView
from yimatong.web.cashier.remembering import large_cookie
from yimatong.web.cashier.showing import desk_of
from yimatong.web.cashier.standing import Till
from yimatong.web.errors import FilterInvalid, FormNotGenuine
from yimatong.web.kiosk.terminal import START_S, find, key_of, problem, terminal
from yimatong.web.page import Page

WAY: Final = "pay"
TILL_S: Final = 15 * 60
"""A cashier on a kiosk's screen; the page itself goes back to the start much earlier."""
OF_BILLS: Final = frozenset({sources.BILL, sources.SEVERAL, sources.DEPOSIT})
"""Kinds of orders that stand for bills: those are chosen as bills."""
_HELD_S: Final = 300
_HELD: Final = "kiosk-payer"
_HELD_MAX: Final = 1000


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bills are shown on this screen, until when."""

    vuid: str
    until: datetime


def offered(page: Page, caller: Caller) -> bool:
    """Say whether bills can be paid at this terminal."""
    return page.parts.desk is not None and caller.institution_id is not None and "bills:read" in caller.permissions


@post("/kiosk/pay", session="kiosk", permission="kiosk:pay", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def show_bills(page: NamedDependency[Page]) -> Response[str]:
    """List what can be paid here for whoever was read."""
    form = await page.request.form()
    key = key_of(form)
    try:
        caller = await terminal(page)
        caller.require("bills:read")
        found = await find(page, str(form.get("line", "")), key)
        payer = Payer(vuid=found.whose.vuid, until=page.now + timedelta(seconds=_HELD_S))
        waiting = await page.write(lambda tx: _waiting(tx, page, payer, caller))
    except PlatformError as error:
        return problem(page, error, WAY)
    return page.html(
        "kiosk/bills.html",
        name=found.name,
        bills=waiting.bills,
        orders=waiting.orders,
        held=await _hold(page, payer, caller),
        start_s=START_S * 2 if waiting.bills or waiting.orders else START_S // 2,
    )


@post("/kiosk/pay/open", session="kiosk", permission="kiosk:pay", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def open_till(page: NamedDependency[Page]) -> Response[None] | Response[str]:
    """Open the cashier of the chosen bills, together, or of one other order of hers on this screen."""
    form = await page.request.form()
    order_no, bills = str(form.get("order_no", "")), [str(each) for each in form.getall("bill", [])][:BILLS_MAX]
    try:
        caller = await terminal(page)
        payer = await _held(page, str(form.get("held", ""))[:_HELD_MAX], caller)
        if bills:
            order_no = await _together(page, payer, bills, caller)
        else:
            await page.write(lambda tx: _require_hers(tx, page, payer, order_no, caller))

        async def opened(tx: Connection) -> str:
            till = Till(order_no=order_no, kiosk=caller.caller_id)
            return await sessions.open_session(
                tx, subject=till.subject, purpose="cashier", lifetime_s=TILL_S, now=page.now
            )

        token = await page.write(opened)
    except PlatformError as error:
        return problem(page, error, WAY)
    # Large print of whoever stood here before is not the next payer's.
    return page.go("/cashier", page.session_cookie("cashier", token), large_cookie(page, large=False))


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """What waits to be paid: bills, several of which can go together, and orders of other kinds, each alone."""

    bills: list[Payable]
    orders: list[OrderView]


async def _waiting(tx: Connection, page: Page, payer: Payer, caller: Caller) -> Waiting:
    whose = await payables.patients(tx, page.vault, payer.vuid, caller=caller, now=page.now)
    found = await payables.page(tx, whose, caller=caller, limit=BILLS_MAX)
    vuids = [vuid for each in whose for vuid in each.vuids]
    orders = await queries.payable_of(tx, vuids, scope=caller.scope, now=page.now)
    return Waiting(bills=found.payables, orders=[each for each in orders if each.source_kind not in OF_BILLS])


async def _together(page: Page, payer: Payer, bills: list[str], caller: Caller) -> str:
    """Return the one order that pays some of her bills here.

    Raises:
        FilterInvalid: not numbers of bills. What ``payables.order`` raises.
    """
    facts = {"institution_id": caller.institution_id, "bills": bills, "payer_vuid": payer.vuid}
    try:
        wanted = msgspec.convert(facts, NewPayablesOrder)
    except msgspec.ValidationError as error:
        raise FilterInvalid(detail="bill") from error
    return (await paying.order(desk_of(page), wanted, caller=caller, now=page.now)).order_no


async def _require_hers(tx: Connection, page: Page, payer: Payer, order_no: str, caller: Caller) -> None:
    """Refuse an order that is not on her list.

    Raises:
        OrderNotFound: it is not.
    """
    if order_no not in {each.order_no for each in (await _waiting(tx, page, payer, caller)).orders}:
        raise OrderNotFound


async def _hold(page: Page, payer: Payer, caller: Caller) -> str:
    sealer = await page.vault.sealer(_HELD)
    return sealer.seal(msgspec.json.encode(payer), f"{_HELD}:{caller.caller_id}".encode()).hex()


async def _held(page: Page, text: str, caller: Caller) -> Payer:
    """Open what this terminal's page brings back.

    Raises:
        FormNotGenuine: another terminal's, altered, or read too long ago.
    """
    try:
        plain = (await page.vault.sealer(_HELD)).unseal(bytes.fromhex(text), f"{_HELD}:{caller.caller_id}".encode())
        payer = msgspec.json.decode(plain, type=Payer)
    except (ValueError, SealBroken) as error:
        raise FormNotGenuine(audit=type(error).__name__) from error
    if payer.until <= page.now:
        raise FormNotGenuine(audit="read too long ago")
    return payer


ROUTES = [show_bills, open_till]
