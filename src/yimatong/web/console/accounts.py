"""The card office: find an account, see its history, freeze, release, cancel, switch off a lost label, end a relation.

What is looked for travels in the form's body: no address of ours holds a name, a number or a phone.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import callers, operators
from yimatong.cards.accounts import history
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts import service as card_accounts
from yimatong.cards.accounts.schemas import StateChange
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.family import queries as families
from yimatong.cards.family import service as family
from yimatong.cards.lookup import queries as lookup
from yimatong.cards.lookup.schemas import FoundAccounts, Wanted
from yimatong.cards.standing import service as standing
from yimatong.empi.persons import queries as persons
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput
from yimatong.standards.codes import CERTIFICATE_TYPES
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_PATH: Final = "/console/accounts"
_PERMISSION: Final = "console:accounts"
WAYS: Final = ("certificate", "name_and_phone", "vuid")
REASONS: Final = {
    "frozen": ("lost_phone", "lost_card", "suspected_fraud", "request"),
    "active": ("found", "mistake", "request"),
    "cancelled": ("request", "duplicate", "mistake", "deceased"),
}
VuidInPath = Annotated[str, PathParameter(pattern="^[0-9A-F]{64}(?!\\n)$")]


@get(_PATH, session="console", permission=_PERMISSION, include_in_schema=False)
async def show_search(page: NamedDependency[Page]) -> Response[str]:
    """Show the empty form."""
    return _results(page, None, way=filters.choice(page, "way", WAYS) or WAYS[0])


@post(_PATH, session="console", permission=_PERMISSION, reads="personal", status_code=200, include_in_schema=False)
async def search(page: NamedDependency[Page]) -> Response[str]:
    """Show the accounts that were found, masked."""
    form = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    way = form.get("way", "")
    wanted = _wanted(way, form)
    found = await page.read(lambda tx: lookup.find(tx, page.vault, wanted, scope=page.scope))
    return _results(page, found, way=way, after=form.get("after", ""), asked=form)


def _wanted(way: str, form: dict[str, str]) -> Wanted:
    parts: dict[str, dict[str, Any]] = {
        "vuid": {"vuid": form.get("vuid", "").upper()},
        "certificate": {"certificate": {"id_type": form.get("id_type", ""), "id_number": form.get("id_number", "")}},
        "name_and_phone": {"name_and_phone": {"name": form.get("name", ""), "phone": form.get("phone", "")}},
    }
    if way not in parts:
        raise FilterInvalid(detail="way")
    try:
        return msgspec.convert(parts[way] | {"after": form.get("after", "")}, Wanted)
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=str(error).rsplit("`$", maxsplit=1)[-1].strip("`.")) from error


def _results(
    page: Page, found: FoundAccounts | None, *, way: str, after: str = "", asked: dict[str, str] | None = None
) -> Response[str]:
    return page.html(
        "console/accounts.html",
        **shell(page, "accounts"),
        found=found,
        way=way,
        ways=WAYS,
        after=after,
        asked=asked or {},
        types=[(code, getattr(term, page.language)) for code, term in CERTIFICATE_TYPES.items()],
    )


@get(f"{_PATH}/{{vuid:str}}", session="console", permission=_PERMISSION, reads="personal", include_in_schema=False)
async def show_account(vuid: VuidInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show one account with its earlier VUIDs, its family and its history; somebody else's is like an absent one."""
    after = filters.words(page, "after")

    async def look(tx: Connection) -> dict[str, Any]:
        row = await accounts.held(tx, vuid, scope=page.scope)
        past = await lookup.read_history(tx, page.vault, vuid, scope=page.scope, after=after, limit=filters.PAGE_ROWS)
        actors = {event.actor for event in past.events}
        places = {event.institution_id for event in past.events if event.institution_id}
        person = await persons.read(tx, await page.vault.sealer(), row.mpi)
        return {
            "account": row,
            "person": person,
            "level": await accounts.proof_level(tx, row.vuid),
            "aliases": await accounts.aliases(tx, row.vuid),
            "family": await families.of_account(tx, row.vuid, row.mpi, page.vault, today=business_date(page.now)),
            "bank_cards": (await bindings.bank_cards(tx, vuid, scope=page.scope)).cards,
            "insurance_cards": (await bindings.insurance_cards(tx, vuid, scope=page.scope)).cards,
            "events": past.events,
            "next_mark": past.next,
            "names": await callers.names(tx, actors | places) | await operators.names(tx, actors),
        }

    found = await page.read(look)
    return page.html(
        "console/account.html",
        **shell(page, "accounts"),
        **found,
        reasons=REASONS,
        certificate=getattr(CERTIFICATE_TYPES[found["person"].id_type], page.language),
        today=business_date(page.now).isoformat(),
        first=f"{_PATH}/{vuid}" if after else "",
        following=f"{_PATH}/{vuid}?after={found['next_mark']}" if found["next_mark"] else "",
    )


@post(
    f"{_PATH}/{{vuid:str}}/state", session="console", permission=_PERMISSION, status_code=200, include_in_schema=False
)
async def change_state(vuid: VuidInPath, page: NamedDependency[Page]) -> Response[None]:
    """Freeze, release or cancel."""
    form = await page.request.form()
    state, reason = str(form.get("state", "")), str(form.get("reason", ""))
    if reason not in REASONS.get(state, ()):
        raise FilterInvalid(detail="state")
    died_on = _day(str(form.get("died_on", ""))) if reason == "deceased" else None
    wanted = msgspec.convert({"state": state, "reason": reason, "died_on": died_on}, StateChange)
    await page.write(lambda tx: standing.change_state(tx, page.vault, vuid, wanted, origin=_origin(page), now=page.now))
    return page.go(f"{_PATH}/{vuid}")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise FilterInvalid(detail="died_on") from error


@post(
    f"{_PATH}/{{vuid:str}}/death", session="console", permission=_PERMISSION, status_code=200, include_in_schema=False
)
async def take_back_death(vuid: VuidInPath, page: NamedDependency[Page]) -> Response[None]:
    """Take a wrong report of a death back."""
    await page.write(lambda tx: standing.take_back_death(tx, page.vault, vuid, origin=_origin(page), now=page.now))
    return page.go(f"{_PATH}/{vuid}")


@post(
    f"{_PATH}/{{vuid:str}}/alias", session="console", permission=_PERMISSION, status_code=200, include_in_schema=False
)
async def switch_alias(vuid: VuidInPath, page: NamedDependency[Page]) -> Response[None]:
    """Switch an earlier VUID off, or on again."""
    form = await page.request.form()
    alias, on = str(form.get("alias", "")), str(form.get("on", "")) == "1"
    await page.write(
        lambda tx: card_accounts.switch_alias(tx, page.vault, vuid, alias, on=on, origin=_origin(page), now=page.now)
    )
    return page.go(f"{_PATH}/{vuid}")


@post(
    f"{_PATH}/{{vuid:str}}/family", session="console", permission=_PERMISSION, status_code=200, include_in_schema=False
)
async def end_relation(vuid: VuidInPath, page: NamedDependency[Page]) -> Response[None]:
    """End a family relation."""
    relation_id = str((await page.request.form()).get("relation_id", ""))

    async def end(tx: Connection) -> None:
        await accounts.held(tx, vuid, scope=page.scope)
        await family.end(tx, page.vault, relation_id, origin=_origin(page), now=page.now)

    await page.write(end)
    return page.go(f"{_PATH}/{vuid}")


def _origin(page: Page) -> history.Origin:
    return history.of_operator(page.operator.operator_id, page.scope, page.request_id)


ROUTES = [show_search, search, show_account, change_state, take_back_death, switch_alias, end_relation]
