"""What an issuer's answer makes of a binding: one place for the request itself and for the worker that asks later."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, update

from yimatong.access.caller import PLATFORM
from yimatong.cards.accounts import history
from yimatong.cards.accounts.history import Origin
from yimatong.cards.bindings import queries
from yimatong.cards.bindings.issuers import Outcome
from yimatong.cards.errors import (
    BindingNotFound,
    CardHolderMismatch,
    CardNotUsable,
    CardPasswordLocked,
    CardPasswordWrong,
    ChallengeExpired,
    ChallengeFailed,
)
from yimatong.cards.models import binding
from yimatong.crypto.sealing import Sealer
from yimatong.kit.db import Connection
from yimatong.kit.errors import Refusal
from yimatong.kit.masking import BankCard

IN_FLIGHT: Final = timedelta(seconds=60)
"""Longer than any request of ours can be under way: only then *absent* is an answer."""
FIRST_QUESTION: Final = timedelta(seconds=20)
"""When the worker asks about a request whose own answer never came back to us."""

WORKER: Final = Origin(actor="worker", actor_kind="operator", holder="platform", scope=PLATFORM)


async def settle(
    connection: Connection, sealer: Sealer, binding_id: str, outcome: Outcome, *, origin: Origin, now: datetime
) -> Row[Any]:
    """Store an answer about a binding that waits for one; a binding that has ended meanwhile is left alone.

    Raises:
        BindingNotFound: no such binding.
    """
    row = await queries.by_id(connection, binding_id, for_update=True)
    if row is None:
        raise BindingNotFound
    if row.state != "started":
        return row
    values: dict[str, object] = {"pending": None, "ask_at": None, "asked": 0, "changed_at": now}
    if outcome.tries_left is not None:
        values["tries_left"] = outcome.tries_left
    if outcome.state == "waiting":
        values |= {"challenge": outcome.challenge, "sent_to": outcome.sent_to, "expires_at": outcome.expires_at}
    elif outcome.state == "agreed":
        values |= await _agreed(connection, sealer, row, outcome, now=now)
    elif outcome.state == "absent":
        values |= {"state": "failed", "reason": "not_reached"}
    elif outcome.state == "expired":
        values |= {"state": "expired", "reason": "expired"}
    else:
        values |= {"state": "failed", "reason": outcome.reason or outcome.state}
    changed: Row[Any] = (
        await connection.execute(
            update(binding)
            .where(binding.c.vuid == row.vuid, binding.c.binding_id == binding_id)
            .values(values)
            .returning(binding)
        )
    ).one()
    if changed.state == "confirmed":
        what = "bank_card_bound" if row.kind == queries.BANK_CARD else "insurance_card_bound"
        await note(connection, sealer, changed, what, origin=origin, now=now)
    return changed


async def _agreed(
    connection: Connection, sealer: Sealer, row: Row[Any], outcome: Outcome, *, now: datetime
) -> dict[str, object]:
    sealed = sealer.seal(outcome.agreement_no.encode(), queries.agreement_aad(row.vuid, row.binding_id))
    values: dict[str, object] = {"state": "confirmed", "agreement": sealed, "confirmed_at": now, "reason": None}
    if row.kind == queries.BANK_CARD:
        others = await queries.live_of_group(connection, row.vuid, (queries.BANK_CARD,))
        values["is_default"] = not any(each.is_default for each in others)
    else:
        values |= {"card_kind": outcome.card_kind, "place": outcome.place}
    return values


async def end(
    connection: Connection, sealer: Sealer, row: Row[Any], *, reason: str, origin: Origin, now: datetime
) -> None:
    """End a live binding at once; its issuer is told afterwards. Another card becomes the default one."""
    await connection.execute(
        update(binding)
        .where(binding.c.vuid == row.vuid, binding.c.binding_id == row.binding_id)
        .values(
            state="ended",
            reason=reason,
            is_default=False,
            pending="end",
            ask_at=now if row.pending is None else now + IN_FLIGHT,
            asked=0,
            ended_at=now,
            changed_at=now,
        )
    )
    what = "bank_card_unbound" if row.kind == queries.BANK_CARD else "insurance_card_unbound"
    await note(connection, sealer, row, what, origin=origin, now=now, reason=reason)
    if row.is_default:
        await _next_default(connection, row.vuid, now=now)


async def _next_default(connection: Connection, vuid: str, *, now: datetime) -> None:
    left = await queries.live_of_group(connection, vuid, (queries.BANK_CARD,))
    for row in left:
        if row.state == "confirmed":
            await connection.execute(
                update(binding)
                .where(binding.c.vuid == row.vuid, binding.c.binding_id == row.binding_id)
                .values(is_default=True, changed_at=now)
            )
            return


async def end_all(connection: Connection, sealer: Sealer, vuid: str, *, origin: Origin, now: datetime) -> None:
    """End every live binding of an account that is cancelled.

    Raises:
        AccountNotFound: no such account.
    """
    kinds = (queries.BANK_CARD, *queries.INSURANCE_CARDS)
    for row in await queries.live_of_group(connection, vuid, kinds, for_update=True):
        await end(connection, sealer, row, reason="account_cancelled", origin=origin, now=now)


async def note(
    connection: Connection,
    sealer: Sealer,
    row: Row[Any],
    what: str,
    *,
    origin: Origin,
    now: datetime,
    reason: str = "",
) -> None:
    """Write a binding's event into the account's history, the number masked."""
    shown = {"card": BankCard(row.tail), "issuer": row.issuer}
    await history.note(connection, sealer, row.vuid, what, origin=origin, now=now, after=shown, reason=reason)


def require_success(row: Row[Any]) -> None:
    """Refuse by name when a binding has failed.

    Raises:
        CardHolderMismatch, CardNotUsable, CardPasswordWrong, CardPasswordLocked, ChallengeFailed, ChallengeExpired.
    """
    if row.state == "expired":
        raise ChallengeExpired
    if row.state == "failed":
        if row.reason == "password":
            raise CardPasswordWrong(tries_left=row.tries_left or 0)
        raise _REFUSALS.get(row.reason or "", ChallengeFailed)


_REFUSALS: Final[dict[str, type[Refusal]]] = {
    "holder": CardHolderMismatch,
    "card": CardNotUsable,
    "locked": CardPasswordLocked,
}
