"""Mending of what ``divergence`` found, by the same announcements that should have kept the sides together."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, select, text, update

from yimatong.cards.models import account, physical_card
from yimatong.cards.registry import indexing, queries
from yimatong.cards.registry.announcing import announce_cards, announce_gone, announce_persons
from yimatong.cards.registry.divergence import Divergence
from yimatong.cards.registry.queries import LIVE_STATES
from yimatong.cards.registry.service import aad
from yimatong.crypto.errors import SealBroken
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection

BATCH = 200
_OF_PERSONS = frozenset(
    {
        *("account_unknown", "entry_account", "entry_state", "cancelled_account"),
        *("entry_person", "entry_of_nobody", "card_without_person"),
    }
)
_OF_CARDS = frozenset({"card_account", "link_missing", "link_differs"})

_OF_INDEX = frozenset({"index_missing", "index_differs"})

_RAISE = text(
    """
    UPDATE cards_physical_card c SET version = greatest(c.version, i.held) + 1
    FROM unnest(cast(:cards AS text[]), cast(:held AS bigint[])) AS i (card_id, held), cards_registry_resident r
    WHERE c.card_id = i.card_id AND r.id_type = c.id_type AND r.id_blind = c.id_blind
    RETURNING c.*, r.mpi
    """
)

_TELL_AGAIN = text(
    """
    UPDATE cards_physical_card c
    SET vuid = r.vuid,
        version = greatest(c.version, (SELECT a.version FROM cards_account_card a WHERE a.card_id = c.card_id)) + 1
    FROM cards_registry_resident r
    WHERE c.card_id = ANY(:cards) AND r.id_type = c.id_type AND r.id_blind = c.id_blind
    RETURNING c.*
    """
)


async def mend(connection: Connection, vault: Vault, found: Sequence[Divergence], *, now: datetime) -> None:
    """Write the announcements that mend these divergences; what needs a person to decide is left alone."""
    await _tell_index(connection, vault, [each for each in found if each.kind in _OF_INDEX], now=now)
    by_person: dict[UUID, Divergence] = {}
    for each in found:
        if each.kind in _OF_PERSONS and each.person is not None:
            before = by_person.get(each.person)
            if before is None or before.version < each.version:
                by_person[each.person] = each
    if by_person:
        await announce_persons(
            connection,
            list(by_person),
            now=now,
            seen={mpi: (each.seen, each.version) for mpi, each in by_person.items()},
        )
    cards = [each.key for each in found if each.kind in _OF_CARDS]
    if cards:
        told = await connection.execute(_TELL_AGAIN, {"cards": cards})
        await announce_cards(connection, told.all(), now=now)
    gone = [each.key for each in found if each.kind == "link_of_nobody"]
    await announce_gone(connection, gone, now=now)
    for each in found:
        if each.kind == "alias_chain" and each.person is not None:
            await _straighten(connection, each.key, each.person)
        elif each.kind.startswith("duplicate_"):
            await _settle(connection, each.key, now=now)


async def _tell_index(connection: Connection, vault: Vault, found: Sequence[Divergence], *, now: datetime) -> None:
    """Tell the card index of cards again, with a version that is newer than the one it has."""
    if not found:
        return
    sealer, blinder = await vault.sealer(), await vault.blinder()
    held = {each.key: each.version for each in found}
    told = []
    for row in await connection.execute(_RAISE, {"cards": list(held), "held": list(held.values())}):
        try:
            number, chip = msgspec.json.decode(sealer.unseal(bytes(row.sealed), aad(row.card_id)))
        except SealBroken:  # the row was edited: a person has to look at it, the others are mended
            continue
        told.append(indexing.card(row, number=number, chip_number=chip, mpi=row.mpi))
    await indexing.tell_cards(connection, told, sealer=sealer, blinder=blinder, now=now)


async def _straighten(connection: Connection, vuid: str, mpi: UUID) -> None:
    """Let an alias point to its person's account of today; without one nothing is known to point to."""
    standing = (await queries.accounts_of_persons(connection, [mpi])).get(mpi)
    if standing is not None:
        await connection.execute(
            update(account).where(account.c.vuid == vuid, account.c.state == "alias").values(alias_of=standing.vuid)
        )


async def _settle(connection: Connection, card_id: str, *, now: datetime) -> None:
    """Of several cards in force with one number or chip let the newest replace the others, if all are one person's."""
    first = (await connection.execute(select(physical_card).where(physical_card.c.card_id == card_id))).one()
    alike = [row for row in await _alike(connection, first) if row.state in LIVE_STATES]
    if len({(row.id_type, bytes(row.id_blind)) for row in alike}) != 1:
        return
    newest, *older = alike
    changed = await connection.execute(
        update(physical_card)
        .where(physical_card.c.card_id.in_([row.card_id for row in older]))
        .values(state="replaced", replaced_by=newest.card_id, version=physical_card.c.version + 1, changed_at=now)
        .returning(*physical_card.c)
    )
    rows = changed.all()
    await indexing.tell_states(connection, rows, now=now)
    await announce_cards(connection, [row for row in rows if row.vuid], now=now)


async def _alike(connection: Connection, row: Row[Any]) -> Sequence[Row[Any]]:
    chips = [bytes(row.chip_blind)] if row.chip_blind is not None else []
    return await queries.cards_like(connection, numbers=[(row.card_type, bytes(row.number_blind))], chips=chips)
