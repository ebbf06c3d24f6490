"""The command ``ymt``. Commands import what they need when they run, so that ``ymt --help`` is quick."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from yimatong.cli.errors import say_error
from yimatong.kit.errors import PlatformError

app = typer.Typer(
    name="ymt",
    help="一码通：电子健康卡平台 / yimatong: the electronic health card platform.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
keys_app = typer.Typer(help="密码机中的密钥 / keys in the crypto device.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")

DataFolder = Annotated[
    Path | None, typer.Option("--data", help="数据目录 / data folder (default: beside the checkout)", envvar="YMT_DATA")
]
ScriptArguments = Annotated[list[str] | None, typer.Argument(help="传给脚本的参数 / handed to the script")]
_SETTLED = {"import", "demo", "reconcile", "records", "migrate", "seed", "keys"} | {
    *("verify", "outbox", "domains", "match", "national", "channels"),
}
"""Commands that work on an installation."""

_HOMES = {"import": "imports"} | {
    name: name
    for name in ("reconcile", "demo", "verify", "records", "keys", "outbox", "domains", "match", "national", "channels")
}
"""Modules of the commands that register themselves; the one that is asked for is imported alone."""

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command()
def up(
    *,
    data: DataFolder = None,
    port_base: Annotated[int, typer.Option(help="网页端口，其余依次加 10 / port of the pages; others follow")] = 8400,
    database_url: Annotated[
        str | None, typer.Option(help="使用已有的 PostgreSQL / an existing server", envvar="YMT_DATABASE_URL")
    ] = None,
    process: Annotated[
        list[str] | None, typer.Option(help="只启动这些进程，可重复 / only these processes, repeatable")
    ] = None,
    seed: Annotated[
        bool, typer.Option("--seed/--no-seed", help="首次启动时装入演示数据 / demonstration data at the first start")
    ] = True,
) -> None:
    """启动整个平台，Ctrl-C 停止 / Start the whole platform; Ctrl-C stops it."""
    from yimatong.cli.up import up as run_platform  # noqa: PLC0415

    run_platform(data, port_base=port_base, database_url=database_url, processes=process, seed=seed)


@app.command()
def serve(
    process: str,
    *,
    port: Annotated[int | None, typer.Option(help="端口 / port")] = None,
    share_port: Annotated[
        bool, typer.Option("--share-port", help="与同类进程共用端口 / several of its kind on one port")
    ] = False,
) -> None:
    """运行一个进程，配置由 YMT_SETTINGS 指定 / Run one process with the settings named by YMT_SETTINGS."""
    from yimatong.cli.serve import serve as run_process  # noqa: PLC0415

    run_process(process, port=port, share_port=share_port)


@app.command()
def migrate(
    *,
    rebaseline: Annotated[bool, typer.Option(help="重建基线（开发用）/ remake the baseline (development)")] = False,
) -> None:
    """把数据库升级到最新结构 / Bring the database to the newest schema."""
    from yimatong.cli import migrate as migrations  # noqa: PLC0415
    from yimatong.kit import settings  # noqa: PLC0415

    if rebaseline:
        typer.echo(str(migrations.rebaseline()))
        return
    migrations.upgrade(settings.load().database_url)
    typer.echo("数据库结构已是最新 / the schema is the newest")


@keys_app.command("demo")
def keys_demo() -> None:
    """在软密码机中生成演示密钥 / Make demonstration keys in the soft crypto device."""
    from yimatong.cli.errors import DemonstrationOnly  # noqa: PLC0415
    from yimatong.cli.platform import make_keys  # noqa: PLC0415
    from yimatong.kit import settings  # noqa: PLC0415

    current = settings.load()
    if current.production:
        raise DemonstrationOnly(command="ymt keys demo")
    made = make_keys(current)
    typer.echo("已生成演示密钥 / keys made" if made else "密钥已经存在，未改动 / keys exist and were left alone")


@app.command()
def seed() -> None:
    """装入演示数据 / Load the demonstration data."""
    from yimatong.cli.errors import DemonstrationOnly  # noqa: PLC0415
    from yimatong.cli.platform import load_demonstration  # noqa: PLC0415
    from yimatong.kit import settings  # noqa: PLC0415

    current = settings.load()
    if current.production:
        raise DemonstrationOnly(command="ymt seed")
    load_demonstration(current)
    typer.echo("演示数据已装入 / demonstration data loaded")


@app.command()
def status(data: DataFolder = None) -> None:
    """显示各进程是否就绪 / Show which processes run and are ready."""
    from yimatong.cli.up import show_status  # noqa: PLC0415

    if not show_status(data):
        raise typer.Exit(1)


@app.command(context_settings=PASS_ON)
def bench(name: str, arguments: ScriptArguments = None) -> None:
    """运行一个性能基准（需要源码目录）/ Run a benchmark (needs a checkout)."""
    _run_script("bench", name, arguments or [])


@app.command(context_settings=PASS_ON)
def drill(name: str, arguments: ScriptArguments = None) -> None:
    """运行一个故障演练（需要源码目录）/ Run a fault drill (needs a checkout)."""
    _run_script("drills", name, arguments or [])


def _run_script(folder: str, name: str, arguments: list[str]) -> None:
    from yimatong.cli.scripts import run_script  # noqa: PLC0415

    raise typer.Exit(run_script(folder, name, arguments))


def _add_commands(module_name: str) -> None:
    """Add the commands of a module that registers its own: it has ``register(app)``."""
    name = f"yimatong.cli.{module_name}"
    if importlib.util.find_spec(name) is not None:
        importlib.import_module(name).register(app)


def _know_settings() -> None:
    """Let a command find the settings that ``ymt up`` wrote for this checkout, unless others are named."""
    if "YMT_SETTINGS" in os.environ or not _SETTLED.intersection(sys.argv[1:2]):
        return
    from yimatong.cli.configuration import settings_path  # noqa: PLC0415
    from yimatong.cli.places import data_folder  # noqa: PLC0415

    given = os.environ.get("YMT_DATA")
    path = settings_path(data_folder(Path(given) if given else None))
    if path.is_file():
        os.environ["YMT_SETTINGS"] = str(path)


def run() -> None:
    """Entry point: anticipated errors are one sentence and exit status 1, Ctrl-C is 130; a defect keeps its trace."""
    os.environ.setdefault("PYTHONUTF8", "1")
    own = {command.name or getattr(command.callback, "__name__", "") for command in app.registered_commands}
    if not own.intersection(sys.argv[1:2]):  # what they import costs two seconds that no other command needs
        asked = [_HOMES[word] for word in sys.argv[1:2] if word in _HOMES]
        for module_name in asked or _HOMES.values():
            _add_commands(module_name)
    try:
        _know_settings()
        app(prog_name="ymt")
    except (PlatformError, OSError) as error:
        say_error(error)
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.stderr.write("\n已中断。 / interrupted.\n")
        sys.exit(130)


if __name__ == "__main__":
    run()
