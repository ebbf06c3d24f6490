"""Looking accounts up: by VUID, reference, certificate, or whole name and phone; and their history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from yimatong.access.caller import Scope
from yimatong.cards.accounts import history
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.errors import AccountNotFound
from yimatong.cards.lookup.schemas import Fact, FoundAccount, FoundAccounts, History, HistoryEvent, Wanted
from yimatong.cards.models import account_event
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection
from yimatong.kit.errors import InvalidInput

_WAYS = ("vuid", "mpi_ref", "certificate", "name_and_phone")


def require_one_way(wanted: Wanted) -> str:
    """Return the one way in which is asked.

    Raises:
        InvalidInput: none, or several.
    """
    ways = [way for way in _WAYS if getattr(wanted, way) is not None]
    if len(ways) != 1:
        raise InvalidInput(detail=f"exactly one of {', '.join(_WAYS)}")
    return ways[0]


async def find(connection: Connection, vault: Vault, wanted: Wanted, *, scope: Scope) -> FoundAccounts:
    """Return masked accounts.

    Whoever holds an account finds it every way. An institution also finds what it does not hold, by certificate or by
    whole name and phone, without the VUID: who has that has the static code. An app finds its own only.

    Raises:
        InvalidInput: not exactly one way.
    """
    way = require_one_way(wanted)
    mpis = await _persons(connection, vault, wanted, scope=scope)
    stranger = scope.all_rows or (scope.institution_id is not None and way in ("certificate", "name_and_phone"))
    found = []
    for mpi in mpis[: wanted.limit]:
        row = await accounts.live_of_person(connection, mpi) or await accounts.any_of_person(connection, mpi)
        if row is None:
            continue
        held = scope.all_rows or await accounts.holds(connection, row, wanted.vuid or "", scope=scope)
        if held or stranger:
            found.append(await _found(connection, vault, row, held=held))
    more = len(mpis) > wanted.limit
    return FoundAccounts(accounts=found, next=mpis[wanted.limit - 1].hex if more else "")


async def _persons(connection: Connection, vault: Vault, wanted: Wanted, *, scope: Scope) -> Sequence[UUID]:
    blinder = await vault.blinder()
    if wanted.vuid is not None:
        try:
            return [(await accounts.latest(connection, wanted.vuid)).mpi]
        except AccountNotFound:
            return []
    if wanted.mpi_ref is not None:
        return [UUID(await vault.mpi_from_ref(accounts.holder_of(scope), wanted.mpi_ref))]
    if wanted.certificate is not None:
        given = wanted.certificate
        blind = blinder.id_blind(given.id_type, given.id_number)
        mpi = await persons.mpi_of_certificate(connection, id_type=given.id_type, id_blind=blind)
        return [] if mpi is None else [mpi]
    if wanted.name_and_phone is None:
        return []
    asked = wanted.name_and_phone
    tokens = [blinder.name_token(asked.name), blinder.phone_token(asked.phone)]
    after = UUID(wanted.after) if wanted.after else None
    return await persons.with_tokens(connection, tokens, after=after, limit=wanted.limit + 1)


async def _found(connection: Connection, vault: Vault, row: Row[Any], *, held: bool) -> FoundAccount:
    person = await persons.read(connection, await vault.sealer(), row.mpi)
    return FoundAccount(
        vuid=row.vuid if held else "",
        held=held,
        state=row.state,
        name=person.name.masked,
        sex=person.sex,
        id_type=person.id_type,
        id_number=person.id_number.masked,
        phone=person.phone.masked,
        opened_at=row.opened_at,
    )


async def read_history(
    connection: Connection, vault: Vault, vuid: str, *, scope: Scope, after: str = "", limit: int = 50
) -> History:
    """Return a page of an account's history, newest first; ``after`` is the ``next`` of the page before.

    Raises:
        AccountNotFound: none, or not this holder's. SealBroken: a row was edited.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    vuids = await accounts.group(connection, row.vuid)
    query = select(account_event).where(account_event.c.vuid.in_(vuids))
    if after:
        query = query.where(account_event.c.event_id < after)
    rows = (await connection.execute(query.order_by(account_event.c.event_id.desc()).limit(limit + 1))).all()
    sealer = await vault.sealer()
    events = []
    for each in rows[:limit]:
        change = history.opened(sealer, each.vuid, each.event_id, each.sealed)
        names = [*change.before, *(name for name in change.after if name not in change.before)]
        events.append(
            HistoryEvent(
                event_id=each.event_id,
                vuid=each.vuid,
                what=each.what,
                at=each.at,
                actor=each.actor,
                actor_kind=each.actor_kind or "",
                institution_id=each.institution_id,
                front_id=each.front_id,
                request_id=each.request_id or "",
                reason=change.reason,
                facts=[
                    Fact(name=name, before=change.before.get(name, ""), after=change.after.get(name, ""))
                    for name in names
                ],
            )
        )
    return History(vuid=row.vuid, events=events, next=events[-1].event_id if len(rows) > limit else "")
