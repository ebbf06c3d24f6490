"""Errors of refunds."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class RefundNotFound(Refusal):
    """No such refund, or somebody else's: one answer for both."""

    code = "PAY-2001"
    status = 404
    zh = "退款单不存在"
    en = "no such refund"


class RefundExceedsPaid(Refusal):
    """Finished refunds and those on their way would exceed what was paid."""

    code = "PAY-2002"
    status = 409
    zh = "退款金额超过可退余额 {refundable_fen} 分"
    en = "the refund exceeds the refundable {refundable_fen} fen"


class RefundNumberReused(Refusal):
    """The institution's refund number stands for another refund of this order."""

    code = "PAY-2003"
    status = 409
    zh = "退款请求号 {request_no} 已用于另一笔退款"
    en = "refund request number {request_no} was used for another refund"


class OrderNotRefundable(Refusal):
    """Not paid, or everything was returned already."""

    code = "PAY-2004"
    status = 409
    zh = "订单当前状态为 {state}，不能退款"
    en = "the order is {state} and cannot be refunded"


class RefundsExhausted(Refusal):
    """The channels allow fifty partial refunds of one payment."""

    code = "PAY-2005"
    status = 409
    zh = "该订单退款次数已达上限"
    en = "this order has reached the number of refunds that channels allow"


class RefundExceedsPart(Refusal):
    """Finished refunds and those on their way would exceed what was paid of one part, or of a component of it."""

    code = "PAY-2006"
    status = 409
    zh = "退款超过「{part}」部分的可退余额 {refundable_fen} 分"
    en = "the refund exceeds the refundable {refundable_fen} fen of the part {part}"


class PartsDoNotAddUp(Refusal):
    """The parts of a refund are not its amount, or the components of a part are not the part."""

    code = "PAY-2007"
    status = 422
    zh = "退款各部分合计与金额不一致（{detail}）"
    en = "the parts of the refund do not add up to its amount ({detail})"


class ItemsNeeded(Refusal):
    """The order pays several bills: a refund must say which lines it is for."""

    code = "PAY-2008"
    status = 422
    zh = "合并支付的订单退款须指明明细行"
    en = "the order pays several bills: say which lines the refund is for"


class NoSuchLine(Refusal):
    """The order has fewer lines."""

    code = "PAY-2009"
    status = 422
    zh = "订单没有第 {line} 行明细"
    en = "the order has no line {line}"


class RefundExceedsItem(Refusal):
    """Finished refunds and those on their way would exceed one line of the order."""

    code = "PAY-2010"
    status = 409
    zh = "第 {line} 行明细可退余额为 {refundable_fen} 分"
    en = "of line {line}, {refundable_fen} fen can be refunded"
