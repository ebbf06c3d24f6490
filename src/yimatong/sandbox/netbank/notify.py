"""Notices to merchants: sent while the payer waits, and again by a loop until the merchant answers 200.

How often a bank tries again is not published; the schedule here is the simulator's own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from datetime import datetime
from urllib.parse import urlencode

from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PlatformError
from yimatong.kit.http import Answer, Outbound
from yimatong.sandbox.netbank.books import NetBanks
from yimatong.sandbox.netbank.forms import BANKS, document
from yimatong.sandbox.netbank.rows import Notice, Order
from yimatong.sandbox.notifying import NoticeLoop, after

SCHEDULE_S = (60, 300, 900, 1800, 3600, 7200)
WAITS_S = 5.0
"""How long the bank, and its payer, wait for the merchant."""
_OK = 200


class Notifier(NoticeLoop[Notice]):
    """The loop that settles refunds and sends what was not delivered; one for all banks."""

    def __init__(self, banks: NetBanks) -> None:
        """Serve ``banks``; nothing runs before ``run``."""
        super().__init__(banks)
        self._banks = banks

    def due(self, now: datetime) -> Iterable[Notice | None]:
        """Settle refunds; return what is pending."""
        self._banks.settle_due(now=now)
        return map(self._banks.notices.get, self._banks.pending)

    async def deliver(self, outbound: Outbound, notice: Notice) -> None:
        """Send it as while the payer waits."""
        await deliver(self._banks, outbound, notice)


async def deliver(banks: NetBanks, outbound: Outbound, notice: Notice) -> Notice:
    """Send a notice once (or twice at once, on demand) and note what became of it."""
    order = banks.orders.get(notice.order_key)
    if order is None:
        message = f"notice {notice.notice_id} belongs to no order"
        raise LookupError(message)
    copies = 2 if banks.faults.strikes("duplicate_notices", order.mer_url) else 1
    began = time.monotonic()
    answers = await asyncio.gather(*(_send(banks, outbound, order, notice) for _ in range(copies)))
    answer = answers[0]
    told = replace(
        after(notice, taken=answer.status == _OK, schedule_s=SCHEDULE_S, factor=banks.conditions.notice_factor),
        last_status=answer.status,
        answer=answer.body[:4096].decode("utf-8", "replace"),
        answered_in_s=time.monotonic() - began,
    )
    banks.save_notice(told)
    await banks.store.flush()
    return told


async def _send(banks: NetBanks, outbound: Outbound, order: Order, notice: Notice) -> Answer:
    body = form(banks, order, notice)
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    try:
        return await outbound.send(order.mer_id, "POST", order.mer_url, body=body, headers=headers)
    except PlatformError:
        return Answer(999, {}, b"")


def form(banks: NetBanks, order: Order, notice: Notice) -> bytes:
    """Return the body of a notice: merVAR as it came, the signed B2CRes."""
    bank = BANKS[order.bank]
    sub = {
        "orderid": order.orderid,
        "amount": bank.written(order.amount_fen),
        "installmentTimes": "1",
        "merAcct": "",
        "tranSerialNo": order.serial,
    }
    moment = order.paid_at or banks.business_time(notice.due_at)
    facts = {
        "interfaceName": bank.interface[0],
        "interfaceVersion": bank.interface[1],
        "orderInfo": {
            "orderDate": order.order_date,
            "curType": bank.currency,
            "merID": order.mer_id,
            "subOrderInfoList": {"subOrderInfo": sub},
        },
        "custom": {"verifyJoinFlag": "0", "JoinFlag": "", "UserNum": ""},
        "bank": {
            "TranBatchNo": "",
            "notifyDate": f"{moment.astimezone(clock.BEIJING):%Y%m%d%H%M%S}",
            "tranStat": notice.tran_stat,
            "comment": "交易成功！" if notice.tran_stat == "1" else "交易失败！",
        },
    }
    return urlencode({"merVAR": order.mer_var} | banks.key.signed(document(bank, "B2CRes", facts))).encode()
