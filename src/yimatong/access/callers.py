"""Registered callers: enrolment, state and the directory that the edge asks at every request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.access.caller import Caller
from yimatong.access.errors import CallerNotApproved, CallerUnknown, NonceRepeated
from yimatong.access.models import caller, institution, request_nonce
from yimatong.access.request_auth import require_id
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import Answers, Connection, Database, RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.masking import Secret

_CACHE_S = 5.0


class Institution(msgspec.Struct, frozen=True, kw_only=True):
    """接入机构 as other rooms see it."""

    institution_id: str
    name: str
    kind: str
    org_code: str
    region_code: str


async def add_institution(connection: Connection, found: Institution, *, now: datetime) -> None:
    """Enter an approved institution; entering it again changes nothing.

    Raises:
        IdInvalid: see :func:`yimatong.access.request_auth.require_id`.
    """
    require_id(found.institution_id)
    await connection.execute(
        upsert(institution)
        .values(**msgspec.structs.asdict(found), state="approved", created_at=now)
        .on_conflict_do_nothing(index_elements=["institution_id"])
    )


async def institution_name(connection: Connection, institution_id: str) -> str:
    """Return the name to show, or the id itself when it is not registered."""
    row = await connection.execute(select(institution.c.name).where(institution.c.institution_id == institution_id))
    return row.scalar_one_or_none() or institution_id


async def names(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the names to show of institutions and callers, by id; an unknown id is its own name."""
    known = select(institution.c.institution_id, institution.c.name).where(institution.c.institution_id.in_(ids))
    rows = await connection.execute(
        known.union_all(select(caller.c.caller_id, caller.c.name).where(caller.c.caller_id.in_(ids)))
    )
    return {key: key for key in ids} | {row[0]: row[1] for row in rows}


async def institutions_of(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the institution behind each id: a caller's own, or the institution that the id names; others left out."""
    known = select(institution.c.institution_id, institution.c.institution_id).where(
        institution.c.institution_id.in_(ids)
    )
    rows = await connection.execute(
        known.union_all(
            select(caller.c.caller_id, caller.c.institution_id).where(
                caller.c.caller_id.in_(ids), caller.c.institution_id.is_not(None)
            )
        )
    )
    return {row[0]: row[1] for row in rows}


async def institution_names(connection: Connection, ids: Collection[str] | None = None) -> dict[str, str]:
    """Return the names of registered institutions by id, in the order of their ids: those asked for, or all."""
    known = select(institution.c.institution_id, institution.c.name).order_by(institution.c.institution_id)
    if ids is not None:
        known = known.where(institution.c.institution_id.in_(ids))
    return {row[0]: row[1] for row in await connection.execute(known)}


async def registered(connection: Connection, ids: Collection[str]) -> set[str]:
    """Return which of the ids are those of an institution or a caller."""
    known = select(institution.c.institution_id).where(institution.c.institution_id.in_(ids))
    rows = await connection.execute(known.union_all(select(caller.c.caller_id).where(caller.c.caller_id.in_(ids))))
    return {row[0] for row in rows}


async def enrol(
    connection: Connection,
    vault: Vault,
    *,
    caller_id: str,
    kind: str,
    name: str,
    institution_id: str | None,
    secret: bytes,
    now: datetime,
    through_front: bool = False,
    webhook_url: str | None = None,
) -> None:
    """Enter an approved caller with its shared secret (32 bytes); the secret is sealed at rest.

    Raises:
        IdInvalid: see :func:`yimatong.access.request_auth.require_id`.
    """
    require_id(caller_id)
    sealer = await vault.sealer("caller-secrets")
    await connection.execute(
        insert(caller).values(
            caller_id=caller_id,
            kind=kind,
            name=name,
            institution_id=institution_id,
            state="approved",
            secret_sealed=sealer.seal(secret, _aad(caller_id)),
            through_front=int(through_front),
            webhook_url=webhook_url,
            created_at=now,
        )
    )


async def set_state(connection: Connection, caller_id: str, state: str) -> None:
    """Suspend, approve again or revoke a caller.

    Raises:
        CallerUnknown: no such caller, or it was revoked (which is final).
    """
    done = await connection.execute(
        update(caller).where(caller.c.caller_id == caller_id, caller.c.state != "revoked").values(state=state)
    )
    if done.rowcount != 1:
        raise CallerUnknown


async def set_webhook(connection: Connection, caller_id: str, *, url: str) -> None:
    """Change where an institution's system is told of events.

    Raises:
        CallerUnknown: no such caller.
    """
    done = await connection.execute(update(caller).where(caller.c.caller_id == caller_id).values(webhook_url=url))
    if done.rowcount != 1:
        raise CallerUnknown


async def forget_nonces(connection: Connection, *, before: datetime) -> int:
    """Remove nonces that the time-stamp window has closed on."""
    done = await connection.execute(delete(request_nonce).where(request_nonce.c.at < before))
    return int(done.rowcount)


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """Where and with which secret an institution's system is told of events."""

    caller_id: str
    url: str
    secret: Secret


async def webhook_of(connection: Connection, vault: Vault, institution_id: str) -> Webhook | None:
    """Return the webhook of an institution's system, or None when it registered none."""
    row = (await connection.execute(_WEBHOOK, {"institution_id": institution_id})).first()
    if row is None:
        return None
    secret = (await vault.sealer("caller-secrets")).unseal(row.secret_sealed, _aad(row.caller_id))
    return Webhook(caller_id=row.caller_id, url=row.webhook_url, secret=Secret(secret.hex()))


def webhooks(vault: Vault) -> Callable[[RawConnection, Sequence[str]], Awaitable[Answers[Webhook | None]]]:
    """Return the work of a batch that reads the webhooks of institutions; each as ``webhook_of``."""

    async def work(connection: RawConnection, ids: Sequence[str]) -> Answers[Webhook | None]:
        cursor = await connection.execute(_WEBHOOKS, (texts(sorted(set(ids))),))
        sealer = await vault.sealer("caller-secrets")

        async def answers() -> Sequence[Webhook | Exception | None]:
            rows: Sequence[Any] = await cursor.fetchall()
            found = {row[0]: _webhook(sealer, *row[1:]) for row in rows}
            return [found.get(institution_id) for institution_id in ids]

        return answers

    return work


def _webhook(sealer: Sealer, caller_id: str, url: str, sealed: bytes) -> Webhook | PlatformError:
    """A secret that does not open fails its own institution's messages and no others."""
    try:
        secret = sealer.unseal(bytes(sealed), _aad(caller_id))
    except PlatformError as broken:
        return broken
    return Webhook(caller_id=caller_id, url=url, secret=Secret(secret.hex()))


_WEBHOOKS: Final = """
    SELECT DISTINCT ON (institution_id) institution_id, caller_id, webhook_url, secret_sealed FROM access_caller
    WHERE institution_id = ANY(%s::text[]) AND webhook_url IS NOT NULL ORDER BY institution_id, caller_id
"""
_WEBHOOK: Final = text(
    """
    SELECT caller_id, webhook_url, secret_sealed FROM access_caller
    WHERE institution_id = :institution_id AND webhook_url IS NOT NULL ORDER BY caller_id LIMIT 1
    """
)


async def acting_for(connection: Connection, who: Caller) -> list[str]:
    """Return every name under which a caller's institution acts: its own and that of each of its callers.

    A caller without an institution acts for itself alone.
    """
    if who.institution_id is None:
        return [who.caller_id]
    rows = await connection.execute(select(caller.c.caller_id).where(caller.c.institution_id == who.institution_id))
    return sorted({who.institution_id, who.caller_id, *rows.scalars()})


async def vouching_for(connection: Connection, who: Caller) -> list[str]:
    """Return those of ``acting_for`` whose bare word counts: all but apps, behind which nobody looks at anybody."""
    if who.institution_id is None:
        return [] if who.kind == "app" else [who.caller_id]
    rows = await connection.execute(
        select(caller.c.caller_id).where(caller.c.institution_id == who.institution_id, caller.c.kind != "app")
    )
    return sorted({who.institution_id, *rows.scalars()})


async def signing_as(connection: Connection, vault: Vault, caller_id: str, *, url: str) -> tuple[Webhook, str]:
    """Return what deliveries to a caller at an address of its own are signed with, and in whose name it acts.

    Raises:
        CallerNotApproved: it is suspended, revoked or unknown.
    """
    columns = caller.c.secret_sealed, caller.c.state, caller.c.institution_id
    row = (await connection.execute(select(*columns).where(caller.c.caller_id == caller_id))).first()
    if row is None or row.state != "approved":
        raise CallerNotApproved(state="revoked" if row is None else row.state)
    secret = (await vault.sealer("caller-secrets")).unseal(row.secret_sealed, _aad(caller_id))
    return Webhook(caller_id=caller_id, url=url, secret=Secret(secret.hex())), row.institution_id or caller_id


class KnownCaller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller with what is needed to check its signature."""

    caller: Caller
    state: str
    through_front: bool
    key: HmacSm3

    def require_approved(self) -> None:
        """Refuse a caller that is not approved.

        Raises:
            CallerNotApproved: draft, submitted, returned, suspended or revoked.
        """
        if self.state != "approved":
            raise CallerNotApproved(state=self.state)


_TAKE = """
    WITH i AS MATERIALIZED (SELECT * FROM unnest(%s::int[], %s::text[], %s::text[]) AS i (ord, caller, nonce)),
    fresh AS (
        INSERT INTO access_request_nonce (caller_id, nonce, at)
        SELECT DISTINCT caller, nonce, %s::timestamptz FROM i
        WHERE EXISTS (SELECT 1 FROM access_caller WHERE caller_id = i.caller) ORDER BY caller, nonce
        ON CONFLICT DO NOTHING RETURNING caller_id, nonce)
    SELECT i.ord, c.state, f.nonce IS NOT NULL FROM i
    LEFT JOIN LATERAL (SELECT state FROM access_caller WHERE caller_id = i.caller LIMIT 1) c ON true
    LEFT JOIN fresh f ON f.caller_id = i.caller AND f.nonce = i.nonce
"""


async def _take_nonces(
    connection: RawConnection, asked: Sequence[tuple[str, str, datetime]]
) -> Answers[tuple[str | None, bool]]:
    """Use up (caller, nonce) of many requests with one commit; answer each with the caller's state and its freshness.

    Of two at once with the same nonce only the first is fresh.
    """
    ids, nonces, moments = zip(*asked, strict=True)
    cursor = await connection.execute(_TAKE, (plain(range(len(asked))), texts(ids), texts(nonces), moments[0]))

    async def answers() -> Sequence[tuple[str | None, bool]]:
        rows: Sequence[Any] = await cursor.fetchall()
        found = {row[0]: (row[1], row[2]) for row in rows}
        first = {pair: index for index, pair in reversed(list(enumerate(zip(ids, nonces, strict=True))))}
        return [
            (found[index][0], found[index][1] and first[ids[index], nonces[index]] == index)
            for index in range(len(asked))
        ]

    return answers


_READ = """
    SELECT caller_id, kind, name, institution_id, switched_off, state, through_front, secret_sealed
    FROM access_caller WHERE caller_id = ANY(%s::text[])
"""


def _known(row: Any, sealer: Sealer) -> KnownCaller:
    caller_id, kind, name, institution_id, switched_off, state, through_front, secret_sealed = row
    return KnownCaller(
        caller=Caller(
            caller_id=caller_id,
            kind=kind,
            name=name,
            institution_id=institution_id,
            switched_off=frozenset(switched_off),
        ),
        state=state,
        through_front=bool(through_front),
        key=HmacSm3(sealer.unseal(bytes(secret_sealed), _aad(caller_id))),
    )


def _known_or_error(row: Any, sealer: Sealer) -> KnownCaller | PlatformError:
    """A secret that does not open fails its own caller and none of the others that were read with it."""
    try:
        return _known(row, sealer)
    except PlatformError as broken:
        return broken


class Directory:
    """Callers by id. Secrets stay in memory for at most five seconds; state is read again when a nonce is taken."""

    def __init__(self, db: Database, vault: Vault) -> None:
        """Start empty."""
        self._vault = vault
        self._known: dict[str, tuple[float, KnownCaller]] = {}
        self._reads = db.batch(self._read)
        self._nonces = db.batch(_take_nonces)

    async def get(self, caller_id: str) -> KnownCaller:
        """Return a caller by id.

        Raises:
            CallerUnknown: no such caller.
        """
        cached = self._known.get(caller_id)
        if cached is not None and time.monotonic() - cached[0] < _CACHE_S:
            return cached[1]
        known = await self._reads.submit(caller_id)
        if known is None:
            self._known.pop(caller_id, None)
            raise CallerUnknown(audit=f"no caller {caller_id}")
        self._known[caller_id] = (time.monotonic(), known)
        return known

    async def _read(self, connection: RawConnection, ids: Sequence[str]) -> Answers[KnownCaller | None]:
        """Read many callers at once: when the cache of a busy process ends, all of its callers ask in one moment."""
        cursor = await connection.execute(_READ, (texts(sorted(set(ids))),))
        sealer = await self._vault.sealer("caller-secrets")

        async def answers() -> Sequence[KnownCaller | PlatformError | None]:
            rows: Sequence[Any] = await cursor.fetchall()
            found = {row[0]: _known_or_error(row, sealer) for row in rows}
            return [found.get(caller_id) for caller_id in ids]

        return answers

    async def take_nonce(self, caller_id: str, nonce: str, *, now: datetime) -> None:
        """Use up a nonce for good, and look at the caller's state as it is this moment.

        Raises:
            NonceRepeated: the nonce was used.
            CallerNotApproved: the caller was suspended or revoked since it was cached.
        """
        state, fresh = await self._nonces.submit((caller_id, nonce, now))
        if state != "approved":
            self._known.pop(caller_id, None)
            raise CallerNotApproved(state=state or "revoked")
        if not fresh:
            raise NonceRepeated


def _aad(caller_id: str) -> bytes:
    """Bind a sealed secret to its row, so that secrets cannot be moved between callers."""
    return b"access_caller:" + caller_id.encode()
