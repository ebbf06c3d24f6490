"""Notices (6302) on their way: sealed, signed, repeated until the hospital takes them.

How the real centre repeats is not public; this schedule is invented.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.sandbox.medical.rows import Institution, InsuranceError, Notice, Order
from yimatong.sandbox.medical.showing import order_shown
from yimatong.sandbox.medical.state import Insurance
from yimatong.sandbox.notifying import NO_ANSWER, NoticeLoop, after, posted

SCHEDULE_S = (5, 15, 60, 300, 1800, 3600, 7200)
_OK = 200
_UNPUBLISHED = ("ordStas", "orgBizSer")


def tell_settled(insurance: Insurance, institution: Institution, order: Order, *, now: datetime) -> None:
    """Queue the notice that an order is settled, where the hospital gave an address."""
    if not institution.notify_url:
        return
    content = order_shown(order) | {"revsToken": secrets.token_hex(16)}
    if insurance.faults.strikes("bare_notices"):
        content = {name: value for name, value in content.items() if name not in _UNPUBLISHED}
    dropped = insurance.faults.strikes("drop_notices")
    save(
        insurance,
        Notice(
            notice_id=secrets.token_hex(16),
            app_id=institution.app_id,
            url=institution.notify_url,
            content=json.dumps(content, ensure_ascii=False),
            due_at=now,
            state="dropped" if dropped else "pending",
        ),
    )


def save(insurance: Insurance, notice: Notice) -> None:
    """Store a notice and wake the loop."""
    insurance.notices.put(notice.notice_id, notice)
    insurance.wake.set()


def sealed(insurance: Insurance, notice: Notice, *, now: datetime, broken: bool = False) -> bytes:
    """Return the body of a notice. Raises ``InsuranceError`` when the hospital is gone."""
    institution = insurance.with_app(notice.app_id)
    content: dict[str, Any] = json.loads(notice.content)
    return msgspec.json.encode(insurance.key.answer(institution, content, now=now, old=False, broken=broken))


class Notifier(NoticeLoop[Notice]):
    """The loop that delivers notices; one for each process."""

    def __init__(self, insurance: Insurance) -> None:
        """Serve ``insurance``; nothing runs before ``run``."""
        super().__init__(insurance)
        self._insurance = insurance

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Return what is pending; time brings nothing else here."""
        del now
        return [each for each in self._insurance.notices if each.state == "pending"]

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it, twice or with a forged one before it where that is wanted."""
        insurance = self._insurance
        if insurance.faults.strikes("forged_notices", notice.url):
            await self._send(outbound, notice, broken=True)
        copies = 2 if insurance.faults.strikes("duplicate_notices", notice.url) else 1
        status = min(await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies))))
        told = after(notice, taken=status == _OK, schedule_s=SCHEDULE_S, factor=insurance.conditions.notice_factor)
        save(insurance, replace(told, last_status=status))

    async def _send(self, outbound: Outbound, notice: Notice, *, broken: bool = False) -> int:
        """Send once; return the HTTP status, or 999 when there was no answer or the hospital is gone."""
        try:
            body = sealed(self._insurance, notice, now=clock.now(), broken=broken)
        except InsuranceError:
            return NO_ANSWER
        return await posted(outbound, "insurance", notice.url, body, {"Content-Type": "application/json"})
