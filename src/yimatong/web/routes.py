"""All routes of the pages, and what their application needs; ``apps`` assembles them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from litestar.datastructures import MutableScopeHeaders, State
from litestar.di import Provide
from litestar.types import Message, Scope

from yimatong.access.callers import Directory
from yimatong.access.ceremony.service import Ceremonies
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.pages import Pages, Texts
from yimatong.kit.settings import Settings
from yimatong.payments.desk import Desk
from yimatong.web import assets, charts
from yimatong.web.cashier import pages as cashier
from yimatong.web.citizen import pages as citizen
from yimatong.web.console import pages as console
from yimatong.web.failures import EXCEPTION_HANDLERS
from yimatong.web.kiosk import pages as kiosk
from yimatong.web.page import Parts, ReadCode, provide_page

ROUTES: Final = [*assets.ROUTES, *citizen.ROUTES, *cashier.ROUTES, *kiosk.ROUTES, *console.ROUTES]

_HERE: Final = Path(__file__).parent
_SETS: Final = {"shared": _HERE} | {name: _HERE / name for name in ("citizen", "cashier", "kiosk", "console")}

_HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action {forms}; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
}
"""``{forms}``: where forms may go, which is here; the cashier's page that leaves for a channel names its address."""
_YEAR_S = 365 * 24 * 3600


def make_pages() -> Pages:
    """Return the renderer with every template and text of the room."""
    own = [folder / "texts.json" for folder in _SETS.values()]
    texts = Texts([*own, *(_SETS["console"] / f"{part}_texts.json" for part in ("index", "rules", "channels"))])
    folders = {name: folder / "templates" for name, folder in _SETS.items()}
    return Pages(folders, texts, asset=assets.asset, bar=charts.bar, text_or=texts.text_or)


def app_options(
    *,
    settings: Settings,
    db: Database,
    vault: Vault,
    desk: Desk | None = None,
    audit_anchor: Path | None = None,
    read_code: ReadCode | None = None,
    ceremonies: Ceremonies | None = None,
) -> dict[str, Any]:
    """Return the options of ``kit.web.build`` for these pages; without a ``desk`` the cashier takes no payment."""
    parts = Parts(
        settings=settings,
        db=db,
        vault=vault,
        pages=make_pages(),
        desk=desk,
        audit_anchor=audit_anchor,
        directory=Directory(db, vault),
        read_code=read_code,
    )

    async def protect(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        headers = MutableScopeHeaders.from_message(message)
        state = scope.get("state", {})
        for name, value in _HEADERS.items():
            headers[name] = value.replace("{forms}", state.get("form_action", "'self'"))
        headers.setdefault("cache-control", "no-store")
        request_id = state.get("request_id")
        if request_id:
            headers["ymt-request-id"] = str(request_id)
        if parts.secure:
            headers["strict-transport-security"] = f"max-age={_YEAR_S}"

    return {
        "dependencies": {
            "parts": Provide(lambda: parts, sync_to_thread=False),
            "page": Provide(provide_page),
            "ceremonies": Provide(lambda: ceremonies, sync_to_thread=False),
        },
        "exception_handlers": EXCEPTION_HANDLERS,
        "before_send": [protect],
        "state": State({"parts": parts}),
    }
