"""The parties of the signed JSON protocol without their HTTP servers: a credit scheme and a commercial insurer."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from _payments_cast import HOSPITALS, SIGNED, Cast, secret_hex
from _payments_network import Request
from _payments_parties import LAG_S, NEVER_S, Memory, Surroundings

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit.http import Answer
from yimatong.sandbox.commercial import AskClaim, AskPresettle, Commercial
from yimatong.sandbox.credit import AskCredit, Credit
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import AskRefund, Conditions, Merchant, Named, NamedRefund, Refused
from yimatong.sandbox.settling.rows import Notice as SignedNotice


class SignedParty:
    """A party of the signed JSON protocol on the wire."""

    def __init__(self, name: str, books: Books, noun: str, around: Surroundings) -> None:
        self.name = name
        self.books = books
        self._noun = noun
        self._around = around
        self._known = {
            f"app-{name}-{hospital[-1]}": [secret_hex(name, hospital, turn) for turn in range(8)]
            for hospital in HOSPITALS
        }
        self.merchants = {}
        for hospital in HOSPITALS:
            merchant = Merchant(
                merchant_id=f"{name}-{hospital[-1]}",
                app_id=f"app-{name}-{hospital[-1]}",
                secret_hex=secret_hex(name, hospital, 0),
            )
            books.merchants.put(merchant.merchant_id, merchant)
            self.merchants[merchant.merchant_id] = merchant
        self._acts: dict[str, Callable[[bytes], dict[str, Any]]] = {
            f"/v1/{noun}": self._place,
            f"/v1/{noun}/query": self._query,
            f"/v1/{noun}/revoke": self._revoke,
            "/v1/refunds": self._refund,
            "/v1/refunds/query": self._query_refund,
            "/v1/presettle": self._presettle,
        }

    def __call__(self, request: Request) -> Answer:
        """Verify, act, sign; who is not known is answered without a signature."""
        head = request.headers
        nonce, stamp = head.get("x-nonce", ""), head.get("x-timestamp", "")
        signed = f"{request.method}\n{request.target}\n{stamp}\n{nonce}\n".encode() + request.body
        for secret in self._known.get(head.get("x-app-id", ""), []):
            mac = HmacSm3(bytes.fromhex(secret))
            try:
                mac.verify(signed, bytes.fromhex(head.get("x-sign", "")))
            except SignatureInvalid:
                continue
            try:
                told = {"code": "OK"} | self._acts[request.target](request.body)
            except Refused as refused:
                told = {"code": refused.code, "message": refused.message}
            body = msgspec.json.encode(told)
            return Answer(200, {"x-sign": mac.digest(f"200\n{nonce}\n".encode() + body).hex()}, body)
        return Answer(401, {}, b"{}")

    def sealed(self, notice: SignedNotice) -> tuple[dict[str, str], bytes]:
        """Return a notice's headers and body as they go over the wire now."""
        merchant, body = self.merchants[notice.merchant_id], notice.body.encode()
        stamp, nonce = str(int(self._around.loop.moment().timestamp())), secrets.token_hex(16)
        code = HmacSm3(bytes.fromhex(merchant.secret_hex)).digest(f"NOTICE\n{stamp}\n{nonce}\n".encode() + body)
        return {"x-app-id": merchant.app_id, "x-timestamp": stamp, "x-nonce": nonce, "x-sign": code.hex()}, body

    def change(self, hospital: str, turn: int) -> None:
        """Sign with another secret from now on; requests may be signed with any of them."""
        name = f"{self.name}-{hospital[-1]}"
        self.merchants[name] = msgspec.structs.replace(
            self.merchants[name], secret_hex=secret_hex(self.name, hospital, turn)
        )

    def _place(self, body: bytes) -> dict[str, Any]:
        chance, asked = (
            self._around.chance,
            msgspec.json.decode(body, type=AskClaim if self.name == "commercial" else AskCredit),
        )
        at_once = chance.random.random() < 0.6
        wait = Conditions(settles_s=0 if at_once else -1, refund_settles_s=NEVER_S, auto_fen=10**11)
        known = self.books.payments.get(f"{asked.merchant_id}/{asked.payment_no}")
        self.books.set_conditions(wait)
        made = self.books.place(asked, now=self._around.loop.moment())
        if known is None and made.state == "pending":
            ends = chance.random.choice(("settled", "settled", "settled", "declined", ""))
            if ends:
                self._around.later(self._around.settles_in(), self._end, made.key, ends)
        return {"payment": made.shown()}

    def _end(self, key: str, state: str) -> None:
        payment, now = self.books.payments.get(key), self._around.loop.moment()
        if payment is None or payment.state != "pending":
            return
        self._around.chance.note(f"{self._around.loop.time():.3f} {self.name} {payment.payment_no} {state}")
        if state == "settled":
            self.books.settle(payment, now=now)
        else:
            self.books.decline(payment, "DECLINED", now=now)

    def _query(self, body: bytes) -> dict[str, Any]:
        named = msgspec.json.decode(body, type=Named)
        found = self.books.payment(named.merchant_id, named.payment_no)
        recent = self._around.loop.moment() - timedelta(seconds=LAG_S)
        if (
            found.state == "settled"
            and found.settled_at
            and found.settled_at > recent
            and self._around.chance.strikes(15)
        ):
            found = msgspec.structs.replace(found, state="pending", settled_at=None)
        return {"payment": found.shown()}

    def _revoke(self, body: bytes) -> dict[str, Any]:
        named = msgspec.json.decode(body, type=Named)
        return {
            "payment": self.books.revoke(named.merchant_id, named.payment_no, now=self._around.loop.moment()).shown()
        }

    def _refund(self, body: bytes) -> dict[str, Any]:
        asked = msgspec.json.decode(body, type=AskRefund)
        before = self.books.refunds.get(f"{asked.merchant_id}/{asked.refund_no}")
        made = self.books.refund(asked, now=self._around.loop.moment())
        if before is None:
            odd = self._around.chance.strikes(17)
            ends = self._around.chance.random.choice(("failed", "closed", "done")) if odd else "done"
            self._around.later(self._around.settles_in() * (30 if odd else 1), self._end_refund, made.key, ends)
        return {"refund": made.shown()}

    def _end_refund(self, key: str, state: str) -> None:
        refund = self.books.refunds.get(key)
        if refund is None or refund.state in ("done", "closed"):
            return
        self._around.chance.note(f"{self._around.loop.time():.3f} {self.name} refund {refund.refund_no} {state}")
        self.books.end_refund(refund, state, now=self._around.loop.moment())

    def _query_refund(self, body: bytes) -> dict[str, Any]:
        named = msgspec.json.decode(body, type=NamedRefund)
        return {"refund": self.books.refund_named(named.merchant_id, named.refund_no).shown()}

    def _presettle(self, body: bytes) -> dict[str, Any]:
        if not isinstance(self.books, Commercial):
            return {}
        self.books.set_conditions(Conditions(auto_fen=10**11))
        asked = msgspec.json.decode(body, type=AskPresettle)
        return {"presettlement": self.books.presettle(asked, now=self._around.loop.moment()).shown()}


class _Telling:
    """Books of a signed party, which say when a notice is to be sent."""

    told: Callable[[SignedNotice], None] | None = None

    def save_notice(self, notice: SignedNotice) -> None:
        """Store a notice and have it delivered."""
        super().save_notice(notice)  # type: ignore[misc]  # of the books that this is mixed into
        if self.told is not None and notice.state == "pending":
            self.told(notice)


class _Credit(_Telling, Credit):
    pass


class _Commercial(_Telling, Commercial):
    pass


def signed_parties(cast: Cast, around: Surroundings) -> dict[str, SignedParty]:
    """Return the credit scheme and the insurer, each with empty books."""
    found = {}
    for name, books, noun in (
        ("credit", _Credit(Memory(cast.folder)), "payments"),  # type: ignore[arg-type]
        ("commercial", _Commercial(Memory(cast.folder)), "claims"),  # type: ignore[arg-type]
    ):
        books.told = _to(around, name)
        found[name] = SignedParty(name, books, noun, around)
    return {name: found[name] for name in SIGNED}


def _to(around: Surroundings, name: str) -> Callable[[SignedNotice], None]:
    return lambda notice: around.deliver(name, notice)
