"""Keeps what a run found: replaces the day, moves late rows on the neighbouring days, opens and verifies discrepancies.

One transaction, one run of an account at a time. Everything is derived from ``reconciliation_row``, so reconciling a
day again gives the same books.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, and_, delete, insert, or_, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.kit.db import Connection
from yimatong.reconciliation.engine import check_conserved
from yimatong.reconciliation.matching import (
    CHANNEL_ONLY,
    DIFFERENCES,
    MATCHED,
    PLATFORM_ONLY,
    Finding,
    Movement,
    Pooled,
    Tally,
    pair_neighbours,
)
from yimatong.reconciliation.models import row, run


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """A business day of one merchant account, and the bill it was reconciled with."""

    channel: str
    account_id: str
    institution_id: str
    bill_date: date
    bill_sha256: str = ""
    bill_sm3: str = ""
    bill_bytes: int = 0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the books after a run."""

    version: int
    tallies: list[Tally]
    findings: list[Finding]


_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


async def keep(
    connection: Connection,
    day: Day,
    *,
    tallies: Sequence[Tally],
    findings: Sequence[Finding],
    started_at: datetime,
    now: datetime,
) -> Kept:
    """Replace a day's result and settle its neighbours.

    Raises:
        NotConserved: rows would be lost or counted twice; the transaction must be given up.
    """
    await connection.execute(_LOCK, {"key": f"reconciliation:{day.channel}/{day.account_id}"})
    pool = await _take_pool(connection, day)
    mine, theirs = pair_neighbours(day.bill_date, findings, [pooled for pooled, _ in pool])
    await connection.execute(delete(row).where(_of(day), row.c.bill_date == day.bill_date))
    changed = await _move(connection, day, theirs, {_key(old.day, old.finding): kind for old, kind in pool})
    await _insert(connection, day, [(day.bill_date, finding) for finding in mine])
    totals = _totals(tallies)
    version = await _put_run(connection, day, tallies, started_at=started_at, now=now)
    kept = await _recount(connection, day, day.bill_date, totals)
    for neighbour in changed:
        await _recount(connection, day, neighbour, None)
    await _sync_discrepancies(connection, day, now=now)
    return Kept(version=version, tallies=kept, findings=mine)


async def note_failure(connection: Connection, day: Day, *, cause: str, started_at: datetime, now: datetime) -> None:
    """Write down that a day could not be reconciled; an older result stays as it is."""
    values = _identity(day) | {
        "institution_id": day.institution_id,
        "version": 0,
        "state": "failed",
        "cause": cause,
        "tallies": [],
        "started_at": started_at,
        "finished_at": now,
    }
    await connection.execute(
        upsert(run)
        .values(**values)
        .on_conflict_do_update(
            index_elements=["channel", "account_id", "bill_date"], set_={"cause": cause, "finished_at": now}
        )
    )


async def _take_pool(connection: Connection, day: Day) -> list[tuple[Pooled, tuple[str, date | None]]]:
    """Return the neighbours' rows without partner, as they would be if this day had never been reconciled."""
    neighbours = [day.bill_date - timedelta(days=1), day.bill_date + timedelta(days=1)]
    found = await connection.execute(
        select(row).where(
            _of(day),
            row.c.bill_date.in_(neighbours),
            or_(
                and_(row.c.kind.in_([PLATFORM_ONLY, CHANNEL_ONLY]), row.c.partner_day.is_(None)),
                row.c.partner_day == day.bill_date,
            ),
        )
    )
    return [(Pooled(day=each.bill_date, finding=_alone(each)), (each.kind, each.partner_day)) for each in found]


def _alone(found: Row[Any]) -> Finding:
    platform = found.side == "platform"
    return Finding(
        klass=PLATFORM_ONLY if platform else CHANNEL_ONLY,
        kind=found.movement,
        number=found.number,
        rank=found.rank,
        platform=_side(found, "platform") if platform else None,
        bill=None if platform else _side(found, "bill"),
        bill_line=found.bill_line,
    )


def _side(found: Row[Any], side: str) -> Movement:
    values = found._mapping  # noqa: SLF001 -- SQLAlchemy's documented accessor
    return Movement(
        kind=found.movement,
        number=found.number,
        channel_no=values[f"{side}_channel_no"],
        amount_fen=values[f"{side}_fen"],
        state=values[f"{side}_state"],
        at=values[f"{side}_at"],
        fee=values[f"{side}_fee"],
        fee_due=values["bill_fee_due"] if side == "bill" else None,
    )


_Key = tuple[date, str, str, str, int]


def _key(day: date, finding: Finding) -> _Key:
    return day, finding.kind, finding.number, _counted(finding), finding.rank


def _counted(finding: Finding) -> str:
    """Return whose row its own day counts: of a pair across two days, the bill's is the one that has a line."""
    if finding.partner_day is not None:
        return "platform" if finding.bill_line is None else "bill"
    if finding.platform is not None and finding.bill is not None:
        return "both"
    return "platform" if finding.platform is not None else "bill"


async def _move(
    connection: Connection, day: Day, theirs: Iterable[Pooled], before: dict[_Key, tuple[str, date | None]]
) -> set[date]:
    """Write the neighbours' rows that became something else; return the days on which there were any."""
    moved = [
        pooled
        for pooled in theirs
        if before[_key(pooled.day, pooled.finding)] != (pooled.finding.klass, pooled.finding.partner_day)
    ]
    if moved:
        keys = [_key(pooled.day, pooled.finding) for pooled in moved]
        key = tuple_(row.c.bill_date, row.c.movement, row.c.number, row.c.side, row.c.rank)
        for start in range(0, len(keys), 1000):
            await connection.execute(delete(row).where(_of(day), key.in_(keys[start : start + 1000])))
        await _insert(connection, day, [(pooled.day, pooled.finding) for pooled in moved])
    return {pooled.day for pooled in moved}


async def _insert(connection: Connection, day: Day, found: Sequence[tuple[date, Finding]]) -> None:
    if found:
        await connection.execute(insert(row), [_values(day, own_day, finding) for own_day, finding in found])


def _values(day: Day, own_day: date, finding: Finding) -> dict[str, object]:
    values: dict[str, object] = {
        "channel": day.channel,
        "account_id": day.account_id,
        "bill_date": own_day,
        "movement": finding.kind,
        "number": finding.number,
        "side": _counted(finding),
        "rank": finding.rank,
        "kind": finding.klass,
        "partner_day": finding.partner_day,
        "bill_line": finding.bill_line,
        "bill_fee_due": finding.bill.fee_due if finding.bill else None,
    }
    for side, said in (("platform", finding.platform), ("bill", finding.bill)):
        values[f"{side}_fen"] = said.amount_fen if said else None
        values[f"{side}_state"] = said.state if said else None
        values[f"{side}_fee"] = said.fee if said else None
        values[f"{side}_at"] = said.at if said else None
        values[f"{side}_channel_no"] = said.channel_no if said else None
    return values


async def _put_run(
    connection: Connection, day: Day, tallies: Sequence[Tally], *, started_at: datetime, now: datetime
) -> int:
    values: dict[str, object] = {
        "institution_id": day.institution_id,
        "state": "done" if tallies or day.bill_bytes else "empty",
        "cause": "",
        "tallies": [msgspec.to_builtins(tally) for tally in tallies],
        "bill_sha256": day.bill_sha256,
        "bill_sm3": day.bill_sm3,
        "bill_bytes": day.bill_bytes,
        "started_at": started_at,
        "finished_at": now,
    }
    done = await connection.execute(
        upsert(run)
        .values(**_identity(day), version=1, **values)
        .on_conflict_do_update(
            index_elements=["channel", "account_id", "bill_date"], set_={**values, "version": run.c.version + 1}
        )
        .returning(run.c.version)
    )
    return int(done.scalar_one())


_COUNT = text(
    """
    SELECT kind, movement,
           count(*) FILTER (WHERE side <> 'bill'), coalesce(sum(platform_fen) FILTER (WHERE side <> 'bill'), 0),
           count(*) FILTER (WHERE side <> 'platform'), coalesce(sum(bill_fen) FILTER (WHERE side <> 'platform'), 0)
    FROM reconciliation_row WHERE channel = :channel AND account_id = :account_id AND bill_date = :bill_date
    GROUP BY kind, movement ORDER BY kind, movement
    """
)
_SET_TALLIES = text(
    """
    UPDATE reconciliation_run SET tallies = CAST(:tallies AS jsonb)
    WHERE channel = :channel AND account_id = :account_id AND bill_date = :bill_date
    """
)


async def _recount(
    connection: Connection, day: Day, own_day: date, totals: dict[str, dict[str, tuple[int, int]]] | None
) -> list[Tally]:
    """Count a day's classes from its rows and hold them against what went in (by default what its tallies say)."""
    where = {"channel": day.channel, "account_id": day.account_id, "bill_date": own_day}
    stored = await connection.execute(
        select(run.c.tallies).where(*(run.c[name] == value for name, value in where.items()))
    )
    before = msgspec.convert(stored.scalar_one(), type=list[Tally])
    counted = await connection.execute(_COUNT, where)
    names = ("klass", "kind", "platform_rows", "platform_fen", "bill_rows", "bill_fen")
    tallies = [tally for tally in before if tally.klass == MATCHED]
    tallies += [Tally(**dict(zip(names, (*each[:2], *map(int, each[2:])), strict=True))) for each in counted]
    check_conserved(tallies, totals if totals is not None else _totals(before))
    await connection.execute(_SET_TALLIES, {**where, "tallies": msgspec.json.encode(tallies).decode()})
    return tallies


def _totals(tallies: Iterable[Tally]) -> dict[str, dict[str, tuple[int, int]]]:
    totals: dict[str, dict[str, tuple[int, int]]] = {"platform": {}, "bill": {}}
    for tally in tallies:
        sides = (("platform", tally.platform_rows, tally.platform_fen), ("bill", tally.bill_rows, tally.bill_fen))
        for side, rows, fen in sides:
            if rows:
                known = totals[side].get(tally.kind, (0, 0))
                totals[side][tally.kind] = (known[0] + rows, known[1] + fen)
    return totals


_SIDES = (
    "platform_fen, bill_fen, platform_state, bill_state, platform_fee, bill_fee, bill_fee_due, platform_at, bill_at,"
    " platform_channel_no, bill_channel_no"
)
_OPEN = text(
    f"""
    INSERT INTO reconciliation_discrepancy
        (discrepancy_id, channel, account_id, institution_id, kind, movement, number, bill_date, state,
         difference_fen, {_SIDES}, opened_at, updated_at)
    SELECT DISTINCT ON (kind, movement, number)
        'dsc_' || replace(gen_random_uuid()::text, '-', ''), channel, account_id, :institution_id, kind, movement,
        number, bill_date, 'open',
        (coalesce(bill_fen, 0) - coalesce(platform_fen, 0)) * CASE movement WHEN 'refund' THEN -1 ELSE 1 END,
        {_SIDES}, :now, :now
    FROM reconciliation_row
    WHERE channel = :channel AND account_id = :account_id AND bill_date BETWEEN :first AND :last AND kind = ANY(:kinds)
    ORDER BY kind, movement, number, bill_date, side, rank
    ON CONFLICT (channel, account_id, kind, movement, number) DO UPDATE SET
        state = CASE WHEN reconciliation_discrepancy.state IN ('verified', 'closed') THEN 'open'
                     ELSE reconciliation_discrepancy.state END,
        bill_date = excluded.bill_date, difference_fen = excluded.difference_fen,
        {", ".join(f"{name.strip()} = excluded.{name.strip()}" for name in _SIDES.split(","))},
        updated_at = excluded.updated_at
    """  # noqa: S608 -- column names of this module
)
_VERIFY = text(
    """
    UPDATE reconciliation_discrepancy d SET state = 'verified', updated_at = :now
    WHERE channel = :channel AND account_id = :account_id AND bill_date BETWEEN :first AND :last
      AND state NOT IN ('verified', 'closed')
      AND NOT EXISTS (
          SELECT 1 FROM reconciliation_row r
          WHERE r.channel = d.channel AND r.account_id = d.account_id AND r.kind = d.kind
            AND r.movement = d.movement AND r.number = d.number AND r.bill_date BETWEEN :before AND :after)
    """
)


async def _sync_discrepancies(connection: Connection, day: Day, *, now: datetime) -> None:
    """Open what the rows of these three days show, verify what they no longer show."""
    one = timedelta(days=1)
    common = {
        "channel": day.channel,
        "account_id": day.account_id,
        "first": day.bill_date - one,
        "last": day.bill_date + one,
        "now": now,
    }
    await connection.execute(_OPEN, {**common, "institution_id": day.institution_id, "kinds": list(DIFFERENCES)})
    reach = {"before": day.bill_date - 2 * one, "after": day.bill_date + 2 * one}
    await connection.execute(_VERIFY, {**common, **reach})


def _identity(day: Day) -> dict[str, object]:
    return {"channel": day.channel, "account_id": day.account_id, "bill_date": day.bill_date}


def _of(day: Day) -> Any:
    return and_(row.c.channel == day.channel, row.c.account_id == day.account_id)
