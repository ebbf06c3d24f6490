"""Who may take part in key ceremonies: the first security administrator, and the custodians whom one enters."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from yimatong.access import operators
from yimatong.access.operators import Operator
from yimatong.apps.assembly import Parts
from yimatong.cli.errors import AdministratorsKnown
from yimatong.cli.secrets_read import PasswordFile, read_secret, with_parts
from yimatong.kit import audit, clock
from yimatong.kit.db import Connection

NewLogin = Annotated[str, typer.Argument(help="新登录名 / the new login")]
Name = Annotated[str, typer.Argument(help="姓名 / name")]


def security_admin(new_login: NewLogin, name: Name, *, new_password_file: PasswordFile = "") -> None:
    """登记首位安全管理员（仅在尚无操作员时）/ Enter the first security administrator, before any operator."""
    password = read_secret(new_password_file, f"{new_login} 的口令 / password of {new_login}")

    async def work(parts: Parts) -> None:
        async with parts.db.transaction() as connection:
            if not await operators.none_yet(connection):
                raise AdministratorsKnown
            await _enter(connection, new_login, name, role="security_admin", password=password, by="installation")

    asyncio.run(with_parts(work))
    typer.echo(f"已登记 / entered: {new_login} {name}")


def custodian(
    new_login: NewLogin,
    name: Name,
    *,
    new_password_file: PasswordFile = "",
    login: Annotated[str, typer.Option(prompt="安全管理员登录名 / login of a security administrator")],
    password_file: PasswordFile = "",
) -> None:
    """登记密钥保管人（由安全管理员）/ Enter a key custodian, as a security administrator."""
    password = read_secret(password_file, f"{login} 的口令 / password of {login}")

    async def work(parts: Parts) -> None:
        who: Operator = await operators.log_in(parts.db, login=login, password=password, now=clock.now())
        who.require("console:operators")
        new_password = read_secret(new_password_file, f"{new_login} 的新口令 / new password of {new_login}")
        async with parts.db.transaction() as connection:
            await _enter(connection, new_login, name, role="key_custodian", password=new_password, by=who.operator_id)

    asyncio.run(with_parts(work))
    typer.echo(f"已登记 / entered: {new_login} {name}")


async def _enter(connection: Connection, login: str, name: str, *, role: str, password: str, by: str) -> None:
    now = clock.now()
    operator_id = await operators.add(
        connection,
        login=login,
        name=name,
        roles=frozenset({role}),
        password=password,
        institution_id=None,
        now=now,
    )
    await audit.record(
        connection,
        actor=by,
        action="keys:custodian" if role == "key_custodian" else "operators:first",
        object_kind="operator",
        object_id=operator_id,
        request_id=operator_id,
        now=now,
    )
