"""The state machines of orders, attempts and refunds: pure. Only the edges listed here exist.

``closing -> paid``: money that arrives before the close protocol has ended is accepted. ``failed -> succeeded``: the
channel corrected itself or the payer was faster than our close; the money is real and is booked, to the order where it
is still open, to suspense where it is not. No edge is taken because time has passed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from yimatong.payments.errors import StateEdgeRefused


class OrderState(StrEnum):
    """How far an order is."""

    CREATED = "created"
    PAYING = "paying"
    PAID = "paid"
    PARTLY_REFUNDED = "partly_refunded"
    REFUNDED = "refunded"
    CLOSING = "closing"
    CLOSED = "closed"


class AttemptState(StrEnum):
    """What we know of one try at a channel."""

    STARTED = "started"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class RefundState(StrEnum):
    """How far a refund is."""

    REQUESTED = "requested"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    ABNORMAL = "abnormal"
    CLOSED = "closed"


_O, _A, _R = OrderState, AttemptState, RefundState

ORDER_EDGES: Final[Mapping[OrderState, frozenset[OrderState]]] = {
    _O.CREATED: frozenset({_O.PAYING, _O.CLOSING}),
    _O.PAYING: frozenset({_O.CREATED, _O.PAID, _O.CLOSING}),
    _O.CLOSING: frozenset({_O.PAID, _O.CLOSED}),
    _O.PAID: frozenset({_O.PARTLY_REFUNDED, _O.REFUNDED}),
    _O.PARTLY_REFUNDED: frozenset({_O.PARTLY_REFUNDED, _O.REFUNDED}),
    _O.REFUNDED: frozenset(),
    _O.CLOSED: frozenset(),
}
ATTEMPT_EDGES: Final[Mapping[AttemptState, frozenset[AttemptState]]] = {
    _A.STARTED: frozenset({_A.UNKNOWN, _A.SUCCEEDED, _A.FAILED}),
    _A.UNKNOWN: frozenset({_A.STARTED, _A.SUCCEEDED, _A.FAILED}),
    _A.FAILED: frozenset({_A.SUCCEEDED}),
    _A.SUCCEEDED: frozenset(),
}
REFUND_EDGES: Final[Mapping[RefundState, frozenset[RefundState]]] = {
    _R.REQUESTED: frozenset({_R.PROCESSING, _R.UNKNOWN, _R.SUCCEEDED, _R.ABNORMAL, _R.CLOSED}),
    _R.PROCESSING: frozenset({_R.UNKNOWN, _R.SUCCEEDED, _R.ABNORMAL, _R.CLOSED}),
    _R.UNKNOWN: frozenset({_R.PROCESSING, _R.SUCCEEDED, _R.ABNORMAL, _R.CLOSED}),
    _R.ABNORMAL: frozenset({_R.SUCCEEDED, _R.CLOSED}),
    _R.SUCCEEDED: frozenset(),
    _R.CLOSED: frozenset(),
}

ORDER_PAYABLE: Final = frozenset({_O.CREATED, _O.PAYING})
ORDER_UNPAID: Final = frozenset({_O.CREATED, _O.PAYING, _O.CLOSING})
ORDER_REFUNDABLE: Final = frozenset({_O.PAID, _O.PARTLY_REFUNDED})
ATTEMPT_OPEN: Final = frozenset({_A.STARTED, _A.UNKNOWN})
REFUND_OPEN: Final = frozenset({_R.REQUESTED, _R.PROCESSING, _R.UNKNOWN})


def step_order(old: str, new: OrderState) -> None:
    """Allow an edge of the order, or raise ``StateEdgeRefused``."""
    if new not in ORDER_EDGES[OrderState(old)]:
        raise StateEdgeRefused(kind="order", old=str(old), new=str(new))


def step_attempt(old: str, new: AttemptState) -> None:
    """Allow an edge of an attempt, or raise ``StateEdgeRefused``."""
    if new not in ATTEMPT_EDGES[AttemptState(old)]:
        raise StateEdgeRefused(kind="attempt", old=str(old), new=str(new))


def step_refund(old: str, new: RefundState) -> None:
    """Allow an edge of a refund, or raise ``StateEdgeRefused``."""
    if new not in REFUND_EDGES[RefundState(old)]:
        raise StateEdgeRefused(kind="refund", old=str(old), new=str(new))
