"""The simulated bank takes money: quick payment by a bound card, and payment tokens; docs/spec/quick-payment.md.

The agreements are those of :mod:`yimatong.sandbox.bank`; hospitals are merchants here with secrets of their own. A code
of six digits goes to the card's phone for one payment (number, agreement and amount), for five minutes and one try. A
token belongs to an agreement and to the nonce that it was asked for with; it is checked with that nonce before it pays,
once. ``/control/quickpay`` shows codes, tokens and what is left of each card, and makes the bank misbehave.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec.structs import replace

from yimatong.kit.clock import rfc3339
from yimatong.sandbox.bank import Bank
from yimatong.sandbox.settling import control, wire
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Asked, Code, Fen, Number, Payment, Refused
from yimatong.sandbox.settling.wire import Wire, answer, asked_of
from yimatong.sandbox.store import Store

CODE_LIVES = timedelta(minutes=5)
TOKEN_LIVES = timedelta(minutes=5)
OPENS_WITH_FEN = 100_000_000
"""What a card has to spend, where nothing was said: a million yuan."""
Nonce = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{2,64}(?!\n)$")]


class AskPay(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment: by agreement and SMS code, or by a token."""

    agreement_no: str = ""
    sms_code: str = ""
    token: str = ""


class AskChallenge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """For which payment a code is to be sent."""

    merchant_id: Number
    payment_no: Number
    agreement_no: Number
    amount_fen: Fen


class AskToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose token is wanted, and for which code."""

    merchant_id: Number
    agreement_no: Number
    nonce: Nonce
    expires_at: datetime


class AskCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which token, in which code."""

    merchant_id: Number
    token: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    nonce: Nonce


class SmsCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code on somebody's phone; ``used`` whether it was right or wrong."""

    merchant_id: str
    payment_no: str
    agreement_no: str
    amount_fen: int
    secret: str
    sent_to: str
    created_at: datetime
    expires_at: datetime
    used: bool = False


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """A token; ``paid`` is the payment that it paid for, ``key`` of it."""

    token: str
    merchant_id: str
    agreement_no: str
    nonce: str
    expires_at: datetime
    checked: bool = False
    paid: str = ""

    def shown(self) -> dict[str, Any]:
        """Return the JSON of answers."""
        return {
            "token": self.token,
            "merchant_id": self.merchant_id,
            "nonce": self.nonce,
            "expires_at": rfc3339(self.expires_at),
        }


class CardMoney(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the card of an agreement has left, in fen."""

    agreement_no: Number
    left_fen: int


class QuickBank(Books):
    """The bank's books of quick payments."""

    name = "quickpay"

    def __init__(self, store: Store, bank: Bank) -> None:
        """Take up the books where the journal left them; ``bank`` holds cards and agreements."""
        super().__init__(store)
        self._bank = bank
        self.codes = store.table("quickpay.codes", SmsCode)
        self.tokens = store.table("quickpay.tokens", Token)
        self.money = store.table("quickpay.money", CardMoney)
        self._unused = {f"{each.merchant_id}/{each.payment_no}" for each in self.codes if not each.used}

    def challenge(self, asked: AskChallenge, *, now: datetime) -> SmsCode:
        """Send a code for one payment; asked for again while it lives, it is the same.

        Raises:
            Refused: ``NO_AGREEMENT``, ``NUMBER_USED`` (for another payment, or too late for this one).
        """
        key = f"{asked.merchant_id}/{asked.payment_no}"
        known = self.codes.get(key)
        if self.payments.get(key) is not None:
            raise Refused(Code.NUMBER_USED, "there is a payment of this number")
        if known is not None:
            if (known.agreement_no, known.amount_fen) != (asked.agreement_no, asked.amount_fen):
                raise Refused(Code.NUMBER_USED, "the number was used for another payment")
            if known.expires_at <= now:
                raise Refused(Code.NUMBER_USED, "the code of this number has expired")
            return known
        problem, phone = self._usable(asked.agreement_no)
        if problem:
            raise Refused(Code.NO_AGREEMENT, problem)
        made = SmsCode(
            merchant_id=asked.merchant_id,
            payment_no=asked.payment_no,
            agreement_no=asked.agreement_no,
            amount_fen=asked.amount_fen,
            secret=f"{secrets.randbelow(10**6):06d}",
            sent_to=f"{phone[:3]}****{phone[-4:]}",
            created_at=now,
            expires_at=now + CODE_LIVES,
        )
        self.codes.put(key, made)
        self._unused.add(key)
        return made

    def payment(self, merchant_id: str, payment_no: str) -> Payment:
        """Return a payment; one whose code was sent and has not come back is pending. Raises ``UNKNOWN_NUMBER``."""
        code = self.codes.get(f"{merchant_id}/{payment_no}")
        if code is None or self.payments.get(f"{merchant_id}/{payment_no}") is not None:
            return super().payment(merchant_id, payment_no)
        return Payment(
            merchant_id=merchant_id,
            payment_no=payment_no,
            state="pending",
            amount_fen=code.amount_fen,
            payer=code.agreement_no,
            created_at=code.created_at,
        )

    def settle_due(self, *, now: datetime) -> None:
        """Settle what is due, and decline for good the payments whose codes nobody typed in time."""
        super().settle_due(now=now)
        for key in list(self._unused):
            code = self.codes.get(key)
            if code is None or (not code.used and code.expires_at > now):
                continue
            self._unused.discard(key)
            self.codes.put(key, replace(code, used=True))
            if self.payments.get(key) is None:
                declined = replace(
                    self.payment(code.merchant_id, code.payment_no), state="declined", reason="CODE_EXPIRED"
                )
                self.payments.put(key, declined)

    def judge(self, asked: Asked, *, now: datetime) -> tuple[str, str, dict[str, int]]:
        """Decline a wrong code or token, an agreement or card that rests, and who has not enough."""
        if not isinstance(asked, AskPay) or bool(asked.token) == bool(asked.agreement_no):
            return "AGREEMENT_OR_TOKEN", "", {}
        token = self._token_to_pay_with(asked, now=now) if asked.token else None
        reason = token if isinstance(token, str) else "" if token else self._code_problem(asked, now=now)
        if reason:
            return reason, "", {}
        number = token.agreement_no if isinstance(token, Token) else asked.agreement_no
        if self._usable(number)[0]:
            return "NO_AGREEMENT", number, {}
        if self.left_fen(number) < asked.amount_fen:
            return "FUNDS", number, {}
        if isinstance(token, Token) and now <= asked.expires_at:
            self.tokens.put(token.token, replace(token, paid=f"{asked.merchant_id}/{asked.payment_no}"))
        return "", number, {}

    def moved(self, payment: Payment, fen: int) -> None:
        """Take from a card, or give back."""
        left_fen = self.left_fen(payment.payer) - fen
        self.money.put(payment.payer, CardMoney(agreement_no=payment.payer, left_fen=left_fen))

    def left_fen(self, agreement_no: str) -> int:
        """Return what the card of an agreement has left."""
        found = self.money.get(agreement_no)
        return OPENS_WITH_FEN if found is None else found.left_fen

    def give(self, asked: AskToken, *, now: datetime) -> Token:
        """Give a token for an agreement and a nonce. Raises ``NO_AGREEMENT``, ``BAD_REQUEST``."""
        problem, _phone = self._usable(asked.agreement_no)
        if problem:
            raise Refused(Code.NO_AGREEMENT, problem)
        if asked.expires_at <= now:
            raise Refused(Code.BAD_REQUEST, "expires_at is over")
        made = Token(
            token=secrets.token_urlsafe(24),
            merchant_id=asked.merchant_id,
            agreement_no=asked.agreement_no,
            nonce=asked.nonce,
            expires_at=min(asked.expires_at, now + TOKEN_LIVES),
        )
        self.tokens.put(made.token, made)
        return made

    def check(self, asked: AskCheck, *, now: datetime) -> Token:
        """Check a token with the nonce of the code that carried it. Raises ``TOKEN_REFUSED``."""
        found = self.tokens.get(asked.token)
        if found is None or found.merchant_id != asked.merchant_id or found.nonce != asked.nonce:
            raise Refused(Code.TOKEN_REFUSED, "no such token, or of another code")
        if found.paid or found.expires_at <= now:
            raise Refused(Code.TOKEN_REFUSED, "paid with, or expired")
        if self._usable(found.agreement_no)[0]:
            raise Refused(Code.TOKEN_REFUSED, "the agreement has ended")
        checked = replace(found, checked=True)
        self.tokens.put(found.token, checked)
        return checked

    def _token_to_pay_with(self, asked: AskPay, *, now: datetime) -> Token | str:
        found = self.tokens.get(asked.token)
        if found is None:
            return "TOKEN_UNKNOWN"
        if found.paid:
            return "TOKEN_USED"
        if not found.checked:
            return "TOKEN_NOT_CHECKED"
        return "TOKEN_EXPIRED" if found.expires_at <= now else found

    def _code_problem(self, asked: AskPay, *, now: datetime) -> str:
        """Compare the code and use it up, right or wrong; return the reason to decline."""
        key = f"{asked.merchant_id}/{asked.payment_no}"
        found = self.codes.get(key)
        if found is None or (found.agreement_no, found.amount_fen) != (asked.agreement_no, asked.amount_fen):
            return "NO_CODE"
        self.codes.put(key, replace(found, used=True))
        if found.used or found.expires_at <= now:
            return "CODE_EXPIRED"
        return "" if secrets.compare_digest(found.secret, asked.sms_code) else "WRONG_CODE"

    def _usable(self, agreement_no: str) -> tuple[str, str]:
        """Return what is wrong with an agreement (empty: nothing), and the phone of its card."""
        held = next((each for each in self._bank.agreements if each.agreement_no == agreement_no), None)
        if held is None or held.state != "agreed":
            return "no such agreement, or it has ended", ""
        card = self._bank.cards.get(held.card_number)
        if card is None or card.state != "open":
            return "the card is not open", ""
        return "", card.phone


def of(request: Wire) -> QuickBank:
    """Return the bank of a request."""
    found: QuickBank = request.app.state.quickpay
    return found


@post("/bank/v1/challenges", status_code=200)
async def challenge(request: Wire) -> Response[bytes]:
    """Send a code for one payment."""
    books = of(request)

    def act(body: bytes, now: datetime) -> dict[str, Any]:
        sent = books.challenge(asked_of(body, AskChallenge), now=now)
        told = {"payment_no": sent.payment_no, "merchant_id": sent.merchant_id, "sent_to": sent.sent_to}
        return {"challenge": told | {"expires_at": rfc3339(sent.expires_at)}}

    return await answer(request, books, act)


@post("/bank/v1/tokens", status_code=200)
async def give(request: Wire) -> Response[bytes]:
    """Give a token."""
    books = of(request)

    def act(body: bytes, now: datetime) -> dict[str, Any]:
        return {"token": books.give(asked_of(body, AskToken), now=now).shown()}

    return await answer(request, books, act)


@post("/bank/v1/tokens/check", status_code=200)
async def check(request: Wire) -> Response[bytes]:
    """Check a token."""
    books = of(request)

    def act(body: bytes, now: datetime) -> dict[str, Any]:
        return {"token": books.check(asked_of(body, AskCheck), now=now).shown()}

    return await answer(request, books, act)


@get("/control/quickpay/codes")
async def codes(request: Wire) -> list[SmsCode]:
    """Show every code as its receiver sees it."""
    return list(of(request).codes)


@get("/control/quickpay/tokens")
async def tokens(request: Wire) -> list[Token]:
    """Show every token."""
    return list(of(request).tokens)


@post("/control/quickpay/money", status_code=200)
async def set_money(request: Wire, data: JSONBody[CardMoney]) -> CardMoney:
    """Say what the card of an agreement has left."""
    of(request).money.put(data.agreement_no, data)
    await of(request).store.flush()
    return data


HANDLERS: list[HTTPRouteHandler] = [
    challenge,
    give,
    check,
    *wire.handlers(of, prefix="/bank", noun="payments", question=AskPay),
]
CONTROL: list[HTTPRouteHandler] = [codes, tokens, set_money, *control.controls(of, name="quickpay")]
