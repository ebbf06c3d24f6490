"""The books of a party that settles: payments, refunds, notices, bills, and the verbs that change them.

Every verb is synchronous and takes ``now``; it notes its changes in the store, and the edge flushes before it answers.
A number that was declined or revoked stays so: a copy of its request that arrives late settles nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING, day_bounds, rfc3339
from yimatong.sandbox.settling.rows import (
    Asked,
    AskRefund,
    Code,
    Conditions,
    Faults,
    Merchant,
    Notice,
    Payment,
    Refund,
    Refused,
)
from yimatong.sandbox.store import Store

_CONDITIONS = "conditions"
_PAID = ("settled", "refunded")


class Books:
    """One party. What it settles and for whom is decided by ``judge`` of its kind."""

    name = ""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.faults = Faults()
        self.wake = asyncio.Event()
        self.nonces: dict[str, datetime] = {}
        self.merchants = store.table(f"{self.name}.merchants", Merchant)
        self.payments = store.table(f"{self.name}.payments", Payment)
        self.refunds = store.table(f"{self.name}.refunds", Refund)
        self.notices = store.table(f"{self.name}.notices", Notice)
        self._conditions = store.table(f"{self.name}.conditions", Conditions)
        self.pending = {notice.notice_id for notice in self.notices if notice.state == "pending"}
        self._settling = {payment.key for payment in self.payments if payment.state == "pending"}
        self._refunding = {refund.key for refund in self.refunds if refund.state == "processing"}

    @property
    def conditions(self) -> Conditions:
        """Return how the party behaves."""
        return self._conditions.get(_CONDITIONS) or Conditions()

    def set_conditions(self, conditions: Conditions) -> None:
        """Replace how the party behaves."""
        self._conditions.put(_CONDITIONS, conditions)
        self.wake.set()

    def judge(self, asked: Asked, *, now: datetime) -> tuple[str, str, dict[str, int]]:
        """Return the reason to decline (empty: none), who is paid for, and the components. For a kind to say."""
        raise NotImplementedError

    def moved(self, payment: Payment, fen: int) -> None:
        """Note that ``fen`` were settled for the payer, or given back (negative). For a kind to say."""
        raise NotImplementedError

    def released(self, payment: Payment) -> None:
        """Note that a pending payment will never be settled."""
        self.moved(payment, -payment.amount_fen)

    def place(self, asked: Asked, *, now: datetime) -> Payment:
        """Place a payment; the same request again returns the same one. Raises ``NUMBER_USED``, ``BAD_REQUEST``."""
        key = f"{asked.merchant_id}/{asked.payment_no}"
        known, digest = self.payments.get(key), _digest(asked)
        if known is not None and known.state == "revoked" and not known.digest:
            return known
        if known is not None:
            if known.digest != digest:
                raise Refused(Code.NUMBER_USED, "the number was used for another payment")
            return known
        reason, payer, components = self.judge(asked, now=now)
        if not reason and now > asked.expires_at:
            reason = "EXPIRED"
        wait_s = self.conditions.settles_s
        made = Payment(
            merchant_id=asked.merchant_id,
            payment_no=asked.payment_no,
            state="declined" if reason else "pending",
            reason=reason,
            amount_fen=asked.amount_fen,
            digest=digest,
            description=asked.description,
            payer=payer,
            notify_url=asked.notify_url,
            trade_no=_number("T", now),
            components=components,
            created_at=now,
            settles_at=None if wait_s < 0 else now + timedelta(seconds=wait_s),
        )
        self.payments.put(key, made)
        if reason:
            return made
        self.moved(made, made.amount_fen)
        self._settling.add(key)
        return self.settle(made, now=now) if wait_s == 0 else made

    def settle(self, payment: Payment, *, now: datetime) -> Payment:
        """Settle a pending payment and tell the merchant."""
        settled = replace(payment, state="settled", settled_at=now)
        self.payments.put(payment.key, settled)
        self._settling.discard(payment.key)
        self.tell(settled.merchant_id, settled.notify_url, {"kind": "payment", "payment": settled.shown()}, now=now)
        return settled

    def decline(self, payment: Payment, reason: str, *, now: datetime) -> Payment:
        """Decline a pending payment and tell the merchant."""
        declined = replace(payment, state="declined", reason=reason)
        self.payments.put(payment.key, declined)
        self._settling.discard(payment.key)
        self.released(payment)
        self.tell(declined.merchant_id, declined.notify_url, {"kind": "payment", "payment": declined.shown()}, now=now)
        return declined

    def payment(self, merchant_id: str, payment_no: str) -> Payment:
        """Return a payment. Raises ``UNKNOWN_NUMBER``."""
        found = self.payments.get(f"{merchant_id}/{payment_no}")
        if found is None:
            raise Refused(Code.UNKNOWN_NUMBER, "no such payment")
        return found

    def revoke(self, merchant_id: str, payment_no: str, *, now: datetime) -> Payment:
        """Revoke what is not settled; a number never heard of is remembered. Raises ``ALREADY_SETTLED``."""
        key = f"{merchant_id}/{payment_no}"
        known = self.payments.get(key)
        if known is None:
            known = Payment(merchant_id=merchant_id, payment_no=payment_no, state="revoked", created_at=now)
            self.payments.put(key, known)
        if known.state in _PAID:
            raise Refused(Code.ALREADY_SETTLED, "settled already; ask for a refund")
        if known.state == "pending":
            self.released(known)
            self._settling.discard(key)
            known = replace(known, state="revoked")
            self.payments.put(key, known)
        return known

    def refund(self, asked: AskRefund, *, now: datetime) -> Refund:
        """Accept a refund; the same request again returns the same one.

        Raises:
            Refused: ``UNKNOWN_NUMBER``, ``NUMBER_USED``, ``NOT_REFUNDABLE``, ``REFUND_TOO_MUCH``, ``BAD_REQUEST``.
        """
        key, digest = f"{asked.merchant_id}/{asked.refund_no}", _digest(asked)
        known = self.refunds.get(key)
        if known is not None:
            if known.digest != digest:
                raise Refused(Code.NUMBER_USED, "the number was used for another refund")
            return known
        payment = self.payment(asked.merchant_id, asked.payment_no)
        if payment.state not in _PAID:
            raise Refused(Code.NOT_REFUNDABLE, f"the payment is {payment.state}")
        if asked.components and sum(asked.components.values()) != asked.refund_fen:
            raise Refused(Code.BAD_REQUEST, "the components do not add up")
        if self.taken_back(payment) + asked.refund_fen > payment.amount_fen:
            raise Refused(Code.REFUND_TOO_MUCH, "more than was settled")
        made = Refund(
            merchant_id=asked.merchant_id,
            refund_no=asked.refund_no,
            payment_no=asked.payment_no,
            refund_fen=asked.refund_fen,
            state="processing",
            digest=digest,
            notify_url=asked.notify_url,
            trade_no=_number("R", now),
            created_at=now,
            settles_at=now + timedelta(seconds=self.conditions.refund_settles_s),
            settles_as="failed" if self.faults.strikes("refund_fails") else "done",
        )
        self.refunds.put(key, made)
        self._refunding.add(key)
        self.payments.put(payment.key, replace(payment, state="refunded"))
        self.wake.set()
        return made if self.conditions.refund_settles_s > 0 else self.end_refund(made, made.settles_as, now=now)

    def taken_back(self, payment: Payment) -> int:
        """Return how much of a payment went or is going back, in fen."""
        return sum(
            refund.refund_fen
            for refund in self.refunds
            if (refund.merchant_id, refund.payment_no) == (payment.merchant_id, payment.payment_no)
            and refund.state in ("processing", "done")
        )

    def refund_named(self, merchant_id: str, refund_no: str) -> Refund:
        """Return a refund. Raises ``UNKNOWN_NUMBER``."""
        found = self.refunds.get(f"{merchant_id}/{refund_no}")
        if found is None:
            raise Refused(Code.UNKNOWN_NUMBER, "no such refund")
        return found

    def end_refund(self, refund: Refund, state: str, *, now: datetime) -> Refund:
        """Bring a refund to done, failed or closed, and tell the merchant."""
        ended = replace(refund, state=state, settled_at=now if state == "done" else None)
        self.refunds.put(refund.key, ended)
        self._refunding.discard(refund.key)
        if state == "done":
            self.moved(self.payment(refund.merchant_id, refund.payment_no), -refund.refund_fen)
        self.tell(ended.merchant_id, ended.notify_url, {"kind": "refund", "refund": ended.shown()}, now=now)
        return ended

    def settle_due(self, *, now: datetime) -> None:
        """Settle every payment and refund whose time has come."""
        for key in list(self._settling):
            payment = self.payments.get(key)
            if payment is not None and payment.settles_at is not None and payment.settles_at <= now:
                self.settle(payment, now=now)
        for key in list(self._refunding):
            refund = self.refunds.get(key)
            if refund is not None and refund.settles_at <= now:
                self.end_refund(refund, refund.settles_as, now=now)

    def tell(self, merchant_id: str, url: str, told: dict[str, Any], *, now: datetime) -> None:
        """Queue a notice."""
        notice_id = secrets.token_hex(16)
        body = msgspec.json.encode({"notice_id": notice_id} | told).decode()
        due_at = now + timedelta(seconds=self.conditions.notice_delay_s)
        dropped = self.faults.strikes("drop_notices", url)
        self.save_notice(
            Notice(
                notice_id=notice_id,
                merchant_id=merchant_id,
                url=url,
                body=body,
                due_at=due_at,
                state="dropped" if dropped else "pending",
            )
        )

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and keep the list of those still to be sent."""
        self.notices.put(notice.notice_id, notice)
        if notice.state == "pending":
            self.pending.add(notice.notice_id)
            self.wake.set()
        else:
            self.pending.discard(notice.notice_id)

    def bill(self, merchant_id: str, day: str, *, now: datetime) -> bytes:
        """Return the bill of a Beijing day: JSON lines. Raises ``BILL_NOT_READY`` before the day has ended."""
        try:
            start, end = day_bounds(date.fromisoformat(day))
        except ValueError as error:
            raise Refused(Code.BAD_REQUEST, str(error)) from error
        if now < end:
            raise Refused(Code.BILL_NOT_READY, "the day has not ended")
        found: list[Payment | Refund] = [*self.payments, *self.refunds]
        rows = [
            (moment, row.trade_no, _line(row, moment))
            for row in found
            if row.merchant_id == merchant_id and (moment := row.settled_at) is not None and start <= moment < end
        ]
        lines = [line for _moment, _number, line in sorted(rows, key=lambda row: row[:2])]
        head = {
            "code": "OK",
            "merchant_id": merchant_id,
            "day": day,
            "rows": len(lines),
            "paid_fen": sum(line["amount_fen"] for line in lines if line["kind"] == "payment"),
            "refunded_fen": sum(line["amount_fen"] for line in lines if line["kind"] == "refund"),
        }
        return b"".join(msgspec.json.encode(each) + b"\n" for each in (head, *lines))


def _line(row: Payment | Refund, moment: datetime) -> dict[str, Any]:
    return {
        "kind": "refund" if isinstance(row, Refund) else "payment",
        "payment_no": row.payment_no,
        "refund_no": row.refund_no if isinstance(row, Refund) else "",
        "trade_no": row.trade_no,
        "amount_fen": row.refund_fen if isinstance(row, Refund) else row.amount_fen,
        "at": rfc3339(moment),
    }


def _digest(asked: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()


def _number(kind: str, now: datetime) -> str:
    return f"{kind}{now.astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**15):015d}"
