"""``ymt keys``: the key ceremonies on the command line, by two custodians who log in as operators.

Passwords and components are asked for without echo. Where there is no terminal (and in drills) they come from a file
or from standard input (``-``): ``--password-file``, ``--component-file``. No value is ever an argument.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from yimatong.access import operators, resealing
from yimatong.access.ceremony import queries
from yimatong.access.ceremony.schemas import ACTIONS, BY_HAND, Ceremony, Done, Given, Request
from yimatong.access.ceremony.service import PERMISSION, Ceremonies
from yimatong.access.ceremony.windows import Affected
from yimatong.access.operators import Operator
from yimatong.apps.assembly import Parts
from yimatong.apps.keys import ceremonies
from yimatong.apps.sealed import places
from yimatong.cli import key_people, key_tables
from yimatong.cli.errors import InputUnreadable
from yimatong.cli.secrets_read import PasswordFile, read_secret, with_parts
from yimatong.crypto.devices.base import Component
from yimatong.crypto.devices.choice import create_device
from yimatong.crypto.gm import sm4
from yimatong.kit import clock, settings

_COMPONENT_CHARACTERS = 32

Login = Annotated[str, typer.Option(prompt="登录名 / login", help="保管人登录名 / the custodian's login")]
ComponentFiles = Annotated[
    list[str] | None, typer.Option(help="分量文件，可重复 / file of a component, repeatable; - for stdin")
]
T = TypeVar("T")
Work = Callable[[Parts, Ceremonies, Operator], Awaitable[T]]


def register(app: typer.Typer) -> None:
    """Add the commands to the group ``ymt keys``."""
    group = next(known.typer_instance for known in app.registered_groups if known.name == "keys")
    if group is None:
        raise AssertionError
    commands: dict[str, Callable[..., None]] = {
        "init": init,
        "security-admin": key_people.security_admin,
        "custodian": key_people.custodian,
        "list": show,
        "propose": propose,
        "approve": approve,
        "reject": reject,
        "component": component,
        "perform": perform,
        "new-component": new_component,
        "transport-key": transport_key,
        "reseal": reseal,
    }
    for name, command in commands.items():
        group.command(name=name)(command)


def init() -> None:
    """建立空的密钥库 / Make an empty keystore; keys come by ceremony."""
    device = create_device(settings.load())
    typer.echo(f"已建立空密钥库 / an empty keystore was made ({device.name})")


def show() -> None:
    """列出密钥版本、待办操作和重新加密进度 / List versions, open ceremonies, re-sealing."""
    asyncio.run(with_parts(key_tables.show))


def propose(
    action: Annotated[str, typer.Argument(help=" | ".join(ACTIONS))],
    usage: Annotated[str, typer.Argument(help="security | protection | signing")] = "",
    version: Annotated[int, typer.Argument(help="版本号 / version (switch-off, switch-on, destroy)")] = 0,
    *,
    reason: Annotated[str, typer.Option(prompt="事由 / reason", help="事由 / why")],
    parts: Annotated[int, typer.Option(help="保管人数 2–5 / custodians (import-component, backup, restore)")] = 0,
    kcv: Annotated[str, typer.Option(help="整个密钥的校验值 / KCV of the whole key (import-*)")] = "",
    emergency: Annotated[
        bool, typer.Option("--emergency", help="密钥泄露等紧急情况，有效的码会被拒绝 / valid codes may be refused")
    ] = False,
    login: Login,
    password_file: PasswordFile = "",
) -> None:
    """提出密钥操作，由第二人批准 / Propose a change of keys for a second custodian to approve."""
    request = Request(action=action, usage=usage, version=version, parts=parts, kcv=kcv.upper(), emergency=emergency)

    async def work(_parts: Parts, verbs: Ceremonies, who: Operator) -> tuple[str, Affected | None]:
        proposed = await verbs.propose(request, reason=reason, operator=who, now=clock.now())
        return proposed, await verbs.affected(request, now=clock.now())

    approval_id, affected = _as_operator(login, password_file, work)
    if affected is not None:
        typer.echo(key_tables.refuses(affected, now=clock.now()))
    typer.echo(
        f"已提出 / proposed: {approval_id}\n请第二人执行 / the second person runs: ymt keys approve {approval_id}"
    )


def approve(approval_id: str, *, login: Login, password_file: PasswordFile = "") -> None:
    """批准并立即执行（需要分量或文件的除外）/ Approve, and perform at once what needs nothing else."""

    async def work(parts: Parts, verbs: Ceremonies, who: Operator) -> tuple[Ceremony, Done | None]:
        async with parts.db.read() as connection:
            asked = await queries.find(connection, approval_id)
        affected = await verbs.affected(asked.request, now=clock.now())
        if affected is not None:
            typer.echo(key_tables.refuses(affected, now=clock.now()))
        done = await verbs.approve_and_run(approval_id, operator=who, now=clock.now())
        async with parts.db.read() as connection:
            return await queries.find(connection, approval_id), done

    found, done = _as_operator(login, password_file, work)
    if done is not None:
        _say(done)
    elif found.request.action == "import-component":
        typer.echo(f"已批准。各保管人分别执行 / approved; each custodian runs: ymt keys component {approval_id} PART")
    else:
        typer.echo(f"已批准。请执行 / approved; now run: ymt keys perform {approval_id}")


def reject(approval_id: str, *, login: Login, password_file: PasswordFile = "") -> None:
    """驳回 / Reject a proposal."""

    async def work(_parts: Parts, verbs: Ceremonies, who: Operator) -> None:
        await verbs.decide(approval_id, operator=who, approve=False, now=clock.now())

    _as_operator(login, password_file, work)
    typer.echo("已驳回 / rejected")


def component(
    approval_id: str,
    part: Annotated[int, typer.Argument(help="第几个分量 / which part, from 1")],
    *,
    login: Login,
    password_file: PasswordFile = "",
    component_file: ComponentFiles = None,
) -> None:
    """录入自己的密钥分量 / Bring one's own component of an approved import."""
    files = list(component_file or [])

    async def work(_parts: Parts, verbs: Ceremonies, who: Operator) -> Done:
        value, kcv = _read_component(files[0] if files else "", f"第 {part} 分量 / part {part}")
        return await verbs.bring_component(approval_id, part, value, kcv, operator=who, now=clock.now())

    done = _as_operator(login, password_file, work)
    if done.parts_missing:
        typer.echo(f"已收到，还差 {done.parts_missing} 个分量 / taken; {done.parts_missing} to come")
    else:
        _say(done)


def perform(
    approval_id: str,
    *,
    file: Annotated[Path | None, typer.Option(help="密文或备份文件 / wrapped key (hex), or the backup")] = None,
    component_file: ComponentFiles = None,
    login: Login,
    password_file: PasswordFile = "",
) -> None:
    """执行已批准的操作，或完成中断的操作 / Perform what was approved, or finish what was broken off."""
    files = list(component_file or [])

    async def work(parts: Parts, verbs: Ceremonies, who: Operator) -> tuple[Ceremony, Done]:
        async with parts.db.read() as connection:
            found = await queries.find(connection, approval_id)
        given = _given(found, file, files) if found.request.action in BY_HAND else Given()
        done = await verbs.perform(approval_id, given, operator=who, now=clock.now())
        if done.blob and file is not None:
            _write_new(file, done.blob)
        return found, done

    found, done = _as_operator(login, password_file, work)
    if found.request.action == "backup":
        typer.echo(f"备份已写入 {file}，请与各分量分开保管 / backup written; keep it apart from the components")
    _say(done)


def new_component(
    file: Annotated[Path | None, typer.Argument(help="写入此文件 / write it to this file")] = None,
) -> None:
    """为自己生成一个随机分量 / Draw a random component for oneself, to a file or to the screen once."""
    value = secrets.token_bytes(sm4.KEY_SIZE)
    kcv = sm4.key_check_value(value)
    if file is not None:
        _write_new(file, f"{value.hex()} {kcv}\n".encode())
        typer.echo(f"已写入 / written: {file}  KCV {kcv}")
    elif sys.stdout.isatty():
        typer.echo(f"{value.hex()}  KCV {kcv}\n请抄录并密封保管，屏幕随后清除 / write it down; then clear the screen")
    else:
        raise InputUnreadable(what="终端 / a terminal, or a file name")


def transport_key() -> None:
    """显示密码机的传输公钥 / Show the public key under which a key system wraps keys for this device."""

    async def work(parts: Parts) -> str:
        return (await asyncio.to_thread(parts.vault.device.transport_public_key)).hex()

    typer.echo(asyncio.run(with_parts(work)))


def reseal(
    *, status: Annotated[bool, typer.Option("--status", help="只看进度 / only show how far it is")] = False
) -> None:
    """用当前密钥重新加密存量数据（后台也会自动进行）/ Seal stored data anew now; the worker does it too."""

    async def work(parts: Parts) -> int:
        done = 0 if status else await resealing.reseal(parts.db, parts.vault, places(parts.settings), now=clock.now)
        console = Console()
        console.print(await key_tables.sealed(parts, console))
        return done

    done = asyncio.run(with_parts(work))
    if not status:
        typer.echo(f"本次重新加密 {done} 条 / sealed anew: {done}")


def _as_operator(login: str, password_file: str, work: Work[T]) -> T:
    password = read_secret(password_file, f"{login} 的口令 / password of {login}")

    async def logged_in(parts: Parts) -> T:
        who = await operators.log_in(parts.db, login=login, password=password, now=clock.now())
        who.require(PERMISSION)
        return await work(parts, ceremonies(parts), who)

    return asyncio.run(with_parts(logged_in))


def _read_component(file: str, prompt: str) -> tuple[bytes, str]:
    """Read ``32 hex characters`` and the KCV written beside them; at a terminal the two are asked for one by one."""
    words = read_secret(file, f"{prompt}（32位十六进制 / 32 hex characters）").split()
    kcv = words.pop() if len(words) > 1 and len(words[-1]) < _COMPONENT_CHARACTERS // 4 else ""
    try:
        value = bytes.fromhex("".join(words))
    except ValueError:
        raise InputUnreadable(what=prompt) from None
    if not kcv and not file:
        kcv = input("校验值 KCV: ").strip()
    if not kcv:
        raise InputUnreadable(what=f"{prompt} KCV")
    return value, kcv


def _given(found: Ceremony, file: Path | None, files: Sequence[str]) -> Given:
    action, parts = found.request.action, found.request.parts
    blob = b""
    if action in {"restore", "import-wrapped", "backup"} and file is None:
        raise InputUnreadable(what="--file")
    if action == "backup" and file is not None and file.exists():
        raise InputUnreadable(what=f"{file} 已存在 / exists")
    if action in {"restore", "import-wrapped"} and file is not None:
        try:
            blob = file.read_bytes() if action == "restore" else bytes.fromhex(file.read_text("ascii"))
        except (OSError, ValueError) as error:
            raise InputUnreadable(what=str(file)) from error
    components = []
    for part in range(1, parts + 1) if action in {"backup", "restore"} else ():
        source = files[part - 1] if part <= len(files) else ""
        value, kcv = _read_component(source, f"第 {part} 位保管人的分量 / component of custodian {part}")
        components.append(
            Component(ceremony=found.approval_id, part=part, parts=parts, value=value, kcv=kcv, key_kcv="")
        )
    return Given(components=tuple(components), blob=blob)


def _write_new(file: Path, content: bytes) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _say(done: Done) -> None:
    if done.info is None:
        typer.echo("已完成 / done")
        return
    info = done.info
    what = f"{key_tables.USAGES[info.usage]} v{info.version}"
    typer.echo(f"已完成 / done: {what}  {key_tables.STATES[info.state]}  KCV {info.kcv}")
