"""Errors as pages: the same public codes and request ids as the API, in words that say what to do next."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from yimatong.access.errors import LinkEnded, SessionEnded
from yimatong.kit import clock
from yimatong.kit.errors import NotFound, OutcomeUnknown, PlatformError, Unavailable
from yimatong.kit.web import log_failure, request_id_of, translate
from yimatong.web.errors import FormNotGenuine
from yimatong.web.page import KINDS, Page, Parts

_SERVER_SIDE = 500
_ADVICE: Final[tuple[tuple[type[PlatformError], str], ...]] = (
    (SessionEnded, "error.advice.session"),
    (LinkEnded, "error.advice.session"),
    (FormNotGenuine, "error.advice.reload"),
    (NotFound, "error.advice.absent"),
    (OutcomeUnknown, "error.advice.wait"),
    (Unavailable, "error.advice.later"),
)


def advice_for(error: PlatformError) -> str:
    """Return the key of the text that says what to do next."""
    for kind, key in _ADVICE:
        if isinstance(error, kind):
            return key
    return "error.advice.ours" if error.status >= _SERVER_SIDE else "error.advice.back"


def show_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """Answer any error as a page; a console session that ended leads to the login and back."""
    known = translate(error)
    path = request.url.path
    log_failure(error, known, request_id=request_id_of(request), path=path)
    page = Page(request, _parts(request), now=clock.now())
    if isinstance(known, SessionEnded) and path.startswith(KINDS["console"].path):
        return _to_login(page, path)
    template = "shared/error_part.html" if page.from_htmx else "shared/error.html"
    return page.html(
        template,
        status=known.status,
        code=known.code,
        message=known.text(page.language),
        advice=advice_for(known),
        retryable=known.retryable,
        home="" if isinstance(known, SessionEnded | LinkEnded) else _home(path),
    )


def _to_login(page: Page, path: str) -> Response[Any]:
    back = path if page.request.method == "GET" and path != "/console" else ""
    address = f"/console/login?ended=1{'&next=' + quote(back, safe='/') if back else ''}"
    if page.from_htmx:
        return Response(None, status_code=401, headers={"hx-redirect": address})
    return page.go(address if page.request.cookies.get(KINDS["console"].cookie) or back else "/console/login")


def _home(path: str) -> str:
    """Return where the page's way back leads: an error in the console goes to the console."""
    return next((kind.path for kind in KINDS.values() if path.startswith(f"{kind.path}/")), "")


def _parts(request: Request[Any, Any, Any]) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


EXCEPTION_HANDLERS: Final[ExceptionHandlersMap] = {Exception: show_error, HTTPException: show_error}
