"""Every SELECT on the registry of physical cards, and the few on accounts that it needs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, and_, func, or_, select, tuple_

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.errors import CardNotFound, DeliveryNotFound
from yimatong.cards.models import account, account_card, arrival, holder, physical_card, registry_resident
from yimatong.cards.registry.schemas import AccountCard, AccountCards, CardView, DeliveryView, RefusedRow
from yimatong.kit.db import Connection
from yimatong.kit.errors import catalogue

LIVE_STATES = ("issued", "lost")
"""A card in these states has its number and its chip to itself."""

REFUSED_SHOWN_MAX = 500


class RegistryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What the registry knows of the holder of a certificate."""

    mpi: UUID
    vuid: str | None


async def persons_of_accounts(connection: Connection, vuids: Sequence[str]) -> list[UUID]:
    """Return the persons of accounts, whatever state these are in."""
    rows = await connection.execute(select(account.c.mpi).where(account.c.vuid.in_(vuids)).distinct())
    return [row.mpi for row in rows]


async def accounts_of_persons(
    connection: Connection, mpis: Sequence[UUID], *, for_update: bool = True
) -> dict[UUID, Row[Any]]:
    """Return the account that stands for each person: the one in force, else the one cancelled last.

    Locks every account of theirs, unless told otherwise.
    """
    query = (
        select(account)
        .where(account.c.mpi.in_(mpis), account.c.state != "alias")
        .order_by(account.c.vuid, account.c.generation)
    )
    found: dict[UUID, Row[Any]] = {}
    for row in await connection.execute(query.with_for_update() if for_update else query):
        before = found.get(row.mpi)
        if before is None or _standing(before) < _standing(row):
            found[row.mpi] = row
    return found


def _standing(row: Row[Any]) -> tuple[bool, datetime, int]:
    return row.state != "cancelled", row.opened_at, row.generation


async def master(connection: Connection, mpis: Sequence[UUID]) -> Row[Any] | None:
    """Return the oldest account in force of a person who may have several ids after a merge; a frozen one first.

    What freezes one account of a person freezes her.
    """
    rows = await connection.execute(
        select(account)
        .where(account.c.mpi.in_(mpis), account.c.state.in_(("active", "frozen")))
        .order_by(account.c.state.desc(), account.c.opened_at, account.c.vuid)
        .limit(1)
    )
    return rows.first()


async def entries(
    connection: Connection, certificates: Sequence[tuple[str, bytes]], *, for_update: bool = False
) -> dict[tuple[str, bytes], Row[Any]]:
    """Return the registry's entries of certificates, given as (id_type, id_blind)."""
    query = (
        select(registry_resident)
        .where(tuple_(registry_resident.c.id_type, registry_resident.c.id_blind).in_(certificates))
        .order_by(registry_resident.c.id_type, registry_resident.c.id_blind)
    )
    rows = await connection.execute(query.with_for_update() if for_update else query)
    return {(row.id_type, bytes(row.id_blind)): row for row in rows}


async def cards_like(
    connection: Connection, *, numbers: Sequence[tuple[str, bytes]], chips: Sequence[bytes]
) -> Sequence[Row[Any]]:
    """Return every card with one of the numbers (type, blind) or chips: those in force first, newest first."""
    wanted = [tuple_(physical_card.c.card_type, physical_card.c.number_blind).in_(numbers)] if numbers else []
    if chips:
        wanted.append(physical_card.c.chip_blind.in_(chips))
    rows = await connection.execute(
        select(physical_card)
        .where(or_(*wanted))
        .order_by(
            physical_card.c.state.in_(LIVE_STATES).desc(),
            physical_card.c.issued_at.desc(),
            physical_card.c.card_id.desc(),
        )
    )
    return rows.all()


async def held(connection: Connection, card_id: str, *, scope: Scope, for_update: bool = False) -> Row[Any]:
    """Return a card that the scope issued, or whose account it holds; else it answers like an absent one.

    Raises:
        CardNotFound: none, or not this scope's.
    """
    query = select(physical_card).where(physical_card.c.card_id == card_id, _own(scope))
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise CardNotFound
    return row


async def found(
    connection: Connection, *, number: tuple[str, bytes] | None, chip: bytes | None, scope: Scope
) -> CardView:
    """Return the card with a number (type, blind) or a chip that is in force, else the newest of those that were.

    Raises:
        CardNotFound: none, or not this scope's.
    """
    for row in await cards_like(connection, numbers=[number] if number else [], chips=[chip] if chip else []):
        return view(await held(connection, row.card_id, scope=scope))
    raise CardNotFound


async def read(connection: Connection, card_id: str, *, scope: Scope) -> CardView:
    """Return a card. Raises CardNotFound: none, or not this scope's."""
    return view(await held(connection, card_id, scope=scope))


async def of_account(connection: Connection, vuid: str, *, scope: Scope) -> AccountCards:
    """Return the cards of an account that the scope holds, from the accounts' own list, newest first.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    await accounts.held(connection, vuid, scope=scope)
    rows = await connection.execute(
        select(account_card)
        .where(account_card.c.vuid == vuid)
        .order_by(account_card.c.issued_at.desc(), account_card.c.card_id.desc())
    )
    return AccountCards(vuid=vuid, cards=[_account_card(row) for row in rows])


async def newest_state(connection: Connection, vuid: str) -> tuple[str, str]:
    """Return (type, state) of the account's newest physical card, a card in force first; empty texts without one."""
    row = (
        await connection.execute(
            select(account_card.c.card_type, account_card.c.state)
            .where(account_card.c.vuid == vuid)
            .order_by(account_card.c.state.in_(LIVE_STATES).desc(), account_card.c.issued_at.desc())
            .limit(1)
        )
    ).first()
    return ("", "") if row is None else (row.card_type, row.state)


def view(row: Row[Any], *, vuid: str = "") -> CardView:
    """Return a card as it is told; ``vuid`` where the link is younger than the row."""
    return CardView(
        card_id=row.card_id,
        card_type=row.card_type,
        number_end=row.number_end,
        has_chip=row.chip_blind is not None,
        issuer=row.issuer,
        state=row.state,
        vuid=row.vuid or vuid,
        replaced_by=row.replaced_by or "",
        issued_at=row.issued_at,
        changed_at=row.changed_at,
    )


class CardFilters(msgspec.Struct, frozen=True, kw_only=True):
    """What to look for among the cards; None means any."""

    state: str | None = None
    card_type: str | None = None
    institution_id: str | None = None


async def listed(
    connection: Connection,
    *,
    scope: Scope,
    filters: CardFilters,
    after: tuple[datetime, str] | None = None,
    limit: int = 50,
) -> Sequence[CardView]:
    """Return cards, newest first; ``after`` is the (issued_at, card_id) of the last one of the page before."""
    query = select(physical_card).where(_own(scope))
    for column, wanted in (
        (physical_card.c.state, filters.state),
        (physical_card.c.card_type, filters.card_type),
        (physical_card.c.institution_id, filters.institution_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if after is not None:
        query = query.where(tuple_(physical_card.c.issued_at, physical_card.c.card_id) < tuple_(*after))
    rows = await connection.execute(
        query.order_by(physical_card.c.issued_at.desc(), physical_card.c.card_id.desc()).limit(limit)
    )
    return [view(row) for row in rows]


async def counts(connection: Connection, *, scope: Scope) -> dict[str, int]:
    """Return how many cards are in each state."""
    rows = await connection.execute(
        select(physical_card.c.state, func.count()).where(_own(scope)).group_by(physical_card.c.state)
    )
    return {row[0]: int(row[1]) for row in rows}


async def waiting(connection: Connection, *, limit: int, among: Sequence[str] | None = None) -> Sequence[Row[Any]]:
    """Return the oldest arrivals that wait (``among`` these), locked; rows that another job has are passed over."""
    rows = await connection.execute(
        select(arrival)
        .where(arrival.c.state == "waiting", *([] if among is None else [arrival.c.arrival_id.in_(among)]))
        .order_by(arrival.c.arrival_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def delivery(connection: Connection, name: str, *, scope: Scope) -> DeliveryView:
    """Return how far a delivery is, with its refused rows.

    Raises:
        DeliveryNotFound: none, or another institution's.
    """
    own = and_(arrival.c.delivery == name, _own_delivery(scope))
    states = await connection.execute(select(arrival.c.state, func.count()).where(own).group_by(arrival.c.state))
    number = {row[0]: int(row[1]) for row in states}
    if not number:
        raise DeliveryNotFound
    refused = await connection.execute(
        select(arrival.c.line, arrival.c.number_end, arrival.c.reason, arrival.c.detail)
        .where(own, arrival.c.state == "refused")
        .order_by(arrival.c.line, arrival.c.arrival_id)
        .limit(REFUSED_SHOWN_MAX)
    )
    return DeliveryView(
        delivery=name,
        received=sum(number.values()),
        waiting=number.get("waiting", 0),
        done=number.get("done", 0),
        refused=number.get("refused", 0),
        refused_rows=[_refused(*row) for row in refused],
    )


class DeliveryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery in the console's list."""

    delivery: str
    institution_id: str
    received_at: datetime
    received: int
    waiting: int
    done: int
    refused: int


async def deliveries(connection: Connection, *, scope: Scope, limit: int = 30) -> Sequence[DeliveryLine]:
    """Return the newest deliveries with their numbers."""

    def number(state: str) -> ColumnElement[int]:
        return func.count().filter(arrival.c.state == state)

    rows = await connection.execute(
        select(
            arrival.c.delivery,
            arrival.c.institution_id,
            func.max(arrival.c.received_at),
            func.count(),
            *(number(state) for state in ("waiting", "done", "refused")),
        )
        .where(_own_delivery(scope))
        .group_by(arrival.c.institution_id, arrival.c.delivery)
        .order_by(func.max(arrival.c.received_at).desc())
        .limit(limit)
    )
    return [
        DeliveryLine(
            delivery=row[0],
            institution_id=row[1],
            received_at=row[2],
            received=row[3],
            waiting=row[4],
            done=row[5],
            refused=row[6],
        )
        for row in rows
    ]


def reason(code: str, detail: str) -> tuple[str, str]:
    """Return what a public error code says, in Chinese and in English."""
    known = catalogue().get(code)
    if known is None:
        return code, code
    said = known(detail=detail, card_type=detail, id_type=detail, birth_date=detail)
    return said.text("zh"), said.text("en")


def _refused(line: int, end: str, code: str, detail: str) -> RefusedRow:
    zh, en = reason(code, detail)
    return RefusedRow(line=line, number_end=end, code=code, zh=zh, en=en)


def _account_card(row: Row[Any]) -> AccountCard:
    return AccountCard(
        card_id=row.card_id,
        card_type=row.card_type,
        number_end=row.number_end,
        issuer=row.issuer,
        state=row.state,
        issued_at=row.issued_at,
    )


def _own(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that keeps a scope to the cards that it issued and those of the accounts that it holds."""
    if scope.all_rows:
        return and_(True)  # noqa: FBT003 -- SQLAlchemy's way of an empty condition
    holds = select(holder.c.vuid).where(holder.c.holder == accounts.holder_of(scope))
    mine = physical_card.c.vuid.in_(holds)
    return mine if scope.institution_id is None else or_(physical_card.c.institution_id == scope.institution_id, mine)


def _own_delivery(scope: Scope) -> ColumnElement[bool]:
    if scope.all_rows:
        return and_(True)  # noqa: FBT003 -- SQLAlchemy's way of an empty condition
    return arrival.c.institution_id == (scope.institution_id or "")
