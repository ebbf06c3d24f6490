"""HTTP of finding and reading persons."""

from __future__ import annotations

from typing import Annotated

from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter, QueryParameter

from yimatong.access.edge import Call, documented
from yimatong.empi.errors import (
    CursorInvalid,
    DomainNotYours,
    DomainUnknown,
    NothingSelective,
    PersonNotFound,
    RangeBackwards,
    TooManyCandidates,
)
from yimatong.empi.search import reading, service
from yimatong.empi.search.schemas import Matched, PersonHistory, PersonPage, PersonQuery, PersonToMatch, PersonView
from yimatong.kit.db import Connection

Ref = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}(?!\\n)$")]


@post(
    "/api/v1/persons/search",
    permission="persons:search",
    reads="personal",
    status_code=200,
    responses=documented(
        PersonPage,
        NothingSelective,
        TooManyCandidates,
        RangeBackwards,
        CursorInvalid,
        DomainUnknown,
        DomainNotYours,
        status=200,
    ),
)
async def search_persons(data: JSONBody[PersonQuery], call: NamedDependency[Call]) -> PersonPage:
    """Find persons by any combination of facts; masked unless the caller has a record of the person."""
    return await call.read(lambda tx: service.search(tx, call.vault, data, caller=call.caller, now=call.now))


@post(
    "/api/v1/persons/match",
    permission="persons:match",
    reads="personal",
    status_code=200,
    responses=documented(Matched, DomainUnknown, DomainNotYours, status=200),
)
async def match_person(data: JSONBody[PersonToMatch], call: NamedDependency[Call]) -> Matched:
    """Ask the matching engine whom some facts may be about; nothing is registered."""

    async def query(tx: Connection) -> Matched:
        found = await service.match(
            tx,
            call.vault,
            data.resident,
            data.identifiers,
            caller=call.caller,
            now=call.now,
            limit=data.count,
            only_certain=data.only_certain,
        )
        return Matched(candidates=tuple(found))

    return await call.read(query)


@get(
    "/api/v1/persons/{mpi_ref:str}",
    permission="persons:read",
    reads="personal",
    responses=documented(PersonView, PersonNotFound, status=200),
)
async def read_person(mpi_ref: Ref, call: NamedDependency[Call]) -> PersonView:
    """Read a person's golden record; where its fields come from is told to who has a record of her."""
    return await call.read(lambda tx: reading.person(tx, call.vault, mpi_ref, caller=call.caller, now=call.now))


@get(
    "/api/v1/persons/{mpi_ref:str}/history",
    permission="persons:read",
    reads="personal",
    responses=documented(PersonHistory, PersonNotFound, status=200),
)
async def read_history(
    mpi_ref: Ref, call: NamedDependency[Call], limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50
) -> PersonHistory:
    """Read what happened to a person of whom the caller has a record."""
    return await call.read(lambda tx: reading.history(tx, call.vault, mpi_ref, caller=call.caller, limit=limit))


ROUTES = [search_persons, match_person, read_person, read_history]
