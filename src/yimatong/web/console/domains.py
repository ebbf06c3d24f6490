"""Identifier domains (标识域) in the console: list, rules, versions; make, change, suspend."""

from __future__ import annotations

from typing import Any, Final, TypeVar

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access import callers, operators
from yimatong.empi.errors import DomainUnknown
from yimatong.empi.identifiers import managing
from yimatong.empi.identifiers.schemas import Domain, DomainChange, DomainToMake
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.web.console import filters
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

PATH: Final = "/console/domains"
PERMISSION: Final = "console:domains"
KINDS: Final = ("certificate", "card", "visit_card", "source", "region", "national")
CHECKS: Final = ("gb11643", "residence-card", "driving-licence", "social-security", "settlement-permit")
_TEXTS: Final = ("name_zh", "name_en", "oid", "format", "check_rule")
_FLAGS: Final = ("one_per_person", "reusable")
_FORM: Final = (*_TEXTS, *_FLAGS, "code", "kind", "version", "valid_days", "trusted")
_REASON_MAX: Final = 200
Shape = TypeVar("Shape")


@get(PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def show_domains(page: NamedDependency[Page]) -> Response[str]:
    """Show the domains of everybody and of one institution; with ``code`` also one domain's rules and versions."""
    return await _shown(page)


@post(PATH, session="console", permission=PERMISSION, status_code=200, include_in_schema=False)
async def keep(page: NamedDependency[Page]) -> Response[Any]:
    """Make or change a domain; a refusal is told above the form. Only the province's own people do."""
    if not page.scope.all_rows:
        raise FilterInvalid(detail="institution")
    form = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    code = form.get("code", "")
    try:
        change = managing.Change(
            operator_id=page.operator.operator_id, reason=_reason(form), request_id=page.request_id, now=page.now
        )
        if form.get("version"):
            wanted, version = _change(form), _version(form)
            await page.write(lambda tx: managing.change(tx, code, wanted, version=version, change=change))
        else:
            made = _to_make(form)
            await page.write(lambda tx: managing.create(tx, made, change))
    except Refusal as refusal:
        return await _shown(page, refusal=refusal, form=form)
    return page.go(filters.address(PATH, code=code))


def _reason(form: dict[str, str]) -> str:
    reason = form.get("reason", "")
    if not reason or len(reason) > _REASON_MAX or not reason.isprintable():
        raise InvalidInput(detail="reason")
    return reason


def _version(form: dict[str, str]) -> int:
    text = form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):  # noqa: PLR2004 -- an integer of the database
        raise InvalidInput(detail="version")
    return int(text)


def _values(form: dict[str, str]) -> dict[str, Any]:
    days = form.get("valid_days", "")
    if days and not (days.isascii() and days.isdigit() and 0 < int(days[:6]) < 100_000):  # noqa: PLR2004 -- days
        raise InvalidInput(detail="valid_days")
    values: dict[str, Any] = {name: form.get(name, "") for name in _TEXTS if name != "oid" or form.get("oid")}
    values |= {name: form.get(name) == "1" for name in _FLAGS}
    return values | {"valid_days": int(days) if days else None, "trusted": form.get("trusted", "").split()}


def _change(form: dict[str, str]) -> DomainChange:
    state = form.get("state", "")
    given: dict[str, Any] = {"state": state} if state else _values(form)
    return _converted(given, DomainChange)


def _to_make(form: dict[str, str]) -> DomainToMake:
    return _converted(_values(form) | {"code": form.get("code", ""), "kind": form.get("kind", "")}, DomainToMake)


def _converted(values: dict[str, Any], shape: type[Shape]) -> Shape:
    try:
        return msgspec.convert(values, shape)
    except msgspec.ValidationError as error:
        raise InvalidInput(detail=str(error).rsplit("`$", maxsplit=1)[-1].strip("`.")) from error


async def _shown(page: Page, *, refusal: Refusal | None = None, form: dict[str, str] | None = None) -> Response[str]:
    kind = filters.choice(page, "kind", KINDS)
    institution = page.scope.institution_id or filters.words(page, "institution") or None
    code = (form or {}).get("code", "") if (form or {}).get("version") else filters.words(page, "code")

    async def look(tx: Connection) -> dict[str, Any]:
        listed = await managing.listed(tx, institution_id=institution, kind=kind or None)
        chosen = await _one(tx, code) if code else None
        versions = await managing.versions(tx, code) if chosen else []
        ids = {each.changed_by for each in versions}
        names = await operators.names(tx, ids) | await callers.institution_names(tx)
        return {"listed": listed, "chosen": chosen, "versions": versions, "names": names}

    return page.html(
        "console/domains.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "domains"),
        **await page.read(look),
        kind=kind,
        kinds=KINDS,
        checks=CHECKS,
        institution=institution or "",
        form={name: (form or {}).get(name, "") for name in _FORM},
        refusal=refusal.text(page.language) if refusal else "",
        refused=refusal.code if refusal else "",
        may_change=page.scope.all_rows,
    )


async def _one(tx: Connection, code: str) -> Domain | None:
    try:
        return await managing.read(tx, code)
    except DomainUnknown:
        return None


ROUTES = [show_domains, keep]
