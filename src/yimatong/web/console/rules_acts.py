"""What is done with rules of matching: draft, try, propose with a reason, approve or reject as another person."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.datastructures import FormMultiDict
from litestar.di import NamedDependency

from yimatong.access import callers
from yimatong.access.errors import NotPermitted
from yimatong.empi.rules import explaining, presets, queries, service
from yimatong.empi.rules.schemas import Body, RuleSet
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.web.console import filters, rules_shown
from yimatong.web.console.menu import shell
from yimatong.web.console.rules import APPROVE, DRAFT, PATH, VersionInPath, may
from yimatong.web.page import Page

BITS_MIN, BITS_MAX = -40, 80
"""Weights that a threshold may have on the page; the least and the most that any model of the product gives."""

WORDS_MAX: Final = 500
KEPT: Final = "kept"
"""Choice of a field whose order is none of the presets: as it is in the rule set that the draft starts from."""

_BITS: Final = re.compile(r"-?\d{1,2}(\.\d{1,3})?", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,9}", re.ASCII)
_BLANK_ROWS: Final = 3
_ROWS_MAX: Final = 50


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """The form as texts: what was typed stays when it is refused."""

    start: str = ""
    model: str = ""
    link: str = ""
    review: str = ""
    note: str = ""
    orders: dict[str, str] = {}
    trust: tuple[tuple[str, str], ...] = ()


@get(f"{PATH}/draft", session="console", permission=DRAFT, include_in_schema=False)
async def show_form(page: NamedDependency[Page]) -> Response[str]:
    """Show the form of a new draft, filled in with the rule set that is asked for, else with what is in force.

    With ``model`` it takes that model and the thresholds that its training chose.
    """
    _require(page, DRAFT)
    start, wanted = filters.words(page, "from"), filters.words(page, "model")
    if (start and not _NUMBER.fullmatch(start)) or (wanted and not _NUMBER.fullmatch(wanted)):
        raise InvalidInput(detail="from")

    async def look(tx: Connection) -> Given:
        base = await queries.read(tx, int(start)) if start else await queries.active(tx)
        given = _given_of(base)
        if not wanted:
            return given
        found = (await explaining.model(tx, int(wanted))).thresholds
        given = msgspec.structs.replace(given, model=str(int(wanted)))
        if found is None:
            return given
        return msgspec.structs.replace(given, link=f"{found.link:g}", review=f"{found.review:g}")

    return await _form(page, await page.read(look))


@post(PATH, session="console", permission=DRAFT, status_code=200, include_in_schema=False)
async def put_draft(page: NamedDependency[Page]) -> Response[Any]:
    """Store a draft; what is wrong is told above the form, which keeps what was typed."""
    _require(page, DRAFT)
    form = await page.request.form()
    given = _read(form)

    async def verb(tx: Connection) -> int:
        note = _words("note", given.note)
        base = await _base(tx, given.start)
        body = _body(given, base)
        await _known(tx, set(body.survivorship.trust))
        version = await service.draft(
            tx,
            body,
            model_version=_model(given.model),
            note=note,
            operator=page.operator.operator_id,
            now=page.now,
        )
        said = body.thresholds
        await _noted(page, tx, "draft", version, f"model {given.model} link {said.link:g} review {said.review:g}")
        return version

    try:
        version = await page.write(verb)
    except Refusal as refusal:
        return await _form(page, given, refusal=refusal)
    return page.go(f"{PATH}/{version}")


@post(f"{PATH}/{{version:str}}/try", session="console", permission=DRAFT, status_code=200, include_in_schema=False)
async def try_out(version: VersionInPath, page: NamedDependency[Page]) -> Response[None]:
    """Start a dry run."""
    _require(page, DRAFT)

    async def verb(tx: Connection) -> None:
        run_id = await service.try_out(tx, int(version), operator=page.operator.operator_id, now=page.now)
        await _noted(page, tx, "try", int(version), run_id)

    await page.write(verb)
    return page.go(f"{PATH}/{version}")


@post(f"{PATH}/{{version:str}}/propose", session="console", permission=DRAFT, status_code=200, include_in_schema=False)
async def propose(version: VersionInPath, page: NamedDependency[Page]) -> Response[None]:
    """Put a draft that was tried up for a second person."""
    _require(page, DRAFT)
    reason = _words("reason", str((await page.request.form()).get("reason", "")).strip())

    async def verb(tx: Connection) -> None:
        await service.propose(tx, int(version), reason=reason, operator=page.operator.operator_id, now=page.now)
        await _noted(page, tx, "propose", int(version), reason)

    await page.write(verb)
    return page.go(f"{PATH}/{version}")


@post(f"{PATH}/{{version:str}}/decide", session="console", permission=APPROVE, status_code=200, include_in_schema=False)
async def decide(version: VersionInPath, page: NamedDependency[Page]) -> Response[None]:
    """Approve or reject as a second person; approved, it is in force at once and history is run over again."""
    _require(page, APPROVE)
    form = await page.request.form()
    outcome = str(form.get("outcome", ""))
    if outcome not in {"approve", "reject"} or (outcome == "approve" and form.get("seen") != "1"):
        raise InvalidInput(detail="outcome")

    async def verb(tx: Connection) -> None:
        await service.decide(
            tx, int(version), approve=outcome == "approve", operator=page.operator.operator_id, now=page.now
        )
        await _noted(page, tx, outcome, int(version), "")

    await page.write(verb)
    return page.go(f"{PATH}/{version}")


def _require(page: Page, permission: str) -> None:
    """Refuse an institution's own people: rules hold for everybody's records.

    Raises:
        NotPermitted: they may not.
    """
    if not may(page, permission):
        raise NotPermitted(permission=permission)


async def _noted(page: Page, tx: Connection, what: str, version: int, detail: str) -> None:
    await audit.record(
        tx,
        actor=page.operator.operator_id,
        action=f"matching-rules:{what}",
        object_kind="rule_set",
        object_id=str(version),
        request_id=page.request_id,
        now=page.now,
        detail=detail,
    )


def _words(name: str, text: str) -> str:
    if not text or len(text) > WORDS_MAX or not text.isprintable():
        raise InvalidInput(detail=name)
    return text


def _read(form: FormMultiDict) -> Given:
    providers = [str(each).strip()[:64] for each in form.getall("trust_provider", [])][:_ROWS_MAX]
    values = [str(each).strip()[:4] for each in form.getall("trust_value", [])][:_ROWS_MAX]
    return Given(
        **{
            name: str(form.get(name, "")).strip()[: WORDS_MAX + 1]
            for name in ("start", "model", "link", "review", "note")
        },
        orders={field: str(form.get(f"order.{field}", presets.DEFAULT_NAME)) for field in presets.FIELDS},
        trust=tuple(row for row in zip_longest(providers, values, fillvalue="") if any(row)),
    )


def _given_of(base: RuleSet | None) -> Given:
    said = base.body if base else Body(thresholds=explaining.SHIPPED_THRESHOLDS)
    return Given(
        start=str(base.version) if base else "",
        model=str(base.model_version if base else explaining.SHIPPED),
        link=f"{said.thresholds.link:g}",
        review=f"{said.thresholds.review:g}",
        orders={each: presets.name_of(each, said.survivorship.order(each)) or KEPT for each in presets.FIELDS},
        trust=tuple((who, str(value)) for who, value in sorted(said.survivorship.trust.items())),
    )


async def _base(tx: Connection, start: str) -> RuleSet | None:
    return await queries.read(tx, int(start)) if _NUMBER.fullmatch(start) else None


def _body(given: Given, base: RuleSet | None) -> Body:
    """Return what the form says.

    Raises:
        InvalidInput: a threshold, an order or a trust that the page does not offer.
    """
    orders = {}
    for field, name in given.orders.items():
        order = base.body.survivorship.order(field) if base and name == KEPT else presets.orders(field).get(name)
        if order is None:
            raise InvalidInput(detail=f"order.{field}")
        if order != presets.orders(field)[presets.DEFAULT_NAME]:
            orders[field] = order
    trust = {}
    for provider, value in given.trust:
        if not provider or provider in trust or not value.isascii() or not value.isdigit():
            raise InvalidInput(detail=f"trust {provider or '-'}")
        if int(value) > presets.TRUST_MAX:
            raise InvalidInput(detail=f"trust {provider}: 0–{presets.TRUST_MAX}")
        trust[provider] = int(value)
    thresholds = {name: _threshold(name, getattr(given, name)) for name in ("link", "review")}
    said = {"thresholds": thresholds, "survivorship": {"fields": orders, "trust": trust}}
    return msgspec.convert(said, Body)


def _threshold(name: str, text: str) -> float:
    if not _BITS.fullmatch(text) or not BITS_MIN <= float(text) <= BITS_MAX:
        raise InvalidInput(detail=f"{name}: {BITS_MIN}–{BITS_MAX}")
    return float(text)


def _model(text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(detail="model")
    return int(text)


async def _known(tx: Connection, providers: set[str]) -> None:
    unknown = providers - await callers.registered(tx, providers)
    if unknown:
        raise InvalidInput(detail=f"{min(unknown)}: 未登记的应用或机构 / not registered")


async def _form(page: Page, given: Given, *, refusal: Refusal | None = None) -> Response[str]:
    async def look(tx: Connection) -> dict[str, Any]:
        base = await _base(tx, given.start)
        return {
            "base": base,
            "models": await queries.models(tx),
            "names": await callers.names(tx, {who for who, _ in given.trust}),
        }

    found = await page.read(look)
    base: RuleSet | None = found["base"]
    kept = {each: base.body.survivorship.order(each) for each in presets.FIELDS} if base else {}
    return page.html(
        "console/rule_draft.html",
        status=200 if refusal is None else refusal.status,
        **shell(page, "rules"),
        **rules_shown.context(page),
        **found,
        given=given,
        start_bits=_start_bits(given),
        limits=(BITS_MIN, BITS_MAX),
        fields=[(each, presets.orders(each), kept.get(each, ())) for each in presets.FIELDS],
        named=presets.name_of,
        rows=[*given.trust, *[("", "")] * _BLANK_ROWS],
        trust_max=presets.TRUST_MAX,
        words_max=WORDS_MAX,
        refusal=refusal.text(page.language) if refusal else "",
        code=refusal.code if refusal else "",
    )


def _start_bits(given: Given) -> dict[str, float]:
    """Return where the sliders stand; at 0 for a text that is no weight."""
    return {name: float(text) if _BITS.fullmatch(text := getattr(given, name)) else 0.0 for name in ("link", "review")}


ROUTES = [show_form, put_draft, try_out, propose, decide]
