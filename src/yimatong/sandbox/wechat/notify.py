"""Notices (通知) on their way: sealed, signed, repeated on the published schedule until a 2xx comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.sandbox.notifying import NoticeLoop, after, posted
from yimatong.sandbox.wechat.keys import seal
from yimatong.sandbox.wechat.rows import Notice
from yimatong.sandbox.wechat.state import WeChat

SCHEDULE_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""支付通知: 15s/15s/30s/3m/10m/20m/30m/30m/30m/60m/3h/3h/3h/6h/6h."""
PROBE = "WECHATPAY/SIGNTEST/"
_OK = range(200, 300)


class Notifier(NoticeLoop[Notice]):
    """The loop that settles refunds and delivers notices; one for each process."""

    def __init__(self, wechat: WeChat) -> None:
        """Serve ``wechat``; nothing runs before ``run``."""
        super().__init__(wechat)
        self._wechat = wechat

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Settle refunds; return what is pending."""
        self._wechat.settle_due(now=now)
        return map(self._wechat.notices.get, self._wechat.pending)

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it, twice or with a probe before it where that is wanted."""
        wechat = self._wechat
        probe_status = notice.probe_status
        if wechat.faults.strikes("probe_notices", notice.url):
            probe_status = await self._send(outbound, notice, probe=True)
        copies = 2 if wechat.faults.strikes("duplicate_notices", notice.url) else 1
        status = min(await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies))))
        told = after(notice, taken=status in _OK, schedule_s=SCHEDULE_S, factor=wechat.conditions.notice_factor)
        wechat.save_notice(replace(told, last_status=status, probe_status=probe_status))

    async def _send(self, outbound: Outbound, notice: Notice, *, probe: bool = False) -> int:
        """Send once; return the HTTP status, or 999 when there was no answer.

        A ``probe`` carries a signature that does not verify, as WeChat Pay sends to see whether a merchant checks.
        """
        body = envelope(self._wechat, notice)
        moment = self._wechat.wire_time(clock.now())
        signer = self._wechat.signers.for_notice(self._wechat.conditions.notice_certificate_percent, moment=moment)
        headers = signer.headers(body, moment=moment)
        if probe:
            headers["Wechatpay-Signature"] = PROBE + headers["Wechatpay-Signature"]
        headers |= {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0"}
        return await posted(outbound, notice.mchid, notice.url, body, headers)


def envelope(wechat: WeChat, notice: Notice) -> bytes:
    """Return the body of a notice, its resource sealed with the merchant's APIv3 key."""
    merchant = wechat.merchants.get(notice.mchid)
    if merchant is None:
        message = f"notice {notice.notice_id} belongs to no merchant"
        raise LookupError(message)
    resource = seal(notice.resource, api_v3_key=merchant.api_v3_key, associated_data=notice.original_type)
    return msgspec.json.encode(
        {
            "id": notice.notice_id,
            "create_time": clock.rfc3339(notice.created_at),
            "resource_type": "encrypt-resource",
            "event_type": notice.event_type,
            "summary": notice.summary,
            "resource": {"original_type": notice.original_type} | resource,
        }
    )
