"""An update: what is registered of a resident changes, and what must follow does so in the same transaction.

Name corrected (迁正), phone, address, nationality, marital status, occupation; sex and birth date with the certificate.
The index keeps the statement and rewrites the golden record; the card registry is told through the outbox.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from yimatong.cards.accounts import history, queries, real_name
from yimatong.cards.accounts.history import Origin
from yimatong.cards.accounts.real_name import RealNameCheck
from yimatong.cards.errors import AccountCancelled, AccountFrozen, NothingToChange, RealNameMethodNotAllowed
from yimatong.cards.registry.service import announce
from yimatong.cards.updates import rules
from yimatong.cards.updates.schemas import Update, Updated
from yimatong.crypto.vault import Vault
from yimatong.empi.changes import service as index
from yimatong.empi.persons import identity
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection, Database
from yimatong.standards.codes import NO_CERTIFICATE


async def prove(
    db: Database,
    vault: Vault,
    vuid: str,
    wanted: Update,
    *,
    origin: Origin,
    check: RealNameCheck,
    now: datetime,
) -> RealNameMark:
    """Prove the resident as she is to be, asking an outside party with nothing open.

    Raises:
        AccountNotFound, RealNameMethodNotAllowed; what ``real_name.prove`` raises; refusals of the facts.
    """
    if wanted.real_name == rules.CERTIFICATE_READ and origin.actor_kind == "app":
        raise RealNameMethodNotAllowed(method=wanted.real_name)
    async with db.read() as connection:
        row = await queries.held(connection, vuid, scope=origin.scope)
        known = await persons.read(connection, await vault.sealer(), row.mpi)
    resident = merged(known, wanted, now=now)
    return await real_name.prove(check, wanted.real_name, resident, wanted.proof, now=now)


def merged(known: PersonRecord, wanted: Update, *, now: datetime) -> Demographics:
    """Return the resident's facts as they are to be, checked as a whole (the number still fits sex and birth date).

    Raises:
        Refusals of ``identity.checked``.
    """
    given = {name: value for name, value in msgspec.structs.asdict(wanted).items() if value is not None}
    given.pop("real_name")
    given.pop("proof", None)
    facts = msgspec.structs.replace(index.demographics(known), **given)
    today = business_date(now)
    if known.id_type == NO_CERTIFICATE:
        return identity.checked_facts(facts, today=today)
    return identity.checked(facts, today=today)


async def apply(
    connection: Connection,
    vault: Vault,
    vuid: str,
    wanted: Update,
    *,
    mark: RealNameMark,
    origin: Origin,
    now: datetime,
) -> Updated:
    """Store an update that was proven, and let the index and the registry follow.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, NothingToChange, ProofNeeded; refusals of the facts.
    """
    sealer = await vault.sealer()
    row = await queries.held(connection, vuid, scope=origin.scope, for_update=True)
    _require_open(row)
    known = await persons.read(connection, sealer, row.mpi)
    await index.lock(connection, known.mpi)
    known = await persons.read(connection, sealer, known.mpi)
    facts = merged(known, wanted, now=now)
    changed = rules.differences(index.demographics(known), facts)
    if not changed:
        raise NothingToChange
    rules.require_proof(
        changed,
        method=wanted.real_name,
        level=mark.level,
        account_level=await queries.proof_level(connection, row.vuid),
    )
    await index.rewrite(
        connection,
        facts,
        mpi=known.mpi,
        provider=origin.actor,
        mark=mark,
        sealer=sealer,
        blinder=await vault.blinder(),
        now=now,
    )
    after = await persons.read(connection, sealer, known.mpi)
    await history.note(
        connection,
        sealer,
        row.vuid,
        "updated",
        origin=origin,
        now=now,
        before=_shown(known, changed),
        after=_shown(after, changed),
        reason=wanted.real_name,
    )
    follows = rules.follows(changed)
    if "registry" in follows:
        await announce(connection, [row.vuid], now=now)
    view = await queries.view(connection, vault, row.vuid, scope=origin.scope)
    return Updated(account=view, changed=changed, follows=follows)


def _require_open(row: Row[Any]) -> None:
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled


def _shown(person: PersonRecord, changed: list[str]) -> dict[str, object]:
    """Return the changed facts; what has no mask of its own is not personal by itself, but sealed all the same."""
    return {name: getattr(person, name) for name in changed}
