"""``ymt channels``: merchant accounts at the payment channels, and the service channels that payments start from.

For whoever holds the machine; in the console the same changes of merchant accounts take two people. Secrets come from
files that are closed to others or are typed without echo, and are never shown; keys that are drawn are told once.
"""

from __future__ import annotations

import asyncio
import getpass
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import Parts
from yimatong.cli.channel_files import read_account
from yimatong.cli.secrets_read import with_parts
from yimatong.kit import clock
from yimatong.kit.ids import new_id
from yimatong.payments.administration import queries as accounts
from yimatong.payments.administration import service as administration
from yimatong.payments.administration.schemas import AccountFile
from yimatong.payments.errors import ServiceChannelInvalid
from yimatong.payments.health import queries as health
from yimatong.payments.service_channels import queries as services
from yimatong.payments.service_channels import service
from yimatong.payments.service_channels.schemas import Issued, NewServiceChannel, Terminal
from yimatong.payments.service_channels.service import By

channels_app = typer.Typer(help="支付渠道与服务渠道 / payment channels and service channels.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(help="商户账户 / id of the merchant account")]
ServiceId = Annotated[str, typer.Argument(help="服务渠道编号 / id of the service channel")]
Institution = Annotated[str, typer.Option("--institution", help="机构代码 / only of this institution")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(channels_app, name="channels")


@channels_app.command(name="list")
def list_(*, institution: Institution = "") -> None:
    """列出商户账户及其健康状况 / List merchant accounts and how they answer."""
    asyncio.run(with_parts(lambda parts: _list(parts, institution)))


@channels_app.command()
def keys(account_id: AccountId) -> None:
    """显示在用的密钥（不含内容）/ Show which keys are in use, never what they are."""
    asyncio.run(with_parts(lambda parts: _keys(parts, account_id)))


@channels_app.command()
def put(
    file: Annotated[Path, typer.Argument(help="TOML 或 JSON 文件 / TOML or JSON file, mode 0600")],
    *,
    ask: Annotated[list[str] | None, typer.Option(help="从终端输入的密钥项，可重复 / secret to type in")] = None,
) -> None:
    """登记商户账户，或更换其密钥 / Enter a merchant account, or change what the file names; old keys count on."""
    given = read_account(file, ask or [])
    asyncio.run(with_parts(lambda parts: _put(parts, given)))


@channels_app.command()
def end(account_id: AccountId) -> None:
    """结束换钥：删除旧密钥 / End a change of keys: the ones of before are taken out."""
    asyncio.run(with_parts(lambda parts: _end(parts, account_id)))


@channels_app.command()
def on(account_id: AccountId) -> None:
    """启用商户账户 / Switch a merchant account on."""
    asyncio.run(with_parts(lambda parts: _switch(parts, account_id, on=True)))


@channels_app.command()
def off(account_id: AccountId) -> None:
    """停用商户账户 / Switch a merchant account off; money on its way is still understood."""
    asyncio.run(with_parts(lambda parts: _switch(parts, account_id, on=False)))


@channels_app.command(name="services")
def services_(*, institution: Institution = "") -> None:
    """列出服务渠道 / List the service channels."""
    asyncio.run(with_parts(lambda parts: _services(parts, institution)))


@channels_app.command(name="service-register")
def service_register(
    kind: Annotated[str, typer.Argument(help="ios, android, wechat_account, mini_program, ..., his_window, kiosk")],
    *,
    name: Annotated[str, typer.Option(help="名称 / name")],
    caller: Annotated[str, typer.Option(help="调用方 / id of the caller that it belongs to")],
    institution: Annotated[str, typer.Option(help="机构代码 / its institution")] = "",
    terminal: Annotated[list[str] | None, typer.Option(help="终端 编号=名称，可重复 / terminal NO=NAME")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="可用支付渠道，可重复 / payment channel it takes")] = None,
    notify_url: Annotated[str, typer.Option(help="结果推送地址 / where it is told")] = "",
) -> None:
    """登记服务渠道，密钥只显示一次 / Register a service channel; its keys are told once."""
    given = {
        "kind": kind,
        "name": name,
        "caller_id": caller,
        "institution_id": institution or None,
        "terminals": [_terminal(each) for each in terminal or []],
        "channels": channel or [],
        "notify_url": notify_url,
    }
    try:
        wanted = msgspec.convert(given, NewServiceChannel)
    except msgspec.ValidationError as error:
        raise ServiceChannelInvalid(detail=str(error)[:200]) from error
    asyncio.run(with_parts(lambda parts: _register(parts, wanted)))


@channels_app.command(name="service-rotate")
def service_rotate(
    service_channel_id: ServiceId,
    *,
    grace_s: Annotated[int, typer.Option(min=0, max=service.GRACE_S_MAX, help="旧密钥继续有效的秒数 / seconds")] = (
        service.GRACE_S
    ),
) -> None:
    """更换服务渠道的密钥 / Draw a new merchant key; the one of before counts for a while."""
    asyncio.run(with_parts(lambda parts: _rotate(parts, service_channel_id, grace_s)))


@channels_app.command(name="service-on")
def service_on(service_channel_id: ServiceId) -> None:
    """启用服务渠道 / Switch a service channel on."""
    asyncio.run(with_parts(lambda parts: _service_switch(parts, service_channel_id, on=True)))


@channels_app.command(name="service-off")
def service_off(service_channel_id: ServiceId) -> None:
    """停用服务渠道 / Switch a service channel off: no payment starts from it."""
    asyncio.run(with_parts(lambda parts: _service_switch(parts, service_channel_id, on=False)))


@channels_app.command(name="service-terminal")
def service_terminal(
    service_channel_id: ServiceId,
    terminal: Annotated[str, typer.Argument(help="编号=名称 / NO=NAME")],
    *,
    proof: Annotated[bool, typer.Option("--proof", help="订单须带终端校验码 / its orders need a proof")] = False,
    again: Annotated[bool, typer.Option("--again", help="更换已有终端的密钥 / a new key")] = False,
) -> None:
    """添加终端，或更换其密钥 / Add a terminal, or draw a new key for it."""
    try:
        wanted = msgspec.convert(_terminal(terminal) | {"proof": proof}, Terminal)
    except msgspec.ValidationError as error:
        raise ServiceChannelInvalid(detail=str(error)[:200]) from error
    asyncio.run(with_parts(lambda parts: _put_terminal(parts, service_channel_id, wanted, again=again)))


def _by() -> By:
    return By(actor=f"cli:{getpass.getuser()}", request_id=new_id("op"), now=clock.now())


def _terminal(text: str) -> dict[str, str | bool]:
    number, _, name = text.partition("=")
    return {"terminal_no": number, "name": name or number}


def _print(words: str) -> None:
    Console().print(words, markup=False, highlight=False, soft_wrap=True)


async def _list(parts: Parts, institution: str) -> None:
    async with parts.db.read() as connection:
        found = await accounts.listed(connection, scope=PLATFORM, institution_id=institution)
        stand = await health.of(connection, scope=PLATFORM, now=clock.now(), institution_id=institution)
    moods = {each.account_id: each for each in stand.accounts}
    for each in found:
        how = moods[each.account_id]
        share = "-" if how.answered_permille is None else f"{how.answered_permille / 10:.1f}%"
        hidden = "  已隐藏 hidden" if how.hidden else ""
        state = "" if each.state == "active" else "  停用 off"
        _print(f"{each.account_id}  {each.institution_id}  {each.channel}  {each.merchant_id}  {share}{state}{hidden}")


async def _keys(parts: Parts, account_id: str) -> None:
    async with parts.db.read() as connection:
        found = await accounts.find(connection, parts.vault, account_id, scope=PLATFORM)
    for each in found.keys:
        end = f"  至 until {each.not_after:%Y-%m-%d}" if each.not_after else ""
        before = "  旧 before" if each.previous else ""
        _print(f"{each.name}  {each.kind}  {each.fingerprint or '-'}{end}{before}")


async def _put(parts: Parts, given: AccountFile) -> None:
    async with parts.db.transaction() as connection:
        new = await administration.put(connection, parts.vault, given, known=parts.channels, by=_by())
    _print(f"{given.account_id} {'已登记 / entered' if new else '已更改 / changed'}")


async def _end(parts: Parts, account_id: str) -> None:
    async with parts.db.transaction() as connection:
        gone = await administration.end_change_over(connection, parts.vault, account_id, by=_by())
    _print(f"已删除 / taken out: {', '.join(gone) or '-'}")


async def _switch(parts: Parts, account_id: str, *, on: bool) -> None:
    async with parts.db.transaction() as connection:
        await administration.switch(connection, account_id, on=on, by=_by())
    _print(f"{account_id} {'已启用 / on' if on else '已停用 / off'}")


async def _services(parts: Parts, institution: str) -> None:
    async with parts.db.read() as connection:
        found = await services.of(connection, scope=PLATFORM, institution_id=institution)
    for each in found.service_channels:
        state = "" if each.state == "active" else "  停用 off"
        terminals = ",".join(terminal.terminal_no for terminal in each.terminals) or "-"
        _print(
            f"{each.service_channel_id}  {each.merchant_no}  {each.kind}  {each.name}  "
            f"{each.institution_id or each.caller_id}  {terminals}{state}"
        )


async def _register(parts: Parts, wanted: NewServiceChannel) -> None:
    async with parts.db.transaction() as connection:
        issued = await service.register(
            connection, parts.vault, wanted, destinations=parts.destinations, known=parts.channels, by=_by()
        )
    _tell(issued)


async def _rotate(parts: Parts, service_channel_id: str, grace_s: int) -> None:
    async with parts.db.transaction() as connection:
        issued = await service.rotate(connection, parts.vault, service_channel_id, grace_s=grace_s, by=_by())
    _tell(issued)


async def _service_switch(parts: Parts, service_channel_id: str, *, on: bool) -> None:
    async with parts.db.transaction() as connection:
        after = await service.switch(connection, service_channel_id, on=on, by=_by())
    _print(f"{after.name} {'已启用 / on' if on else '已停用 / off'}")


async def _put_terminal(parts: Parts, service_channel_id: str, wanted: Terminal, *, again: bool) -> None:
    async with parts.db.transaction() as connection:
        issued = await service.put_terminal(connection, parts.vault, service_channel_id, wanted, again=again, by=_by())
    _tell(issued)


def _tell(issued: Issued) -> None:
    """Print what was drawn; it is shown this once."""
    _print(f"{issued.service_channel_id}  {issued.merchant_no}")
    if issued.key:
        _print(f"key  {issued.key}")
    for number, key in issued.terminal_keys.items():
        _print(f"terminal {number}  {key}")
    if issued.previous_until is not None:
        at = issued.previous_until.astimezone(clock.BEIJING)
        _print(f"旧密钥有效至 / the key of before counts until {at:%Y-%m-%d %H:%M}")
