"""Chunks of a batch: judged row by row, stored in one transaction with what they bring about.

A chunk is prepared outside its transaction (index, registry, device), then its row is taken, its residents registered,
its outcome written and its sealed rows forgotten: all or nothing. Any number of processes may work on one batch.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select, update

from yimatong.cards.accounts import registration
from yimatong.cards.accounts.registration import Applicant, Prepared
from yimatong.cards.batches import queries, rows, storing
from yimatong.cards.batches.schemas import BadRow, Checked
from yimatong.cards.batches.storing import Line
from yimatong.cards.errors import BatchNotFound, RegistrationRaced, RowRepeated
from yimatong.cards.models import batch, batch_chunk
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonDisagrees
from yimatong.empi.persons import service as empi
from yimatong.empi.persons.schemas import RealNameMark
from yimatong.empi.persons.service import Identification
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database, lost_to_another, raw
from yimatong.kit.errors import PlatformError, Unavailable
from yimatong.kit.masking import IdNumber, PersonName

LANES: Final = 2
TRIES: Final = 5
METHOD: Final = "list"
LEVEL: Final = 1
"""实名制标识 of who came by a list: level 1, the weakest; the resident's own proof replaces it."""

_rows = msgspec.json.Decoder(list[list[Any]])


def sealed(sealer: Sealer, batch_id: str, seq: int, part: Sequence[Sequence[Any]]) -> bytes:
    """Seal the rows of a chunk."""
    return sealer.seal(msgspec.json.encode(part), aad(batch_id, seq))


def aad(batch_id: str, seq: int) -> bytes:
    """Bind the sealed rows to their chunk."""
    return f"cards_batch_chunk:{batch_id}:{seq}".encode()


def lines(sealer: Sealer, about: Row[Any], seq: int, blob: bytes, *, today: date) -> list[Line]:
    """Open a chunk and judge each row by itself; a row that cannot be a resident carries its refusal."""
    fields = about.columns["fields"]
    found = []
    for number, first, *values in _rows.decode(sealer.unseal(blob, aad(about.batch_id, seq))):
        cells = dict(zip(fields, values, strict=True))
        line = Line(row=number, first=first, cells=cells)
        try:
            if about.kind == "visit-cards":
                line.visit_card = rows.visit_card(cells)
            line.resident = rows.resident(cells, today=today)
        except PlatformError as refusal:
            line.refusal = refusal
        found.append(line)
    return found


async def try_all(db: Database, vault: Vault, about: Row[Any], *, now: datetime, say: Callable[[int], None]) -> Checked:
    """Try every staged chunk without writing; ``say`` hears how many rows were tried so far."""
    async with db.read() as tx:
        waiting = await queries.staged(tx, about.batch_id)
    reasons: Counter[str] = Counter()
    seen: dict[tuple[str, bytes], int] = {}
    tried = opened = known = bad = 0
    for seq in waiting:
        async with db.read() as tx:
            blob = await queries.sealed_rows(tx, about.batch_id, seq)
            if blob is None:
                continue
            found = lines(await vault.sealer(), about, seq, blob, today=business_date(now))
            await _try(tx, vault, [line for line in found if line.resident is not None])
        for line in found:
            met = _met(line, seen)
            if line.refusal is not None:
                bad += 1
                reasons[line.refusal.code] += 1
            elif line.is_known or met:
                known += 1
            else:
                opened += 1
        tried += len(found)
        say(tried)
    return Checked(opened=opened, known=known, bad=bad, reasons=dict(reasons.most_common()))


def _met(line: Line, seen: dict[tuple[str, bytes], int]) -> bool:
    """Say whether an earlier row of the file would register this resident, and refuse the row as the run would."""
    if line.certificate is None or line.refusal is not None:
        return False
    who = hash((str.__str__(line.given.name), line.given.sex))
    before = seen.get(line.certificate)
    if before is None:
        seen[line.certificate] = who
        return False
    if before != who:
        line.refusal = PersonDisagrees()
    elif line.first:
        line.refusal = RowRepeated(row=line.first)
    return True


async def _try(tx: Connection, vault: Vault, found: Sequence[Line]) -> None:
    """Compare the residents with the index: known, new, or refused because they disagree with it."""
    if not found:
        return
    sealer, blinder = await vault.sealer(), await vault.blinder()
    asked = []
    for line in found:
        given = line.given
        line.blind = blinder.id_blind(given.id_type, given.id_number)
        asked.append(
            Identification(
                given=given,
                blind=line.blind,
                proposed_mpi=_NOBODY,
                fresh=False,
                provider="",
                mark=RealNameMark(method=METHOD, level=LEVEL, at=datetime.min),  # noqa: DTZ901 -- written nowhere
            )
        )
    await empi.look_up_many(await raw(tx), asked, sealer=sealer)
    for line, item in zip(found, asked, strict=True):
        line.refusal, line.is_known = item.refusal, item.known is not None


_NOBODY: Final = storing.NOBODY


async def run(
    db: Database,
    vault: Vault,
    batch_id: str,
    *,
    clock: Callable[[], datetime],
    say: Callable[[int, int], None] = lambda _done, _bad: None,
    lanes: int = LANES,
) -> bool:
    """Work on a batch until it is done or stopped; return whether it is done. ``say`` hears (rows, bad rows)."""
    async with db.read() as tx:
        about = await queries.find(tx, batch_id, scope=queries.EVERYTHING)
        staged = await queries.staged(tx, batch_id)
    late_from = about.columns["late_from"]

    async def lane(waiting: Iterator[int]) -> None:
        for seq in waiting:
            counts = await _chunk(db, vault, about, seq, now=clock())
            if counts is None:
                return
            say(*counts)

    for part in ([seq for seq in staged if seq < late_from], [seq for seq in staged if seq >= late_from]):
        waiting = iter(part)
        async with asyncio.TaskGroup() as group:
            for _ in range(lanes):
                group.create_task(lane(waiting))
    async with db.transaction() as tx:
        ended = await tx.execute(
            update(batch)
            .where(
                batch.c.batch_id == batch_id,
                batch.c.state == "running",
                ~select(batch_chunk.c.seq)
                .where(batch_chunk.c.batch_id == batch_id, batch_chunk.c.state == "staged")
                .exists(),
            )
            .values(state="done", changed_at=clock())
            .returning(batch.c.batch_id)
        )
        return ended.first() is not None


async def _chunk(db: Database, vault: Vault, about: Row[Any], seq: int, *, now: datetime) -> tuple[int, int] | None:
    """Do one chunk; return its rows and bad rows, None when the batch was stopped."""
    for tried in range(TRIES):
        async with db.read() as tx:
            blob = await queries.sealed_rows(tx, about.batch_id, seq)
        if blob is None:
            return 0, 0
        sealer = await vault.sealer()
        found = lines(sealer, about, seq, blob, today=business_date(now))
        await _refuse_repeated(db, vault, found)
        prepared = await _prepare(db, vault, found, now=now)
        try:
            async with db.transaction() as tx:
                if not await _take(tx, about.batch_id, seq):
                    return await _stopped(tx, about.batch_id)
                await storing.store(tx, vault, about, found, prepared, now=now)
                return await _finish(tx, sealer, about, seq, found, now=now)
        except Unavailable as error:
            if tried == TRIES - 1 or not (isinstance(error, RegistrationRaced) or lost_to_another(error)):
                raise
    raise RegistrationRaced


async def _refuse_repeated(db: Database, vault: Vault, found: Sequence[Line]) -> None:
    """Refuse the rows whose resident an earlier row of the file has registered; where that one was refused, go on."""
    late = [line for line in found if line.first and line.resident is not None and line.refusal is None]
    if not late:
        return
    async with db.read() as tx:
        await _try(tx, vault, late)
    for line in late:
        if line.is_known and line.refusal is None:
            line.refusal = RowRepeated(row=line.first)
        line.is_known = False


async def _prepare(db: Database, vault: Vault, found: Sequence[Line], *, now: datetime) -> dict[int, Prepared]:
    """Ask index, registry and device for the residents of a chunk, by row number."""
    mark = RealNameMark(method=METHOD, level=LEVEL, at=now)
    asked = [line for line in found if line.resident is not None and line.refusal is None]
    applicants = [Applicant(resident=line.given, mark=mark) for line in asked]
    if not applicants:
        return {}
    blinder = await vault.blinder()
    async with db.read() as tx:
        known = await registration.look_up_many(await raw(tx), applicants, blinder=blinder)
    made = await registration.prepare_many(vault, applicants, known)
    return {line.row: prepared for line, prepared in zip(asked, made, strict=True)}


async def _take(tx: Connection, batch_id: str, seq: int) -> bool:
    """Lock the chunk while it is staged and its batch runs."""
    runs = select(batch.c.batch_id).where(batch.c.batch_id == batch_id, batch.c.state == "running")
    if (await tx.execute(runs.with_for_update(read=True))).first() is None:
        return False
    chunk = select(batch_chunk.c.seq).where(
        batch_chunk.c.batch_id == batch_id, batch_chunk.c.seq == seq, batch_chunk.c.state == "staged"
    )
    return (await tx.execute(chunk.with_for_update())).first() is not None


async def _stopped(tx: Connection, batch_id: str) -> tuple[int, int] | None:
    """Say why a chunk could not be taken: the batch was stopped (None), or another process has done it."""
    state = (await tx.execute(select(batch.c.state).where(batch.c.batch_id == batch_id))).scalar_one_or_none()
    if state is None:
        raise BatchNotFound
    return (0, 0) if state in {"running", "done"} else None


async def _finish(
    tx: Connection, sealer: Sealer, about: Row[Any], seq: int, found: Sequence[Line], *, now: datetime
) -> tuple[int, int]:
    """Write what became of a chunk and forget its rows."""
    bad = [line for line in found if line.refusal is not None]
    report = [_bad(line) for line in bad]
    regions = Counter(rows.region(line.cells) for line in bad) if about.tag else Counter[str]()
    await tx.execute(
        update(batch_chunk)
        .where(batch_chunk.c.batch_id == about.batch_id, batch_chunk.c.seq == seq)
        .values(
            state="done",
            sealed=None,
            opened=sum(line.opened for line in found),
            known=sum(line.is_known for line in found),
            bad=len(bad),
            reasons=dict(Counter(row.code for row in report)) or None,
            bad_regions=dict(regions) or None,
            bad_sealed=sealer.seal(msgspec.json.encode(report), queries.bad_aad(about.batch_id, seq)) if bad else None,
            done_at=now,
        )
    )
    return len(found), len(bad)


def _bad(line: Line) -> BadRow:
    """Return a refused row for the report, masked."""
    refusal = line.refusal
    if refusal is None:
        message = "only a refused row stands in the report"
        raise RuntimeError(message)
    name, number = PersonName(line.cells.get("name", "")), IdNumber(line.cells.get("id_number", ""))
    return BadRow(
        row=line.row,
        code=refusal.code,
        zh=refusal.text("zh"),
        en=refusal.text("en"),
        name=name.masked if name else "",
        id_number=number.masked if number else "",
        cells=line.cells,
    )
