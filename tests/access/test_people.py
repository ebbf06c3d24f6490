"""Operators, their sessions, and the second person: each rule in code, and where it matters in the database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from yimatong.access import approvals, errors, operators, sessions
from yimatong.kit.db import Connection, Database

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
PASSWORD = "Correct-horse-1"


async def add(connection: Connection, login: str, *roles: str) -> str:
    return await operators.add(
        connection,
        login=login,
        name=login,
        roles=frozenset(roles),
        password=PASSWORD,
        institution_id=None,
        now=NOW,
    )


@pytest.mark.parametrize(
    "roles",
    [
        (),
        ("nobody",),
        ("system_admin", "security_admin"),
        ("audit_admin", "finance"),
        ("system_admin", "audit_admin", "security_admin"),
    ],
)
async def test_three_administrators_stay_apart(connection: Connection, roles: tuple[str, ...]) -> None:
    with pytest.raises(errors.RolesConflict):
        await add(connection, "x", *roles)


@pytest.mark.parametrize("second", ["security_admin", "finance"])
async def test_the_database_keeps_them_apart_too(connection: Connection, second: str) -> None:
    operator_id = await add(connection, "root", "system_admin")
    statement = text("UPDATE access_operator SET roles = ARRAY['system_admin', :second] WHERE operator_id = :id")
    with pytest.raises(IntegrityError, match="three_roles_apart"):
        await connection.execute(statement, {"second": second, "id": operator_id})


@pytest.mark.parametrize("password", ["", "Short-1", "alllowercase", "ALLUPPER12", "1234567890"])
def test_weak_passwords(password: str) -> None:
    with pytest.raises(errors.PasswordTooWeak):
        operators.check_password(password)


async def test_passwords_are_scrypt_with_a_salt_each(connection: Connection) -> None:
    await add(connection, "one", "finance")
    await add(connection, "two", "finance")
    rows = (await connection.execute(text("SELECT password_salt, password_hash FROM access_operator"))).all()
    assert len({bytes(salt) for salt, _ in rows}) == len({bytes(digest) for _, digest in rows}) == len(rows) == 2
    assert bytes(rows[0][1]) == operators._hash(PASSWORD, bytes(rows[0][0]))


async def test_five_failures_lock_for_a_quarter_of_an_hour(database: Database) -> None:
    async with database.transaction() as connection:
        await add(connection, "clerk", "finance")
    for _ in range(4):
        with pytest.raises(errors.LoginRefused):
            await operators.log_in(database, login="clerk", password="wrong", now=NOW)
    assert (await operators.log_in(database, login="clerk", password=PASSWORD, now=NOW)).login == "clerk"
    for _ in range(5):
        with pytest.raises(errors.LoginRefused):
            await operators.log_in(database, login="clerk", password="wrong", now=NOW)
    for minutes in (0, 14):
        with pytest.raises(errors.LoginLocked):
            await operators.log_in(database, login="clerk", password=PASSWORD, now=NOW + timedelta(minutes=minutes))
    later = NOW + timedelta(minutes=15)
    assert (await operators.log_in(database, login="clerk", password=PASSWORD, now=later)).permissions
    with pytest.raises(errors.LoginRefused):
        await operators.log_in(database, login="nobody", password=PASSWORD, now=NOW)


async def test_a_session_idles_out_and_grows_old(connection: Connection) -> None:
    token = await sessions.open_session(
        connection, subject="o", purpose="console", lifetime_s=sessions.CONSOLE_S, now=NOW
    )
    moment = NOW
    for _ in range(3):
        moment += timedelta(seconds=sessions.IDLE_S - 1)
        await sessions.find(connection, token, purpose="console", now=moment, idle_s=sessions.IDLE_S)
    for wrong in ({"now": moment + timedelta(seconds=sessions.IDLE_S)}, {"purpose": "card"}):
        facts = {"purpose": "console", "now": moment, "idle_s": sessions.IDLE_S} | wrong
        with pytest.raises(errors.SessionEnded):
            await sessions.find(connection, token, **facts)
    with pytest.raises(errors.SessionEnded):
        await sessions.find(connection, token, purpose="console", now=NOW + timedelta(hours=8))
    stored = (await connection.execute(text("SELECT token_digest FROM access_session"))).scalar_one()
    assert token.encode() not in bytes(stored)


async def test_a_link_opens_once_and_in_time(connection: Connection) -> None:
    link = await sessions.make_link(connection, subject="vuid", purpose="card", lifetime_s=300, now=NOW)
    with pytest.raises(errors.LinkEnded):
        await sessions.open_link(connection, link, purpose="cashier", lifetime_s=60, now=NOW)
    with pytest.raises(errors.SessionEnded):
        await sessions.find(connection, link, purpose="card", now=NOW)
    token = await sessions.open_link(connection, link, purpose="card", lifetime_s=60, now=NOW)
    assert (await sessions.find(connection, token, purpose="card", now=NOW)).subject == "vuid"
    with pytest.raises(errors.LinkEnded):
        await sessions.open_link(connection, link, purpose="card", lifetime_s=60, now=NOW)
    old = await sessions.make_link(connection, subject="vuid", purpose="card", lifetime_s=300, now=NOW)
    with pytest.raises(errors.LinkEnded):
        await sessions.open_link(connection, old, purpose="card", lifetime_s=60, now=NOW + timedelta(seconds=300))
    assert await sessions.forget_ended(connection, now=NOW + timedelta(days=1)) == 2


async def test_who_proposes_does_not_approve(connection: Connection) -> None:
    one, two = await add(connection, "one", "finance"), await add(connection, "two", "finance")
    made = await approvals.propose(
        connection, kind="refund", subject="P1", payload={"fen": 1}, reason="r", proposer_id=one, now=NOW
    )
    assert [each.approval_id for each in await approvals.open_proposals(connection, kind="refund")] == [made]
    with pytest.raises(errors.ApproverIsProposer):
        await approvals.decide(connection, made, approver_id=one, approve=True, now=NOW)
    decided = await approvals.decide(connection, made, approver_id=two, approve=True, now=NOW)
    assert (decided.state, decided.approver_id) == ("approved", two)
    for again in (made, "apv_nothing"):
        with pytest.raises(errors.ApprovalNotOpen):
            await approvals.decide(connection, again, approver_id=two, approve=False, now=NOW)


@pytest.mark.parametrize(
    ("change", "name"),
    [("approver_id = proposer_id, state = 'approved'", "two_persons"), ("state = 'approved'", "decided")],
)
async def test_the_database_asks_for_the_second_person_too(connection: Connection, change: str, name: str) -> None:
    one = await add(connection, "one", "finance")
    await approvals.propose(connection, kind="k", subject="s", payload={}, reason="r", proposer_id=one, now=NOW)
    with pytest.raises(IntegrityError, match=name):
        await connection.execute(text(f"UPDATE access_approval SET {change}"))
