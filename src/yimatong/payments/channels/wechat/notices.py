"""Opening notices: from the raw body to what it tells. Pure; verification raises.

Sources: pay.weixin.qq.com, 支付通知, 退款结果通知, 医保混合收款成功通知, 如何应对回调验签 (probes).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from yimatong.payments.channels.base import ChannelAccount, Notice
from yimatong.payments.channels.wechat import keys, medical, signing
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood


def read_notice(account: ChannelAccount, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Notice:
    """Verify, open and read a notice; ``headers`` have lower-case names.

    Raises:
        NoticeNotGenuine: signature, age, key or merchant do not hold.
        NoticeNotUnderstood: genuine, and of a kind or shape that is not ours.
        AccountUnusable: the account's keys cannot be used.
    """
    try:
        signing.verify(headers, body, keys=keys.platform_keys(account, now=now), now=now)
    except signing.Unverified as error:
        raise NoticeNotGenuine(audit=str(error)) from error
    return opened(account, body)


def opened(account: ChannelAccount, body: bytes) -> Notice:
    """Open and read a notice whose signature holds; errors as ``read_notice``."""
    try:
        envelope = wire.read(body, wire.Envelope)
        resource = signing.unseal(
            envelope.resource.ciphertext,
            nonce=envelope.resource.nonce,
            associated_data=envelope.resource.associated_data,
            api_v3_key=keys.secret(account, "api_v3_key"),
        )
        notice = decode(envelope, resource, account)
    except signing.Unverified as error:
        raise NoticeNotGenuine(audit=str(error)) from error
    except wire.Garbled as error:
        raise NoticeNotUnderstood(audit=str(error)) from error
    about = notice.payment or notice.refund
    if about is None or about.merchant_id != account.merchant_id:
        raise NoticeNotGenuine(audit="the notice is about another merchant")
    return notice


def decode(envelope: wire.Envelope, resource: bytes, account: ChannelAccount) -> Notice:
    """Return a notice from its opened resource. Raises ``Garbled`` for an event that is not one of ours."""
    if envelope.event_type.startswith("TRANSACTION."):
        return Notice(notice_id=envelope.id, payment=wire.decode_payment(resource, account))
    if envelope.event_type.startswith("REFUND."):
        return Notice(notice_id=envelope.id, refund=wire.decode_refund(resource))
    if envelope.event_type.startswith(medical.EVENT):
        return Notice(notice_id=envelope.id, payment=medical.payment_of(medical.decode_mixed(resource), account))
    message = f"event {envelope.event_type[:64]} is not one of ours"
    raise wire.Garbled(message)
