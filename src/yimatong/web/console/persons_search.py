"""Looking for a person: any combination of facts, in the form's body; results are masked, the person page is whole."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access.caller import Caller
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.search import service
from yimatong.empi.search.schemas import PersonHit, PersonPage, PersonQuery
from yimatong.kit.db import Connection, raw
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.standards.codes import CERTIFICATE_TYPES, SEX
from yimatong.web.console.menu import shell
from yimatong.web.console.persons import HOLDER, PATH, PERMISSION
from yimatong.web.page import Page

MATCHES: Final = ("exact", "pinyin", "part")
_TEXTS: Final = (
    "name",
    "name_match",
    "sex",
    "id_type",
    "id_number",
    "born_from",
    "born_to",
    "phone",
    "address",
    "region_code",
    "mother_name",
    "cursor",
)
_FORM: Final = (*_TEXTS, "include_cancelled", "domain", "number")
_ROWS: Final = 20


@get(PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def show_search(page: NamedDependency[Page]) -> Response[str]:
    """Show the form alone."""
    return _shown(page, {})


@post(PATH, session="console", permission=PERMISSION, reads="personal", status_code=200, include_in_schema=False)
async def search(page: NamedDependency[Page]) -> Response[Any]:
    """Show who fits; a refused question says why above the form."""
    given = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    asked = {name: given.get(name, "") for name in _FORM}
    try:
        if asked["domain"] and asked["number"]:
            return await _by_number(page, asked)
        found = await _found(page, _wanted(asked))
    except Refusal as refusal:
        return _shown(page, asked, refusal=refusal)
    return _shown(page, asked, found=found, refs=await _refs(page, found))


def _caller(page: Page) -> Caller:
    """Return in whose name an operator asks: the house she works for, else the console."""
    return Caller(caller_id=HOLDER, kind="app", name=HOLDER, institution_id=page.scope.institution_id)


def _wanted(asked: dict[str, str]) -> PersonQuery:
    facts: dict[str, Any] = {name: asked[name] for name in _TEXTS if asked[name]}
    facts |= {"include_cancelled": asked["include_cancelled"] == "1", "limit": _ROWS}
    try:
        return msgspec.convert(facts, PersonQuery, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=str(error).rsplit("`$", maxsplit=1)[-1].strip("`.")) from error


async def _found(page: Page, wanted: PersonQuery) -> PersonPage:
    return await page.read(lambda tx: service.search(tx, page.vault, wanted, caller=_caller(page), now=page.now))


async def _refs(page: Page, found: PersonPage) -> dict[str, str]:
    """Return the address of each person's page by the reference that the search gave."""
    holder = _caller(page).holder
    referrer = await page.vault.referrer(HOLDER)
    return {each.mpi_ref: referrer(await page.vault.mpi_from_ref(holder, each.mpi_ref)) for each in found.persons}


async def _by_number(page: Page, asked: dict[str, str]) -> Response[Any]:
    """Lead to the person who has a number of an identifier domain."""
    blinder = await page.vault.blinder()

    async def look(tx: Connection) -> UUID | None:
        wanted = [(asked["domain"], asked["number"])]
        return (await identifiers.holders(await raw(tx), wanted, blinder=blinder)).get(0)

    mpi = await page.read(look)
    if mpi is None:
        return _shown(page, asked, nobody=True)
    return page.go(f"{PATH}/{await page.vault.mpi_ref(HOLDER, mpi.hex)}")


def _shown(
    page: Page,
    asked: dict[str, str],
    *,
    found: PersonPage | None = None,
    refs: dict[str, str] | None = None,
    refusal: Refusal | None = None,
    nobody: bool = False,
) -> Response[str]:
    return page.html(
        "console/persons.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "persons"),
        asked={name: asked.get(name, "") for name in _FORM},
        found=found,
        refs=refs or {},
        nobody=nobody,
        matches=MATCHES,
        sexes=[(code, getattr(term, page.language)) for code, term in SEX.items()],
        types=[(code, getattr(term, page.language)) for code, term in CERTIFICATE_TYPES.items()],
        certificate=lambda hit: _certificate(page, hit),
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
    )


def _certificate(page: Page, hit: PersonHit) -> str:
    term = CERTIFICATE_TYPES.get(hit.id_type)
    return getattr(term, page.language) if term else ""


ROUTES = [show_search, search]
