"""The books of the simulated UnionPay: payments, refunds, notices, and the verbs that change them.

Every verb is synchronous and takes ``now`` (the wall clock); business time is ``now`` plus the offset of the
conditions. A verb notes its changes in the store; the edge flushes before it answers. A settlement date ends at 23:00.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.store import Store
from yimatong.sandbox.unionpay.authority import Authority, check_merchant
from yimatong.sandbox.unionpay.cards import Cards
from yimatong.sandbox.unionpay.rows import (
    ClosedDay,
    Conditions,
    Faults,
    Merchant,
    Notice,
    Transaction,
    WireError,
)

CUT_OFF = timedelta(hours=1)
"""So long before midnight the settlement date changes."""
PAYMENT, VOID, REFUND = "01", "31", "04"
_CONDITIONS = "conditions"


class UnionPay:
    """One simulated UnionPay."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.merchants = store.table("unionpay.merchants", Merchant)
        self.transactions = store.table("unionpay.transactions", Transaction)
        self.notices = store.table("unionpay.notices", Notice)
        self.days = store.table("unionpay.days", ClosedDay)
        self.cards = Cards(store)
        self._conditions = store.table("unionpay.conditions", Conditions)
        self._authority: Authority | None = None
        self._by_token = {each.token: each.key for each in self.transactions if each.token}
        self._by_query = {each.query_id: each.key for each in self.transactions if each.query_id}
        self._backs: dict[str, set[str]] = {}
        for each in self.transactions:
            self._backs.setdefault(each.orig_query_id, set()).add(each.key)
        self.settling = {each.key for each in self.transactions if each.settles_at and each.state == "waiting"}
        self.pending = {each.notice_id for each in self.notices if each.state == "pending"}

    @property
    def authority(self) -> Authority:
        """Return the certificates; they are made when somebody first needs them."""
        if self._authority is None:
            self._authority = Authority(self.store.directory)
        return self._authority

    @property
    def conditions(self) -> Conditions:
        """Return the lasting conditions."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace the lasting conditions."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def business_time(self, now: datetime) -> datetime:
        """Return the moment that orders, expiry and settlement dates go by."""
        return now + timedelta(seconds=self.conditions.business_offset_s)

    def register(self, merchant: Merchant) -> None:
        """Admit a merchant, or replace its keys. Raises ``WireError`` 10."""
        check_merchant(merchant)
        self.merchants.put(merchant.mer_id, merchant)

    def place(self, wanted: Transaction) -> Transaction:
        """Take up a payment; the same request again returns the same one. Raises ``WireError`` 12."""
        known = self.transactions.get(wanted.key)
        if known is None:
            self.save(wanted)
            return wanted
        if known.digest != wanted.digest or known.state != "waiting" or not known.front:
            raise WireError(code="12")
        return known

    def of_token(self, token: str) -> Transaction:
        """Return the payment behind a payer page. Raises ``WireError`` 34."""
        return self._known(self.transactions.get(self._by_token.get(token, "")))

    def named(self, order_id: str, mer_id: str = "") -> list[Transaction]:
        """Return the transactions with this number, whatever their time."""
        return [each for each in self.transactions if each.order_id == order_id and mer_id in ("", each.mer_id)]

    def pay(self, payment: Transaction, *, now: datetime) -> Transaction:
        """Let the payer pay. Raises ``WireError`` 12 when it is decided, 39 when its time is over."""
        if payment.state != "waiting" or payment.txn_type != PAYMENT:
            raise WireError(code="12")
        moment = self.business_time(now)
        over = payment.pay_timeout is not None and moment > payment.pay_timeout
        if over and not self.faults.strikes("late_money"):
            raise WireError(code="39", detail="订单已超过支付超时时间")
        return self._finish(payment, now=now)

    def fail(self, payment: Transaction, code: str, *, now: datetime) -> Transaction:
        """Let a payment fail with an 应答码; back transactions tell the merchant, front ones do not."""
        failed = replace(payment, state="failed", code=code, settles_at=None)
        self.save(failed)
        if not failed.front:
            self.notify(failed, code, now=now)
        return failed

    def give_back(self, wanted: Transaction, *, now: datetime) -> Transaction:
        """Accept a refund (04) or a void (31). Raises ``WireError`` 12, 35, 36, 45."""
        if self.transactions.get(wanted.key) is not None:
            raise WireError(code="12")
        paid = self.transactions.get(self._by_query.get(wanted.orig_query_id, ""))
        if paid is None or paid.mer_id != wanted.mer_id or paid.txn_type != PAYMENT or paid.state != "done":
            raise WireError(code="35")
        given_fen = sum(each.amount_fen for each in self._given_back(paid) if each.state in ("waiting", "done"))
        if given_fen >= paid.amount_fen:
            raise WireError(code="45")
        if wanted.txn_type == VOID and (given_fen or wanted.amount_fen != paid.amount_fen):
            raise WireError(code="36", detail="撤销金额须与原消费一致")
        if wanted.txn_type == VOID and self.settle_date(now) != paid.settle_date:
            raise WireError(code="39", detail="只能撤销当日交易")
        if given_fen + wanted.amount_fen > paid.amount_fen:
            raise WireError(code="36", detail="累计退货金额大于原交易金额")
        accepted = replace(
            wanted,
            query_id=self._number(now),
            settles_at=now + timedelta(seconds=self.conditions.refund_settles_s),
            settles_as="failed" if self.faults.strikes("refund_fails") else "done",
        )
        self.save(accepted)
        self.settling.add(accepted.key)
        self.wake.set()
        return accepted

    def reverse(self, mer_id: str, order_id: str, txn_time: str, *, now: datetime) -> Transaction:
        """Reverse (冲正) a payment of today; again is no error. Raises ``WireError`` 34, 35."""
        payment = self._known(self.transactions.get(f"{mer_id}/{order_id}/{txn_time}"))
        if payment.state == "reversed":
            return payment
        late = payment.state == "done" and payment.settle_date != self.settle_date(now)
        if payment.txn_type != PAYMENT or payment.front or payment.state == "failed" or late:
            raise WireError(code="35")
        if payment.query_id and self._given_back(payment):
            raise WireError(code="45")
        taken_back = replace(payment, state="reversed")
        self.save(taken_back)
        return taken_back

    def ask(self, mer_id: str, order_id: str, txn_time: str, *, now: datetime) -> dict[str, str]:
        """Return what a query says. Raises ``WireError`` 34, also for a front payment that nobody has paid yet."""
        self.settle_due(now=now)
        found = self._known(self.transactions.get(f"{mer_id}/{order_id}/{txn_time}"))
        unseen = found.state == "done" and self.faults.strikes("read_lag")
        if found.state == "waiting" or unseen:
            if found.front:
                raise WireError(code="34")
            return found.facts() | {"queryId": "", "origRespCode": "05"}
        # what a query says of a reversed payment is in no public source
        code = {"done": "00", "reversed": "45"}.get(found.state, found.code)
        return found.facts() | {"origRespCode": code}

    def settle(self, back: Transaction, state: str, *, now: datetime) -> Transaction:
        """Bring a refund or void to its end and tell the merchant."""
        self.settling.discard(back.key)
        if state == "done":
            return self._finish(back, now=now)
        return self.fail(back, "61", now=now)

    def settle_due(self, *, now: datetime) -> None:
        """Settle everything whose time has come."""
        for key in list(self.settling):
            back = self.transactions.get(key)
            if back is not None and back.settles_at is not None and back.settles_at <= now:
                self.settle(back, back.settles_as, now=now)

    def settle_date(self, now: datetime) -> str:
        """Return the settlement date (YYYYMMDD) of a moment: the next day's from 23:00 on."""
        return f"{self.business_time(now).astimezone(BEIJING) + CUT_OFF:%Y%m%d}"

    def notify(self, about: Transaction, code: str, *, now: datetime) -> None:
        """Queue a notice (后台通知)."""
        if about.back_url:
            self.send(about.mer_id, about.back_url, about.facts() | {"respCode": code}, now=now)

    def send(self, mer_id: str, url: str, fields: Mapping[str, str], *, now: datetime) -> None:
        """Queue a notice with ``fields``; a fault may drop it."""
        dropped = self.faults.strikes("drop_notices", url)
        notice = Notice(
            notice_id=secrets.token_hex(16),
            mer_id=mer_id,
            url=url,
            fields=dict(fields),
            due_at=now,
            state="dropped" if dropped else "pending",
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

    def save(self, transaction: Transaction) -> None:
        """Store a transaction and its other names."""
        self.transactions.put(transaction.key, transaction)
        if transaction.token:
            self._by_token[transaction.token] = transaction.key
        if transaction.query_id:
            self._by_query[transaction.query_id] = transaction.key
        if transaction.orig_query_id:
            self._backs.setdefault(transaction.orig_query_id, set()).add(transaction.key)

    def _finish(self, transaction: Transaction, *, now: datetime) -> Transaction:
        finished = replace(
            transaction,
            state="done",
            query_id=transaction.query_id or self._number(now),
            trace_no=f"{secrets.randbelow(10**6):06d}",
            settle_date=self.settle_date(now),
            done_at=self.business_time(now),
            settles_at=None,
        )
        self.save(finished)
        self.notify(finished, "00", now=now)
        return finished

    def _given_back(self, paid: Transaction) -> list[Transaction]:
        found = (self.transactions.get(key) for key in self._backs.get(paid.query_id, ()))
        return [each for each in found if each is not None]

    def _number(self, now: datetime) -> str:
        """Return a queryId: 21 digits."""
        return f"{self.business_time(now).astimezone(BEIJING):%y%m%d%H%M%S}{secrets.randbelow(10**9):09d}"

    @staticmethod
    def _known(transaction: Transaction | None) -> Transaction:
        if transaction is None:
            raise WireError(code="34")
        return transaction


def digest_of(fields: Mapping[str, str]) -> str:
    """Return the hash of a request, by which the same one is known again; certificates and signatures do not count."""
    kept = sorted(
        (name, value) for name, value in fields.items() if name not in ("signature", "certId", "customerInfo")
    )
    return hashlib.sha256(repr(kept).encode()).hexdigest()
