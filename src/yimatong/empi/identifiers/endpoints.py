"""HTTP of identifier domains and cross indexes (PIX)."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.access.shared import SharedRead
from yimatong.empi.errors import (
    BirthDateDisagrees,
    CertificateNotEnded,
    DomainNotYours,
    DomainSuspended,
    DomainUnknown,
    MediumNotInForce,
    NumberCheckDigit,
    NumberInvalid,
    NumberTaken,
    NumberUnknown,
    NumberUsedUp,
    PersonHasAnother,
    PersonNotFound,
    SexDisagrees,
)
from yimatong.empi.identifiers import crossing, managing
from yimatong.empi.identifiers.schemas import (
    CrossIndexEnded,
    CrossIndexesMade,
    CrossIndexesToMake,
    CrossIndexToEnd,
    Domain,
    DomainList,
    Resolved,
    ToResolve,
)
from yimatong.kit.db import Batch

CodeInPath = Annotated[str, PathParameter(pattern="^[0-9A-Za-z._:-]{1,100}(?!\\n)$")]
KindAsked = Annotated[
    str | None, QueryParameter(pattern="^(certificate|card|visit_card|source|region|national)(?!\\n)$")
]


@get("/api/v1/identifier-domains", permission="domains:read", responses=documented(DomainList, status=200))
async def list_domains(call: NamedDependency[Call], kind: KindAsked = None) -> DomainList:
    """List the identifier domains of everybody and those of the caller's institution."""

    async def query(tx: object) -> DomainList:
        found = await managing.listed(tx, institution_id=call.caller.institution_id, kind=kind)  # type: ignore[arg-type]
        return DomainList(domains=tuple(found))

    return await call.read(query)


@get(
    "/api/v1/identifier-domains/{code:str}",
    permission="domains:read",
    responses=documented(Domain, DomainUnknown, status=200),
)
async def read_domain(code: CodeInPath, call: NamedDependency[Call]) -> Domain:
    """Read an identifier domain with its rules."""
    return await call.read(lambda tx: managing.read(tx, code))


@post(
    "/api/v1/cross-indexes",
    permission="cross-indexes:write",
    reads="personal",
    responses=documented(
        CrossIndexesMade,
        PersonNotFound,
        NumberUnknown,
        MediumNotInForce,
        DomainUnknown,
        DomainSuspended,
        DomainNotYours,
        NumberInvalid,
        NumberCheckDigit,
        NumberTaken,
        NumberUsedUp,
        PersonHasAnother,
        BirthDateDisagrees,
        SexDisagrees,
    ),
)
async def make_cross_indexes(data: JSONBody[CrossIndexesToMake], call: NamedDependency[Call]) -> Response[bytes]:
    """建立交叉索引: let numbers of several domains stand for one resident; a number of another one stays hers."""
    return await call.write(lambda tx: crossing.make(tx, call.vault, data, caller=call.caller, now=call.now))


@post(
    "/api/v1/cross-indexes/resolve",
    permission="cross-indexes:read",
    reads="personal",
    status_code=200,
    responses=documented(
        Resolved, NumberUnknown, MediumNotInForce, DomainUnknown, DomainSuspended, DomainNotYours, status=200
    ),
)
async def resolve_cross_index(
    data: JSONBody[ToResolve],
    call: NamedDependency[Call],
    resolutions: NamedDependency[Batch[SharedRead[ToResolve], bytes]],
) -> Response[bytes]:
    """获取交叉索引: by a number of one domain, the resident and her numbers in other domains."""
    return await call.read_shared(resolutions, data)


@post(
    "/api/v1/cross-indexes/end",
    permission="cross-indexes:write",
    responses=documented(CrossIndexEnded, NumberUnknown, DomainUnknown, DomainNotYours, CertificateNotEnded),
)
async def end_cross_index(data: JSONBody[CrossIndexToEnd], call: NamedDependency[Call]) -> Response[bytes]:
    """终止交叉索引: the number stands for nobody from now on, its history stays."""
    return await call.write(lambda tx: crossing.finish(tx, call.vault, data, caller=call.caller, now=call.now))


ROUTES = [list_domains, read_domain, make_cross_indexes, resolve_cross_index, end_cross_index]
