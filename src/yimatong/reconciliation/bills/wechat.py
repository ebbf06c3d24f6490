"""WeChat Pay's trade bill (交易账单), every published layout of it. Pure.

Source: pay.weixin.qq.com, 申请交易账单 and 账单字段说明; developers.weixin.qq.com, 下载交易账单. Comma, UTF-8: a
header; rows whose cells each start with a back-tick, so that a comma inside a name separates nothing; the header of
the summary and its line. Columns differ by merchant and by year (27, 24 of older merchants, fewer in SUCCESS, two more
in REFUND): they are found by name, unknown ones are let through, a missing one is refused.

Times are Beijing time. The state of a refund is that of the moment when the bill was made and is never updated.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

import msgspec

from yimatong.kit.clock import BEIJING
from yimatong.reconciliation.bills.base import PAYMENT, REFUND, BillRow
from yimatong.reconciliation.errors import (
    BillCellWrong,
    BillColumnMissing,
    BillLineBroken,
    BillNotText,
    BillOfAnother,
    BillSummaryWrong,
    BillTruncated,
)

CUT: Final = ",`"
COUNT: Final = "总交易单数"
TIME, MERCHANT, STATE, CURRENCY, FEE = "交易时间", "商户号", "交易状态", "货币种类", "手续费"
TRADE_NO, NUMBER = "微信订单号", "商户订单号"
REFUND_TIME, REFUND_TRADE_NO, REFUND_NUMBER, REFUND_STATE = "退款申请时间", "微信退款单号", "商户退款单号", "退款状态"
AMOUNTS: Final = ("订单金额", "应结订单金额", "总金额")
SETTLED: Final = ("应结订单金额", "总金额", "订单金额")
REFUND_AMOUNTS: Final = ("申请退款金额", "退款金额")
RATE: Final = "费率"
_REQUIRED: Final = (TIME, MERCHANT, TRADE_NO, NUMBER, STATE, CURRENCY, FEE)
_REFUND_GROUP: Final = (REFUND_TRADE_NO, REFUND_NUMBER, "退款金额", REFUND_STATE)

SUMMED: Final = {
    "应结订单总金额": "应结订单金额",
    "总交易额": "总金额",
    "退款总金额": "退款金额",
    "总退款金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    "总代金券或立减优惠退款金额": "代金券或立减优惠退款金额",
    "总企业红包退款金额": "企业红包退款金额",
    "手续费总金额": FEE,
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
}
"""Columns of the summary, old and new, and what each adds up."""
_SUMMARY_TOTALS: Final = ("应结订单总金额", "总交易额")

TIME_FORM: Final = r"[12][0-9]{3}-[0-9]{2}-[0-9]{2} [0-2][0-9]:[0-5][0-9]:[0-5][0-9]"
YUAN_FORM: Final = r"[0-9]{1,12}(\.[0-9]{1,2})?"
FEE_FORM: Final = r"-?[0-9]{1,12}(\.[0-9]{1,5})?"
SUM_FORM: Final = r"(-?[0-9]{1,12}(\.[0-9]{1,5})?)?"
RATE_FORM: Final = r"[0-9]{1,3}(\.[0-9]{1,4})?%"
WORD_FORM: Final = r"[A-Z_]{1,32}"

_TIME, _YUAN, _FEE, _SUM, _RATE, _WORD = (
    re.compile(form) for form in (TIME_FORM, YUAN_FORM, FEE_FORM, SUM_FORM, RATE_FORM, WORD_FORM)
)
_STEP = Decimal("0.00001")
REFUND_STATES: Final = {"SUCCESS": "succeeded", "FAIL": "closed", "CHANGE": "abnormal", "": "processing"}
"""Words of 退款状态 that the platform calls otherwise; the rest (PROCESSING, ABNORMAL, CLOSED) agree in lower case."""


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Where each column of one bill stands, by name, counted from 0; ``refunds`` says whether it can hold refunds."""

    at: dict[str, int]
    width: int
    amount: int
    settled: int
    refunds: bool
    refund_amount: int

    @property
    def summed(self) -> list[str]:
        """Return the columns that a summary may add up, in a fixed order."""
        return [column for column in dict.fromkeys(SUMMED.values()) if column in self.at]


def read_layout(header: str) -> Layout:
    """Return the layout that a header describes.

    Raises:
        BillColumnMissing: a column is missing without which nothing can be compared.
    """
    names = [name.strip().strip("`").strip() for name in header.split(",")]
    at = {name: position for position, name in reversed(list(enumerate(names)))}
    wanted = [*_REQUIRED, *(_REFUND_GROUP if any(name in at for name in _REFUND_GROUP) else ())]
    for name in wanted:
        if name not in at:
            raise BillColumnMissing(line=1, column=name)
    refunds = REFUND_NUMBER in at
    return Layout(
        at=at,
        width=len(names),
        amount=_first(at, AMOUNTS),
        settled=_first(at, SETTLED),
        refunds=refunds,
        refund_amount=_first(at, REFUND_AMOUNTS) if refunds else -1,
    )


def _first(at: dict[str, int], names: Sequence[str]) -> int:
    for name in names:
        if name in at:
            return at[name]
    raise BillColumnMissing(line=1, column=names[0])


class _Lines:
    """The lines of a bill, decoded one by one, counted from 1."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content.removeprefix(b"\xef\xbb\xbf"))
        self.number = 0
        self.ended = True

    def take(self) -> str | None:
        """Return the next line without its end, or None behind the last one."""
        raw = self._file.readline()
        if not raw:
            return None
        self.number += 1
        self.ended = raw.endswith(b"\n")
        try:
            return raw.decode().rstrip("\n").removesuffix("\r")
        except UnicodeDecodeError as error:
            if not self.ended:
                raise BillTruncated(line=self.number) from error
            raise BillNotText(line=self.number) from error


def cells_of(line: str) -> list[str]:
    """Return the cells of a row, or the line itself as one cell where it does not start with a back-tick."""
    return line[1:].split(CUT) if line.startswith("`") else [line]


def rows(content: bytes, *, merchant_id: str) -> Iterator[BillRow]:
    """Yield the rows of a bill in order, one object at a time; the summary is checked behind the last one.

    Raises:
        BillNotText, BillColumnMissing, BillLineBroken, BillCellWrong, BillOfAnother: at the line that is wrong.
        BillTruncated: the bill ends before its summary does. BillSummaryWrong: counts or sums differ.
    """
    lines = _Lines(content)
    header = lines.take()
    if header is None:
        raise BillTruncated(line=0)
    layout = read_layout(header)
    columns = layout.summed
    count, sums = 0, dict.fromkeys(columns, Decimal(0))
    while True:
        line = lines.take()
        if line is None:
            raise BillTruncated(line=lines.number)
        if line.lstrip("`").startswith(COUNT):
            break
        cells = cells_of(line)
        if len(cells) != layout.width:
            if not lines.ended:
                raise BillTruncated(line=lines.number)
            raise BillLineBroken(line=lines.number, found=len(cells), expected=layout.width)
        yield _row(layout, cells, lines.number, merchant_id)
        count += 1
        for column in columns:
            sums[column] += _sum_cell(cells[layout.at[column]], lines.number, column)
    values = lines.take()
    if values is None:
        raise BillTruncated(line=lines.number)
    check_summary(line, values, lines.number, count, sums)


def check_summary(header: str, values: str, line: int, count: int, sums: dict[str, Decimal]) -> None:
    """Compare the channel's summary with what the rows add up to; a column that the rows do not have is zero.

    Raises:
        BillColumnMissing, BillTruncated: the summary is not whole. BillSummaryWrong: it says something else.
    """
    names = [name.strip().strip("`").strip() for name in header.split(",")]
    stated = cells_of(values)
    for group in ((COUNT,), _SUMMARY_TOTALS, ("手续费总金额",)):
        if not any(name in names for name in group):
            raise BillColumnMissing(line=line - 1, column=group[0])
    if len(stated) != len(names):
        raise BillTruncated(line=line)
    for name, cell in zip(names, stated, strict=True):
        if name == COUNT:
            added = Decimal(count)
        elif name in SUMMED:
            added = sums.get(SUMMED[name], Decimal(0))
        else:
            continue
        if _FEE.fullmatch(cell) is None or Decimal(cell) != added:
            raise BillSummaryWrong(line=line, column=name, stated=cell[:32], added=f"{added:f}")


def _row(layout: Layout, cells: Sequence[str], line: int, merchant_id: str) -> BillRow:
    at = layout.at

    def cell(column: str, form: re.Pattern[str]) -> str:
        found = cells[at[column]]
        if form.fullmatch(found) is None:
            raise BillCellWrong(line=line, column=column)
        return found

    if cells[at[MERCHANT]] != merchant_id:
        raise BillOfAnother(line=line, column=MERCHANT)
    if cells[at[CURRENCY]] != "CNY":
        raise BillCellWrong(line=line, column=CURRENCY)
    state = cell(STATE, _WORD)
    fee = Decimal(cell(FEE, _FEE))
    moment = cell(TIME, _TIME)
    refund_no = cells[at[REFUND_NUMBER]] if layout.refunds else ""
    if state in ("REFUND", "REVOKED") and refund_no not in ("", "0"):
        if REFUND_TIME in at and cells[at[REFUND_TIME]]:
            moment = cell(REFUND_TIME, _TIME)
        word = cells[at[REFUND_STATE]]
        return BillRow(
            line=line,
            kind=REFUND,
            number=refund_no,
            channel_no=cells[at[REFUND_TRADE_NO]],
            amount_fen=_fen(cells[layout.refund_amount], line, "退款金额"),
            fee=fee,
            fee_due=None,
            state=REFUND_STATES.get(word) or cell(REFUND_STATE, _WORD).lower(),
            at=_moment(moment, line),
        )
    if state == "REFUND" or not cells[at[NUMBER]]:
        raise BillCellWrong(line=line, column=REFUND_NUMBER if state == "REFUND" else NUMBER)
    settled_fen = _fen(cells[layout.settled], line, "应结订单金额")
    return BillRow(
        line=line,
        kind=PAYMENT,
        number=cells[at[NUMBER]],
        channel_no=cells[at[TRADE_NO]],
        amount_fen=_fen(cells[layout.amount], line, "订单金额"),
        fee=fee,
        fee_due=_fee_due(settled_fen, cells[at[RATE]]) if RATE in at else None,
        state="succeeded" if state == "SUCCESS" else state.lower(),
        at=_moment(moment, line),
    )


def _fen(cell: str, line: int, column: str) -> int:
    if _YUAN.fullmatch(cell) is None:
        raise BillCellWrong(line=line, column=column)
    return int(Decimal(cell) * 100)


def _sum_cell(cell: str, line: int, column: str) -> Decimal:
    if _SUM.fullmatch(cell) is None:
        raise BillCellWrong(line=line, column=column)
    return Decimal(cell or 0)


def _fee_due(settled_fen: int, rate: str) -> Decimal | None:
    """Return amount x rate to five decimals, or None where the cell names no rate."""
    if _RATE.fullmatch(rate) is None:
        return None
    return (Decimal(settled_fen) * Decimal(rate[:-1]) / 10_000).quantize(_STEP, rounding=ROUND_HALF_UP)


def _moment(cell: str, line: int) -> datetime:
    try:
        return datetime.fromisoformat(cell).replace(tzinfo=BEIJING).astimezone(UTC)
    except ValueError as error:
        raise BillCellWrong(line=line, column=TIME) from error
