"""Money that goes back: refunds, reversals, and their end. The same number moves money once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from yimatong.kit.money import plain_yuan
from yimatong.sandbox.alipay.requests import AskRefund, Named, PlaceRefund, amount
from yimatong.sandbox.alipay.rows import CLOSED, FINISHED, PAID, WAITING, AlipayError, Merchant, Refund, Trade, beijing
from yimatong.sandbox.alipay.state import AlipayBooks

SUCCEEDED, FAILED, PROCESSING = "REFUND_SUCCESS", "FAILED", "PROCESSING"


def refund(books: AlipayBooks, merchant: Merchant, asked: PlaceRefund, *, now: datetime) -> dict[str, Any]:
    """Refund a part or all of a trade and return the node of the reply; ``fund_change`` says whether money moved.

    Raises:
        AlipayError: no such trade, not paid, time over, more than is left, another amount under the same number.
    """
    trade = books.trade(merchant, Named(out_trade_no=asked.out_trade_no, trade_no=asked.trade_no), now=now)
    refund_fen = amount(asked.refund_amount)
    request_no = asked.out_request_no or trade.out_trade_no
    known = books.refunds.get(f"{trade.key}/{request_no}")
    if known is not None and known.status != FAILED:
        if known.refund_fen != refund_fen:
            raise AlipayError(40004, "ACQ.DISCORDANT_REPEAT_REQUEST", "请求信息不一致")
        return _answer(trade, fund_change="N")
    _check(books, trade, asked, refund_fen)
    moment = books.business_time(now)
    made = Refund(
        app_id=trade.app_id,
        out_trade_no=trade.out_trade_no,
        out_request_no=request_no,
        refund_fen=refund_fen,
        reason=asked.refund_reason,
        asked_at=moment,
    )
    books.refunds.put(made.key, made)
    if books.faults.strikes("slow_refunds"):
        books.settling.add(made.key)
        return _answer(trade, fund_change="N")
    return _answer(settle(books, made, SUCCEEDED, now=now), fund_change="Y")


def settle(books: AlipayBooks, made: Refund, status: str, *, now: datetime, dback_status: str = "") -> Trade:
    """Bring a refund to an end and tell the merchant. A failed one leaves no trace and may be asked for again."""
    trade = books.trades.get(f"{made.app_id}/{made.out_trade_no}")
    if trade is None:
        raise AlipayError(40004, "ACQ.TRADE_NOT_EXIST", "交易不存在")
    books.settling.discard(made.key)
    if status != SUCCEEDED or made.status == SUCCEEDED:
        books.refunds.put(made.key, replace(made, status=status, dback_status=dback_status))
        return trade
    moment = books.business_time(now)
    books.refunds.put(made.key, replace(made, status=SUCCEEDED, refunded_at=moment, dback_status=dback_status))
    refunded_fen = trade.refunded_fen + made.refund_fen
    whole = refunded_fen == trade.total_fen
    after = books.save(
        replace(
            trade,
            refunded_fen=refunded_fen,
            refunded_at=moment,
            last_refund_no=made.out_request_no,
            status=CLOSED if whole else trade.status,
            closed_at=moment if whole else trade.closed_at,
        )
    )
    books.tell(after, now=now)
    return after


def settle_due(books: AlipayBooks, *, now: datetime) -> None:
    """Settle every slow refund whose time has come."""
    pause = timedelta(seconds=books.conditions.refund_settles_s)
    for key in list(books.settling):
        made = books.refunds.get(key)
        if made is not None and made.status == PROCESSING and made.asked_at + pause <= books.business_time(now):
            settle(books, made, SUCCEEDED, now=now)


def ask(books: AlipayBooks, merchant: Merchant, asked: AskRefund, *, now: datetime) -> dict[str, Any]:
    """Return how a refund stands: code 10000 always, facts only of one that is through."""
    trade = books.trade(merchant, Named(out_trade_no=asked.out_trade_no, trade_no=asked.trade_no), now=now)
    made = books.refunds.get(f"{trade.key}/{asked.out_request_no}")
    facts: dict[str, Any] = {"code": "10000", "msg": "Success"}
    if made is None or made.status != SUCCEEDED or made.refunded_at is None:
        return facts
    facts |= {
        "out_request_no": made.out_request_no,
        "out_trade_no": trade.out_trade_no,
        "refund_amount": plain_yuan(made.refund_fen),
        "refund_status": SUCCEEDED,
        "total_amount": plain_yuan(trade.total_fen),
        "trade_no": trade.trade_no,
    }
    if "gmt_refund_pay" in asked.query_options:
        facts["gmt_refund_pay"] = beijing(made.refunded_at)
    if made.dback_status and "deposit_back_info" in asked.query_options:
        facts["deposit_back_info"] = {"has_deposit_back": "true", "dback_status": made.dback_status}
    return facts


def cancel(books: AlipayBooks, merchant: Merchant, named: Named, *, now: datetime) -> dict[str, Any]:
    """Reverse a trade (撤销): close it, or give the money back; a number that nobody knows is no error."""
    facts: dict[str, Any] = {"code": "10000", "msg": "Success", "out_trade_no": named.out_trade_no, "retry_flag": "N"}
    if books.faults.strikes("cancel_again"):
        return facts | {"retry_flag": "Y"}
    try:
        trade = books.trade(merchant, named, now=now)
    except AlipayError:
        return facts
    facts |= {"trade_no": trade.trade_no, "out_trade_no": trade.out_trade_no}
    if trade.status == WAITING:
        books.close(trade, now=now)
        facts["action"] = "close"
    elif trade.status == PAID:
        if trade.refunded_fen:
            raise AlipayError(40004, "ACQ.REASON_TRADE_REFUND_FEE_ERR", "退款金额无效")
        everything = PlaceRefund(out_trade_no=trade.out_trade_no, refund_amount=plain_yuan(trade.total_fen))
        refund(books, merchant, everything, now=now)
        facts["action"] = "refund"
    elif trade.status == FINISHED:
        raise AlipayError(40004, "ACQ.TRADE_HAS_FINISHED", "交易已经完结")
    return facts


def _check(books: AlipayBooks, trade: Trade, asked: PlaceRefund, refund_fen: int) -> None:
    if trade.status == FINISHED:
        raise AlipayError(40004, "ACQ.TRADE_HAS_FINISHED", "交易已经完结")
    if trade.status != PAID:
        raise AlipayError(40004, "ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
    on_their_way = sum(
        made.refund_fen
        for made in (books.refunds.get(key) for key in books.settling)
        if made is not None and f"{made.app_id}/{made.out_trade_no}" == trade.key
    )
    if trade.refunded_fen + on_their_way + refund_fen > trade.total_fen:
        raise AlipayError(40004, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
    if not asked.out_request_no and refund_fen != trade.total_fen:
        raise AlipayError(40004, "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "部分退款时 out_request_no 必填")
    if books.faults.strikes("seller_too_poor"):
        raise AlipayError(40004, "ACQ.SELLER_BALANCE_NOT_ENOUGH", "卖家余额不足")


def _answer(trade: Trade, *, fund_change: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "code": "10000",
        "msg": "Success",
        "buyer_logon_id": "159****5620",
        "buyer_user_id": trade.buyer_id,
        "fund_change": fund_change,
        "out_trade_no": trade.out_trade_no,
        "refund_fee": plain_yuan(trade.refunded_fen),
        "send_back_fee": plain_yuan(trade.refunded_fen),
        "trade_no": trade.trade_no,
    }
    if trade.refunded_at is not None:
        facts["gmt_refund_pay"] = beijing(trade.refunded_at)
    return facts
