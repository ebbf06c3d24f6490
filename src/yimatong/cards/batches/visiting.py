"""就诊卡 one at a time: the online form of a hospital's batch."""

from __future__ import annotations

from datetime import datetime

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts import registration
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.real_name import LEVELS
from yimatong.cards.accounts.registration import Applicant, Entry, Prepared
from yimatong.cards.batches.schemas import VisitCard, VisitCardAccount
from yimatong.cards.codec import static_text
from yimatong.cards.errors import BatchOptionInvalid, VisitCardNotFound, VisitCardTaken
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import RealNameMark
from yimatong.empi.visit_cards import service as visit_cards
from yimatong.empi.visit_cards.service import NumberedPerson
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, raw
from yimatong.kit.errors import PlatformError


def applicant(wanted: VisitCard, *, now: datetime) -> Applicant:
    """Return the resident in normal form.

    Raises:
        Refusals of ``identity.checked``.
    """
    resident = identity.checked(wanted.resident, today=business_date(now))
    mark = RealNameMark(method=wanted.real_name, level=LEVELS[wanted.real_name], at=now)
    return Applicant(resident=resident, mark=mark)


async def convert(
    connection: Connection, vault: Vault, number: str, prepared: Prepared, *, origin: Origin, now: datetime
) -> VisitCardAccount:
    """Register the resident, or find her, and let the institution's number stand for her.

    Raises:
        VisitCardTaken: the number stands for somebody else. DomainSuspended: no numbers are entered now.
        BatchOptionInvalid: the caller is no institution. Refusals of ``registration.register_many``.
    """
    institution_id = _institution(origin.scope)
    sealer, blinder = await vault.sealer(), await vault.blinder()
    inside = await raw(connection)
    await visit_cards.require_open(inside, institution_id)
    entry = Entry(prepared=prepared, origin=origin, holder=origin.holder)
    done = (await registration.register_many(inside, [entry], sealer=sealer, blinder=blinder, now=now))[0]
    if isinstance(done, PlatformError):
        raise done
    card = NumberedPerson(number=number.upper(), mpi=done.mpi)
    await visit_cards.enter_many(inside, institution_id, [card], sealer=sealer, blinder=blinder, now=now)
    own = visit_cards.blind(blinder, institution_id, card.number)
    if (await visit_cards.find_many(inside, institution_id, [own])).get(0) != done.mpi:
        raise VisitCardTaken
    return VisitCardAccount(
        vuid=done.vuid,
        state=done.state,
        name=str.__str__(done.resident.name),
        mpi_ref=await vault.mpi_ref(origin.holder, done.mpi.hex),
        static_code=static_text(done.vuid),
        opened=done.opened,
    )


async def find(connection: Connection, vault: Vault, number: str, *, scope: Scope) -> VisitCardAccount:
    """Return the account behind a number of the institution that asks.

    Raises:
        VisitCardNotFound: no such number here, or its resident has no live account. BatchOptionInvalid.
    """
    institution_id = _institution(scope)
    own = visit_cards.blind(await vault.blinder(), institution_id, number.upper())
    mpi = (await visit_cards.find_many(await raw(connection), institution_id, [own])).get(0)
    account = None if mpi is None else await accounts.live_of_person(connection, mpi)
    if account is None or mpi is None:
        raise VisitCardNotFound
    person = await persons.read(connection, await vault.sealer(), mpi)
    return VisitCardAccount(
        vuid=account.vuid,
        state=account.state,
        name=str.__str__(person.name),
        mpi_ref=await vault.mpi_ref(institution_id, person.mpi.hex),
        static_code=static_text(account.vuid),
        opened=False,
    )


def _institution(scope: Scope) -> str:
    if scope.institution_id is None:
        raise BatchOptionInvalid(detail="institution")
    return scope.institution_id
