"""Uploaded files whose columns a person still has to choose: sealed, block by block, for an hour; and what was chosen.

Nothing of a file lies anywhere in the clear: the samples that the page shows are masked before they are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, select
from sqlalchemy.dialects.postgresql import insert

from yimatong.cards.batches import columns, reading
from yimatong.cards.batches.columns import Choice
from yimatong.cards.batches.schemas import Preview, PreviewColumn
from yimatong.cards.errors import BatchUploadGone
from yimatong.cards.models import batch_mapping, batch_upload, batch_upload_block
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id
from yimatong.kit.masking import IdNumber, PersonName, Phone

KEPT: Final = timedelta(hours=1)
_BLOCK: Final = 1 << 20
_SAMPLES: Final = 3
_LOOKED_AT: Final = 50
_PLATFORM: Final = "platform"
_DIGITS_OF_A_PERSON: Final = 6
_ID_LENGTH_MIN: Final = 15
_PHONE_LENGTH: Final = 11


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A kept upload. ``preview``: its headings, masked samples, and what each column seems to be."""

    upload_id: str
    kind: str
    institution_id: str | None
    tag: str | None
    file_name: str
    preview: Preview


async def keep(
    connection: Connection,
    vault: Vault,
    content: bytes,
    shown: Preview,
    *,
    kind: str,
    institution_id: str | None,
    tag: str | None,
    file_name: str,
    made_by: str,
    now: datetime,
) -> str:
    """Keep a file sealed, for its uploader only, and return the id of the upload."""
    upload_id = new_id("upl")
    sealer = await vault.sealer()
    about = {"kind": kind, "institution_id": institution_id, "tag": tag, "file_name": file_name[-200:]}
    values = {**about, "upload_id": upload_id, "preview": msgspec.to_builtins(shown), "made_by": made_by}
    await connection.execute(insert(batch_upload).values(**values, made_at=now))
    for seq, start in enumerate(range(0, len(content), _BLOCK)):
        sealed = sealer.seal(content[start : start + _BLOCK], aad(upload_id, seq))
        await connection.execute(insert(batch_upload_block).values(upload_id=upload_id, seq=seq, sealed=sealed))
    return upload_id


async def read(connection: Connection, upload_id: str, *, made_by: str) -> Kept:
    """Return what is known of an upload.

    Raises:
        BatchUploadGone: none of this operator's.
    """
    row = await _row(connection, upload_id, made_by)
    return Kept(
        **{name: getattr(row, name) for name in Kept.__struct_fields__ if name != "preview"},
        preview=msgspec.convert(row.preview, Preview),
    )


async def content(connection: Connection, vault: Vault, upload_id: str, *, made_by: str) -> bytes:
    """Return the bytes of an upload; errors as ``read``."""
    await _row(connection, upload_id, made_by)
    sealer = await vault.sealer()
    wanted = select(batch_upload_block.c.seq, batch_upload_block.c.sealed)
    found = await connection.execute(
        wanted.where(batch_upload_block.c.upload_id == upload_id).order_by(batch_upload_block.c.seq)
    )
    return b"".join(sealer.unseal(row.sealed, aad(upload_id, row.seq)) for row in found)


async def drop(connection: Connection, upload_ids: Sequence[str]) -> None:
    """Forget uploads."""
    for table in (batch_upload_block, batch_upload):
        await connection.execute(delete(table).where(table.c.upload_id.in_(upload_ids)))


async def forget(connection: Connection, *, before: datetime) -> int:
    """Forget the uploads whose columns nobody chose; return how many."""
    found = await connection.execute(select(batch_upload.c.upload_id).where(batch_upload.c.made_at < before))
    gone = [row.upload_id for row in found]
    await drop(connection, gone)
    return len(gone)


async def chosen(connection: Connection, kind: str, institution_id: str | None) -> Choice:
    """Return what an institution chose for files of a kind; nothing where it never did."""
    found = await connection.execute(
        select(batch_mapping.c.columns).where(
            batch_mapping.c.holder == (institution_id or _PLATFORM), batch_mapping.c.kind == kind
        )
    )
    row = found.first()
    return Choice() if row is None else msgspec.convert(row.columns, Choice)


async def choose(
    connection: Connection, kind: str, institution_id: str | None, made: Choice, *, made_by: str, now: datetime
) -> None:
    """Remember what was chosen, for the next file of this kind."""
    values = {"columns": msgspec.to_builtins(made), "made_by": made_by, "made_at": now}
    key = {"holder": institution_id or _PLATFORM, "kind": kind}
    entered = insert(batch_mapping).values(**key, **values)
    await connection.execute(entered.on_conflict_do_update(index_elements=["holder", "kind"], set_=values))


async def _row(connection: Connection, upload_id: str, made_by: str) -> Row[Any]:
    found = await connection.execute(
        select(batch_upload).where(batch_upload.c.upload_id == upload_id, batch_upload.c.made_by == made_by)
    )
    row = found.first()
    if row is None:
        raise BatchUploadGone
    return row


def preview(given: bytes, kind: str, chosen_before: Choice) -> Preview:
    """Look at the first rows.

    Raises:
        What ``reading.look`` raises; BatchColumnsMissing: the file has no heading.
    """
    source = reading.look(given)
    before = chosen_before.fitting(source.heading)
    rows = [cells for _, cells in islice(reading.rows(source), _LOOKED_AT)]
    found = columns.guess(kind, source.heading, before)
    if not found and any(sum(map(str.isdigit, text)) >= _DIGITS_OF_A_PERSON for text in source.heading):
        columns.match(kind, source.heading, before)  # refuses: this first row is no heading but somebody's data
    guessed: Mapping[int, str] = {place: field for field, place in found.items()}
    shown: list[PreviewColumn] = []
    for place in columns.told_apart(source.heading):
        values = [cells[place] for cells in rows if place < len(cells) and cells[place]]
        shown.append(
            PreviewColumn(
                heading=source.heading[place],
                field=guessed.get(place, ""),
                samples=tuple(masked(value) for value in values[:_SAMPLES]),
            )
        )
    return Preview(columns=tuple(shown))


def masked(value: str) -> str:
    """Return a cell as it may be shown to whoever chooses what its column means."""
    if len(value) >= _ID_LENGTH_MIN and value.isascii():
        return IdNumber(value[:40]).masked
    if len(value) == _PHONE_LENGTH and value.isdigit():
        return Phone(value).masked
    return value if len(value) == 1 else PersonName(value[:12]).masked


def aad(upload_id: str, seq: int) -> bytes:
    """Return what ties a sealed block to its row."""
    return f"cards_batch_upload_block:{upload_id}:{seq}".encode()
