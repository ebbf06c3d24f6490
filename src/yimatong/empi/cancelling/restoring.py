"""Taking a cancellation back (a steward): exactly what ended with it is as it was."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row, select, text, update

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import topics
from yimatong.empi.cancelling import keeping
from yimatong.empi.errors import NotCancelled
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.merges import pointers, queries
from yimatong.empi.merges import waiting as reviews
from yimatong.empi.merges.remaking import remake
from yimatong.empi.models import cancellation
from yimatong.kit.db import Connection, raw


async def restore(
    connection: Connection, mpi: UUID, *, operator: str, reason: str, sealer: Sealer, blinder: Blinder, now: datetime
) -> UUID:
    """Take the cancellation of a person back (a steward): what ended with it is as it was; return her id.

    A number that somebody else got meanwhile stays with her.

    Raises:
        PersonNotFound: nobody. NotCancelled: she is not cancelled.
    """
    row = (await pointers.lock(connection, mpi))[mpi]
    known = await keeping.standing(connection, row.mpi, "person")
    if row.state != "cancelled" or known is None:
        raise NotCancelled
    decision_id = await keeping.decide(
        connection, "restore", row.mpi, operator=operator, method="steward", reason=reason, now=now
    )
    version = await keeping.mark(
        connection,
        row.mpi,
        state="live",
        cancelled_at=None,
        cancel_reason=None,
        deceased_on=None if row.deceased_on == known.died_on else row.deceased_on,
        compared_at=None,
        changed_at=now,
    )
    await _undo(
        connection,
        known,
        decision_id=decision_id,
        mpi=row.mpi,
        version=version,
        operator=operator,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    await reviews.reopen(connection, known.decision_id, operator=operator, now=now)
    group = (await queries.groups(connection, [row.mpi]))[row.mpi]
    await keeping.tell(connection, topics.PERSON_RESTORED, group.members, known.decision_id, reason, now=now)
    return cast("UUID", row.mpi)


async def restore_records(
    connection: Connection,
    cancellation_id: str,
    *,
    operator: str,
    reason: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> UUID:
    """Take the cancellation of one provider's records back (a steward); return whose they are.

    Raises:
        NotCancelled: no such cancellation of records, or it was taken back.
    """
    found = await connection.execute(
        select(cancellation).where(
            cancellation.c.cancellation_id == cancellation_id,
            cancellation.c.extent == "record",
            cancellation.c.undone_at.is_(None),
        )
    )
    known = found.first()
    if known is None:
        raise NotCancelled
    row = (await pointers.lock(connection, known.mpi))[known.mpi]
    decision_id = await keeping.decide(
        connection, "restore", row.mpi, operator=operator, method="steward", reason=reason, now=now
    )
    version = await pointers.touch(connection, row.mpi, now=now)
    await _undo(
        connection,
        known,
        decision_id=decision_id,
        mpi=row.mpi,
        version=version,
        operator=operator,
        sealer=sealer,
        blinder=blinder,
        now=now,
    )
    return cast("UUID", row.mpi)


_REVIVE = text(
    """
    UPDATE empi_identifier i SET state = 'active', ended_at = NULL, ended_reason = NULL
    WHERE i.relation_id = ANY(:ids) AND i.state = 'ended'
      AND NOT EXISTS (SELECT FROM empi_identifier o WHERE o.domain = i.domain AND o.number_blind = i.number_blind
                      AND o.state = 'active')
    RETURNING i.relation_id, i.domain
    """
)
_CURRENT_AGAIN = text(
    """
    UPDATE empi_contribution c SET current = true
    WHERE c.contribution_id = ANY(:ids)
      AND NOT EXISTS (SELECT FROM empi_contribution o WHERE o.domain = c.domain AND o.source_blind = c.source_blind
                      AND o.current)
    """
)


async def _undo(
    connection: Connection,
    known: Row[Any],
    *,
    decision_id: str,
    mpi: UUID,
    version: int,
    operator: str,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    await connection.execute(
        update(cancellation)
        .where(cancellation.c.cancellation_id == known.cancellation_id)
        .values(undone_at=now, undo_decision_id=decision_id)
    )
    back = (await connection.execute(_REVIVE, {"ids": list(known.relations)})).all()
    if known.contributions:
        await connection.execute(_CURRENT_AGAIN, {"ids": list(known.contributions)})
    inside = await raw(connection)
    made_anew = await remake(inside, [mpi], sealer=sealer, blinder=blinder, now=now)
    version = made_anew.get(mpi, version)
    told = [Change(mpi, "restored" if known.extent == "person" else "updated", operator, version)]
    told += [Change(mpi, "linked", operator, version, domain=row.domain) for row in back]
    await events.note(inside, told, now=now)
