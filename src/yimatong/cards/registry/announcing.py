"""How the accounts and the registry keep each other up to date, each able to stand still without harming the other.

Whoever changes something writes what is true now into the outbox, in the transaction that makes it true; the worker
carries it to the other side. A side that is down makes messages wait, nothing more. Every message carries the whole
state and a version: for accounts the number of the message, drawn while the account's row is locked, for cards the
card's own count. A side keeps the version that it heard last and passes over what is older, so repeats and late
messages change nothing, in whatever order they come.

Messages hold ids, states and blinds, never a name or a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, delete, text

from yimatong.cards.models import account_card
from yimatong.cards.registry import queries
from yimatong.cards.topics import ACCOUNTS_CHANGED, MESSAGE_ITEMS_MAX
from yimatong.empi.persons import queries as persons
from yimatong.kit import outbox
from yimatong.kit.db import Connection

CARDS_CHANGED: Final = "cards.physical_cards_changed"
"""From the registry to the accounts."""


async def announce(connection: Connection, vuids: Sequence[str], *, now: datetime) -> None:
    """Tell the registry what is true of these accounts, after any change of them, in the change's own transaction.

    Takes one VUID or a bulk load's; every 500 persons are one message. A VUID of the past is announced as its person's
    account of today. Call it last: it locks the accounts' rows and reads them as they are now.
    """
    mpis = await queries.persons_of_accounts(connection, vuids)
    await announce_persons(connection, mpis, now=now)


async def announce_persons(
    connection: Connection,
    mpis: Sequence[UUID],
    *,
    now: datetime,
    seen: Mapping[UUID, tuple[str | None, int]] | None = None,
) -> None:
    """Tell the registry which account each person has, or that there is none.

    ``seen`` is for repairs: the VUID and the version that the registry was seen to hold by mistake. An entry that still
    has this version takes the news, even if the version is from the future. That a person has *no* account is only
    believed in place of the VUID seen: such news has no lock that orders it against an account being opened now.
    """
    accounts = await queries.accounts_of_persons(connection, mpis)
    certificates = await persons.certificates_of(connection, mpis)
    wrong = seen or {}
    items: list[dict[str, object]] = []
    for mpi in sorted(mpis):
        known = accounts.get(mpi)
        items.append(
            {
                "mpi": mpi.hex,
                "vuid": known.vuid if known else None,
                "state": known.state if known else None,
                "instead_of": wrong.get(mpi, (None, 0))[0],
                "held": wrong.get(mpi, (None, 0))[1],
                "certificates": [[id_type, blind.hex()] for id_type, blind in certificates[mpi]],
            }
        )
    for start in range(0, len(items), MESSAGE_ITEMS_MAX):
        part = items[start : start + MESSAGE_ITEMS_MAX]
        await outbox.write(
            connection,
            topic=ACCOUNTS_CHANGED,
            ordering_key=f"registry:{part[0]['mpi']}",
            payload={"persons": part},
            now=now,
        )


_FORGET_VERSIONS = (
    text(
        """
        UPDATE cards_registry_resident r SET account_version = 0
        FROM jsonb_to_recordset(cast(:items AS jsonb)) AS c (id_type text, id_blind text, held bigint)
        WHERE c.held > 0 AND r.id_type = c.id_type AND r.id_blind = decode(c.id_blind, 'hex')
          AND r.account_version = c.held
        """
    ),
    text(
        """
        UPDATE cards_registry_resident r SET account_version = 0
        FROM jsonb_to_recordset(cast(:items AS jsonb)) AS c (mpi uuid, held bigint)
        WHERE c.held > 0 AND r.mpi = c.mpi AND r.account_version = c.held
        """
    ),
)
"""Of a repair: the version that the registry holds by mistake counts no more."""

_HEAR = text(
    """
    INSERT INTO cards_registry_resident AS r
        (id_type, id_blind, mpi, vuid, account_state, account_version, synchronised_at)
    SELECT id_type, decode(id_blind, 'hex'), mpi, vuid, state, :version, :now
    FROM jsonb_to_recordset(cast(:items AS jsonb)) AS c (id_type text, id_blind text, mpi uuid, vuid text, state text)
    WHERE vuid IS NOT NULL ORDER BY id_type, id_blind
    ON CONFLICT (id_type, id_blind) DO UPDATE
        SET mpi = excluded.mpi, vuid = excluded.vuid, account_state = excluded.account_state,
            account_version = excluded.account_version, synchronised_at = excluded.synchronised_at
        WHERE r.account_version < excluded.account_version
    """
)
"""By certificate: the entries that the index ties to the person."""

_HEAR_BY_PERSON = text(
    """
    UPDATE cards_registry_resident r
    SET vuid = p.vuid, account_state = p.state, account_version = :version, synchronised_at = :now
    FROM jsonb_to_recordset(cast(:persons AS jsonb)) AS p (mpi uuid, vuid text, state text)
    WHERE r.mpi = p.mpi AND p.vuid IS NOT NULL AND r.account_version < :version
    """
)
"""By person: an entry whose certificate the message does not name, for instance one that the registry knew first."""

_HEAR_OF_NO_ACCOUNT = (
    text(
        """
        INSERT INTO cards_registry_resident (id_type, id_blind, mpi, synchronised_at)
        SELECT id_type, decode(id_blind, 'hex'), mpi, :now
        FROM jsonb_to_recordset(cast(:items AS jsonb)) AS c (id_type text, id_blind text, mpi uuid, vuid text)
        WHERE vuid IS NULL ORDER BY id_type, id_blind ON CONFLICT DO NOTHING
        """
    ),
    text(
        """
        UPDATE cards_registry_resident r SET mpi = c.mpi, vuid = NULL, account_state = NULL, synchronised_at = :now
        FROM jsonb_to_recordset(cast(:items AS jsonb))
            AS c (id_type text, id_blind text, mpi uuid, vuid text, instead_of text)
        WHERE c.vuid IS NULL AND r.id_type = c.id_type AND r.id_blind = decode(c.id_blind, 'hex')
          AND (r.vuid IS NULL OR r.vuid = c.instead_of)
        """
    ),
    text(
        """
        UPDATE cards_registry_resident r SET vuid = NULL, account_state = NULL, synchronised_at = :now
        FROM jsonb_to_recordset(cast(:persons AS jsonb)) AS p (mpi uuid, vuid text, instead_of text)
        WHERE p.vuid IS NULL AND r.mpi = p.mpi AND r.vuid = p.instead_of
        """
    ),
)

_LINK = text(
    """
    UPDATE cards_physical_card c SET vuid = r.vuid, version = c.version + 1
    FROM cards_registry_resident r
    WHERE r.mpi = ANY(:mpis) AND c.id_type = r.id_type AND c.id_blind = r.id_blind AND c.vuid IS DISTINCT FROM r.vuid
    RETURNING c.*
    """
)


async def hear_accounts(connection: Connection, payload: Mapping[str, Any], *, message_id: int, now: datetime) -> None:
    """Let the registry take in what the accounts told, link the persons' cards, and tell of the links."""
    told = payload["persons"]
    rows = [
        {
            **{name: person[name] for name in ("mpi", "vuid", "state", "instead_of")},
            "held": person.get("held", 0),
            "id_type": kind,
            "id_blind": blind,
        }
        for person in told
        for kind, blind in person["certificates"]
    ]
    given = {
        "items": msgspec.json.encode(rows).decode(),
        "persons": msgspec.json.encode(told).decode(),
        "version": message_id,
        "now": now,
    }
    if any(row["held"] for row in rows):
        for statement in _FORGET_VERSIONS:
            await connection.execute(statement, {"items": given["items"]})
    await connection.execute(_HEAR, {name: given[name] for name in ("items", "version", "now")})
    await connection.execute(_HEAR_BY_PERSON, {name: given[name] for name in ("persons", "version", "now")})
    if any(person["vuid"] is None for person in told):
        for statement, name in zip(_HEAR_OF_NO_ACCOUNT, ("items", "items", "persons"), strict=True):
            await connection.execute(statement, {name: given[name], "now": now})
    linked = await connection.execute(_LINK, {"mpis": [UUID(person["mpi"]) for person in told]})
    await announce_cards(connection, linked.all(), now=now)


async def announce_cards(connection: Connection, cards: Sequence[Row[Any]], *, now: datetime) -> None:
    """Tell the accounts what is true of these physical cards, in the transaction that changed them."""
    for start in range(0, len(cards), MESSAGE_ITEMS_MAX):
        part = cards[start : start + MESSAGE_ITEMS_MAX]
        told = [
            {
                **{name: getattr(row, name) for name in ("card_id", "vuid", "card_type", "number_end", "issuer")},
                "state": row.state,
                "version": row.version,
                "issued_at": row.issued_at.isoformat(),
            }
            for row in part
        ]
        await outbox.write(
            connection,
            topic=CARDS_CHANGED,
            ordering_key=f"card:{part[0].card_id}",
            payload={"cards": told, "gone": []},
            now=now,
        )


async def announce_gone(connection: Connection, card_ids: Sequence[str], *, now: datetime) -> None:
    """Tell the accounts that the registry has no such cards."""
    for start in range(0, len(card_ids), MESSAGE_ITEMS_MAX):
        part = list(card_ids[start : start + MESSAGE_ITEMS_MAX])
        await outbox.write(
            connection,
            topic=CARDS_CHANGED,
            ordering_key=f"card:{part[0]}",
            payload={"cards": [], "gone": part},
            now=now,
        )


_HEAR_CARDS = text(
    """
    INSERT INTO cards_account_card AS a
        (card_id, vuid, card_type, number_end, issuer, state, version, issued_at, heard_at)
    SELECT card_id, vuid, card_type, number_end, issuer, state, version, issued_at, :now
    FROM jsonb_to_recordset(cast(:cards AS jsonb)) AS c (card_id text, vuid text, card_type text, number_end text,
        issuer text, state text, version bigint, issued_at timestamptz)
    ORDER BY card_id
    ON CONFLICT (card_id) DO UPDATE
        SET vuid = excluded.vuid, card_type = excluded.card_type, number_end = excluded.number_end,
            issuer = excluded.issuer, state = excluded.state, version = excluded.version,
            issued_at = excluded.issued_at, heard_at = excluded.heard_at
        WHERE a.version < excluded.version
    """
)


async def hear_cards(connection: Connection, payload: Mapping[str, Any], *, now: datetime) -> None:
    """Let the accounts take in what the registry told of its cards."""
    if payload["cards"]:
        await connection.execute(_HEAR_CARDS, {"cards": msgspec.json.encode(payload["cards"]).decode(), "now": now})
    if payload["gone"]:
        await connection.execute(delete(account_card).where(account_card.c.card_id.in_(payload["gone"])))
