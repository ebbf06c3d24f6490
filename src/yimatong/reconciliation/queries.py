"""What the console and the command line read: runs by day, discrepancies page by page, their totals."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Row, Table, and_, func, literal, select, true, tuple_

from yimatong.access.caller import Scope
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput
from yimatong.reconciliation.errors import DiscrepancyNotFound
from yimatong.reconciliation.matching import Tally
from yimatong.reconciliation.models import discrepancy, run

PAGE_MAX: Final = 200
SETTLED: Final = ("verified", "closed")


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A reconciled day of one merchant account; ``cause`` is the code of its last error, empty without one."""

    channel: str
    account_id: str
    institution_id: str
    bill_date: date
    version: int
    state: str
    cause: str
    tallies: list[Tally]
    bill_sha256: str
    bill_sm3: str
    bill_bytes: int
    started_at: datetime
    finished_at: datetime

    def rows(self, *kinds: str) -> int:
        """Return how many numbers are in some classes: pairs count once, rows without partner once."""
        return sum(max(each.platform_rows, each.bill_rows) for each in self.tallies if each.klass in kinds)


class DiscrepancyView(msgspec.Struct, frozen=True, kw_only=True):
    """差错账: what each side says of one number; None where a side says nothing."""

    discrepancy_id: str
    channel: str
    account_id: str
    institution_id: str
    kind: str
    movement: str
    number: str
    bill_date: date
    state: str
    difference_fen: int
    platform_fen: int | None
    bill_fen: int | None
    platform_state: str | None
    bill_state: str | None
    platform_fee: Decimal | None
    bill_fee: Decimal | None
    bill_fee_due: Decimal | None
    platform_at: datetime | None
    bill_at: datetime | None
    platform_channel_no: str | None
    bill_channel_no: str | None
    opened_at: datetime
    updated_at: datetime


class DiscrepancyPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page, newest bill day first; ``next`` is the cursor of the following page, empty on the last one."""

    discrepancies: list[DiscrepancyView]
    next: str = ""


class DiscrepancyTotal(msgspec.Struct, frozen=True, kw_only=True):
    """How many discrepancies of one kind are in one state, and the fen between the books (bill minus platform)."""

    kind: str
    state: str
    count: int
    difference_fen: int


async def runs(
    connection: Connection, *, scope: Scope, first: date, last: date, account_id: str | None = None
) -> list[RunView]:
    """Return the runs of the bill days ``first`` to ``last``, newest day first, then by account."""
    wanted = [_within(run, scope), run.c.bill_date.between(first, last)]
    if account_id is not None:
        wanted.append(run.c.account_id == account_id)
    found = await connection.execute(
        select(run).where(*wanted).order_by(run.c.bill_date.desc(), run.c.account_id, run.c.channel)
    )
    return [_run_view(each) for each in found]


async def page(
    connection: Connection,
    *,
    scope: Scope,
    limit: int = 50,
    cursor: str = "",
    kind: str = "",
    state: str = "",
    day: date | None = None,
) -> DiscrepancyPage:
    """Return a page of discrepancies; ``state`` may be ``unsettled``: all but verified and closed.

    Raises:
        InvalidInput: not a cursor that a page gave.
    """
    wanted = [_within(discrepancy, scope), *_filters(kind=kind, state=state, day=day)]
    position = tuple_(discrepancy.c.bill_date, discrepancy.c.discrepancy_id)
    if cursor:
        wanted.append(position < tuple_(*map(literal, _read_cursor(cursor))))
    most = min(max(limit, 1), PAGE_MAX)
    found = await connection.execute(
        select(discrepancy)
        .where(*wanted)
        .order_by(discrepancy.c.bill_date.desc(), discrepancy.c.discrepancy_id.desc())
        .limit(most + 1)
    )
    views = [_view(each) for each in found]
    more = len(views) > most
    last = views[most - 1] if more else None
    return DiscrepancyPage(
        discrepancies=views[:most], next=f"{last.bill_date}~{last.discrepancy_id}" if last is not None else ""
    )


async def find(connection: Connection, discrepancy_id: str, *, scope: Scope) -> DiscrepancyView:
    """Return one discrepancy.

    Raises:
        DiscrepancyNotFound: there is none, or it is another institution's.
    """
    found = await connection.execute(
        select(discrepancy).where(_within(discrepancy, scope), discrepancy.c.discrepancy_id == discrepancy_id)
    )
    one = found.first()
    if one is None:
        raise DiscrepancyNotFound
    return _view(one)


async def totals(connection: Connection, *, scope: Scope, day: date | None = None) -> list[DiscrepancyTotal]:
    """Return the discrepancies counted by kind and state, of one bill day or of all."""
    found = await connection.execute(
        select(
            discrepancy.c.kind,
            discrepancy.c.state,
            func.count(),
            func.coalesce(func.sum(discrepancy.c.difference_fen), 0),
        )
        .where(_within(discrepancy, scope), *_filters(day=day))
        .group_by(discrepancy.c.kind, discrepancy.c.state)
        .order_by(discrepancy.c.kind, discrepancy.c.state)
    )
    return [
        DiscrepancyTotal(kind=kind, state=state, count=int(count), difference_fen=int(fen))
        for kind, state, count, fen in found
    ]


def _within(table: Table, scope: Scope) -> ColumnElement[bool]:
    return true() if scope.all_rows else table.c.institution_id == scope.institution_id


def _filters(*, kind: str = "", state: str = "", day: date | None = None) -> list[ColumnElement[bool]]:
    wanted: list[ColumnElement[bool]] = []
    if kind:
        wanted.append(discrepancy.c.kind == kind)
    if state == "unsettled":
        wanted.append(discrepancy.c.state.not_in(SETTLED))
    elif state:
        wanted.append(discrepancy.c.state == state)
    if day is not None:
        wanted.append(discrepancy.c.bill_date == day)
    return [and_(true(), *wanted)]


def _read_cursor(cursor: str) -> tuple[date, str]:
    day, _, identity = cursor.partition("~")
    try:
        return date.fromisoformat(day), identity
    except ValueError as error:
        raise InvalidInput(detail="cursor") from error


def _run_view(found: Row[Any]) -> RunView:
    values = dict(found._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor
    return RunView(**values | {"tallies": msgspec.convert(found.tallies, type=list[Tally])})


def _view(found: Row[Any]) -> DiscrepancyView:
    return DiscrepancyView(**found._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor
