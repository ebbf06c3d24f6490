"""Notices (通知) on their way: sealed, signed, repeated on the published schedule until a 2xx comes back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial

import msgspec
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PlatformError
from yimatong.kit.http import Outbound
from yimatong.sandbox.wechat.keys import seal
from yimatong.sandbox.wechat.rows import Notice
from yimatong.sandbox.wechat.state import WeChat

SCHEDULE_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
"""支付通知: 15s/15s/30s/3m/10m/20m/30m/30m/30m/60m/3h/3h/3h/6h/6h."""
PROBE = "WECHATPAY/SIGNTEST/"
AT_ONCE_MAX = 32
IDLE_S = 0.2
_OK = range(200, 300)


class Notifier:
    """The loop that settles refunds and delivers notices; one for each process."""

    def __init__(self, wechat: WeChat) -> None:
        """Serve ``wechat``; nothing runs before ``run``."""
        self._wechat = wechat
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Run until cancelled."""
        async with Outbound(connect_s=2.0, read_s=5.0) as outbound:
            try:
                while True:
                    await self._turn(outbound)
            finally:
                for task in self._under_way.values():
                    task.cancel()
                await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def _turn(self, outbound: Outbound) -> None:
        wechat, moment = self._wechat, clock.now()
        wechat.wake.clear()
        wechat.settle_due(now=moment)
        for notice_id in list(wechat.pending - self._under_way.keys()):
            notice = wechat.notices.get(notice_id)
            if notice is not None and notice.due_at <= moment and len(self._under_way) < AT_ONCE_MAX:
                task = asyncio.create_task(self._deliver(outbound, notice))
                self._under_way[notice_id] = task
                task.add_done_callback(partial(self._done, notice_id))
        await wechat.store.flush()
        try:
            async with asyncio.timeout(IDLE_S):
                await wechat.wake.wait()
        except TimeoutError:
            return

    def _done(self, notice_id: str, _task: asyncio.Task[None]) -> None:
        self._under_way.pop(notice_id, None)
        self._wechat.wake.set()

    async def _deliver(self, outbound: Outbound, notice: Notice) -> None:
        wechat = self._wechat
        probe_status = notice.probe_status
        if wechat.faults.strikes("probe_notices", notice.url):
            probe_status = await self._send(outbound, notice, probe=True)
        copies = 2 if wechat.faults.strikes("duplicate_notices", notice.url) else 1
        statuses = await asyncio.gather(*(self._send(outbound, notice) for _ in range(copies)))
        status = min(statuses)
        tries = notice.tries + 1
        if status in _OK:
            state, due_at = "delivered", notice.due_at
        elif tries > len(SCHEDULE_S):
            state, due_at = "given_up", notice.due_at
        else:
            pause_s = SCHEDULE_S[tries - 1] * wechat.conditions.notice_factor
            state, due_at = "pending", clock.now() + timedelta(seconds=pause_s)
        wechat.save_notice(
            replace(notice, state=state, tries=tries, due_at=due_at, last_status=status, probe_status=probe_status)
        )
        await wechat.store.flush()

    async def _send(self, outbound: Outbound, notice: Notice, *, probe: bool = False) -> int:
        """Send once; return the HTTP status, or 999 when there was no answer.

        A ``probe`` carries a signature that does not verify, as WeChat Pay sends to see whether a merchant checks.
        """
        body = envelope(self._wechat, notice)
        headers = self._wechat.key.headers(body, moment=self._wechat.wire_time(clock.now()))
        if probe:
            headers["Wechatpay-Signature"] = PROBE + headers["Wechatpay-Signature"]
        headers |= {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0"}
        try:
            return (await outbound.send(notice.mchid, "POST", notice.url, body=body, headers=headers)).status
        except PlatformError:
            return 999


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
