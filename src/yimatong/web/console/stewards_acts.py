"""What a steward does: take, judge, put off, ask, note, take back. One request, one act; then the next review.

The page names the conflicts that it showed; passing over them needs a tick, so that no single key merges two persons
with two valid certificates.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, get_args

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.access import callers
from yimatong.empi.dossiers import queries as dossiers
from yimatong.empi.errors import SourceNotAskable
from yimatong.empi.merges.rules import TWINS, Conflict
from yimatong.empi.reviews import queries, service
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection
from yimatong.web.console import stewards
from yimatong.web.console.stewards_review import ReviewInPath
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_NOTE_MAX: Final = 500
_ANSWER_DAYS: Final = 7
_WORK_STARTS: Final = timedelta(hours=8)
OUTCOMES: Final = ("merged", "rejected", "twins", "asked", "tomorrow", "week", "noted")
_WAITS: Final = {"tomorrow": 1, "week": 7}
VerbInPath = Annotated[str, PathParameter(pattern="^(take|decide|undo)(?!\\n)$")]


@post(
    f"{stewards.PATH}/{{review_id:str}}/{{verb:str}}",
    session="console",
    permission=stewards.PERMISSION,
    status_code=200,
    include_in_schema=False,
)
async def act(review_id: ReviewInPath, verb: VerbInPath, page: NamedDependency[Page]) -> Response[None]:
    """Do one thing with a review and lead on."""
    wanted = stewards.wanted_of(page)
    if verb == "take":
        await page.write(lambda tx: _take(page, tx, review_id))
        return page.go(stewards.place_of(f"{stewards.PATH}/{review_id}", wanted))
    if verb == "undo":
        await _undo(page, review_id)
        return page.go(stewards.place_of(f"{stewards.PATH}/{review_id}", wanted))
    form = {name: str(value).strip() for name, value in (await page.request.form()).items()}
    outcome, note = form.get("outcome", ""), form.get("note", "")
    if outcome not in OUTCOMES or len(note) > _NOTE_MAX or not note.isprintable():
        raise FilterInvalid(detail="outcome")
    await _decide(page, review_id, outcome, note, form)
    if outcome == "noted":
        return page.go(stewards.place_of(f"{stewards.PATH}/{review_id}", wanted))
    return page.go(stewards.place_of(f"{stewards.PATH}/next", wanted, but=review_id, last=review_id))


async def _take(page: Page, tx: Connection, review_id: str) -> None:
    await queries.read(tx, review_id, scope=page.scope)
    await service.take(tx, review_id, operator=page.operator.operator_id, now=page.now, over=True)


async def _decide(page: Page, review_id: str, outcome: str, note: str, form: Mapping[str, str]) -> None:
    sealer, blinder = await page.vault.sealer(), await page.vault.blinder()
    operator, now = page.operator.operator_id, page.now
    asked = await _askable(page, review_id, form.get("ask", "")) if outcome == "asked" else None

    async def verb(tx: Connection) -> None:
        review = await queries.read(tx, review_id, scope=page.scope)
        if note and outcome != "asked":
            await service.note(tx, review_id, note, operator=operator, sealer=sealer, now=now)
        if outcome == "noted":
            return
        if review.assignee != operator:
            over = not queries.is_held(review, by_another_than=operator, now=now)
            await service.take(tx, review_id, operator=operator, now=now, over=over)
        if asked is not None:
            due_at = _morning(now, _ANSWER_DAYS)
            await service.ask(
                tx, review_id, **asked, question=note, due_at=due_at, operator=operator, sealer=sealer, now=now
            )
        elif outcome in _WAITS:
            await service.later(tx, review_id, due_at=_morning(now, _WAITS[outcome]), operator=operator, now=now)
        else:
            await service.decide(
                tx,
                review_id,
                "merged" if outcome == "merged" else "rejected",
                operator=operator,
                sealer=sealer,
                blinder=blinder,
                now=now,
                reason=TWINS if outcome == "twins" else "",
                over=seen(form),
                checked_share=page.parts.settings.double_check_share,
            )

    await page.write(verb)


def seen(form: Mapping[str, str]) -> list[Conflict]:
    """Return the conflicts that the steward ticked as seen; unknown ones are dropped, for the verb to refuse."""
    named = form.get("seen", "").split("|")
    known: tuple[Conflict, ...] = get_args(Conflict)
    return [each for each in known if each in named]


def _morning(now: datetime, days: int) -> datetime:
    """Return eight o'clock in the morning, Beijing time, so many days from today."""
    start, _ = day_bounds(business_date(now) + timedelta(days=days))
    return start + _WORK_STARTS


async def _askable(page: Page, review_id: str, provider: str) -> dict[str, Any]:
    """Return whom to ask and how she is called there; the reference is made before the transaction that writes.

    Raises:
        SourceNotAskable: nobody's record, or one of an app, which has no papers to look at.
    """
    sealer = await page.vault.sealer()

    async def look(tx: Connection) -> dict[str, Any]:
        review = await queries.read(tx, review_id, scope=page.scope)
        sides = await dossiers.sides(tx, sealer, review.left_mpi, review.right_mpi)
        said = {each.provider: record.mpi for record in sides for each in record.statements}
        places = await callers.institutions_of(tx, said)
        if provider not in places:
            raise SourceNotAskable
        own = [each for each, place in places.items() if place == places[provider]]
        return {"institution_id": places[provider], "providers": own, "mpi": said[provider]}

    async with page.db.read() as tx:
        found = await look(tx)
    mpi = found.pop("mpi")
    return found | {"reference": await page.vault.mpi_ref(found["institution_id"], mpi.hex)}


async def _undo(page: Page, review_id: str) -> None:
    """Take the last decision back; what was put off is due at once."""
    sealer, blinder = await page.vault.sealer(), await page.vault.blinder()
    operator, now = page.operator.operator_id, page.now

    async def verb(tx: Connection) -> None:
        review = await queries.read(tx, review_id, scope=page.scope)
        if review.state == "later":
            await service.later(tx, review_id, due_at=now, operator=operator, now=now)
        else:
            await service.undo(tx, review_id, operator=operator, sealer=sealer, blinder=blinder, now=now)

    await page.write(verb)


ROUTES = [act]
