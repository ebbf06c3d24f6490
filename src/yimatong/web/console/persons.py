"""The person page: what the index knows of one resident, from whom, why, and what a steward may undo.

What is looked for travels in the form's body, and a person's address is a reference that only this console can read.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Final, get_args
from uuid import UUID

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import callers, operators
from yimatong.crypto.sealing import Sealer
from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.cancelling.schemas import Reason
from yimatong.empi.dossiers import queries as dossiers
from yimatong.empi.dossiers.schemas import DecisionLine, Record
from yimatong.empi.errors import MergeNotFound, PersonNotFound
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.merges import decisions
from yimatong.empi.merges import service as merges
from yimatong.kit.db import Connection, raw
from yimatong.web.console import stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

PATH: Final = "/console/persons"
PERMISSION: Final = "console:persons"
HOLDER: Final = "console"
"""Whose references of persons the addresses of these pages hold."""

UNMERGE_REASONS: Final = ("wrong_person", "twins", "wrong_source", "request")
CANCEL_REASONS: Final = get_args(Reason)
RefInPath = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}(?!\\n)$")]
VerbInPath = Annotated[str, PathParameter(pattern="^(unmerge|cancel|restore)(?!\\n)$")]


async def mpi_of(page: Page, ref: str) -> UUID:
    """Return the person behind a reference in an address."""
    return UUID(hex=await page.vault.mpi_from_ref(HOLDER, ref))


async def seen(page: Page, tx: Connection, sealer: Sealer, mpi: UUID) -> Record:
    """Return a person whom this operator may see: the province's own people everybody, others whom their house knows.

    Raises:
        PersonNotFound: nobody, or nobody to this operator.
    """
    record = await dossiers.read(tx, sealer, mpi)
    if page.scope.all_rows:
        return record
    houses = await callers.institutions_of(tx, {each.provider for each in record.statements})
    if page.scope.institution_id not in houses.values():
        raise PersonNotFound
    return record


@get(f"{PATH}/{{ref:str}}", session="console", permission=PERMISSION, reads="personal", include_in_schema=False)
async def show_person(ref: RefInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show a person whole."""
    mpi, sealer, blinder = await mpi_of(page, ref), await page.vault.sealer(), await page.vault.blinder()
    referrer = await page.vault.referrer(HOLDER)

    async def look(tx: Connection) -> dict[str, Any]:
        record = await seen(page, tx, sealer, mpi)
        numbers = await identifiers.of_persons(
            await raw(tx), [record.mpi], sealer=sealer, blinder=blinder, now=page.now
        )
        found: dict[str, Any] = {
            "record": record,
            "numbers": numbers.get(record.mpi, ()),
            "merges": await dossiers.merges(tx, record.members),
            "decisions": await dossiers.decisions(tx, record.members),
            "changes": await dossiers.changes(tx, record.members),
            "certificates": await dossiers.certificates(tx, record.members),
        }
        domains = await identifiers.domains_of(await raw(tx), {each.domain for each in found["numbers"]})
        return found | {"domains": domains, "names": await _names(tx, found)}

    found = await page.read(look)
    record: Record = found["record"]
    return page.html(
        "console/person.html",
        **shell(page, "persons"),
        **stewards_shown.context(),
        **found,
        ref=referrer(record.mpi.hex),
        ref_of=lambda other: referrer(other.hex),
        said=lambda name, value: stewards_shown.said(page, name, value),
        hint=lambda name: stewards_shown.hint(page, record, name),
        statements=stewards_shown.statements(page, record),
        explained=_explained(page, found["decisions"]),
        unmerge_reasons=UNMERGE_REASONS,
        cancel_reasons=CANCEL_REASONS,
    )


def _explained(page: Page, found: Sequence[DecisionLine]) -> list[tuple[DecisionLine, list[Any], list[Any]]]:
    """Return each decision with the waterfall of its evidence and its guards."""
    return [
        (
            each,
            stewards_shown.evidence(page, each.evidence, each.weight),
            stewards_shown.guards(page, [level for name, level, _ in each.evidence if name == stewards_shown.GUARD]),
        )
        for each in found
    ]


async def _names(tx: Connection, found: dict[str, Any]) -> dict[str, str]:
    actors = {each.operator for each in found["decisions"]} | {each.provider for each in found["changes"]}
    actors |= {each.provider for each in found["record"].statements}
    return await callers.names(tx, actors) | await operators.names(tx, actors)


@post(
    f"{PATH}/{{ref:str}}/{{verb:str}}",
    session="console",
    permission=PERMISSION,
    status_code=200,
    include_in_schema=False,
)
async def act(ref: RefInPath, verb: VerbInPath, page: NamedDependency[Page]) -> Response[None]:
    """Unmerge, cancel or restore, each confirmed and with its reason."""
    form = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    if form.get("confirm") != "1":
        raise FilterInvalid(detail="confirm")
    mpi = await mpi_of(page, ref)
    if verb == "unmerge":
        await _unmerge(page, mpi, form)
    elif verb == "cancel":
        await _cancel(page, mpi, form)
    else:
        await _restore(page, mpi)
    return page.go(f"{PATH}/{ref}")


async def _unmerge(page: Page, mpi: UUID, form: dict[str, str]) -> None:
    reason, merge_id = form.get("reason", ""), form.get("merge_id", "")
    if reason not in UNMERGE_REASONS:
        raise FilterInvalid(detail="reason")
    sealer, blinder = await page.vault.sealer(), await page.vault.blinder()
    given = decisions.NewDecision(
        kind="unmerge", method="steward", left=mpi, operator=page.operator.operator_id, reason=reason
    )

    async def verb(tx: Connection) -> None:
        record = await seen(page, tx, sealer, mpi)
        if merge_id not in {each.merge_id for each in await dossiers.merges(tx, record.members)}:
            raise MergeNotFound
        await merges.unmerge(tx, merge_id=merge_id, decision=given, sealer=sealer, blinder=blinder, now=page.now)

    await page.write(verb)


async def _cancel(page: Page, mpi: UUID, form: dict[str, str]) -> None:
    known: tuple[Reason, ...] = CANCEL_REASONS
    reason = next((each for each in known if each == form.get("reason", "")), None)
    if reason is None:
        raise FilterInvalid(detail="reason")
    wanted = cancelling.Wanted(
        reason=reason,
        died_on=_day(form.get("died_on", "")) if reason == "death" else None,
        operator=page.operator.operator_id,
        method="steward",
    )
    sealer = await page.vault.sealer()

    async def verb(tx: Connection) -> None:
        await seen(page, tx, sealer, mpi)
        await cancelling.cancel(tx, mpi, wanted, now=page.now)

    await page.write(verb)


async def _restore(page: Page, mpi: UUID) -> None:
    sealer, blinder = await page.vault.sealer(), await page.vault.blinder()

    async def verb(tx: Connection) -> None:
        await seen(page, tx, sealer, mpi)
        await cancelling.restore(
            tx,
            mpi,
            operator=page.operator.operator_id,
            reason="steward",
            sealer=sealer,
            blinder=blinder,
            now=page.now,
        )

    await page.write(verb)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise FilterInvalid(detail="died_on") from error


ROUTES = [show_person, act]
