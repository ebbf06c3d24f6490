"""The daily trade bill (交易账单), and the differences that a test asks to plant in it. Pure.

Layout: comma, UTF-8, CRLF; a header, then rows whose cells each start with a back-tick; then the header of the
summary and its line. Amounts are yuan with two decimals, fees with five. A refund row is written on the day on which
the refund was accepted and never changed afterwards (pay.weixin.qq.com, 下载账单, 申请交易账单).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING, day_bounds
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.wechat.rows import BANK, BillRow, Merchant, Order, Refund

RATE = Decimal("0.0060")
_FEE_STEP = Decimal("0.00001")
_HEAD = (
    *("交易时间", "公众账号ID", "商户号", "特约商户号", "设备号", "微信订单号", "商户订单号", "用户标识"),
    *("交易类型", "交易状态", "付款银行", "货币种类", "应结订单金额", "代金券金额"),
)
_REFUND_TIMES = ("退款申请时间", "退款成功时间")
_REFUND = ("微信退款单号", "商户退款单号", "退款金额", "充值券退款金额", "退款类型", "退款状态")
_TAIL = ("商品名称", "商户数据包", "手续费", "费率", "订单金额")
COLUMNS = {
    "ALL": (*_HEAD, *_REFUND, *_TAIL, "申请退款金额", "费率备注"),
    "SUCCESS": (*_HEAD, *_TAIL, "费率备注"),
    "REFUND": (*_HEAD, *_REFUND_TIMES, *_REFUND, *_TAIL, "申请退款金额", "费率备注"),
}
SUMMARY = (
    *("总交易单数", "应结订单总金额", "退款总金额", "充值券退款总金额"),
    *("手续费总金额", "订单总金额", "申请退款总金额"),
)


class Planted(msgspec.Struct, frozen=True, kw_only=True):
    """A difference in a bill: what is true, and what the bill shows instead (a row dropped shows nothing)."""

    kind: str
    mchid: str
    transaction_id: str
    out_trade_no: str
    out_refund_no: str
    true: dict[str, Any]
    shown: dict[str, Any]


def fee(amount_fen: int) -> Decimal:
    """Return the fee in yuan, five decimals: amount x 0.60%."""
    return (Decimal(amount_fen) / 100 * RATE).quantize(_FEE_STEP)


def rows_of(day: date, orders: Iterable[Order], refunds: Iterable[Refund]) -> list[BillRow]:
    """Return the true rows of a Beijing day, in order of time and then of number."""
    start, end = day_bounds(day)
    by_key = {order.key: order for order in orders if order.paid_at is not None}
    rows = [_payment(order) for order in by_key.values() if order.paid_at is not None and start <= order.paid_at < end]
    rows += [
        _refund(refund, by_key[f"{refund.mchid}/{refund.out_trade_no}"])
        for refund in refunds
        if start <= refund.created_at < end
    ]
    return sorted(rows, key=lambda row: (row.moment, row.transaction_id, row.refund_id))


def _payment(order: Order) -> BillRow:
    return BillRow(
        moment=order.paid_at or order.created_at,
        appid=order.appid,
        mchid=order.mchid,
        transaction_id=order.transaction_id,
        out_trade_no=order.out_trade_no,
        openid=order.openid,
        trade_type=order.trade_type,
        state="SUCCESS",
        total_fen=order.total_fen,
        description=order.description,
        attach=order.attach,
        fee_yuan=fee(order.total_fen),
    )


def _refund(refund: Refund, order: Order) -> BillRow:
    return replace(
        _payment(order),
        moment=refund.created_at,
        state="REFUND",
        total_fen=0,
        fee_yuan=-fee(refund.refund_fen),
        refund_id=refund.refund_id,
        out_refund_no=refund.out_refund_no,
        refund_fen=refund.refund_fen,
        refund_status=refund.status,
        refunded_at=refund.success_at,
    )


class Plan:
    """Rows with differences planted in them. Each difference has a row of its own; none meets another."""

    def __init__(self, day: date, rows: Sequence[BillRow], merchants: Sequence[Merchant], *, seed: int) -> None:
        """Start from the true ``rows``; the same arguments plant the same differences."""
        self._day = day
        self._random = random.Random(f"{day}/{seed}")
        self._merchants = sorted(merchants, key=lambda merchant: merchant.mchid)
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
        return sorted(shown + self._added, key=lambda row: (row.moment, row.transaction_id, row.refund_id))

    def amount(self) -> bool:
        """Show another amount (with the fee of that amount)."""
        row = self._take(lambda row: not row.refund_id)
        if row is None:
            return False
        wrong_fen = row.total_fen + self._random.choice([-1, 1]) * self._random.randint(1, 500)
        if wrong_fen < 1:
            wrong_fen = row.total_fen + 1
        self._show("amount", row, replace(row, total_fen=wrong_fen, fee_yuan=fee(wrong_fen)))
        return True

    def platform_only(self) -> bool:
        """Leave a row out."""
        row = self._take(lambda _row: True)
        if row is not None:
            self._show("platform_only", row)
        return row is not None

    def cross_day(self) -> bool:
        """Leave a row out and write it into the bill of the next day."""
        row = self._take(lambda _row: True)
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
        start, _ = day_bounds(self._day)
        invented = BillRow(
            moment=start + timedelta(seconds=self._random.randint(0, 86_399)),
            appid=merchant.appid,
            mchid=merchant.mchid,
            transaction_id=f"42000{self._day:%Y%m%d}{self._random.randrange(10**15):015d}",
            out_trade_no=f"X{self._random.randrange(16**24):024x}",
            openid=f"oSim{self._random.randrange(16**24):024x}",
            trade_type="NATIVE",
            state="SUCCESS",
            total_fen=amount_fen,
            description="线下扫码收款",
            attach="",
            fee_yuan=fee(amount_fen),
        )
        self._added.append(invented)
        self._note("channel_only", invented, {}, _facts(invented))
        return True

    def wrong_fee(self) -> bool:
        """Charge a fee that the rate does not give."""
        row = self._take(lambda row: not row.refund_id)
        if row is not None:
            wrong = row.fee_yuan + Decimal(self._random.randint(1, 500)).scaleb(-2)
            self._show("fee", row, replace(row, fee_yuan=wrong.quantize(_FEE_STEP)))
        return row is not None

    def duplicate(self) -> bool:
        """Write a row twice."""
        row = self._take(lambda _row: True)
        if row is not None:
            self._show("duplicate", row, row, row)
        return row is not None

    def status(self) -> bool:
        """Show a payment as revoked."""
        row = self._take(lambda row: not row.refund_id)
        if row is not None:
            self._show("status", row, replace(row, state="REVOKED"))
        return row is not None

    def refund_amount(self) -> bool:
        """Show another amount of a refund."""
        row = self._take(lambda row: bool(row.refund_id))
        if row is not None:
            wrong_fen = row.refund_fen + self._random.randint(1, 99)
            self._show("refund_amount", row, replace(row, refund_fen=wrong_fen, fee_yuan=-fee(wrong_fen)))
        return row is not None

    def _take(self, fits: Callable[[BillRow], bool]) -> BillRow | None:
        for position, row in enumerate(self._free):
            if fits(row):
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
                mchid=row.mchid,
                transaction_id=row.transaction_id,
                out_trade_no=row.out_trade_no,
                out_refund_no=row.out_refund_no,
                true=true,
                shown=shown,
            )
        )


_PLANTERS: dict[str, Callable[[Plan], bool]] = {
    "amount": Plan.amount,
    "fee": Plan.wrong_fee,
    "status": Plan.status,
    "duplicate": Plan.duplicate,
    "platform_only": Plan.platform_only,
    "channel_only": Plan.channel_only,
    "refund_amount": Plan.refund_amount,
    "cross_day": Plan.cross_day,
}
KINDS = tuple(_PLANTERS)
"""Every kind of difference that can be planted."""


def _facts(row: BillRow) -> dict[str, Any]:
    return {
        "state": row.state,
        "amount_fen": row.total_fen,
        "refund_fen": row.refund_fen,
        "fee_yuan": f"{row.fee_yuan:.5f}",
    }


def render(rows: Sequence[BillRow], bill_type: str) -> str:
    """Return the text of a bill of ``bill_type`` (ALL, SUCCESS, REFUND); its summary adds up the rows shown."""
    columns = COLUMNS[bill_type]
    shown = [row for row in rows if bill_type == "ALL" or (row.refund_id != "") == (bill_type == "REFUND")]
    lines = [",".join(columns)]
    for row in shown:
        cells = _cells(row)
        lines.append(",".join(f"`{cells[column]}" for column in columns))
    total, back = sum(row.total_fen for row in shown), sum(row.refund_fen for row in shown)
    fees = sum((row.fee_yuan for row in shown), Decimal(0))
    summary = (str(len(shown)), plain_yuan(total), plain_yuan(back), "0.00", f"{fees:.5f}")
    lines.append(",".join(SUMMARY))
    lines.append(",".join(f"`{cell}" for cell in (*summary, plain_yuan(total), plain_yuan(back))))
    return "\r\n".join(lines) + "\r\n"


def _cells(row: BillRow) -> dict[str, str]:
    refund = row.refund_id != ""
    return {
        "交易时间": _time(row.moment),
        "公众账号ID": row.appid,
        "商户号": row.mchid,
        "特约商户号": "0",
        "设备号": "",
        "微信订单号": row.transaction_id,
        "商户订单号": row.out_trade_no,
        "用户标识": row.openid,
        "交易类型": row.trade_type,
        "交易状态": row.state,
        "付款银行": BANK,
        "货币种类": "CNY",
        "应结订单金额": plain_yuan(row.total_fen),
        "代金券金额": "0.00",
        "退款申请时间": _time(row.moment) if refund else "",
        "退款成功时间": _time(row.refunded_at),
        "微信退款单号": row.refund_id or "0",
        "商户退款单号": row.out_refund_no or "0",
        "退款金额": plain_yuan(row.refund_fen),
        "充值券退款金额": "0.00",
        "退款类型": "ORIGINAL" if refund else "",
        "退款状态": row.refund_status,
        "商品名称": row.description,
        "商户数据包": row.attach,
        "手续费": f"{row.fee_yuan:.5f}",
        "费率": "0.60%",
        "订单金额": plain_yuan(row.total_fen),
        "申请退款金额": plain_yuan(row.refund_fen),
        "费率备注": "",
    }


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def available_from(day: date) -> datetime:
    """Return when WeChat Pay writes the bill of a day by itself: 09:00 of the next day."""
    _, end = day_bounds(day)
    return end + timedelta(hours=9)


def parse_day(text: str) -> date | None:
    """Return the day of ``YYYY-MM-DD``, or ``None``."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
