"""What banks and insurers are asked about a card, and what their answers mean. Never called inside a transaction."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

import msgspec

from yimatong.cards.errors import PartyBusy, PartyNotConnected, PartyRefusesUs
from yimatong.cards.parties import Party
from yimatong.crypto.gm import sm2
from yimatong.crypto.vault import Vault
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.db import Database
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable, PlatformError
from yimatong.kit.masking import Secret

NOTHING_DONE: Final[tuple[type[PlatformError], ...]] = (
    PartyNotConnected,
    PartyBusy,
    PartyRefusesUs,
    PartyUnreachable,
)
"""Failures after which the issuer has certainly done nothing."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a binding stands at its issuer.

    ``state``: waiting (for the answer to a challenge), agreed, refused, failed, expired, ended, absent.
    """

    state: str
    reason: str = ""
    challenge: str = ""
    sent_to: str = ""
    tries_left: int | None = None
    expires_at: datetime | None = None
    agreement_no: str = ""
    card_kind: str = ""
    place: str = ""


class _Agreement(msgspec.Struct, frozen=True):
    state: str
    challenge: str = ""
    sent_to: str = ""
    tries_left: int = 0
    expires_at: datetime | None = None
    agreement_no: str = ""
    reason: str = ""


class _Link(msgspec.Struct, frozen=True):
    state: str
    reason: str = ""
    tries_left: int = 0
    link_no: str = ""
    insurance: str = ""
    place: str = ""


class Bank:
    """The bank, as far as cards are bound; errors as ``Party.ask``."""

    def __init__(self, party: Party) -> None:
        """Keep the party."""
        self._party = party

    async def apply(self, request_no: str, person: PersonRecord, number: str, phone: str, *, now: datetime) -> Outcome:
        """Begin an agreement, once per request number: name, certificate, card and phone are compared there."""
        question = _whose(request_no, person, number) | {"phone": phone}
        return await self._ask("apply", question, now=now)

    async def confirm(self, request_no: str, *, code: str, amount_fen: int, now: datetime) -> Outcome:
        """Hand in the answer to the challenge."""
        question = {"request_no": request_no, "code": code, "amount_fen": amount_fen}
        return await self._ask("confirm", question, now=now)

    async def query(self, request_no: str, *, now: datetime) -> Outcome:
        """Ask how an agreement stands; asking changes nothing."""
        return await self._ask("query", {"request_no": request_no}, now=now)

    async def end(self, request_no: str, *, now: datetime) -> Outcome:
        """End an agreement; one that has ended stays ended."""
        return await self._ask("end", {"request_no": request_no}, now=now)

    async def _ask(self, verb: str, question: dict[str, object], *, now: datetime) -> Outcome:
        said = await self._party.ask(f"/agreements/{verb}", question, _Agreement, now=now)
        _require_known(said.state, self._party)
        return Outcome(
            state=said.state,
            reason=said.reason,
            challenge=said.challenge,
            sent_to=said.sent_to,
            tries_left=said.tries_left,
            expires_at=said.expires_at,
            agreement_no=said.agreement_no,
        )


class Insurer:
    """The insurer, as far as cards are bound; errors as ``Party.ask``."""

    def __init__(self, party: Party, public_key: bytes) -> None:
        """Keep the party and its SM2 key (65 bytes), to which passwords are encrypted."""
        self._party = party
        self._public_key = public_key

    async def apply(
        self, request_no: str, kind: str, person: PersonRecord, number: str, password: Secret, *, now: datetime
    ) -> Outcome:
        """Link a card, once per request number; the password is encrypted for this request alone (GB/T 32918.4)."""
        plain = f"{request_no}\n".encode() + str.__str__(password).encode()
        sealed = base64.b64encode(sm2.encrypt(self._public_key, plain)).decode()
        question = _whose(request_no, person, number) | {"kind": kind, "password": sealed}
        return await self._ask("apply", question, now=now)

    async def query(self, request_no: str, *, now: datetime) -> Outcome:
        """Ask how a link stands; asking changes nothing."""
        return await self._ask("query", {"request_no": request_no}, now=now)

    async def end(self, request_no: str, *, now: datetime) -> Outcome:
        """End a link; one that has ended stays ended."""
        return await self._ask("end", {"request_no": request_no}, now=now)

    async def _ask(self, verb: str, question: dict[str, object], *, now: datetime) -> Outcome:
        said = await self._party.ask(f"/links/{verb}", question, _Link, now=now)
        state = {"linked": "agreed"}.get(said.state, said.state)
        _require_known(state, self._party)
        return Outcome(
            state=state,
            reason=said.reason,
            tries_left=said.tries_left,
            agreement_no=said.link_no,
            card_kind=said.insurance,
            place=said.place,
        )


class Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What verbs that talk to an issuer need."""

    db: Database
    vault: Vault
    bank: Bank
    insurer: Insurer
    bank_cards_max: int

    def issuer(self, kind: str) -> Bank | Insurer:
        """Return who issued a card of this kind."""
        return self.bank if kind == "bank_card" else self.insurer


_STATES: Final = frozenset({"waiting", "agreed", "refused", "failed", "expired", "ended", "absent"})


def _require_known(state: str, party: Party) -> None:
    if state not in _STATES:
        raise PartyOutcomeUnknown(party=party.name, audit=f"state {state[:40]}")


def _whose(request_no: str, person: PersonRecord, number: str) -> dict[str, object]:
    return {
        "request_no": request_no,
        "name": str.__str__(person.name),
        "id_type": person.id_type,
        "id_number": str.__str__(person.id_number),
        "card_number": number,
    }
