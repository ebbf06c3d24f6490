"""What Alipay's codes mean. Pure.

Source: opendocs.alipay.com, 公共错误码 and each method's own table. ``10000`` is done, ``10003`` waits for the payer,
``20000`` is not known to Alipay itself. ``40004`` is a business refusal, whose ``sub_code`` may still say *not known*
(``ACQ.SYSTEM_ERROR``, anything of the gateway's own ``isp.``). A code outside the table is not known either.
"""

from __future__ import annotations

from typing import Final

from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.alipay.facts import PARTY
from yimatong.payments.channels.alipay.replies import Reply
from yimatong.payments.errors import ChannelAlreadyPaid, ChannelBusy, ChannelRefused

DONE: Final = "10000"
WAITING: Final = "10003"
NO_SUCH_TRADE: Final = frozenset({"ACQ.TRADE_NOT_EXIST"})
CLOSED: Final = frozenset(
    {"ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS", "ACQ.TRADE_HAS_CLOSE"}
)
"""Refusals to close a trade that does not wait for a payer any more: paid, or closed before."""
_PAID: Final = frozenset({"ACQ.TRADE_HAS_SUCCESS"})
_BUSY: Final = "40005"
_REFUSALS: Final = frozenset({"20001", "40001", "40002", "40003", "40004", "40006"})
_OPEN: Final = frozenset({"ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR", "SYSTEM_ERROR"})


def done(reply: Reply) -> str:
    """Return the node of a success; raise what anything else means.

    Raises:
        ChannelAlreadyPaid: paid before.
        ChannelBusy: too many calls, nothing was done.
        PartyOutcomeUnknown: Alipay does not know itself, waits for the payer, or says something unheard of.
        ChannelRefused: declined for good; its code and text are kept.
    """
    if reply.code == DONE:
        return reply.node
    said = f"{reply.code} {reply.sub_code}"[:128]
    if reply.sub_code in _PAID:
        raise ChannelAlreadyPaid(audit=said)
    if reply.code == _BUSY:
        raise ChannelBusy(audit=said)
    if reply.code not in _REFUSALS or reply.sub_code in _OPEN or reply.sub_code.startswith(("isp.", "aop.")):
        raise unknown(audit=said)
    raise ChannelRefused(channel_code=reply.sub_code or reply.code, channel_message=reply.message[:200])


def unknown(*, audit: str) -> PartyOutcomeUnknown:
    """Return the error of an answer that says nothing reliable."""
    return PartyOutcomeUnknown(party=PARTY, audit=audit)
