"""Registration of residents, one or many: every entrance (app, window, kiosk, batch) comes through here.

It has two steps. ``prepare_many`` asks the registry, the index and the crypto device, with no transaction of the
registration open and no row locked. ``register_many`` then stores any number of residents in one transaction with a few
statements; the claims on the certificates are its first rows and decide every race. The same resident again gets the
same account; sixteen at once get one. One who is refused leaves nothing and never fails a neighbour.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID, uuid4

import msgspec

from yimatong.access.caller import Caller
from yimatong.cards.accounts import history, statements
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.real_name import RealNameCheck, prove
from yimatong.cards.accounts.schemas import AccountView, Registration
from yimatong.cards.codec import static_text
from yimatong.cards.errors import AccountFrozen, RealNameMethodNotAllowed, RealNameTooWeak, RegistrationRaced
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons import service as empi
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.empi.persons.service import Identification
from yimatong.kit.clock import business_date
from yimatong.kit.db import Answers, Connection, Database, RawConnection, raw
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id


class Applicant(msgspec.Struct, frozen=True, kw_only=True):
    """A resident who applies, in normal form (``identity.checked``), and how she was proven."""

    resident: Demographics
    mark: RealNameMark


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A registration with everything that was asked outside the transaction.

    ``fresh``: neither the index nor the registry knew the certificate, so the person's id was drawn just now.
    """

    resident: Demographics
    mark: RealNameMark
    blind: bytes
    mpi: UUID
    fresh: bool
    vuid: str
    key_version: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One registration to store. ``holder`` may show the account's codes afterwards; None: nobody yet (pre-issued).

    ``lenient``: a proof weaker than the account's is no refusal; the account just gets no new holder.
    """

    prepared: Prepared
    origin: Origin
    holder: str | None
    lenient: bool = False


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a resident: the one account, and whether it was opened now."""

    mpi: UUID
    vuid: str
    state: str
    opened: bool
    opened_at: datetime
    level: int
    resident: Demographics


async def check(wanted: Registration, *, caller: Caller, real_name: RealNameCheck, now: datetime) -> Applicant:
    """Check the facts and prove the identity; the outside register is asked here, with nothing open.

    Raises:
        Refusals of ``identity.checked``; RealNameMethodNotAllowed; what ``real_name.prove`` raises.
    """
    resident = identity.checked(wanted.resident, today=business_date(now))
    if wanted.real_name == "certificate_read" and caller.kind == "app":
        raise RealNameMethodNotAllowed(method=wanted.real_name)
    mark = await prove(real_name, wanted.real_name, resident, wanted.proof, now=now)
    return Applicant(resident=resident, mark=mark)


async def look_up_many(
    connection: RawConnection, applicants: Sequence[Applicant], *, blinder: Blinder
) -> list[tuple[bytes, UUID | None, str | None, int]]:
    """Return each applicant's blind, person, VUID and its key version, as far as index and registry know them."""
    blinds = [blinder.id_blind(each.resident.id_type, each.resident.id_number) for each in applicants]
    certificates = [(each.resident.id_type, blind) for each, blind in zip(applicants, blinds, strict=True)]
    known = await persons.mpis_of_certificates(connection, certificates)
    before = await statements.before(connection, certificates, known)
    nobody = statements.Before(None, None, 0)
    found = [before.get(index, nobody) for index in range(len(applicants))]
    return [
        (blind, mpis[0] if mpis else entry.registry_mpi, entry.vuid, entry.key_version)
        for blind, mpis, entry in zip(blinds, known, found, strict=True)
    ]


async def prepare_many(
    vault: Vault, applicants: Sequence[Applicant], found: Sequence[tuple[bytes, UUID | None, str | None, int]]
) -> list[Prepared]:
    """Propose a person and a VUID for each, the VUIDs of all new ones with one call to the device.

    Raises:
        KeyNotFound, DeviceUnavailable: no VUID can be made.
    """
    mpis = [mpi or uuid4() for _, mpi, _, _ in found]
    new = [index for index, (_, _, vuid, _) in enumerate(found) if vuid is None]
    holders = [(mpis[i].hex, applicants[i].resident.id_type, applicants[i].resident.id_number) for i in new]
    made, version = await vault.vuids(holders) if holders else ([], 0)
    vuids = {index: (vuid, version) for index, vuid in zip(new, made, strict=True)}
    return [
        Prepared(
            resident=each.resident,
            mark=each.mark,
            blind=blind,
            mpi=mpis[index],
            fresh=mpi is None,
            vuid=vuid or vuids[index][0],
            key_version=key_version if vuid else vuids[index][1],
        )
        for index, (each, (blind, mpi, vuid, key_version)) in enumerate(zip(applicants, found, strict=True))
    ]


async def prepare(
    db: Database, vault: Vault, wanted: Registration, *, caller: Caller, real_name: RealNameCheck, now: datetime
) -> Prepared:
    """Do for one resident everything that comes before the transaction; errors of ``check`` and ``prepare_many``."""
    applicant = await check(wanted, caller=caller, real_name=real_name, now=now)
    return await prepare_one(db, vault, applicant)


async def prepare_one(db: Database, vault: Vault, applicant: Applicant) -> Prepared:
    """Prepare one resident who was checked already; errors of ``prepare_many``."""
    blinder = await vault.blinder()
    async with db.read() as connection:
        found = await look_up_many(await raw(connection), [applicant], blinder=blinder)
    return (await prepare_many(vault, [applicant], found))[0]


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared registration of the native API.

    ``refer`` makes the holder's reference of a person without the device, so that the transaction never waits for it.
    """

    entry: Entry
    refer: Callable[[str], str]


class Registrar:
    """Both steps for many requests at once; ``Database.batch`` makes each a shared path."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def look_up(self, connection: RawConnection, applicants: Sequence[Applicant]) -> Answers[Prepared]:
        """Prepare many; the device is asked once for all of them, when the reading transaction is over."""
        found = await look_up_many(connection, applicants, blinder=await self._vault.blinder())

        async def answers() -> Sequence[Prepared]:
            return await prepare_many(self._vault, applicants, found)

        return answers

    async def register(
        self, connection: RawConnection, applications: Sequence[Application]
    ) -> list[AccountView | PlatformError]:
        """Store many and answer each as its new holder sees it."""
        sealer, blinder = await self._vault.sealer(), await self._vault.blinder()
        entries = [each.entry for each in applications]
        if not entries:
            return []
        now = entries[0].prepared.mark.at
        done = await register_many(connection, entries, sealer=sealer, blinder=blinder, now=now)
        return [
            outcome if isinstance(outcome, PlatformError) else view(outcome, mpi_ref=application.refer(outcome.mpi.hex))
            for outcome, application in zip(done, applications, strict=True)
        ]


class _Case(msgspec.Struct, kw_only=True, eq=False):
    """One entry on its way through the rounds of a transaction."""

    entry: Entry
    who: Identification
    standing: statements.Standing = statements.Standing(None, "", None, 0, 0, None)
    opens: bool = False
    holds: bool = False
    again: bool = False
    refusal: PlatformError | None = None

    @property
    def vuid(self) -> str:
        return self.standing.vuid or self.entry.prepared.vuid


async def register_many(
    connection: RawConnection, entries: Sequence[Entry], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[Registered | PlatformError]:
    """Store prepared registrations in the open transaction; each is answered with its account or its refusal.

    PersonDisagrees: the certificate is somebody's of another name or sex. RealNameTooWeak: a new holder with a weaker
    proof than the account has. AccountFrozen: the account is frozen. RegistrationRaced: the index changed since the
    preparation. Whoever is refused leaves no row behind.
    """
    cases = [_Case(entry=entry, who=_identification(entry)) for entry in entries]
    await empi.claim_many(connection, [case.who for case in cases], now=now)
    waiting = cases
    while waiting:
        taken, waiting = _round(waiting)
        lost = await _store(connection, taken, sealer=sealer, blinder=blinder, now=now)
        waiting = [*lost, *waiting]
    return [case.refusal or _registered(case, now=now) for case in cases]


async def register(
    connection: Connection, vault: Vault, prepared: Prepared, *, caller: Caller, now: datetime, request_id: str = ""
) -> AccountView:
    """Store one prepared registration; raises what ``register_many`` answers."""
    origin = history.of_caller(caller, request_id)
    entry = Entry(prepared=prepared, origin=origin, holder=origin.holder)
    sealer, blinder, refer = await vault.sealer(), await vault.blinder(), await vault.referrer(origin.holder)
    done = (await register_many(await raw(connection), [entry], sealer=sealer, blinder=blinder, now=now))[0]
    if isinstance(done, PlatformError):
        raise done
    return view(done, mpi_ref=refer(done.mpi.hex))


def view(done: Registered, *, mpi_ref: str) -> AccountView:
    """Return the account as its new holder sees it, with the resident's data in the clear."""
    return AccountView(
        vuid=done.vuid,
        state=done.state,
        name=str.__str__(done.resident.name),
        id_type=done.resident.id_type,
        id_number=str.__str__(done.resident.id_number),
        phone=str.__str__(done.resident.phone),
        mpi_ref=mpi_ref,
        static_code=static_text(done.vuid),
        real_name_level=done.level,
        opened_at=done.opened_at,
    )


def _identification(entry: Entry) -> Identification:
    prepared = entry.prepared
    return Identification(
        given=prepared.resident,
        blind=prepared.blind,
        proposed_mpi=prepared.mpi,
        fresh=prepared.fresh,
        provider=entry.origin.actor,
        mark=prepared.mark,
    )


def _round(waiting: Sequence[_Case]) -> tuple[list[_Case], list[_Case]]:
    """Take the cases that touch nobody twice; a second one of the same person sees what the first one stored."""
    seen: set[object] = set()
    taken: list[_Case] = []
    left: list[_Case] = []
    for case in waiting:
        keys = {case.who.certificate, case.entry.prepared.mpi, case.entry.prepared.vuid}
        (left if keys & seen else taken).append(case)
        seen |= keys
    return taken, left


async def _store(
    connection: RawConnection, cases: Sequence[_Case], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[_Case]:
    """Judge and store one round; return the cases that lost the opening of an account to another transaction."""
    await empi.look_up_many(connection, [case.who for case in cases], sealer=sealer)
    asked = [case for case in cases if case.again or not (case.who.claimed and case.who.fresh)]
    places = [
        ((case.who.mpi or case.entry.prepared.mpi, *case.who.joined), case.entry.prepared.vuid, case.entry.holder or "")
        for case in asked
    ]
    found = await statements.standing(connection, places)
    for case, standing in zip(asked, found, strict=True):
        case.standing = standing
    for case in cases:
        _judge(case)
    opening = [case for case in cases if case.refusal is None and case.opens]
    rows = [
        (case.vuid, case.standing.generations + 1, case.entry.prepared.mpi, case.entry.prepared.key_version)
        for case in opening
    ]
    opened = await statements.open_accounts(connection, rows, now=now)
    lost = [case for case in opening if case.vuid not in opened]
    for case in lost:
        case.refusal = RegistrationRaced() if case.again else None
        case.again, case.opens = True, False
    await _keep(connection, [case for case in cases if case not in lost], sealer=sealer, blinder=blinder, now=now)
    await empi.release_many(connection, [case.who for case in cases if case.refusal is not None])
    return [case for case in lost if case.refusal is None]


def _judge(case: _Case) -> None:
    """Decide whether the resident is refused, opens an account, and gets its holder."""
    prepared, standing = case.entry.prepared, case.standing
    if case.who.refusal is not None:
        case.refusal = case.who.refusal
    elif case.who.mpi is None or (standing.vuid is None and case.who.mpi != prepared.mpi):
        case.refusal = RegistrationRaced()
    elif standing.state == "frozen":
        case.refusal = AccountFrozen()
    else:
        case.opens = standing.vuid is None
        weak = not case.opens and prepared.mark.level < standing.strongest
        case.holds = case.entry.holder is not None and not weak
        if weak and standing.own is None and not case.entry.lenient:
            case.refusal = RealNameTooWeak()


async def _keep(
    connection: RawConnection, cases: Sequence[_Case], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> None:
    """Store everything of those who are not refused; no result is waited for."""
    kept = [case for case in cases if case.refusal is None]
    if not kept:
        return
    await empi.enter_many(connection, [case.who for case in kept], sealer=sealer, blinder=blinder, now=now)
    holds = [(case.vuid, case.entry.holder or "", case.entry.prepared.mark.level) for case in kept if case.holds]
    await statements.hold(connection, holds, now=now)
    opened = [(case.vuid, new_id("aev"), case.entry.origin) for case in kept if case.opens]
    await statements.note_opened(connection, opened, now=now)
    opens = [_news(case) for case in kept if case.opens]
    await statements.announce(connection, opens, opened=True, now=now)
    joins = [_news(case) for case in kept if case.who.claimed and not case.opens]
    await statements.announce(connection, joins, opened=False, now=now)


def _news(case: _Case) -> tuple[UUID, str, str, str, bytes]:
    """Return what the registry is told of a case: an account that is new, or a certificate new to an account."""
    state = case.standing.state if case.standing.vuid else "active"
    return (case.who.mpi or case.entry.prepared.mpi, case.vuid, state, *case.who.certificate)


def _registered(case: _Case, *, now: datetime) -> Registered:
    level = case.entry.prepared.mark.level if case.holds else 0
    return Registered(
        mpi=case.who.mpi or case.entry.prepared.mpi,
        vuid=case.vuid,
        state=case.standing.state if case.standing.vuid else "active",
        opened=case.opens,
        opened_at=case.standing.opened_at or now,
        level=max(level, case.standing.strongest),
        resident=case.who.given if case.who.known is None else _facts(case.who),
    )


def _facts(who: Identification) -> Demographics:
    """Return what the index says of a person who was there before."""
    known = who.known
    if known is None:
        return who.given
    return Demographics(
        name=known.name,
        sex=known.sex,
        birth_date=known.birth_date or who.given.birth_date,
        id_type=known.id_type,
        id_number=known.id_number,
        phone=known.phone,
        address=known.address,
    )
