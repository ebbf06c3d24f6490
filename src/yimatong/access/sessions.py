"""Sessions of browsers: an operator's console, or one resident's page opened by a link from an app.

A token has 256 random bits and lives in the browser only; the database keeps its SM3 digest (ASVS 5.0 7.2.3).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import delete, select, text, update

from yimatong.access.errors import LinkEnded, SessionEnded
from yimatong.access.models import session
from yimatong.crypto.gm.sm3 import sm3
from yimatong.kit.arrays import moments, octets, texts
from yimatong.kit.db import Connection, RawConnection

IDLE_S = 15 * 60
"""A console session ends after a quarter of an hour without a request (GB/T 22239-2019 8.1.4.1 b, customary figure)."""
CONSOLE_S = 8 * 3600
CARD_S = 30 * 60
CASHIER_S = 2 * 3600


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """Who a browser stands for: ``subject`` is an operator id, an account or an order, by ``purpose``."""

    subject: str
    purpose: str
    expires_at: datetime


async def open_session(connection: Connection, *, subject: str, purpose: str, lifetime_s: int, now: datetime) -> str:
    """Open a session and return its token."""
    token = secrets.token_urlsafe(32)
    await connection.execute(
        _OPEN,
        {
            "digest": sm3(token.encode()),
            "subject": subject,
            "purpose": purpose,
            "now": now,
            "expires_at": now + timedelta(seconds=lifetime_s),
        },
    )
    return token


_OPEN: Final = text(
    """
    INSERT INTO access_session (token_digest, subject, purpose, created_at, seen_at, expires_at)
    VALUES (:digest, :subject, :purpose, :now, :now, :expires_at)
    """
)


async def find(
    connection: Connection, token: str, *, purpose: str, now: datetime, idle_s: int | None = None
) -> Session:
    """Return the session of a token and note that it was seen.

    Raises:
        SessionEnded: unknown, another purpose, too old, or idle for longer than ``idle_s``.
    """
    key = sm3(token.encode())
    row = (await connection.execute(select(session).where(session.c.token_digest == key))).first()
    if row is None or row.purpose != purpose or row.expires_at <= now:
        raise SessionEnded
    if idle_s is not None and row.seen_at + timedelta(seconds=idle_s) <= now:
        raise SessionEnded
    if row.seen_at + timedelta(seconds=30) <= now:
        await connection.execute(update(session).where(session.c.token_digest == key).values(seen_at=now))
    return Session(subject=row.subject, purpose=row.purpose, expires_at=row.expires_at)


async def is_open(connection: Connection, token: str, *, purpose: str, now: datetime) -> bool:
    """Say whether a session has not been ended, without noting that it was seen: for what watches by itself."""
    found = select(session.c.purpose).where(session.c.token_digest == sm3(token.encode()), session.c.expires_at > now)
    return (await connection.execute(found)).scalar_one_or_none() == purpose


async def close_session(connection: Connection, token: str) -> None:
    """End a session; ending it again changes nothing."""
    await connection.execute(delete(session).where(session.c.token_digest == sm3(token.encode())))


async def open_link(connection: Connection, token: str, *, purpose: str, lifetime_s: int, now: datetime) -> str:
    """Use up a page link and open the browser session that it stands for; return the session's token.

    Raises:
        LinkEnded: the link is unknown, used or too old.
    """
    row = (
        await connection.execute(
            delete(session)
            .where(
                session.c.token_digest == sm3(token.encode()),
                session.c.purpose == f"link:{purpose}",
                session.c.expires_at > now,
            )
            .returning(session.c.subject)
        )
    ).first()
    if row is None:
        raise LinkEnded
    return await open_session(connection, subject=row.subject, purpose=purpose, lifetime_s=lifetime_s, now=now)


async def make_link(connection: Connection, *, subject: str, purpose: str, lifetime_s: int, now: datetime) -> str:
    """Make a link that opens one browser session of ``purpose``, once, within ``lifetime_s``."""
    return await open_session(connection, subject=subject, purpose=f"link:{purpose}", lifetime_s=lifetime_s, now=now)


async def make_links(
    connection: RawConnection, subjects: Sequence[tuple[str, datetime]], *, purpose: str, lifetime_s: int
) -> list[str]:
    """Make a link as ``make_link`` for each (subject, now), in one statement; return their tokens in order."""
    tokens = [secrets.token_urlsafe(32) for _ in subjects]
    columns = (
        f"link:{purpose}",
        octets(sm3(token.encode()) for token in tokens),
        texts(subject for subject, _ in subjects),
        moments(now for _, now in subjects),
        moments(now + timedelta(seconds=lifetime_s) for _, now in subjects),
    )
    await connection.execute(_OPEN_MANY, columns)
    return tokens


_OPEN_MANY: Final = """
    INSERT INTO access_session (token_digest, subject, purpose, created_at, seen_at, expires_at)
    SELECT d, s, %s::text, n, n, e
    FROM unnest(%s::bytea[], %s::text[], %s::timestamptz[], %s::timestamptz[]) AS i (d, s, n, e)
"""


async def forget_ended(connection: Connection, *, now: datetime) -> int:
    """Remove sessions and links that have ended."""
    done = await connection.execute(delete(session).where(session.c.expires_at <= now))
    return int(done.rowcount)
