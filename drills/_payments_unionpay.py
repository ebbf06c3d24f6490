"""UnionPay without its HTTP server: the simulator's own books, verbs and signatures, answered in one process.

One hospital signs with its certificate (signMethod 01), the other by a shared key and SM3 (12). A form is the payer's:
nothing is sent when it is made. There is no close, so that a payer may pay until the time to pay is over, and what
comes later all the same is late money.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from _payments_cast import HOSPITALS, Cast
from _payments_network import Request
from _payments_parties import LAG_S, NEVER_S, Memory, NotPayable, Surroundings

from yimatong.kit.http import Answer
from yimatong.payments.cashier.schemas import StartedAttempt
from yimatong.sandbox.unionpay import authority, pages
from yimatong.sandbox.unionpay.back import BACK
from yimatong.sandbox.unionpay.requests import check, new_tn, transaction
from yimatong.sandbox.unionpay.rows import MESSAGES, Conditions, Notice, Transaction, WireError
from yimatong.sandbox.unionpay.state import PAYMENT, UnionPay
from yimatong.sandbox.unionpay.wire import Call

_ECHOED = ("version", "encoding", "bizType", "txnType", "txnSubType", "accessType", "merId", "orderId", "txnTime")


class _Books(UnionPay):
    """UnionPay's books, which say when a notice is to be sent."""

    around: Surroundings | None = None

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and have it delivered."""
        super().save_notice(notice)
        if self.around is not None and notice.state == "pending":
            self.around.deliver("unionpay", notice)


class UnionPayParty:
    """UnionPay on the wire, and its payers."""

    name = "unionpay"

    def __init__(self, cast: Cast, around: Surroundings) -> None:
        self.books = _Books(Memory(cast.alipay_folder))  # type: ignore[arg-type]
        self.books.around = around
        self.books._authority = cast.authority  # noqa: SLF001 -- reading its keys again takes longer than a seed should
        self.books.set_conditions(Conditions(refund_settles_s=NEVER_S))
        self._around = around
        self._forms: dict[str, dict[str, str]] = {}
        for hospital in HOSPITALS:
            self.books.register(cast.unionpay_merchant(hospital))

    def __call__(self, request: Request) -> Answer:
        """Verify, act, sign; a refusal is signed too."""
        asked = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        self._troubles(asked)
        try:
            told = self._act(request.target.rpartition("/")[2], self._verified(asked))
            code = told.get("respCode", "00")
            message = MESSAGES[code]
        except WireError as error:
            code, message, told = error.code, error.message, {}
        self.books.faults = type(self.books.faults)()
        self._follow()
        fields = {name: asked[name] for name in _ECHOED if name in asked} | told
        fields |= {"respCode": code, "respMsg": message}
        signed = self.books.authority.sign(fields, self.books.merchants.get(asked.get("merId", "")))
        return Answer(200, {}, "&".join(f"{name}={value}" for name, value in signed.items()).encode())

    def _verified(self, fields: dict[str, str]) -> Call:
        merchant = self.books.merchants.get(fields.get("merId", ""))
        if merchant is None:
            raise WireError(code="31")
        authority.verify(fields, merchant)
        check(fields)
        return Call(self.books, merchant, fields, self._around.loop.moment())

    def _act(self, name: str, call: Call) -> dict[str, str]:
        fields, now = call.fields, call.now
        if name == "queryTrans.do":
            told = self.books.ask(call.merchant.mer_id, fields["orderId"], fields["txnTime"], now=now)
            return told | {"origRespMsg": MESSAGES.get(told["origRespCode"], "")}
        if name == "appTransReq.do":
            wanted = transaction(fields, front=True, token=new_tn(), now=self.books.business_time(now))
            return {"tn": self.books.place(wanted).token}
        kind = (fields["txnType"], fields["txnSubType"])
        verb = BACK.get((*kind, fields["bizType"])) or BACK.get((*kind, ""))
        if verb is None:
            raise WireError(code="32")
        return verb(self.books, call.merchant, fields, now)

    def _troubles(self, fields: dict[str, str]) -> None:
        """Let this request meet what the simulator can do: what was true before, a code that waits or is refused."""
        chance, kind = self._around.chance, fields.get("txnType", "")
        recent = self._around.loop.moment() - timedelta(seconds=LAG_S)
        if kind == "00":
            found = [each for each in self.books.named(fields.get("orderId", "")) if each.txn_type == PAYMENT]
            if any(each.done_at is not None and each.done_at > recent for each in found):
                self.books.faults.read_lag = int(chance.strikes(15))
        elif (kind, fields.get("txnSubType")) == (PAYMENT, "06"):
            dice = chance.random.random()
            self.books.faults.barcode_refused = int(dice < 0.1)
            self.books.faults.barcode_waits = int(dice > 0.6)

    def _follow(self) -> None:
        """See to the refunds that a request left to come."""
        chance = self._around.chance
        for key in list(self.books.settling):
            self.books.settling.discard(key)
            odd = chance.strikes(17)
            ends = chance.random.choice(("failed", "done")) if odd else "done"
            self._around.later(self._around.settles_in() * (30 if odd else 1), self._end_refund, key, ends)

    def _end_refund(self, key: str, ends: str) -> None:
        back = self.books.transactions.get(key)
        if back is not None and back.state == "waiting":
            self._around.chance.note(f"{self._around.loop.time():.3f} unionpay refund {back.order_id} {ends}")
            self.books.settle(back, ends, now=self._around.loop.moment())

    def sealed(self, notice: Notice) -> tuple[dict[str, str], bytes]:
        """Return a notice's headers and body as they go over the wire now."""
        merchant = self.books.merchants.get(notice.mer_id)
        fields = self.books.authority.sign(notice.fields | {"respMsg": "success"}, merchant)
        return {"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode()

    def give(self, started: StartedAttempt) -> None:
        """Give a payer what the cashier shows; a form is posted later, or never."""
        if started.form_fields:
            self._forms[started.attempt_no] = dict(started.form_fields)

    def code(self) -> str:
        """Let a payer open her payment code."""
        return f"62{secrets.randbelow(10**17):017d}"

    def payments(self) -> list[Transaction]:
        """Return every payment there is."""
        return [each for each in self.books.transactions if each.txn_type == PAYMENT]

    def can_be_paid(self, payment: Transaction) -> bool:
        """Say whether a payer could still pay."""
        over = payment.pay_timeout is not None and self._around.loop.moment() > payment.pay_timeout
        return payment.state == "waiting" and not over

    def waiting(self) -> list[str]:
        """Return what a payer could pay now."""
        return sorted({*(each.order_id for each in self.payments() if self.can_be_paid(each)), *self._forms})

    def closed(self) -> list[str]:
        """Return what was not paid in time."""
        return [each.order_id for each in self.payments() if each.state == "waiting" and not self.can_be_paid(each)]

    def paid(self) -> list[str]:
        """Return what was paid."""
        return [each.order_id for each in self.payments() if each.state == "done"]

    def pay(self, number: str) -> None:
        """Let a payer post the form that was given, if it is one, and pay.

        Raises:
            NotPayable: UnionPay says no.
        """
        try:
            form = self._forms.get(number)
            if form is not None:
                pages._place(self._verified(form))  # noqa: SLF001 -- what the simulator's page does with the form
                del self._forms[number]
                if self._around.chance.random.random() < 0.2:
                    return
            self.books.pay(self._named(number), now=self._around.loop.moment())
        except WireError as error:
            raise NotPayable(error.code) from error

    def pay_after_all(self, number: str) -> None:
        """Let the money come after the time to pay."""
        self._around.never_lost.add(number)
        self.books.faults.late_money = 1
        self.books.pay(self._named(number), now=self._around.loop.moment())

    def _named(self, number: str) -> Transaction:
        return self.books.named(number)[0]

    def forged(self, payment: Transaction, change: dict[str, Any], url: str) -> Notice:
        """Return a notice that says that a payment was made, and perhaps more that is not so."""
        done = msgspec.structs.replace(
            payment,
            state="done",
            query_id=payment.query_id or f"26031100000{secrets.randbelow(10**10):010d}",
            trace_no="000001",
            settle_date="20260311",
            done_at=self._around.loop.moment(),
        )
        fields = done.facts() | {"respCode": "00"} | change
        return Notice(
            notice_id=secrets.token_hex(16), mer_id=payment.mer_id, url=url, fields=fields, due_at=done.created_at
        )
