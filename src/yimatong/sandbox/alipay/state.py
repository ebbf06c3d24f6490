"""The books of the simulated Alipay: trades, refunds, notices, and the verbs that change them.

Every verb is synchronous and takes ``now`` (the wall clock); business time is ``now`` plus the offset of the
conditions. A verb notes its changes in the store; the edge flushes before it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.alipay.keys import PlatformKey, check_public_key
from yimatong.sandbox.alipay.requests import Named, Place, amount, check_place, expiry
from yimatong.sandbox.alipay.rows import (
    CLOSED,
    FINISHED,
    OFFERED,
    PAID,
    WAITING,
    Agreement,
    AlipayError,
    ClosedDay,
    Conditions,
    Faults,
    Merchant,
    Notice,
    Refund,
    Trade,
)
from yimatong.sandbox.store import Store

_CONDITIONS = "conditions"
_NO_TRADE = (40004, "ACQ.TRADE_NOT_EXIST", "交易不存在")


class AlipayBooks:
    """One simulated Alipay."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.key = PlatformKey(store.directory)
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.merchants = store.table("alipay.merchants", Merchant)
        self.trades = store.table("alipay.trades", Trade)
        self.refunds = store.table("alipay.refunds", Refund)
        self.agreements = store.table("alipay.agreements", Agreement)
        self.notices = store.table("alipay.notices", Notice)
        self.days = store.table("alipay.days", ClosedDay)
        self._codes = store.table("alipay.auth_codes", Named)
        self._conditions = store.table("alipay.conditions", Conditions)
        self._by_token: dict[str, str] = {}
        self.pending = {notice.notice_id for notice in self.notices if notice.state == "pending"}
        self.settling = {refund.key for refund in self.refunds if refund.status == "PROCESSING"}
        self.waiting = {trade.key for trade in self.trades if trade.status == WAITING}
        for trade in self.trades:
            self._index(trade)

    @property
    def conditions(self) -> Conditions:
        """Return the lasting conditions."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace the lasting conditions."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def business_time(self, now: datetime) -> datetime:
        """Return the moment that trades, expiry, time stamps and bills go by."""
        return now + timedelta(seconds=self.conditions.business_offset_s)

    def register(self, merchant: Merchant) -> None:
        """Admit an app, or replace its key."""
        check_public_key(merchant.public_key_pem)
        self.merchants.put(merchant.app_id, merchant)

    def place(
        self, merchant: Merchant, method: str, asked: Place, *, urls: tuple[str, str], offered: bool, now: datetime
    ) -> Trade:
        """Place a trade, or only offer it (``offered``: nobody has scanned it yet); the same again is the same.

        ``urls`` are where notices go and where the payer goes back to.

        Raises:
            AlipayError: ``ACQ.CONTEXT_INCONSISTENT`` for another content, ``ACQ.TRADE_HAS_SUCCESS``,
                ``ACQ.TRADE_HAS_CLOSE``, ``ACQ.INVALID_PARAMETER``.
        """
        check_place(method, asked, pid=merchant.pid, app_id=merchant.app_id)
        digest = hashlib.sha256(method.encode() + msgspec.json.encode(asked, order="sorted")).hexdigest()
        known = self.trades.get(f"{merchant.app_id}/{asked.out_trade_no}")
        moment = self.business_time(now)
        if known is not None:
            if known.digest != digest:
                raise AlipayError(40004, "ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
            known = self._expired(known, now=now)
            _payable(known)
            return known if offered else self.arrive(known, now=now)
        until = expiry(asked.time_expire)
        if until is not None and until <= moment:
            raise AlipayError(40004, "ACQ.INVALID_PARAMETER", "参数无效：time_expire 早于当前时间")
        trade = Trade(
            app_id=merchant.app_id,
            pid=merchant.pid,
            out_trade_no=asked.out_trade_no,
            method=method,
            subject=asked.subject,
            total_fen=amount(asked.total_amount),
            notify_url=urls[0],
            return_url=urls[1],
            time_expire=until,
            digest=digest,
            token=f"bax{secrets.token_hex(12)}",
            created_at=moment,
            status=OFFERED,
            terminal_id=asked.terminal_id,
            buyer_id=asked.buyer_id,
        )
        if offered:
            return self._save(trade)
        return self.arrive(trade, now=now)

    def arrive(self, trade: Trade, *, now: datetime) -> Trade:
        """Let the payer arrive: a trade is there and waits for the payer."""
        if trade.status != OFFERED:
            return trade
        moment = self.business_time(now)
        if trade.time_expire is not None and moment > trade.time_expire:
            raise AlipayError(40004, "ACQ.TRADE_HAS_CLOSE", "二维码或链接已过期")
        buyer = trade.buyer_id or f"2088{secrets.randbelow(10**12):012d}"
        number = f"{moment.astimezone(BEIJING):%Y%m%d}22001{secrets.randbelow(10**15):015d}"
        return self._save(replace(trade, status=WAITING, trade_no=number, buyer_id=buyer))

    def pay(self, trade: Trade, *, now: datetime) -> Trade:
        """Let the payer pay. Raises ``ACQ.TRADE_HAS_SUCCESS``, ``ACQ.TRADE_HAS_CLOSE``."""
        trade = self.arrive(self._expired(trade, now=now), now=now)
        _payable(trade)
        paid = self._save(replace(trade, status=PAID, paid_at=self.business_time(now)))
        self.tell(paid, now=now)
        return paid

    def take_code(self, code: str) -> None:
        """Use a payment code; each is good once."""
        if self._codes.get(code) is not None:
            raise AlipayError(40004, "ACQ.PAYMENT_AUTH_CODE_INVALID", "支付失败，付款码已失效")
        self._codes.put(code, Named())

    def trade(self, merchant: Merchant, named: Named, *, now: datetime) -> Trade:
        """Return a trade by either number. Raises ``ACQ.TRADE_NOT_EXIST``, also while nobody has scanned the code."""
        key = self._by_token.get(named.trade_no, "") if named.trade_no else f"{merchant.app_id}/{named.out_trade_no}"
        found = self.trades.get(key)
        if found is None or found.app_id != merchant.app_id or found.status == OFFERED:
            raise AlipayError(*_NO_TRADE)
        return self._expired(found, now=now)

    def trade_of(self, token: str, *, now: datetime) -> Trade:
        """Return a trade by the token of its payer page, offered or not. Raises ``ACQ.TRADE_NOT_EXIST``."""
        found = self.trades.get(self._by_token.get(token, ""))
        if found is None:
            raise AlipayError(*_NO_TRADE)
        return self._expired(found, now=now)

    def close(self, trade: Trade, *, now: datetime) -> Trade:
        """Close a trade that waits for its payer. Raises ``ACQ.TRADE_STATUS_ERROR`` for any other."""
        if trade.status != WAITING:
            raise AlipayError(40004, "ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        closed = self._save(replace(trade, status=CLOSED, closed_at=self.business_time(now)))
        self.tell(closed, now=now)
        return closed

    def finish(self, trade: Trade, *, now: datetime) -> Trade:
        """End the time in which a paid trade can be refunded."""
        if trade.status != PAID:
            raise AlipayError(40004, "ACQ.TRADE_STATUS_ERROR", "交易状态不合法")
        finished = self._save(replace(trade, status=FINISHED))
        self.tell(finished, now=now)
        return finished

    def save(self, trade: Trade) -> Trade:
        """Store a trade that a refund has changed."""
        return self._save(trade)

    def close_expired(self, *, now: datetime) -> None:
        """Close every trade whose payer did not come in time."""
        for key in list(self.waiting):
            trade = self.trades.get(key)
            if trade is not None:
                self._expired(trade, now=now)

    def tell(self, row: Trade | Agreement, *, now: datetime, kind: str = "") -> None:
        """Queue a notice about a trade, or (``kind``) about an agreement."""
        if not row.notify_url:
            return
        facts = row.notice(kind) if isinstance(row, Agreement) else row.notice()
        notice = Notice(
            notice_id=secrets.token_hex(17),
            app_id=row.app_id,
            url=row.notify_url,
            facts=facts,
            created_at=self.business_time(now),
            due_at=now + timedelta(seconds=self.conditions.notice_delay_s),
            state="dropped" if self.faults.strikes("drop_notices", row.notify_url) else "pending",
        )
        self.save_notice(notice)

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and keep the list of those still to be sent."""
        self.notices.put(notice.notice_id, notice)
        if notice.state == "pending":
            self.pending.add(notice.notice_id)
            self.wake.set()
        else:
            self.pending.discard(notice.notice_id)

    def _expired(self, trade: Trade, *, now: datetime) -> Trade:
        late = trade.time_expire is not None and self.business_time(now) > trade.time_expire
        return self.close(trade, now=now) if late and trade.status == WAITING else trade

    def _save(self, trade: Trade) -> Trade:
        self.trades.put(trade.key, trade)
        self._index(trade)
        if trade.status == WAITING:
            self.waiting.add(trade.key)
        else:
            self.waiting.discard(trade.key)
        return trade

    def _index(self, trade: Trade) -> None:
        for token in (trade.token, trade.trade_no):
            if token:
                self._by_token[token] = trade.key


def _payable(trade: Trade) -> None:
    if trade.status in (PAID, FINISHED):
        raise AlipayError(40004, "ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
    if trade.status == CLOSED:
        raise AlipayError(40004, "ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
