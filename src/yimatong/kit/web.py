"""What every HTTP process of the platform shares: problem details, health, limits, OpenAPI and assembly.

Errors leave as RFC 9457 ``application/problem+json`` with ``code``, a text in the caller's language, ``request_id`` and
``retryable``. Nothing that was not anticipated tells its cause to the caller; the log has it under the request id.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Self

import msgspec
from litestar import Litestar, MediaType, Request, Response, get
from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)
from litestar.openapi.config import OpenAPIConfig
from litestar.types import ControllerRouterHandler, ExceptionHandlersMap

from yimatong.kit.errors import (
    BodyTooLarge,
    DatabaseUnavailable,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    UnexpectedFailure,
    UnsupportedMediaType,
)
from yimatong.kit.ids import new_id
from yimatong.kit.log import KitLog

PROBLEM_JSON = "application/problem+json"
_BODY_BYTES_MAX = 64 * 1024
_BY_STATUS: dict[int, Callable[[], PlatformError]] = {
    413: lambda: BodyTooLarge(limit_bytes=_BODY_BYTES_MAX),
    415: UnsupportedMediaType,
}
_TRANSLATED: tuple[tuple[type[Exception], type[PlatformError]], ...] = (
    (NotFoundException, NotFound),
    (MethodNotAllowedException, MethodNotAllowed),
)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """RFC 9457 problem details as every operation answers them."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    retryable: bool


class Arrival:
    """A request that nobody signed for us: its headers by lower-case name, and its body, which is read when asked."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]], body: Callable[[], Awaitable[bytes]]) -> None:
        """Take the headers of the scope; of a name that comes twice the last counts."""
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
        self.body = body

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> Self:
        """Return that of a request of the framework."""
        return cls(request.scope["headers"], request.body)


def problem(error: PlatformError, *, request_id: str, language: str) -> Problem:
    """Describe an error for a caller who reads ``language`` (``zh`` or ``en``)."""
    return Problem(
        type=f"urn:yimatong:error:{error.code}",
        title=type(error).__name__,
        status=error.status,
        code=error.code,
        detail=error.text(language),
        request_id=request_id,
        retryable=error.retryable,
    )


def language_of(accept_language: str) -> str:
    """Return ``en`` when the header asks for English first, else ``zh``."""
    return "en" if accept_language.strip().lower().startswith("en") else "zh"


def request_id_of(request: Request[Any, Any, Any]) -> str:
    """Return the id of a request: the one that the edge gave it, or a new one."""
    state = request.scope.setdefault("state", {})
    if "request_id" not in state:
        state["request_id"] = new_id("req")
    return str(state["request_id"])


def answer_error(request: Request[Any, Any, Any], error: PlatformError) -> Response[bytes]:
    """Return the problem document of an anticipated error."""
    language = language_of(request.headers.get("accept-language", ""))
    document = problem(error, request_id=request_id_of(request), language=language)
    headers = {"content-language": "en" if language == "en" else "zh-CN", "cache-control": "no-store"}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return Response(msgspec.json.encode(document), status_code=error.status, media_type=PROBLEM_JSON, headers=headers)


def translate(error: Exception) -> PlatformError:
    """Return the anticipated error that stands for an exception of the framework."""
    if isinstance(error, PlatformError):
        return error
    for kind, answer in _TRANSLATED:
        if isinstance(error, kind):
            return answer()
    if isinstance(error, ValidationException):
        return InvalidInput(detail=_validation_detail(error))
    if isinstance(error, HTTPException) and error.status_code in _BY_STATUS:
        return _BY_STATUS[error.status_code]()
    if isinstance(error, ClientException | msgspec.DecodeError | UnicodeError | RecursionError):
        return InvalidInput(detail=_safe(getattr(error, "detail", "") or str(error)))
    return UnexpectedFailure(audit=repr(error))


def _validation_detail(error: ValidationException) -> str:
    extra = error.extra if isinstance(error.extra, list) else []
    parts = [f"{item.get('key', 'body')}: {item.get('message', '')}" for item in extra if isinstance(item, dict)]
    return _safe("; ".join(parts) or error.detail)


def _safe(detail: str) -> str:
    """Keep a detail short and printable; validators name fields and types, never the value."""
    return "".join(char for char in detail if char.isprintable())[:300]


def log_failure(error: Exception, known: PlatformError, *, request_id: str, path: str) -> None:
    """Write what support needs to the log: the trace of a defect, the cause of a lost database."""
    if isinstance(known, UnexpectedFailure):
        KitLog.REQUEST_FAILED.emit(request_id=request_id, path=path, trace="".join(traceback.format_exception(error)))
    elif isinstance(known, DatabaseUnavailable):
        KitLog.DATABASE_AWAY.emit(request_id=request_id, cause=known.audit)


def _on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    known = translate(error)
    log_failure(error, known, request_id=request_id_of(request), path=request.url.path)
    return answer_error(request, known)


EXCEPTION_HANDLERS: ExceptionHandlersMap = {Exception: _on_error, HTTPException: _on_error}


@get("/health/live", media_type=MediaType.TEXT, include_in_schema=False, opt={"public": True}, sync_to_thread=False)
def live() -> str:
    """Say that the process answers."""
    return "ok"


def ready_route(checks: Sequence[Callable[[], Awaitable[None]]]) -> ControllerRouterHandler:
    """Return the route that runs every check (database, crypto device) and answers 503 when one raises."""

    @get("/health/ready", media_type=MediaType.TEXT, include_in_schema=False, opt={"public": True})
    async def ready() -> str:
        for check in checks:
            await check()
        return "ok"

    return ready


def always(value: object) -> Provide:
    """Return the dependency that is this value."""

    def give() -> Any:
        return value

    return Provide(give, sync_to_thread=False)


def build(
    routes: Sequence[ControllerRouterHandler],
    *,
    openapi: OpenAPIConfig | None,
    ready_checks: Sequence[Callable[[], Awaitable[None]]],
    body_bytes_max: int = _BODY_BYTES_MAX,
    exception_handlers: ExceptionHandlersMap = EXCEPTION_HANDLERS,
    **options: Any,
) -> Litestar:
    """Assemble an application with the house's errors (as documents, or as the pages show them), health and limits."""
    config = AppConfig(
        route_handlers=[live, ready_route(ready_checks), *routes],
        exception_handlers=exception_handlers,
        openapi_config=openapi,
        request_max_body_size=body_bytes_max,
        **options,
    )
    return Litestar.from_config(config)
