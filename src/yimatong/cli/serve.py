"""Run one process of the platform: an ASGI application under uvicorn, or the worker beside its health page.

``yimatong.apps.<process>`` is imported here and nowhere else: ``build(settings)`` returns the application (the sandbox
has ``build_control(settings)`` besides, for its control port), ``run(settings)`` is the worker's coroutine.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import importlib.util
import inspect
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from yimatong.cli import children, ports
from yimatong.cli.errors import PartMissing, UnknownName
from yimatong.cli.processes import PROCESSES, module_of
from yimatong.kit import log
from yimatong.kit import settings as kit_settings
from yimatong.kit.listeners import listener
from yimatong.kit.log import KitLog
from yimatong.kit.settings import Settings

_LEAVE_S = 8
"""Within the supervisor's patience of ten seconds."""

Message = MutableMapping[str, Any]


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling: several of them share a process and its signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(process: str, *, port: int | None, share_port: bool = False) -> None:
    """Run a process until SIGTERM or SIGINT; ``share_port`` lets several of its kind listen on the same port (Linux).

    Raises:
        UnknownName, PartMissing: no such process.
        PortTaken: its port is in use.
        SettingsInvalid: no settings file.
    """
    children.follow_parent()
    if process not in PROCESSES:
        raise UnknownName(name=process, kind_zh="进程", kind_en="process", known=", ".join(PROCESSES))
    settings = kit_settings.load()
    log.set_up(process=process)
    if importlib.util.find_spec(module_of(process)) is None:
        raise PartMissing(part=process)
    module = importlib.import_module(module_of(process))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        KitLog.STARTED.emit()
        if process == "worker":
            runner.run(_work(module, settings, port))
        else:
            runner.run(_serve(process, module, settings, port, share_port=share_port))
        KitLog.STOPPED.emit()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.new_event_loop
    import uvloop  # noqa: PLC0415 -- not to be had on Windows

    return uvloop.new_event_loop


async def _serve(process: str, module: Any, settings: Settings, port: int | None, *, share_port: bool) -> None:
    host, usual = _listening(settings, process)
    pairs = [_prepared(await _built(module.build, settings), host, port or usual, share_port=share_port)]
    if hasattr(module, "build_control"):
        pairs.append(
            _prepared(await _built(module.build_control, settings), *_listening(settings, f"{process}-control"))
        )
    await _run([server.serve(sockets=[listener]) for server, listener in pairs], [server for server, _ in pairs])


async def _work(module: Any, settings: Settings, port: int | None) -> None:
    inner, listener = _prepared(_inner_page, ports.HOST, port or ports.ports(ports.BASE)["worker"])
    worker = asyncio.ensure_future(module.run(settings))
    worker.add_done_callback(lambda _done: setattr(inner, "should_exit", True))
    await _run([inner.serve(sockets=[listener])], [inner])
    worker.cancel()
    await asyncio.wait({worker}, timeout=_LEAVE_S)
    if not worker.done():  # it does not let itself be cancelled: what it did not commit is done again later
        KitLog.STOPPED.emit(forced=True)
        os._exit(1)
    with contextlib.suppress(asyncio.CancelledError):
        worker.result()


async def _built(build: Callable[[Settings], Any], settings: Settings) -> Any:
    made = build(settings)
    return await made if inspect.isawaitable(made) else made


def _listening(settings: Settings, process: str) -> tuple[str, int]:
    address = urlsplit(getattr(settings.addresses, process.replace("-", "_")))
    return address.hostname or ports.HOST, address.port or 80


def _prepared(application: Any, host: str, port: int, *, share_port: bool = False) -> tuple[_Server, socket.socket]:
    try:
        own = listener(host, port, share_port=share_port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ports.taken(port) from error
        raise
    config = uvicorn.Config(
        application,
        loop="none",
        http="httptools",
        lifespan="auto",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_LEAVE_S,
        timeout_keep_alive=75,
    )
    return _Server(config), own


async def _run(work: list[Awaitable[None]], servers: list[_Server]) -> None:
    loop = asyncio.get_running_loop()

    def leave() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, leave)
    await asyncio.gather(*work)
    if not all(server.started for server in servers):  # uvicorn logs the failed start and returns
        sys.exit(3)


async def _inner_page(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """Answer health and metrics on the worker's inner port."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
        return
    import prometheus_client  # noqa: PLC0415 -- the other processes bring their own

    bodies = {"/health/live": b"ok", "/health/ready": b"ok", "/metrics": b""}
    known = scope["path"] in bodies
    body = prometheus_client.generate_latest() if scope["path"] == "/metrics" else bodies.get(scope["path"], b"")
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if known else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})
