"""How an order stands for its payer, and what the page shows of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from yimatong.access.caller import PLATFORM
from yimatong.kit.db import Connection
from yimatong.payments.cashier import queries
from yimatong.payments.cashier.schemas import CashierView, OpenAttempt, Pulse
from yimatong.payments.channels.base import Part
from yimatong.payments.desk import Desk
from yimatong.payments.legs.schemas import LegView
from yimatong.payments.orders.schemas import Item
from yimatong.web.page import Page

FINAL = frozenset({"paid", "refunded", "closed"})
"""Faces of orders that are done."""


class Till(msgspec.Struct, frozen=True, kw_only=True):
    """What a cashier session stands for: an order, and the kiosk whose screen it is on, empty elsewhere."""

    order_no: str
    kiosk: str = ""

    @property
    def subject(self) -> str:
        """Return the session's subject."""
        return f"{self.order_no} {self.kiosk}".strip()


class BillPart(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one bill of an order that pays several; ``source_no`` is empty where it pays one."""

    source_no: str
    items: list[Item]

    @property
    def total_fen(self) -> int:
        """Return what the bill comes to."""
        return sum(item.amount_fen for item in self.items)


class Stand(msgspec.Struct, frozen=True, kw_only=True):
    """An order, its open attempt, and ``face``: which page the payer sees (see :func:`face_of`)."""

    order: CashierView
    attempt: OpenAttempt | None
    face: str
    mark: str

    @property
    def bills(self) -> list[BillPart]:
        """Return the lines by bill, in the order of their first line."""
        found: dict[str, list[Item]] = {}
        for item in self.order.items:
            found.setdefault(item.source_no, []).append(item)
        return [BillPart(source_no=number if len(found) > 1 else "", items=lines) for number, lines in found.items()]

    @property
    def can_share(self) -> bool:
        """Say whether an insurer may still be asked or left out: nothing is under way or settled."""
        return self.face == "choose" and all(leg.state == "presettled" for leg in self.order.legs)


def till_of(page: Page) -> Till:
    """Return what the page's session stands for."""
    order_no, _, kiosk = page.subject.partition(" ")
    return Till(order_no=order_no, kiosk=kiosk)


def face_of(pulse: Pulse, *, at_counter: bool, now: datetime) -> str:
    """Return the face of an order: pure. An open attempt past its time is asked about, never called failed.

    ``choose`` a channel, ``wait`` for the payer, ``ask`` the channel, ``settling`` (an insurer's part), ``paid``,
    ``refunded``, ``closed``, ``expired``, ``counter`` (too late for a phone, not for a kiosk or window).
    """
    known = {"paid": "paid", "partly_refunded": "refunded", "refunded": "refunded", "closed": "closed"}
    if pulse.state in known:
        return known[pulse.state]
    expired = pulse.expires_at <= now
    late = not at_counter and pulse.app_until is not None and pulse.app_until <= now
    if pulse.attempt_no:
        if pulse.attempt_part in {Part.INSURANCE, Part.COMMERCIAL} and pulse.state != "closing":
            return "settling"
        return "ask" if pulse.unknown or expired or late or pulse.state == "closing" else "wait"
    if pulse.state == "closing":
        return "ask"
    if expired:
        return "expired"
    return "counter" if late else "choose"


def mark_of(pulse: Pulse, *, at_counter: bool, now: datetime) -> str:
    """Return what changes whenever the page has to be drawn again: pure."""
    face = face_of(pulse, at_counter=at_counter, now=now)
    return ".".join(
        (face, pulse.state, pulse.attempt_no, str(int(pulse.ready)), str(pulse.landed), str(pulse.cash_fen),
         str(pulse.refunded_fen))
    )  # fmt: skip


async def read_mark(connection: Connection, till: Till, *, now: datetime) -> str:
    """Return the mark of an order as it stands now, by one small query; raises ``OrderNotFound``."""
    return mark_of(await queries.pulse(connection, till.order_no), at_counter=bool(till.kiosk), now=now)


async def read_stand(connection: Connection, desk: Desk, till: Till, *, now: datetime) -> Stand:
    """Return how an order stands; raises ``OrderNotFound``.

    The page is read where its audit row is written, so each statement sees the newest rows: money may land between
    two of them. They are read until nothing has changed meanwhile; else a page waits for an attempt that has ended.
    """
    pulse, before = await queries.pulse(connection, till.order_no), None
    while pulse != before:
        before = pulse
        order = await queries.view(connection, desk, till.order_no, scope=PLATFORM)
        attempt = await queries.open_attempt(connection, till.order_no, scope=PLATFORM)
        pulse = await queries.pulse(connection, till.order_no)
    return Stand(
        order=order,
        attempt=attempt,
        face=face_of(pulse, at_counter=bool(till.kiosk), now=now),
        mark=mark_of(pulse, at_counter=bool(till.kiosk), now=now),
    )


def share_lines(leg: LegView) -> list[tuple[str, int]]:
    """Return what an insurer's part is made of, as (component, fen); nothing where there is one component: pure."""
    lines = [(name, fen) for name, fen in leg.components.items() if fen]
    return lines if len(lines) > 1 else []
