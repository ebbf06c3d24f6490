"""Which payment channels there are: one entry each, by the name that accounts carry."""

from __future__ import annotations

from collections.abc import Callable

from yimatong.kit.http import Outbound
from yimatong.kit.settings import Settings
from yimatong.payments.channels.alipay.channel import Alipay
from yimatong.payments.channels.base import PaymentChannel
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.credit.channel import CreditPayment
from yimatong.payments.channels.insurance.channel import MedicalInsurance
from yimatong.payments.channels.ncms.channel import CooperativeMedical
from yimatong.payments.channels.netbank.channel import NetBank
from yimatong.payments.channels.quickpay.channel import QuickPay
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.channels.wechat.channel import WeChatPay

CHANNELS: dict[str, Callable[[Outbound, Settings], PaymentChannel]] = {
    "wechat": lambda outbound, settings: WeChatPay(outbound, settings.wechat_base_url),
    "alipay": lambda outbound, settings: Alipay(
        outbound, settings.alipay_gateway_url, bill_hosts=frozenset({settings.alipay_bill_host})
    ),
    "unionpay": lambda outbound, settings: UnionPay(
        outbound, settings.unionpay_gateway_url, settings.unionpay_files_url
    ),
    "netbank": lambda outbound, _settings: NetBank(outbound),
    "credit": lambda outbound, settings: CreditPayment(outbound, settings.credit_base_url),
    "commercial": lambda outbound, settings: CommercialInsurer(outbound, settings.commercial_base_url),
    "quickpay": lambda outbound, settings: QuickPay(outbound, settings.bank_base_url),
    "insurance": lambda outbound, settings: MedicalInsurance(outbound, settings.insurance_base_url),
    "ncms": lambda outbound, settings: CooperativeMedical(outbound, settings.ncms_base_url),
}
"""WeChat Pay, API v3, direct merchants (pay.weixin.qq.com)."""
