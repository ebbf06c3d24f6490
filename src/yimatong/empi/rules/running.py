"""Runs of a rule set over everybody: tried, it only counts what would change; applied, it sets it going.

Every live person's golden record is unsealed in a stream and linked in bulk under the rules; standing merges by the
engine are scored again by what was said of both sides. Applying leaves the doing to ``registration.comparing``: whoever
would be merged or shown to a steward is compared again, one by one, as if entered now. So a crash, or rules that change
once more meanwhile, does nothing twice and nothing by the wrong rules. Merges that the rules would not make are not
undone by a machine: an alarm sends a steward to the list.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import RuleSetNotFound
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import bulk, candidates, duck, preparing
from yimatong.empi.linkage import engine as engines
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.linkage.persons import Persons
from yimatong.empi.matching.comparators import Prepared
from yimatong.empi.rules import queries
from yimatong.empi.rules.differences import Scored, Standing, difference, ordered
from yimatong.empi.rules.schemas import Difference, Run
from yimatong.kit import alarms
from yimatong.kit.arrays import plain
from yimatong.kit.db import Database, RawConnection, raw
from yimatong.kit.errors import PlatformError

ALARM: Final = "matching-rules-split"
"""Rules were applied that would not make some merges that stand."""

MEMORY_MB: Final = 1600
_CHUNK: Final = 1000
_PROCESSES: Final = 2

_CLAIM = (
    "UPDATE empi_dry_run SET state = 'running' WHERE run_id = %s AND state IN ('waiting', 'running') RETURNING run_id"
)
_SAY = "UPDATE empi_dry_run SET stage = %s, rows_done = %s, rows_total = %s WHERE run_id = %s"
_END = "UPDATE empi_dry_run SET state = %s, result = %s::jsonb, stage = %s, ended_at = %s WHERE run_id = %s"
_WAITING = """
    SELECT coalesce(l.current_mpi, l.mpi), coalesce(r.current_mpi, r.mpi)
    FROM empi_review v JOIN empi_person l ON l.mpi = v.left_mpi JOIN empi_person r ON r.mpi = v.right_mpi
    WHERE v.state IN ('open', 'asked', 'later')
"""
_REJECTED = """
    SELECT coalesce(l.current_mpi, l.mpi), coalesce(r.current_mpi, r.mpi)
    FROM empi_rejected_pair v JOIN empi_person l ON l.mpi = v.left_mpi JOIN empi_person r ON r.mpi = v.right_mpi
    WHERE v.lifted_at IS NULL
"""
_BY_ENGINE = """
    SELECT m.retired_mpi, m.survivor_mpi, p.current_mpi
    FROM empi_merge m JOIN empi_decision d ON d.decision_id = m.decision_id JOIN empi_person p ON p.mpi = m.retired_mpi
    WHERE m.undone_at IS NULL AND d.method = 'probability' AND p.current_mpi IS NOT NULL ORDER BY m.merge_id
"""
_AGAIN = "UPDATE empi_person SET compared_at = NULL WHERE mpi = ANY(%s::uuid[]) AND state = 'live'"


async def run(db: Database, vault: Vault, run_id: str, *, database_url: str, now: datetime) -> Run:
    """Do a run from its start, whether or not one was begun before, and return how it ended.

    Raises:
        RuleRunNotFound: there is none. LinkageMemory: it needs more memory than it may have; it is marked failed.
    """
    async with db.transaction() as connection:
        wanted = await queries.run(connection, run_id)
        inside = await raw(connection)
        if (await (await inside.execute(_CLAIM, (run_id,))).fetchone()) is None:
            return wanted
    try:
        found, touched = await _tried(db, vault, wanted, database_url=database_url)
        if wanted.kind == "apply":
            await _apply(db, wanted, found, touched, now=now)
    except PlatformError as error:
        await _end(db, run_id, "failed", None, f"{error.code} {error.text('zh')}", now=now)
        raise
    await _end(db, run_id, "done", found, "", now=now)
    async with db.read() as connection:
        return await queries.run(connection, run_id)


async def _tried(db: Database, vault: Vault, wanted: Run, *, database_url: str) -> tuple[Difference, list[UUID]]:
    """Return what would change, and every person whom it touches."""
    sealer = await vault.sealer()
    async with db.read() as connection:
        inside = await raw(connection)
        engine = await engines.of_version(inside, wanted.rule_version)
        if engine is None:
            raise RuleSetNotFound(version=wanted.rule_version)
        waiting = {ordered(*row) for row in await _rows(inside, _WAITING)}
        rejected = {ordered(*row) for row in await _rows(inside, _REJECTED)}
        by_engine = await _rows(inside, _BY_ENGINE)
    today = {mpi: person for retired, survivor, person in by_engine for mpi in (retired, survivor)}
    standing = Standing(
        today=today,
        waiting=waiting,
        rejected=rejected,
        by_engine=[(retired, survivor) for retired, survivor, _ in by_engine],
    )
    own = await _own(db, by_engine, engine, sealer=sealer)

    def whole() -> tuple[Difference, list[UUID]]:
        with psycopg.connect(database_url, autocommit=True) as connection:
            return _linked(connection, wanted.run_id, engine=engine, standing=standing, own=own, sealer=sealer)

    return await asyncio.to_thread(whole)


def _linked(
    connection: psycopg.Connection[Any],
    run_id: str,
    *,
    engine: Engine,
    standing: Standing,
    own: Sequence[Scored],
    sealer: Sealer,
) -> tuple[Difference, list[UUID]]:
    persons = Persons(connection, sealer)
    total = persons.count()

    def say(stage: str) -> None:
        connection.execute(_SAY, (stage, len(persons.mpis), total, run_id))

    def pages() -> Iterator[Sequence[Sequence[Any]]]:
        for page in persons.batches():
            say("prepare")
            yield page

    model = engine.scorer.model
    with duck.opened(memory_mb=MEMORY_MB) as duckdb:
        processes = min(_PROCESSES, os.cpu_count() or 1)
        preparing.load(duckdb, model.settings, pages(), rows=total, processes=processes)
        bulk.link(duckdb, model, engine.thresholds, say=say)
        say("compare")
        rows = duckdb.execute("SELECT l, r, weight, guarded FROM scored").fetchnumpy()
    mpis = persons.mpis
    scored: list[Scored] = [
        (mpis[left], mpis[right], weight, ("guarded",) if guarded else ())
        for left, right, weight, guarded in zip(
            rows["l"].tolist(), rows["r"].tolist(), rows["weight"].tolist(), rows["guarded"].tolist(), strict=True
        )
    ]
    found = difference([*own, *scored], standing, engine.thresholds, persons=total)
    touched = {left for left, right, _, _ in scored if not standing.rejected(ordered(left, right))}
    return found, sorted(touched)


async def _own(
    db: Database, merged: Sequence[tuple[UUID, UUID, UUID]], engine: Engine, *, sealer: Sealer
) -> list[Scored]:
    """Score the two sides of every merge by the engine again, by what was entered for each."""
    found: list[Scored] = []
    for start in range(0, len(merged), _CHUNK):
        part = merged[start : start + _CHUNK]
        persons = sorted({person for _, _, person in part})
        async with db.read() as connection:
            said = await golden.contributions(await raw(connection), persons, sealer=sealer)
        sides: dict[UUID, list[Prepared]] = {}
        for one in (each for statements in said for each in statements):
            sides.setdefault(one.mpi, []).append(engine.scorer.prepare(candidates.facts_of(one)))
        for left, right, _ in part:
            weights = [
                engine.scorer.weight(one, other) for one in sides.get(left, ()) for other in sides.get(right, ())
            ]
            if weights:
                found.append((left, right, max(weights), ()))
    return found


async def _apply(db: Database, wanted: Run, found: Difference, touched: Sequence[UUID], *, now: datetime) -> None:
    for start in range(0, len(touched), _CHUNK):
        async with db.transaction() as connection:
            inside = await raw(connection)
            await inside.execute(_AGAIN, (plain(touched[start : start + _CHUNK]),))
            await inside.execute(_SAY, ("apply", min(start + _CHUNK, len(touched)), len(touched), wanted.run_id))
    if found.counts["split"]:
        async with db.transaction() as connection:
            detail = f"v{wanted.rule_version}: {found.counts['split']}"
            await alarms.raise_alarm(connection, kind=ALARM, subject=wanted.run_id, detail=detail, now=now)


async def _end(db: Database, run_id: str, state: str, found: Difference | None, stage: str, *, now: datetime) -> None:
    result = None if found is None else msgspec.json.encode(found).decode()
    async with db.transaction() as connection:
        await (await raw(connection)).execute(_END, (state, result, stage[:200], now, run_id))


async def _rows(connection: RawConnection, statement: str) -> list[Any]:
    rows: list[Any] = await (await connection.execute(statement)).fetchall()
    return rows
