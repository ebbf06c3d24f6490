"""HTTP of certificate changes and earlier VUIDs."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access.edge import Call, documented
from yimatong.cards.accounts import history, queries
from yimatong.cards.accounts import service as accounts
from yimatong.cards.accounts.endpoints import VuidInPath
from yimatong.cards.accounts.real_name import REFUSALS, RealNameCheck
from yimatong.cards.accounts.schemas import AccountView
from yimatong.cards.certificates import service
from yimatong.cards.certificates.schemas import Alias, Aliases, AliasSwitch, CertificateChange
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    AliasNotFound,
    ProofNeeded,
    RealNameMethodNotAllowed,
    RealNameMismatch,
    RealNameTooWeak,
    RegistrationRaced,
)
from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNotHers,
    CertificateNumberInvalid,
    CertificateTaken,
    CertificateTypeUnknown,
    PersonDeceased,
    PersonDisagrees,
    SexDisagrees,
)
from yimatong.kit.db import Connection
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable

_TRIES = 3


@post(
    "/api/v1/accounts/{vuid:str}/certificate",
    permission="accounts:change",
    reads="personal",
    status_code=200,
    responses=documented(
        AccountView,
        AccountNotFound,
        AccountFrozen,
        AccountCancelled,
        CertificateTaken,
        CertificateNotHers,
        PersonDisagrees,
        PersonDeceased,
        ProofNeeded,
        RealNameMethodNotAllowed,
        RealNameMismatch,
        *REFUSALS,
        RealNameTooWeak,
        BirthDateDisagrees,
        BirthDateImpossible,
        SexDisagrees,
        CertificateTypeUnknown,
        CertificateNumberInvalid,
        RegistrationRaced,
        PartyUnreachable,
        PartyOutcomeUnknown,
        status=200,
        keyed=True,
    ),
)
async def change_certificate(
    vuid: VuidInPath,
    data: JSONBody[CertificateChange],
    call: NamedDependency[Call],
    real_name: NamedDependency[RealNameCheck],
) -> Response[bytes]:
    """Replace a resident's certificate, or give one to a resident who had none; the old VUID leads to the new one."""
    before = await call.answered_before()
    if before is not None:
        return before
    origin = history.of_caller(call.caller, call.request_id)
    for tries in range(1, _TRIES + 1):
        prepared = await service.prepare(call.db, call.vault, vuid, data, origin=origin, check=real_name, now=call.now)
        try:
            return await call.write(
                lambda tx, prepared=prepared: service.apply(  # type: ignore[misc]  # the loop's own value
                    tx, call.vault, vuid, prepared, origin=origin, now=call.now
                ),
                status=200,
            )
        except RegistrationRaced:
            if tries == _TRIES:
                raise
    raise RegistrationRaced


@get(
    "/api/v1/accounts/{vuid:str}/aliases",
    permission="accounts:read",
    responses=documented(Aliases, AccountNotFound, status=200),
)
async def list_aliases(vuid: VuidInPath, call: NamedDependency[Call]) -> Aliases:
    """Show the earlier VUIDs of an account."""

    async def look(tx: Connection) -> Aliases:
        row = await queries.held(tx, vuid, scope=call.caller.scope)
        return await aliases_of(tx, row.vuid)

    return await call.read(look)


@post(
    "/api/v1/accounts/{vuid:str}/aliases/{alias:str}",
    permission="accounts:change",
    status_code=200,
    responses=documented(Aliases, AccountNotFound, AliasNotFound, status=200, keyed=True),
)
async def switch_alias(
    vuid: VuidInPath, alias: VuidInPath, data: JSONBody[AliasSwitch], call: NamedDependency[Call]
) -> Response[bytes]:
    """Switch an earlier VUID off (a label that was lost) or on again."""
    origin = history.of_caller(call.caller, call.request_id)

    async def switch(tx: Connection) -> Aliases:
        await accounts.switch_alias(tx, call.vault, vuid, alias, on=data.on, origin=origin, now=call.now)
        row = await queries.held(tx, vuid, scope=call.caller.scope)
        return await aliases_of(tx, row.vuid)

    return await call.write(switch, status=200)


async def aliases_of(tx: Connection, vuid: str) -> Aliases:
    """Return the earlier VUIDs that lead to this one."""
    rows = await queries.aliases(tx, vuid)
    return Aliases(vuid=vuid, aliases=[Alias(vuid=row.vuid, on=row.alias_on) for row in rows])


ROUTES = [change_certificate, list_aliases, switch_alias]
