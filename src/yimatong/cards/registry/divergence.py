"""Where the registry and the accounts differ although no message is on its way: found in key order, batch by batch.

Every batch reads both sides and the outbox on one snapshot, so what is being delivered this moment is no divergence,
and no transaction lives longer than a batch. What waits in the outbox is no divergence either; what was parked is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import text

from yimatong.cards.registry import indexing
from yimatong.cards.registry.announcing import CARDS_CHANGED
from yimatong.cards.topics import ACCOUNTS_CHANGED
from yimatong.empi.identifiers import media
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection, Database, raw

BATCH_ROWS = 2000

KINDS: Final[dict[str, tuple[str, str]]] = {
    "account_unknown": ("注册管理系统中没有该账户", "account without an entry in the registry"),
    "entry_account": ("登记的账户与实际不符", "entry names another account"),
    "entry_state": ("登记的账户状态与实际不符", "entry has another state of the account"),
    "cancelled_account": ("有效实体卡仍挂在已注销的账户上", "card in force at a cancelled account"),
    "entry_person": ("登记的主索引与索引不符", "entry names another person than the index"),
    "entry_of_nobody": ("登记的账户不存在", "entry names an account that does not exist"),
    "alias_chain": ("旧卡号没有直接指向现用账户", "alias that does not point to the account of today"),
    "card_without_person": ("实体卡没有持卡人登记", "card without a person"),
    "card_account": ("实体卡与持卡人的账户不符", "card and its holder's account differ"),
    "link_missing": ("账户一侧没有该实体卡", "account does not know its card"),
    "link_differs": ("账户一侧的实体卡信息不符", "account knows its card otherwise"),
    "link_of_nobody": ("账户一侧的实体卡不存在", "account knows a card that the registry has not"),
    "index_missing": ("卡索引中没有该实体卡", "the card index does not have the card"),
    "index_differs": ("卡索引中的实体卡信息不符", "the card index has the card otherwise"),
    "duplicate_number": ("同一卡号有多张有效卡", "several cards in force with one number"),
    "duplicate_chip": ("同一芯片号有多张有效卡", "several cards in force with one chip"),
}
"""Every kind of divergence: Chinese, English."""


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """One place where the sides differ. ``key`` is a VUID, a card id, or the first octets of a certificate's blind.

    ``person`` is whom to announce; ``seen`` the VUID that the registry names; ``version`` the one that it holds.
    """

    kind: str
    key: str
    person: UUID | None = None
    seen: str | None = None
    version: int = 0


class Progress(msgspec.Struct, kw_only=True):
    """How far the walk is: counted so far."""

    accounts: int = 0
    cards: int = 0


_PERSONS = text("SELECT DISTINCT mpi FROM cards_account WHERE mpi > :after ORDER BY mpi LIMIT :rows")

_ACCOUNTS = text(
    """
    WITH standing AS (
        SELECT DISTINCT ON (mpi) mpi, vuid, state FROM cards_account
        WHERE mpi > :after AND mpi <= :last AND state <> 'alias'
        ORDER BY mpi, (state = 'cancelled'), opened_at DESC, generation DESC)
    SELECT CASE WHEN r.mpi IS NULL THEN 'account_unknown'
                WHEN r.vuid IS DISTINCT FROM a.vuid THEN 'entry_account'
                WHEN a.state = 'cancelled' AND EXISTS (
                    SELECT 1 FROM cards_physical_card c WHERE c.id_type = r.id_type AND c.id_blind = r.id_blind
                    AND c.state IN ('issued', 'lost')) THEN 'cancelled_account'
                ELSE 'entry_state' END AS kind,
           a.vuid AS key, a.mpi AS person, r.vuid AS seen, coalesce(r.account_version, 0) AS version
    FROM standing a LEFT JOIN cards_registry_resident r ON r.mpi = a.mpi
    WHERE r.mpi IS NULL OR r.vuid IS DISTINCT FROM a.vuid OR r.account_state IS DISTINCT FROM a.state
    ORDER BY a.mpi
    """
)

_ALIASES = text(
    """
    SELECT DISTINCT 'alias_chain' AS kind, a.vuid AS key, a.mpi AS person, a.alias_of AS seen, 0 AS version
    FROM cards_account a
    WHERE a.mpi > :after AND a.mpi <= :last AND a.state = 'alias'
      AND NOT EXISTS (SELECT 1 FROM cards_account t WHERE t.vuid = a.alias_of AND t.state <> 'alias')
    """
)

_ENTRIES = text(
    """
    SELECT r.id_type, r.id_blind, r.mpi, r.vuid, r.account_version,
           r.vuid IS NOT NULL AND NOT EXISTS (SELECT 1 FROM cards_account a WHERE a.mpi = r.mpi) AS of_nobody
    FROM cards_registry_resident r WHERE (r.id_type, r.id_blind) > (:kind, :blind)
    ORDER BY r.id_type, r.id_blind LIMIT :rows
    """
)

_CARDS = text(
    """
    SELECT c.card_id, c.id_type, c.id_blind, c.vuid, c.state, c.issuer, r.mpi, r.vuid AS holder_vuid,
           a.card_id AS linked,
           (a.vuid, a.card_type, a.number_end, a.issuer, a.state) IS DISTINCT FROM
           (c.vuid, c.card_type, c.number_end, c.issuer, c.state) AS differs
    FROM cards_physical_card c
    LEFT JOIN cards_registry_resident r ON r.id_type = c.id_type AND r.id_blind = c.id_blind
    LEFT JOIN cards_account_card a ON a.card_id = c.card_id
    WHERE c.card_id > :after ORDER BY c.card_id LIMIT :rows
    """
)

_LINKS = text(
    """
    SELECT a.card_id, c.card_id IS NULL AS alone
    FROM cards_account_card a LEFT JOIN cards_physical_card c ON c.card_id = a.card_id
    WHERE a.card_id > :after ORDER BY a.card_id LIMIT :rows
    """
)

_DUPLICATES = {
    "duplicate_number": text(
        """
        SELECT min(card_id) AS key FROM cards_physical_card WHERE state IN ('issued', 'lost')
        GROUP BY card_type, number_blind HAVING count(*) > 1
        """
    ),
    "duplicate_chip": text(
        """
        SELECT min(card_id) AS key FROM cards_physical_card
        WHERE state IN ('issued', 'lost') AND chip_blind IS NOT NULL GROUP BY chip_blind HAVING count(*) > 1
        """
    ),
}

_PENDING = text(
    """
    SELECT DISTINCT each ->> :name FROM kit_outbox o, jsonb_array_elements(o.payload -> :list) each
    WHERE o.state = 'pending' AND o.topic = :topic AND each ->> :name = ANY(:keys)
    """
)
_PENDING_GONE = text(
    """
    SELECT DISTINCT each #>> '{}' FROM kit_outbox o, jsonb_array_elements(o.payload -> 'gone') each
    WHERE o.state = 'pending' AND o.topic = :topic AND each #>> '{}' = ANY(:keys)
    """
)


async def walk(db: Database, progress: Progress, *, rows: int = BATCH_ROWS) -> AsyncIterator[list[Divergence]]:
    """Yield what differs, batch by batch, and keep count in ``progress``."""
    for part in (_walk_accounts, _walk_entries, _walk_cards, _walk_links):
        async for found in part(db, progress, rows):
            yield found
    async with db.read() as connection:
        yield [
            Divergence(kind=kind, key=row.key)
            for kind, query in _DUPLICATES.items()
            for row in await connection.execute(query)
        ]


async def _walk_accounts(db: Database, progress: Progress, rows: int) -> AsyncIterator[list[Divergence]]:
    after = UUID(int=0)
    while True:
        async with db.read() as connection:
            mpis = (await connection.execute(_PERSONS, {"after": after, "rows": rows})).scalars().all()
            if not mpis:
                return
            span = {"after": after, "last": mpis[-1]}
            found = [
                Divergence(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor
                for query in (_ACCOUNTS, _ALIASES)
                for row in await connection.execute(query, span)
            ]
            settled = await _unless_told(connection, found)
        after, progress.accounts = mpis[-1], progress.accounts + len(mpis)
        yield settled


async def _walk_entries(db: Database, _progress: Progress, rows: int) -> AsyncIterator[list[Divergence]]:
    kind, blind = "", b""
    while True:
        async with db.read() as connection:
            seen = (await connection.execute(_ENTRIES, {"kind": kind, "blind": blind, "rows": rows})).all()
            if not seen:
                return
            claims = await persons.claims(connection, [(row.id_type, bytes(row.id_blind)) for row in seen])
            found = []
            for row in seen:
                claimed = claims.get((row.id_type, bytes(row.id_blind)))
                facts = {"key": bytes(row.id_blind).hex()[:16], "seen": row.vuid, "version": row.account_version}
                if claimed is not None and claimed != row.mpi:
                    found.append(Divergence(kind="entry_person", person=claimed, **facts))
                elif row.of_nobody:
                    found.append(Divergence(kind="entry_of_nobody", person=row.mpi, **facts))
            settled = await _unless_told(connection, found)
        kind, blind = seen[-1].id_type, bytes(seen[-1].id_blind)
        yield settled


async def _walk_cards(db: Database, progress: Progress, rows: int) -> AsyncIterator[list[Divergence]]:
    after = ""
    while True:
        async with db.read() as connection:
            seen = (await connection.execute(_CARDS, {"after": after, "rows": rows})).all()
            if not seen:
                return
            alone = [(row.id_type, bytes(row.id_blind)) for row in seen if row.mpi is None]
            claims = await persons.claims(connection, alone)
            found = []
            for row in seen:
                kind = _card_fault(row)
                if kind:
                    person = row.mpi or claims.get((row.id_type, bytes(row.id_blind)))
                    found.append(Divergence(kind=kind, key=row.card_id, person=person, seen=row.vuid))
            found += await _index_faults(connection, seen)
            settled = await _unless_told(connection, found)
        after, progress.cards = seen[-1].card_id, progress.cards + len(seen)
        yield settled


async def _index_faults(connection: Connection, rows: Sequence[Any]) -> list[Divergence]:
    """Compare cards with the card index; it is told in the card's own transaction, so nothing is ever on its way."""
    known = await media.standing(await raw(connection), [row.card_id for row in rows])
    found = []
    for row in rows:
        there = known.get(row.card_id)
        if there is None:
            found.append(Divergence(kind="index_missing", key=row.card_id))
        elif (there.status, there.issuer) != (indexing.STATUS[row.state], row.issuer):
            found.append(Divergence(kind="index_differs", key=row.card_id, version=there.version))
    return found


def _card_fault(row: Any) -> str:
    """Return the kind of what is wrong with a card, the root first; empty when nothing is."""
    if row.mpi is None:
        return "card_without_person"
    if row.vuid != row.holder_vuid:
        return "card_account"
    if row.linked is None:
        return "link_missing" if row.vuid else ""
    return "link_differs" if row.differs else ""


async def _walk_links(db: Database, _progress: Progress, rows: int) -> AsyncIterator[list[Divergence]]:
    after = ""
    while True:
        async with db.read() as connection:
            seen = (await connection.execute(_LINKS, {"after": after, "rows": rows})).all()
            if not seen:
                return
            found = [Divergence(kind="link_of_nobody", key=row.card_id) for row in seen if row.alone]
            settled = await _unless_told(connection, found)
        after = seen[-1].card_id
        yield settled


async def _unless_told(connection: Connection, found: Sequence[Divergence]) -> list[Divergence]:
    """Leave out what a waiting message is about; an alias is nobody's news."""
    if not found:
        return []
    told_persons = await _waiting(
        connection, "persons", "mpi", ACCOUNTS_CHANGED, [each.person.hex for each in found if each.person]
    )
    cards = [each.key for each in found]
    told_cards = await _waiting(connection, "cards", "card_id", CARDS_CHANGED, cards)
    gone = await connection.execute(_PENDING_GONE, {"topic": CARDS_CHANGED, "keys": cards})
    told_cards |= {row[0] for row in gone}
    return [
        each
        for each in found
        if each.kind in ("alias_chain", "index_missing", "index_differs")
        or not ((each.person is not None and each.person.hex in told_persons) or each.key in told_cards)
    ]


async def _waiting(connection: Connection, list_name: str, name: str, topic: str, keys: list[str]) -> set[str]:
    rows = await connection.execute(_PENDING, {"list": list_name, "name": name, "topic": topic, "keys": keys})
    return {row[0] for row in rows}
