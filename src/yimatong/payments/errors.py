"""Error catalogue of the payments room (PAY-)."""

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


class ChannelRefused(Refusal):
    """The channel declined the request for good; its own code is kept."""

    code = "PAY-3001"
    status = 409
    zh = "支付渠道拒绝：{channel_code} {channel_message}"
    en = "the payment channel declined: {channel_code} {channel_message}"


class ChannelAlreadyPaid(Refusal):
    """A close came too late: the payer has paid."""

    code = "PAY-3002"
    status = 409
    zh = "订单已在支付渠道完成支付，不能关闭"
    en = "already paid at the channel, cannot be closed"


class NoticeNotGenuine(Refusal):
    """Signature, time stamp or key of a notice does not hold; nothing was changed."""

    code = "PAY-3003"
    status = 401
    zh = "支付通知验证失败"
    en = "the payment notice is not genuine"


class BillNotReady(Unavailable):
    """The channel has not made the bill of that day yet, or there is none."""

    code = "PAY-3004"
    zh = "支付渠道尚未出具 {day} 的账单"
    en = "the channel has no bill for {day} yet"


class BillBroken(Unavailable):
    """The downloaded bill does not have the hash that the channel announced."""

    code = "PAY-3005"
    zh = "下载的账单校验失败：{detail}"
    en = "the downloaded bill fails its check: {detail}"


class PaymentMismatch(Refusal):
    """Genuine words of a channel that do not fit our books (merchant, app, amount, currency); nothing was applied."""

    code = "PAY-3006"
    status = 409
    zh = "支付渠道的结果与平台记录不一致：{field}"
    en = "what the channel says does not fit our books: {field}"


class ChannelBusy(Unavailable):
    """The channel asks to slow down and has done nothing; the same request may be sent again."""

    code = "PAY-3011"
    zh = "支付渠道限流，请稍后重试"
    en = "the payment channel asks to slow down; retry later"


class NoticeNotUnderstood(Refusal):
    """A genuine notice of a kind that the platform does not handle, or without its published shape."""

    code = "PAY-3012"
    status = 422
    zh = "支付通知的内容无法识别"
    en = "the payment notice is genuine and cannot be understood"


class LedgerUnbalanced(PlatformError):
    """A defect of ours: a posting whose debits and credits differ; the transaction was rolled back."""

    code = "PAY-5001"
    status = 500
    zh = "记账分录借贷不平，未入账"
    en = "the posting does not balance; nothing was booked"
