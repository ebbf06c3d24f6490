"""Errors of agreements, two-in-one codes and what a window's scanner reads (PAY-40xx, PAY-41xx)."""

from __future__ import annotations

from yimatong.kit.errors import Refusal


class AgreementNotFound(Refusal):
    """No such agreement, or somebody else's: one answer for both."""

    code = "PAY-4001"
    status = 404
    zh = "支付协议不存在"
    en = "no such payment agreement"


class AgreementExists(Refusal):
    """The resident has an agreement of this kind at this merchant account."""

    code = "PAY-4002"
    status = 409
    zh = "已有同类支付协议 {agreement_id}"
    en = "there is an agreement of this kind: {agreement_id}"


class AgreementNotUsable(Refusal):
    """Not agreed yet, refused, ended, or another payer's."""

    code = "PAY-4003"
    status = 409
    zh = "支付协议不可用（{state}）"
    en = "the payment agreement cannot be used ({state})"


class AgreementLimitExceeded(Refusal):
    """The payment, or the payments of the day, would exceed what the resident agreed to.

    She reads it herself: ``left`` is in yuan.
    """

    code = "PAY-4004"
    status = 409
    zh = "超过协议限额，今日还可支付 ¥ {left}"
    en = "beyond the agreed limit; ¥ {left} are left today"


class AgreementNotOffered(Refusal):
    """The channel has no agreements of this kind."""

    code = "PAY-4005"
    status = 409
    zh = "支付渠道 {channel} 不支持该类协议"
    en = "the channel {channel} has no such agreements"


class PayerNotProven(Refusal):
    """The payer is neither the patient nor somebody who manages her card."""

    code = "PAY-4006"
    status = 403
    zh = "付款人不是本人或监护人"
    en = "the payer is neither the patient nor her guardian"


class ScannedUnreadable(Refusal):
    """Neither a payment code of a channel nor a health-card code."""

    code = "PAY-4101"
    status = 422
    zh = "无法识别的付款码"
    en = "not a payment code that is known"


class ScannedCannotPay(Refusal):
    """A genuine health-card code of a resident who agreed to no payment here."""

    code = "PAY-4102"
    status = 409
    zh = "持卡人未开通免密支付，请出示付款码或在手机上支付"
    en = "the resident agreed to no payment by card code; show a payment code or pay by phone"


class TokenRefused(Refusal):
    """The payment provider does not take the token of the two-in-one code."""

    code = "PAY-4103"
    status = 409
    zh = "支付服务方未通过二码合一支付数据验证"
    en = "the payment provider did not verify the code's payment data"


class NobodyGivesTokens(Refusal):
    """The resident has no bound account at a provider that gives tokens."""

    code = "PAY-4104"
    status = 409
    zh = "未绑定可用于二码合一的支付账户"
    en = "no bound account whose provider gives payment tokens"
