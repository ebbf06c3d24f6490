"""Notices on their way: signed, repeated until the merchant answers 200."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from datetime import datetime

from msgspec.structs import replace

from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.sandbox.notifying import NoticeLoop, after, posted
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Merchant, Notice

SCHEDULE_S = (15, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
_OK = 200


class Notifier(NoticeLoop[Notice]):
    """The loop that settles what is due and delivers notices; one for each party."""

    def __init__(self, books: Books) -> None:
        """Serve ``books``; nothing runs before ``run``."""
        super().__init__(books)
        self._books = books

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Settle what is due; return what is pending."""
        self._books.settle_due(now=now)
        return map(self._books.notices.get, self._books.pending)

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it, twice where that is wanted."""
        books = self._books
        copies = 2 if books.faults.strikes("duplicate_notices", notice.url) else 1
        status = min(await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies))))
        told = after(notice, taken=status == _OK, schedule_s=SCHEDULE_S, factor=books.conditions.notice_factor)
        books.save_notice(replace(told, last_status=status))

    async def _send(self, outbound: Outbound, notice: Notice) -> int:
        """Send once; return the HTTP status, or 999 when there was no answer."""
        found = [each for each in self._books.merchants if each.merchant_id == notice.merchant_id]
        body = notice.body.encode()
        return await posted(outbound, notice.merchant_id, notice.url, body, signed(found[0], body) if found else {})


def signed(merchant: Merchant, body: bytes) -> dict[str, str]:
    """Return the headers of a notice."""
    timestamp, nonce = str(int(clock.now().timestamp())), secrets.token_hex(16)
    code = HmacSm3(bytes.fromhex(merchant.secret_hex)).digest(f"NOTICE\n{timestamp}\n{nonce}\n".encode() + body)
    return {
        "Content-Type": "application/json",
        "X-App-Id": merchant.app_id,
        "X-Timestamp": timestamp,
        "X-Nonce": nonce,
        "X-Sign": code.hex(),
    }
