"""Notices on their way to the platform: sealed and signed, lost, doubled, at once, out of order.

What the platform answers decides whether a notice comes again, on WeChat Pay's published schedule.
"""

from __future__ import annotations

from typing import Any, Final

from _payments_chance import Chance
from _payments_loop import VirtualLoop
from _payments_nodes import Crashed, Node, Nodes
from _payments_parties import Surroundings

from yimatong.kit.errors import PlatformError
from yimatong.payments.desk import Desk
from yimatong.payments.notices import service as notices
from yimatong.payments.notices import sharing
from yimatong.sandbox.alipay.notify import SCHEDULE_S as ALIPAY_SCHEDULE_S
from yimatong.sandbox.alipay.rows import Notice as AlipayNotice
from yimatong.sandbox.unionpay.notify import SCHEDULE_S as UNIONPAY_SCHEDULE_S
from yimatong.sandbox.unionpay.rows import Notice as UnionPayNotice
from yimatong.sandbox.wechat.rows import Notice as WeChatNotice

SCHEDULE_S: Final = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
SCHEDULES_S: Final = {"alipay": ALIPAY_SCHEDULE_S, "unionpay": UNIONPAY_SCHEDULE_S}
"""Channels whose schedule is another than WeChat Pay's."""
Sent = tuple[str, str, dict[str, str], bytes]
"""Channel, account, headers (names in lower case), body."""


class Courier:
    """Takes notices to the platform."""

    def __init__(
        self,
        *,
        loop: VirtualLoop,
        chance: Chance,
        nodes: Nodes,
        desk: Desk,
        parties: dict[str, Any],
        around: Surroundings,
    ) -> None:
        self._loop = loop
        self._around = around
        self._chance = chance
        self._nodes = nodes
        self._desk = desk
        self._parties = parties
        self.under_way = 0
        self.breaks: list[tuple[int, str]] = []
        self.all: list[tuple[str, Any]] = []
        self.deliveries = 0
        self._shared = sharing.shared(desk.db, desk.vault)

    def deliver(self, channel: str, notice: Any) -> None:
        """Send a notice now or later, once or more often."""
        self.all.append((channel, notice))
        if not any(number in _text(notice) for number in self._around.never_lost) and self._chance.strikes(1, 0.5):
            return
        copies = 1 + self._chance.strikes(2)
        for copy in range(copies):
            wait_s = self._chance.random.uniform(0.05, 2)
            if copy or self._chance.strikes(4):
                wait_s = self._chance.random.uniform(5, 200)
            self._later(wait_s, channel, notice, 0)
        if self._chance.strikes(3):
            for _ in range(2):
                self._later(1.0, channel, notice, len(SCHEDULE_S))

    def _later(self, wait_s: float, channel: str, notice: Any, tries: int) -> None:
        self.under_way += 1
        self._around.later(wait_s, self._set_off, channel, notice, tries)

    def _set_off(self, channel: str, notice: Any, tries: int) -> None:
        self._loop.create_task(self._send(channel, notice, tries))

    async def _send(self, channel: str, notice: Any, tries: int) -> None:
        try:
            lost = self._chance.strikes(1)
            if not lost and await self.take(self.sealed(channel, notice)):
                return
            schedule = SCHEDULES_S.get(channel, SCHEDULE_S)
            if tries < len(schedule):
                self._later(schedule[tries], channel, notice, tries + 1)
        finally:
            self.under_way -= 1

    def sealed(self, channel: str, notice: Any) -> Sent:
        """Return a notice as it goes over the wire now."""
        account_id = notice.url.rpartition("/")[2]
        return channel, account_id, *self._parties[channel].sealed(notice)

    async def take(self, sent: Sent, node: Node | None = None) -> bool:
        """Hand a notice to a core; return whether it was answered with *taken*."""
        node = node or self._nodes.pick("core")
        if node is None:
            return False
        self.deliveries += 1
        channel, account_id, headers, body = sent
        shared = self._shared if self._chance.random.random() < 0.6 else None
        now = self._nodes.now(node)
        work = notices.take(self._desk, channel, account_id, headers, body, shared=shared, now=now)
        try:
            await self._nodes.run(node, work)
        except (PlatformError, Crashed) as error:
            self._chance.note(
                f"{self._loop.time():.3f} notice refused {type(error).__name__} {getattr(error, 'audit', '')}"
            )
            return False
        self._chance.note(f"{self._loop.time():.3f} notice taken")
        return True


def _text(notice: Any) -> str:
    if isinstance(notice, WeChatNotice):
        return notice.resource
    if isinstance(notice, AlipayNotice | UnionPayNotice):
        return repr(notice)
    return str(notice.body)
