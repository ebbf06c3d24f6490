"""The core: the native API that apps, institutions, terminals and fronts call.

Around the Litestar application stands the signed edge; between the two, for the hot paths, the lean routes: issuing and
verifying codes, placing an order, starting its payment and taking the channel's notice skip the framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, cast

from litestar import Request, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme

from yimatong import __version__
from yimatong.access.asgi import ASGIApp
from yimatong.access.callers import Directory
from yimatong.access.edge import Call, SignedEdge, require_exact_body, require_permission
from yimatong.access.lean import Lean, LeanRoute
from yimatong.access.shared import reading, sharing
from yimatong.apps import parties
from yimatong.apps.assembly import Parts, assemble
from yimatong.apps.counting import counting
from yimatong.cards import routes as cards
from yimatong.cards.accounts.registration import Registrar
from yimatong.cards.codes.endpoints import VERIFY_PATH, issue_code, verify_code
from yimatong.cards.codes.issuing import Issuer
from yimatong.cards.codes.verification import Verifier
from yimatong.cards.records import endpoints as records
from yimatong.care import routes as care
from yimatong.empi import routes as empi
from yimatong.empi.identifiers.crossing import Resolver
from yimatong.empi.registration import service as persons
from yimatong.kit import web
from yimatong.kit.settings import Settings
from yimatong.kit.web import Arrival
from yimatong.payments import routes as payments
from yimatong.payments.cashier import sharing as starting
from yimatong.payments.cashier.endpoints import start_attempt
from yimatong.payments.notices import sharing as settling
from yimatong.payments.notices.endpoints import take_notice
from yimatong.payments.orders.endpoints import place_order
from yimatong.payments.orders.placing import Placer

VERIFY_ITEMS_MAX = 64
VERIFY_LANES = 2
_PUBLIC = ("/health/", "/openapi", "/notify/")
_LEAN = (verify_code, issue_code, place_order, start_attempt, take_notice)
"""The operations of every visit and of every payment."""


def is_public(path: str) -> bool:
    """Say whether a path is answered without a caller's signature."""
    return path.startswith(_PUBLIC)


def build(settings: Settings) -> ASGIApp:
    """Return the core as an ASGI application."""
    parts = assemble(settings)
    given = {**_fixed(parts), **_shared(parts)}
    application = web.build(
        [*empi.ROUTES, *cards.ROUTES, *payments.ROUTES, *care.ROUTES],
        openapi=openapi(),
        ready_checks=[parts.ready],
        guards=[require_permission, require_exact_body],
        dependencies=_dependencies(parts, given),
        on_shutdown=[parts.close],
        lifespan=[counting(parts)],
    )
    lean = [LeanRoute(route, given) for route in _LEAN]
    return SignedEdge(
        Lean(cast("ASGIApp", application), lean, db=parts.db, vault=parts.vault),
        directory=Directory(parts.db, parts.vault),
        public=is_public,
        own_nonce=frozenset({VERIFY_PATH}),
    )


def _dependencies(parts: Parts, given: Mapping[str, object]) -> dict[str, Provide]:

    def provide_call(request: Request[Any, Any, Any]) -> Call:
        return Call.of(request, db=parts.db, vault=parts.vault)

    return {
        "call": Provide(provide_call, sync_to_thread=False),
        "arrival": Provide(Arrival.of, sync_to_thread=False),
        "filters": Provide(records.provide_filters, sync_to_thread=False),
        **{name: web.always(value) for name, value in given.items()},
    }


def _fixed(parts: Parts) -> dict[str, object]:
    """Return what never changes while the process lives, by the name that endpoints ask for."""
    return {
        "bindings": parties.bindings(parts.db, parts.vault, parts.outbound, parts.settings),
        "real_name": parties.real_name(parts.outbound, parts.settings),
        "web_url": parts.settings.addresses.web,
        "core_url": parts.settings.addresses.core,
        "label_serial_in_code": parts.settings.label_serial_in_code,
        "family_members_max": parts.settings.family_members_max,
        "statistics_min_cell": parts.settings.statistics_min_cell,
        "destinations": parts.destinations,
        "subscribers_to_all": parts.settings.subscribers_to_all,
        "channels": parts.channels,
        "db": parts.db,
        "vault": parts.vault,
        "desk": parts.desk,
        "archive": parts.archive,
    }


def _shared(parts: Parts) -> dict[str, object]:
    """Return the paths whose concurrent requests share transactions, by the name that endpoints ask for."""
    registrar, answers = Registrar(parts.vault), partial(parts.vault.sealer, "answers")
    return {
        "verifications": parts.db.batch(Verifier(parts.vault).work, items_max=VERIFY_ITEMS_MAX, lanes=VERIFY_LANES),
        "issues": parts.db.batch(sharing(Issuer(parts.vault).issue, answers)),
        "placements": parts.db.batch(sharing(Placer(parts.desk).place, answers), lanes=1),
        "starts": starting.shared(parts.desk, parts.db),
        "settlements": settling.shared(parts.db, parts.vault),
        "person_registrations": parts.db.batch(sharing(persons.Registrar(parts.vault).register, answers)),
        "preparations": parts.db.batch(registrar.look_up),
        "registrations": parts.db.batch(sharing(registrar.register, answers)),
        "resolutions": parts.db.batch(reading(Resolver(parts.vault).resolve)),
    }


def openapi() -> OpenAPIConfig:
    """Return the description of the native API; the document is served at ``/openapi/openapi.json``."""
    return OpenAPIConfig(
        title="yimatong 一码通",
        version=__version__,
        use_handler_docstrings=True,
        summary="Electronic health card platform: cards, codes, payments",
        contact=Contact(name="yimatong"),
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        openapi_router=Router(path="/openapi", route_handlers=[], opt={"public": True}, include_in_schema=False),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
        components=Components(
            security_schemes={
                "YMT-HMAC-SM3": SecurityScheme(
                    type="apiKey",
                    name="Authorization",
                    security_scheme_in="header",
                    description="YMT-HMAC-SM3 caller_id=...,timestamp=...,nonce=...,signature=...",
                )
            }
        ),
        security=[{"YMT-HMAC-SM3": []}],
    )
