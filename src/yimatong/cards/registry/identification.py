"""一套调用: one call finds the resident behind a code, a physical card or a certificate (接入服务平台).

A code goes the way of every code: opened, judged, used up. The rest is looked up here. What is told depends on what was
shown, because a number that somebody types proves little::

    code_dynamic   the code's own proof                everything
    card_chip      read from the card's chip           name, sex, birth date, reference; number and phone masked
    certificate    type, number and name, all given    what was given, sex, birth date, reference; phone masked
    card_number    printed on the card, like a static  masked name and sex
    code_static    code

Cards and certificates serve what a static code serves: registration and visits. The order of the refusals keeps
strangers from learning anything: what is unknown and what does not agree is one answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert

from yimatong.access.caller import Caller
from yimatong.cards.accounts.queries import holder_of
from yimatong.cards.codec import STATIC_SERVES, CodeKind
from yimatong.cards.codes import trouble
from yimatong.cards.codes.schemas import Resident, VerifiedCode
from yimatong.cards.errors import (
    AccountFrozen,
    CardCancelled,
    CardLost,
    CardReplaced,
    IdentifyByOneMedium,
    MediumWrongPurpose,
    NotIdentified,
)
from yimatong.cards.models import code_record
from yimatong.cards.registry import queries
from yimatong.cards.registry.schemas import CardSearch, Identified, Presented, ToIdentify
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.standards import names

_REFUSED_STATES: dict[str, type[Refusal]] = {"lost": CardLost, "replaced": CardReplaced, "cancelled": CardCancelled}
_MEDIA: dict[frozenset[str], Presented] = {
    frozenset({"code"}): "code_dynamic",
    frozenset({"card_number", "card_type"}): "card_number",
    frozenset({"chip_number"}): "card_chip",
    frozenset({"id_type", "id_number", "name"}): "certificate",
}


def medium(wanted: ToIdentify) -> Presented:
    """Return what is presented; a code counts as dynamic until it is read.

    Raises:
        IdentifyByOneMedium: none, several, or one that is not whole.
    """
    fields = {field for each in _MEDIA for field in each}
    given = frozenset(field for field in fields if getattr(wanted, field) is not None)
    if given not in _MEDIA:
        raise IdentifyByOneMedium
    return _MEDIA[given]


async def search(vault: Vault, wanted: CardSearch) -> tuple[tuple[str, bytes] | None, bytes | None]:
    """Return what a card is looked for by: its number as (type, blind), or the blind of its chip.

    Raises:
        IdentifyByOneMedium: neither, or both.
    """
    blinder = await vault.blinder()
    if wanted.chip_number is not None and wanted.card_number is None and wanted.card_type is None:
        return None, blinder.chip_blind(wanted.chip_number)
    if wanted.card_number is None or wanted.card_type is None or wanted.chip_number is not None:
        raise IdentifyByOneMedium
    return (wanted.card_type, blinder.card_blind(wanted.card_type, wanted.card_number)), None


async def by_code(connection: Connection, verified: VerifiedCode) -> Identified:
    """Return the answer for a code that was just verified."""
    card_type, card_state = await queries.newest_state(connection, verified.vuid)
    return Identified(
        record_id=verified.record_id,
        presented="code_static" if verified.kind is CodeKind.STATIC else "code_dynamic",
        purpose=verified.purpose,
        identified_at=verified.verified_at,
        vuid=verified.vuid,
        account_state="active",
        card_type=card_type,
        card_state=card_state,
        resident=verified.resident,
    )


class Attempt:
    """One try to identify somebody by a physical card or a certificate. It remembers what it found for its record."""

    def __init__(self, wanted: ToIdentify, *, caller: Caller, request_id: str, now: datetime) -> None:
        """Keep the request. Raises IdentifyByOneMedium."""
        self.presented = medium(wanted)
        self._wanted = wanted
        self._caller = caller
        self._request_id = request_id
        self._now = now
        self._vuid = ""

    async def run(self, connection: Connection, vault: Vault) -> Identified:
        """Find the resident, write the record and return the answer.

        Raises:
            TerminalThrottled, NotIdentified, CardLost, CardReplaced, CardCancelled, AccountFrozen,
            MediumWrongPurpose.
        """
        await trouble.admit(connection, self._caller, now=self._now)
        wanted = self._wanted
        card = None if self.presented == "certificate" else await self._card(connection, vault)
        mpi = await self._holder(connection, vault, card)
        person = await self._person(connection, vault, mpi)
        account = await queries.master(connection, [mpi, person.mpi])
        self._vuid = account.vuid if account else ""
        if card is not None and card.state != "issued":
            raise _REFUSED_STATES[card.state]
        if account is not None and account.state == "frozen":
            raise AccountFrozen
        if wanted.purpose not in STATIC_SERVES:
            raise MediumWrongPurpose
        newest = (card.card_type, card.state) if card else await queries.newest_state(connection, self._vuid)
        await self._record(connection, "ok")
        return Identified(
            record_id=self._record_id,
            presented=self.presented,
            purpose=wanted.purpose,
            identified_at=self._now,
            vuid=self._vuid,
            account_state=account.state if account else "",
            card_type=newest[0],
            card_state=newest[1],
            resident=await self._resident(vault, person),
        )

    async def note_refusal(self, connection: Connection, refusal: Refusal) -> None:
        """Write the record and the audit row of a try that was refused; its own transaction was rolled back.

        What finds nobody counts against the caller: who guesses numbers is throttled like who sends rubbish.
        """
        if isinstance(refusal, NotIdentified):
            await trouble.count_one(connection, self._caller, now=self._now)
        await self._record(connection, refusal.code)
        await audit.record(
            connection,
            actor=self._caller.caller_id,
            institution_id=self._caller.institution_id,
            action="residents:identify",
            object_kind="code_record",
            object_id=self._record_id,
            result=refusal.code,
            request_id=self._request_id,
            now=self._now,
        )

    async def _card(self, connection: Connection, vault: Vault) -> Row[Any]:
        """Return the card that was shown: the one in force, else the newest of those that were."""
        wanted, blinder = self._wanted, await vault.blinder()
        if wanted.chip_number is not None:
            found = await queries.cards_like(connection, numbers=[], chips=[blinder.chip_blind(wanted.chip_number)])
        else:
            kind, number = wanted.card_type or "", wanted.card_number or ""
            found = await queries.cards_like(connection, numbers=[(kind, blinder.card_blind(kind, number))], chips=[])
        if not found:
            raise NotIdentified
        return found[0]

    async def _holder(self, connection: Connection, vault: Vault, card: Row[Any] | None) -> UUID:
        wanted = self._wanted
        if card is not None:
            holder = card.id_type, bytes(card.id_blind)
        else:
            kind, number = wanted.id_type or "", wanted.id_number or ""
            holder = kind, (await vault.blinder()).id_blind(kind, number)
        claimed = (await persons.claims(connection, [holder])).get(holder)
        if claimed is None:
            raise NotIdentified
        return claimed

    async def _person(self, connection: Connection, vault: Vault, mpi: UUID) -> PersonRecord:
        person = await persons.read(connection, await vault.sealer(), mpi)
        given = self._wanted.name
        if person.state != "live" or (given is not None and not _same_name(person, given)):
            raise NotIdentified
        return person

    async def _resident(self, vault: Vault, person: PersonRecord) -> Resident:
        if self.presented == "card_number":
            return Resident(name=person.name.masked, sex=person.sex)
        shown = self.presented == "certificate"
        return Resident(
            name=str.__str__(person.name),
            sex=person.sex,
            birth_date=person.birth_date,
            id_type=person.id_type,
            id_number=(self._wanted.id_number or "") if shown else person.id_number.masked,
            phone=person.phone.masked,
            mpi_ref=await vault.mpi_ref(holder_of(self._caller.scope), person.mpi.hex),
        )

    @property
    def _record_id(self) -> str:
        return "rec_" + self._request_id.removeprefix("req_")

    async def _record(self, connection: Connection, result: str) -> None:
        await connection.execute(
            insert(code_record).values(
                vuid=self._vuid,
                record_id=self._record_id,
                at=self._now,
                event="verified",
                code_kind="certificate" if self.presented == "certificate" else "plastic",
                purpose=self._wanted.purpose,
                result=result,
                caller_id=self._caller.caller_id,
                institution_id=self._caller.institution_id,
                front_id=self._caller.front_id,
                request_id=self._request_id,
            )
        )


def _same_name(person: PersonRecord, given: str) -> bool:
    """Compare names; a text that cannot be a name is nobody's."""
    try:
        return names.same_name(person.name, given)
    except Refusal:
        return False
