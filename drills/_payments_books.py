"""What everybody's books say at the end: our tables, and the parties' own."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from _payments_world import World
from sqlalchemy import Connection, Row, select

from yimatong.kit.models import alarm, outbox
from yimatong.payments import models
from yimatong.sandbox.settling.books import Books as SignedBooks

_TABLES: Final = {
    "orders": models.order,
    "attempts": models.attempt,
    "refunds": models.refund,
    "refund_items": models.refund_item,
    "legs": models.leg,
    "history": models.history,
    "entries": models.ledger_entry,
    "movements": models.ledger_transaction,
}
_WECHAT: Final = {"SUCCESS": "paid", "REFUND": "paid", "NOTPAY": "open", "USERPAYING": "open"}
"""What else there is (CLOSED, REVOKED, PAYERROR) has ended."""
_WECHAT_BACK: Final = {"SUCCESS": "succeeded", "PROCESSING": "processing", "ABNORMAL": "abnormal", "CLOSED": "closed"}
_ALIPAY_BACK: Final = {"REFUND_SUCCESS": "succeeded", "PROCESSING": "processing"}
_UNIONPAY_BACK: Final = {"done": "succeeded", "waiting": "processing", "failed": "closed"}
_SIGNED: Final = {
    "settled": "paid",
    "refunded": "paid",
    "pending": "open",
    "declined": "ended",
    "revoked": "ended",
}
_SIGNED_BACK: Final = {"done": "succeeded", "processing": "processing", "failed": "abnormal", "closed": "closed"}


@dataclass(frozen=True)
class TruePayment:
    """A payment in its channel's own books: paid, open (can still be paid) or ended."""

    channel: str
    merchant_id: str
    state: str
    amount_fen: int
    paid_at: datetime | None


@dataclass(frozen=True)
class TrueRefund:
    """A refund in its channel's own books."""

    channel: str
    attempt_no: str
    state: str
    amount_fen: int


@dataclass(frozen=True)
class Books:
    """Everything that the questions are asked of."""

    world: World
    rows: dict[str, list[Row[Any]]]
    outbox: list[Row[Any]]
    alarms: list[Row[Any]]
    payments: dict[str, TruePayment]
    refunds: dict[str, TrueRefund]

    def of(self, table: str) -> dict[str, list[Row[Any]]]:
        """Return a table's rows by order."""
        found: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in self.rows[table]:
            found[row.order_no].append(row)
        return found

    def digest(self) -> str:
        """Return a digest of our own tables: the same when nothing changed."""
        told = hashlib.sha256()
        for name, rows in self.rows.items():
            told.update(name.encode())
            for line in sorted(repr(tuple(row)) for row in rows):
                told.update(line.encode())
        told.update(repr([(row.id, row.state) for row in self.outbox]).encode())
        return told.hexdigest()


def read(connection: Connection, world: World) -> Books:
    """Read all the books."""
    rows = {name: list(connection.execute(select(table)).all()) for name, table in _TABLES.items()}
    payments, refunds = _wechat(world)
    _alipay(world, payments, refunds)
    _unionpay(world, payments, refunds)
    _ncms(world, payments, refunds)
    for name, party in world.signed.items():
        _signed(name, party.books, payments, refunds)
    return Books(
        world=world,
        rows=rows,
        outbox=list(connection.execute(select(outbox).order_by(outbox.c.id)).all()),
        alarms=list(connection.execute(select(alarm)).all()),
        payments=payments,
        refunds=refunds,
    )


def _wechat(world: World) -> tuple[dict[str, TruePayment], dict[str, TrueRefund]]:
    payments = {
        order.out_trade_no: TruePayment(
            "wechat", order.mchid, _WECHAT.get(order.trade_state, "ended"), order.total_fen, order.paid_at
        )
        for order in world.wechat.books.orders
    }
    refunds = {
        refund.out_refund_no: TrueRefund("wechat", refund.out_trade_no, _WECHAT_BACK[refund.status], refund.refund_fen)
        for refund in world.wechat.books.refunds
    }
    return payments, refunds


def _alipay(world: World, payments: dict[str, TruePayment], refunds: dict[str, TrueRefund]) -> None:
    """A trade that a reversal gave back was never paid, as far as anybody's books go; nor was its giving back."""
    books = world.alipay.books
    reversed_ = {each.out_trade_no for each in books.refunds if each.out_request_no == each.out_trade_no}
    for trade in books.trades:
        state = "paid" if trade.paid_at is not None and trade.out_trade_no not in reversed_ else "ended"
        state = "open" if world.alipay.can_be_paid(trade) else state
        payments[trade.out_trade_no] = TruePayment("alipay", trade.pid, state, trade.total_fen, trade.paid_at)
    for made in books.refunds:
        if made.out_request_no not in reversed_ and made.status != "FAILED":  # which leaves no trace at Alipay
            state = "abnormal" if made.dback_status == "F" else _ALIPAY_BACK[made.status]
            refunds[made.out_request_no] = TrueRefund("alipay", made.out_trade_no, state, made.refund_fen)


def _unionpay(world: World, payments: dict[str, TruePayment], refunds: dict[str, TrueRefund]) -> None:
    numbers = {}
    for each in world.unionpay.payments():
        numbers[each.query_id] = each.order_id
        state = "paid" if each.state == "done" else "open" if world.unionpay.can_be_paid(each) else "ended"
        payments[each.order_id] = TruePayment("unionpay", each.mer_id, state, each.amount_fen, each.done_at)
    for each in world.unionpay.books.transactions:
        if each.txn_type == "04":
            state = _UNIONPAY_BACK[each.state]
            refunds[each.order_id] = TrueRefund("unionpay", numbers[each.orig_query_id], state, each.amount_fen)


def _ncms(world: World, payments: dict[str, TruePayment], refunds: dict[str, TrueRefund]) -> None:
    for each in world.ncms.books.settlements:
        state = {"settling": "open", "cancelled": "ended"}.get(each.state, "paid")
        fen = each.fund_fen + each.account_fen
        payments[each.attempt_no] = TruePayment("ncms", each.institution, state, fen, each.settled_at)
    for back in world.ncms.books.refunds:
        state = "succeeded" if back.state == "done" else "closed"
        refunds[back.refund_no] = TrueRefund("ncms", back.attempt_no, state, back.fund_fen + back.account_fen)


def _signed(name: str, books: SignedBooks, payments: dict[str, TruePayment], refunds: dict[str, TrueRefund]) -> None:
    for payment in books.payments:
        payments[payment.payment_no] = TruePayment(
            name, payment.merchant_id, _SIGNED[payment.state], payment.amount_fen, payment.settled_at
        )
    for refund in books.refunds:
        refunds[refund.refund_no] = TrueRefund(name, refund.payment_no, _SIGNED_BACK[refund.state], refund.refund_fen)
