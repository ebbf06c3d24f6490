"""Every SELECT on subscriptions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text

from yimatong.access.caller import Caller
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import SubscriptionNotFound
from yimatong.empi.events.queries import Change
from yimatong.empi.identifiers import catalogue
from yimatong.empi.models import identifier_domain, person, subscription
from yimatong.empi.persons import queries as persons
from yimatong.empi.search import queries as search
from yimatong.empi.subscriptions.schemas import Subscription, Subscriptions
from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import Connection, RawConnection


async def owned(connection: Connection, subscription_id: str, *, caller: Caller, lock: bool = False) -> Row[Any]:
    """Return a caller's own subscription.

    Raises:
        SubscriptionNotFound: none, or somebody else's.
    """
    query = select(subscription).where(
        subscription.c.subscription_id == subscription_id, subscription.c.caller_id == caller.caller_id
    )
    row = (await connection.execute(query.with_for_update() if lock else query)).first()
    if row is None:
        raise SubscriptionNotFound
    return row


async def page(connection: Connection, vault: Vault, *, caller: Caller, after: str = "", limit: int) -> Subscriptions:
    """Return a caller's subscriptions, ended ones among them."""
    query = (
        select(subscription)
        .where(subscription.c.caller_id == caller.caller_id, subscription.c.subscription_id > after)
        .order_by(subscription.c.subscription_id)
        .limit(limit + 1)
    )
    rows = (await connection.execute(query)).all()
    refer = await vault.referrer(caller.holder)
    shown = tuple(view(row, "" if row.mpi is None else refer(row.mpi.hex)) for row in rows[:limit])
    return Subscriptions(subscriptions=shown, next_after=shown[-1].subscription_id if len(rows) > limit else "")


def view(row: Row[Any], mpi_ref: str) -> Subscription:
    """Return a subscription as its owner sees it."""
    return Subscription(
        subscription_id=row.subscription_id,
        subscriber=row.subscriber,
        scope=row.scope,
        mpi_ref=mpi_ref,
        domain=row.domain or "",
        events=tuple(row.events),
        payload=row.payload,
        url=row.url,
        state=row.state,
        created_at=row.created_at,
        ended_at=row.ended_at,
        version=row.version,
    )


async def by_id(connection: Connection, subscription_id: str) -> Row[Any] | None:
    """Return a subscription for the platform's own delivery."""
    query = select(subscription).where(subscription.c.subscription_id == subscription_id)
    found: Row[Any] | None = (await connection.execute(query)).first()
    return found


async def same(connection: Connection, values: dict[str, Any]) -> Row[Any] | None:
    """Return the caller's subscription that is not ended and says the same, if there is one."""
    names = ("caller_id", "subscriber", "scope", "mpi", "domain", "url", "payload")
    query = select(subscription).where(
        subscription.c.state != "ended",
        subscription.c.events == values["events"],
        *(subscription.c[name].is_not_distinct_from(values[name]) for name in names),
    )
    found: Row[Any] | None = (await connection.execute(query.limit(1))).first()
    return found


async def has_record(connection: Connection, mpi: UUID, *, caller: Caller) -> bool:
    """Say whether a caller has a record of a person, or of an id joined to her (``search.queries.seen_by``)."""
    return bool(await search.seen_by(connection, await persons.members(connection, mpi), caller=caller))


async def exists(connection: Connection, mpi: UUID) -> bool:
    """Say whether an id is a person's."""
    return (await connection.execute(select(person.c.mpi).where(person.c.mpi == mpi))).first() is not None


async def domain_owner(connection: Connection, code: str) -> str | None:
    """Return which institution's own a domain is; None for one of nobody, or unknown."""
    query = select(identifier_domain.c.institution_id).where(identifier_domain.c.code == code)
    found: str | None = (await connection.execute(query)).scalar_one_or_none()
    return found or catalogue.institution_of(code)


class Told:
    """One message to write: to which subscription, about which change (by its index)."""

    __slots__ = ("change", "payload", "person", "subscription_id")

    def __init__(self, change: int, subscription_id: str, payload: str, person: str) -> None:
        """Keep the four; ``person`` is what deliveries of one subscription are in order by."""
        self.change = change
        self.subscription_id = subscription_id
        self.payload = payload
        self.person = person


_TOLD = """
    SELECT c.ord, s.subscription_id, s.payload, CASE WHEN s.scope = 'person' THEN '' ELSE t.today::text END
    FROM unnest(%s::int[], %s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::timestamptz[])
         AS c (ord, mpi, kind, other, domain, at)
    JOIN LATERAL (SELECT coalesce((SELECT coalesce(current_mpi, mpi) FROM empi_person WHERE mpi = c.mpi), c.mpi)
                  AS today) t ON true
    JOIN LATERAL (SELECT array_agg(m) AS ids FROM (
        SELECT t.today AS m UNION SELECT c.mpi UNION SELECT mpi FROM empi_person WHERE current_mpi = t.today
        UNION SELECT c.other WHERE c.other IS NOT NULL) x) g ON true
    JOIN LATERAL (
        SELECT * FROM empi_subscription WHERE state = 'active' AND mpi IS NOT NULL AND mpi = ANY(g.ids)
        UNION ALL
        SELECT w.* FROM empi_subscription w WHERE w.state = 'active' AND w.mpi IS NULL
           AND (w.scope = 'all' OR w.domain = c.domain
                OR EXISTS (SELECT 1 FROM empi_identifier i
                           WHERE i.mpi = ANY(g.ids) AND i.domain = w.domain AND i.state = 'active')
                OR EXISTS (SELECT 1 FROM empi_contribution b
                           WHERE b.mpi = ANY(g.ids) AND b.domain = w.domain AND b.current))
    ) s ON true
    WHERE c.kind = ANY(s.events) AND c.at >= s.created_at
    ORDER BY c.ord, s.subscription_id
"""


async def told(connection: RawConnection, changes: Sequence[Change], *, only: str = "") -> list[Told]:
    """Return who is told of which change, in the order of the changes; with ``only`` one subscription alone.

    A person's subscribers are those of every id that is joined to her: after a merge they follow the survivor.
    """
    if not changes:
        return []
    columns = (
        *(plain(range(len(changes))), plain(each.mpi for each in changes), plain(each.kind for each in changes)),
        plain(each.other_mpi for each in changes),
        *(texts(each.domain for each in changes), texts(each.at.isoformat() for each in changes)),
    )
    rows: Sequence[Any] = await (await connection.execute(_TOLD, columns)).fetchall()
    return [Told(*row) for row in rows if not only or row[1] == only]


PAUSED = text("SELECT held_txid::text, held_id FROM empi_subscription WHERE subscription_id = :subscription_id")
