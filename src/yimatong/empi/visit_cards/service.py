"""就诊卡交叉索引: the number of a visit card, known only within its institution, points to a person.

The number is kept sealed; it is found by a keyed blind that holds the institution too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.kit.arrays import octets, plain
from yimatong.kit.db import RawConnection

_FIND = """
    SELECT i.ord, v.mpi FROM unnest(%s::int[], %s::bytea[]) AS i (ord, b)
    JOIN LATERAL (SELECT coalesce(p.current_mpi, c.mpi) AS mpi
                  FROM empi_visit_card c LEFT JOIN empi_person p ON p.mpi = c.mpi
                  WHERE c.institution_id = %s AND c.number_blind = i.b LIMIT 1) v ON true
"""
_ENTER = """
    INSERT INTO empi_visit_card (institution_id, number_blind, number_sealed, mpi, since)
    SELECT %s, b, s, m, %s::timestamptz FROM unnest(%s::bytea[], %s::bytea[], %s::uuid[]) AS i (b, s, m) ORDER BY b
    ON CONFLICT DO NOTHING RETURNING number_blind
"""


class NumberedPerson(msgspec.Struct, frozen=True, kw_only=True):
    """A visit card number and whose it is."""

    number: str
    mpi: UUID


def blind(blinder: Blinder, institution_id: str, number: str) -> bytes:
    """Return the 16-byte blind of a number within its institution."""
    return blinder.card_blind(f"visit:{institution_id}", number)


async def find_many(connection: RawConnection, institution_id: str, blinds: Sequence[bytes]) -> dict[int, UUID]:
    """Return the current person of each number that the institution has given out, by index."""
    if not blinds:
        return {}
    cursor = await connection.execute(_FIND, (plain(range(len(blinds))), octets(blinds), institution_id))
    rows: Sequence[Any] = await cursor.fetchall()
    return {row[0]: row[1] for row in rows}


async def enter_many(
    connection: RawConnection,
    institution_id: str,
    cards: Sequence[NumberedPerson],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> set[bytes]:
    """Enter numbers that were free, each once; return the blinds of those that were entered now."""
    if not cards:
        return set()
    blinds = [blind(blinder, institution_id, card.number) for card in cards]
    sealed = [
        sealer.seal(card.number.encode(), aad(institution_id, own)) for card, own in zip(cards, blinds, strict=True)
    ]
    columns = (institution_id, now, octets(blinds), octets(sealed), plain(card.mpi for card in cards))
    rows: Sequence[Any] = await (await connection.execute(_ENTER, columns)).fetchall()
    return {bytes(row[0]) for row in rows}


def aad(institution_id: str, number_blind: bytes) -> bytes:
    """Bind a sealed number to its row."""
    return f"empi_visit_card:{institution_id}:".encode() + number_blind
