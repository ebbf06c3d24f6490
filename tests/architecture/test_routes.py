"""Every route of the core and of the pages names its permission, or is public for a reason that is written here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from litestar import get

from yimatong.access import caller, operators
from yimatong.cards import routes as cards
from yimatong.care import routes as care
from yimatong.empi import routes as empi
from yimatong.gateways.fhir import endpoints as fhir
from yimatong.gateways.front import INSTITUTION_PATHS, INTERNET_PATHS
from yimatong.kit import web as kit_web
from yimatong.payments import routes as payments
from yimatong.web import routes as pages

PUBLIC = {
    "/health/live": "supervisors ask without a key",
    "/health/ready": "supervisors ask without a key",
    "/static/{name:path}": "style and scripts of the pages",
    "/notify/{channel:str}/{account_id:str}": "the channel's own signature over the raw body is checked",
    "/card/open/{link:str}": "the one-time link is the proof",
    "/cashier/open/{link:str}": "the one-time link is the proof",
    "/cashier/elsewhere/{link:str}": "the one-time link is the proof, as of the cashier's own",
    "/cashier/return": "a channel's page sends the browser back without our cookies; it only leads to the cashier",
    "/kiosk/open/{link:str}": "the one-time link is the proof",
    "/": "leads to the login",
    "/console/login": "the login itself",
    "/fhir/metadata": "what is served is told before credentials are asked for (R4 3.1.0.10)",
}
PAGE_PERMISSIONS = {
    "card:open",
    "card:show",
    "card:issue",
    "cashier:open",
    "cashier:show",
    "cashier:pay",
    "kiosk:open",
    "kiosk:show",
    "kiosk:apply",
    "kiosk:print",
    "kiosk:pay",
    "console:login",
}
"""Of a resident's page: whoever came by the link has them all."""

KNOWN = frozenset[str]().union(*caller.PERMISSIONS.values(), *operators.PERMISSIONS.values()) | PAGE_PERMISSIONS
PERSONAL = ("/api/v1/accounts/{vuid:str}", "/api/v1/orders/{order_no:str}", "/api/v1/bills/{bill_no:str}", "/card")


def handlers(routes: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield every path with its handler."""
    for handler in routes:
        for path in sorted(handler.paths):
            yield path, handler


CORE = list(
    handlers([kit_web.live, kit_web.ready_route([]), *empi.ROUTES, *cards.ROUTES, *payments.ROUTES, *care.ROUTES])
)
PAGES = list(handlers(pages.ROUTES))
HEALTH = list(handlers(fhir.ROUTES))


def faults(path: str, opt: dict[str, Any]) -> list[str]:
    found = []
    if opt.get("public"):
        if path not in PUBLIC:
            found.append("public without a reason")
    elif opt.get("permission") not in KNOWN:
        found.append(f"permission {opt.get('permission')}")
    if opt.get("reads", "personal") != "personal":
        found.append(f"reads {opt['reads']}")
    return found


@pytest.mark.parametrize(
    ("path", "handler"), [*CORE, *PAGES, *HEALTH], ids=lambda part: part if isinstance(part, str) else ""
)
def test_route_names_its_permission(path: str, handler: Any) -> None:
    assert faults(path, handler.opt) == []


def test_every_page_behind_a_login_names_its_session() -> None:
    for path, handler in PAGES:
        if not handler.opt.get("public"):
            assert handler.opt.get("session") in ("card", "cashier", "kiosk", "console"), path


def test_every_public_path_is_served() -> None:
    assert {path for path, handler in [*CORE, *PAGES, *HEALTH] if handler.opt.get("public")} == set(PUBLIC)


def test_routes_that_show_a_resident_say_so() -> None:
    shown = {path for path, handler in [*CORE, *PAGES, *HEALTH] if handler.opt.get("reads") == "personal"}
    assert shown >= set(PERSONAL)


def test_planted_routes_are_found() -> None:
    @get("/silent", sync_to_thread=False)
    def silent() -> None: ...

    @get("/unknown", permission="cards:everything", sync_to_thread=False)
    def unknown() -> None: ...

    @get("/open", opt={"public": True}, sync_to_thread=False)
    def opened() -> None: ...

    for path, handler in handlers([silent, unknown, opened]):
        assert faults(path, handler.opt), path


@pytest.mark.parametrize(
    ("paths", "kinds"), [(INSTITUTION_PATHS, ("institution", "terminal")), (INTERNET_PATHS, ("app",))]
)
def test_fronts_serve_what_their_callers_may_do(paths: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    allowed = frozenset[str]().union(*(caller.PERMISSIONS[kind] for kind in kinds))
    wanted = {path for path, handler in CORE if handler.opt.get("permission") in allowed}
    unserved = {path for path in wanted if not any(path == base or path.startswith(base + "/") for base in paths)}
    assert not unserved
    idle = {base for base in paths if not any(path == base or path.startswith(base + "/") for path in wanted)}
    assert not idle
