"""Shapes of deliveries."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One try. ``status``: the HTTP answer, 0 for none; ``cause``: our code of why it was not taken, empty if it was.

    ``receiver``: the caller id of the institution's system, or the merchant number of the service channel.
    """

    message_id: int
    attempt: int
    topic: str
    receiver: str
    status: int
    cause: str
    took_ms: int
    at: datetime


class Telling(msgspec.Struct, frozen=True, kw_only=True):
    """One message about an order. ``state``: ``pending``, ``delivered``, ``parked``, or ``forgotten``.

    A delivered message is forgotten after some days, its tries stay. ``next_at`` is None where nothing is due.
    """

    message_id: int
    event: str
    topic: str
    state: str
    next_at: datetime | None
    tries: list[Delivery]


class Deliveries(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of an order, oldest first."""

    order_no: str
    messages: list[Telling]


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A parked message that has another round of tries."""

    order_no: str
    message_id: int
    state: str = "pending"


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A parked message of any room, as the console lists it; texts are empty where it is not about an order."""

    message_id: int
    topic: str
    order_no: str
    institution_id: str
    event: str
    attempts: int
    created_at: datetime
    cause: str
