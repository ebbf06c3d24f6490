"""Rules of matching (匹配规则): every version, one version with what it changes, and its runs with their progress.

Only the province's own people change rules and look at sample pairs: rules hold for everybody's records.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import approvals, callers, operators
from yimatong.access.approvals import Approval
from yimatong.empi.errors import RuleRunNotFound
from yimatong.empi.rules import explaining, presets, queries, service
from yimatong.empi.rules.schemas import RuleSet, Run
from yimatong.kit.db import Connection
from yimatong.web.console import filters, rules_shown, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

PATH: Final = "/console/rules"
PERMISSION: Final = "console:rules"
DRAFT: Final = "console:rules-draft"
APPROVE: Final = "console:rules-approve"
VersionInPath = Annotated[str, PathParameter(pattern="^[1-9][0-9]{0,8}(?!\\n)$")]


def may(page: Page, permission: str) -> bool:
    """Say whether this operator may do a thing with rules: by role, and for the whole province."""
    return permission in page.operator.permissions and page.scope.all_rows


@get(PATH, session="console", permission=PERMISSION, include_in_schema=False)
async def list_rules(page: NamedDependency[Page]) -> Response[str]:
    """Show every rule set, the newest first, and what is in force."""

    async def look(tx: Connection) -> dict[str, Any]:
        listed = await queries.newest(tx)
        under_way = [each for each in await queries.runs(tx) if each.state in rules_shown.MOVING]
        return {
            "listed": listed,
            "active": await queries.active(tx),
            "under_way": under_way,
            "to_compare": await queries.to_compare(tx),
            "names": await operators.names(tx, {each.created_by for each in listed}),
        }

    return page.html(
        "console/rules.html",
        **shell(page, "rules"),
        **rules_shown.context(page),
        **await page.read(look),
        shipped=explaining.SHIPPED_THRESHOLDS,
        progress=rules_shown.progress,
        may_draft=may(page, DRAFT),
    )


@get(f"{PATH}/{{version:str}}", session="console", permission=PERMISSION, include_in_schema=False)
async def show_rules(version: VersionInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show one rule set and one of its runs; while that moves, its part is fetched again every second."""
    run_id = filters.words(page, "run")

    async def look(tx: Connection) -> dict[str, Any]:
        wanted = await queries.read(tx, int(version))
        present = await queries.active(tx)
        runs = await queries.runs(tx, wanted.version)
        proposals = await approvals.of_subject(tx, kind=service.APPROVAL, subject=str(wanted.version))
        return {
            "wanted": wanted,
            "present": present,
            "runs": runs,
            "run": _chosen(runs, run_id),
            "proposals": proposals,
            "to_compare": await queries.to_compare(tx),
            "names": await _names(tx, wanted, present, runs, proposals),
        }

    found = await page.read(look)
    run: Run | None = found["run"]
    wanted: RuleSet = found["wanted"]
    return page.html(
        "console/rule_run.html" if page.from_htmx else "console/rule_set.html",
        **shell(page, "rules"),
        **rules_shown.context(page),
        **found,
        **_allowed(page, wanted, found["proposals"]),
        changed=rules_shown.changed(page, wanted, found["present"], found["names"]),
        fields=presets.FIELDS,
        progress=None if run is None else rules_shown.progress(run),
        moving=run is not None and run.state in rules_shown.MOVING,
        changes=rules_shown.CHANGES,
        signed=stewards_shown.signed,
        guard_words=lambda name: stewards_shown.guard_words(page, name),
        address=f"{PATH}/{wanted.version}",
    )


def _chosen(runs: list[Run], run_id: str) -> Run | None:
    """Return the run that is asked for, else the newest.

    Raises:
        RuleRunNotFound: it is none of this rule set's.
    """
    if not run_id:
        return runs[0] if runs else None
    found = next((each for each in runs if each.run_id == run_id), None)
    if found is None:
        raise RuleRunNotFound
    return found


def _allowed(page: Page, wanted: RuleSet, proposals: list[Approval]) -> dict[str, Any]:
    """Return what this operator may do now, and why she may not approve."""
    proposal = next((each for each in proposals if each.approval_id == wanted.approval_id), None)
    own = proposal is not None and proposal.proposer_id == page.operator.operator_id
    return {
        "proposal": proposal,
        "own": own,
        "may_draft": may(page, DRAFT),
        "may_approve": may(page, APPROVE) and not own,
        "may_look": page.scope.all_rows,
    }


async def _names(
    tx: Connection, wanted: RuleSet, present: RuleSet | None, runs: list[Run], proposals: list[Approval]
) -> dict[str, str]:
    people = {wanted.created_by} | {each.started_by for each in runs}
    people |= {who for each in proposals for who in (each.proposer_id, each.approver_id) if who}
    return await callers.names(tx, rules_shown.providers((wanted, present))) | await operators.names(tx, people)


ROUTES = [list_rules, show_rules]
