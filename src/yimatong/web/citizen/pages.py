"""The resident's card: a one-time link opens it, a dynamic code renews itself on it, a static one can be printed."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from yimatong.access import callers, sessions
from yimatong.access.caller import PLATFORM
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.codes import queries as codes
from yimatong.cards.codes import service
from yimatong.cards.codes.issuing import Order
from yimatong.cards.codes.schemas import CodeRecord, IssuedCode, NewCode
from yimatong.kit.db import Connection
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import KINDS, Page
from yimatong.web.symbols import picture

PURPOSES: Final = ("visit", "records", "payment")
TTL_S: Final = 60
ISSUER: Final = "web"
_USES: Final = 8


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of a code as its owner reads it."""

    mark: str
    where: str
    purpose: str
    good: bool
    at: Any


@get("/card/open/{link:str}", permission="card:open", opt={"public": True}, include_in_schema=False)
async def open_card(link: FromPath[str], page: NamedDependency[Page]) -> Response[None]:
    """Use up the link of an app and open the card for half an hour in this browser."""
    token = await page.write(
        lambda tx: sessions.open_link(tx, link, purpose="card", lifetime_s=KINDS["card"].lifetime_s, now=page.now)
    )
    return page.go("/card", page.session_cookie("card", token))


@get("/card", session="card", permission="card:show", reads="personal", include_in_schema=False)
async def show_card(page: NamedDependency[Page]) -> Response[str]:
    """Show the card; the code itself is asked for by the page once it stands."""

    async def look(tx: Connection) -> dict[str, Any]:
        card = await accounts.card_view(tx, page.vault, page.subject)
        bank = (await bindings.bank_cards(tx, page.subject, scope=PLATFORM)).cards
        insurance = (await bindings.insurance_cards(tx, page.subject, scope=PLATFORM)).cards
        return {
            "card": card,
            "uses": await _uses(tx, page),
            "bank_cards": [each for each in bank if each.state == "confirmed"],
            "insurance_cards": [each for each in insurance if each.state == "confirmed"],
        }

    return page.html("citizen/card.html", purposes=PURPOSES, **await page.read(look))


@post("/card/code", session="card", permission="card:issue", status_code=200, include_in_schema=False)
async def new_code(page: NamedDependency[Page]) -> Response[str]:
    """Issue a dynamic code for the chosen purpose and draw it."""
    purpose = str((await page.request.form()).get("purpose", ""))
    if purpose not in PURPOSES:
        raise FilterInvalid(detail="purpose")
    code = await page.write(lambda tx: _issue(tx, page, NewCode(vuid=page.subject, code_class=purpose, ttl_s=TTL_S)))
    lives_s = (code.expires_at - page.now).total_seconds() if code.expires_at else 0.0
    return page.html("citizen/code.html", picture=picture(code.text), purpose=purpose, lives_s=lives_s, full_s=TTL_S)


@get("/card/uses", session="card", permission="card:show", include_in_schema=False)
async def show_uses(page: NamedDependency[Page]) -> Response[str]:
    """Show where the codes of this card were used; the page asks again every few seconds."""
    return page.html("citizen/uses.html", uses=await page.read(lambda tx: _uses(tx, page)))


@get("/card/label", session="card", permission="card:issue", reads="personal", include_in_schema=False)
async def show_label(page: NamedDependency[Page]) -> Response[str]:
    """Show the static code for printing."""

    async def look(tx: Connection) -> dict[str, Any]:
        code = await _issue(tx, page, NewCode(vuid=page.subject, kind="static"))
        return {
            "card": await accounts.card_view(tx, page.vault, page.subject),
            "picture": picture(code.text, level="Q"),
        }

    return page.html("citizen/label.html", **await page.read(look))


async def _issue(tx: Connection, page: Page, wanted: NewCode) -> IssuedCode:
    order = Order(wanted=wanted, scope=PLATFORM, issuer_id=ISSUER, request_id=page.request_id, now=page.now)
    return await service.issue(tx, page.vault, order)


async def _uses(tx: Connection, page: Page) -> list[Use]:
    records = await codes.last_uses(tx, await accounts.group(tx, page.subject), limit=_USES)
    names = {place: await callers.institution_name(tx, place) for place in {_place(record) for record in records}}
    return [
        Use(
            mark=record.record_id,
            where=names[_place(record)],
            purpose=record.purpose,
            good=record.result == "ok",
            at=record.at,
        )
        for record in records
    ]


def _place(record: CodeRecord) -> str:
    return record.institution_id or record.caller_id


ROUTES = [open_card, show_card, new_code, show_uses, show_label]
