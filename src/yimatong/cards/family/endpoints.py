"""HTTP of families."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.errors import (
    AccountNotFound,
    ConsentMissing,
    FamilyFull,
    GuardianNotFit,
    RelationNotFound,
)
from yimatong.cards.family import queries, service
from yimatong.cards.family.schemas import EndedRelation, Family, NewRelation
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection

RelationInPath = Annotated[str, PathParameter(pattern="^fam_[0-9a-f]{32}(?!\\n)$")]


@post(
    "/api/v1/accounts/{vuid:str}/family",
    permission="accounts:change",
    reads="personal",
    responses=documented(Family, AccountNotFound, GuardianNotFit, FamilyFull, ConsentMissing),
)
async def begin_relation(
    vuid: VuidInPath,
    data: JSONBody[NewRelation],
    call: NamedDependency[Call],
    family_members_max: NamedDependency[int],
) -> Response[bytes]:
    """Put a family member under a guardian's phone."""
    origin = history.of_caller(call.caller, call.request_id)
    return await call.write(
        lambda tx: service.add_member(
            tx, call.vault, vuid, data, origin=origin, now=call.now, members_max=family_members_max
        )
    )


@get(
    "/api/v1/accounts/{vuid:str}/family",
    permission="accounts:read",
    reads="personal",
    responses=documented(Family, AccountNotFound, status=200),
)
async def read_family(vuid: VuidInPath, call: NamedDependency[Call]) -> Family:
    """Show whom an account manages, and who manages it."""

    async def look(tx: Connection) -> Family:
        row = await accounts.held(tx, vuid, scope=call.caller.scope)
        return await queries.of_account(tx, row.vuid, row.mpi, call.vault, today=business_date(call.now))

    return await call.read(look)


@post(
    "/api/v1/family/{relation_id:str}/end",
    permission="accounts:change",
    status_code=200,
    responses=documented(EndedRelation, RelationNotFound, status=200, keyed=True),
)
async def end_relation(relation_id: RelationInPath, call: NamedDependency[Call]) -> Response[bytes]:
    """End a family relation; the guardian's phone shows the member's codes no more."""
    origin = history.of_caller(call.caller, call.request_id)
    return await call.write(
        lambda tx: service.end(tx, call.vault, relation_id, origin=origin, now=call.now), status=200
    )


ROUTES = [begin_relation, read_family, end_relation]
