"""The verb of visits: register one after a code was verified."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import Caller
from yimatong.access.errors import NotPermitted
from yimatong.cards.codes import queries as codes
from yimatong.care.errors import VerificationTooOld, VerificationUsed, VisitExists
from yimatong.care.models import visit
from yimatong.kit.db import Connection

VERIFIED_WITHIN: Final = timedelta(minutes=10)


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """A visit to register, of either kind."""

    visit_no: str
    verification_id: str
    vuid: str
    department: str
    doctor: str
    kind: str = "clinic"
    state: str = "registered"


async def register(connection: Connection, new: Registration, *, caller: Caller, now: datetime) -> Row[Any]:
    """Register a visit at the caller's institution.

    Raises:
        RecordNotFound: no such verification at this institution, or of another card.
        VerificationTooOld, VerificationUsed: read the code again.
        VisitExists: the visit number was used.
        NotPermitted: a caller without an institution.
    """
    if caller.institution_id is None:
        raise NotPermitted(permission="visits:write")
    used = await codes.used_record(connection, new.verification_id, new.vuid, scope=caller.scope)
    if now - used.at > VERIFIED_WITHIN:
        raise VerificationTooOld(minutes=int(VERIFIED_WITHIN.total_seconds() // 60))
    made = await connection.execute(
        insert(visit)
        .values(
            institution_id=caller.institution_id,
            visit_no=new.visit_no,
            kind=new.kind,
            vuid=used.vuid,
            verification_id=new.verification_id,
            department=new.department,
            doctor=new.doctor,
            state=new.state,
            visited_at=now,
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(visit)
    )
    row: Row[Any] | None = made.first()
    if row is not None:
        return row
    taken = await connection.execute(
        select(visit.c.visit_no).where(
            visit.c.institution_id == caller.institution_id, visit.c.visit_no == new.visit_no
        )
    )
    raise VerificationUsed if taken.first() is None else VisitExists(visit_no=new.visit_no)
