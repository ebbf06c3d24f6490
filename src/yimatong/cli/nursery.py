"""Start many processes of the platform for the price of one: import once, then fork.

The processes share nine tenths of their imports, two to three seconds each on a small machine. On Linux one process,
the nursery, imports all of it while the database is being started, and forks a child for every request that it reads
from a socket. It has no threads, opens nothing and serves nothing. Its children get a signal when it ends, and it
when the supervisor ends. A child's exit status is kept until the supervisor asks, so that no number is used again
while somebody may still send a signal to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from io import BufferedRWPair
from pathlib import Path
from typing import Any

from yimatong.cli import children, launch
from yimatong.cli.processes import module_of

SUPPORTED = sys.platform == "linux"
SOCKET = "YMT_NURSERY_SOCKET"
NAMES = "YMT_NURSERY_PROCESSES"
_PR_SET_NAME = 15


class Nursery:
    """The supervisor's side. Any thread may call it."""

    def __init__(self, log: Path) -> None:
        """Remember the log of the nursery itself; the children have their own."""
        self._log = log
        self._names: Sequence[str] = ()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: BufferedRWPair | None = None
        self._lock = threading.Lock()

    def open(self, names: Sequence[str] = ()) -> int:
        """Start importing for these processes, unless it has been started and lives; return the nursery's number."""
        self._names = names or self._names
        if self._process is not None and self._process.poll() is None:
            return self._process.pid
        self.close()
        ours, theirs = socket.socketpair()
        with ours, theirs, self._log.open("ab") as log:
            theirs.set_inheritable(True)
            self._process = children.spawn(
                [sys.executable, "-m", "yimatong.cli.nursery"],
                log=log,
                environment={SOCKET: str(theirs.fileno()), NAMES: ",".join(self._names), "PYTHONUNBUFFERED": "1"},
                pass_fds=[theirs.fileno()],
            )
            self._channel = ours.makefile("rwb")
        return self._process.pid

    def spawn(
        self, name: str, *, port: int, environment: Mapping[str, str], log: Path, share_port: bool = False
    ) -> Forked:
        """Fork a process of the platform; waits until the imports are done."""
        question = {"serve": name, "port": port, "share": share_port, "environment": dict(environment), "log": str(log)}
        with self._lock:
            self.open()
            pid = self._ask(question)
        return Forked(self, int(pid or 0))

    def status(self, pid: int) -> int | None:
        """Return the exit status of a child, None while it lives. Whoever is asked about after its end is forgotten."""
        with self._lock:
            return self._ask({"status": pid})

    def close(self) -> None:
        """End the nursery; children that still live get SIGTERM from the kernel."""
        if self._channel is not None:
            with contextlib.suppress(OSError):
                self._channel.close()
            self._channel = None
        if self._process is not None:
            children.end(self._process, soft=signal.SIGTERM, hard=signal.SIGKILL, grace_s=5.0)
            self._process = None

    def _ask(self, question: Mapping[str, object]) -> int | None:
        """Ask; -SIGTERM is the answer of a nursery that is no more, since then its children are not either."""
        if self._channel is None:
            return -signal.SIGTERM
        try:
            self._channel.write(json.dumps(question).encode() + b"\n")
            self._channel.flush()
            line = self._channel.readline()
        except OSError:
            line = b""
        answer: int | None = json.loads(line) if line else -signal.SIGTERM
        return answer


class Forked:
    """A child of the nursery, with the part of ``subprocess.Popen`` that the supervisor uses."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self._status: int | None = None if pid > 0 else pid or 1

    def poll(self) -> int | None:
        """Return the exit status, None while it lives."""
        if self._status is None:
            self._status = self._nursery.status(self.pid)
        return self._status

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit status."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(0.02)
        return status

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


def main() -> None:
    """Import what the processes need, then answer until the socket is closed."""
    launch.die_with(int(os.environ.pop(children.PARENT)), signal.SIGTERM)
    channel = socket.socket(fileno=int(os.environ.pop(SOCKET)))
    channel.set_inheritable(False)
    _import_all()
    gc.collect()
    gc.freeze()
    with channel, channel.makefile("rwb") as lines:
        for line in lines:
            question: dict[str, Any] = json.loads(line)
            answer = _fork(question, channel) if "serve" in question else _status(int(question["status"]))
            lines.write(json.dumps(answer).encode() + b"\n")
            lines.flush()


def _import_all() -> None:
    modules = [module_of(name) for name in os.environ.pop(NAMES).split(",") if name]
    for name in ("yimatong.cli.serve", "uvloop", "httptools", *modules):
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001 -- the process that needs it imports it again and reports the error as its own
            traceback.print_exc()


def _fork(question: Mapping[str, Any], channel: socket.socket) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        channel.close()
        os.environ.update(question["environment"])
        os.environ[children.PARENT] = str(os.getppid())
        _become(question["serve"], Path(question["log"]))
        status = _serve(question["serve"], question["port"], share_port=question["share"])
    except BaseException:  # noqa: BLE001 -- a forked child never returns into the nursery's loop
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _become(name: str, log: Path) -> None:
    os.setsid()
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, f"ymt-{name}".encode()[:15], 0, 0, 0)


def _serve(name: str, port: int, *, share_port: bool) -> int:
    from yimatong.cli.errors import say_error  # noqa: PLC0415 -- imported before the fork
    from yimatong.cli.serve import serve  # noqa: PLC0415
    from yimatong.kit.errors import PlatformError  # noqa: PLC0415

    try:
        serve(name, port=port, share_port=share_port)
    except (PlatformError, OSError) as error:
        say_error(error)
        return 1
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 1
    return 0


def _status(pid: int) -> int | None:
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return -signal.SIGTERM
    return os.waitstatus_to_exitcode(status) if done else None


if __name__ == "__main__":
    main()
