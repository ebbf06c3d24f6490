"""The audit chain: what is sealed cannot be edited, removed, added to, moved or cut off unseen."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from yimatong.kit import audit
from yimatong.kit.db import Database

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)


def mac(text: bytes) -> bytes:
    return hmac.digest(b"a key of the tests", text, hashlib.sha256)


@pytest.fixture
def owner(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Somebody with every right on the tables, who takes the triggers off first."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in ("kit_audit_event", "kit_audit_seal"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        connection.execute("TRUNCATE kit_audit_event, kit_audit_seal")
        yield connection
        connection.execute("TRUNCATE kit_audit_event, kit_audit_seal")
        for table in ("kit_audit_event", "kit_audit_seal"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    made = Database(database_url)
    yield made
    await made.close()


async def write(db: Database, *names: str) -> None:
    async with db.transaction() as connection:
        for name in names:
            await audit.record(
                connection,
                actor=name,
                action="tests:write",
                object_kind="thing",
                object_id='a "quoted", (odd)\nname',
                request_id="req_1",
                now=NOW,
            )


async def seal(db: Database, anchor: Path | None = None) -> int:
    async with db.transaction() as connection:
        sealed = await audit.seal(connection, mac, now=NOW)
    if anchor is not None:
        async with db.read() as connection:
            await audit.write_anchor(connection, anchor)
    return sealed


async def verify(db: Database, anchor: Path | None = None) -> int:
    async with db.read() as connection:
        return await audit.verify(connection, mac, anchor=anchor)


@pytest.fixture
async def chain(db: Database, owner: object, tmp_path: Path) -> Path:
    """Three seals over seven rows, and the file outside."""
    anchor = tmp_path / "anchor.log"
    for names in (("a", "b"), ("c", "d", "e"), ("f", "g")):
        await write(db, *names)
        assert await seal(db, anchor) == len(names)
    assert await verify(db, anchor) == 7
    return anchor


ROW = "(SELECT id FROM kit_audit_event WHERE actor = '{}')"
TAMPERING = {
    "edit": "UPDATE kit_audit_event SET result = 'refused' WHERE actor = 'd'",
    "edit a time": "UPDATE kit_audit_event SET at = at + interval '1 second' WHERE actor = 'a'",
    "edit to null": "UPDATE kit_audit_event SET institution_id = '' WHERE actor = 'a'",
    "delete": "DELETE FROM kit_audit_event WHERE actor = 'd'",
    "delete the first": "DELETE FROM kit_audit_event WHERE actor = 'a'",
    "delete all of one seal": "DELETE FROM kit_audit_event WHERE actor IN ('c', 'd', 'e')",
    "insert": "INSERT INTO kit_audit_event OVERRIDING SYSTEM VALUE SELECT txid, -1, at, 'x', institution_id, action, "
    "object_kind, object_id, result, request_id, detail FROM kit_audit_event WHERE actor = 'd'",
    "move a row to another seal": "UPDATE kit_audit_event SET txid = (SELECT txid FROM kit_audit_event "
    "WHERE actor = 'f') WHERE actor = 'e'",
    "swap two rows": "UPDATE kit_audit_event SET actor = CASE actor WHEN 'c' THEN 'd' ELSE 'c' END "
    "WHERE actor IN ('c', 'd')",
    "move a border between cells": "UPDATE kit_audit_event SET actor = 'd,tests:write', action = '' WHERE actor = 'd'",
    "edit a seal": "UPDATE kit_audit_seal SET mac = '\\x00' WHERE seq = 2",
    "delete a seal": "DELETE FROM kit_audit_seal WHERE seq = 2",
    "delete the first seal": "DELETE FROM kit_audit_seal WHERE seq = 1",
    "renumber the seals": "UPDATE kit_audit_seal SET seq = seq + 10",
    "stretch a seal": "UPDATE kit_audit_seal SET rows = rows + 1 WHERE seq = 2",
}


@pytest.mark.parametrize("statement", TAMPERING.values(), ids=TAMPERING.keys())
async def test_tampering_is_found(
    db: Database, owner: psycopg.Connection[tuple[object, ...]], chain: Path, statement: str
) -> None:
    assert owner.execute(statement).rowcount > 0
    with pytest.raises(audit.AuditBroken):
        await verify(db)


async def test_the_end_can_be_cut_off_unseen_without_the_file_outside_only(
    db: Database, owner: psycopg.Connection[tuple[object, ...]], chain: Path
) -> None:
    owner.execute("DELETE FROM kit_audit_event WHERE actor IN ('f', 'g')")
    owner.execute("DELETE FROM kit_audit_seal WHERE seq = 3")
    assert await verify(db) == 5
    with pytest.raises(audit.AuditBroken):
        await verify(db, chain)


async def test_everything_can_not_be_wiped(
    db: Database, owner: psycopg.Connection[tuple[object, ...]], chain: Path
) -> None:
    owner.execute("TRUNCATE kit_audit_event, kit_audit_seal")
    with pytest.raises(audit.AuditBroken):
        await verify(db, chain)


async def test_a_chain_made_anew_with_another_key_is_found(
    db: Database, owner: psycopg.Connection[tuple[object, ...]], chain: Path
) -> None:
    owner.execute("UPDATE kit_audit_event SET result = 'refused' WHERE actor = 'd'")
    owner.execute("TRUNCATE kit_audit_seal")
    async with db.transaction() as connection:
        await audit.seal(connection, lambda text: hashlib.sha256(text).digest(), now=NOW)
    with pytest.raises(audit.AuditBroken):
        await verify(db)


async def test_the_file_outside_cannot_be_removed_or_edited_unseen(db: Database, chain: Path) -> None:
    whole = chain.read_text()
    chain.unlink()
    with pytest.raises(audit.AuditBroken):
        await verify(db, chain)
    chain.write_text(whole.replace(whole[3], "f" if whole[3] != "f" else "0", 1))
    with pytest.raises(audit.AuditBroken):
        await verify(db, chain)


async def test_a_seal_that_the_file_does_not_have_yet_is_no_alarm(db: Database, chain: Path) -> None:
    await write(db, "h")
    await seal(db)
    assert await verify(db, chain) == 8
    await write(db, "i")
    await seal(db, chain)
    assert await verify(db, chain) == 9
    assert len(chain.read_text().splitlines()) == 5


async def test_a_torn_line_is_written_again(db: Database, chain: Path) -> None:
    whole = chain.read_text()
    chain.write_text(whole[:-40])
    await write(db, "h")
    await seal(db, chain)
    assert await verify(db, chain) == 8
    assert chain.read_text().startswith(whole[:-40] + "\n")


async def test_a_transaction_that_commits_late_never_slips_behind_a_seal(
    db: Database, database_url: str, owner: object
) -> None:
    late = await psycopg.AsyncConnection.connect(database_url)
    insert = (
        "INSERT INTO kit_audit_event (at, actor, action, object_kind, object_id, result, request_id) "
        "VALUES (now(), %s, 'tests:write', 'thing', '1', 'ok', 'req_2')"
    )
    await late.execute(insert, ("late",))
    await write(db, "early")
    assert await seal(db) == 0  # newer than an open transaction: below no horizon yet
    await late.execute(insert, ("later",))
    await late.commit()
    await write(db, "last")
    assert await seal(db) == 4
    assert await seal(db) == 0
    assert await verify(db) == 4
    await late.close()


async def test_a_rolled_back_row_leaves_no_gap(db: Database, owner: object) -> None:
    await write(db, "kept")
    with contextlib.suppress(ZeroDivisionError):
        async with db.transaction() as connection:
            facts = {"action": "a", "object_kind": "k", "object_id": "i", "request_id": "r"}
            await audit.record(connection, actor="gone", now=NOW, **facts)
            raise ZeroDivisionError
    await write(db, "kept too")
    assert await seal(db) == 2
    assert await verify(db) == 2


async def test_two_sealers_at_once_make_one_chain(db: Database, database_url: str, owner: object) -> None:
    await write(db, "one")
    other = Database(database_url)
    async with db.transaction() as first, other.transaction() as second:
        assert await audit.seal(first, mac, now=NOW) == 1
        assert await audit.seal(second, mac, now=NOW) == 0
    await other.close()
    assert await verify(db) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kit_audit_event SET result = 'x'",
        "DELETE FROM kit_audit_event",
        "TRUNCATE kit_audit_event",
        "UPDATE kit_audit_seal SET mac = ''",
        "DELETE FROM kit_audit_seal",
        "TRUNCATE kit_audit_seal",
    ],
)
async def test_the_database_takes_insertions_only(db: Database, database_url: str, statement: str) -> None:
    await write(db, "here")
    await seal(db)
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.IntegrityError, match="inserted"):
        connection.execute(statement)


async def test_newest_rows_come_in_pages(db: Database, owner: object) -> None:
    await write(db, *(f"actor-{number}" for number in range(5)))
    async with db.read() as connection:
        first = await audit.latest(connection, limit=3)
        rest = await audit.latest(connection, before=first[-1].mark, limit=3)
        assert [row.actor for row in (*first, *rest)] == [f"actor-{number}" for number in (4, 3, 2, 1, 0)]
        assert [row.actor for row in await audit.latest(connection, actor="actor-2")] == ["actor-2"]
        for mark in ("x", "1", "1.x", "1.1.1", "9" * 30 + ".1"):
            with pytest.raises(ValueError, match="mark"):
                await audit.latest(connection, before=mark)


async def test_a_database_restored_from_a_logical_dump_is_refused(
    db: Database, owner: psycopg.Connection[tuple[object, ...]]
) -> None:
    """Such a cluster counts its transactions anew: its rows would stand before the last seal and never be chained."""
    await write(db, "before")
    assert await seal(db) == 1
    owner.execute("UPDATE kit_audit_seal SET upto_txid = '9000000000000'")
    await write(db, "after")
    with pytest.raises(audit.AuditOutOfOrder):
        await seal(db)
