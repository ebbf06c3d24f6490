"""The pages: resident's card, cashier, console."""

from __future__ import annotations

from litestar import Litestar

from yimatong.apps.assembly import assemble
from yimatong.apps.worker import anchor_of
from yimatong.kit import web
from yimatong.kit.settings import Settings
from yimatong.payments.desk import Desk
from yimatong.web import routes


def build(settings: Settings) -> Litestar:
    """Return the pages as an ASGI application."""
    parts = assemble(settings)
    desk = Desk(
        db=parts.db,
        vault=parts.vault,
        channels=parts.channels,
        notify_base=settings.addresses.core,
        web_base=settings.addresses.web,
    )
    options = routes.app_options(
        settings=settings, db=parts.db, vault=parts.vault, desk=desk, audit_anchor=anchor_of(settings)
    )
    return web.build(routes.ROUTES, openapi=None, ready_checks=[parts.ready], on_shutdown=[parts.close], **options)
