"""A simulated bank that agrees on quick payment (快捷签约): an SMS code or a small amount proves who holds a card.

``/bank/agreements/apply`` begins, once per ``request_no``: the bank compares name, certificate, card and phone, then
sends a code of six digits (five minutes, three tries) or a payment of 0.01 to 0.99 yuan (three days, three tries).
``/confirm`` takes the answer, ``/query`` says how it stands, ``/end`` ends an agreement. A card that the bank does not
know becomes the card of whoever applies first, unless the name contains 假. The control port opens cards with their
holders (``/control/bank/cards``), shows what was sent (``/control/bank/messages``) and lets a challenge expire.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.sandbox.signed import PartyError, Wire, parties
from yimatong.sandbox.store import Store

LIVES = {"sms": timedelta(minutes=5), "small_amount": timedelta(days=3)}
TRIES = 3
PARTY = "bank"
Challenge = Literal["sms", "small_amount"]


class BankCardRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A card with its holder, the phone the bank knows, and how the bank proves the holder."""

    number: Annotated[str, Meta(pattern="^[0-9]{12,19}(?!\\n)$")]
    name: str
    id_number: str
    phone: str
    state: Literal["open", "lost", "closed"] = "open"
    challenge: Challenge = "sms"


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an agreement is asked for."""

    request_no: Annotated[str, Meta(min_length=8, max_length=64)]
    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")]
    id_number: Annotated[str, Meta(min_length=1, max_length=40)]
    card_number: Annotated[str, Meta(pattern="^[0-9]{12,19}(?!\\n)$")]
    phone: Annotated[str, Meta(min_length=5, max_length=20)]


class Confirm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to the challenge: what was sent by SMS, or the amount in fen."""

    request_no: str
    code: str = ""
    amount_fen: int = 0


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which agreement."""

    request_no: str


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """An agreement on its way, and what was sent for it."""

    request_no: str
    card_number: str
    state: Literal["waiting", "agreed", "refused", "failed", "expired", "ended"]
    challenge: Challenge = "sms"
    secret: str = ""
    sent_to: str = ""
    tries_left: int = TRIES
    expires_at: datetime | None = None
    agreement_no: str = ""
    reason: str = ""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an agreement stands; ``absent`` when the bank never heard of it. ``refused``: ``holder`` or ``card``."""

    request_no: str
    state: str
    challenge: str = ""
    sent_to: str = ""
    tries_left: int = 0
    expires_at: datetime | None = None
    agreement_no: str = ""
    reason: str = ""


class Bank:
    """The bank's books."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.cards = store.table("bank.cards", BankCardRow)
        self.agreements = store.table("bank.agreements", Agreement)

    def holds(self, number: str, *, name: str, id_number: str, phone: str) -> bool:
        """Say whether a card may be this person's; one that nobody holds may."""
        card = self.cards.get(number)
        return card is None or (card.name, card.id_number, card.phone) == (name, id_number, phone)

    def apply(self, asked: Apply, *, now: datetime) -> Agreement:
        """Begin an agreement, or return the one that this request began. Raises 409 for another card under it."""
        known = self.agreements.get(asked.request_no)
        if known is not None:
            if known.card_number != asked.card_number:
                raise PartyError(400, "this request_no was used for another card")
            return self._today(known, now=now)
        made = self._judged(asked, now=now)
        self.agreements.put(asked.request_no, made)
        return made

    def _judged(self, asked: Apply, *, now: datetime) -> Agreement:
        refused = Agreement(request_no=asked.request_no, card_number=asked.card_number, state="refused", tries_left=0)
        if "假" in asked.name or not self.holds(
            asked.card_number, name=asked.name, id_number=asked.id_number, phone=asked.phone
        ):
            return replace(refused, reason="holder")
        card = self.cards.get(asked.card_number) or BankCardRow(
            number=asked.card_number, name=asked.name, id_number=asked.id_number, phone=asked.phone
        )
        if card.state != "open":
            return replace(refused, reason="card")
        self.cards.put(card.number, card)
        sms = card.challenge == "sms"
        return Agreement(
            request_no=asked.request_no,
            card_number=asked.card_number,
            state="waiting",
            challenge=card.challenge,
            secret=f"{secrets.randbelow(10**6):06d}" if sms else str(1 + secrets.randbelow(99)),
            sent_to=f"{card.phone[:3]}****{card.phone[-4:]}" if sms else "",
            expires_at=now + LIVES[card.challenge],
        )

    def confirm(self, answer: Confirm, *, now: datetime) -> Agreement:
        """Compare the answer; the third wrong one ends it. Raises 400 when there is no such agreement."""
        known = self.agreements.get(answer.request_no)
        if known is None:
            raise PartyError(400, "no such request_no")
        known = self._today(known, now=now)
        if known.state != "waiting":
            return known
        given = answer.code if known.challenge == "sms" else str(answer.amount_fen)
        if given == known.secret:
            changed = replace(known, state="agreed", agreement_no=f"QP{secrets.token_hex(14).upper()}")
        else:
            left = known.tries_left - 1
            changed = replace(known, tries_left=left, state="waiting" if left else "failed")
        self.agreements.put(known.request_no, changed)
        return changed

    def end(self, request_no: str) -> Agreement:
        """End an agreement, however it stands. Raises 400 when there is none."""
        known = self.agreements.get(request_no)
        if known is None:
            raise PartyError(400, "no such request_no")
        changed = replace(known, state="ended")
        self.agreements.put(request_no, changed)
        return changed

    def _today(self, known: Agreement, *, now: datetime) -> Agreement:
        if known.state == "waiting" and known.expires_at is not None and known.expires_at <= now:
            known = replace(known, state="expired")
            self.agreements.put(known.request_no, known)
        return known

    def standing(self, request_no: str, *, now: datetime) -> Standing:
        """Return how an agreement stands; see ``Standing``."""
        known = self.agreements.get(request_no)
        if known is None:
            return Standing(request_no=request_no, state="absent")
        return shown(self._today(known, now=now))


def shown(agreement: Agreement) -> Standing:
    """Return what the merchant sees of an agreement."""
    return Standing(
        request_no=agreement.request_no,
        state=agreement.state,
        challenge=agreement.challenge,
        sent_to=agreement.sent_to,
        tries_left=agreement.tries_left,
        expires_at=agreement.expires_at,
        agreement_no=agreement.agreement_no,
        reason=agreement.reason,
    )


def of(request: Wire) -> Bank:
    """Return the bank of a request."""
    found: Bank = request.app.state.bank
    return found


@post("/bank/agreements/apply", status_code=200)
async def apply(request: Wire) -> Response[bytes]:
    """Begin an agreement."""
    asked, nonce = await parties(request).receive(PARTY, request, Apply)
    made = of(request).apply(asked, now=clock.now())
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, shown(made))


@post("/bank/agreements/confirm", status_code=200)
async def confirm(request: Wire) -> Response[bytes]:
    """Take the answer to a challenge."""
    answer, nonce = await parties(request).receive(PARTY, request, Confirm)
    changed = of(request).confirm(answer, now=clock.now())
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, shown(changed))


@post("/bank/agreements/query", status_code=200)
async def query(request: Wire) -> Response[bytes]:
    """Say how an agreement stands."""
    named, nonce = await parties(request).receive(PARTY, request, Named)
    standing = of(request).standing(named.request_no, now=clock.now())
    return parties(request).answer(PARTY, nonce, standing)


@post("/bank/agreements/end", status_code=200)
async def end(request: Wire) -> Response[bytes]:
    """End an agreement."""
    named, nonce = await parties(request).receive(PARTY, request, Named)
    changed = of(request).end(named.request_no)
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, shown(changed))


@post("/control/bank/cards", status_code=200)
async def open_card(request: Wire, data: JSONBody[BankCardRow]) -> BankCardRow:
    """Open a card for a holder, or change one."""
    of(request).cards.put(data.number, data)
    await of(request).store.flush()
    return data


@get("/control/bank/messages")
async def messages(request: Wire) -> list[Agreement]:
    """Show every agreement with the code or the amount (fen) that its holder received."""
    return list(of(request).agreements)


@post("/control/bank/expire", status_code=200)
async def expire(request: Wire, data: JSONBody[Named]) -> Standing:
    """Let a challenge run out now. 404 when there is none."""
    bank = of(request)
    known = bank.agreements.get(data.request_no)
    if known is None:
        raise PartyError(404, "no such request_no")
    bank.agreements.put(known.request_no, replace(known, expires_at=clock.now()))
    await bank.store.flush()
    return bank.standing(data.request_no, now=clock.now())


HANDLERS: list[HTTPRouteHandler] = [apply, confirm, query, end]
CONTROL: list[HTTPRouteHandler] = [open_card, messages, expire]
