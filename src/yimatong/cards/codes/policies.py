"""Policies of applications (应用用码策略): lifetimes, classes, purposes, uses and tolerance, each within fixed bounds.

The policy of who issues a code decides its class and lifetime; the policy of who reads it decides purposes, tolerance
and how often it may be used within one institution and visit. A caller without a row has its institution's, else the
platform's defaults. Verification reads it in its own look-up, so a change holds from the next request on.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Scope
from yimatong.cards.codec import TTL_S_MAX, TTL_UNIT_S, CodeClass, Purpose
from yimatong.cards.codes.judgement import SKEW_S, SKEW_S_MAX
from yimatong.cards.errors import LifetimeTooLong, NotOpenToApplication, PolicyInvalid
from yimatong.cards.models import code_policy
from yimatong.kit import audit
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id

TTL_S_MIN = 15
TTL_S_DEFAULT = 60
TTL_S_MOST, SKEW_S_MOST = TTL_S_MAX, SKEW_S_MAX
USES_MAX = 20
RUBBISH_MAX_MAX = 10_000
CLASSES = tuple(each.name.lower() for each in CodeClass)
PURPOSES = tuple(each.value for each in Purpose)

Lifetime = Annotated[int, Meta(ge=TTL_S_MIN, le=TTL_S_MAX)]


class CodePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One application's policy. ``None`` is the platform's default: all classes and purposes, 60 s, 1,275 s at most.

    A lifetime is both what a code gets when none is asked for, and the most that can be asked for.
    """

    subject: Annotated[str, Meta(min_length=1, max_length=64)]
    classes: list[str] | None = None
    purposes: list[str] | None = None
    ttl_general_s: Lifetime | None = None
    ttl_visit_s: Lifetime | None = None
    ttl_records_s: Lifetime | None = None
    ttl_payment_s: Lifetime | None = None
    uses: Annotated[int, Meta(ge=1, le=USES_MAX)] = 1
    skew_s: Annotated[int, Meta(ge=0, le=SKEW_S_MAX)] = SKEW_S
    rubbish_max: Annotated[int, Meta(ge=1, le=RUBBISH_MAX_MAX)] | None = None

    def ttl_s(self, code_class: str, asked_s: int | None) -> int:
        """Return the lifetime of a code, a multiple of 5 s.

        Raises:
            NotOpenToApplication: the class is not allowed. LifetimeTooLong: more than the class may have.
        """
        if self.classes is not None and code_class not in self.classes:
            raise NotOpenToApplication(what=code_class)
        limit_s: int | None = getattr(self, f"ttl_{code_class}_s")
        if asked_s is not None and asked_s > (limit_s or TTL_S_MAX):
            raise LifetimeTooLong(limit_s=limit_s or TTL_S_MAX)
        ttl_s = asked_s or limit_s or TTL_S_DEFAULT
        return ttl_s - ttl_s % TTL_UNIT_S


_FIELDS = CodePolicy.__struct_fields__


async def of_issuer(connection: Connection, issuer_id: str, *, scope: Scope) -> CodePolicy:
    """Return the policy that binds who issues: its own, its institution's, or the defaults."""
    subjects = [issuer_id] if scope.institution_id is None else [issuer_id, scope.institution_id]
    rows = await connection.execute(select(code_policy).where(code_policy.c.subject.in_(subjects)))
    found = {row.subject: CodePolicy(**{name: getattr(row, name) for name in _FIELDS}) for row in rows}
    return next((found[subject] for subject in subjects if subject in found), CodePolicy(subject=issuer_id))


async def policies(connection: Connection) -> list[CodePolicy]:
    """Return every policy that somebody set, by subject."""
    rows = await connection.execute(select(code_policy).order_by(code_policy.c.subject))
    return [CodePolicy(**{name: getattr(row, name) for name in _FIELDS}) for row in rows]


async def put(connection: Connection, wanted: CodePolicy, *, operator_id: str, now: datetime) -> CodePolicy:
    """Set the policy of a caller or an institution, with its audit row; it holds from the next request on.

    Raises:
        PolicyInvalid: an unknown class or purpose, or a value outside its bounds.
    """
    try:
        msgspec.convert(msgspec.to_builtins(wanted), CodePolicy)
    except msgspec.ValidationError as error:
        raise PolicyInvalid(detail=str(error)) from None
    unknown = [*(set(wanted.classes or ()) - set(CLASSES)), *(set(wanted.purposes or ()) - set(PURPOSES))]
    if unknown:
        raise PolicyInvalid(detail=", ".join(sorted(unknown)))
    values = msgspec.structs.asdict(wanted) | {"changed_by": operator_id, "changed_at": now}
    statement = insert(code_policy).values(**values)
    await connection.execute(
        statement.on_conflict_do_update(
            index_elements=["subject"], set_={name: statement.excluded[name] for name in values if name != "subject"}
        )
    )
    detail = msgspec.json.encode(wanted).decode()
    await _note(connection, wanted.subject, detail, operator_id=operator_id, now=now)
    return wanted


async def remove(connection: Connection, subject: str, *, operator_id: str, now: datetime) -> None:
    """Let a caller or an institution have the defaults again, with its audit row; none there changes nothing."""
    done = await connection.execute(
        delete(code_policy).where(code_policy.c.subject == subject).returning(code_policy.c.subject)
    )
    if done.first() is not None:
        await _note(connection, subject, "removed", operator_id=operator_id, now=now)


async def _note(connection: Connection, subject: str, detail: str, *, operator_id: str, now: datetime) -> None:
    await audit.record(
        connection,
        actor=operator_id,
        action="codes:policy",
        object_kind="code_policy",
        object_id=subject,
        request_id=new_id("op"),
        now=now,
        detail=detail,
    )
