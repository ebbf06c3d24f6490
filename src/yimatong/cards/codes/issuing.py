"""Issue of codes, many at once: concurrent requests share their look-up, the device's one call and their rows.

The look-up reads each account of today, whether the scope holds it and the issuer's policy in one statement; VALID of
every dynamic code is made with one call to the device; records (and the tokens that must be remembered) are stored
with one statement each. One that is refused leaves nothing and never fails a neighbour.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from yimatong.access.caller import Scope
from yimatong.cards.accounts.queries import holder_of
from yimatong.cards.codec import NONCE_BYTES, CodeClass, CodeKind, Valid, dynamic_text, seal_valid, static_text
from yimatong.cards.codes import offline, signing, symbols
from yimatong.cards.codes.judgement import SKEW_S_MAX, token_digest
from yimatong.cards.codes.policies import CodePolicy
from yimatong.cards.codes.schemas import IssuedCode, NewCode
from yimatong.cards.codes.statements import MASTER
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    AccountNotFound,
    OfflineNotForClass,
    StaticCodeSwitchedOff,
)
from yimatong.crypto.vault import Vault
from yimatong.kit.arrays import moments, octets, plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id

REMEMBERED_S: Final = 48 * 3600
"""How long a code that was issued with a token is remembered: a terminal may tell of it a day later."""

_LOOK_UP = f"""
    WITH i AS MATERIALIZED (
        SELECT * FROM unnest(%s::int[], %s::text[], %s::text[], %s::bool[], %s::text[], %s::text[])
            AS i (ord, vuid, holder, everything, issuer, institution))
    SELECT i.ord, t.vuid, t.state, t.static_allowed,
           i.everything OR EXISTS (
               SELECT FROM cards_holder WHERE vuid IN (t.vuid, CASE WHEN a.state <> 'alias' THEN i.vuid END)
                                          AND holder = i.holder),
           coalesce(y.classes, z.classes), coalesce(y.ttl_general_s, z.ttl_general_s),
           coalesce(y.ttl_visit_s, z.ttl_visit_s), coalesce(y.ttl_records_s, z.ttl_records_s),
           coalesce(y.ttl_payment_s, z.ttl_payment_s)
    FROM i
    LEFT JOIN LATERAL (SELECT * FROM cards_code_policy WHERE subject = i.issuer LIMIT 1) y ON true
    LEFT JOIN LATERAL (SELECT * FROM cards_code_policy
                       WHERE y.subject IS NULL AND subject = i.institution LIMIT 1) z ON true
    JOIN LATERAL (SELECT * FROM cards_account WHERE vuid = i.vuid ORDER BY generation DESC LIMIT 1) a ON true
{MASTER}
    LEFT JOIN LATERAL (SELECT * FROM cards_account
                       WHERE m.vuid IS NULL AND vuid = a.alias_of ORDER BY generation DESC LIMIT 1) r ON true
    JOIN LATERAL (SELECT coalesce(m.vuid, r.vuid, a.vuid) AS vuid, coalesce(m.state, r.state, a.state) AS state,
                         coalesce(m.static_allowed, r.static_allowed, a.static_allowed) AS static_allowed) t ON true
"""  # noqa: S608 -- put together from parts of this package
"""The account of today, as verification finds it: where an alias or a joined person leads; else the VUID's own row."""

_RECORD = """
    INSERT INTO cards_code_record (vuid, record_id, at, event, code_kind, purpose, result, caller_id, institution_id,
                                   request_id, key_version)
    SELECT v, d, t, 'issued', k, p, 'ok', c, i, r, n
    FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::text[], %s::text[], %s::text[],
                %s::text[], %s::smallint[]) AS o (v, d, t, k, p, c, i, r, n)
"""
_REMEMBER = """
    INSERT INTO cards_code_use (vuid, issued_at, nonce, token_digest, forget_at)
    SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bytea[], %s::bytea[], %s::bigint[])
"""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """A code that is wanted. ``issuer_id`` is the caller, or ``web`` for the resident's own page.

    With a ``token`` (``P.`` and its text) it becomes a two-in-one code, whatever its kind.
    """

    wanted: NewCode
    scope: Scope
    issuer_id: str
    request_id: str
    now: datetime
    token: str = ""
    nonce: bytes = b""
    """Of a two-in-one code, whose token was asked for by it; else it is drawn."""


class Usable(NamedTuple):
    """The account of today that a code is wanted of, and the policy that binds who issues it."""

    vuid: str
    state: str
    static_allowed: bool
    policy: CodePolicy


class _Plan(msgspec.Struct, kw_only=True, eq=False):
    """One code on its way: what was ordered, of which account, and what became of it."""

    order: Order
    vuid: str
    kind: CodeKind
    valid: Valid | None = None
    text: str = ""
    token: str = ""
    key_version: int | None = None


class Issuer:
    """Issues for the native API; ``access.shared.sharing`` makes it a shared path."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def issue(self, connection: RawConnection, orders: Sequence[Order]) -> list[IssuedCode | PlatformError]:
        """Issue many codes of accounts that their scopes hold; one code or refusal for each, in order.

        A refusal is what ``service.issue`` raises.
        """
        return await issue_many(connection, self._vault, orders) if orders else []


async def issue_many(
    connection: RawConnection, vault: Vault, orders: Sequence[Order]
) -> list[IssuedCode | PlatformError]:
    """Look the accounts up, make the codes and store them; errors of ``service.issue``, each in its own place."""
    found = await _look_up(connection, orders)
    known = [index for index, usable in enumerate(found) if usable is not None]
    made = iter(await make_many(connection, vault, [(orders[index], _sure(found[index])) for index in known]))
    return [AccountNotFound() if usable is None else next(made) for usable in found]


async def make_many(
    connection: RawConnection, vault: Vault, wanted: Sequence[tuple[Order, Usable]]
) -> list[IssuedCode | PlatformError]:
    """Make the codes of accounts that were looked up, and store their records."""
    outcomes: list[_Plan | PlatformError] = []
    for order, usable in wanted:
        try:
            outcomes.append(_planned(order, usable))
        except PlatformError as refusal:
            outcomes.append(refusal)
    await _make_valid(vault, [plan for plan in outcomes if isinstance(plan, _Plan) and plan.valid])
    for index, plan in enumerate(outcomes):
        if isinstance(plan, _Plan) and plan.kind is CodeKind.OFFLINE:
            try:
                await _sign(vault, plan)
            except PlatformError as refusal:
                outcomes[index] = refusal
    issued = [(plan, new_id("rec")) for plan in outcomes if isinstance(plan, _Plan)]
    await _store(connection, issued)
    records = iter(record for _, record in issued)
    return [_issued(each, next(records)) if isinstance(each, _Plan) else each for each in outcomes]


def _planned(order: Order, usable: Usable) -> _Plan:
    """Say what is to be made.

    Raises:
        AccountFrozen, AccountCancelled, StaticCodeSwitchedOff, OfflineNotForClass; NotOpenToApplication,
        LifetimeTooLong: the issuer's policy.
    """
    if usable.state == "frozen":
        raise AccountFrozen
    if usable.state == "cancelled":
        raise AccountCancelled
    wanted = order.wanted
    if wanted.kind == "static" and not order.token:
        if not usable.static_allowed:
            raise StaticCodeSwitchedOff
        return _Plan(order=order, vuid=usable.vuid, kind=CodeKind.STATIC, text=static_text(usable.vuid))
    valid = Valid(
        code_class=CodeClass[wanted.code_class.upper()],
        issued_at=int(order.now.timestamp()),
        ttl_s=usable.policy.ttl_s(wanted.code_class, wanted.ttl_s),
        nonce=order.nonce or secrets.token_bytes(NONCE_BYTES),
    )
    kind = CodeKind.TWO_IN_ONE if order.token else CodeKind(wanted.kind)
    if kind is CodeKind.OFFLINE and valid.code_class not in offline.CLASSES:
        raise OfflineNotForClass
    return _Plan(order=order, vuid=usable.vuid, kind=kind, valid=valid, token=order.token)


async def _make_valid(vault: Vault, plans: Sequence[_Plan]) -> None:
    """Make every VALID with one call to the device, under the newest live version."""
    if not plans:
        return
    keys = await vault.valid_keys([plan.vuid for plan in plans])
    version = max(keys)
    for plan, key in zip(plans, keys[version], strict=True):
        plan.key_version = version
        plan.text = dynamic_text(plan.vuid, seal_valid(key, _sure(plan.valid)), plan.token)


async def _sign(vault: Vault, plan: _Plan) -> None:
    """Add the token of an offline code.

    Raises:
        KeyNotFound: no key that signs.
    """
    header = offline.Header(await signing.active_kid(vault), _sure(plan.valid))
    sealed = bytes.fromhex(plan.text.rsplit(":", 1)[1])
    signature = await signing.sign(vault, header.kid, offline.signed_text(vault.issuer, plan.vuid, sealed, header))
    plan.token = offline.token(header, signature)
    plan.text = f"{plan.text}:{plan.token}"


async def _look_up(connection: RawConnection, orders: Sequence[Order]) -> list[Usable | None]:
    parameters = (
        plain(range(len(orders))),
        texts(order.wanted.vuid for order in orders),
        texts(holder_of(order.scope) for order in orders),
        plain("t" if order.scope.all_rows else "f" for order in orders),
        texts(order.issuer_id for order in orders),
        texts(order.scope.institution_id for order in orders),
    )
    rows: Sequence[Any] = await (await connection.execute(_LOOK_UP, parameters)).fetchall()
    found: list[Usable | None] = [None] * len(orders)
    for order, vuid, state, static_allowed, held, classes, *ttl_s in rows:
        if not held or state == "alias":
            continue
        policy = CodePolicy(
            subject=orders[order].issuer_id,
            classes=classes,
            **dict(zip(("ttl_general_s", "ttl_visit_s", "ttl_records_s", "ttl_payment_s"), ttl_s, strict=True)),
        )
        found[order] = Usable(vuid, state, static_allowed, policy)
    return found


async def _store(connection: RawConnection, issued: Sequence[tuple[_Plan, str]]) -> None:
    if not issued:
        return
    plans = [plan for plan, _ in issued]
    columns = (
        plain(plan.vuid for plan in plans),
        plain(record_id for _, record_id in issued),
        moments(plan.order.now for plan in plans),
        plain(plan.kind.value for plan in plans),
        plain(plan.order.wanted.code_class for plan in plans),
        texts(plan.order.issuer_id for plan in plans),
        texts(plan.order.scope.institution_id for plan in plans),
        plain(plan.order.request_id for plan in plans),
        plain(plan.key_version for plan in plans),
    )
    await connection.execute(_RECORD, columns)
    remembered = [(plan, _sure(plan.valid)) for plan in plans if plan.token]
    if remembered:
        uses = (
            plain(plan.vuid for plan, _ in remembered),
            plain(valid.issued_at for _, valid in remembered),
            octets(valid.nonce for _, valid in remembered),
            octets(token_digest(plan.token) for plan, _ in remembered),
            plain(valid.issued_at + valid.ttl_s + 2 * SKEW_S_MAX + REMEMBERED_S for _, valid in remembered),
        )
        await connection.execute(_REMEMBER, uses)


def _issued(plan: _Plan, record_id: str) -> IssuedCode:
    valid = plan.valid
    issued_at = plan.order.now if valid is None else datetime.fromtimestamp(valid.issued_at, UTC)
    return IssuedCode(
        record_id=record_id,
        kind=plan.kind,
        text=plan.text,
        issued_at=issued_at,
        expires_at=None if valid is None else issued_at + timedelta(seconds=valid.ttl_s),
        image=_image(plan.text, plan.order.wanted.image),
    )


def _image(text: str, wanted: str) -> str:
    if wanted == "svg":
        return symbols.qr_svg(text)
    if wanted == "png":
        return base64.b64encode(symbols.qr_png(text)).decode()
    return ""


def _sure(value: Any) -> Any:
    """Return a value that a plan of this stage always has."""
    if value is None:
        message = "a code skipped a stage of its making"
        raise RuntimeError(message)
    return value
