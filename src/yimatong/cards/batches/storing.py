"""What a chunk stores, by kind: residents with their tags, visit cards with their residents, physical cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row

from yimatong.access.caller import PLATFORM, Scope
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.registration import Entry, Prepared, Registered
from yimatong.cards.batches import rows
from yimatong.cards.errors import RegistrationRaced, RowFieldInvalid, VisitCardTaken
from yimatong.cards.registry import arrivals
from yimatong.cards.registry.schemas import ArrivedCard
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import DomainSuspended
from yimatong.empi.persons.schemas import Demographics
from yimatong.empi.visit_cards import service as visit_cards
from yimatong.empi.visit_cards.service import NumberedPerson
from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.kit.errors import PlatformError

NOBODY: Final = UUID(int=0)

_TAG = """
    INSERT INTO cards_tag (vuid, tag, region_code, batch_id, since)
    SELECT v, %s, r, %s, %s::timestamptz FROM unnest(%s::text[], %s::text[]) AS i (v, r) ORDER BY v
    ON CONFLICT (vuid, tag) DO UPDATE SET until = NULL WHERE cards_tag.until IS NOT NULL
"""


class Line(msgspec.Struct, kw_only=True, eq=False):
    """One row on its way: its cells by field, the row that it repeats (0: none), its resident, what became of it."""

    row: int
    cells: dict[str, str]
    first: int = 0
    resident: Demographics | None = None
    visit_card: str = ""
    blind: bytes = b""
    done: Registered | None = None
    refusal: PlatformError | None = None
    opened: bool = False
    is_known: bool = False

    @property
    def given(self) -> Demographics:
        """Return the resident of a row that names one."""
        if self.resident is None:
            message = "this row names no resident"
            raise RuntimeError(message)
        return self.resident

    @property
    def certificate(self) -> tuple[str, bytes] | None:
        """Return certificate type and blind where they are known."""
        return (self.resident.id_type, self.blind) if self.resident is not None and self.blind else None


async def store(
    connection: Connection,
    vault: Vault,
    about: Row[Any],
    found: Sequence[Line],
    prepared: Mapping[int, Prepared],
    *,
    now: datetime,
) -> None:
    """Store a chunk in the open transaction; each line then knows what became of it.

    Raises:
        RegistrationRaced: somebody changed the same residents this moment; the whole chunk is tried again.
    """
    if about.kind == "physical-cards":
        await _store_cards(connection, vault, about, found, now=now)
        return
    inside = await raw(connection)
    if about.kind == "visit-cards":
        await _claim_numbers(inside, vault, about.institution_id, found, prepared)
    await _register(inside, vault, about, found, prepared, now=now)
    kept = [line for line in found if line.done is not None]
    if about.kind == "visit-cards":
        await _enter_numbers(inside, vault, about.institution_id, kept, now=now)
    if about.tag and kept:
        vuids: dict[str, str] = {}
        for line in kept:
            vuids.setdefault(line.done.vuid if line.done else "", rows.region(line.cells))
        columns = (about.tag, about.batch_id, now, plain(vuids), texts(vuids.values()))
        await inside.execute(_TAG, columns)


async def _register(
    inside: RawConnection,
    vault: Vault,
    about: Row[Any],
    found: Sequence[Line],
    prepared: Mapping[int, Prepared],
    *,
    now: datetime,
) -> None:
    origin = Origin(
        actor=about.made_by,
        actor_kind="operator",
        holder=about.institution_id or "platform",
        scope=PLATFORM if about.institution_id is None else Scope(institution_id=about.institution_id),
        institution_id=about.institution_id,
        request_id=about.batch_id,
    )
    lines = [line for line in found if line.refusal is None and line.row in prepared]
    entries = [
        Entry(prepared=prepared[line.row], origin=origin, holder=about.institution_id, lenient=True) for line in lines
    ]
    sealer, blinder = await vault.sealer(), await vault.blinder()
    results = await registration.register_many(inside, entries, sealer=sealer, blinder=blinder, now=now)
    for line, done in zip(lines, results, strict=True):
        if isinstance(done, RegistrationRaced):
            raise done
        if isinstance(done, PlatformError):
            line.refusal = done
        else:
            line.done, line.opened, line.is_known = done, done.opened, not done.opened


async def _claim_numbers(
    inside: RawConnection, vault: Vault, institution_id: str, found: Sequence[Line], prepared: Mapping[int, Prepared]
) -> None:
    """Refuse the lines whose visit card number stands for another person, here or in the index."""
    blinder = await vault.blinder()
    lines = [line for line in found if line.refusal is None]
    try:
        await visit_cards.require_open(inside, institution_id)
    except DomainSuspended as closed:
        for line in lines:
            line.refusal = closed
        return
    blinds = [visit_cards.blind(blinder, institution_id, line.visit_card) for line in lines]
    known = await visit_cards.find_many(inside, institution_id, blinds)
    seen: dict[str, bytes] = {}
    for index, line in enumerate(lines):
        own = prepared[line.row]
        first = seen.setdefault(line.visit_card, own.blind)
        if first != own.blind or known.get(index, own.mpi) != own.mpi:
            line.refusal = VisitCardTaken()


async def _enter_numbers(
    inside: RawConnection, vault: Vault, institution_id: str, kept: Sequence[Line], *, now: datetime
) -> None:
    """Enter the numbers of the registered; one that another transaction took this moment tries the chunk again."""
    sealer, blinder = await vault.sealer(), await vault.blinder()
    numbers = {line.visit_card: line.done.mpi for line in kept if line.done is not None}
    cards = [NumberedPerson(number=number, mpi=mpi) for number, mpi in numbers.items()]
    await visit_cards.enter_many(inside, institution_id, cards, sealer=sealer, blinder=blinder, now=now)
    blinds = [visit_cards.blind(blinder, institution_id, card.number) for card in cards]
    holders = await visit_cards.find_many(inside, institution_id, blinds)
    if any(holders.get(index) != card.mpi for index, card in enumerate(cards)):
        raise RegistrationRaced


async def _store_cards(
    connection: Connection, vault: Vault, about: Row[Any], found: Sequence[Line], *, now: datetime
) -> None:
    """Hand physical cards to the registry, which judges each when it registers it and keeps the reasons."""
    arrived: list[ArrivedCard] = []
    for line in found:
        texts_ = {name: line.cells.get(name, "") for name in ArrivedCard.__struct_fields__}
        try:
            card = msgspec.convert({**texts_, **_judged(line), "line": line.row, "real_name": "stated"}, ArrivedCard)
        except (msgspec.ValidationError, PlatformError) as error:
            line.refusal = error if isinstance(error, PlatformError) else RowFieldInvalid(field=str(error)[-40:])
            continue
        arrived.append(card)
        line.opened = True
    if arrived:
        await arrivals.receive(
            connection,
            vault,
            arrived,
            delivery=about.batch_id,
            institution_id=about.institution_id,
            actor=about.made_by,
            now=now,
        )


def _judged(line: Line) -> dict[str, str]:
    """Return sex and birth date in the registry's form, derived where the identity number holds them."""
    given = line.given
    return {
        "name": given.name,
        "sex": given.sex,
        "birth_date": given.birth_date.isoformat(),
        "id_type": given.id_type,
        "id_number": given.id_number,
        "phone": given.phone,
        "address": given.address,
    }
