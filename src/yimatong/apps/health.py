"""The health interfaces of the person index: FHIR R4."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException

from yimatong.access.asgi import Answer, ASGIApp, ASGIScope, problem_answer
from yimatong.access.callers import Directory
from yimatong.access.edge import require_permission
from yimatong.access.webhooks import Destinations
from yimatong.apps.assembly import Parts, assemble
from yimatong.gateways.fhir import answering
from yimatong.gateways.fhir.endpoints import PREFIX, ROUTES
from yimatong.gateways.health.core import Index
from yimatong.gateways.health.door import BODY_BYTES_MAX, Door, Pace
from yimatong.kit import web
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import Settings, SettingsInvalid

_PUBLIC = ("/health/", f"{PREFIX}/metadata")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def build(settings: Settings) -> ASGIApp:
    """Return the health interfaces as an ASGI application.

    Raises:
        SettingsInvalid: a caller without credentials in production, or where others than this machine listen.
    """
    _require_closed(settings)
    parts = assemble(settings)
    application = web.build(
        [*ROUTES],
        openapi=None,
        ready_checks=[parts.ready],
        body_bytes_max=BODY_BYTES_MAX,
        guards=[require_permission],
        dependencies={"index": _always(index(parts)), "fhir_base": _always(fhir_base(settings))},
        exception_handlers={Exception: _on_error, HTTPException: _on_error},
        on_shutdown=[parts.close],
    )
    return Door(
        cast("ASGIApp", application),
        directory=Directory(parts.db, parts.vault),
        public=lambda path: path.startswith(_PUBLIC),
        refuse=_refuse,
        pace=Pace(settings.health_requests_per_s),
        open_caller=settings.health_open_caller,
    )


def index(parts: Parts) -> Index:
    """Return the person index as the health interfaces use it."""
    settings = parts.settings
    return Index(
        parts.db,
        parts.vault,
        destinations=Destinations(production=settings.production, hosts=settings.webhook_hosts),
        subscribers_to_all=settings.subscribers_to_all,
    )


def fhir_base(settings: Settings) -> str:
    """Return ``[base]`` as callers outside reach it: links in answers begin with it."""
    return (settings.health_public_url or settings.addresses.health).rstrip("/") + PREFIX


def _require_closed(settings: Settings) -> None:
    host = urlsplit(settings.addresses.health).hostname
    if settings.health_open_caller and (settings.production or host not in _LOOPBACK):
        raise SettingsInvalid(
            detail="health_open_caller 只能用于本机演示模式 (for demonstrations on this machine only)"
        )


def _always(value: object) -> Provide:
    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


def _on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    if request.url.path.startswith(PREFIX):
        return answering.on_error(request, error)
    known = web.translate(error)
    web.log_failure(request, error, known)
    return web.answer_error(request, known)


def _refuse(scope: ASGIScope, error: PlatformError, request_id: str, headers: Any) -> Answer:
    if scope["path"].startswith(PREFIX):
        return answering.at_the_door(scope, error, request_id, headers)
    return problem_answer(error, request_id=request_id, headers=headers)
