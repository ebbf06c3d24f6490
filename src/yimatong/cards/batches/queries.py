"""Every SELECT on batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, func, select, text

from yimatong.access.caller import PLATFORM, Scope
from yimatong.cards.batches.rows import UNKNOWN_REGION
from yimatong.cards.batches.schemas import BadRow, BatchView, Checked, Coverage
from yimatong.cards.errors import BatchNotFound
from yimatong.cards.models import batch, batch_chunk
from yimatong.crypto.sealing import Sealer
from yimatong.kit.db import Connection
from yimatong.standards import regions

EVERYTHING: Final = PLATFORM


async def find(connection: Connection, batch_id: str, *, scope: Scope, for_update: bool = False) -> Row[Any]:
    """Return a batch's row.

    Raises:
        BatchNotFound: none, or another institution's.
    """
    query = select(batch).where(batch.c.batch_id == batch_id)
    if not scope.all_rows:
        query = query.where(batch.c.institution_id == scope.institution_id)
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise BatchNotFound
    return row


async def read(connection: Connection, batch_id: str, *, scope: Scope) -> BatchView:
    """Return a batch and how far it is; errors as ``find``."""
    row = await find(connection, batch_id, scope=scope)
    query = select(
        func.coalesce(func.sum(batch_chunk.c.rows).filter(batch_chunk.c.state == "done"), 0),
        func.coalesce(func.sum(batch_chunk.c.opened), 0),
        func.coalesce(func.sum(batch_chunk.c.known), 0),
        func.coalesce(func.sum(batch_chunk.c.bad), 0),
    ).where(batch_chunk.c.batch_id == batch_id)
    done, opened, known, bad = (int(each) for each in (await connection.execute(query)).one())
    reasons: Counter[str] = Counter()
    counted = select(batch_chunk.c.reasons).where(batch_chunk.c.batch_id == batch_id, batch_chunk.c.bad > 0)
    for each in await connection.execute(counted):
        reasons.update(each.reasons)
    return BatchView(
        **{name: getattr(row, name) for name in _PLAIN},
        columns=row.columns["headings"],
        unknown=tuple(row.columns["unknown"]),
        done=done,
        opened=opened,
        known=known,
        bad=bad,
        reasons=dict(reasons.most_common()),
        checked=None if row.checked is None else msgspec.convert(row.checked, Checked),
    )


_PLAIN: Final = (
    *("batch_id", "kind", "state", "file_name", "encoding", "institution_id", "tag", "rows"),
    *("made_by", "made_at", "started_at", "changed_at"),
)


async def newest(connection: Connection, *, scope: Scope, limit: int = 50, before: str = "") -> list[Row[Any]]:
    """Return batches, newest first; ``before`` is the id that the page before ended with."""
    query = select(batch).order_by(batch.c.batch_id.desc()).limit(limit)
    if before:
        query = query.where(batch.c.batch_id < before)
    if not scope.all_rows:
        query = query.where(batch.c.institution_id == scope.institution_id)
    return list(await connection.execute(query))


async def with_refused(connection: Connection, *, scope: Scope, limit: int = 200) -> list[Row[Any]]:
    """Return the batches whose refused rows are still kept, newest first, and how many each has (``bad``)."""
    bad = func.sum(batch_chunk.c.bad).label("bad")
    query = (
        select(batch.c.batch_id, batch.c.kind, batch.c.file_name, batch.c.institution_id, batch.c.made_at, bad)
        .join(batch_chunk, batch_chunk.c.batch_id == batch.c.batch_id)
        .where(batch_chunk.c.bad_sealed.is_not(None))
        .group_by(batch.c.batch_id)
        .order_by(batch.c.batch_id.desc())
        .limit(limit)
    )
    if not scope.all_rows:
        query = query.where(batch.c.institution_id == scope.institution_id)
    return list(await connection.execute(query))


async def staged(connection: Connection, batch_id: str) -> list[int]:
    """Return the chunks that are not done, in order."""
    query = select(batch_chunk.c.seq).where(batch_chunk.c.batch_id == batch_id, batch_chunk.c.state == "staged")
    return [row.seq for row in await connection.execute(query.order_by(batch_chunk.c.seq))]


async def sealed_rows(connection: Connection, batch_id: str, seq: int) -> bytes | None:
    """Return the sealed rows of a chunk, None when it is done."""
    query = select(batch_chunk.c.sealed).where(batch_chunk.c.batch_id == batch_id, batch_chunk.c.seq == seq)
    found: bytes | None = (await connection.execute(query)).scalar_one_or_none()
    return found


_bad = msgspec.json.Decoder(list[BadRow])


async def bad_rows(
    connection: Connection, sealer: Sealer, batch_id: str, *, scope: Scope, limit: int = 1_000_000
) -> Sequence[BadRow]:
    """Return the refused rows of a batch by row number, name and number masked; errors as ``find``."""
    await find(connection, batch_id, scope=scope)
    query = (
        select(batch_chunk.c.seq, batch_chunk.c.bad_sealed)
        .where(batch_chunk.c.batch_id == batch_id, batch_chunk.c.bad_sealed.is_not(None))
        .order_by(batch_chunk.c.seq)
    )
    found: list[BadRow] = []
    for row in await connection.execute(query):
        found += _bad.decode(sealer.unseal(row.bad_sealed, bad_aad(batch_id, row.seq)))
        if len(found) >= limit:
            break
    return sorted(found, key=lambda row: row.row)[:limit]  # repeated rows stand in the last chunks


def bad_aad(batch_id: str, seq: int) -> bytes:
    """Bind the sealed refused rows to their chunk."""
    return f"cards_batch_chunk:bad:{batch_id}:{seq}".encode()


_COVERAGE = text(
    """
    SELECT region_code, sum(made)::int AS made, sum(used)::int AS used, sum(bad)::int AS bad
    FROM (SELECT t.region_code, 1 AS made, 0 AS bad,
                 (EXISTS (SELECT 1 FROM cards_code_record r
                          WHERE r.vuid = t.vuid AND r.event = 'verified' AND r.result = 'ok'))::int AS used
          FROM cards_tag t WHERE t.tag = :tag AND t.until IS NULL
          UNION ALL
          SELECT b.key, 0, b.value::int, 0 FROM cards_batch_chunk c
          JOIN cards_batch a USING (batch_id), jsonb_each_text(c.bad_regions) b
          WHERE a.tag = :tag AND c.bad > 0) x
    GROUP BY region_code ORDER BY region_code
    """
)


async def tags(connection: Connection) -> list[str]:
    """Return every tag that a list was given."""
    query = select(batch.c.tag).where(batch.c.tag.is_not(None)).distinct().order_by(batch.c.tag)
    return [row.tag for row in await connection.execute(query)]


async def coverage(connection: Connection, tag: str) -> list[Coverage]:
    """Return each county of the lists with this tag: listed, card made, used at least once, refused."""
    return [
        Coverage(
            region_code=row.region_code,
            region=region_name(row.region_code),
            listed=row.made + row.bad,
            made=row.made,
            used=row.used,
            bad=row.bad,
        )
        for row in await connection.execute(_COVERAGE, {"tag": tag})
    ]


def region_name(code: str) -> str:
    """Return the name of a county as far as the table of GB/T 2260 has it."""
    return "未注明" if code == UNKNOWN_REGION else regions.region_name(code)
