"""Verbs of batches: receive a file, try it without writing, start, stop.

Receiving cuts the file into chunks of rows, sealed, in the database: from then on nobody needs the file, and a process
that is killed goes on where it was. The same file with the same options is the same batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Scope
from yimatong.cards.batches import chunks, columns, cutting, queries, reading, uploads
from yimatong.cards.batches.columns import Choice
from yimatong.cards.batches.cutting import Piece
from yimatong.cards.batches.schemas import BatchView
from yimatong.cards.batches.uploads import Kept
from yimatong.cards.errors import (
    BatchColumnsMissing,
    BatchEmpty,
    BatchFileUnreadable,
    BatchOptionInvalid,
    BatchStateWrong,
)
from yimatong.cards.models import batch, batch_chunk
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault
from yimatong.kit import jobs
from yimatong.kit.db import Connection, Database
from yimatong.kit.ids import new_id

JOB: Final = "cards.batch"
CHECK_JOB: Final = "cards.batch_check"
_IDLE: Final = ("received", "checked", "stopped")
TAG_MAX: Final = 20
FIELDS: Final = columns.FIELDS
KINDS: Final = tuple(columns.KINDS)
FIELDS_OF: Final = {kind: fields for kind, (fields, _) in columns.KINDS.items()}
NEEDED_OF: Final = {kind: needed for kind, (_, needed) in columns.KINDS.items()}


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is to be taken. ``given`` names headings by field, over what the institution chose before.

    ``chosen`` settles every column, and nothing that was chosen before counts.
    """

    kind: str
    institution_id: str | None = None
    tag: str | None = None
    given: Mapping[str, str] = {}
    chosen: Choice | None = None

    def check(self) -> None:
        """Refuse what does not fit the kind.

        Raises:
            BatchOptionInvalid.
        """
        if self.kind not in columns.KINDS:
            raise BatchOptionInvalid(detail=self.kind)
        if self.kind != "residents" and not self.institution_id:
            raise BatchOptionInvalid(detail="institution")
        if self.tag is not None and (
            self.kind != "residents" or not 0 < len(self.tag) <= TAG_MAX or not self.tag.isprintable()
        ):
            raise BatchOptionInvalid(detail="tag")


async def receive(
    db: Database, vault: Vault, content: Path | bytes, options: Options, *, file_name: str, made_by: str, now: datetime
) -> BatchView:
    """Take in a file and return its batch; one that was taken in before is given back as it stands.

    Raises:
        BatchFileUnreadable, BatchEmpty, BatchColumnsMissing, BatchOptionInvalid: nothing was kept.
    """
    options.check()
    source = await asyncio.to_thread(reading.look, content)
    async with db.read() as tx:
        before = (await uploads.chosen(tx, options.kind, options.institution_id)).fitting(source.heading)
    mapped = columns.match(options.kind, source.heading, options.chosen or before.under(options.given))
    about = {
        "fields": list(mapped.columns),
        "headings": {field: source.heading[place] for field, place in mapped.columns.items()},
        "unknown": list(mapped.unknown),
    }
    key = sm3(msgspec.json.encode([options.kind, options.institution_id, options.tag, mapped.columns]) + source.digest)
    values = {
        "batch_id": new_id("bat"),
        "kind": options.kind,
        "batch_key": key,
        "file_digest": source.digest,
        "file_name": file_name[-200:],
        "encoding": source.encoding,
        "institution_id": options.institution_id,
        "tag": options.tag,
        "columns": about,
        "state": "receiving",
        "made_by": made_by,
        "made_at": now,
        "changed_at": now,
    }
    async with db.transaction() as tx:
        await tx.execute(insert(batch).values(**values).on_conflict_do_nothing(index_elements=["batch_key"]))
        row = (await tx.execute(select(batch.c.batch_id, batch.c.state).where(batch.c.batch_key == key))).one()
    if row.state == "receiving":
        parts = cutting.pieces(reading.rows(source), options.kind, mapped.columns)
        try:
            await _take_in(db, vault, row.batch_id, parts, about, now=now)
        except BatchFileUnreadable:  # broken further down; the same file breaks there again
            await _drop(db, row.batch_id)
            raise
    async with db.read() as tx:
        return await queries.read(tx, row.batch_id, scope=queries.EVERYTHING)


async def _take_in(
    db: Database, vault: Vault, batch_id: str, parts: Iterator[Piece], about: Mapping[str, Any], *, now: datetime
) -> None:
    """Stage the chunks that are not staged yet; the last transaction says that all are there."""
    total = late = seen = 0
    numbered = enumerate(parts)
    while group := await asyncio.to_thread(lambda: list(islice(numbered, 20))):
        sealer = await vault.sealer()
        values = [
            {
                "batch_id": batch_id,
                "seq": seq,
                "rows": len(part.rows),
                "sealed": chunks.sealed(sealer, batch_id, seq, part.rows),
            }
            for seq, part in group
        ]
        total += sum(len(part.rows) for _, part in group)
        late += sum(part.late for _, part in group)
        seen += len(group)
        async with db.transaction() as tx:
            await tx.execute(insert(batch_chunk).values(values).on_conflict_do_nothing())
    if not total:
        await _drop(db, batch_id)
        raise BatchEmpty
    async with db.transaction() as tx:
        await tx.execute(
            update(batch)
            .where(batch.c.batch_id == batch_id, batch.c.state == "receiving")
            .values(state="received", rows=total, columns={**about, "late_from": seen - late}, changed_at=now)
        )


async def _drop(db: Database, batch_id: str) -> None:
    """Forget a batch that is not all there."""
    async with db.transaction() as tx:
        mine = select(batch.c.batch_id).where(batch.c.batch_id == batch_id, batch.c.state == "receiving")
        if (await tx.execute(mine.with_for_update())).first() is not None:
            await tx.execute(batch_chunk.delete().where(batch_chunk.c.batch_id == batch_id))
            await tx.execute(batch.delete().where(batch.c.batch_id == batch_id))


async def check(
    db: Database, vault: Vault, batch_id: str, *, scope: Scope, now: datetime, say: Callable[[int], None]
) -> BatchView:
    """Try every row against the rules and the index without writing; ``say`` hears how many rows were tried.

    Raises:
        BatchNotFound; BatchStateWrong: it runs, or is done.
    """
    async with db.read() as tx:
        about = await queries.find(tx, batch_id, scope=scope)
    if about.state not in _IDLE:
        raise BatchStateWrong(state=about.state)
    found = await chunks.try_all(db, vault, about, now=now, say=say)
    async with db.transaction() as tx:
        await tx.execute(
            update(batch)
            .where(batch.c.batch_id == batch_id, batch.c.state.in_(_IDLE))
            .values(state="checked", checked=msgspec.to_builtins(found), changed_at=now)
        )
        return await queries.read(tx, batch_id, scope=scope)


async def start(connection: Connection, batch_id: str, *, scope: Scope, now: datetime, queue: bool) -> BatchView:
    """Let a batch run, or run on; with ``queue`` the worker does it. A batch that is done stays so.

    Raises:
        BatchNotFound; BatchStateWrong: the file is not all there.
    """
    about = await queries.find(connection, batch_id, scope=scope, for_update=True)
    if about.state == "receiving":
        raise BatchStateWrong(state=about.state)
    if about.state != "done":
        values = {"state": "running", "started_at": about.started_at or now, "changed_at": now}
        await connection.execute(update(batch).where(batch.c.batch_id == batch_id).values(**values))
        if queue:
            await jobs.defer(connection, task=JOB, args={"batch_id": batch_id})
    return await queries.read(connection, batch_id, scope=scope)


async def queue_check(connection: Connection, batch_id: str, *, scope: Scope) -> None:
    """Let the worker try a batch; what it found before is forgotten.

    Raises:
        BatchNotFound; BatchStateWrong: it runs, or is done.
    """
    about = await queries.find(connection, batch_id, scope=scope, for_update=True)
    if about.state not in _IDLE:
        raise BatchStateWrong(state=about.state)
    await connection.execute(update(batch).where(batch.c.batch_id == batch_id).values(checked=None))
    await jobs.defer(connection, task=CHECK_JOB, args={"batch_id": batch_id})


async def stop(connection: Connection, batch_id: str, *, scope: Scope, now: datetime) -> BatchView:
    """Stop a batch after the chunks that are under way; what is done stays done.

    Raises:
        BatchNotFound; BatchStateWrong: it does not run.
    """
    about = await queries.find(connection, batch_id, scope=scope, for_update=True)
    if about.state != "running":
        raise BatchStateWrong(state=about.state)
    await connection.execute(update(batch).where(batch.c.batch_id == batch_id).values(state="stopped", changed_at=now))
    return await queries.read(connection, batch_id, scope=scope)


async def run(
    db: Database,
    vault: Vault,
    batch_id: str,
    *,
    clock: Callable[[], datetime],
    say: Callable[[int, int], None] = lambda _rows, _bad: None,
) -> BatchView:
    """Work on a batch until it is done or stopped; ``say`` hears (rows, bad rows) of every chunk."""
    await chunks.run(db, vault, batch_id, clock=clock, say=say)
    async with db.read() as tx:
        return await queries.read(tx, batch_id, scope=queries.EVERYTHING)


REPORT_HEADING: Final = ("行号 row", "原因代码 code", "原因 reason", "reason", "姓名 name", "证件号码 id number")


async def report(db: Database, vault: Vault, batch_id: str, *, scope: Scope) -> list[tuple[object, ...]]:
    """Return the refused rows as a table with a heading; names and numbers are masked.

    Raises:
        BatchNotFound: none, or another institution's.
    """
    sealer = await vault.sealer()
    async with db.read() as tx:
        found = await queries.bad_rows(tx, sealer, batch_id, scope=scope)
    lines = [(row.row, row.code, row.zh, row.en, row.name, row.id_number) for row in found]
    return [REPORT_HEADING, *lines]


async def whole_rows(connection: Connection, vault: Vault, batch_id: str, *, scope: Scope) -> list[tuple[object, ...]]:
    """Return the refused rows as they were written, under the file's own headings, so that they can be mended.

    Not masked: for those who may see the rows of others, with an audit row in the same transaction.

    Raises:
        BatchNotFound: none, or another institution's.
    """
    about = await queries.find(connection, batch_id, scope=scope)
    found = await queries.bad_rows(connection, await vault.sealer(), batch_id, scope=scope)
    fields, headings = about.columns["fields"], about.columns["headings"]
    lines = [(*(row.cells.get(field, "") for field in fields), row.row, row.code, row.zh) for row in found]
    return [(*(headings[field] for field in fields), *REPORT_HEADING[:3]), *lines]


COLUMNS_WRONG: Final = (BatchColumnsMissing.code, BatchOptionInvalid.code)


async def keep_upload(
    db: Database, vault: Vault, content: bytes, options: Options, *, file_name: str, made_by: str, now: datetime
) -> str:
    """Keep a file, sealed, until its columns are chosen; return the id of the upload.

    Raises:
        BatchFileUnreadable, BatchEmpty, BatchOptionInvalid; BatchColumnsMissing: it has no heading.
    """
    options.check()
    async with db.read() as tx:
        before = await uploads.chosen(tx, options.kind, options.institution_id)
    shown = await asyncio.to_thread(uploads.preview, content, options.kind, before)
    async with db.transaction() as tx:
        return await uploads.keep(
            tx,
            vault,
            content,
            shown,
            kind=options.kind,
            institution_id=options.institution_id,
            tag=options.tag,
            file_name=file_name,
            made_by=made_by,
            now=now,
        )


async def read_upload(connection: Connection, upload_id: str, *, made_by: str) -> Kept:
    """Return a kept file's headings with masked samples.

    Raises:
        BatchUploadGone: none of this operator's.
    """
    return await uploads.read(connection, upload_id, made_by=made_by)


async def receive_upload(
    db: Database, vault: Vault, upload_id: str, fields: Sequence[str], *, made_by: str, now: datetime
) -> BatchView:
    """Take in a kept file; ``fields`` says what each shown column means (empty: nothing), and is remembered.

    Raises:
        BatchUploadGone; BatchOptionInvalid: a field that the kind has not, or one that was chosen twice.
        BatchColumnsMissing: a needed field was not chosen; the file stays kept.
    """
    async with db.read() as tx:
        kept = await uploads.read(tx, upload_id, made_by=made_by)
        content = await uploads.content(tx, vault, upload_id, made_by=made_by)
    made = columns.made(kept.kind, [column.heading for column in kept.preview.columns], fields)
    options = Options(kind=kept.kind, institution_id=kept.institution_id, tag=kept.tag, chosen=made)
    taken = await receive(db, vault, content, options, file_name=kept.file_name, made_by=made_by, now=now)
    async with db.transaction() as tx:
        await uploads.choose(tx, kept.kind, kept.institution_id, made, made_by=made_by, now=now)
        await uploads.drop(tx, [upload_id])
    return taken


_UNFINISHED: Final = timedelta(days=1)
_REPORTS_KEPT: Final = timedelta(days=90)


async def forget(connection: Connection, *, now: datetime) -> int:
    """Forget files whose columns nobody chose, files that were received by half, and refused rows after 90 days.

    Returns how many uploads and batches went.
    """
    gone = await uploads.forget(connection, before=now - uploads.KEPT)
    half = select(batch.c.batch_id).where(batch.c.state == "receiving", batch.c.made_at < now - _UNFINISHED)
    ids = [row.batch_id for row in await connection.execute(half.with_for_update(skip_locked=True))]
    for table in (batch_chunk, batch):
        await connection.execute(table.delete().where(table.c.batch_id.in_(ids)))
    old = (batch_chunk.c.bad_sealed.is_not(None), batch_chunk.c.done_at < now - _REPORTS_KEPT)
    await connection.execute(update(batch_chunk).where(*old).values(bad_sealed=None))
    return gone + len(ids)
