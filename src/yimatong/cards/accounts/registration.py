"""Registration of residents (domain: 居民注册), one or many.

Registration has two steps. ``prepare`` asks outside parties, the registry, the index and the crypto device, with no
transaction open and no row locked. ``register`` then stores everything in one transaction; the claim on the certificate
is its first row and decides every race. The same resident again gets the same account; sixteen at once get one.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access.caller import Caller, Scope
from yimatong.cards import physical
from yimatong.cards.accounts import queries
from yimatong.cards.accounts.real_name import LEVELS, ONLINE, RealNameCheck
from yimatong.cards.accounts.schemas import AccountView, Registration
from yimatong.cards.errors import AccountFrozen, RealNameMethodNotAllowed, RealNameTooWeak, RegistrationRaced
from yimatong.cards.models import account, account_event, holder
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons import service as empi
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database
from yimatong.kit.ids import new_id


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A registration with everything that was asked outside the transaction."""

    resident: Demographics
    mark: RealNameMark
    mpi: UUID
    vuid: str
    key_version: int


async def prepare(
    db: Database, vault: Vault, wanted: Registration, *, caller: Caller, check: RealNameCheck, now: datetime
) -> Prepared:
    """Check the facts, prove the identity, find the person or propose an id, and have the VUID made.

    Raises:
        Refusals of ``identity.checked``; RealNameMethodNotAllowed; RealNameMismatch; PartyUnreachable.
    """
    resident = identity.checked(wanted.resident, today=business_date(now))
    if wanted.real_name == "certificate_read" and caller.kind == "app":
        raise RealNameMethodNotAllowed(method=wanted.real_name)
    if wanted.real_name in ONLINE:
        await check.check(resident)
    blind = (await vault.blinder()).id_blind(resident.id_type, resident.id_number)
    async with db.read() as connection:
        entry = await physical.ask(connection, id_type=resident.id_type, id_blind=blind)
        known = await persons.mpi_of_certificate(connection, id_type=resident.id_type, id_blind=blind)
        mpi = known or (entry.mpi if entry else uuid4())
        earlier = await queries.any_of_person(connection, mpi)
    if earlier is None:
        vuid, version = await vault.vuid(mpi.hex, resident.id_type, resident.id_number)
    else:
        vuid, version = earlier.vuid, earlier.vuid_key_version
    mark = RealNameMark(method=wanted.real_name, level=LEVELS[wanted.real_name], at=now)
    return Prepared(resident=resident, mark=mark, mpi=mpi, vuid=vuid, key_version=version)


async def register(
    connection: Connection, vault: Vault, prepared: Prepared, *, caller: Caller, now: datetime
) -> AccountView:
    """Store a prepared registration, all or nothing, and return the resident's one account.

    Raises:
        PersonDisagrees: the certificate is somebody's of another name or sex.
        RealNameTooWeak: a new app with a weaker proof than the account has.
        AccountFrozen: the account is frozen.
        RegistrationRaced: the index changed since the preparation; nothing was stored.
    """
    sealer, blinder = await vault.sealer(), await vault.blinder()
    resident = prepared.resident
    mpi = await empi.identify(
        connection,
        resident,
        proposed_mpi=prepared.mpi,
        provider=caller.caller_id,
        mark=prepared.mark,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    live = await queries.live_of_person(connection, mpi)
    opened = live is None and mpi == prepared.mpi and await _open(connection, prepared, now=now)
    if not opened:
        live = live or await queries.live_of_person(connection, mpi)
        if live is None:
            raise RegistrationRaced
        if live.state == "frozen":
            raise AccountFrozen
    vuid = prepared.vuid if live is None else live.vuid
    await _hold(connection, vuid, prepared.mark, scope=caller.scope, existed=not opened, now=now)
    blind = blinder.id_blind(resident.id_type, resident.id_number)
    await physical.synchronise(connection, id_type=resident.id_type, id_blind=blind, mpi=mpi, vuid=vuid, now=now)
    if opened:
        await _note(connection, vuid, "opened", caller=caller, now=now)
    return await queries.view(connection, vault, vuid, scope=caller.scope)


async def _open(connection: Connection, prepared: Prepared, *, now: datetime) -> bool:
    """Open the next account of the VUID; of two at once the second waits, opens nothing and says False."""
    generation = await queries.generations(connection, prepared.vuid) + 1
    opened = await connection.execute(
        upsert(account)
        .values(
            vuid=prepared.vuid,
            generation=generation,
            mpi=prepared.mpi,
            vuid_key_version=prepared.key_version,
            state="active",
            codes_valid_from=now if generation > 1 else None,
            opened_at=now,
            changed_at=now,
        )
        .on_conflict_do_nothing()
        .returning(account.c.generation)
    )
    return opened.first() is not None


async def _hold(
    connection: Connection, vuid: str, mark: RealNameMark, *, scope: Scope, existed: bool, now: datetime
) -> None:
    """Let the caller show the codes of the account, if its proof is strong enough."""
    who = queries.holder_of(scope)
    statement = upsert(holder).values(vuid=vuid, holder=who, real_name_level=mark.level, since=now)
    if existed and mark.level < await queries.proof_level(connection, vuid):
        row = await connection.execute(holder.select().where(holder.c.vuid == vuid, holder.c.holder == who))
        if row.first() is None:
            raise RealNameTooWeak
        return
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["vuid", "holder"], set_={"real_name_level": statement.excluded.real_name_level}
        )
    )


async def _note(connection: Connection, vuid: str, what: str, *, caller: Caller, now: datetime) -> None:
    await connection.execute(
        insert(account_event).values(vuid=vuid, event_id=new_id("aev"), what=what, actor=caller.caller_id, at=now)
    )
