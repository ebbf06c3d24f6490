"""The verbs of the administration of merchant accounts, each with its audit row.

``put``, ``switch`` and ``end_change_over`` act at once: they are for whoever holds the machine (``ymt channels``). In
the console the same changes are proposed by one person and take effect when another approves; until then the new
secrets wait sealed, and a proposal that was overtaken by another change is refused instead of undoing it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, insert, select, update

from yimatong.access import approvals, callers
from yimatong.access.errors import ApprovalNotOpen
from yimatong.crypto.vault import Vault
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.administration import keys, queries
from yimatong.payments.administration.queries import KIND
from yimatong.payments.administration.schemas import AccountFile
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.errors import AccountChangeGone, AccountChangeInvalid, AccountUnknown
from yimatong.payments.models import account_change, channel_account
from yimatong.payments.service_channels.service import By

REASON_MAX: Final = 200
_FACTS: Final = ("institution_id", "channel", "merchant_id", "app_id")


async def put(connection: Connection, vault: Vault, file: AccountFile, *, known: Collection[str], by: By) -> bool:
    """Enter a merchant account, or change what the file names of one that exists; return whether it is new.

    A key that is replaced is kept as the one of before where the channel's adapter takes two. ``known``: the payment
    channels that the platform has.

    Raises:
        AccountChangeInvalid: an unknown channel or institution, a second account at a channel, a key that cannot be
            read, something that a new account needs, or another institution or channel for one that exists.
    """
    row = await queries.row_of(connection, file.account_id, lock=True)
    await _require_sense(connection, row, file, known=known)
    held = {} if row is None else await queries.secrets_of(vault, row)
    channel = str(file.channel or (row.channel if row else ""))
    await accounts.put_account(
        connection, vault, _account(row, file, keys.changed(channel, held, file.secrets)), now=by.now
    )
    names = " ".join(sorted(file.secrets))
    await _note(connection, "put", file.account_id, by, detail=f"{channel} {names}".strip())
    return row is None


async def switch(connection: Connection, account_id: str, *, on: bool, by: By) -> None:
    """Switch an account on or off; off, nothing new is paid there, and money on its way is still understood.

    Raises:
        AccountUnknown: no such account.
    """
    done = await connection.execute(
        update(channel_account)
        .where(channel_account.c.account_id == account_id)
        .values(state="active" if on else "off")
        .returning(channel_account.c.account_id)
    )
    if done.first() is None:
        raise AccountUnknown(account_id=account_id)
    await _note(connection, "on" if on else "off", account_id, by)


async def end_change_over(connection: Connection, vault: Vault, account_id: str, *, by: By) -> list[str]:
    """Take the keys of before out of an account and return their names.

    Raises:
        AccountUnknown: no such account.
    """
    row = await queries.row_of(connection, account_id, lock=True)
    if row is None:
        raise AccountUnknown(account_id=account_id)
    held = await queries.secrets_of(vault, row)
    kept = keys.ended(row.channel, held)
    gone = sorted(held.keys() - kept.keys())
    if gone:
        await accounts.put_account(
            connection, vault, _account(row, AccountFile(account_id=account_id), kept), now=by.now
        )
        await _note(connection, "change-over-ended", account_id, by, detail=" ".join(gone))
    return gone


async def propose_put(
    connection: Connection, vault: Vault, file: AccountFile, *, known: Collection[str], reason: str, by: By
) -> str:
    """Put a file up for a second person, by the operator ``by.actor``; return the proposal's id. Errors as ``put``."""
    row = await queries.row_of(connection, file.account_id)
    await _require_sense(connection, row, file, known=known)
    change = {name: getattr(file, name) for name in (*_FACTS, "profile")} | {
        "verb": "put",
        "names": sorted(file.secrets),
    }
    institution_id = str(file.institution_id or (row.institution_id if row else ""))
    return await _propose(
        connection, vault, row, change, file.secrets, account=(file.account_id, institution_id), reason=reason, by=by
    )


async def propose_switch(
    connection: Connection, vault: Vault, account_id: str, *, on: bool, reason: str, by: By
) -> str:
    """Propose to switch an account on or off. Raises ``AccountUnknown``."""
    row = await queries.row_of(connection, account_id)
    if row is None:
        raise AccountUnknown(account_id=account_id)
    change = {"verb": "switch", "state": "active" if on else "off", "channel": row.channel}
    return await _propose(
        connection, vault, row, change, {}, account=(account_id, row.institution_id), reason=reason, by=by
    )


async def decide(
    connection: Connection, vault: Vault, approval_id: str, *, approve: bool, known: Collection[str], by: By
) -> None:
    """Approve or reject a proposed change as a second person; approved, it takes effect in the same transaction.

    Raises:
        ApprovalNotOpen, ApproverIsProposer: see ``approvals.decide``.
        AccountChangeGone: the account has changed since it was proposed. Others as ``put``.
    """
    waiting = select(account_change).where(account_change.c.approval_id == approval_id).with_for_update()
    row = (await connection.execute(waiting)).first()
    if row is None:
        raise ApprovalNotOpen
    await approvals.decide(connection, approval_id, approver_id=by.actor, approve=approve, now=by.now)
    if approve:
        await _apply(connection, vault, row, known=known, by=by)
    await connection.execute(delete(account_change).where(account_change.c.approval_id == approval_id))
    await _note(connection, "approve" if approve else "reject", row.account_id, by, detail=approval_id)


async def _apply(connection: Connection, vault: Vault, row: Row[Any], *, known: Collection[str], by: By) -> None:
    present = await queries.row_of(connection, row.account_id, lock=True)
    held = {} if present is None else await queries.secrets_of(vault, present)
    if queries.digest(present, held) != bytes(row.based_on):
        raise AccountChangeGone
    if row.change["verb"] == "switch":
        await switch(connection, row.account_id, on=row.change["state"] == "active", by=by)
        return
    plain = (await vault.sealer(accounts.PURPOSE)).unseal(bytes(row.secrets_sealed), aad(row.approval_id))
    given = {name: row.change.get(name) for name in (*_FACTS, "profile")}
    file = AccountFile(account_id=row.account_id, secrets=msgspec.json.decode(plain, type=dict[str, str]), **given)
    await put(connection, vault, file, known=known, by=by)


async def _propose(
    connection: Connection,
    vault: Vault,
    row: Row[Any] | None,
    change: Mapping[str, Any],
    secrets: Mapping[str, str],
    *,
    account: tuple[str, str],
    reason: str,
    by: By,
) -> str:
    if not 0 < len(reason) <= REASON_MAX or not reason.isprintable():
        raise AccountChangeInvalid(detail="reason 事由")
    account_id, institution_id = account
    held = {} if row is None else await queries.secrets_of(vault, row)
    shown = {"account_id": account_id, "verb": change["verb"], "names": " ".join(change.get("names", []))}
    approval_id = await approvals.propose(
        connection,
        kind=KIND,
        subject=account_id,
        payload=shown | queries.facts_of(change),
        reason=reason,
        proposer_id=by.actor,
        now=by.now,
    )
    sealer = await vault.sealer(accounts.PURPOSE)
    await connection.execute(
        insert(account_change).values(
            approval_id=approval_id,
            account_id=account_id,
            institution_id=institution_id,
            change=dict(change),
            secrets_sealed=sealer.seal(msgspec.json.encode(dict(secrets)), aad(approval_id)),
            based_on=queries.digest(row, held),
            created_at=by.now,
        )
    )
    await _note(connection, "propose", account_id, by, detail=approval_id)
    return approval_id


async def _require_sense(
    connection: Connection, row: Row[Any] | None, file: AccountFile, *, known: Collection[str]
) -> None:
    keys.check(file.secrets)
    if row is not None:
        for name in ("institution_id", "channel"):
            if getattr(file, name) not in (None, getattr(row, name)):
                raise AccountChangeInvalid(detail=f"{name}: 不能更改 / cannot be changed")
        return
    missing = [name for name in _FACTS[:3] if not getattr(file, name)]
    if missing or not file.secrets:
        raise AccountChangeInvalid(detail=f"缺少 / missing: {', '.join(missing or ['secrets'])}")
    if file.channel not in known:
        raise AccountChangeInvalid(detail=f"channel: {file.channel}")
    institution_id = str(file.institution_id)
    if not await callers.institution_names(connection, {institution_id}):
        raise AccountChangeInvalid(detail=f"{institution_id}: 未登记 / not registered")
    other = await queries.taken(connection, institution_id, str(file.channel))
    if other is not None:
        raise AccountChangeInvalid(detail=f"{institution_id}: {file.channel} 已有商户账户 / has {other}")


def _account(row: Row[Any] | None, file: AccountFile, secrets: Mapping[str, str]) -> ChannelAccount:
    facts = {
        name: str(given if (given := getattr(file, name)) is not None else getattr(row, name, "")) for name in _FACTS
    }
    profile = file.profile if file.profile is not None else dict(row.profile if row else {})
    return ChannelAccount(
        account_id=file.account_id,
        secrets={name: Secret(value) for name, value in secrets.items()},
        profile=profile,
        **facts,
    )


async def _note(connection: Connection, what: str, account_id: str, by: By, *, detail: str = "") -> None:
    await audit.record(
        connection,
        actor=by.actor,
        action=f"channel-accounts:{what}",
        object_kind="channel_account",
        object_id=account_id,
        request_id=by.request_id,
        now=by.now,
        detail=detail,
    )


def aad(approval_id: str) -> bytes:
    """Bind the sealed secrets of a proposal to it."""
    return b"payments_account_change:" + approval_id.encode()
