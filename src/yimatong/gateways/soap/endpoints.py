"""HTTP of ``HIPMessageServer``: one address for the WSDL and the calls."""

from __future__ import annotations

from typing import Any, Final

from litestar import MediaType, Request, Response, get, post
from litestar.di import NamedDependency

from yimatong.gateways.health.core import Asker, Index
from yimatong.gateways.soap import envelopes
from yimatong.gateways.soap.handling import Server
from yimatong.kit.errors import PlatformError, UnexpectedFailure
from yimatong.kit.web import translate

PREFIX: Final = "/soap"
PATH: Final = f"{PREFIX}/HIPMessageServer"
WSDL: Final = f"{PATH}.wsdl"
"""The WSDL without credentials; at ``PATH`` itself (``?wsdl``) it takes the caller's."""

_FAULT_STATUS = 500


@get([PATH, WSDL], opt={"public": True}, include_in_schema=False, media_type=MediaType.XML)
async def describe(soap_url: NamedDependency[str]) -> Response[bytes]:
    """Return the WSDL."""
    return Response(envelopes.wsdl(soap_url), media_type="text/xml; charset=utf-8")


@post(PATH, permission="persons:register", reads="personal", include_in_schema=False, status_code=200)
async def call(request: Request[Any, Any, Any], index: NamedDependency[Index]) -> Response[bytes]:
    """Do what a message asks; each message asks for its own permission, too."""
    state = request.scope["state"]
    body: bytes = state["body"]
    try:
        asked = envelopes.request(body)
        asker = Asker(
            caller=state["caller"], request_id=state["request_id"], path=f"soap:{asked.action[:60]}", now=state["now"]
        )
        answer = await Server(index).handle(asked.action, asked.message, asker)
    except PlatformError as error:
        return _fault(body, error)
    return Response(envelopes.answer(asked, answer), media_type=envelopes.CONTENT_TYPES[asked.soap])


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer what went wrong before or beside the operation."""
    body = request.scope["state"].get("body") or b""
    return _fault(body, translate(error))


def _fault(body: bytes, error: PlatformError) -> Response[bytes]:
    soap = envelopes.version_of(body)
    sender = not isinstance(error, UnexpectedFailure)
    return Response(
        envelopes.fault(soap, code=error.code, text=error.text("zh"), sender=sender),
        status_code=_FAULT_STATUS,
        media_type=envelopes.CONTENT_TYPES[soap],
    )


ROUTES = [describe, call]
