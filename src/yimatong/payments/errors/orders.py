"""Errors of orders, attempts and the ledger."""

from __future__ import annotations

from yimatong.kit.errors import PlatformError, Refusal, Unavailable


class OrderNotFound(Refusal):
    """No such order, or somebody else's: one answer for both."""

    code = "PAY-1001"
    status = 404
    zh = "订单不存在"
    en = "no such order"


class OrderExists(Refusal):
    """The institution already has an order under this number that is not closed."""

    code = "PAY-1002"
    status = 409
    zh = "单号 {source_id} 已有订单 {order_no}"
    en = "number {source_id} already has order {order_no}"


class OrderNotPayable(Refusal):
    """Paid already, closed, or being closed."""

    code = "PAY-1003"
    status = 409
    zh = "订单当前状态为 {state}，不能支付"
    en = "the order is {state} and cannot be paid"


class OrderExpired(Refusal):
    """The time to pay is over."""

    code = "PAY-1004"
    status = 409
    zh = "订单已过支付时限"
    en = "the time to pay this order is over"


class ItemsDoNotAddUp(Refusal):
    """The sum of the items is not the amount."""

    code = "PAY-1005"
    status = 422
    zh = "明细合计 {items_fen} 分与总额 {amount_fen} 分不一致"
    en = "the items add up to {items_fen} fen, not to {amount_fen} fen"


class StateEdgeRefused(Refusal):
    """The state machine has no such edge, or somebody else moved the row first; nothing was changed."""

    code = "PAY-1006"
    status = 409
    zh = "状态不能由 {old} 变为 {new}（{kind}）"
    en = "a {kind} cannot go from {old} to {new}"


class ChannelNotOffered(Refusal):
    """The institution has no account at this channel, or the platform does not know the channel."""

    code = "PAY-1007"
    status = 409
    zh = "该机构未开通支付渠道 {channel}"
    en = "the institution does not offer the channel {channel}"


class AttemptsExhausted(Refusal):
    """Too many attempts on one order; a new order is needed."""

    code = "PAY-1008"
    status = 409
    zh = "该订单支付尝试次数过多"
    en = "too many attempts on this order"


class OrderNotClosable(Refusal):
    """Paid already: refund instead of closing."""

    code = "PAY-1009"
    status = 409
    zh = "订单当前状态为 {state}，不能关闭"
    en = "the order is {state} and cannot be closed"


class OrderNumbersExhausted(Unavailable):
    """Three random order numbers in a row were taken; sending it again draws new ones."""

    code = "PAY-1010"
    zh = "订单号分配失败，请重试"
    en = "no free order number was found, please retry"


class LedgerUnbalanced(PlatformError):
    """A defect of ours: a posting whose debits and credits differ; the transaction was rolled back."""

    code = "PAY-5001"
    status = 500
    zh = "记账分录借贷不平，未入账"
    en = "the posting does not balance; nothing was booked"


class SceneNotOffered(Refusal):
    """The channel does not serve this way of paying."""

    code = "PAY-1011"
    status = 409
    zh = "支付渠道 {channel} 不支持 {scene} 方式"
    en = "the channel {channel} does not offer the scene {scene}"


class AttemptUnderWay(Refusal):
    """An earlier payment of the order is not known to have ended; another could be paid twice."""

    code = "PAY-1012"
    status = 409
    zh = "上一笔支付 {attempt_no} 尚未确认结果，请先查询或撤销"
    en = "the outcome of the payment {attempt_no} is open: ask for it or reverse it first"


class AppTimeOver(Refusal):
    """The time to pay in an app is over; a kiosk or a window still takes it."""

    code = "PAY-1013"
    status = 409
    zh = "已超过线上支付时限，请到自助机或窗口缴费"
    en = "the time to pay online is over; a kiosk or window still takes it"


class LegNotFound(Refusal):
    """Nobody was found to pay such a part of the order."""

    code = "PAY-1014"
    status = 404
    zh = "订单没有「{part}」部分"
    en = "the order has no part {part}"


class LegSettled(Refusal):
    """The insurer has paid this part; it goes back only when the order is closed or refunded."""

    code = "PAY-1015"
    status = 409
    zh = "「{part}」部分已结算，不能更改"
    en = "the part {part} is settled and cannot be changed"


class LegNotOffered(Refusal):
    """The channel pays no part of a bill."""

    code = "PAY-1016"
    status = 409
    zh = "{channel} 不是医保或商保渠道"
    en = "{channel} is not a channel of an insurer"


class LegDoesNotFit(Refusal):
    """The insurer said more than the bill, or parts that do not add up; nothing was recorded."""

    code = "PAY-1017"
    status = 409
    zh = "预结算金额与账单不符"
    en = "what the insurer would pay does not fit the bill"


class LegPending(Refusal):
    """The insurer has not confirmed its part yet; the payer's own part is taken only after it."""

    code = "PAY-1018"
    status = 409
    zh = "医保结算结果确认中，请稍候再支付自付部分"
    en = "the insurer has not confirmed its part yet; pay your own part in a moment"
    retryable = True
