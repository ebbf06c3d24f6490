"""The fund-flow bill of a day (资金账单): every movement of the merchant's basic account. Pure.

Layout as the trade bill's: comma, UTF-8, CRLF, cells with a back-tick, a summary of five columns. Eleven columns
(pay.weixin.qq.com, 申请资金账单; a published sample of the file stands in the tests of several open SDKs). What the
samples do not show, and is therefore this simulator's own choice: the words of a fee row, and that the fee of a payment
is rounded half up to a fen while the trade bill shows five decimals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal

import msgspec

from yimatong.kit.clock import BEIJING, day_bounds
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.wechat.bill import fee
from yimatong.sandbox.wechat.rows import Order, Refund

BASIC = "BASIC"
COLUMNS = (
    *("记账时间", "微信支付业务单号", "资金流水单号", "业务名称", "业务类型", "收支类型"),
    *("收支金额(元)", "账户结余(元)", "资金变更提交申请人", "备注", "业务凭证号"),
)
SUMMARY = ("资金流水总笔数", "收入笔数", "收入金额", "支出笔数", "支出金额")


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the account; ``amount_fen`` below zero goes out."""

    moment: datetime
    business_no: str
    flow_no: str
    name: str
    kind: str
    amount_fen: int
    actor: str
    memo: str
    voucher: str


def fee_fen(amount_fen: int) -> int:
    """Return the fee of an amount in whole fen."""
    return int((fee(amount_fen) * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def movements(orders: Iterable[Order], refunds: Iterable[Refund]) -> list[Movement]:
    """Return every movement there ever was, in order of time: payments, their fees, refunds that arrived."""
    made: list[Movement] = []
    for order in orders:
        if order.paid_at is not None:
            made += _payment(order, order.paid_at)
    made += [_refund(refund, refund.success_at) for refund in refunds if refund.success_at is not None]
    return sorted(made, key=lambda each: (each.moment, each.flow_no))


def _payment(order: Order, moment: datetime) -> list[Movement]:
    taken = Movement(
        moment=moment,
        business_no=order.transaction_id,
        flow_no=f"{order.transaction_id}1",
        name="交易",
        kind="交易",
        amount_fen=order.total_fen,
        actor="system",
        memo="结算总金额",
        voucher=order.out_trade_no,
    )
    cost = fee_fen(order.total_fen)
    charged = msgspec.structs.replace(
        taken, flow_no=f"{order.transaction_id}2", kind="扣除交易手续费", amount_fen=-cost, memo="交易手续费"
    )
    return [taken, charged] if cost else [taken]


def _refund(refund: Refund, moment: datetime) -> Movement:
    back = fee_fen(refund.refund_fen)
    return Movement(
        moment=moment,
        business_no=refund.refund_id,
        flow_no=refund.transaction_id + refund.refund_id[-4:],
        name="退款",
        kind="退款",
        amount_fen=back - refund.refund_fen,
        actor=f"{refund.mchid}API",
        memo=f"退款总金额{plain_yuan(refund.refund_fen)}元;含手续费{plain_yuan(back)}元",
        voucher=refund.out_refund_no,
    )


def render(made: Sequence[Movement], day: date) -> str:
    """Return the text of a Beijing day's bill; the balance starts from all that moved before. Empty: nothing moved."""
    start, end = day_bounds(day)
    balance = sum(each.amount_fen for each in made if each.moment < start)
    shown = [each for each in made if start <= each.moment < end]
    if not shown:
        return ""
    lines = [",".join(COLUMNS)]
    for each in shown:
        balance += each.amount_fen
        cells = (
            f"{each.moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
            *(each.business_no, each.flow_no, each.name, each.kind),
            "收入" if each.amount_fen > 0 else "支出",
            *(plain_yuan(abs(each.amount_fen)), plain_yuan(balance), each.actor, each.memo, each.voucher),
        )
        lines.append(",".join(f"`{cell}" for cell in cells))
    into = [each.amount_fen for each in shown if each.amount_fen > 0]
    out = [-each.amount_fen for each in shown if each.amount_fen <= 0]
    total = (str(len(shown)), str(len(into)), plain_yuan(sum(into)), str(len(out)), plain_yuan(sum(out)))
    lines += [",".join(SUMMARY), ",".join(f"`{cell}" for cell in total)]
    return "\r\n".join(lines) + "\r\n"
