"""The outside world as two ASGI applications over one state: the wire (8490) and the control port (8491)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.types import ASGIApp

from yimatong.sandbox import his, realname
from yimatong.sandbox.his import HospitalError, Hospitals
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat import control, pages, wire
from yimatong.sandbox.wechat.notify import Notifier
from yimatong.sandbox.wechat.rows import WireError
from yimatong.sandbox.wechat.state import WeChat

PORT = 8490
CONTROL_PORT = 8491


class World:
    """Every simulated party over one journal in ``directory``."""

    def __init__(self, directory: Path) -> None:
        """Replay the journal. One process, one directory.

        Raises:
            JournalBroken: see ``sandbox.store``.
        """
        self.store = Store(directory)
        self.wechat = WeChat(self.store)
        self.his = Hospitals(self.store)

    @property
    def state(self) -> State:
        """Return what handlers find in ``request.app.state``."""
        return State({"wechat": self.wechat, "his": self.his})


@get("/health/live")
async def _live() -> dict[str, str]:
    return {"status": "ok"}


def build(world: World) -> ASGIApp:
    """Return the public wire; while it runs, notices are delivered and refunds settle."""

    @contextlib.asynccontextmanager
    async def background(_app: Litestar) -> AsyncIterator[None]:
        task = asyncio.create_task(Notifier(world.wechat).run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await world.store.flush()

    handlers = [_live, *wire.HANDLERS, *pages.HANDLERS, *his.HANDLERS, *realname.HANDLERS]
    return _app(handlers, world, lifespan=[background])


def build_control(world: World) -> ASGIApp:
    """Return the control port over the same world. Never exposed beyond the machine."""
    return _app([_live, *control.HANDLERS, *his.CONTROL], world)


async def serve(
    directory: Path, *, host: str = "127.0.0.1", port: int = PORT, control_port: int = CONTROL_PORT
) -> None:
    """Serve both ports until a signal ends the process. The control port listens on loopback only."""
    world = World(directory)
    servers = [
        _server(build(world), host, port),
        _server(build_control(world), "127.0.0.1", control_port),
    ]
    try:
        await asyncio.gather(*(server.serve() for server in servers))
    finally:
        world.store.close()


def _server(app: ASGIApp, host: str, port: int) -> uvicorn.Server:
    return uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=3))


def _app(handlers: list[Any], world: World, lifespan: list[Any] | None = None) -> Litestar:
    return Litestar(
        handlers,
        state=world.state,
        openapi_config=None,
        logging_config=None,
        lifespan=lifespan,
        exception_handlers={WireError: _wire_error, HospitalError: _hospital_error},
    )


def _wire_error(_request: Request[Any, Any, Any], error: WireError) -> Response[dict[str, str]]:
    return Response({"code": error.code, "message": error.message}, status_code=error.status)


def _hospital_error(_request: Request[Any, Any, Any], error: HospitalError) -> Response[dict[str, str]]:
    return Response({"message": error.message}, status_code=error.status)
