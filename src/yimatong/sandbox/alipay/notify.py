"""Notices (异步通知) on their way: signed, repeated on the published schedule until the answer is just ``success``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PlatformError
from yimatong.kit.http import Outbound
from yimatong.sandbox.alipay import returns
from yimatong.sandbox.alipay.rows import Notice, beijing
from yimatong.sandbox.alipay.state import AlipayBooks
from yimatong.sandbox.notifying import NoticeLoop, after

SCHEDULE_S: Final = (240, 600, 600, 3600, 7200, 21600, 54000)
"""异步通知: 4m, 10m, 10m, 1h, 2h, 6h, 15h after the first one."""
TAKEN: Final = "success"


class Notifier(NoticeLoop[Notice]):
    """The loop that closes what expired, settles refunds and delivers notices; one for each process."""

    def __init__(self, books: AlipayBooks) -> None:
        """Serve ``books``; nothing runs before ``run``."""
        super().__init__(books)
        self._books = books

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Close what expired and settle refunds; return what is pending."""
        self._books.close_expired(now=now)
        returns.settle_due(self._books, now=now)
        return map(self._books.notices.get, self._books.pending)

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it, twice or with a forged one before it where that is wanted."""
        books = self._books
        forged_answer = notice.forged_answer
        if books.faults.strikes("forged_notices", notice.url):
            forged_answer = await self._send(outbound, notice, forged=True)
        copies = 2 if books.faults.strikes("duplicate_notices", notice.url) else 1
        answers = await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies)))
        answer = TAKEN if TAKEN in answers else answers[0]
        told = after(notice, taken=answer == TAKEN, schedule_s=SCHEDULE_S, factor=books.conditions.notice_factor)
        books.save_notice(replace(told, last_answer=answer, forged_answer=forged_answer))

    async def _send(self, outbound: Outbound, notice: Notice, *, forged: bool = False) -> str:
        """Send once; return the first characters of the answer, empty when there was none."""
        body = form(self._books, notice, forged=forged)
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8", "User-Agent": "Mozilla/4.0"}
        try:
            answer = await outbound.send(notice.app_id, "POST", notice.url, body=body, headers=headers)
        except PlatformError:
            return ""
        return answer.body[:64].decode(errors="replace")


def form(books: AlipayBooks, notice: Notice, *, forged: bool = False) -> bytes:
    """Return the body of a notice; a ``forged`` one names another amount under the genuine signature."""
    facts = {
        **notice.facts,
        "notify_id": notice.notice_id,
        "notify_time": beijing(books.business_time(clock.now())),
    }
    signed = books.key.signed_form(facts)
    if forged:
        signed["total_amount"] = "9" + facts.get("total_amount", "0.01")
    return urlencode(signed).encode()
