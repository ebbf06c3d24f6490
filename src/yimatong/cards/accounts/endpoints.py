"""HTTP of card accounts."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, PathParameter

from yimatong.access.edge import Call, documented
from yimatong.access.errors import WebhookAddressRefused
from yimatong.access.shared import SharedWrite
from yimatong.access.webhooks import Destinations
from yimatong.cards.accounts import history, queries, registration, service
from yimatong.cards.accounts.real_name import ONLINE, REFUSALS, RealNameCheck
from yimatong.cards.accounts.registration import Applicant, Application, Entry, Prepared
from yimatong.cards.accounts.schemas import AccountView, PageLink, Registration
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    RealNameMethodNotAllowed,
    RealNameMismatch,
    RealNameTooWeak,
    RegistrationRaced,
)
from yimatong.empi.errors import (
    BirthDateDisagrees,
    BirthDateImpossible,
    CertificateNumberInvalid,
    CertificateTypeUnknown,
    PersonDisagrees,
    SexDisagrees,
)
from yimatong.empi.subscriptions.schemas import ResidentSubscription, Subscription
from yimatong.kit.db import Batch
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable

VuidInPath = Annotated[str, PathParameter(pattern="^[0-9A-F]{64}(?!\\n)$")]


@post(
    "/api/v1/accounts",
    permission="accounts:register",
    reads="personal",
    responses=documented(
        AccountView,
        PersonDisagrees,
        BirthDateDisagrees,
        SexDisagrees,
        BirthDateImpossible,
        CertificateTypeUnknown,
        CertificateNumberInvalid,
        RealNameMismatch,
        *REFUSALS,
        RealNameTooWeak,
        RealNameMethodNotAllowed,
        RegistrationRaced,
        AccountFrozen,
        PartyUnreachable,
        PartyOutcomeUnknown,
    ),
)
async def register_account(
    data: JSONBody[Registration],
    call: NamedDependency[Call],
    real_name: NamedDependency[RealNameCheck],
    preparations: NamedDependency[Batch[Applicant, Prepared]],
    registrations: NamedDependency[Batch[SharedWrite[Application], tuple[int, bytes]]],
) -> Response[bytes]:
    """Register a resident; the same resident again gets the same account."""
    if data.real_name in ONLINE:  # a repeat does not need the outside register any more
        before = await call.answered_before()
        if before is not None:
            return before
    applicant = await registration.check(data, caller=call.caller, real_name=real_name, now=call.now)
    prepared = await preparations.submit(applicant)
    origin = history.of_caller(call.caller, call.request_id)
    entry = Entry(prepared=prepared, origin=origin, holder=origin.holder)
    refer = await call.vault.referrer(origin.holder)
    return await call.write_shared(registrations, Application(entry=entry, refer=refer))


@get(
    "/api/v1/accounts/{vuid:str}",
    permission="accounts:read",
    reads="personal",
    responses=documented(AccountView, AccountNotFound, status=200),
)
async def read_account(vuid: VuidInPath, call: NamedDependency[Call]) -> AccountView:
    """Read an account that the caller holds."""
    return await call.read(lambda tx: queries.view(tx, call.vault, vuid, scope=call.caller.scope, now=call.now))


@post(
    "/api/v1/accounts/{vuid:str}/page-links",
    permission="pages:link",
    responses=documented(PageLink, AccountNotFound, AccountFrozen, AccountCancelled),
)
async def make_page_link(
    vuid: VuidInPath, call: NamedDependency[Call], web_url: NamedDependency[str]
) -> Response[bytes]:
    """Make a one-time link to the resident's own card page."""
    return await call.write(
        lambda tx: service.make_page_link(tx, vuid, caller=call.caller, web_url=web_url, now=call.now)
    )


@post(
    "/api/v1/accounts/{vuid:str}/record-subscription",
    permission="persons:subscribe",
    responses=documented(Subscription, AccountNotFound, AccountFrozen, AccountCancelled, WebhookAddressRefused),
)
async def follow_record(
    vuid: VuidInPath,
    data: JSONBody[ResidentSubscription],
    call: NamedDependency[Call],
    destinations: NamedDependency[Destinations],
) -> Response[bytes]:
    """Let a resident be told of what happens to her own record; the app ends it like any subscription of its own."""
    return await call.write(
        lambda tx: service.follow_record(
            tx, call.vault, vuid, data, caller=call.caller, destinations=destinations, now=call.now
        )
    )


ROUTES = [register_account, read_account, make_page_link, follow_record]
