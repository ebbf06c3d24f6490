"""What leaves the FHIR interface: resources in the form that was asked for, and refusals as OperationOutcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from litestar import Request, Response

from yimatong.access.asgi import Answer, ASGIScope
from yimatong.gateways.errors import FhirFault
from yimatong.gateways.fhir import encoding, negotiation, outcomes, searching
from yimatong.gateways.fhir.encoding import Form
from yimatong.gateways.fhir.negotiation import Wish
from yimatong.gateways.fhir.values import Resource
from yimatong.kit.errors import PlatformError
from yimatong.kit.web import language_of, log_failure, request_id_of, translate

BASIC_REALM: Final = 'Basic realm="yimatong", charset="UTF-8"'


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request to the interface: how it wants to be answered, and its parameters in order."""

    wish: Wish
    parameters: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        """Return the first value of a parameter, empty for none."""
        return next((value for key, value in self.parameters if key == name), "")


def asked(request: Request[Any, Any, Any], *, more: bytes = b"") -> Asked:
    """Return what a request asks for; ``more`` are the parameters of a form in its body.

    Raises:
        ParameterInvalid: parameters that cannot be read. FormatNotAcceptable.
    """
    found = [*searching.parameters(request.scope["query_string"]), *searching.parameters(more.strip())]
    return Asked(wish=negotiation.wish(headers_of(request.scope), dict(found)), parameters=tuple(found))


def headers_of(scope: Any) -> dict[str, str]:
    """Return the headers of a connection, several of one name put together (RFC 9110 5.3)."""
    found: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1"), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def answer(
    resource: Resource | None,
    wish: Wish,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response[bytes]:
    """Return a resource in the form wished for; None gives an empty answer."""
    sent = {"cache-control": "no-store", **(headers or {})}
    if resource is None:
        return Response(b"", status_code=status, headers=sent, media_type="text/plain")
    body = encoding.write(resource, wish.form, pretty=wish.pretty)
    return Response(body, status_code=status, headers=sent, media_type=negotiation.MEDIA_TYPES[wish.form])


def etag(version: int) -> str:
    """Return the weak entity tag of a version (R4 3.1.0.6)."""
    return f'W/"{version}"'


def on_error(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answer a failure of a handler with its OperationOutcome."""
    known = translate(error)
    log_failure(error, known, request_id=request_id_of(request), path=request.url.path)
    form = _form_of(request.scope)
    status, headers, body = refusal(known, form=form, headers=headers_of(request.scope))
    headers["ymt-request-id"] = request_id_of(request)
    return Response(body, status_code=status, headers=headers, media_type=headers.pop("content-type"))


def at_the_door(scope: ASGIScope, error: PlatformError, headers: Mapping[str, str]) -> Answer:
    """Answer a request that did not come through the door."""
    status, sent, body = refusal(error, form=_form_of(scope), headers=headers)
    sent["content-length"] = str(len(body))
    return Answer(status, [(name.encode(), value.encode()) for name, value in sent.items()], body)


def refusal(error: PlatformError, *, form: Form, headers: Mapping[str, str]) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of a refusal."""
    language = language_of(headers.get("accept-language", ""))
    sent = {
        "content-type": negotiation.MEDIA_TYPES[form],
        "content-language": "en" if language == "en" else "zh-CN",
        "cache-control": "no-store",
    }
    if error.retry_after_s is not None:
        sent["retry-after"] = str(error.retry_after_s)
    if error.status == 401:  # noqa: PLR2004 -- RFC 9110: the answer says how to identify oneself
        sent["www-authenticate"] = BASIC_REALM
    status = error.status if isinstance(error, FhirFault) or error.status != 202 else 503  # noqa: PLR2004
    return status, sent, encoding.write(outcomes.of_error(error, language=language), form)


def _form_of(scope: Any) -> Form:
    try:
        parameters = dict(searching.parameters(scope["query_string"]))
    except PlatformError:
        parameters = {}
    return negotiation.form_or_json(headers_of(scope), parameters)
