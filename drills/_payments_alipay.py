"""Alipay without its HTTP server: the simulator's own books, gateway methods and keys, answered in one process.

A page and an app's order string are the payer's: nothing is sent when they are made, and the trade begins when the
payer opens them, which may be late, twice or never.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from _payments_cast import HOSPITALS, Cast, alipay_app, alipay_pid
from _payments_network import Request
from _payments_parties import LAG_S, Memory, NotPayable, Surroundings

from yimatong.kit.http import Answer
from yimatong.payments.cashier.schemas import StartedAttempt
from yimatong.payments.channels.alipay import signing
from yimatong.sandbox.alipay import returns, wire
from yimatong.sandbox.alipay.notify import form
from yimatong.sandbox.alipay.requests import Place, parse
from yimatong.sandbox.alipay.rows import CLOSED, OFFERED, WAITING, AlipayError, Merchant, Notice, Trade
from yimatong.sandbox.alipay.state import AlipayBooks


@dataclass(frozen=True)
class Link:
    """What a payer's browser or app was given and has not opened yet."""

    number: str
    parameters: dict[str, str]


class _Books(AlipayBooks):
    """Alipay's books, which say when a notice is to be sent."""

    around: Surroundings | None = None

    def save_notice(self, notice: Notice) -> None:
        """Store a notice and have it delivered."""
        super().save_notice(notice)
        if self.around is not None and notice.state == "pending":
            self.around.deliver("alipay", notice)


class AlipayParty:
    """Alipay on the wire, and its payers."""

    name = "alipay"

    def __init__(self, cast: Cast, around: Surroundings) -> None:
        self.books = _Books(Memory(cast.alipay_folder))  # type: ignore[arg-type]
        self.books.around = around
        self._around = around
        self._cast = cast
        self._links: dict[str, Link] = {}
        self.signers = {alipay_app(hospital): cast.alipay_keys[0] for hospital in HOSPITALS}
        """Who signs for an app now."""
        for hospital in HOSPITALS:
            self._admit(alipay_app(hospital), alipay_pid(hospital), 0)

    def _admit(self, app_id: str, pid: str, turn: int) -> None:
        public_pem = self._cast.pairs[turn % 2].public_pem
        self.books.merchants.put(app_id, Merchant(app_id=app_id, pid=pid, public_key_pem=public_pem))

    def __call__(self, request: Request) -> Answer:
        """Verify, act, sign."""
        query = urlsplit(request.target).query
        parameters = dict(parse_qsl(query)) | dict(parse_qsl(request.body.decode(), keep_blank_values=True))
        method, now = parameters.get("method", ""), self._around.loop.moment()
        self._troubles(method, parameters)
        try:
            call = self._verified(parameters)
            node: Any = wire.METHODS[method](call)
        except AlipayError as error:
            node = error.answer()
        self.books.faults = type(self.books.faults)()
        self._follow(now)
        self.books.key = self.signers.get(parameters.get("app_id", ""), self._cast.alipay_keys[0])
        text = wire._written(self.books, method, node)  # noqa: SLF001 -- the simulator's own signing
        return Answer(200, {"content-type": wire.JSON}, text)

    def _troubles(self, method: str, parameters: dict[str, str]) -> None:
        """Let this request meet what the simulator can do: what was true before, money that is slow to go back."""
        chance, biz = self._around.chance, msgspec.json.decode(parameters.get("biz_content", "{}"))
        trade = self.books.trades.get(f"{parameters.get('app_id')}/{biz.get('out_trade_no')}")
        recent = self._around.loop.moment() - timedelta(seconds=LAG_S)
        if method == "alipay.trade.query" and trade is not None and trade.paid_at and trade.paid_at > recent:
            self.books.faults.read_lag = int(chance.strikes(15))
        if method == "alipay.trade.pay" and trade is None:
            dice = chance.random.random()
            self.books.faults.payer_too_poor = int(dice < 0.1)
            self.books.faults.wait_for_payer = int(dice > 0.6)
        if method == "alipay.trade.cancel":
            self.books.faults.cancel_again = int(chance.strikes(14))
        if method == "alipay.trade.refund" and trade is not None:
            asked = self.books.refunds.get(f"{trade.key}/{biz.get('out_request_no')}")
            if asked is None:
                self.books.faults.slow_refunds = int(chance.strikes(17))

    def _verified(self, parameters: dict[str, str], *, window: bool = True) -> wire.Call:
        """Return a request that is signed with one of the app's keys, the present one or the one before."""
        app_id = parameters.get("app_id", "")
        known = self.books.merchants.get(app_id)
        for turn in range(2 if known is not None else 0):
            self._admit(app_id, known.pid, turn)  # type: ignore[union-attr]  # None has no turns
            try:
                return wire.verified(self.books, parameters, "https://alipay.test", window=window)
            except AlipayError as error:
                if error.sub_code != "isv.invalid-signature":
                    raise
        raise AlipayError(40002, "isv.invalid-signature", "验签出错")

    def _follow(self, now: Any) -> None:
        """See to what a request left to come: trades that run out, refunds that are slow."""
        for key in list(self.books.settling):
            self.books.settling.discard(key)
            ends = self._around.chance.random.choice(("REFUND_SUCCESS", "REFUND_SUCCESS", "FAILED", "on the card"))
            self._around.later(self._around.settles_in() * 10, self._end_refund, key, ends)
        for key in list(self.books.waiting):
            self.books.waiting.discard(key)
            trade = self.books.trades.get(key)
            if trade is not None and trade.time_expire is not None:
                self._around.later((trade.time_expire - now).total_seconds() + 1, self._run_out, key)

    def _run_out(self, key: str) -> None:
        trade = self.books.trades.get(key)
        if trade is not None and trade.status == WAITING:
            self.books.close(trade, now=self._around.loop.moment())

    def _end_refund(self, key: str, ends: str) -> None:
        made = self.books.refunds.get(key)
        if made is None or made.status != returns.PROCESSING:
            return
        self._around.chance.note(f"{self._around.loop.time():.3f} alipay refund {made.out_request_no} {ends}")
        status = returns.SUCCEEDED if ends == "on the card" else ends
        on_card = "F" if ends == "on the card" else ""
        returns.settle(self.books, made, status, now=self._around.loop.moment(), dback_status=on_card)

    def sealed(self, notice: Notice) -> tuple[dict[str, str], bytes]:
        """Return a notice's headers and body as they go over the wire now."""
        self.books.key = self.signers[notice.app_id]
        return {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}, form(self.books, notice)

    def stranger_signs(self, facts: dict[str, str]) -> str:
        """Return a signature by a key that is nobody's at Alipay: a hospital's own."""
        kept = {name: value for name, value in facts.items() if name not in ("sign", "sign_type")}
        text = "&".join(f"{name}={value}" for name, value in sorted(kept.items()))
        return signing.sign(self._cast.pairs[0].private_pem, text)

    def change(self, hospital: str, _turn: int) -> None:
        """Sign with either key from now on: the platform knows both."""
        self.signers[alipay_app(hospital)] = self._around.chance.random.choice(self._cast.alipay_keys)

    def give(self, started: StartedAttempt) -> None:
        """Give a payer what the cashier shows; a page or an order string is opened later, or never."""
        text = urlsplit(started.redirect_url).query or started.sdk_params.get("order_string", "")
        if text:
            parameters = dict(parse_qsl(text, keep_blank_values=True))
            self._links[started.attempt_no] = Link(started.attempt_no, parameters)

    def code(self) -> str:
        """Let a payer open her payment code."""
        return f"28{secrets.randbelow(10**16):016d}"

    def waiting(self) -> list[str]:
        """Return what a payer could pay now."""
        trades = [trade.out_trade_no for trade in self.books.trades if trade.status in (OFFERED, WAITING)]
        return sorted({*trades, *self._links})

    def closed(self) -> list[str]:
        """Return what can no longer be paid and never was."""
        return [trade.out_trade_no for trade in self.books.trades if trade.status == CLOSED and trade.paid_at is None]

    def paid(self) -> list[str]:
        """Return what was paid."""
        return [trade.out_trade_no for trade in self.books.trades if trade.paid_at is not None]

    def pay(self, number: str) -> None:
        """Let a payer open what was given and pay; one in five looks at it and pays another time.

        Raises:
            NotPayable: Alipay says no.
        """
        now = self._around.loop.moment()
        try:
            trade = self._arrive(number)
            if self._around.chance.random.random() < 0.2:
                return
            self.books.pay(trade, now=now)
        except AlipayError as error:
            raise NotPayable(error.sub_code) from error
        finally:
            self._follow(now)

    def _arrive(self, number: str) -> Trade:
        link, now = self._links.get(number), self._around.loop.moment()
        if link is not None:
            call = self._verified(link.parameters, window=False)
            asked = parse(call.biz, Place)
            made = self.books.place(
                call.merchant, link.parameters["method"], asked, urls=call.urls, offered=False, now=now
            )
            del self._links[number]
            return made
        return self.books.arrive(self._named(number), now=now)

    def pay_after_all(self, number: str) -> None:
        """Let the bank's word come late: a trade that was closed was paid all the same."""
        trade, now = self._named(number), self._around.loop.moment()
        self._around.never_lost.add(number)
        opened = msgspec.structs.replace(trade, status=WAITING, time_expire=None, closed_at=None)
        self.books.pay(self.books.save(opened), now=now)
        self.books.waiting.discard(trade.key)

    def _named(self, number: str) -> Trade:
        return next(trade for trade in self.books.trades if trade.out_trade_no == number)

    def trades(self) -> list[Trade]:
        """Return every trade there is."""
        return list(self.books.trades)

    def can_be_paid(self, trade: Trade) -> bool:
        """Say whether a payer could still pay a trade."""
        over = trade.time_expire is not None and self._around.loop.moment() > trade.time_expire
        return trade.status in (OFFERED, WAITING) and not over
