"""Calls about refunds (退款申请, 查询单笔退款)."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from yimatong.kit.http import Answer
from yimatong.payments.channels.base import ChannelAccount, ChannelRefund, RefundStatus
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.connection import UNKNOWN_NUMBER, Connection, code_of, done, unknown

PATH = "/v3/refund/domestic/refunds"


async def ask(
    connection: Connection, account: ChannelAccount, body: bytes, refund_no: str, *, now: datetime
) -> ChannelRefund:
    """Ask for a refund; the answer is acceptance, not arrival."""
    return refund_in(done(await connection.call(account, "POST", PATH, body, now=now)), account, refund_no)


async def query(connection: Connection, account: ChannelAccount, refund_no: str, *, now: datetime) -> ChannelRefund:
    """Ask how a refund stands; an unknown number is ``ABSENT``."""
    answer = await connection.call(account, "GET", f"{PATH}/{quote(refund_no, safe='')}", now=now)
    if code_of(answer) in UNKNOWN_NUMBER:
        return ChannelRefund(
            refund_no=refund_no, attempt_no="", status=RefundStatus.ABSENT, merchant_id=account.merchant_id
        )
    return refund_in(done(answer), account, refund_no)


def refund_in(answer: Answer, account: ChannelAccount, refund_no: str) -> ChannelRefund:
    """Return the refund of a signed answer. Raises ``PartyOutcomeUnknown`` for another shape or another refund."""
    try:
        refund = wire.decode_refund(answer.body, account.merchant_id)
    except wire.Garbled as error:
        raise unknown(audit=f"refund: {error}") from error
    if refund.refund_no != refund_no:
        raise unknown(audit="refund: the answer is about another refund")
    return refund
