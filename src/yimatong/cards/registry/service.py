"""Verbs of the registry of physical cards: who is known, entering cards, lost, found, replaced, cancelled.

Entering is set-based and idempotent: the same plastic (number, type, chip, holder) is one card however often it comes.
Two unique indexes decide every race: a number of a type, and a chip, belong to one card in force.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access.caller import Caller
from yimatong.cards.errors import (
    CardCancelled,
    CardChangeNotAllowed,
    CardNumberInvalid,
    CardNumberTaken,
    CardReplaced,
    CardTypeUnknown,
    ChipNumberTaken,
    RegistrationRaced,
)
from yimatong.cards.models import card_event, physical_card, registry_resident
from yimatong.cards.registry import indexing, queries
from yimatong.cards.registry.announcing import announce, announce_cards
from yimatong.cards.registry.queries import LIVE_STATES, RegistryEntry
from yimatong.cards.registry.schemas import CARD_TYPES, CardView, Replacement
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder, comparable_number
from yimatong.crypto.vault import Vault
from yimatong.empi.identifiers.media import Card
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput, Refusal
from yimatong.kit.ids import new_id

__all__ = ["announce", "ask", "change_state", "enter_many", "plastic", "replace"]

_NUMBER: Final = re.compile(r"[0-9A-Z-]{4,40}", re.ASCII)
_END = 4


class Plastic(msgspec.Struct, frozen=True, kw_only=True):
    """A card to be entered: what is printed and stored on it, and whose it is. Blinds have 16 bytes."""

    card_type: str
    card_number: str
    chip_number: str
    number_blind: bytes
    chip_blind: bytes | None
    issuer: str
    id_type: str
    id_blind: bytes
    mpi: UUID
    institution_id: str | None
    actor: str

    @property
    def holder(self) -> tuple[str, bytes]:
        """Return the holder's certificate."""
        return self.id_type, self.id_blind

    def indexed(self, row: Row[Any]) -> Card:
        """Return the card as the card index takes it, once it is a row of the registry."""
        return indexing.card(row, number=self.card_number, chip_number=self.chip_number, mpi=self.mpi)

    def is_row(self, row: Row[Any]) -> bool:
        """Say whether a row of the registry is this very plastic; a chip that one side lacks is no difference."""
        chips = {self.chip_blind, _blind(row.chip_blind)} - {None}
        return (
            (row.card_type, bytes(row.number_blind)) == (self.card_type, self.number_blind)
            and (row.id_type, bytes(row.id_blind)) == self.holder
            and len(chips) <= 1
        )


async def ask(connection: Connection, *, id_type: str, id_blind: bytes) -> RegistryEntry | None:
    """Return the registry's entry of a certificate, or None when it knows nobody."""
    row = (await queries.entries(connection, [(id_type, id_blind)])).get((id_type, id_blind))
    return None if row is None else RegistryEntry(mpi=row.mpi, vuid=row.vuid)


def plastic(
    *,
    card_type: str,
    card_number: str,
    chip_number: str,
    issuer: str,
    holder: tuple[str, bytes],
    mpi: UUID,
    caller: tuple[str, str | None],
    blinder: Blinder,
) -> Plastic:
    """Return a card in normal form; ``caller`` is (id, institution), ``chip_number`` empty for a card without a chip.

    Raises:
        CardTypeUnknown, CardNumberInvalid; InvalidInput: an issuer that cannot be printed.
    """
    if card_type not in CARD_TYPES:
        raise CardTypeUnknown(card_type=card_type)
    if not issuer.isprintable():
        raise InvalidInput(detail="issuer")
    number, chip = comparable_number(card_number), comparable_number(chip_number)
    if not _NUMBER.fullmatch(number) or (chip and not _NUMBER.fullmatch(chip)):
        raise CardNumberInvalid
    return Plastic(
        card_type=card_type,
        card_number=number,
        chip_number=chip,
        number_blind=blinder.card_blind(card_type, number),
        chip_blind=blinder.chip_blind(chip) if chip else None,
        issuer=issuer,
        id_type=holder[0],
        id_blind=holder[1],
        mpi=mpi,
        institution_id=caller[1],
        actor=caller[0],
    )


async def enter_many(
    connection: Connection,
    wanted: Sequence[Plastic],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    known_dead: bool = False,
) -> list[Row[Any] | Refusal]:
    """Enter cards and their holders; return, in order, each one's row, or why it was refused.

    The same plastic again gives its row and changes nothing. Plastic that was replaced or cancelled is refused, or with
    ``known_dead`` (a delivery that comes late) given back as it is: nothing brings it back to life.

    Raises:
        RegistrationRaced: cards change hands this very moment.
    """
    vuids = await _enter_holders(connection, wanted, now=now)
    results: list[Row[Any] | Refusal | None] = [None] * len(wanted)
    for _ in range(3):  # a card that another transaction enters this moment is seen in the next round
        open_places = [place for place, result in enumerate(results) if result is None]
        if not open_places:
            break
        known = await queries.cards_like(
            connection,
            numbers=[(wanted[place].card_type, wanted[place].number_blind) for place in open_places],
            chips=[blind for place in open_places if (blind := wanted[place].chip_blind)],
        )
        for place in open_places:
            results[place] = _known(wanted[place], known, known_dead=known_dead)
        new = [wanted[place] for place in open_places if results[place] is None]
        await _insert(connection, new, vuids, sealer=sealer, blinder=blinder, now=now)
    entered = [result for result in results if result is not None]
    if len(entered) < len(wanted):
        raise RegistrationRaced
    return entered


def _known(card: Plastic, known: Iterable[Row[Any]], *, known_dead: bool) -> Row[Any] | Refusal | None:
    """Judge a card against those that have its number or its chip, in force first. None: it is new."""
    alike = [
        row
        for row in known
        if (row.card_type, bytes(row.number_blind)) == (card.card_type, card.number_blind)
        or (card.chip_blind is not None and _blind(row.chip_blind) == card.chip_blind)
    ]
    for row in alike:
        if row.state in LIVE_STATES:
            if card.is_row(row):
                return row
            same_number = (row.card_type, bytes(row.number_blind)) == (card.card_type, card.number_blind)
            return CardNumberTaken() if same_number else ChipNumberTaken()
    for row in alike:
        if card.is_row(row):
            if known_dead:
                return row
            return CardReplaced() if row.state == "replaced" else CardCancelled()
    return None


async def _enter_holders(
    connection: Connection, wanted: Sequence[Plastic], *, now: datetime
) -> dict[tuple[str, bytes], str | None]:
    """Enter the holders, and lock their entries, so that news of their accounts waits for their cards; return VUIDs."""
    holders = {card.holder: card.mpi for card in sorted(wanted, key=lambda card: card.holder)}
    if not holders:
        return {}
    await connection.execute(
        upsert(registry_resident)
        .values(
            [
                {"id_type": kind, "id_blind": blind, "mpi": mpi, "synchronised_at": now}
                for (kind, blind), mpi in holders.items()
            ]
        )
        .on_conflict_do_nothing()
    )
    locked = await queries.entries(connection, list(holders), for_update=True)
    return {certificate: row.vuid for certificate, row in locked.items()}


async def _insert(
    connection: Connection,
    new: Sequence[Plastic],
    vuids: dict[tuple[str, bytes], str | None],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    if not new:
        return
    ordered = sorted(new, key=lambda card: (card.card_type, card.number_blind))
    rows = [_row(card, new_id("pcd"), vuids[card.holder], sealer=sealer, now=now) for card in ordered]
    entered = (
        await connection.execute(
            upsert(physical_card).values(rows).on_conflict_do_nothing().returning(*physical_card.c)
        )
    ).all()
    known = {row["card_id"]: card for row, card in zip(rows, ordered, strict=True)}
    await _note(connection, [(row.card_id, "issued", known[row.card_id].actor) for row in entered], now=now)
    told = [known[row.card_id].indexed(row) for row in entered]
    await indexing.tell_cards(connection, told, sealer=sealer, blinder=blinder, now=now)
    await announce_cards(connection, [row for row in entered if row.vuid], now=now)


def _row(card: Plastic, card_id: str, vuid: str | None, *, sealer: Sealer, now: datetime) -> dict[str, object]:
    numbers = msgspec.json.encode([card.card_number, card.chip_number])
    return {
        "card_id": card_id,
        "card_type": card.card_type,
        "number_blind": card.number_blind,
        "number_end": number_end(card.card_number),
        "chip_blind": card.chip_blind,
        "sealed": sealer.seal(numbers, aad(card_id)),
        "issuer": card.issuer,
        "state": "issued",
        "id_type": card.id_type,
        "id_blind": card.id_blind,
        "vuid": vuid,
        "institution_id": card.institution_id,
        "issued_at": now,
        "changed_at": now,
    }


def aad(card_id: str) -> bytes:
    """Bind the sealed numbers to their card."""
    return b"cards_physical_card:" + card_id.encode()


def number_end(number: str) -> str:
    """Return all of a number that is shown: the last four characters, of a short number the last one."""
    return number[-_END:] if len(number) >= 2 * _END else number[-1:]


async def change_state(connection: Connection, card_id: str, state: str, *, caller: Caller, now: datetime) -> CardView:
    """Report a card lost (``lost``), found again (``issued``), or cancel it (``cancelled``).

    Raises:
        CardNotFound: none, or not this caller's. CardReplaced, CardCancelled: it does not change any more.
        CardChangeNotAllowed: an app reports cards lost and nothing else.
    """
    row = await queries.held(connection, card_id, scope=caller.scope, for_update=True)
    if caller.kind == "app" and state != "lost":
        raise CardChangeNotAllowed
    if row.state == state:
        return queries.view(row)
    _require_live(row)
    changed = await _set(connection, row, what=state, actor=caller.caller_id, now=now, state=state)
    return queries.view(changed)


async def replace(
    connection: Connection, vault: Vault, card_id: str, wanted: Replacement, *, caller: Caller, now: datetime
) -> CardView:
    """Put a new card in the place of one in force or lost, for the same holder; return the new one.

    The old one keeps its history and points to the new one. The new one may have the old one's number.

    Raises:
        CardNotFound, CardReplaced, CardCancelled: of the old card. CardNumberTaken, ChipNumberTaken: of the new one.
    """
    if caller.kind == "app":
        raise CardChangeNotAllowed
    sealer, blinder = await vault.sealer(), await vault.blinder()
    old = await queries.held(connection, card_id, scope=caller.scope, for_update=True)
    _require_live(old)
    holder = old.id_type, bytes(old.id_blind)
    entry = (await queries.entries(connection, [holder], for_update=True)).get(holder)
    card = plastic(
        card_type=old.card_type,
        card_number=wanted.card_number,
        chip_number=wanted.chip_number or "",
        issuer=wanted.issuer or old.issuer,
        holder=holder,
        mpi=entry.mpi if entry else UUID(int=0),
        caller=(caller.caller_id, caller.institution_id),
        blinder=blinder,
    )
    if card.is_row(old):
        raise CardNumberTaken  # the very plastic that is being replaced
    fresh = _row(card, new_id("pcd"), entry.vuid if entry else old.vuid, sealer=sealer, now=now)
    await _set(
        connection,
        old,
        what="replaced",
        actor=caller.caller_id,
        now=now,
        state="replaced",
        replaced_by=fresh["card_id"],
    )
    made = (
        await connection.execute(
            upsert(physical_card).values(fresh).on_conflict_do_nothing().returning(*physical_card.c)
        )
    ).first()
    if made is None:
        taken = await queries.cards_like(connection, numbers=[(card.card_type, card.number_blind)], chips=[])
        raise CardNumberTaken if any(row.state in LIVE_STATES for row in taken) else ChipNumberTaken
    await _note(connection, [(made.card_id, "issued", caller.caller_id)], now=now)
    await indexing.tell_cards(connection, [card.indexed(made)], sealer=sealer, blinder=blinder, now=now)
    if made.vuid:
        await announce_cards(connection, [made], now=now)
    return queries.view(made)


def _require_live(row: Row[Any]) -> None:
    if row.state == "replaced":
        raise CardReplaced
    if row.state == "cancelled":
        raise CardCancelled


async def _set(
    connection: Connection, row: Row[Any], *, what: str, actor: str, now: datetime, **values: object
) -> Row[Any]:
    """Change a locked card, write its history and tell the accounts."""
    changed = (
        await connection.execute(
            update(physical_card)
            .where(physical_card.c.card_id == row.card_id)
            .values(version=physical_card.c.version + 1, changed_at=now, **values)
            .returning(*physical_card.c)
        )
    ).one()
    await _note(connection, [(row.card_id, what, actor)], now=now)
    await indexing.tell_states(connection, [changed], now=now)
    if changed.vuid:
        await announce_cards(connection, [changed], now=now)
    return changed


async def _note(connection: Connection, notes: Sequence[tuple[str, str, str]], *, now: datetime) -> None:
    """Write history: (card id, what, actor)."""
    if notes:
        await connection.execute(
            insert(card_event),
            [
                {"card_id": card_id, "event_id": new_id("cev"), "what": what, "actor": actor, "at": now}
                for card_id, what, actor in notes
            ],
        )


def _blind(value: Any) -> bytes | None:
    return None if value is None else bytes(value)
