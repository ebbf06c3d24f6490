"""The notice routes alone, as the core mounts them."""

from __future__ import annotations

from litestar import Litestar
from litestar.di import Provide

from yimatong.kit import web
from yimatong.payments.desk import Desk
from yimatong.payments.notices.endpoints import ROUTES
from yimatong.payments.notices.sharing import shared


def notice_routes(desk: Desk) -> Litestar:
    """Return an application that takes notices for a desk, and closes its database when it ends."""
    given = {"desk": desk, "settlements": shared(desk.db, desk.vault)}
    dependencies = {name: web.always(value) for name, value in given.items()}
    return web.build(
        ROUTES,
        openapi=None,
        ready_checks=[],
        dependencies=dependencies | {"arrival": Provide(web.Arrival.of, sync_to_thread=False)},
        on_shutdown=[desk.db.close],
    )
