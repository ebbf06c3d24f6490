"""Closing a business day: bills are written once, kept as files, and served until the day is closed again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from yimatong.kit.clock import day_bounds
from yimatong.sandbox.alipay import bill, bill_text
from yimatong.sandbox.alipay.requests import AskBill
from yimatong.sandbox.alipay.rows import AlipayError, BillRow, ClosedDay, Merchant
from yimatong.sandbox.alipay.state import AlipayBooks

TYPES = ("trade", "signcustomer")
_NONE = (40004, "isp.bill_not_exist", "账单不存在")


async def close_day(
    books: AlipayBooks, day: date, *, seed: int, kinds: Sequence[str], count: int
) -> tuple[ClosedDay, dict[str, int]]:
    """Write the bills of ``day`` with ``count`` planted differences of each kind; again replaces them.

    Returns the closed day and, by kind, how many differences found no row to stand on.

    Raises:
        AlipayError: ``isv.invalid-parameter`` for an unknown kind.
    """
    unknown = [kind for kind in kinds if kind not in bill.KINDS]
    if unknown:
        message = f"unknown kinds {unknown}; known are {list(bill.KINDS)}"
        raise AlipayError(40002, "isv.invalid-parameter", message)
    merchants = list(books.merchants)
    before = books.days.get((day - timedelta(days=1)).isoformat())
    rows = [*(before.carried if before else ()), *bill.rows_of(day, books.trades, books.refunds)]
    plan = bill.Plan(day, rows, merchants, seed=seed)
    plan.plant(kinds, count)
    files = await asyncio.to_thread(_write, books.store.directory, day, plan.result(), merchants)
    closed = ClosedDay(
        date=day.isoformat(),
        seed=seed,
        files=files,
        planted=[msgspec.to_builtins(each) for each in plan.planted],
        carried=tuple(plan.carried),
    )
    books.days.put(closed.date, closed)
    return closed, plan.short


async def bill_of(books: AlipayBooks, merchant: Merchant, asked: AskBill, *, now: datetime) -> str:
    """Return the name of a bill's file; writes the bills of a past day by itself after 10:00 of the next.

    Raises:
        AlipayError: ``isv.invalid-parameter``, or ``isp.bill_not_exist`` when the day is not closed or was empty. The
            monthly bill (``yyyy-MM``) of the specification is not simulated.
    """
    try:
        day = date.fromisoformat(asked.bill_date)
    except ValueError as error:
        raise AlipayError(40002, "isv.invalid-parameter", "参数无效：bill_date") from error
    if asked.bill_type not in TYPES:
        raise AlipayError(40002, "isv.invalid-parameter", "参数无效：bill_type")
    closed = books.days.get(day.isoformat())
    if closed is None and books.business_time(now) >= day_bounds(day)[1] + timedelta(hours=10):
        closed, _ = await close_day(books, day, seed=0, kinds=(), count=0)
    name = f"{day.isoformat()}-{merchant.app_id}-{asked.bill_type}"
    if closed is None or name not in closed.files:
        raise AlipayError(*_NONE)
    return name


def bill_path(directory: Path, name: str) -> Path:
    """Return where the zip of a bill is kept."""
    return directory / "alipay-bills" / f"{name}.csv.zip"


def _write(directory: Path, day: date, rows: Sequence[BillRow], merchants: Sequence[Merchant]) -> list[str]:
    (directory / "alipay-bills").mkdir(exist_ok=True)
    exported = day_bounds(day)[1] + timedelta(hours=9, minutes=30)
    names = []
    for merchant in merchants:
        own = [row for row in rows if row.app_id == merchant.app_id]
        for kind in TYPES if own else ():
            name = f"{day.isoformat()}-{merchant.app_id}-{kind}"
            packed = bill_text.packed(own, merchant, day, kind=kind, exported=exported)
            _replace(bill_path(directory, name), packed)
            names.append(name)
    return names


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
