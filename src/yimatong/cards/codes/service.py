"""Verbs of codes off the coalesced path: issue and revoke."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, insert, update

from yimatong.access.caller import Caller, Scope
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.codec import (
    NONCE_BYTES,
    TTL_UNIT_S,
    CodeClass,
    CodeKind,
    Valid,
    dynamic_text,
    seal_valid,
    static_text,
)
from yimatong.cards.codes import symbols
from yimatong.cards.codes.schemas import IssuedCode, NewCode, Revoked
from yimatong.cards.errors import AccountCancelled, AccountFrozen, StaticCodeSwitchedOff
from yimatong.cards.models import account, code_record, code_use
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id


async def issue(
    connection: Connection,
    vault: Vault,
    wanted: NewCode,
    *,
    scope: Scope,
    issuer_id: str,
    request_id: str,
    now: datetime,
) -> IssuedCode:
    """Issue a static or a dynamic code of an account that the scope holds, and record it.

    ``issuer_id`` is the caller, or ``web`` for the resident's own page. A dynamic code is good from its own second on.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff.
    """
    row = await accounts.held(connection, wanted.vuid, scope=scope)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    if wanted.kind == "static":
        if not row.static_allowed:
            raise StaticCodeSwitchedOff
        text, issued_at, expires_at = static_text(wanted.vuid), now, None
    else:
        text, issued_at, expires_at = await _dynamic(vault, wanted, now=now)
    record_id = new_id("rec")
    await connection.execute(
        insert(code_record).values(
            vuid=wanted.vuid,
            record_id=record_id,
            at=now,
            event="issued",
            code_kind=wanted.kind,
            purpose=wanted.code_class,
            result="ok",
            caller_id=issuer_id,
            institution_id=scope.institution_id,
            request_id=request_id,
        )
    )
    return IssuedCode(
        record_id=record_id,
        kind=CodeKind(wanted.kind),
        text=text,
        issued_at=issued_at,
        expires_at=expires_at,
        image=_image(text, wanted.image),
    )


async def _dynamic(vault: Vault, wanted: NewCode, *, now: datetime) -> tuple[str, datetime, datetime]:
    valid = Valid(
        code_class=CodeClass[wanted.code_class.upper()],
        issued_at=int(now.timestamp()),
        ttl_s=wanted.ttl_s - wanted.ttl_s % TTL_UNIT_S,
        nonce=secrets.token_bytes(NONCE_BYTES),
    )
    keys = await vault.valid_keys([wanted.vuid])
    sealed = seal_valid(keys[max(keys)][0], valid)
    issued_at = datetime.fromtimestamp(valid.issued_at, UTC)
    return dynamic_text(wanted.vuid, sealed), issued_at, issued_at + timedelta(seconds=valid.ttl_s)


def _image(text: str, wanted: str) -> str:
    if wanted == "svg":
        return symbols.qr_svg(text)
    if wanted == "png":
        return base64.b64encode(symbols.qr_png(text)).decode()
    return ""


async def revoke(connection: Connection, vuid: str, *, caller: Caller, now: datetime) -> Revoked:
    """Revoke every dynamic code of an account that was issued before the next whole second.

    Raises:
        AccountNotFound: none, or not this caller's.
    """
    row = await accounts.held(connection, vuid, scope=caller.scope, for_update=True)
    valid_from = datetime.fromtimestamp(int(now.timestamp()) + 1, UTC)
    await connection.execute(
        update(account)
        .where(account.c.vuid == vuid, account.c.generation == row.generation)
        .values(codes_valid_from=valid_from, changed_at=now)
    )
    return Revoked(vuid=vuid, codes_valid_from=valid_from)


async def forget_uses(connection: Connection, *, now: datetime) -> int:
    """Remove uses of codes whose window has closed for good; return how many."""
    done = await connection.execute(delete(code_use).where(code_use.c.forget_at < int(now.timestamp())))
    return int(done.rowcount)
