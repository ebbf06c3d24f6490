"""Closing a business day: bills are written once, kept as files, and served until the day is closed again."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import msgspec

from yimatong.sandbox.wechat import bill, funds
from yimatong.sandbox.wechat.rows import BillRow, ClosedDay, Merchant, WireError
from yimatong.sandbox.wechat.state import WeChat

TRADE = frozenset(bill.COLUMNS)
"""Kinds of the trade bill."""
FUNDS = frozenset({funds.BASIC})
"""Accounts of the fund-flow bill."""


async def close_day(
    wechat: WeChat, day: date, *, seed: int, kinds: Sequence[str], count: int, mchid: str = ""
) -> tuple[ClosedDay, dict[str, int]]:
    """Write the bills of ``day`` with ``count`` planted differences of each kind; again replaces them.

    Returns the closed day and, by kind, how many differences found no row to stand on.

    Raises:
        WireError: ``PARAM_ERROR`` for an unknown kind.
    """
    unknown = [kind for kind in kinds if kind not in bill.KINDS]
    if unknown:
        raise WireError(400, "PARAM_ERROR", f"unknown kinds {unknown}; known are {list(bill.KINDS)}")
    merchants = [merchant for merchant in wechat.merchants if mchid in ("", merchant.mchid)]
    names = {merchant.mchid for merchant in merchants}
    before = wechat.days.get((day - timedelta(days=1)).isoformat())
    true = [*(before.carried if before else ()), *bill.rows_of(day, wechat.orders, wechat.refunds)]
    rows = [row for row in true if row.mchid in names]
    plan = bill.Plan(day, rows, merchants, seed=seed)
    plan.plant(kinds, count)
    moved = {
        merchant.mchid: funds.movements(
            (order for order in wechat.orders if order.mchid == merchant.mchid),
            (refund for refund in wechat.refunds if refund.mchid == merchant.mchid),
        )
        for merchant in merchants
    }
    sha1 = await asyncio.to_thread(_write, wechat.store.directory, day, plan.result(), moved)
    known = wechat.days.get(day.isoformat())
    if known is not None and mchid:
        sha1 = {key: value for key, value in known.sha1.items() if key.partition("/")[0] != mchid} | sha1
    carried = [row for row in (known.carried if known else ()) if row.mchid not in names]
    closed = ClosedDay(
        date=day.isoformat(),
        seed=seed,
        sha1=sha1,
        planted=[msgspec.to_builtins(each) for each in plan.planted],
        carried=(*carried, *plan.carried),
    )
    wechat.days.put(closed.date, closed)
    return closed, plan.short


async def bill_of(wechat: WeChat, merchant: Merchant, day_text: str, bill_type: str, *, now: datetime) -> str:
    """Return the SHA-1 of the plain bill; writes the bills of a past day by itself after 09:00 of the next.

    Raises:
        WireError: ``PARAM_ERROR``, or ``NO_STATEMENT_EXIST`` when the day is not closed or nothing was paid.
    """
    day = bill.parse_day(day_text)
    if day is None or bill_type not in TRADE | FUNDS:
        raise WireError(400, "PARAM_ERROR", "bill_date 或 bill_type 不合法")
    closed = wechat.days.get(day.isoformat())
    if closed is None and wechat.business_time(now) >= bill.available_from(day):
        closed, _ = await close_day(wechat, day, seed=0, kinds=(), count=0)
    sha1 = "" if closed is None else closed.sha1.get(f"{merchant.mchid}/{bill_type}", "")
    if not sha1:
        raise WireError(400, "NO_STATEMENT_EXIST", "账单文件不存在，请检查当前商户号是否在指定日期有交易")
    return sha1


def bill_path(directory: Path, day: str, mchid: str, bill_type: str) -> Path:
    """Return where the plain text of a bill is kept."""
    return directory / "bills" / f"{day}-{mchid}-{bill_type}.csv"


def _write(
    directory: Path, day: date, rows: Sequence[BillRow], moved: Mapping[str, Sequence[funds.Movement]]
) -> dict[str, str]:
    (directory / "bills").mkdir(exist_ok=True)
    sha1: dict[str, str] = {}
    for mchid, made in moved.items():
        own = [row for row in rows if row.mchid == mchid]
        texts = {bill_type: bill.render(own, bill_type) for bill_type in bill.COLUMNS if own}
        texts[funds.BASIC] = funds.render(made, day)
        for bill_type, text in texts.items():
            if text:
                _replace(bill_path(directory, day.isoformat(), mchid, bill_type), text.encode())
                sha1[f"{mchid}/{bill_type}"] = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    return sha1


def _replace(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
