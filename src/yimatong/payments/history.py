"""The one way in which orders, attempts and refunds move: lock, conditional update, one row of history.

Whoever changes anything of an order locks the order's row first, so everything about one order happens one after the
other. The update is conditional all the same: state and version must be what was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, or_, text, true

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.kit.together import Piece, together
from yimatong.payments.errors import OrderNotFound, StateEdgeRefused
from yimatong.payments.models import attempt, history, order, refund
from yimatong.payments.states import (
    AttemptState,
    OrderState,
    RefundState,
    step_attempt,
    step_order,
    step_refund,
)


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that an order's row lies in ``scope``."""
    if scope.all_rows:
        return true()
    if scope.institution_id is not None:
        return order.c.institution_id == scope.institution_id
    return or_(order.c.caller_id == scope.caller_id, order.c.payer_caller_id == scope.caller_id)


def is_within(row: Any, scope: Scope) -> bool:
    """Say whether an order's row lies in ``scope``: the same as :func:`within` and the statements below."""
    if scope.all_rows:
        return True
    if scope.institution_id is not None:
        return bool(row.institution_id == scope.institution_id)
    return scope.caller_id in {row.caller_id, row.payer_caller_id}


async def lock_order(connection: Connection, order_no: str, *, scope: Scope) -> Row[Any]:
    """Return an order's row, locked until the transaction ends.

    Raises:
        OrderNotFound: no such order in ``scope``.
    """
    found = await connection.execute(_LOCK, {"order_no": order_no, **_scope(scope)})
    row = found.first()
    if row is None:
        raise OrderNotFound
    return row


async def order_row(connection: Connection, order_no: str, *, scope: Scope) -> Row[Any]:
    """Return an order's row, unlocked; errors as :func:`lock_order`."""
    found = await connection.execute(_READ, {"order_no": order_no, **_scope(scope)})
    row = found.first()
    if row is None:
        raise OrderNotFound
    return row


async def move_order(
    connection: Connection, row: Row[Any], new: OrderState, *, cause: str, now: datetime, **values: object
) -> Row[Any]:
    """Move an order along an edge, with other columns of it, and return the new row.

    Raises:
        StateEdgeRefused: no such edge, or the row is no longer what was read.
    """
    return await together(connection, moving_order(row, new, cause=cause, now=now, **values))


def moving_order(row: Any, new: OrderState, *, cause: str, now: datetime, **values: object) -> Piece:
    """Return the piece of :func:`move_order`, for a statement that writes more."""
    step_order(row.state, new)
    return _move("order", row, row.order_no, new, cause=cause, now=now, values=values, version=row.version)


def moved(row: Row[Any], new: OrderState, *, now: datetime, **values: object) -> SimpleNamespace:
    """Return a locked order's row as :func:`moving_order` leaves it."""
    return SimpleNamespace(
        **{**row._asdict(), **values, "state": new.value, "version": row.version + 1, "updated_at": now}
    )


async def move_attempt(
    connection: Connection, row: Row[Any], new: AttemptState, *, cause: str, now: datetime, **values: object
) -> None:
    """Move an attempt along an edge; the order is locked by the caller. Errors as :func:`move_order`."""
    await together(connection, moving_attempt(row, new, cause=cause, now=now, **values))


def moving_attempt(row: Row[Any], new: AttemptState, *, cause: str, now: datetime, **values: object) -> Piece:
    """Return the piece of :func:`move_attempt`, for a statement that writes more."""
    step_attempt(row.state, new)
    return _move("attempt", row, row.attempt_no, new, cause=cause, now=now, values=values)


async def move_refund(
    connection: Connection, row: Row[Any], new: RefundState, *, cause: str, now: datetime, **values: object
) -> None:
    """Move a refund along an edge; the order is locked by the caller. Errors as :func:`move_order`."""
    step_refund(row.state, new)
    await together(connection, _move("refund", row, row.refund_no, new, cause=cause, now=now, values=values))


def _move(
    kind: str,
    row: Any,
    number: str,
    new: StrEnum,
    *,
    cause: str,
    now: datetime,
    values: Mapping[str, object],
    **same: object,
) -> Piece:
    facts = {"order_no": row.order_no, "number": number, "old": row.state, "new": new.value, "cause": cause, "now": now}
    return Piece(
        words=_moving(kind, tuple(values)),
        values={**values, **facts, **same},
        gives="moved",
        refused=StateEdgeRefused(kind=kind, old=row.state, new=new),
    )


async def tell(
    connection: Connection,
    order_no: str,
    *,
    kind: str,
    number: str,
    new: str,
    cause: str,
    now: datetime,
    old: str | None = None,
) -> None:
    """Write one line of history; ``old`` is None for the first line of an order, an attempt or a refund."""
    await connection.execute(
        insert(history).values(
            order_no=order_no, kind=kind, number=number, from_state=old, to_state=new, cause=cause, at=now
        )
    )


_WITHIN: Final = """
    order_no = :order_no
    AND (:all_rows OR (:institution_id <> '' AND institution_id = :institution_id)
         OR (:institution_id = '' AND (caller_id = :caller_id OR payer_caller_id = :caller_id)))
"""
_READ: Final = text(f"SELECT * FROM payments_order WHERE {_WITHIN}")  # noqa: S608 -- put together from constants
_LOCK: Final = text(f"SELECT * FROM payments_order WHERE {_WITHIN} FOR UPDATE")  # noqa: S608 -- the same


def _scope(scope: Scope) -> dict[str, object]:
    return {
        "all_rows": scope.all_rows,
        "institution_id": scope.institution_id or "",
        "caller_id": scope.caller_id,
    }


@lru_cache(maxsize=128)
def _moving(kind: str, names: tuple[str, ...]) -> str:
    """Return the words that move a row and write its line of history.

    They are put together once for each set of columns: these are the statements of every payment, and building them
    anew costs several times what the database needs for them.
    """
    table, key = _TABLES[kind]
    version = ", version = version + 1" if kind == "order" else ""
    same = " AND version = :version" if kind == "order" else ""
    more = "".join(f", {table.c[name].name} = :{name}" for name in names)
    return f"""
        @moved AS (
            UPDATE {table.name} SET state = :new, updated_at = :now{version}{more}
            WHERE order_no = :order_no AND {key} = :number AND state = :old{same} RETURNING *),
        @told AS (
            INSERT INTO payments_event (order_no, kind, number, from_state, to_state, cause, at)
            SELECT order_no, '{kind}', {key}, cast(:old AS text), state, cast(:cause AS text), updated_at FROM @moved)
        """  # noqa: S608 -- names of our own tables and columns


_TABLES: Final = {"order": (order, "order_no"), "attempt": (attempt, "attempt_no"), "refund": (refund, "refund_no")}
