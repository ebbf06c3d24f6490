"""HTTP of codes: issue, verify, revoke, records."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from yimatong.access import idempotency
from yimatong.access.edge import Call, documented
from yimatong.access.errors import IdempotencyKeyMissing, IdempotencyKeyReused
from yimatong.access.shared import SharedWrite
from yimatong.cards.codes import service, signing, uploads
from yimatong.cards.codes.issuing import Order
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.schemas import (
    CodeToVerify,
    IssuedCode,
    NewCode,
    OfflineBundle,
    OfflineUploaded,
    OfflineUploads,
    RevokeCodes,
    Revoked,
    VerifiedCode,
)
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    CodeBurnt,
    CodeElsewhere,
    CodeExpired,
    CodeNotGenuine,
    CodeRevoked,
    CodeUnreadable,
    CodeUsed,
    CodeWrongPurpose,
    LifetimeTooLong,
    NotOpenToApplication,
    OfflineNotForClass,
    StaticCodeSwitchedOff,
    TerminalThrottled,
)
from yimatong.crypto.errors import KeyNotFound
from yimatong.kit.db import Batch

Issues = Batch[SharedWrite[Order], tuple[int, bytes]]
"""The shared path of issues: many in one transaction."""
Verifications = Batch[Item, VerifiedCode]
"""The shared path of verifications."""

VERIFY_PATH = "/api/v1/codes/verify"


@post(
    "/api/v1/codes",
    permission="codes:issue",
    responses=documented(
        IssuedCode,
        AccountNotFound,
        AccountFrozen,
        AccountCancelled,
        StaticCodeSwitchedOff,
        NotOpenToApplication,
        LifetimeTooLong,
        OfflineNotForClass,
        KeyNotFound,
    ),
)
async def issue_code(
    data: JSONBody[NewCode], call: NamedDependency[Call], issues: NamedDependency[Issues]
) -> Response[bytes]:
    """Issue a static, dynamic or offline code of an account that the caller holds."""
    order = Order(
        wanted=data,
        scope=call.caller.scope,
        issuer_id=call.caller.caller_id,
        request_id=call.request_id,
        now=call.now,
    )
    try:
        return await call.write_shared(issues, order)
    except AccountNotFound:  # a guardian may still show it, which is rare and asked alone
        return await call.write(lambda tx: service.issue(tx, call.vault, order))


@post(
    VERIFY_PATH,
    permission="codes:verify",
    reads="personal",
    status_code=200,
    responses=documented(
        VerifiedCode,
        CodeUnreadable,
        CodeNotGenuine,
        CodeExpired,
        CodeUsed,
        CodeBurnt,
        CodeRevoked,
        CodeWrongPurpose,
        CodeElsewhere,
        StaticCodeSwitchedOff,
        NotOpenToApplication,
        TerminalThrottled,
        IdempotencyKeyMissing,
        IdempotencyKeyReused,
        status=200,
    ),
)
async def verify_code(
    data: JSONBody[CodeToVerify], call: NamedDependency[Call], verifications: NamedDependency[Verifications]
) -> VerifiedCode:
    """Verify a code for a purpose and use it up; the record of the use is durable before the answer leaves."""
    return await verify(call, data, verifications)


async def verify(
    call: Call, data: CodeToVerify, verifications: Verifications, *, nonce: str | None = None
) -> VerifiedCode:
    """Verify for a caller; ``nonce`` where the request's own is taken already.

    Raises:
        IdempotencyKeyMissing: no key. Refusal: of the code.
    """
    idempotency.require(call.key)
    item = Item(
        caller=call.caller,
        nonce=nonce or call.nonce,
        idempotency_key=call.key,
        request_id=call.request_id,
        wanted=data,
        now=call.now,
    )
    return await verifications.submit(item)


@post(
    "/api/v1/codes/revoke",
    permission="codes:revoke",
    status_code=200,
    responses=documented(Revoked, AccountNotFound, status=200, keyed=True),
)
async def revoke_codes(data: JSONBody[RevokeCodes], call: NamedDependency[Call]) -> Response[bytes]:
    """Revoke every code of an account that was issued so far, under whatever VUID it has or had."""
    return await call.write(lambda tx: service.revoke(tx, data.vuid, caller=call.caller, now=call.now), status=200)


@get(
    "/api/v1/codes/offline",
    permission="codes:verify",
    responses=documented(OfflineBundle, KeyNotFound, status=200),
)
async def offline_bundle(call: NamedDependency[Call]) -> OfflineBundle:
    """Return what a terminal needs to read codes without the network for a day: public keys and revocations, signed."""
    return await call.read(lambda tx: uploads.bundle(tx, call.vault, now=call.now))


@post(
    "/api/v1/codes/offline-uses",
    permission="codes:verify",
    status_code=200,
    responses=documented(OfflineUploaded, status=200, keyed=True),
)
async def upload_offline_uses(data: JSONBody[OfflineUploads], call: NamedDependency[Call]) -> Response[bytes]:
    """Tell what a terminal accepted without the network; told twice it counts once, used twice it shows."""
    public_keys = await signing.live_public_keys(call.vault)
    return await call.write(
        lambda tx: uploads.upload(
            tx,
            data,
            caller=call.caller,
            issuer=call.vault.issuer,
            public_keys=public_keys,
            request_id=call.request_id,
            now=call.now,
        ),
        status=200,
    )


ROUTES = [issue_code, verify_code, revoke_codes, offline_bundle, upload_offline_uses]
