"""Every SELECT of prescription codes."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from yimatong.access.caller import Caller
from yimatong.care.errors import PrescriptionCodeUnknown
from yimatong.care.models import bill, prescription_code, visit
from yimatong.kit.db import Connection


async def by_digest(connection: Connection, digest: bytes, *, caller: Caller) -> Row[Any]:
    """Return the bill that a code was printed for, with its patient. A counter resolves its own hospital's alone.

    Raises:
        PrescriptionCodeUnknown: none that this caller may know of.
    """
    query = (
        select(bill, visit.c.vuid)
        .join(
            prescription_code,
            (prescription_code.c.institution_id == bill.c.institution_id)
            & (prescription_code.c.bill_no == bill.c.bill_no),
        )
        .join(visit, (visit.c.institution_id == bill.c.institution_id) & (visit.c.visit_no == bill.c.visit_no))
        .where(prescription_code.c.digest == digest)
    )
    row = (await connection.execute(query)).first()
    if row is None or (caller.institution_id is not None and row.institution_id != caller.institution_id):
        raise PrescriptionCodeUnknown
    return row
