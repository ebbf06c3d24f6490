r"""A simulated insurer (经办机构) that links social-insurance cards and 合疗证 after checking their password.

``/insurer/links/apply`` links, once per ``request_no``; ``/query`` says how a link stands, ``/end`` ends it. The
password comes encrypted to the insurer's SM2 key (GB/T 32918.4, base64 of C1 || C3 || C2) over
``request_no\nPASSWORD``, so that it cannot be used for another request. Five wrong ones lock the card. A card that the
insurer does not know becomes the card of whoever applies first, with the last six characters of its number as
password, unless the name contains 假.
"""

from __future__ import annotations

import base64
import secrets
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec import Meta
from msgspec.structs import replace

from yimatong.crypto.gm import sm2
from yimatong.sandbox.signed import PartyError, Wire, parties
from yimatong.sandbox.store import Store

PRIVATE_KEY = bytes.fromhex("e196f59907d9897d67115c02787dc2f147dd2f4c205c21c4256605fafc7b0b76")
"""Of the simulator only; its public half stands in the settings by default."""
PUBLIC_KEY_HEX = (
    "04ee310c8e020b31551aa84c9ae5b626d3f3d494de2f03c176269cd31dd749052a"
    "00b5593818dbad2917ce2c0b4ee1347e1245ffae681536031ea2c7c9bda049ee"
)
WRONG_MAX = 5
PARTY = "insurer"
Kind = Literal["social_card", "cooperative_card"]


class InsuranceCardRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An insurance card: its holder, its password, what is insured and where (GB/T 2260)."""

    number: Annotated[str, Meta(pattern="^[0-9A-Z]{8,20}(?!\\n)$")]
    name: str
    id_number: str
    password: str
    kind: Kind = "social_card"
    insurance: Literal["employee", "resident", "cooperative"] = "resident"
    place: str = "610100"
    state: Literal["open", "lost", "closed"] = "open"
    wrong: int = 0


class Apply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a link is asked for."""

    request_no: Annotated[str, Meta(min_length=8, max_length=64)]
    kind: Kind
    name: Annotated[str, Meta(min_length=1, max_length=50)]
    id_type: Annotated[str, Meta(pattern="^[0-9]{2}(?!\\n)$")]
    id_number: Annotated[str, Meta(min_length=1, max_length=40)]
    card_number: Annotated[str, Meta(pattern="^[0-9A-Z]{8,20}(?!\\n)$")]
    password: Annotated[str, Meta(max_length=400)]


class Named(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which link."""

    request_no: str


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link, or why there is none: ``holder``, ``card``, ``password``, ``locked``; ``absent``: never heard of."""

    request_no: str
    card_number: str = ""
    state: Literal["linked", "refused", "ended", "absent"]
    reason: str = ""
    tries_left: int = 0
    link_no: str = ""
    insurance: str = ""
    place: str = ""


class Insurer:
    """The insurer's books."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.cards = store.table("insurer.cards", InsuranceCardRow)
        self.links = store.table("insurer.links", Link)

    def holds(self, number: str, *, name: str, id_number: str) -> bool:
        """Say whether a card may be this person's; one that nobody holds may."""
        card = self.cards.get(number)
        return card is None or (card.name, card.id_number) == (name, id_number)

    def apply(self, asked: Apply) -> Link:
        """Link a card, or return the link that this request made. Raises 400 for another card under it."""
        known = self.links.get(asked.request_no)
        if known is not None:
            if known.card_number != asked.card_number:
                raise PartyError(400, "this request_no was used for another card")
            return known
        made = self._judged(asked)
        self.links.put(asked.request_no, made)
        return made

    def _judged(self, asked: Apply) -> Link:
        refused = Link(request_no=asked.request_no, card_number=asked.card_number, state="refused")
        if "假" in asked.name or not self.holds(asked.card_number, name=asked.name, id_number=asked.id_number):
            return replace(refused, reason="holder")
        card = self.cards.get(asked.card_number) or InsuranceCardRow(
            number=asked.card_number,
            name=asked.name,
            id_number=asked.id_number,
            password=asked.card_number[-6:],
            kind=asked.kind,
            insurance="cooperative" if asked.kind == "cooperative_card" else "resident",
        )
        if card.state != "open" or card.kind != asked.kind:
            return replace(refused, reason="card")
        if card.wrong >= WRONG_MAX:
            return replace(refused, reason="locked")
        wrong = 0 if _password(asked) == card.password else card.wrong + 1
        self.cards.put(card.number, replace(card, wrong=wrong))
        if wrong:
            left = WRONG_MAX - wrong
            return replace(refused, reason="password" if left else "locked", tries_left=left)
        return replace(
            refused,
            state="linked",
            link_no=f"IL{secrets.token_hex(14).upper()}",
            insurance=card.insurance,
            place=card.place,
        )

    def end(self, request_no: str) -> Link:
        """End a link. Raises 400 when there is none."""
        known = self.links.get(request_no)
        if known is None:
            raise PartyError(400, "no such request_no")
        ended = replace(known, state="ended")
        self.links.put(request_no, ended)
        return ended


def _password(asked: Apply) -> str:
    """Return the password that was encrypted for this very request. Raises 400 otherwise."""
    try:
        plain = sm2.decrypt(PRIVATE_KEY, base64.b64decode(asked.password, validate=True)).decode()
    except ValueError as error:
        raise PartyError(400, "password is not encrypted to our key") from error
    request_no, _, password = plain.partition("\n")
    if request_no != asked.request_no:
        raise PartyError(400, "password was encrypted for another request_no")
    return password


def of(request: Wire) -> Insurer:
    """Return the insurer of a request."""
    found: Insurer = request.app.state.insurer
    return found


@post("/insurer/links/apply", status_code=200)
async def apply(request: Wire) -> Response[bytes]:
    """Link a card."""
    asked, nonce = await parties(request).receive(PARTY, request, Apply)
    made = of(request).apply(asked)
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, made)


@post("/insurer/links/query", status_code=200)
async def query(request: Wire) -> Response[bytes]:
    """Say how a link stands."""
    named, nonce = await parties(request).receive(PARTY, request, Named)
    found = of(request).links.get(named.request_no) or Link(request_no=named.request_no, state="absent")
    return parties(request).answer(PARTY, nonce, found)


@post("/insurer/links/end", status_code=200)
async def end(request: Wire) -> Response[bytes]:
    """End a link."""
    named, nonce = await parties(request).receive(PARTY, request, Named)
    ended = of(request).end(named.request_no)
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, ended)


@post("/control/insurer/cards", status_code=200)
async def open_card(request: Wire, data: JSONBody[InsuranceCardRow]) -> InsuranceCardRow:
    """Issue an insurance card, or change one; ``wrong`` 0 unlocks it."""
    of(request).cards.put(data.number, data)
    await of(request).store.flush()
    return data


@get("/control/insurer/cards")
async def cards(request: Wire) -> list[InsuranceCardRow]:
    """Show every card."""
    return list(of(request).cards)


HANDLERS: list[HTTPRouteHandler] = [apply, query, end]
CONTROL: list[HTTPRouteHandler] = [open_card, cards]
