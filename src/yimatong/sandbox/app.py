"""The outside world as two ASGI applications over one state: the wire (8490) and the control port (8491).

Both are served by one process and one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.types import ASGIApp

from yimatong.sandbox import bank, his, insurer, national, realname, signed
from yimatong.sandbox.bank import Bank
from yimatong.sandbox.his import HospitalError, Hospitals
from yimatong.sandbox.insurer import Insurer
from yimatong.sandbox.signed import Parties, PartyError
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat import control, pages, wire
from yimatong.sandbox.wechat.notify import Notifier
from yimatong.sandbox.wechat.rows import WireError
from yimatong.sandbox.wechat.state import WeChat


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
        self.parties = Parties()
        self.bank = Bank(self.store)
        self.insurer = Insurer(self.store)
        self.national = national.Index(self.store)

    @property
    def state(self) -> State:
        """Return what handlers find in ``request.app.state``."""
        return State(
            {
                "wechat": self.wechat,
                "his": self.his,
                "parties": self.parties,
                "bank": self.bank,
                "insurer": self.insurer,
                "national": self.national,
            }
        )


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

    handlers = [_live, *wire.HANDLERS, *pages.HANDLERS, *his.HANDLERS]
    handlers += [*realname.HANDLERS, *bank.HANDLERS, *insurer.HANDLERS, *national.HANDLERS]
    return _app(handlers, world, lifespan=[background])


def build_control(world: World) -> ASGIApp:
    """Return the control port over the same world. Never exposed beyond the machine."""
    handlers = [_live, *control.HANDLERS, *his.CONTROL, *signed.CONTROL]
    return _app([*handlers, *bank.CONTROL, *insurer.CONTROL, *national.CONTROL], world)


def _app(handlers: list[Any], world: World, lifespan: list[Any] | None = None) -> Litestar:
    return Litestar(
        handlers,
        state=world.state,
        openapi_config=None,
        logging_config=None,
        lifespan=lifespan,
        exception_handlers={WireError: _wire_error, HospitalError: _hospital_error, PartyError: _party_error},
    )


def _wire_error(_request: Request[Any, Any, Any], error: WireError) -> Response[dict[str, str]]:
    return Response({"code": error.code, "message": error.message}, status_code=error.status)


def _hospital_error(_request: Request[Any, Any, Any], error: HospitalError) -> Response[dict[str, str]]:
    return Response({"message": error.message}, status_code=error.status)


def _party_error(_request: Request[Any, Any, Any], error: PartyError) -> Response[dict[str, str]]:
    return Response({"message": error.message}, status_code=error.status, headers=error.headers)
