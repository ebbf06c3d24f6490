"""One person by a caller's reference: the golden record with where its fields come from, and what happened to her."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from yimatong.access import callers
from yimatong.access.caller import Caller
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.events import queries as changes
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import engine as engines
from yimatong.empi.merges import queries as merges
from yimatong.empi.persons import queries as persons
from yimatong.empi.search import queries, showing
from yimatong.empi.search.schemas import FieldOrigin, PersonEvent, PersonHistory, PersonView
from yimatong.kit.db import Connection, raw


async def person(connection: Connection, vault: Vault, mpi_ref: str, *, caller: Caller, now: datetime) -> PersonView:
    """Return the person whom a reference means today.

    Where its fields come from is told to who has a record of her.

    Raises:
        PersonNotFound: none. ReferenceInvalid: no reference.
    """
    inside = await raw(connection)
    mpi = await _today(connection, vault, mpi_ref, caller=caller)
    names = await callers.acting_for(connection, caller)
    (hit,) = await showing.hits(connection, vault, {mpi: 1.0}, caller=caller, now=now)
    (_, _, version) = (await queries.today(inside, [mpi]))[mpi]
    origins: tuple[FieldOrigin, ...] = ()
    if mpi in await queries.seen_by(connection, [mpi], caller=caller):
        rules = (await engines.active(inside)).survivorship
        known = await golden.provenance(inside, mpi, sealer=await vault.sealer(), rules=rules)
        origins = tuple(
            FieldOrigin(field=field, own=each.provider in names, kind=each.kind, level=each.level, at=each.at)
            for field, each in sorted((known.origins if known else {}).items())
        )
    return PersonView(person=hit, version=version, origins=origins)


async def history(connection: Connection, vault: Vault, mpi_ref: str, *, caller: Caller, limit: int) -> PersonHistory:
    """Return the newest changes of a person and decisions about her; only to who has a record of her.

    Raises:
        PersonNotFound: none, or none that the caller has a record of. ReferenceInvalid: no reference.
    """
    inside = await raw(connection)
    mpi = await _today(connection, vault, mpi_ref, caller=caller)
    names = await callers.acting_for(connection, caller)
    if mpi not in await queries.seen_by(connection, [mpi], caller=caller):
        raise PersonNotFound
    members = await persons.members(connection, mpi)
    refer = await vault.referrer(caller.holder)

    def other(left: UUID, right: UUID | None) -> str:
        found = next((each for each in (right, left) if each is not None and each != mpi), None)
        return "" if found is None else refer(found.hex)

    events = [
        PersonEvent(
            at=each.at,
            source="change",
            what=each.kind,
            own=each.provider in names,
            other_mpi_ref="" if each.other_mpi is None else other(each.mpi, each.other_mpi),
            domain=(each.domain or "") if each.provider in names else "",
            version=each.version,
            probability=None,
            method="",
        )
        for each in await changes.of_person(inside, members, limit=limit)
    ]
    events += [
        PersonEvent(
            at=each.at,
            source="decision",
            what=each.kind,
            own=each.operator in names,
            other_mpi_ref="" if each.right_mpi is None else other(each.left_mpi, each.right_mpi),
            domain="",
            version=None,
            probability=each.probability,
            method=each.method,
        )
        for each in await merges.history(connection, members, limit=limit)
    ]
    events.sort(key=lambda each: each.at, reverse=True)
    return PersonHistory(mpi_ref=refer(mpi.hex), events=tuple(events[:limit]))


async def _today(connection: Connection, vault: Vault, mpi_ref: str, *, caller: Caller) -> UUID:
    mpi = UUID(await vault.mpi_from_ref(caller.holder, mpi_ref))
    today: UUID = (await persons.current(connection, mpi)).mpi
    return today
