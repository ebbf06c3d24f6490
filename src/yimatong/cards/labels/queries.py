"""Every SELECT on printed labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select

from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.codec import static_text
from yimatong.cards.errors import LabelNotFound
from yimatong.cards.labels.schemas import Labels, PrintedLabel
from yimatong.cards.models import label
from yimatong.kit.db import Connection

LISTED_MAX = 200


async def of_account(connection: Connection, vuid: str, *, scope: Scope, serial_in_code: bool) -> Labels:
    """Return the labels of an account under every VUID it has or had, newest first, 200 at most.

    Raises:
        AccountNotFound: none, or not this holder's.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    vuids = await accounts.group(connection, row.vuid)
    rows = await connection.execute(
        select(label)
        .where(label.c.vuid.in_(vuids))
        .order_by(label.c.printed_at.desc(), label.c.serial)
        .limit(LISTED_MAX)
    )
    return Labels(labels=views(rows.all(), serial_in_code=serial_in_code))


async def one(connection: Connection, vuid: str, serial: str, *, scope: Scope) -> Row[Any]:
    """Return one label and lock it.

    Raises:
        AccountNotFound: none, or not this holder's. LabelNotFound: no such label of it.
    """
    row = await accounts.held(connection, vuid, scope=scope)
    vuids = await accounts.group(connection, row.vuid)
    found = await connection.execute(
        select(label).where(label.c.vuid.in_(vuids), label.c.serial == serial).with_for_update()
    )
    printed = found.first()
    if printed is None:
        raise LabelNotFound
    return printed


def views(rows: Sequence[Row[Any]], *, serial_in_code: bool) -> tuple[PrintedLabel, ...]:
    """Return rows of labels as they are shown."""
    return tuple(
        PrintedLabel(
            vuid=row.vuid,
            serial=row.serial,
            state=row.state,
            symbology=row.symbology,
            text=code_text(row.vuid, row.serial, serial_in_code=serial_in_code),
            printed_at=row.printed_at,
            printed_by=row.printed_by,
            revoked_at=row.revoked_at,
        )
        for row in rows
    )


def code_text(vuid: str, serial: str, *, serial_in_code: bool) -> str:
    """Return what a label's symbol carries: the static code, with the serial in the fourth field where so set."""
    return f"{static_text(vuid)}::{serial}" if serial_in_code else static_text(vuid)
