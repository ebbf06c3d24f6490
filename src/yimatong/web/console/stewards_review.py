"""One review: two persons side by side, why the index is in doubt, what happened before, and what a steward may do."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import callers, operators
from yimatong.empi.dossiers import queries as dossiers
from yimatong.empi.dossiers.schemas import ChangeLine, DecisionLine, Record
from yimatong.empi.reviews import queries, schemas, service
from yimatong.empi.reviews.schemas import Review
from yimatong.kit.db import Connection
from yimatong.web.console import stewards, stewards_shown
from yimatong.web.console.menu import shell
from yimatong.web.page import Page

ReviewInPath = Annotated[str, PathParameter(pattern="^[A-Za-z0-9_]{1,64}(?!\\n)$")]


@get(
    f"{stewards.PATH}/{{review_id:str}}",
    session="console",
    permission=stewards.PERMISSION,
    reads="personal",
    include_in_schema=False,
)
async def show_review(review_id: ReviewInPath, page: NamedDependency[Page]) -> Response[str]:
    """Show one review whole, and take it for a while if nobody else works on it."""
    wanted = stewards.wanted_of(page)
    sealer = await page.vault.sealer()

    async def look(tx: Connection) -> dict[str, Any]:
        review = await _opened(page, tx, review_id)
        left, right = await dossiers.sides(tx, sealer, review.left_mpi, review.right_mpi)
        steps = await queries.steps(tx, review_id)
        found = {
            "review": review,
            "left": left,
            "right": right,
            "steps": steps,
            "notes": {(at, who): text for at, who, _, text in await service.read_note(tx, review_id, sealer=sealer)},
            "askable": await callers.institutions_of(tx, providers_of(left, right)),
            "between": await queries.between(tx, review.left_mpi, review.right_mpi),
            "last": await stewards.last_of(page, tx),
            "counts": await queries.counts(tx, scope=page.scope, now=page.now),
            **await _history(tx, review, left, right),
        }
        found["names"] = await _names(tx, found)
        return found

    found = await page.read(look)
    review: Review = found["review"]
    own = page.operator.operator_id
    held = review.waits and queries.is_held(review, by_another_than=own, now=page.now)
    return page.html(
        "console/review.html",
        **shell(page, "reviews"),
        **stewards_shown.context(),
        **found,
        **shown_pair(page, review, found["left"], found["right"]),
        wanted=wanted,
        held=held,
        high=schemas.HIGH_RISK,
        medium=schemas.MEDIUM_RISK,
        ago=lambda moment: stewards_shown.ago(page, moment),
        providers=[each for each in providers_of(found["left"], found["right"]) if each in found["askable"]],
        skip=stewards.place_of(f"{stewards.PATH}/next", wanted, but=review_id),
        back=stewards.place_of(stewards.PATH, wanted),
        place=lambda verb: stewards.place_of(f"{stewards.PATH}/{review_id}/{verb}", wanted),
    )


async def _opened(page: Page, tx: Connection, review_id: str) -> Review:
    """Return a review, taken for this operator unless somebody else works on it."""
    review = await queries.read(tx, review_id, scope=page.scope)
    own = page.operator.operator_id
    if not review.waits or review.assignee == own or queries.is_held(review, by_another_than=own, now=page.now):
        return review
    await service.take(tx, review_id, operator=own, now=page.now, over=True)
    return await queries.read(tx, review_id, scope=page.scope)


def shown_pair(page: Page, review: Review, left: Record, right: Record) -> dict[str, Any]:
    """Return what the side-by-side part shows."""
    return {
        "rows": stewards_shown.rows(page, left, right),
        "evidence": stewards_shown.evidence(page, review.evidence, review.weight),
        "guards": stewards_shown.guards(page, review.guards),
        "of_left": stewards_shown.statements(page, left),
        "of_right": stewards_shown.statements(page, right),
        "evidence_words": lambda comparison, level: stewards_shown.evidence_words(page, comparison, level),
    }


def providers_of(*records: Record) -> list[str]:
    """Return who made the statements of records, each once: those who can be asked."""
    return list(dict.fromkeys(each.provider for record in records for each in record.statements))


async def _history(tx: Connection, review: Review, left: Record, right: Record) -> dict[str, Any]:
    both = (*left.members, *right.members)
    return {
        "earlier": await queries.earlier(tx, left.members, right.members, but=review.review_id),
        "rejections": await queries.rejections(tx, left.members, right.members),
        "changes": await dossiers.changes(tx, both),
        "decisions": await dossiers.decisions(tx, both),
    }


async def _names(tx: Connection, found: dict[str, Any]) -> dict[str, str]:
    review: Review = found["review"]
    changes: list[ChangeLine] = found["changes"]
    decisions: list[DecisionLine] = found["decisions"]
    earlier: list[Review] = found["earlier"]
    people = {step.operator_id for step in found["steps"]} | {each.operator for each in decisions}
    people |= {each.decided_by or "" for each in (review, *earlier)} | {review.assignee or ""}
    ids = {each.provider for each in changes} | {each.operator for each in decisions} | {review.institution_id or ""}
    ids |= set(providers_of(found["left"], found["right"]))
    return await callers.names(tx, ids) | await operators.names(tx, people)


ROUTES = [show_review]
