"""Notices (后台通知) of the simulated UnionPay: signed forms, repeated until HTTP 200 comes back.

Public sources do not give the times of the repetitions; these are the simulator's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlencode

from msgspec.structs import replace

from yimatong.kit.http import Outbound
from yimatong.sandbox.notifying import NoticeLoop, after, posted
from yimatong.sandbox.unionpay.rows import Notice
from yimatong.sandbox.unionpay.state import UnionPay

SCHEDULE_S = (60, 120, 240, 480, 900, 1800, 3600)
_OK = 200


class Notifier(NoticeLoop[Notice]):
    """The loop that settles refunds and delivers notices; one for each process."""

    def __init__(self, unionpay: UnionPay) -> None:
        """Serve ``unionpay``; nothing runs before ``run``."""
        super().__init__(unionpay)
        self._unionpay = unionpay

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Settle refunds; return what is pending."""
        self._unionpay.settle_due(now=now)
        return map(self._unionpay.notices.get, self._unionpay.pending)

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it, twice where that is wanted."""
        unionpay = self._unionpay
        copies = 2 if unionpay.faults.strikes("duplicate_notices", notice.url) else 1
        status = min(await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies))))
        told = after(notice, taken=status == _OK, schedule_s=SCHEDULE_S, factor=unionpay.conditions.notice_factor)
        unionpay.save_notice(replace(told, last_status=status))

    async def _send(self, outbound: Outbound, notice: Notice) -> int:
        """Send once; return the HTTP status, or 999 when there was no answer."""
        merchant = self._unionpay.merchants.get(notice.mer_id)
        fields = self._unionpay.authority.sign(notice.fields | {"respMsg": "success"}, merchant)
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=UTF-8", "User-Agent": "UnionPay"}
        return await posted(outbound, notice.mer_id, notice.url, urlencode(fields).encode(), headers)
