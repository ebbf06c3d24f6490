"""Compares persons who were entered without being compared: the worker's part of matching.

Registering for a card identifies by certificate alone, so that a window never waits; a correction, a merge or an
unmerge changes what is known. All of them leave ``compared_at`` empty, and here those persons are compared with
everybody whom the blocking finds, as registration by providers does at once. A sure pair is merged if the cluster check
allows it, what is not sure or not allowed goes to a steward. One worker at a time does it; a crash leaves the person to
be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import MergeConflict, PersonNotFound
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import candidates
from yimatong.empi.linkage import engine as engines
from yimatong.empi.linkage.candidates import Candidate
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.matching.facts import Score, Verdict
from yimatong.empi.merges import pointers, rejections
from yimatong.empi.merges import service as merges
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.waiting import Kind, NewReview
from yimatong.empi.persons import queries as persons
from yimatong.empi.reviews import service as reviews
from yimatong.kit import alarms
from yimatong.kit.arrays import plain
from yimatong.kit.db import Connection, Database, RawConnection, raw
from yimatong.kit.errors import PlatformError, Unavailable

BATCH: Final = 64
"""Persons compared in one go."""
ALARM: Final = "person-not-comparable"
ENGINE: Final = "engine"
_ALONE: Final = "empi.comparing"

_DUE: Final = """
    SELECT mpi, version FROM empi_person WHERE compared_at IS NULL AND state = 'live' ORDER BY created_at LIMIT %s
"""
_DONE: Final = """
    UPDATE empi_person p SET compared_at = %s::timestamptz FROM unnest(%s::uuid[], %s::int[]) AS i (m, v)
    WHERE p.mpi = i.m AND p.version = i.v
"""


class Due(NamedTuple):
    """A person to be compared, in the version that was read: one that changed meanwhile is compared once more."""

    mpi: UUID
    version: int


class Likeness(NamedTuple):
    """Somebody who may be the person, and what the rules say to it."""

    due: Due
    other: UUID
    score: Score
    verdict: Verdict
    rules: int | None


async def compare_due(db: Database, vault: Vault, *, now: datetime, limit: int = BATCH) -> int:
    """Compare up to ``limit`` persons who wait for it, those who wait longest first; return how many."""
    async with db.alone(_ALONE) as alone:
        if not alone:
            return 0
        sealer, blinder = await vault.sealer(), await vault.blinder()
        async with db.read() as connection:
            inside = await raw(connection)
            rows: Sequence[Any] = await (await inside.execute(_DUE, (limit,))).fetchall()
        due = [Due(*row) for row in rows]
        try:
            await _compare(db, due, sealer=sealer, blinder=blinder, now=now)
        except PlatformError:  # one that cannot be opened must not keep the others waiting
            done = [await _compare_one(db, each, sealer=sealer, blinder=blinder, now=now) for each in due]
            return sum(done)
        return len(due)


async def _compare_one(db: Database, due: Due, *, sealer: Sealer, blinder: Blinder, now: datetime) -> bool:
    """Compare one person alone; say whether she is done with, by an alarm if she cannot be opened."""
    try:
        await _compare(db, [due], sealer=sealer, blinder=blinder, now=now)
    except Unavailable:
        return False  # a lock or the database was not to be had: she waits for the next turn
    except PlatformError as error:
        async with db.transaction() as connection:
            await alarms.raise_alarm(connection, kind=ALARM, subject=due.mpi.hex, detail=error.code, now=now)
            await _done(await raw(connection), [due], now=now)
    return True


async def _compare(db: Database, due: Sequence[Due], *, sealer: Sealer, blinder: Blinder, now: datetime) -> None:
    """Compare persons; what follows for each is stored with the mark that she was compared, or not at all.

    Raises:
        SealBroken: a stored statement was edited.
    """
    if not due:
        return
    async with db.read() as connection:
        inside = await raw(connection)
        engine = await engines.active(inside)
        found = await likenesses(inside, due, engine, sealer=sealer, blinder=blinder)
    nothing = [each for each, others in zip(due, found, strict=True) if not others]
    async with db.transaction() as connection:
        await _done(await raw(connection), nothing, now=now)
    for others in found:
        if others:
            async with db.transaction() as connection:
                await _follow(connection, others, sealer=sealer, blinder=blinder, now=now)


async def likenesses(
    connection: RawConnection, due: Sequence[Due], engine: Engine, *, sealer: Sealer, blinder: Blinder
) -> list[list[Likeness]]:
    """Return, for each person, those whom the rules would link with her or show to a steward, the likeliest first.

    Raises:
        SealBroken: a stored statement was edited.
    """
    said = await golden.contributions(connection, [each.mpi for each in due], sealer=sealer)
    records = [(index, candidates.facts_of(one)) for index, statements in enumerate(said) for one in statements]
    asked = [(facts, candidates.block_tokens(blinder, facts)) for _, facts in records]
    ranked = await candidates.find(
        connection, asked, sealer=sealer, engine=engine, but=[due[index].mpi for index, _ in records]
    )
    best: list[dict[UUID, Score]] = [{} for _ in due]
    for (index, _), found in zip(records, ranked, strict=True):
        for each in found:
            best[index][each.mpi] = _joined(best[index].get(each.mpi), each)
    return [_judged(one, scores, engine) for one, scores in zip(due, best, strict=True)]


def _joined(before: Score | None, each: Candidate) -> Score:
    """Return the better of two scores of one pair of persons, with the guards of both."""
    if before is None:
        return each.score
    better = max(before, each.score, key=lambda score: score.weight)
    return msgspec.structs.replace(better, guards=tuple(dict.fromkeys((*before.guards, *each.score.guards))))


def _judged(due: Due, scores: dict[UUID, Score], engine: Engine) -> list[Likeness]:
    """Return who is no stranger. Of several who all would do none is linked: a steward says which."""
    ranked = sorted(scores.items(), key=lambda item: (-item[1].weight, item[0]))
    found = [
        Likeness(due, mpi, score, verdict, engine.version)
        for mpi, score in ranked
        if (verdict := engine.verdict(score)) != "apart"
    ]
    if sum(each.score.weight >= engine.thresholds.link for each in found) > 1:
        return [each._replace(verdict="review") for each in found]
    return found


async def _follow(
    connection: Connection, others: Sequence[Likeness], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    """Merge, or ask a steward; then the person was compared. A merge that is refused has written nothing.

    One who changed since she was read is left as she is: she waits to be compared again.
    """
    both = (each.other for each in others if each.verdict == "link")
    rows = await pointers.lock(connection, others[0].due.mpi, *both)
    today = rows[others[0].due.mpi]
    if Due(today.mpi, today.version) != others[0].due:
        return
    for each in others:
        if each.verdict == "review":
            await _ask(connection, each, "probable", "likeness", sealer=sealer, blinder=blinder, now=now)
            continue
        try:
            await merges.merge_pair(
                connection,
                left=each.due.mpi,
                right=each.other,
                decision=NewDecision("merge", "probability", each.due.mpi, ENGINE).scored(
                    each.score, rule_version=each.rules
                ),
                sealer=sealer,
                blinder=blinder,
                now=now,
            )
        except MergeConflict as conflict:
            because = conflict.audit.partition(",")[0]
            if because == "cancelled":
                continue  # she went meanwhile, and no steward may pass over that
            await _ask(connection, each, "cluster_conflict", because, sealer=sealer, blinder=blinder, now=now)
        except PersonNotFound:
            continue  # she went meanwhile; nothing to compare with
    await _done(await raw(connection), [others[0].due], now=now)


async def _ask(
    connection: Connection,
    each: Likeness,
    kind: Kind,
    because: str,
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    left = rejections.facts_of(await persons.read(connection, sealer, each.due.mpi))
    right = rejections.facts_of(await persons.read(connection, sealer, each.other))
    wanted = NewReview(
        each.due.mpi,
        each.other,
        kind,
        weight=each.score.weight,
        probability=each.score.probability,
        evidence=each.score.evidence,
        guards=each.score.guards,
        rule_version=each.rules,
        because=because,
        digests=rejections.digests(blinder, left, right),
    )
    await reviews.open_many(await raw(connection), [wanted], now)


async def _done(connection: RawConnection, due: Sequence[Due], *, now: datetime) -> None:
    if due:
        mpis, versions = zip(*due, strict=True)
        await connection.execute(_DONE, (now, plain(mpis), plain(versions)))
