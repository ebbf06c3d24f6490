"""Verbs of codes off the coalesced path: issue in every form, and revoke."""

from __future__ import annotations

import base64
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Row, delete, insert, update

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
from yimatong.cards.codes import offline, policies, signing, symbols
from yimatong.cards.codes.judgement import SKEW_S_MAX, token_digest
from yimatong.cards.codes.schemas import IssuedCode, NewCode, Revoked
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    OfflineNotForClass,
    StaticCodeSwitchedOff,
    TokenNotAllowed,
)
from yimatong.cards.models import account, code_record, code_use
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id

REMEMBERED_S = 48 * 3600
"""How long a code that was issued with a token is remembered: a terminal may tell of it a day later."""

_TOKEN = re.compile(r"P\.[A-Za-z0-9._~=/+-]{1,210}", re.ASCII)


class _Made(NamedTuple):
    kind: CodeKind
    text: str
    issued_at: datetime
    expires_at: datetime | None = None
    key_version: int | None = None


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
    """Issue a static, dynamic or offline code of an account that the scope holds, and record it.

    ``issuer_id`` is the caller, or ``web`` for the resident's own page. A dynamic code is good from its own second on.
    A former VUID gets a code of the account of today.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, StaticCodeSwitchedOff; OfflineNotForClass;
        NotOpenToApplication, LifetimeTooLong: the application's policy. KeyNotFound: no key that signs offline codes.
    """
    row = await _usable(connection, wanted.vuid, scope=scope, now=now)
    if wanted.kind == "static":
        if not row.static_allowed:
            raise StaticCodeSwitchedOff
        made = _Made(CodeKind.STATIC, static_text(row.vuid), now)
    else:
        policy = await policies.of_issuer(connection, issuer_id, scope=scope)
        valid = _fresh(wanted.code_class, policy.ttl_s(wanted.code_class, wanted.ttl_s), now=now)
        if wanted.kind == "offline":
            made = await _offline(connection, vault, row.vuid, valid)
        else:
            made = await _dynamic(vault, row.vuid, valid)
    return await _recorded(
        connection, row.vuid, wanted, made, scope=scope, issuer_id=issuer_id, request_id=request_id, now=now
    )


async def issue_with_token(
    connection: Connection,
    vault: Vault,
    wanted: NewCode,
    *,
    token: str,
    scope: Scope,
    issuer_id: str,
    request_id: str,
    now: datetime,
) -> IssuedCode:
    """Issue a two-in-one code (二码合一): a dynamic code that carries a payment provider's data, ``P.`` and its text.

    The token's digest is kept with the nonce, so that the code is genuine with this very token only. ``kind`` of
    ``wanted`` does not matter.

    Raises:
        TokenNotAllowed: the token cannot stand in a code. Others as for ``issue``.
    """
    if not _TOKEN.fullmatch(token):
        raise TokenNotAllowed
    row = await _usable(connection, wanted.vuid, scope=scope, now=now)
    policy = await policies.of_issuer(connection, issuer_id, scope=scope)
    valid = _fresh(wanted.code_class, policy.ttl_s(wanted.code_class, wanted.ttl_s), now=now)
    plain = await _dynamic(vault, row.vuid, valid)
    await _remember(connection, row.vuid, valid, token)
    made = plain._replace(kind=CodeKind.TWO_IN_ONE, text=f"{plain.text}:{token}")
    return await _recorded(
        connection, row.vuid, wanted, made, scope=scope, issuer_id=issuer_id, request_id=request_id, now=now
    )


async def _usable(connection: Connection, vuid: str, *, scope: Scope, now: datetime) -> Row[Any]:
    """Return the account of today behind a VUID, if codes may be made of it; a guardian's app may ask, too."""
    row = await accounts.held(connection, vuid, scope=scope, guardian_at=now)
    if row.state == "frozen":
        raise AccountFrozen
    if row.state == "cancelled":
        raise AccountCancelled
    return row


def _fresh(code_class: str, ttl_s: int, *, now: datetime) -> Valid:
    return Valid(
        code_class=CodeClass[code_class.upper()],
        issued_at=int(now.timestamp()),
        ttl_s=ttl_s - ttl_s % TTL_UNIT_S,
        nonce=secrets.token_bytes(NONCE_BYTES),
    )


async def _dynamic(vault: Vault, vuid: str, valid: Valid) -> _Made:
    keys = await vault.valid_keys([vuid])
    version = max(keys)
    issued_at = datetime.fromtimestamp(valid.issued_at, UTC)
    return _Made(
        CodeKind.DYNAMIC,
        dynamic_text(vuid, seal_valid(keys[version][0], valid)),
        issued_at,
        issued_at + timedelta(seconds=valid.ttl_s),
        version,
    )


async def _offline(connection: Connection, vault: Vault, vuid: str, valid: Valid) -> _Made:
    if valid.code_class not in offline.CLASSES:
        raise OfflineNotForClass
    plain = await _dynamic(vault, vuid, valid)
    header = offline.Header(await signing.active_kid(vault), valid)
    sealed = bytes.fromhex(plain.text.rsplit(":", 1)[1])
    signature = await signing.sign(vault, header.kid, offline.signed_text(vault.issuer, vuid, sealed, header))
    token = offline.token(header, signature)
    await _remember(connection, vuid, valid, token)
    return plain._replace(kind=CodeKind.OFFLINE, text=f"{plain.text}:{token}")


async def _remember(connection: Connection, vuid: str, valid: Valid, token: str) -> None:
    await connection.execute(
        insert(code_use).values(
            vuid=vuid,
            issued_at=valid.issued_at,
            nonce=valid.nonce,
            token_digest=token_digest(token),
            forget_at=valid.issued_at + valid.ttl_s + 2 * SKEW_S_MAX + REMEMBERED_S,
        )
    )


async def _recorded(
    connection: Connection,
    vuid: str,
    wanted: NewCode,
    made: _Made,
    *,
    scope: Scope,
    issuer_id: str,
    request_id: str,
    now: datetime,
) -> IssuedCode:
    record_id = new_id("rec")
    await connection.execute(
        insert(code_record).values(
            vuid=vuid,
            record_id=record_id,
            at=now,
            event="issued",
            code_kind=made.kind.value,
            purpose=wanted.code_class,
            result="ok",
            caller_id=issuer_id,
            institution_id=scope.institution_id,
            request_id=request_id,
            key_version=made.key_version,
        )
    )
    return IssuedCode(
        record_id=record_id,
        kind=made.kind,
        text=made.text,
        issued_at=made.issued_at,
        expires_at=made.expires_at,
        image=_image(made.text, wanted.image),
    )


def _image(text: str, wanted: str) -> str:
    if wanted == "svg":
        return symbols.qr_svg(text)
    if wanted == "png":
        return base64.b64encode(symbols.qr_png(text)).decode()
    return ""


async def revoke(connection: Connection, vuid: str, *, caller: Caller, now: datetime) -> Revoked:
    """Revoke every dynamic, two-in-one and offline code of a person's account that was issued before the next second.

    Whatever other VUIDs the account has or had are revoked with it.

    Raises:
        AccountNotFound: none, or not this caller's.
    """
    row = await accounts.held(connection, vuid, scope=caller.scope, for_update=True)
    valid_from = datetime.fromtimestamp(int(now.timestamp()) + 1, UTC)
    await connection.execute(
        update(account)
        .where(account.c.vuid.in_(await accounts.group(connection, row.vuid)), account.c.state != "cancelled")
        .values(codes_valid_from=valid_from, changed_at=now)
    )
    return Revoked(vuid=row.vuid, codes_valid_from=valid_from)


async def forget_uses(connection: Connection, *, now: datetime) -> int:
    """Remove uses of codes whose window has closed for good; return how many."""
    done = await connection.execute(delete(code_use).where(code_use.c.forget_at < int(now.timestamp())))
    return int(done.rowcount)
