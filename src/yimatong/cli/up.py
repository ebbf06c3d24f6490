"""``ymt up``: start everything, say where it is and what to try first, look after it until Ctrl-C."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from rich.console import Console
from rich.status import Status
from rich.table import Table

from yimatong.cli import ports
from yimatong.cli.children import Register
from yimatong.cli.configuration import settings_path
from yimatong.cli.places import data_folder
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.processes import HEALTH, PROCESSES, kind_of
from yimatong.cli.supervisor import READY_PAGE, ready
from yimatong.kit import settings as kit_settings
from yimatong.kit.settings import Addresses

TITLES = {
    "web": "居民与管理页面 pages",
    "core": "核心服务 core",
    "institution-front": "院内前置 institution front",
    "internet-front": "互联网前置 internet front",
    "health": "医疗互操作接口 health interfaces (FHIR)",
    "sandbox": "外部系统模拟 outside world",
}


class _Stop(BaseException):
    """A signal asks us to stop."""


class Progress:
    """Show each step with a spinner while it runs and its time when it is over."""

    def __init__(self, console: Console) -> None:
        """Show nothing before the first step."""
        self._console = console
        self._status: Status | None = None
        self._title, self._begun = "", 0.0
        self._finished = False

    def step(self, title: str) -> None:
        """Close the step before and begin this one; once the start is finished, only print."""
        self.close()
        if self._finished:
            self._console.print(f"  {title}")
            return
        self._title, self._begun = title, time.monotonic()
        self._status = self._console.status(title)
        self._status.start()

    def finish(self) -> None:
        """End the last step of the start; what is reported later has no end to wait for."""
        self.close()
        self._finished = True

    def close(self, *, mark: str = "[green]✔[/]") -> None:
        """End the current step."""
        if self._status is not None:
            self._status.stop()
            self._status = None
            self._console.print(f"  {mark} {self._title} ({time.monotonic() - self._begun:.1f} s)")


def up(
    data: Path | None,
    *,
    port_base: int,
    database_url: str | None,
    processes: Sequence[str] | None = None,
    seed: bool = True,
) -> None:
    """Run the platform, or only some of its processes, until it is asked to stop."""
    console = Console(highlight=False)
    begun = time.monotonic()
    progress = Progress(console)
    platform = LocalPlatform(data_folder(data), port_base=port_base, database_url=database_url, report=progress.step)
    _listen_to_signals()
    try:
        try:
            platform.start(processes, seed=seed)
        except BaseException:
            progress.close(mark="[red]✘[/]")
            raise
        progress.finish()
        _introduce(console, platform, seconds=time.monotonic() - begun)
        while True:
            time.sleep(0.5)
            platform.look()
    except _Stop:
        progress.close(mark="-")
        console.print("正在停止 … / stopping …")
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        platform.stop()
    console.print("已全部停止，数据保留在 / stopped; the data stays in", str(platform.data))


def show_status(data: Path | None) -> bool:
    """Print every process with its state; say whether all that run are ready and any runs."""
    place = data_folder(data)
    living = Register(place / "processes.json").living()
    path = settings_path(place)
    base = ports.BASE
    if path.exists():
        base = int(kit_settings.load(path).addresses.web.rpartition(":")[2])
    known = ports.ports(base)
    table = Table(title=f"一码通 yimatong  {place}")
    for heading in ("进程 process", "pid", "状态 state"):
        table.add_column(heading)
    states = {"postgres": True} if "postgres" in living else {}
    replicas = [name for name in living if "@" in name]
    for name in (*PROCESSES, *replicas):
        if name in living:
            states[name] = ready(known[kind_of(name)], HEALTH.get(kind_of(name), READY_PAGE))
    for name in ("postgres", *PROCESSES, *replicas):
        word = {True: "就绪 ready", False: "未就绪 not ready", None: "未运行 not running"}[states.get(name)]
        table.add_row(name, str(living.get(name, "")), word)
    Console(highlight=False).print(table)
    return bool(states) and all(states.values())


def _listen_to_signals() -> None:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise _Stop

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _introduce(console: Console, platform: LocalPlatform, *, seconds: float) -> None:
    table = Table(title=f"一码通已就绪（{seconds:.1f} 秒） / yimatong is ready", title_justify="left")
    for heading in ("什么 / what", "地址或登录名\naddress or login", "密码\npassword"):
        table.add_column(heading, no_wrap=True)
    started = platform.supervisor.names
    for name, title in TITLES.items():
        if name in started:
            table.add_row(title, _address(platform.addresses, name), "")
    table.add_section()
    told = platform.introduction()
    for where, who, login, password in told["logins"]:
        if where in started:
            table.add_row(who, login, password)
    console.print(table)
    for number, line in enumerate(told["first_steps"], start=1):
        console.print(f"  {number}. {line}".replace("{web}", platform.addresses.web), soft_wrap=True)
    missing = [name for name in PROCESSES if name not in started]
    if missing:
        console.print(f"  没有启动 / not started: {', '.join(missing)}")
    console.print(f"  数据与日志 / data and logs: {platform.data}", soft_wrap=True)
    console.print("  按 Ctrl-C 停止 / Ctrl-C stops")


def _address(addresses: Addresses, process: str) -> str:
    return str(getattr(addresses, process.replace("-", "_")))
