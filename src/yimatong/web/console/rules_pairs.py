"""One sample pair of a run: both persons side by side, and how the draft and the rules in force judge them now."""

from __future__ import annotations

from typing import Annotated, Any, Final
from uuid import UUID

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import callers
from yimatong.access.errors import NotPermitted
from yimatong.empi.dossiers import queries as dossiers
from yimatong.empi.dossiers.schemas import Record
from yimatong.empi.errors import RuleRunNotFound
from yimatong.empi.persons.queries import members
from yimatong.empi.rules import explaining, queries
from yimatong.empi.rules.explaining import Judgement
from yimatong.empi.rules.schemas import Change, PairChange
from yimatong.kit.db import Connection
from yimatong.web.console import persons, rules_shown, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.console.rules import PATH, PERMISSION, VersionInPath
from yimatong.web.console.stewards_review import providers_of
from yimatong.web.page import Page

RunInPath = Annotated[str, PathParameter(pattern="^[A-Za-z0-9_]{1,64}(?!\\n)$")]
ChangeInPath = Annotated[str, PathParameter(pattern="^(merge|review|split|drop)(?!\\n)$")]
PlaceInPath = Annotated[str, PathParameter(pattern="^[1-9][0-9]{0,2}(?!\\n)$")]
_ADDRESS: Final = f"{PATH}/{{version:str}}/{{run_id:str}}/{{change:str}}/{{place:str}}"


@get(_ADDRESS, session="console", permission=PERMISSION, reads="personal", include_in_schema=False)
async def show_pair(
    version: VersionInPath, run_id: RunInPath, change: ChangeInPath, place: PlaceInPath, page: NamedDependency[Page]
) -> Response[str]:
    """Show a pair whole. Its address names a run and a place in its list, never a person."""
    if not page.scope.all_rows:
        raise NotPermitted(permission=PERMISSION)
    sealer, referrer = await page.vault.sealer(), await page.vault.referrer(persons.HOLDER)
    kind = _change(change)
    at = int(place)

    async def look(tx: Connection) -> dict[str, Any]:
        run = await queries.run(tx, run_id)
        pairs = run.difference.samples.get(kind, ()) if run.difference else ()
        if run.rule_version != int(version) or at > len(pairs):
            raise RuleRunNotFound
        pair: PairChange = pairs[at - 1]
        left, right = await dossiers.sides(tx, sealer, UUID(hex=pair.left), UUID(hex=pair.right))
        joined = await _joined(tx, left, right)
        return {
            "run": run,
            "pair": pair,
            "many": len(pairs),
            "left": left,
            "right": right,
            "joined": joined,
            "then": await explaining.judge(tx, run.rule_version, left, right, merged=joined),
            "in_force": await explaining.judge(tx, None, left, right, merged=joined),
            "names": await callers.names(tx, providers_of(left, right)),
        }

    found = await page.read(look)
    then: Judgement | None = found["then"]
    left, right = found["left"], found["right"]
    return page.html(
        "console/rule_pair.html",
        **shell(page, "rules"),
        **(stewards_shown.context() | rules_shown.context(page)),
        **found,
        rows=stewards_shown.rows(page, left, right),
        of_left=stewards_shown.statements(page, left),
        of_right=stewards_shown.statements(page, right),
        evidence=_evidence(page, then),
        guards=stewards_shown.guards(page, then.guards if then else ()),
        change=kind,
        at=at,
        back=f"{PATH}/{version}?run={run_id}",
        address=f"{PATH}/{version}/{run_id}/{kind}",
        person=lambda record: f"{persons.PATH}/{referrer(record.mpi.hex)}",
        may_open=persons.PERMISSION in page.operator.permissions,
    )


def _change(name: str) -> Change:
    return next(each for each in rules_shown.CHANGES if each == name)


async def _joined(tx: Connection, left: Record, right: Record) -> bool:
    """Say whether both are one person today."""
    (one, *_), (other, *_) = await members(tx, left.mpi), await members(tx, right.mpi)
    return one == other


def _evidence(page: Page, then: Judgement | None) -> list[stewards_shown.EvidenceLine]:
    if then is None:
        return []
    marks = (then.thresholds.review, then.thresholds.link)
    return stewards_shown.evidence(page, then.evidence, then.weight, marks)


ROUTES = [show_pair]
