"""Start the processes of a platform, wait until each is ready, look after them, stop them in reverse order."""

from __future__ import annotations

import http.client
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from yimatong.cli import children, nursery
from yimatong.cli.errors import ProcessFailed, UnknownName
from yimatong.cli.ports import HOST
from yimatong.cli.processes import HEALTH, kind_of

READY_S = 90.0
READY_PAGE = "/health/ready"
_STEADY_S = 60.0
_PAUSE_MAX_S = 30.0


class Process(NamedTuple):
    """What to run, and the port and page that tell that it is ready."""

    name: str
    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = {}
    page: str = READY_PAGE
    forked: bool = False
    shared: bool = False


def serving(name: str, *, port: int, settings: Path, forked: bool, shared: bool = False) -> Process:
    """Return the specification of a process of the platform; when it is forked, the command is not used.

    ``shared``: several processes of this kind listen on the port, and the kernel spreads connections over them.
    """
    kind = kind_of(name)
    command = [sys.executable, "-m", "yimatong.cli.main", "serve", kind, "--port", str(port)]
    if shared:
        command.append("--share-port")
    environment = {"YMT_SETTINGS": str(settings), "PYTHONUNBUFFERED": "1"}
    return Process(name, command, port, environment, HEALTH.get(kind, READY_PAGE), forked=forked, shared=shared)


class _Running:
    """A started process, with its history of crashes."""

    def __init__(self, process: Process, child: children.Child) -> None:
        self.process = process
        self.child = child
        self.started = time.monotonic()
        self.crashes = 0
        self.again_at = 0.0


class Supervisor:
    """The children of one platform. Every method blocks and may be called from any thread, one at a time."""

    def __init__(self, data: Path, *, say: Callable[[str], None] = lambda _text: None) -> None:
        """Keep logs in ``data/logs`` and the register in ``data``; ``say`` hears of crashes and restarts."""
        self._data = data
        self._say = say
        self._running: dict[str, _Running] = {}
        self.register = children.Register(data / "processes.json")
        self._nursery = nursery.Nursery(self.log("nursery"))

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self._data / "logs" / f"{name}.log"

    def pid(self, name: str) -> int:
        """Return the number of a started process."""
        return self._of(name).child.pid

    @property
    def names(self) -> list[str]:
        """Return the names of the started processes, in order."""
        return list(self._running)

    def warm_up(self, names: Sequence[str] = ()) -> None:
        """Begin with the imports of the platform's processes, while other things are being prepared."""
        self.register.add("nursery", self._nursery.open(names))

    def start(self, processes: Sequence[Process], *, ready_s: float = READY_S) -> None:
        """Start all of them at once, then wait for each.

        Raises:
            ProcessFailed: one ended or is not ready in time; all that were started are stopped again.
        """
        (self._data / "logs").mkdir(exist_ok=True)
        try:
            for process in processes:
                self._running[process.name] = _Running(process, self._spawn(process))
            self._wait_all([process.name for process in processes], within_s=ready_s)
        except BaseException:
            self.stop()
            raise

    def wait_ready(self, name: str, *, within_s: float = READY_S) -> None:
        """Wait until a process answers on its page.

        Raises:
            ProcessFailed: it ended, or the time is over.
        """
        self._wait_all([name], within_s=within_s)

    def _wait_all(self, names: Sequence[str], *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        waiting = {name: self._of(name) for name in names}
        while waiting:
            for name, running in list(waiting.items()):
                if running.child.poll() is not None or time.monotonic() > deadline:
                    raise ProcessFailed(name=name, detail=last_line(self.log(name)), log=self.log(name))
                if ready(running.process.port, running.process.page):
                    del waiting[name]
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """End a process with SIGKILL, as a fault drill does; ``restart`` brings it back."""
        running = self._of(name)
        running.child.kill()
        running.child.wait()

    def restart(self, name: str) -> None:
        """Stop a process when it still runs, start it again and wait until it is ready."""
        running = self._of(name)
        self._end(running)
        running.child = self._spawn(running.process)
        running.started = time.monotonic()
        self.wait_ready(name)

    def stop(self) -> None:
        """Stop everything in reverse order of the start."""
        for running in reversed(self._running.values()):
            if running.child.poll() is None:
                running.child.send_signal(signal.SIGTERM)
        for name, running in reversed(list(self._running.items())):
            self._end(running)
            self.register.remove(name)
        self._running.clear()
        self._nursery.close()
        self.register.remove("nursery")

    def look(self) -> None:
        """Restart what crashed, waiting longer after each crash; called again and again by ``ymt up``."""
        now = time.monotonic()
        for name, running in self._running.items():
            status = running.child.poll()
            if status is None:
                continue
            if not running.again_at:
                running.crashes = 0 if now - running.started > _STEADY_S else running.crashes + 1
                pause_s = min(2.0**running.crashes, _PAUSE_MAX_S) / 2
                running.again_at = now + pause_s
                self._say(
                    f"进程 {name} 意外退出（{status}），{pause_s:.0f} 秒后重启；日志 {self.log(name)}"
                    f" / {name} ended unexpectedly ({status}), restarted in {pause_s:.0f} s"
                )
            elif now >= running.again_at:
                running.again_at = 0.0
                running.child = self._spawn(running.process)
                running.started = now

    def _of(self, name: str) -> _Running:
        if name not in self._running:
            raise UnknownName(name=name, kind_zh="进程", kind_en="process", known=", ".join(self._running))
        return self._running[name]

    def _spawn(self, process: Process) -> children.Child:
        child: children.Child
        log = self.log(process.name)
        if process.forked:
            self.warm_up()
            child = self._nursery.spawn(
                kind_of(process.name),
                port=process.port,
                environment=process.environment,
                log=log,
                share_port=process.shared,
            )
        else:
            with log.open("ab") as output:
                child = children.spawn(process.command, log=output, environment=process.environment)
        self.register.add(process.name, child.pid)
        return child

    def _end(self, running: _Running) -> None:
        children.end(running.child, soft=signal.SIGTERM, hard=signal.SIGKILL, grace_s=10.0)


def ready(port: int, page: str = READY_PAGE) -> bool:
    """Ask a process of this machine whether it is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", page)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def last_line(log: Path) -> str:
    """Return the last line that a process wrote."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    written = [line.strip() for line in lines if line.strip()]
    return written[-1][:300] if written else "?"
