"""Child processes that never outlive their parent, and that are recognised again after it was killed.

On Linux the kernel signals a child when the *thread* that made it ends; therefore one thread that lives as long as
this process makes all of them. A process is named by its number and the moment it was born: a number is used again,
both together are not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple, Protocol

import psutil  # type: ignore[import-untyped]  # no stubs in the package

from yimatong.cli import launch

PARENT = "YMT_PARENT"
"""Environment variable in which a child of ours finds the number of its parent."""

_maker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="children")


class User(NamedTuple):
    """A system user that a child runs as."""

    uid: int
    gid: int


class Child(Protocol):
    """A child process: ``subprocess.Popen``, or one that the nursery forked."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return the exit status, None while it lives."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end."""

    def send_signal(self, sig: int) -> None:
        """Send a signal unless it has ended."""

    def kill(self) -> None:
        """Send SIGKILL."""


def spawn(
    command: Sequence[str],
    *,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own (Ctrl-C in the terminal reaches only us) with its output in ``log``."""

    def make() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {}), PARENT: str(os.getpid())},
            cwd=cwd,
            start_new_session=True,
            pass_fds=pass_fds,
        )

    return _maker.submit(make).result()


def spawn_as(
    user: User | None, command: Sequence[str], *, log: IO[bytes], death: signal.Signals, cwd: Path
) -> subprocess.Popen[bytes]:
    """Start a foreign program as ``user`` that receives the signal ``death`` when this process ends."""
    uid, gid = user or (-1, -1)
    wrapper = [sys.executable, "-I", "-S", launch.__file__, str(os.getpid()), str(int(death)), str(uid), str(gid)]
    return spawn([*wrapper, *command], log=log, cwd=cwd)


def follow_parent() -> None:
    """End this process when the one that started it ends; called first thing in a child of ours."""
    parent = int(os.environ.pop(PARENT, "0"))
    if not parent:
        return
    launch.die_with(parent, signal.SIGTERM)
    if sys.platform != "linux":
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent watch").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os.kill(os.getpid(), signal.SIGTERM)


def birth(pid: int) -> str:
    """Return when a process was born, exactly, or an empty text when there is none.

    On Linux it is the boot's id and the clock ticks since, which no change of the wall clock moves.
    """
    try:
        return _birth_on_linux(pid) if sys.platform == "linux" else repr(psutil.Process(pid).create_time())
    except (OSError, psutil.Error):
        return ""


def _birth_on_linux(pid: int) -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] == "Z" else f"{boot}:{fields[19]}"


class Register:
    """The file that keeps which processes belong to some data: name, number, birth."""

    def __init__(self, path: Path) -> None:
        """Name the file; it need not exist."""
        self._path = path
        self._lock = threading.Lock()

    def entries(self) -> dict[str, tuple[int, str]]:
        """Return what is noted; a file cut short by a crash counts as empty."""
        try:
            noted = json.loads(self._path.read_text())
            return {str(name): (int(pid), str(born)) for name, (pid, born) in noted.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    def living(self) -> dict[str, int]:
        """Return the noted processes that still live: the number and the birth both fit."""
        return {name: pid for name, (pid, born) in self.entries().items() if born and birth(pid) == born}

    def add(self, name: str, pid: int) -> None:
        """Note a process under a name."""
        with self._lock:
            self._write({**self.entries(), name: (pid, birth(pid))})

    def remove(self, name: str) -> None:
        """Forget a name."""
        with self._lock:
            self._write({key: value for key, value in self.entries().items() if key != name})

    def end_leftovers(self, *, grace_s: float = 10.0) -> list[str]:
        """End the noted processes that still live, the newest first; return their names.

        A process whose birth differs has only inherited the number: it is somebody else's and left alone. The database
        is asked to shut down (SIGINT, then SIGQUIT) and never killed outright.
        """
        ended = []
        for name, pid in reversed(self.living().items()):
            born = self.entries()[name][1]
            soft, hard = (signal.SIGINT, signal.SIGQUIT) if name == "postgres" else (signal.SIGTERM, signal.SIGKILL)
            for number in (soft, hard):
                _send(pid, born, number)
                if _gone(pid, born, within_s=grace_s):
                    break
            ended.append(name)
        self._path.unlink(missing_ok=True)
        return ended

    def _write(self, entries: Mapping[str, tuple[int, str]]) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps(entries, indent=1))
        draft.replace(self._path)


def _send(pid: int, born: str, number: int) -> None:
    try:
        if sys.platform != "linux":
            if birth(pid) == born:
                os.kill(pid, number)
            return
        handle = os.pidfd_open(pid)  # holds the process, so that its number cannot change hands after the comparison
        try:
            if birth(pid) == born:
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)
    except ProcessLookupError:
        return


def _gone(pid: int, born: str, *, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while birth(pid) == born:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def end(child: Child, *, soft: signal.Signals, hard: signal.Signals, grace_s: float) -> int:
    """End a child of this process and collect it; return its exit status."""
    if child.poll() is None:
        child.send_signal(soft)
        try:
            return child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.send_signal(hard)
    return child.wait()
