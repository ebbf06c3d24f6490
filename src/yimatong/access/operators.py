"""Operators: people who log in to the console, their roles, and 三员分立.

System, security and audit administration are three persons and none of them holds a business role (GB/T 22239-2019
8.1.4.2 d); the database holds the rule a second time. Passwords are scrypt (RFC 7914) with a salt each.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select, text, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.errors import (
    LoginLocked,
    LoginRefused,
    LoginTaken,
    NotPermitted,
    PasswordTooWeak,
    RolesConflict,
    SessionEnded,
)
from yimatong.access.models import operator
from yimatong.kit.db import Connection, Database
from yimatong.kit.ids import new_id

ADMINISTRATORS: Final = frozenset({"system_admin", "security_admin", "audit_admin"})

PERMISSIONS: Final[dict[str, frozenset[str]]] = {
    "system_admin": frozenset(
        {
            "console:home",
            "console:services",
            "console:live",
            "console:policies",
            "console:policies-set",
            "console:channels",
            "console:channels-set",
            "console:channels-approve",
            "console:deliveries",
        }
    ),
    "security_admin": frozenset(
        {
            "console:home",
            "console:operators",
            "console:callers",
            "console:key-list",
            "console:channels",
            "console:channels-approve",
        }
    ),
    "audit_admin": frozenset({"console:home", "console:audit"}),
    "reviewer": frozenset({"console:home", "console:callers", "console:rules", "console:rules-approve"}),
    "steward": frozenset(
        {
            "console:home",
            "console:reviews",
            "console:persons",
            "console:statistics",
            "console:domains",
            "console:batch-rows",
            "console:rules",
            "console:rules-draft",
            "console:rules-approve",
        }
    ),
    "card_clerk": frozenset(
        {
            "console:home",
            "console:accounts",
            "console:codes",
            "console:live",
            "console:physical",
            "console:batches",
            "console:coverage",
            "console:policies",
        }
    ),
    "finance": frozenset(
        {"console:home", "console:payments", "console:discrepancies", "console:channels", "console:deliveries"}
    ),
    "key_custodian": frozenset({"console:home", "console:keys", "console:key-list"}),
}
"""Roles and what their pages show. Key custodians come by ceremony; a role without an entry cannot be given.

Merchant accounts: system administrators propose their changes, another of them or a security administrator approves.
Rules of matching: stewards draft, try and propose them; another steward or a reviewer approves. That it is another
person is held by ``approvals``, not by the roles.
"""

FAILURES_MAX = 5
LOCK_S = 15 * 60
_PASSWORD_LENGTH_MIN = 10
_KINDS_MIN = 3


class Operator(msgspec.Struct, frozen=True, kw_only=True):
    """An operator who is logged in. ``institution_id`` is None for the province's own people."""

    operator_id: str
    login: str
    name: str
    roles: frozenset[str]
    institution_id: str | None

    @property
    def permissions(self) -> frozenset[str]:
        """Return the union of what the roles may do."""
        return frozenset[str]().union(*(PERMISSIONS[role] for role in self.roles))

    def require(self, permission: str) -> None:
        """Refuse a page outside the operator's roles.

        Raises:
            NotPermitted: no role of this operator has the permission.
        """
        if permission not in self.permissions:
            raise NotPermitted(permission=permission)


def check_roles(roles: frozenset[str]) -> None:
    """Refuse a combination that breaks 三员分立.

    Raises:
        RolesConflict: an administrator with any second role, an unknown role, or none at all.
    """
    if not roles or not roles <= PERMISSIONS.keys() or (roles & ADMINISTRATORS and len(roles) > 1):
        raise RolesConflict


def check_password(password: str) -> None:
    """Refuse a password that is easy to guess.

    Raises:
        PasswordTooWeak: too short, or too few kinds of characters.
    """
    kinds = [
        any(char.islower() for char in password),
        any(char.isupper() for char in password),
        any(char.isdigit() for char in password),
        any(not char.isalnum() for char in password),
    ]
    if len(password) < _PASSWORD_LENGTH_MIN or sum(kinds) < _KINDS_MIN:
        raise PasswordTooWeak


def _hash(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1, dklen=32)


async def add(
    connection: Connection,
    *,
    login: str,
    name: str,
    roles: frozenset[str],
    password: str,
    institution_id: str | None,
    now: datetime,
) -> str:
    """Enter an operator and return the id.

    Raises:
        RolesConflict, PasswordTooWeak: see ``check_roles`` and ``check_password``.
        LoginTaken: somebody has or had this login.
    """
    check_roles(roles)
    check_password(password)
    salt = secrets.token_bytes(16)
    operator_id = new_id("opr")
    entered = await connection.execute(
        insert(operator)
        .values(
            operator_id=operator_id,
            login=login,
            name=name,
            roles=sorted(roles),
            institution_id=institution_id,
            password_salt=salt,
            password_hash=_hash(password, salt),
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["login"])
        .returning(operator.c.operator_id)
    )
    if entered.first() is None:
        raise LoginTaken(login=login)
    return operator_id


async def log_in(db: Database, *, login: str, password: str, now: datetime) -> Operator:
    """Return the operator whose password this is. A failure is counted even though the login is refused.

    Raises:
        LoginRefused: unknown login or wrong password. LoginLocked: five failures in a row.
    """
    async with db.transaction() as connection:
        row = (await connection.execute(select(operator).where(operator.c.login == login).with_for_update())).first()
        if row is None or row.state != "active":
            _hash(password, bytes(16))
            raise LoginRefused
        if row.locked_until is not None and row.locked_until > now:
            raise LoginLocked(minutes=int((row.locked_until - now).total_seconds()) // 60 + 1)
        good = hmac.compare_digest(_hash(password, row.password_salt), row.password_hash)
        failures = 0 if good else row.failures + 1
        locked = failures >= FAILURES_MAX
        await connection.execute(
            update(operator)
            .where(operator.c.operator_id == row.operator_id)
            .values(
                failures=0 if locked else failures,
                locked_until=now + timedelta(seconds=LOCK_S) if locked else None,
            )
        )
    if not good:
        raise LoginRefused
    return _operator(row)


async def find(connection: Connection, operator_id: str) -> Operator:
    """Return an active operator.

    Raises:
        SessionEnded: the operator was switched off since logging in.
    """
    row = (
        await connection.execute(
            select(operator).where(operator.c.operator_id == operator_id, operator.c.state == "active")
        )
    ).first()
    if row is None:
        raise SessionEnded
    return _operator(row)


async def names(connection: Connection, ids: Collection[str]) -> dict[str, str]:
    """Return the names of operators, by id; unknown ids are left out."""
    rows = await connection.execute(
        select(operator.c.operator_id, operator.c.name).where(operator.c.operator_id.in_(ids))
    )
    return {row[0]: row[1] for row in rows}


async def none_yet(connection: Connection) -> bool:
    """Say whether no operator was ever entered; until the transaction ends nobody else enters one."""
    await connection.execute(text("LOCK TABLE access_operator IN SHARE ROW EXCLUSIVE MODE"))
    return (await connection.execute(select(operator.c.operator_id).limit(1))).first() is None


def _operator(row: Row[Any]) -> Operator:
    return Operator(
        operator_id=row.operator_id,
        login=row.login,
        name=row.name,
        roles=frozenset(row.roles),
        institution_id=row.institution_id,
    )
