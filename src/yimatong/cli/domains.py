"""``ymt domains``: identifier domains listed, read, made, changed and suspended by whoever runs the platform."""

from __future__ import annotations

import asyncio
import getpass
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from yimatong.apps.assembly import Parts
from yimatong.cli.secrets_read import with_parts
from yimatong.empi.errors import DomainRuleInvalid
from yimatong.empi.identifiers import managing
from yimatong.empi.identifiers.managing import Change
from yimatong.empi.identifiers.schemas import Domain, DomainChange, DomainToMake
from yimatong.kit import clock
from yimatong.kit.ids import new_id

domains_app = typer.Typer(help="标识域 / identifier domains.", no_args_is_help=True)

Code = Annotated[str, typer.Argument(help="标识域代码 / code of the domain")]
Reason = Annotated[str, typer.Option(help="原因，记入审计 / why; it goes to the audit")]
Rules = Annotated[str, typer.Option(help='规则 JSON / rules in JSON, e.g. \'{"trusted": ["inst-h1"]}\'')]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(domains_app, name="domains")


@domains_app.command(name="list")
def list_(
    *, institution: Annotated[str | None, typer.Option(help="机构代码 / also those of this institution")] = None
) -> None:
    """列出标识域 / List the identifier domains."""
    asyncio.run(with_parts(lambda parts: _list(parts, institution)))


@domains_app.command()
def show(code: Code) -> None:
    """显示一个标识域及其历次修改 / Show a domain and its versions."""
    asyncio.run(with_parts(lambda parts: _show(parts, code)))


@domains_app.command()
def create(
    code: Code,
    *,
    kind: Annotated[str, typer.Option(help="certificate, card, visit_card, region, national")],
    zh: Annotated[str, typer.Option(help="中文名 / name in Chinese")],
    en: Annotated[str, typer.Option(help="英文名 / name in English")],
    reason: Reason,
    rules: Rules = "{}",
) -> None:
    """新建标识域 / Make a domain."""
    wanted = {**_read(rules), "code": code, "kind": kind, "name_zh": zh, "name_en": en}
    asyncio.run(with_parts(lambda parts: _create(parts, _shape(wanted, DomainToMake), reason)))


@domains_app.command()
def change(code: Code, *, rules: Rules, reason: Reason) -> None:
    """修改标识域的规则 / Change the rules of a domain."""
    asyncio.run(with_parts(lambda parts: _change(parts, code, _shape(_read(rules), DomainChange), reason)))


@domains_app.command()
def suspend(code: Code, *, reason: Reason) -> None:
    """停用标识域：不再登记和解析 / Suspend a domain: nothing is entered or resolved."""
    asyncio.run(with_parts(lambda parts: _change(parts, code, DomainChange(state="suspended"), reason)))


@domains_app.command()
def resume(code: Code, *, reason: Reason) -> None:
    """恢复停用的标识域 / Bring a suspended domain back."""
    asyncio.run(with_parts(lambda parts: _change(parts, code, DomainChange(state="active"), reason)))


def _read(text: str) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode(text, type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise DomainRuleInvalid(detail=str(error)[:200]) from error


def _shape(given: dict[str, Any], shape: type[Any]) -> Any:
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        raise DomainRuleInvalid(detail=str(error)[:200]) from error


def _by(reason: str) -> Change:
    return Change(operator_id=f"cli:{getpass.getuser()}", reason=reason, request_id=new_id("op"), now=clock.now())


async def _list(parts: Parts, institution: str | None) -> None:
    async with parts.db.read() as connection:
        found = await managing.listed(connection, institution_id=institution)
    console = Console()
    for each in found:
        state = "" if each.state == "active" else "  停用 suspended"
        words = f"{each.code}  {each.name_zh} / {each.name_en}  v{each.version}{state}"
        console.print(words, markup=False, highlight=False, soft_wrap=True)


async def _show(parts: Parts, code: str) -> None:
    async with parts.db.read() as connection:
        _tell(await managing.read(connection, code))
        for each in await managing.versions(connection, code):
            at = f"{each.at.astimezone(clock.BEIJING):%Y-%m-%d %H:%M}"
            typer.echo(f"v{each.domain.version}  {at}  {each.changed_by}  {each.reason}")


async def _create(parts: Parts, wanted: DomainToMake, reason: str) -> None:
    async with parts.db.transaction() as connection:
        _tell(await managing.create(connection, wanted, _by(reason)))


async def _change(parts: Parts, code: str, wanted: DomainChange, reason: str) -> None:
    async with parts.db.transaction() as connection:
        known = await managing.read(connection, code)
        _tell(await managing.change(connection, code, wanted, version=known.version, change=_by(reason)))


def _tell(domain: Domain) -> None:
    typer.echo(msgspec.json.format(msgspec.json.encode(domain), indent=2).decode())
