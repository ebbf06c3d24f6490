"""What stands in the bills of a day, and the differences that a test asks to plant in them. Pure.

A row stands on the day on which the payment or the refund was completed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import day_bounds
from yimatong.sandbox.alipay.rows import BillRow, Merchant, Refund, Trade

RATE: Final = Decimal("0.006")
_CENT: Final = Decimal("0.01")


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in a bill: what is true, and what the bill shows instead (a row left out shows nothing)."""

    kind: str
    app_id: str
    trade_no: str
    out_trade_no: str
    out_request_no: str
    true: dict[str, Any]
    shown: dict[str, Any]


def fee(amount_fen: int) -> Decimal:
    """Return the fee in yuan: 0.6% to the fen."""
    return (Decimal(amount_fen) / 100 * RATE).quantize(_CENT, ROUND_HALF_UP)


def rows_of(day: date, trades: Iterable[Trade], refunds: Iterable[Refund]) -> list[BillRow]:
    """Return the true rows of a Beijing day, in order of time and then of number."""
    start, end = day_bounds(day)
    by_key = {trade.key: trade for trade in trades if trade.paid_at is not None}
    rows = [_payment(trade) for trade in by_key.values() if trade.paid_at and start <= trade.paid_at < end]
    for refund in refunds:
        moment = refund.refunded_at
        if moment is not None and start <= moment < end:
            paid = _payment(by_key[f"{refund.app_id}/{refund.out_trade_no}"])
            rows.append(
                replace(
                    paid,
                    moment=moment,
                    total_fen=-refund.refund_fen,
                    fee_yuan=Decimal(0),
                    refund_no=refund.out_request_no,
                )
            )
    return sorted(rows, key=lambda row: (row.moment, row.trade_no, row.refund_no))


def _payment(trade: Trade) -> BillRow:
    return BillRow(
        app_id=trade.app_id,
        pid=trade.pid,
        moment=trade.paid_at or trade.created_at,
        created_at=trade.created_at,
        trade_no=trade.trade_no,
        out_trade_no=trade.out_trade_no,
        subject=trade.subject,
        total_fen=trade.total_fen,
        fee_yuan=-fee(trade.total_fen),
        buyer_id=trade.buyer_id,
        terminal_id=trade.terminal_id,
    )


class Plan:
    """Rows with differences planted in them. Each difference has a row of its own; none meets another."""

    def __init__(self, day: date, rows: Sequence[BillRow], merchants: Sequence[Merchant], *, seed: int) -> None:
        """Start from the true ``rows``; the same arguments plant the same differences."""
        self._day = day
        self._random = random.Random(f"{day}/{seed}")
        self._merchants = sorted(merchants, key=lambda merchant: merchant.app_id)
        self._free = self._random.sample(rows, len(rows))
        self._change: dict[int, tuple[BillRow, ...]] = {}
        self._rows = rows
        self._added: list[BillRow] = []
        self.carried: list[BillRow] = []
        self.planted: list[Planted] = []
        self.short: dict[str, int] = {}

    def plant(self, kinds: Sequence[str], count: int) -> None:
        """Plant ``count`` of each kind, one of each first; kinds without a row left are counted in ``short``."""
        for _ in range(count):
            for kind in kinds:
                if not _PLANTERS[kind](self):
                    self.short[kind] = self.short.get(kind, 0) + 1

    def result(self) -> list[BillRow]:
        """Return the rows as the bill shows them."""
        shown = [after for row in self._rows for after in self._change.get(id(row), (row,))]
        return sorted(shown + self._added, key=lambda row: (row.moment, row.trade_no, row.refund_no))

    def amount(self) -> bool:
        """Show another amount of a payment (with the fee of that amount)."""
        row = self._take(refund=False)
        if row is not None:
            wrong_fen = row.total_fen + self._random.randint(1, 500)
            self._show("amount", row, replace(row, total_fen=wrong_fen, fee_yuan=-fee(wrong_fen)))
        return row is not None

    def refund_amount(self) -> bool:
        """Show another amount of a refund."""
        row = self._take(refund=True)
        if row is not None:
            self._show("refund_amount", row, replace(row, total_fen=row.total_fen - self._random.randint(1, 99)))
        return row is not None

    def wrong_fee(self) -> bool:
        """Charge a fee that the rate does not give."""
        row = self._take(refund=False)
        if row is not None:
            wrong = row.fee_yuan - Decimal(self._random.randint(1, 500)) * _CENT
            self._show("fee", row, replace(row, fee_yuan=wrong))
        return row is not None

    def platform_only(self) -> bool:
        """Leave a row out."""
        row = self._take()
        if row is not None:
            self._show("platform_only", row)
        return row is not None

    def duplicate(self) -> bool:
        """Write a row twice."""
        row = self._take()
        if row is not None:
            self._show("duplicate", row, row, row)
        return row is not None

    def cross_day(self) -> bool:
        """Leave a row out and write it into the bill of the next day."""
        row = self._take()
        if row is not None:
            _, next_day = day_bounds(self._day)
            self._show("cross_day", row)
            self.carried.append(replace(row, moment=next_day + timedelta(seconds=1)))
        return row is not None

    def channel_only(self) -> bool:
        """Invent a payment that nobody placed."""
        if not self._merchants:
            return False
        merchant = self._random.choice(self._merchants)
        amount_fen = self._random.randint(100, 50_000)
        moment = day_bounds(self._day)[0] + timedelta(seconds=self._random.randint(60, 86_399))
        invented = BillRow(
            app_id=merchant.app_id,
            pid=merchant.pid,
            moment=moment,
            created_at=moment - timedelta(seconds=10),
            trade_no=f"{self._day:%Y%m%d}22001{self._random.randrange(10**15):015d}",
            out_trade_no=f"X{self._random.randrange(16**24):024x}",
            subject="线下收款,含逗号",
            total_fen=amount_fen,
            fee_yuan=-fee(amount_fen),
            buyer_id=f"2088{self._random.randrange(10**12):012d}",
        )
        self._added.append(invented)
        self._note("channel_only", invented, {}, _facts(invented))
        return True

    def _take(self, *, refund: bool | None = None) -> BillRow | None:
        for position, row in enumerate(self._free):
            if refund is None or bool(row.refund_no) is refund:
                del self._free[position]
                return row
        return None

    def _show(self, kind: str, row: BillRow, *shown: BillRow) -> None:
        self._change[id(row)] = shown
        facts = _facts(shown[0]) | {"rows": len(shown)} if shown else {}
        self._note(kind, row, _facts(row), facts)

    def _note(self, kind: str, row: BillRow, true: dict[str, Any], shown: dict[str, Any]) -> None:
        self.planted.append(
            Planted(
                kind=kind,
                app_id=row.app_id,
                trade_no=row.trade_no,
                out_trade_no=row.out_trade_no,
                out_request_no=row.refund_no,
                true=true,
                shown=shown,
            )
        )


_PLANTERS: dict[str, Callable[[Plan], bool]] = {
    "amount": Plan.amount,
    "fee": Plan.wrong_fee,
    "duplicate": Plan.duplicate,
    "platform_only": Plan.platform_only,
    "channel_only": Plan.channel_only,
    "refund_amount": Plan.refund_amount,
    "cross_day": Plan.cross_day,
}
KINDS = tuple(_PLANTERS)
"""Every kind of difference that can be planted."""


def _facts(row: BillRow) -> dict[str, Any]:
    return {"amount_fen": row.total_fen, "fee_yuan": f"{row.fee_yuan:.2f}"}
