"""Hospitals' merchant accounts at the channels; their secrets are sealed at rest and unsealed for a call only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from psycopg.rows import namedtuple_row
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert

from yimatong.crypto.vault import Vault
from yimatong.kit.arrays import texts
from yimatong.kit.db import Answers, Connection, RawConnection
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.errors import ChannelNotOffered
from yimatong.payments.models import channel_account

PURPOSE = "channel-secrets"


async def put_account(connection: Connection, vault: Vault, account: ChannelAccount, *, now: datetime) -> None:
    """Enter a merchant account, or replace the numbers and secrets of the one with the same ``account_id``."""
    sealer = await vault.sealer(PURPOSE)
    plain = msgspec.json.encode({name: str.__str__(secret) for name, secret in account.secrets.items()})
    values = {
        "merchant_id": account.merchant_id,
        "app_id": account.app_id,
        "profile": dict(account.profile),
        "secrets_sealed": sealer.seal(plain, aad(account.account_id)),
    }
    await connection.execute(
        insert(channel_account)
        .values(
            account_id=account.account_id,
            institution_id=account.institution_id,
            channel=account.channel,
            created_at=now,
            **values,
        )
        .on_conflict_do_update(index_elements=["account_id"], set_=values)
    )


async def by_id(connection: Connection, vault: Vault, account_id: str) -> ChannelAccount:
    """Return an account, whatever its state: money on its way must still be understood when it is switched off.

    Raises:
        ChannelNotOffered: no such account.
    """
    found = await connection.execute(_BY_ID, {"account_id": account_id})
    return await opened(found.first(), vault, channel=account_id)


async def of_institution(connection: Connection, vault: Vault, institution_id: str, channel: str) -> ChannelAccount:
    """Return an institution's own active account at a channel.

    Raises:
        ChannelNotOffered: it has none.
    """
    found = await connection.execute(_ACTIVE, {"institution_id": institution_id, "channel": channel})
    return await opened(found.first(), vault, channel=channel)


def reading(
    vault: Vault,
) -> Callable[[RawConnection, Sequence[str]], Awaitable[Answers[ChannelAccount]]]:
    """Return the work of a batch that reads accounts by id, each once however many ask; errors as ``by_id``."""

    async def work(connection: RawConnection, ids: Sequence[str]) -> Answers[ChannelAccount]:
        cursor = connection.cursor(row_factory=namedtuple_row)
        await cursor.execute(_BY_IDS, (texts(sorted(set(ids))),))

        async def answers() -> Sequence[ChannelAccount | Exception]:
            rows: Sequence[Any] = await cursor.fetchall()
            found = {row.account_id: await opened(row, vault, channel=row.channel) for row in rows}
            return [found.get(each) or ChannelNotOffered(channel=each) for each in ids]

        return answers

    return work


_BY_IDS: Final = "SELECT * FROM payments_channel_account WHERE account_id = ANY(%s::text[])"
_BY_ID: Final = text("SELECT * FROM payments_channel_account WHERE account_id = :account_id")
_ACTIVE: Final = text(
    """
    SELECT * FROM payments_channel_account
    WHERE institution_id = :institution_id AND channel = :channel AND state = 'active'
    """
)


async def all_of(connection: Connection, vault: Vault, channel: str) -> list[ChannelAccount]:
    """Return every account at a channel, by id: what reconciliation walks through."""
    rows = await connection.execute(
        select(channel_account).where(channel_account.c.channel == channel).order_by(channel_account.c.account_id)
    )
    return [await opened(row, vault, channel=channel) for row in rows]


async def offered(connection: Connection, institution_id: str) -> list[str]:
    """Return the channels at which an institution has an active account, in a stable order."""
    rows = await connection.execute(
        select(channel_account.c.channel)
        .where(channel_account.c.institution_id == institution_id, channel_account.c.state == "active")
        .order_by(channel_account.c.channel)
    )
    return list(rows.scalars())


async def opened(row: Any, vault: Vault, *, channel: str) -> ChannelAccount:
    """Return the account of a row, with its secrets unsealed; ``ChannelNotOffered`` where there is no row."""
    if row is None:
        raise ChannelNotOffered(channel=channel)
    plain = (await vault.sealer(PURPOSE)).unseal(row.secrets_sealed, aad(row.account_id))
    secrets = msgspec.json.decode(plain, type=dict[str, str])
    return ChannelAccount(
        account_id=row.account_id,
        institution_id=row.institution_id,
        channel=row.channel,
        merchant_id=row.merchant_id,
        app_id=row.app_id,
        secrets={name: Secret(secret) for name, secret in secrets.items()},
        profile=row.profile,
    )


def aad(account_id: str) -> bytes:
    """Bind sealed secrets to their account."""
    return b"payments_channel_account:" + account_id.encode()
