"""Every SELECT of payment agreements."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Row, func, select, true

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as cards
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection
from yimatong.payments.agreements.schemas import Agreements, AgreementView
from yimatong.payments.channels.base import CashierAction
from yimatong.payments.errors import AgreementNotFound
from yimatong.payments.models import agreement, attempt
from yimatong.payments.states import AttemptState


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition that an agreement's row lies in ``scope``: of its hospital, or of the app that made it."""
    if scope.all_rows:
        return true()
    if scope.institution_id is not None:
        return agreement.c.institution_id == scope.institution_id
    return agreement.c.made_by == scope.caller_id


async def row_of(connection: Connection, agreement_id: str, *, scope: Scope, for_update: bool = False) -> Row[Any]:
    """Return an agreement's row.

    Raises:
        AgreementNotFound: no such agreement in ``scope``.
    """
    query = select(agreement).where(agreement.c.agreement_id == agreement_id, within(scope))
    row = (await connection.execute(query.with_for_update() if for_update else query)).first()
    if row is None:
        raise AgreementNotFound
    return row


async def of_account(connection: Connection, vuid: str, *, scope: Scope) -> Agreements:
    """Return the agreements of an account under any of its VUIDs.

    Raises:
        AccountNotFound: no such account.
    """
    rows = await connection.execute(
        select(agreement)
        .where(agreement.c.vuid.in_(await cards.group(connection, vuid)), within(scope))
        .order_by(agreement.c.created_at.desc(), agreement.c.agreement_id)
    )
    return Agreements(agreements=[view(row) for row in rows])


async def usable(connection: Connection, vuid: str, institution_id: str) -> Row[Any] | None:
    """Return the password-free agreement by which an account pays at an institution, the newest if several."""
    rows = await connection.execute(
        select(agreement)
        .where(
            agreement.c.vuid.in_(await cards.group(connection, vuid)),
            agreement.c.institution_id == institution_id,
            agreement.c.kind == "password_free",
            agreement.c.state == "agreed",
        )
        .order_by(agreement.c.agreed_at.desc())
        .limit(1)
    )
    return rows.first()


async def spent_today(connection: Connection, agreement_id: str, *, besides: str = "", now: datetime) -> int:
    """Return the fen of today's payments under a locked agreement that were made or whose outcome is open.

    ``besides``: the order that is being paid; an attempt of it that waits for its SMS code is this very payment.
    """
    start, end = day_bounds(business_date(now))
    found = await connection.execute(
        select(func.coalesce(func.sum(attempt.c.amount_fen), 0)).where(
            attempt.c.agreement_id == agreement_id,
            attempt.c.order_no != besides,
            attempt.c.state != AttemptState.FAILED,
            attempt.c.created_at >= start,
            attempt.c.created_at < end,
        )
    )
    return int(found.scalar_one())


def view(row: Row[Any]) -> AgreementView:
    """Return an agreement's row as callers see it."""
    action = msgspec.convert(row.action or {}, CashierAction)
    waiting = row.state == "waiting"
    return AgreementView(
        agreement_id=row.agreement_id,
        vuid=row.vuid,
        institution_id=row.institution_id,
        channel=row.channel,
        kind=row.kind,
        state=row.state,
        reason=row.reason,
        single_limit_fen=row.single_limit_fen,
        daily_limit_fen=row.daily_limit_fen,
        redirect_url=action.redirect_url if waiting else "",
        challenge=action.challenge if waiting else "",
        agreed_at=row.agreed_at,
        ended_at=row.ended_at,
    )


async def live(connection: Connection, vuid: str, account_id: str, kind: str) -> Row[Any] | None:
    """Return the agreement of a kind that an account has at a merchant account, or None."""
    found = await connection.execute(
        select(agreement).where(
            agreement.c.vuid == vuid,
            agreement.c.account_id == account_id,
            agreement.c.kind == kind,
            agreement.c.state.in_(("waiting", "agreed", "ending")),
        )
    )
    return found.first()
