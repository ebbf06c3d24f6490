"""Which port each process listens on, and who holds one that is taken."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
from collections.abc import Iterable

import psutil  # type: ignore[import-untyped]  # no stubs in the package

from yimatong.cli.errors import PortTaken
from yimatong.kit.settings import Addresses

BASE = 8400
OFFSETS = {
    "web": 0,
    "core": 10,
    "institution-front": 20,
    "internet-front": 30,
    "worker": 40,
    "health": 50,
    "hl7v2": 51,
    "sandbox": 90,
    "sandbox-control": 91,
}
HOST = "127.0.0.1"
SCHEMES = {"hl7v2": "mllp"}
"""Where it is not HTTP."""


def ports(base: int) -> dict[str, int]:
    """Return the port of every listener for a base."""
    return {name: base + offset for name, offset in OFFSETS.items()}


def addresses(base: int) -> Addresses:
    """Return the addresses by which the processes find each other."""
    known = {
        name.replace("-", "_"): f"{SCHEMES.get(name, 'http')}://{HOST}:{port}" for name, port in ports(base).items()
    }
    known.pop("worker")
    return Addresses(**known)


def is_free(port: int, *, host: str = HOST) -> bool:
    """Say whether a port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def taken(port: int) -> PortTaken:
    """Return the refusal for a taken port, naming the process that holds it when the system tells."""
    holder_zh, holder_en = "其他程序", "another program"
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                holder_zh, holder_en = f"进程 {name}（pid {connection.pid}）", f"{name} (pid {connection.pid})"
    return PortTaken(port=port, holder_zh=holder_zh, holder_en=holder_en)


def require_free(wanted: Iterable[int]) -> None:
    """Check several ports.

    Raises:
        PortTaken: one of them is in use.
    """
    for port in wanted:
        if not is_free(port):
            raise taken(port)


def free_base() -> int:
    """Return a base, below the range from which the system hands out ports, all of whose ports are free now."""
    while True:
        base = 10_000 + 100 * ((secrets.randbelow(220) + os.getpid()) % 220)
        if all(is_free(port) for port in ports(base).values()):
            return base
