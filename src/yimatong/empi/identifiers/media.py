"""The card index (卡索引, guiding plan 5.2.5.2): cards as their own registry tells of them, and whose they are.

A registry tells in the transaction that changed a card (physical cards), or by the outbox right after it (electronic
cards); everything told carries the card's version, and what comes late changes nothing. A card that is replaced or
cancelled ends its cross index for good; one that is lost or frozen keeps it, and identifies nobody meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.identifiers import rules, statements
from yimatong.empi.identifiers.entering import Entered, NewNumber, enter_many
from yimatong.empi.identifiers.schemas import Medium
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection

_ENDS = {"replaced": "replaced", "cancelled": "cancelled"}


class Card(NamedTuple):
    """A card with all that the index keeps of it. ``kind`` is the code of its number's domain (``card:01``)."""

    medium_id: str
    kind: str
    number: str
    mpi: UUID
    provider: str
    issuer: str
    status: str = "active"
    chip_number: str = ""
    issued_on: date | None = None
    valid_to: date | None = None
    version: int = 1


class Standing(NamedTuple):
    """A card of the index; ``related``: it has a person now."""

    medium: Medium
    version: int
    related: bool


async def tell_many(
    connection: RawConnection, cards: Sequence[Card], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    """Take in cards, new ones and changed ones, with whose they are; a number of somebody else stays hers."""
    if not cards:
        return
    ids = [each.medium_id for each in cards]
    numbers = [rules.normal(each.kind, each.number) for each in cards]
    chips = [each.chip_number or None for each in cards]
    columns = (
        texts(ids),
        texts(each.kind for each in cards),
        octets(rules.blind(blinder, each.kind, text) for each, text in zip(cards, numbers, strict=True)),
        octets(sealer.seal(text.encode(), number_aad(own)) for text, own in zip(numbers, ids, strict=True)),
        _octets(None if chip is None else blinder.chip_blind(chip) for chip in chips),
        _octets(
            None if chip is None else sealer.seal(chip.encode(), chip_aad(own))
            for chip, own in zip(chips, ids, strict=True)
        ),
        texts(each.status for each in cards),
        texts(each.issuer for each in cards),
        plain(each.issued_on for each in cards),
        plain(each.valid_to for each in cards),
        plain(each.version for each in cards),
    )
    rows: Sequence[Any] = await (await connection.execute(statements.MEDIA, (now, now, *columns))).fetchall()
    changed = {row[0] for row in rows}
    await _follow(connection, [(each.medium_id, each.status) for each in cards if each.medium_id in changed], now=now)
    standing = [each for each in cards if each.medium_id in changed and each.status not in _ENDS]
    wanted = [NewNumber(each.kind, each.number, each.mpi, each.provider, each.medium_id) for each in standing]
    entered = await enter_many(connection, wanted, sealer=sealer, blinder=blinder, now=now)
    known = {
        each.medium_id: done.relation_id
        for each, done in zip(standing, entered, strict=True)
        if isinstance(done, Entered) and not done.fresh
    }
    if known:
        await connection.execute(statements.TIE, (texts(known.values()), texts(known)))


async def change_status(connection: RawConnection, cards: Sequence[tuple[str, str, int]], *, now: datetime) -> None:
    """Take in new states of known cards: (medium id, status, version)."""
    if not cards:
        return
    ids, states, versions = zip(*cards, strict=True)
    columns = (now, texts(ids), texts(states), plain(versions))
    rows: Sequence[Any] = await (await connection.execute(statements.MEDIUM_STATUS, columns)).fetchall()
    await _follow(connection, [(row[0], row[1]) for row in rows], now=now)


class Brief(NamedTuple):
    """How a card stands in the index. ``related``: it has a person now."""

    status: str
    issuer: str
    version: int
    related: bool


async def standing(connection: RawConnection, ids: Sequence[str]) -> dict[str, Brief]:
    """Return how cards stand, by their ids; nothing is unsealed."""
    if not ids:
        return {}
    rows: Sequence[Any] = await (await connection.execute(statements.MEDIA_OF, (texts(ids),))).fetchall()
    return {row[0]: Brief(row[2], row[3], row[6], row[9]) for row in rows}


async def of_ids(connection: RawConnection, ids: Sequence[str], *, sealer: Sealer) -> dict[str, Standing]:
    """Return the cards of the index by their ids, with their numbers in the clear."""
    if not ids:
        return {}
    rows: Sequence[Any] = await (await connection.execute(statements.MEDIA_OF, (texts(ids),))).fetchall()
    return {
        row[0]: Standing(
            Medium(
                medium_id=row[0],
                kind=row[1],
                number=sealer.unseal(bytes(row[7]), number_aad(row[0])).decode(),
                chip_number="" if row[8] is None else sealer.unseal(bytes(row[8]), chip_aad(row[0])).decode(),
                status=row[2],
                issuer=row[3],
                issued_on=row[4],
                valid_to=row[5],
            ),
            row[6],
            row[9],
        )
        for row in rows
    }


def number_aad(medium_id: str) -> bytes:
    """Bind a sealed number to its card."""
    return f"empi_medium:number:{medium_id}".encode()


def chip_aad(medium_id: str) -> bytes:
    """Bind a sealed chip number to its card."""
    return f"empi_medium:chip:{medium_id}".encode()


async def _follow(connection: RawConnection, changed: Sequence[tuple[str, str]], *, now: datetime) -> None:
    """End the cross indexes of cards that are over."""
    over = [(own, _ENDS[status]) for own, status in changed if status in _ENDS]
    if over:
        ids, reasons = zip(*over, strict=True)
        await connection.execute(statements.END_OF_MEDIA, (now, texts(ids), texts(reasons)))


def _octets(values: Any) -> str:
    return "{" + ",".join(["NULL" if value is None else '"\\\\x' + value.hex() + '"' for value in values]) + "}"
