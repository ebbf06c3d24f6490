"""The core: the native API that apps, institutions, terminals and fronts call.

Around the Litestar application stands the signed edge; before it, for the one hot path, a lean route: verification of
codes skips the framework and goes from the edge straight into the shared batch, through the same function as the
documented route.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
from litestar import Request, Router
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, Contact, License, SecurityScheme

from yimatong import __version__
from yimatong.access.asgi import ASGIApp, ASGIScope, Receive, Send
from yimatong.access.callers import Directory
from yimatong.access.edge import Call, SignedEdge, require_exact_body, require_permission
from yimatong.access.shared import reading, sharing
from yimatong.apps import parties
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards import routes as cards
from yimatong.cards.accounts.registration import Registrar
from yimatong.cards.codes.endpoints import VERIFY_PATH, verify
from yimatong.cards.codes.issuing import Issuer
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.schemas import CodeToVerify, VerifiedCode
from yimatong.cards.codes.verification import Verifier
from yimatong.cards.records import endpoints as records
from yimatong.care import routes as care
from yimatong.empi import routes as empi
from yimatong.empi.identifiers.crossing import Resolver
from yimatong.empi.registration import service as persons
from yimatong.kit import web
from yimatong.kit.db import Batch
from yimatong.kit.errors import InvalidInput
from yimatong.kit.settings import Settings
from yimatong.payments import routes as payments

VERIFY_ITEMS_MAX = 64
VERIFY_LANES = 2
_PUBLIC = ("/health/", "/openapi", "/notify/")


def is_public(path: str) -> bool:
    """Say whether a path is answered without a caller's signature."""
    return path.startswith(_PUBLIC)


def build(settings: Settings) -> ASGIApp:
    """Return the core as an ASGI application."""
    parts = assemble(settings)
    verifications: Batch[Item, VerifiedCode] = parts.db.batch(
        Verifier(parts.vault).work, items_max=VERIFY_ITEMS_MAX, lanes=VERIFY_LANES
    )
    application = web.build(
        [*empi.ROUTES, *cards.ROUTES, *payments.ROUTES, *care.ROUTES],
        openapi=openapi(),
        ready_checks=[parts.ready],
        guards=[require_permission, require_exact_body],
        dependencies={**_dependencies(parts, verifications), **_shared(parts)},
        on_shutdown=[parts.close],
    )
    return SignedEdge(
        LeanVerify(cast("ASGIApp", application), verifications),
        directory=Directory(parts.db, parts.vault),
        public=is_public,
        own_nonce=frozenset({VERIFY_PATH}),
    )


def _dependencies(parts: Parts, verifications: Batch[Item, VerifiedCode]) -> dict[str, Provide]:

    def provide_call(request: Request[Any, Any, Any]) -> Call:
        return Call(caller=request.scope["state"]["caller"], db=parts.db, vault=parts.vault, request=request)

    fixed = {
        "verifications": verifications,
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
    return {
        "call": Provide(provide_call, sync_to_thread=False),
        "filters": Provide(records.provide_filters, sync_to_thread=False),
        **{name: _always(value) for name, value in fixed.items()},
    }


def _shared(parts: Parts) -> dict[str, Provide]:
    """Return the shared paths: issues of codes; registration, where one reads and asks the device and one stores."""
    registrar = Registrar(parts.vault)
    write = sharing(registrar.register, lambda: parts.vault.sealer("answers"))
    issue = sharing(Issuer(parts.vault).issue, lambda: parts.vault.sealer("answers"))
    person = sharing(persons.Registrar(parts.vault).register, lambda: parts.vault.sealer("answers"))
    return {
        "person_registrations": _always(parts.db.batch(person)),
        "issues": _always(parts.db.batch(issue)),
        "preparations": _always(parts.db.batch(registrar.look_up)),
        "registrations": _always(parts.db.batch(write)),
        "resolutions": _always(parts.db.batch(reading(Resolver(parts.vault).resolve))),
    }


def _always(value: object) -> Provide:
    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


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


class LeanVerify:
    """The route of the hot path, between the edge and the framework."""

    def __init__(self, app: ASGIApp, verifications: Batch[Item, VerifiedCode]) -> None:
        """Keep the application behind and the batch."""
        self._app = app
        self._verifications = verifications
        self._decoder = msgspec.json.Decoder(CodeToVerify)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Verify a code; hand everything else on."""
        if scope["type"] != "http" or scope["path"] != VERIFY_PATH or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        state = scope["state"]
        state["caller"].require("codes:verify")
        try:
            wanted = self._decoder.decode(state["body"])
        except msgspec.DecodeError as error:
            raise InvalidInput(detail=str(error)[:300]) from error
        body = await verify(state, wanted, self._verifications)
        await send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, _length(body)]})
        await send({"type": "http.response.body", "body": body})


_HEADERS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", b"%d" % len(body)
