"""The health interfaces of the person index: FHIR R4, SOAP, and HL7 v2 over MLLP beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.exceptions import HTTPException

from yimatong.access.asgi import Answer, ASGIApp, ASGIScope, problem_answer
from yimatong.access.callers import Directory
from yimatong.access.edge import require_permission
from yimatong.apps.assembly import assemble
from yimatong.apps.person_index import person_index
from yimatong.gateways.fhir import answering
from yimatong.gateways.fhir.capability import PREFIX
from yimatong.gateways.fhir.endpoints import ROUTES
from yimatong.gateways.health.door import BODY_BYTES_MAX, Door, Pace
from yimatong.gateways.hl7v2 import partners
from yimatong.gateways.hl7v2 import serving as mllp
from yimatong.gateways.hl7v2.handling import Handler
from yimatong.gateways.soap import endpoints as soap
from yimatong.kit import web
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import Settings, SettingsInvalid

_PUBLIC = ("/health/", f"{PREFIX}/metadata", soap.WSDL)
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def build(settings: Settings) -> ASGIApp:
    """Return the health interfaces as an ASGI application.

    Raises:
        SettingsInvalid: a caller without credentials in production, or where others than this machine listen.
    """
    _require_closed(settings)
    parts = assemble(settings)
    known, directory = person_index(parts), Directory(parts.db, parts.vault)
    application = web.build(
        [*ROUTES, *soap.ROUTES],
        openapi=None,
        ready_checks=[parts.ready],
        body_bytes_max=BODY_BYTES_MAX,
        guards=[require_permission],
        dependencies={
            "index": web.always(known),
            "fhir_base": web.always(settings.health_url + PREFIX),
            "soap_url": web.always(settings.health_url + soap.PATH),
        },
        exception_handlers={Exception: _on_error, HTTPException: _on_error},
        lifespan=[lambda _app: _messages(settings, Handler(known, directory, settings.hl7v2_partners))],
        on_shutdown=[parts.close],
    )
    return Door(
        cast("ASGIApp", application),
        directory=directory,
        public=lambda path: path.startswith(_PUBLIC),
        refuse=_refuse,
        pace=Pace(settings.health_requests_per_s),
        open_caller=settings.health_open_caller,
    )


@asynccontextmanager
async def _messages(settings: Settings, handler: Handler) -> AsyncIterator[None]:
    """Serve HL7 v2 while the application runs, where somebody may send it."""
    if not settings.hl7v2_partners:
        yield
        return
    place = urlsplit(settings.addresses.hl7v2)
    admits = partial(partners.may_connect, settings.hl7v2_partners)
    server = await mllp.serve(handler.handle, admits=admits, host=place.hostname or _LOOPBACK[0], port=place.port or 0)
    try:
        yield
    finally:
        server.close()


def _require_closed(settings: Settings) -> None:
    host = urlsplit(settings.addresses.health).hostname
    if settings.health_open_caller and (settings.production or host not in _LOOPBACK):
        raise SettingsInvalid(
            detail="health_open_caller 只能用于本机演示模式 (for demonstrations on this machine only)"
        )


def _on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if request.url.path.startswith(PREFIX):
        return answering.on_error(request, error)
    if request.url.path.startswith(soap.PREFIX):
        return soap.on_error(request, error)
    known = web.translate(error)
    web.log_failure(error, known, request_id=web.request_id_of(request), path=request.url.path)
    return web.answer_error(request, known)


def _refuse(scope: ASGIScope, error: PlatformError, request_id: str, headers: Any) -> Answer:
    if scope["path"].startswith(PREFIX):
        return answering.at_the_door(scope, error, headers)
    return problem_answer(error, request_id=request_id, headers=headers)
