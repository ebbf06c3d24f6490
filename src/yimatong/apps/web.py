"""The pages: resident's card, cashier, console."""

from __future__ import annotations

import secrets
from datetime import datetime

from litestar import Litestar

from yimatong.access.caller import Caller
from yimatong.apps.assembly import Parts, assemble
from yimatong.apps.counting import counting
from yimatong.apps.keys import ceremonies
from yimatong.cards.codec import Purpose
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.schemas import CodeToVerify, VerifiedCode
from yimatong.cards.codes.verification import Verifier
from yimatong.kit import web
from yimatong.kit.db import Batch
from yimatong.kit.ids import new_id
from yimatong.kit.settings import Settings
from yimatong.payments.desk import Desk
from yimatong.web import routes
from yimatong.web.page import ReadCode


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
        settings=settings,
        db=parts.db,
        vault=parts.vault,
        desk=desk,
        audit_anchor=parts.audit_anchor,
        read_code=code_reader(parts),
        ceremonies=ceremonies(parts),
    )
    return web.build(
        routes.ROUTES,
        openapi=None,
        ready_checks=[parts.ready],
        on_shutdown=[parts.close],
        lifespan=[counting(parts)],
        **options,
    )


def code_reader(parts: Parts) -> ReadCode:
    """Return the verification of a code that was scanned at a kiosk, by the same work as the native API's."""
    verifications: Batch[Item, VerifiedCode] = parts.db.batch(Verifier(parts.vault).work, items_max=16, lanes=1)

    async def read(caller: Caller, text: str, key: str, now: datetime) -> VerifiedCode:
        caller.require("codes:verify")
        item = Item(
            caller=caller,
            nonce=secrets.token_hex(16),
            idempotency_key=key,
            request_id=new_id("req"),
            wanted=CodeToVerify(code=text, purpose=Purpose.REGISTER),
            now=now,
        )
        return await verifications.submit(item)

    return read
