"""``ymt up``: start everything, say where it is and what to try first, look after it until Ctrl-C."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
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
from yimatong.cli.binaries import SHARED
from yimatong.cli.children import Register
from yimatong.cli.configuration import settings_path
from yimatong.cli.migrate import CHECKOUT
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.processes import DEMONSTRATION, HEALTH, PROCESSES
from yimatong.cli.supervisor import READY_PAGE, ready
from yimatong.kit import settings as kit_settings
from yimatong.kit.settings import Addresses

TITLES = {
    "web": "居民与管理页面 / pages for residents and staff",
    "core": "核心服务 / core",
    "institution-front": "院内前置 / institution front",
    "internet-front": "互联网前置 / internet front",
    "worker": "后台任务 / background jobs",
    "sandbox": "外部系统模拟 / simulated outside world",
}


class _Stop(BaseException):
    """A signal asks us to stop."""


def data_folder(given: Path | None) -> Path:
    """Return where the data lives: as given, or beside the checkout, or where root keeps the database's data.

    PostgreSQL does not run as root. Its user must reach the data, and a checkout under a private home is out of his
    reach; so root's data lives in a folder named by the checkout's path.
    """
    if given is not None:
        return given.absolute()
    if os.geteuid() == 0:
        return SHARED / hashlib.sha256(str(CHECKOUT).encode()).hexdigest()[:8]
    return CHECKOUT / ".data"


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
    for name in PROCESSES:
        if name in living:
            states[name] = ready(known[name], HEALTH.get(name, READY_PAGE))
    for name in ("postgres", *PROCESSES):
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
    table = Table(title=f"一码通已就绪（{seconds:.1f} 秒） / yimatong is ready", title_justify="left", show_lines=True)
    table.add_column("什么 / what", no_wrap=True)
    table.add_column("地址 / address", no_wrap=True)
    table.add_column("登录 / login")
    logins = _demonstration("LOGINS")
    started = platform.supervisor.names
    for name, title in TITLES.items():
        if name in started and name != "worker":
            address = _address(platform.addresses, name)
            page_logins = [f"{who}: {login} / {password}" for where, who, login, password in logins if where == name]
            table.add_row(title, address, "\n".join(page_logins))
    console.print(table)
    for number, line in enumerate(_demonstration("FIRST_STEPS"), start=1):
        console.print(f"  {number}. {line}".replace("{web}", platform.addresses.web))
    missing = [name for name in PROCESSES if name not in started]
    if missing:
        console.print(f"  没有启动 / not started: {', '.join(missing)}")
    console.print(f"  数据 / data: {platform.data}   日志 / logs: {platform.data / 'logs'}   Ctrl-C 停止 / stops")


def _address(addresses: Addresses, process: str) -> str:
    return str(getattr(addresses, process.replace("-", "_")))


def _demonstration(name: str) -> Sequence[tuple[str, ...]]:
    """Return what the demonstration data says about itself, when it has it."""
    if importlib.util.find_spec(DEMONSTRATION) is None:
        return ()
    return tuple(getattr(importlib.import_module(DEMONSTRATION), name, ()))
