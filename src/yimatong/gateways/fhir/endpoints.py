"""HTTP of the FHIR interface. ``[base]`` is ``/fhir``; everything that is decided is decided behind it."""

from __future__ import annotations

from typing import Annotated, Any, Final

from litestar import Request, Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import PathParameter

from yimatong.gateways.errors import BodyFormatUnsupported, ParameterInvalid
from yimatong.gateways.fhir import (
    capability,
    encoding,
    feeding,
    finding,
    matching,
    messages,
    negotiation,
    pix,
    subscribing,
)
from yimatong.gateways.fhir.answering import Asked, answer, asked, etag
from yimatong.gateways.fhir.capability import PREFIX
from yimatong.gateways.fhir.values import Resource
from yimatong.gateways.health.core import Asker, Index

AnyRequest = Request[Any, Any, Any]
IdInPath = Annotated[str, PathParameter(max_length=64)]


def asker_of(request: AnyRequest) -> Asker:
    """Return who asks, as the door let her in."""
    state = request.scope["state"]
    return Asker(caller=state["caller"], request_id=state["request_id"], path=request.url.path[:200], now=state["now"])


def _resource(request: AnyRequest) -> Resource:
    """Return the resource in a request's body.

    Raises:
        BodyFormatUnsupported, ResourceMalformed.
    """
    form = negotiation.body_form(request.headers.get("content-type", ""))
    return encoding.read(request.scope["state"]["body"], form)


@get(f"{PREFIX}/metadata", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
def metadata(request: AnyRequest, fhir_base: NamedDependency[str]) -> Response[bytes]:
    """Tell what is served (R4 capabilities interaction); open to everybody, as it must be before credentials are."""
    given = asked(request)
    return answer(capability.statement(fhir_base), given.wish, headers={"cache-control": "max-age=300"})


@get(f"{PREFIX}/Patient", permission="persons:search", reads="personal", include_in_schema=False)
async def search(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Mobile Patient Demographics Query, by GET (ITI-78)."""
    return await _search(request, asked(request), index, fhir_base)


@post(f"{PREFIX}/Patient/_search", permission="persons:search", reads="personal", include_in_schema=False)
async def search_by_post(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Mobile Patient Demographics Query, by POST (ITI-78): what is looked for does not stand in an address."""
    body = request.scope["state"]["body"]
    if body and not negotiation.is_search_form(request.headers.get("content-type", "")):
        raise BodyFormatUnsupported
    return await _search(request, asked(request, more=body), index, fhir_base)


async def _search(request: AnyRequest, given: Asked, index: Index, base: str) -> Response[bytes]:
    found = await finding.search(index, asker_of(request), given, base=base)
    return answer(found, given.wish)


@get(f"{PREFIX}/Patient/{{patient_id:str}}", permission="persons:read", reads="personal", include_in_schema=False)
async def read_patient(
    patient_id: IdInPath, request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Retrieve Patient Resource (ITI-78, 2:3.78.4.3)."""
    given = asked(request)
    found, version = await finding.read(index, asker_of(request), patient_id, base=fhir_base)
    tag = etag(version)
    if tag in request.headers.get("if-none-match", ""):
        return answer(None, given.wish, status=304, headers={"etag": tag})
    return answer(found, given.wish, headers={"etag": tag})


@post(
    f"{PREFIX}/Patient/$match",
    permission="persons:match",
    reads="personal",
    status_code=200,
    include_in_schema=False,
)
async def match(request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]) -> Response[bytes]:
    """Patient Demographics Match (ITI-119)."""
    given = asked(request)
    wanted = matching.wanted(_resource(request))
    return answer(await matching.match(index, asker_of(request), wanted, base=fhir_base), given.wish)


@get(f"{PREFIX}/Patient/$ihe-pix", permission="cross-indexes:read", reads="personal", include_in_schema=False)
async def corresponding(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Get Corresponding Identifiers (ITI-83)."""
    given = asked(request)
    wanted = pix.from_parameters(given.parameters)
    return answer(await pix.resolve(index, asker_of(request), wanted, base=fhir_base), given.wish)


@post(
    f"{PREFIX}/Patient/$ihe-pix",
    permission="cross-indexes:read",
    reads="personal",
    status_code=200,
    include_in_schema=False,
)
async def corresponding_by_post(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Get Corresponding Identifiers by a Parameters resource: no identifier stands in an address."""
    given = asked(request)
    wanted = pix.from_resource(_resource(request))
    return answer(await pix.resolve(index, asker_of(request), wanted, base=fhir_base), given.wish)


@put(f"{PREFIX}/Patient", permission="persons:register", reads="personal", include_in_schema=False)
async def feed(request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]) -> Response[bytes]:
    """Patient Identity Feed FHIR: add, revise or resolve a duplicate, by conditional update (ITI-104)."""
    given, asker = asked(request), asker_of(request)
    source = await feeding.condition(index, asker, given.parameters)
    done = await feeding.feed(
        index, asker, source, _resource(request), if_match=request.headers.get("if-match", ""), base=fhir_base
    )
    headers = {
        "location": f"{fhir_base}/Patient/{done.mpi_ref}/_history/{done.version}",
        "etag": etag(done.version),
    }
    return answer(
        await feeding.returned(index, asker, done, given.wish, base=fhir_base),
        given.wish,
        status=201 if done.created else 202 if done.told == "waits" else 200,
        headers=headers,
    )


@delete(f"{PREFIX}/Patient", permission="persons:register", include_in_schema=False, status_code=200)
async def remove(request: AnyRequest, index: NamedDependency[Index]) -> Response[bytes]:
    """Patient Identity Feed FHIR: remove an identifier, by conditional delete (ITI-104)."""
    given, asker = asked(request), asker_of(request)
    await feeding.remove(index, asker, await feeding.condition(index, asker, given.parameters))
    return answer(None, given.wish, status=204)


@post(
    f"{PREFIX}/$process-message",
    permission="persons:register",
    reads="personal",
    status_code=200,
    include_in_schema=False,
)
async def process_message(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Mobile Patient Identity Feed (PMIR, ITI-93)."""
    given = asked(request)
    if given.first("async") == "true":
        raise ParameterInvalid(parameter="async", reason="answered at once only")
    done = await messages.process(index, asker_of(request), _resource(request), base=fhir_base)
    return answer(done, given.wish)


@post(f"{PREFIX}/Subscription", permission="persons:subscribe", include_in_schema=False)
async def subscribe(
    request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Subscribe to Patient Updates (PMIR, ITI-94)."""
    given, asker = asked(request), asker_of(request)
    wanted = await subscribing.wanted(index, asker, _resource(request))
    made = await subscribing.resource_of(index, asker, await index.subscribe(asker, wanted))
    return _written(made, given, fhir_base, status=201)


@get(f"{PREFIX}/Subscription/{{subscription_id:str}}", permission="persons:subscribe", include_in_schema=False)
async def read_subscription(
    subscription_id: IdInPath, request: AnyRequest, index: NamedDependency[Index]
) -> Response[bytes]:
    """Get Patient Subscription (ITI-94)."""
    given, asker = asked(request), asker_of(request)
    known = await index.subscription(asker, subscribing.id_of(subscription_id))
    made = await subscribing.resource_of(index, asker, known)
    return answer(made, given.wish, headers={"etag": etag(known.version)})


@put(f"{PREFIX}/Subscription/{{subscription_id:str}}", permission="persons:subscribe", include_in_schema=False)
async def switch_subscription(
    subscription_id: IdInPath, request: AnyRequest, index: NamedDependency[Index], fhir_base: NamedDependency[str]
) -> Response[bytes]:
    """Enable or disable a subscription (ITI-94): by its status, ``off`` or ``requested``."""
    given, asker = asked(request), asker_of(request)
    known = await index.subscription(asker, subscribing.id_of(subscription_id))
    feeding.require_version(request.headers.get("if-match", ""), known.version)
    on = subscribing.switched(_resource(request), subscription_id)
    done = await index.switch_subscription(asker, known.subscription_id, on=on)
    return _written(await subscribing.resource_of(index, asker, done), given, fhir_base, status=200)


@delete(
    f"{PREFIX}/Subscription/{{subscription_id:str}}",
    permission="persons:subscribe",
    include_in_schema=False,
    status_code=200,
)
async def unsubscribe(subscription_id: IdInPath, request: AnyRequest, index: NamedDependency[Index]) -> Response[bytes]:
    """Delete a subscription (ITI-94)."""
    given, asker = asked(request), asker_of(request)
    await index.end_subscription(asker, subscribing.id_of(subscription_id))
    return answer(None, given.wish, status=204)


def _written(resource: Resource, given: Asked, base: str, *, status: int) -> Response[bytes]:
    version = resource["meta"]["versionId"]
    headers = {
        "location": f"{base}/{resource['resourceType']}/{resource['id']}/_history/{version}",
        "etag": etag(version),
    }
    body = None if given.wish.returning == "minimal" else resource
    return answer(body, given.wish, status=status, headers=headers)


ROUTES: Final = [
    metadata,
    search,
    search_by_post,
    read_patient,
    match,
    corresponding,
    corresponding_by_post,
    feed,
    remove,
    process_message,
    subscribe,
    read_subscription,
    switch_subscription,
    unsubscribe,
]
