"""Every SELECT of the administration of merchant accounts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select

from yimatong.access import approvals
from yimatong.access.caller import Scope
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.payments import accounts
from yimatong.payments.administration import keys
from yimatong.payments.administration.schemas import Account, Proposed
from yimatong.payments.errors import AccountUnknown
from yimatong.payments.models import account_change, channel_account

KIND = "channel-account"


async def listed(connection: Connection, *, scope: Scope, institution_id: str = "", channel: str = "") -> list[Account]:
    """Return merchant accounts, by institution and channel, without a word about their keys."""
    query = select(channel_account).order_by(channel_account.c.institution_id, channel_account.c.channel)
    own = institution_id if scope.all_rows else str(scope.institution_id or scope.caller_id)
    if own:
        query = query.where(channel_account.c.institution_id == own)
    if channel:
        query = query.where(channel_account.c.channel == channel)
    return [_view(row) for row in await connection.execute(query)]


async def find(connection: Connection, vault: Vault, account_id: str, *, scope: Scope) -> Account:
    """Return one merchant account with which keys are in use.

    Raises:
        AccountUnknown: none in ``scope``.
    """
    row = await row_of(connection, account_id)
    if row is None or not (scope.all_rows or row.institution_id == scope.institution_id):
        raise AccountUnknown(account_id=account_id)
    held = await secrets_of(vault, row)
    return msgspec.structs.replace(_view(row), keys=keys.in_use(row.channel, held))


async def row_of(connection: Connection, account_id: str, *, lock: bool = False) -> Row[Any] | None:
    """Return an account's row, locked if asked for, or None."""
    query = select(channel_account).where(channel_account.c.account_id == account_id)
    return (await connection.execute(query.with_for_update() if lock else query)).first()


async def secrets_of(vault: Vault, row: Row[Any]) -> dict[str, str]:
    """Return the secrets of an account's row, unsealed."""
    plain = (await vault.sealer(accounts.PURPOSE)).unseal(bytes(row.secrets_sealed), accounts.aad(row.account_id))
    return msgspec.json.decode(plain, type=dict[str, str])


async def taken(connection: Connection, institution_id: str, channel: str) -> str | None:
    """Return the account that an institution has at a channel, or None."""
    found = await connection.execute(
        select(channel_account.c.account_id).where(
            channel_account.c.institution_id == institution_id, channel_account.c.channel == channel
        )
    )
    return found.scalar_one_or_none()


async def proposed(connection: Connection) -> Sequence[Proposed]:
    """Return the changes that wait for a second person, oldest first."""
    opened = {each.approval_id: each for each in await approvals.open_proposals(connection, kind=KIND)}
    rows = await connection.execute(select(account_change).where(account_change.c.approval_id.in_(list(opened))))
    kept = {row.approval_id: row for row in rows}
    return [
        Proposed(
            approval_id=each.approval_id,
            account_id=row.account_id,
            institution_id=row.institution_id,
            verb=row.change["verb"],
            facts=facts_of(row.change),
            names=list(row.change.get("names", [])),
            reason=each.reason,
            proposer_id=each.proposer_id,
            proposed_at=each.proposed_at,
        )
        for each in opened.values()
        if (row := kept.get(each.approval_id)) is not None
    ]


def facts_of(change: Mapping[str, Any]) -> dict[str, str]:
    """Return what of a change is no secret, as short texts."""
    plain = {name: str(change[name]) for name in ("channel", "merchant_id", "app_id", "state") if change.get(name)}
    return plain | {f"profile.{name}": str(value) for name, value in (change.get("profile") or {}).items()}


def digest(row: Row[Any] | None, held: Mapping[str, str]) -> bytes:
    """Return what an account is, in one value that changes with it; empty for one that does not exist."""
    if row is None:
        return b""
    facts = [row.institution_id, row.channel, row.merchant_id, row.app_id, dict(row.profile), row.state, dict(held)]
    return sm3(msgspec.json.encode(facts, order="sorted"))


def _view(row: Row[Any]) -> Account:
    return Account(
        **{name: getattr(row, name) for name in Account.__struct_fields__ if name not in ("profile", "keys")},
        profile=dict(row.profile),
    )
