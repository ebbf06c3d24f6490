"""Errors of payment channels, their notices and bills."""

from __future__ import annotations

from yimatong.kit.errors import Refusal, Unavailable


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


class BillNotOffered(Refusal):
    """The channel has no such file."""

    code = "PAY-3013"
    status = 409
    zh = "支付渠道 {channel} 不提供该类账单（{kind}）"
    en = "the channel {channel} has no bill of the kind {kind}"


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


class AccountUnusable(Unavailable):
    """The merchant account lacks an entry that the call needs, or holds one that cannot be read; nothing was sent."""

    code = "PAY-3014"
    zh = "支付渠道 {channel} 的商户账户配置缺失或不可用：{name}"
    en = "the merchant account at {channel} lacks a usable {name}"
