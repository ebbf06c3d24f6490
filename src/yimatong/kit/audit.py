"""Audit rows and the sealer that chains them (GB/T 22239-2019 8.1.4.3).

A row is inserted unchained, in the transaction of what it tells of, so no write waits for its neighbour's hash. One
sealer chains the rows in batches, at most a second behind: each seal is a MAC over the seal before and every row since.
Rows are taken in the order of (transaction id, row id) and only below the snapshot's horizon, so a transaction that
commits late can never slip in behind a seal. The kit knows no cryptography: the MAC is handed in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NotRequired, TypedDict, Unpack, cast

import msgspec
from sqlalchemy import insert, text

from yimatong.kit.arrays import moments, texts
from yimatong.kit.db import Connection, RawConnection
from yimatong.kit.errors import PlatformError, Unavailable
from yimatong.kit.models import audit_seal
from yimatong.kit.together import Piece, together

Mac = Callable[[bytes], bytes]
"""Keyed hash over bytes; HMAC-SM3 in every assembly."""

_ROWS_MAX = 20_000
_LOCK = 0x594D5401
_GENESIS = b"yimatong audit chain 1"


class AuditBroken(PlatformError):
    """The audit was edited: a seal does not fit its rows, or a seal is missing."""

    code = "KIT-5101"
    zh = "审计链校验失败：第 {seq} 个封条与记录不符"
    en = "the audit chain is broken: seal {seq} does not fit its rows"


class Facts(TypedDict):
    """What an audit row says. ``detail`` never holds personal data in the clear."""

    actor: str
    action: str
    object_kind: str
    object_id: str
    request_id: str
    now: datetime
    result: NotRequired[str]
    institution_id: NotRequired[str | None]
    detail: NotRequired[str]


async def record(connection: Connection, **facts: Unpack[Facts]) -> None:
    """Insert one audit row into the open transaction."""
    await together(connection, recording(**facts))


def recording(**facts: Unpack[Facts]) -> Piece:
    """Return the piece of :func:`record`, for a statement that writes more."""
    usual = {"result": "ok", "institution_id": None, "detail": ""}
    said = {name: value for name, value in facts.items() if name != "now"}
    return Piece(_RECORD, usual | said | {"at": facts["now"]})


_RECORD = """
    @recorded AS (
        INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id,
                                     detail)
        VALUES (:at, :actor, :institution_id, :action, :object_kind, :object_id, :result, :request_id, :detail))
    """


_COLUMNS = ("actor", "institution_id", "action", "object_kind", "object_id", "result", "request_id", "detail")


async def record_many(connection: RawConnection, rows: Sequence[Piece]) -> None:
    """Insert the rows of pieces (:func:`recording`) into the open transaction of a batch."""
    values = [each.values for each in rows]
    columns = [texts(cast("str | None", each[name]) for each in values) for name in _COLUMNS]
    await connection.execute(_RECORD_MANY, (moments(cast("datetime", each["at"]) for each in values), *columns))


_RECORD_MANY = """
    INSERT INTO kit_audit_event (at, actor, institution_id, action, object_kind, object_id, result, request_id, detail)
    SELECT * FROM unnest(%s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
                         %s::text[], %s::text[])
"""


class AuditRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the audit as people read it; ``mark`` is its place, for the next page."""

    mark: str
    at: datetime
    actor: str
    institution_id: str | None
    action: str
    object_kind: str
    object_id: str
    result: str
    request_id: str
    detail: str


_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_LATEST = text(
    """
    SELECT txid::text || '.' || id AS mark, at, actor, institution_id, action, object_kind, object_id, result,
           request_id, detail
    FROM kit_audit_event
    WHERE (:txid = '' OR (txid, id) < (cast(nullif(:txid, '') AS xid8), :id)) AND (:actor = '' OR actor = :actor)
      AND (:action = '' OR action = :action)
    ORDER BY txid DESC, id DESC LIMIT :limit
    """
)


async def latest(
    connection: Connection, *, before: str = "", actor: str = "", action: str = "", limit: int = 50
) -> list[AuditRow]:
    """Return the newest rows, optionally of one actor or action; ``before`` is the mark that a page ended with.

    Raises:
        ValueError: ``before`` is no mark.
    """
    txid, _, row_id = before.partition(".")
    if before and not (_NUMBER.fullmatch(txid) and _NUMBER.fullmatch(row_id)):
        message = "not a mark of an audit row"
        raise ValueError(message)
    rows = await connection.execute(
        _LATEST, {"txid": txid, "id": int(row_id or 0), "actor": actor, "action": action, "limit": limit}
    )
    return [AuditRow(**row._mapping) for row in rows]  # noqa: SLF001 -- SQLAlchemy's documented accessor


class AuditOutOfOrder(Unavailable):
    """The database's transaction ids run behind the last seal: it was restored from a logical dump."""

    code = "KIT-5102"
    zh = "数据库事务号落后于最后一个封条：请用物理备份恢复，或提升事务号后再封存审计"
    en = "transaction ids are behind the last seal: restore a physical backup, or raise the ids, before sealing goes on"


_LAST = text(
    "SELECT seq, upto_txid::text, upto_id, mac, upto_txid >= pg_snapshot_xmax(pg_current_snapshot()) AS ahead"
    " FROM kit_audit_seal ORDER BY seq DESC LIMIT 1"
)

_ROWS = """
    SELECT count(*), coalesce(string_agg(r, E'\\n' ORDER BY txid, id), ''),
           (array_agg(txid::text ORDER BY txid DESC, id DESC))[1], (array_agg(id ORDER BY txid DESC, id DESC))[1]
    FROM (SELECT e::text AS r, txid, id FROM kit_audit_event e
          WHERE (txid, id) > (cast(:txid AS xid8), :id) AND {upper} ORDER BY txid, id {limit}) t
"""
_UNSEALED = text(_ROWS.format(upper="txid < pg_snapshot_xmin(pg_current_snapshot())", limit=f"LIMIT {_ROWS_MAX}"))
_SEALED = text(_ROWS.format(upper="(txid, id) <= (cast(:upto_txid AS xid8), :upto_id)", limit=""))


async def seal(connection: Connection, mac: Mac, *, now: datetime) -> int:
    """Chain the rows below the horizon that are not chained yet; return how many.

    Raises:
        AuditOutOfOrder: new rows would stand before the last seal and never be chained.
    """
    locked = await connection.execute(text("SELECT pg_try_advisory_xact_lock(:k)"), {"k": _LOCK})
    if not locked.scalar_one():
        return 0
    last = (await connection.execute(_LAST)).first()
    seq, txid, row_id, before, ahead = last or (0, "0", 0, _GENESIS, False)
    if ahead:
        raise AuditOutOfOrder
    number, rows, upto_txid, upto_id = (await connection.execute(_UNSEALED, {"txid": txid, "id": row_id})).one()
    if not number:
        return 0
    link = mac(bytes(before) + rows.encode())
    await connection.execute(
        insert(audit_seal).values(
            seq=seq + 1, upto_txid=text(f"'{upto_txid}'::xid8"), upto_id=upto_id, rows=number, mac=link, at=now
        )
    )
    return int(number)


async def write_anchor(connection: Connection, anchor: Path) -> int:
    """Append ``seq mac`` of every committed seal that the file does not have yet; return how many.

    The file stands outside the database: without it the end of the chain could be cut off unseen. It is written after
    the seals are committed, so it never names a seal that was rolled back; what a crash left out comes with the next.
    """
    seals = (await connection.execute(_SEALS_AFTER, {"seq": _last_anchored(anchor)})).all()
    with anchor.open("a", encoding="ascii") as file:
        file.writelines(f"{seq} {bytes(link).hex()}\n" for seq, link in seals)
    return len(seals)


_SEALS_AFTER = text("SELECT seq, mac FROM kit_audit_seal WHERE seq > :seq ORDER BY seq")
_LINE = re.compile(r"(\d{1,18}) ([0-9a-f]{64})")


def _last_anchored(anchor: Path) -> int:
    """Return the number of the last whole line, without reading the file from its beginning."""
    if not anchor.exists():
        return 0
    with anchor.open("rb") as file:
        file.seek(max(file.seek(0, 2) - 1024, 0))
        tail = file.read().decode("ascii")
    if not tail.endswith("\n"):  # a crash tore the last line: it is closed, and written again in full
        with anchor.open("a", encoding="ascii") as again:
            again.write("\n")
    found = [match for line in tail.split("\n") if (match := _LINE.fullmatch(line))]
    return int(found[-1][1]) if found else 0


async def verify(connection: Connection, mac: Mac, *, anchor: Path | None = None) -> int:
    """Recompute the whole chain and return the number of rows it covers.

    Raises:
        AuditBroken: a row was changed, removed, added or moved, or the end of the chain was cut off. An ``anchor``
            that is gone counts as broken, too.
    """
    anchored = None if anchor is None else _anchored(anchor)  # before the seals: it can only be behind them
    seals = (
        await connection.execute(
            text("SELECT seq, upto_txid::text, upto_id, rows, mac FROM kit_audit_seal ORDER BY seq")
        )
    ).all()
    before, txid, row_id, total = _GENESIS, "0", 0, 0
    for expected, (seq, upto_txid, upto_id, number, link) in enumerate(seals, start=1):
        found = (
            await connection.execute(_SEALED, {"txid": txid, "id": row_id, "upto_txid": upto_txid, "upto_id": upto_id})
        ).one()
        if seq != expected or found[0] != number or mac(before + found[1].encode()) != bytes(link):
            raise AuditBroken(seq=expected)
        before, txid, row_id, total = bytes(link), upto_txid, upto_id, total + number
    if anchored is not None:
        _check_anchor(anchored, {int(row[0]): bytes(row[4]).hex() for row in seals})
    return total


def _anchored(anchor: Path) -> dict[int, str]:
    lines = anchor.read_text(encoding="ascii").splitlines() if anchor.exists() else []
    return {int(found[1]): found[2] for line in lines if (found := _LINE.fullmatch(line))}


def _check_anchor(anchored: dict[int, str], seals: dict[int, str]) -> None:
    """Compare the chain with the file outside, in both directions; only the newest seal may not be there yet."""
    for seq, link in anchored.items():
        if seals.get(seq) != link:
            raise AuditBroken(seq=seq)
    for seq in seals.keys() - anchored.keys() - {len(seals)}:
        raise AuditBroken(seq=seq)
