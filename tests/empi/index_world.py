"""A person index to merge in: persons entered row by row, and everything that an unmerge must bring back, as one value.

Persons are entered below the verbs of registration, so that what is tested here stands on the tables alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import insert, select, text

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.golden import service as golden
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.models import certificate, contribution, identifier, person
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.db import Connection, raw
from yimatong.kit.ids import new_id

SEALER = Sealer({1: b"\x11" * 16}, 1)
BLINDER = Blinder(b"\x22" * 32)
START = datetime(2026, 11, 1, tzinfo=UTC)
STEWARD = "opr_steward"


class Clock:
    """Moments that only go forward, a second a look."""

    def __init__(self) -> None:
        self._now = START

    def __call__(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now


async def enter(
    connection: Connection,
    *,
    now: datetime,
    name: str = "张三",
    id_number: str = "",
    id_type: str = "01",
    phone: str = "13800138000",
    source: tuple[str, str] | None = None,
    provider: str = "his-1",
    mpi: UUID | None = None,
) -> UUID:
    """Enter a person with one contribution (and her certificate's claim), and return her id."""
    mpi = mpi or uuid4()
    facts = SealedFacts(
        name=name,
        id_type=id_type if id_number else "",
        id_number=id_number,
        phone=phone,
        address="西安市雁塔区",
    )
    blob = SEALER.seal(msgspec.json.encode(facts), aad(mpi))
    await connection.execute(
        insert(person).values(
            mpi=mpi,
            sealed=blob,
            search_tokens=[],
            sex="1",
            birth_date=date(1990, 1, 1),
            created_at=now,
            changed_at=now,
        )
    )
    if id_number:
        await connection.execute(
            insert(certificate).values(
                id_type=id_type, id_blind=BLINDER.id_blind(id_type, id_number), mpi=mpi, claimed_at=now
            )
        )
    await say(connection, mpi, facts, now=now, source=source, provider=provider)
    await golden.recompute(await raw(connection), [mpi], sealer=SEALER, blinder=BLINDER, now=now)
    return mpi


async def say(
    connection: Connection,
    mpi: UUID,
    facts: SealedFacts,
    *,
    now: datetime,
    source: tuple[str, str] | None = None,
    provider: str = "his-1",
) -> None:
    """Keep what a provider says under an id; with a source, her number stands in the cross index, too."""
    blind = None if source is None else BLINDER.number_blind(*source)
    await connection.execute(
        insert(contribution).values(
            mpi=mpi,
            contribution_id=new_id("ctb"),
            provider=provider,
            kind="registration" if source is None else "feed",
            domain=None if source is None else source[0],
            source_blind=blind,
            sealed=SEALER.seal(msgspec.json.encode(facts), aad(mpi)),
            sex="1",
            birth_date=date(1990, 1, 1),
            real_name_method="window",
            real_name_level=1,
            real_name_at=now,
            at=now,
        )
    )
    if source is not None:
        relation = new_id("rel")
        await connection.execute(
            insert(identifier).values(
                relation_id=relation,
                domain=source[0],
                number_blind=blind,
                number_sealed=SEALER.seal(source[1].encode(), f"empi_identifier:{relation}".encode()),
                mpi=mpi,
                provider=provider,
                since=now,
            )
        )


def by(kind: str = "merge", *, method: str = "steward", operator: str = STEWARD, reason: str = "") -> NewDecision:
    """Return the beginning of a decision; its persons are filled in by the verb."""
    nobody = UUID(int=0)
    made: Any = NewDecision(kind=kind, method=method, left=nobody, operator=operator, reason=reason)  # type: ignore[arg-type]
    return made


async def state(connection: Connection) -> dict[str, Any]:
    """Return everything of every person that a merge touches, opened: nothing of it may differ after an unmerge."""
    rows = (await connection.execute(select(person).order_by(person.c.mpi))).all()
    return {
        "persons": [
            (
                row.mpi,
                SEALER.unseal(row.sealed, aad(row.mpi)),
                tuple(row.search_tokens),
                *(row.sex, row.birth_date, row.region_code, row.marital),
                *(row.state, row.current_mpi, row.deceased_on, row.cancelled_at, row.cancel_reason),
            )
            for row in rows
        ],
        **{
            name: [tuple(row) for row in await connection.execute(text(query))]
            for name, query in {
                "certificates": "SELECT id_type, id_blind, mpi, replaced_at FROM empi_certificate ORDER BY 1, 2",
                "contributions": "SELECT mpi, contribution_id, sealed, current FROM empi_contribution ORDER BY 1, 2",
                "identifiers": "SELECT relation_id, mpi, state FROM empi_identifier ORDER BY 1",
                "reviews": "SELECT review_id, left_mpi, right_mpi, state FROM empi_review ORDER BY 1",
            }.items()
        },
    }


async def pointers(connection: Connection) -> dict[UUID, UUID | None]:
    """Return where every id leads."""
    return {row.mpi: row.current_mpi for row in await connection.execute(select(person))}


async def changes(connection: Connection, mpi: UUID) -> list[str]:
    """Return what was noted of an id, in order."""
    rows = await connection.execute(
        text("SELECT kind FROM empi_change WHERE mpi = :mpi ORDER BY txid, id"), {"mpi": mpi}
    )
    return list(rows.scalars())


async def decided(connection: Connection, *mpis: UUID) -> Sequence[str]:
    """Return the kinds of decisions about ids, in order."""
    rows = await connection.execute(
        text("SELECT kind FROM empi_decision WHERE left_mpi = ANY(:m) OR right_mpi = ANY(:m) ORDER BY at, decision_id"),
        {"m": list(mpis)},
    )
    return rows.scalars().all()
