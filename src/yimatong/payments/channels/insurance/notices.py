"""The notice of the mobile payment centre about a settled order (6302): signed, its content encrypted. Pure.

Public: that it is sent in the envelope of the centre, and its fields (``payOrdId``, ``callType``, ``medOrgOrd``,
``traceTime``, ``feeSumamt``, ``ownPayAmt``, ``psnAcctPay``, ``fundPay``, ``setlType``, ``revsToken``) in an open
hospital project. Its address is agreed upon when a hospital joins, not sent with an order. Not public: how it is
repeated, its answer's shape, and whether it carries ``ordStas`` and our own ``orgBizSer``. Without ``ordStas`` a notice
says nothing final, and the platform asks; without ``orgBizSer`` it is known by ``medOrgOrd``, our number of the
question.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from yimatong.payments.channels.base import ChannelAccount, Notice
from yimatong.payments.channels.insurance import keys, mobile, signing
from yimatong.payments.channels.insurance.splits import Garbled, needed, text_in
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood


def read(account: ChannelAccount, body: bytes, *, now: datetime) -> Notice:
    """Return a notice. Raises ``NoticeNotGenuine``, ``NoticeNotUnderstood``, ``AccountUnusable``."""
    try:
        told = signing.unseal(keys.of(account), signing.read_json(body), now=now)
    except signing.Unverified as error:
        raise NoticeNotGenuine(audit=str(error)) from error
    try:
        return _notice(account, told)
    except Garbled as error:
        raise NoticeNotUnderstood(audit=str(error)) from error


def _notice(account: ChannelAccount, told: Mapping[str, Any]) -> Notice:
    number = text_in(told, "orgBizSer") or needed(told, "medOrgOrd")
    payment = mobile.payment(account, told, number)
    state = text_in(told, "ordStas") or text_in(told, "callType")
    return Notice(notice_id=f"{payment.channel_trade_no}:{state}", payment=payment)
