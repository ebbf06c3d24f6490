"""The pages: resident's card, cashier, console."""

from __future__ import annotations

from litestar import Litestar

from yimatong.apps.assembly import assemble
from yimatong.kit import web
from yimatong.kit.settings import Settings
from yimatong.web import routes


def build(settings: Settings) -> Litestar:
    """Return the pages as an ASGI application."""
    parts = assemble(settings)
    options = routes.app_options(settings=settings, db=parts.db, vault=parts.vault, registry=parts.channels)
    return web.build(routes.ROUTES, openapi=None, ready_checks=[parts.ready], on_shutdown=[parts.close], **options)
