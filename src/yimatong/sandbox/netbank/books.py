"""The banks' books: orders, refunds, notices, files, and the verbs that change them.

Every verb is synchronous and takes ``now`` (the wall clock); business time is ``now`` plus the offset of the
conditions. A verb notes its changes in the store; the edge flushes before it answers.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import date, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from yimatong.kit.clock import BEIJING, day_bounds
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.netbank.forms import Bank, BankKey, certified_key, text
from yimatong.sandbox.netbank.rows import BankRefusal, Conditions, Faults, Merchant, Notice, Order, Refund
from yimatong.sandbox.store import Store

ORDER_TTL = timedelta(hours=1)
"""ICBC takes no order whose date is older."""
AHEAD = timedelta(hours=12)
FEE_PERMILLE = 6
_CONDITIONS = "conditions"
_SUB = "orderInfo/subOrderInfoList/subOrderInfo"


class NetBanks:
    """The simulated banks."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.key = BankKey(store.directory)
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.last_answer: dict[str, bytes] = {}
        self.merchants = store.table("netbank.merchants", Merchant)
        self.orders = store.table("netbank.orders", Order)
        self.refunds = store.table("netbank.refunds", Refund)
        self.notices = store.table("netbank.notices", Notice)
        self._conditions = store.table("netbank.conditions", Conditions)
        self.pending = {notice.notice_id for notice in self.notices if notice.state == "pending"}
        self._settling = {refund.key for refund in self.refunds if refund.state == "processing"}

    @property
    def conditions(self) -> Conditions:
        """Return the lasting conditions."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace the lasting conditions."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def business_time(self, now: datetime) -> datetime:
        """Return the moment that orders, expiry and files go by."""
        return now + timedelta(seconds=self.conditions.business_offset_s)

    def register(self, merchant: Merchant) -> None:
        """Admit a merchant, or replace its certificate. Raises ``FORMAT_ERROR``."""
        certified_key(merchant.mer_cert)
        self.merchants.put(merchant.key, merchant)

    def merchant(self, bank: Bank, mer_id: str) -> Merchant:
        """Return a merchant. Raises ``MERCHANT_UNKNOWN``."""
        found = self.merchants.get(f"{bank.name}/{mer_id}")
        if found is None:
            raise BankRefusal(code="MERCHANT_UNKNOWN", message="no such merchant")
        return found

    def bring(self, bank: Bank, merchant: Merchant, tree: Any, document: bytes, *, now: datetime) -> Order:
        """Take an order that a browser brings; the same order again is the same page.

        Raises:
            BankRefusal: ``ORDER_EXPIRED``, ``NUMBER_USED``, ``FORMAT_ERROR``.
        """
        digest = hashlib.sha256(document).hexdigest()
        moment = self.business_time(now)
        if text(tree, "orderInfo/curType") != bank.currency or text(tree, f"{_SUB}/merAcct") != merchant.mer_acct:
            raise BankRefusal(code="FORMAT_ERROR", message="curType or merAcct")
        known = self.orders.get(f"{bank.name}/{merchant.mer_id}/{text(tree, f'{_SUB}/orderid')}")
        if known is not None:
            if known.digest != digest:
                raise BankRefusal(code="NUMBER_USED", message="订单号重复")
            return known
        order_date = text(tree, "orderInfo/orderDate")
        dated = _moment(order_date)
        if not moment - ORDER_TTL <= dated <= moment + AHEAD:
            raise BankRefusal(code="ORDER_EXPIRED", message="订单时间非法")
        expire = tree.findtext("orderInfo/expireTime") or ""
        order = Order(
            bank=bank.name,
            mer_id=merchant.mer_id,
            orderid=text(tree, f"{_SUB}/orderid"),
            order_date=order_date,
            amount_fen=bank.fen(text(tree, f"{_SUB}/amount")),
            goods_name=text(tree, f"{_SUB}/goodsName"),
            mer_url=text(tree, "message/merURL"),
            mer_var=text(tree, "message/merVAR"),
            return_url=tree.findtext("message/returnURL") or "",
            token=secrets.token_urlsafe(24),
            digest=digest,
            expires_at=_moment(expire) if expire else dated + ORDER_TTL,
        )
        if moment > order.expires_at:
            raise BankRefusal(code="ORDER_EXPIRED", message="订单已过期")
        self.orders.put(order.key, order)
        return order

    def order_of(self, token: str) -> Order:
        """Return the order of a page. Raises ``ORDER_NOT_FOUND``."""
        found = next((order for order in self.orders if order.token == token), None)
        if found is None:
            raise BankRefusal(code="ORDER_NOT_FOUND", message="无此订单")
        return found

    def pay(self, order: Order, *, now: datetime, succeeds: bool = True) -> Notice:
        """Let the payer pay, or fail to; return the notice about it. Raises ``ORDER_EXPIRED``, ``NUMBER_USED``."""
        moment = self.business_time(now)
        if order.state == "paid":
            raise BankRefusal(code="NUMBER_USED", message="该订单已支付")
        if moment > order.expires_at:
            raise BankRefusal(code="ORDER_EXPIRED", message="订单已过期")
        paid = replace(
            order,
            state="paid" if succeeds else "failed",
            serial=f"HFG{secrets.randbelow(10**15):015d}" if succeeds else "",
            paid_at=moment if succeeds else None,
        )
        self.orders.put(paid.key, paid)
        return self._tell(paid, now=now)

    def _tell(self, order: Order, *, now: datetime) -> Notice:
        delay_s = self.conditions.notice_delay_s
        notice = Notice(
            notice_id=secrets.token_hex(16),
            order_key=order.key,
            tran_stat="1" if order.state == "paid" else "2",
            due_at=now + timedelta(seconds=delay_s or 60),  # the page sends it now, the loop only later
            state="dropped" if self.faults.strikes("drop_notices", order.mer_url) else "pending",
        )
        self.save_notice(notice)
        return notice

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and keep the list of those still to be sent."""
        self.notices.put(notice.notice_id, notice)
        if notice.state == "pending":
            self.pending.add(notice.notice_id)
            self.wake.set()
        else:
            self.pending.discard(notice.notice_id)

    def order(self, bank: Bank, merchant: Merchant, orderid: str) -> Order:
        """Return an order by its number. Raises ``ORDER_NOT_FOUND``."""
        found = self.orders.get(f"{bank.name}/{merchant.mer_id}/{orderid}")
        if found is None:
            raise BankRefusal(code="ORDER_NOT_FOUND", message="无此订单")
        return found

    def word_of(self, order: Order, *, now: datetime) -> str:
        """Return the ``tranStat`` of an order."""
        if order.refunded_fen:
            return "5" if order.bank == "generic" else "1"
        if order.state == "paid":
            return "1"
        if order.bank == "generic" and self.business_time(now) > order.expires_at:
            return "4"
        return "2" if order.state == "failed" else "9"

    def refund(self, order: Order, refund_no: str, amount_fen: int, *, now: datetime) -> Refund:
        """Accept a refund; the same again returns the same one.

        Raises:
            BankRefusal: ``NUMBER_USED``, ``NOT_PAID``, ``REFUND_TOO_MUCH``.
        """
        known = self.refunds.get(f"{order.bank}/{order.mer_id}/{refund_no}")
        if known is not None:
            if (known.orderid, known.amount_fen) != (order.orderid, amount_fen):
                raise BankRefusal(code="NUMBER_USED", message="退款号重复")
            return known
        if order.state != "paid":
            raise BankRefusal(code="NOT_PAID", message="订单未支付")
        if order.refunded_fen + amount_fen > order.amount_fen:
            raise BankRefusal(code="REFUND_TOO_MUCH", message="累计退款金额大于支付金额")
        wait_s = self.conditions.refund_settles_s
        made = Refund(
            bank=order.bank,
            mer_id=order.mer_id,
            refund_no=refund_no,
            orderid=order.orderid,
            amount_fen=amount_fen,
            bank_refund_no=f"TK{secrets.randbelow(10**16):016d}",
            settles_at=now + timedelta(seconds=wait_s),
            settles_as="failed" if self.faults.strikes("refund_fails") else "done",
        )
        self.orders.put(order.key, replace(order, refunded_fen=order.refunded_fen + amount_fen))
        self.refunds.put(made.key, made)
        self._settling.add(made.key)
        return made

    def refund_named(self, bank: Bank, merchant: Merchant, refund_no: str) -> Refund:
        """Return a refund. Raises ``REFUND_NOT_FOUND``."""
        found = self.refunds.get(f"{bank.name}/{merchant.mer_id}/{refund_no}")
        if found is None:
            raise BankRefusal(code="REFUND_NOT_FOUND", message="无此退款")
        return found

    def settle_due(self, *, now: datetime) -> None:
        """Settle every refund whose time has come."""
        for key in list(self._settling):
            refund = self.refunds.get(key)
            if refund is not None and refund.settles_at <= now:
                done = refund.settles_as == "done"
                finished_at = self.business_time(now) if done else None
                self.refunds.put(key, replace(refund, state=refund.settles_as, finished_at=finished_at))
                self._settling.discard(key)

    def file(self, bank: Bank, merchant: Merchant, day: str, *, now: datetime) -> bytes:
        """Return the file of a day: GBK, one line for each payment and refund. Raises ``NO_FILE``."""
        try:
            start, end = day_bounds(date.fromisoformat(day))
        except ValueError as error:
            raise BankRefusal(code="FORMAT_ERROR", message=str(error)) from error
        if self.business_time(now) < end:
            raise BankRefusal(code="NO_FILE", message="对账文件尚未生成")
        own = (bank.name, merchant.mer_id)
        paid = [
            order
            for order in self.orders
            if (order.bank, order.mer_id) == own and order.paid_at and start <= order.paid_at < end
        ]
        back = [
            refund
            for refund in self.refunds
            if (refund.bank, refund.mer_id) == own and refund.finished_at and start <= refund.finished_at < end
        ]
        lines = [_line(order, None) for order in paid]
        lines += [_line(self.order(bank, merchant, refund.orderid), refund) for refund in back]
        head = f"{merchant.mer_id}|{day.replace('-', '')}|{len(lines)}|{merchant.name}"
        return "".join(f"{line}\n" for line in (head, *lines)).encode("gbk", "replace")


def _line(order: Order, refund: Refund | None) -> str:
    goods = order.goods_name.replace("|", " ")
    if refund is not None:
        cells = (order.orderid, refund.bank_refund_no, "退款", plain_yuan(refund.amount_fen), "0.00", refund.refund_no)
    else:
        fee = plain_yuan(order.amount_fen * FEE_PERMILLE // 1000)
        cells = (order.orderid, order.serial, "支付", plain_yuan(order.amount_fen), fee, "")
    return "|".join((order.order_date, *cells, goods))


def _moment(stamp: str) -> datetime:
    try:
        return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError as error:
        raise BankRefusal(code="FORMAT_ERROR", message=f"{stamp} is not a time") from error
