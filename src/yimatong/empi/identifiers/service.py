"""Verbs of cross indexes (交叉索引): enter numbers, end them, move them to whom they belong, resolve them.

A number has one active person; who has it keeps it until its cross index is ended. Numbers of certificate domains are
claims of the index (``empi_certificate``): the claim decides whose they are, and a row here only keeps the number of a
certificate that no golden record shows. Many are entered with a few statements; the unique index decides every race.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import CertificateNotEnded, NumberUnknown
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.identifiers import queries, rules, statements
from yimatong.empi.identifiers.entering import Entered, NewNumber, enter_many, enter_moved
from yimatong.empi.identifiers.queries import aad, holders, resolve
from yimatong.kit.arrays import octets, plain, texts
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError

__all__ = [
    "EndedNumber",
    "Entered",
    "NewNumber",
    "end",
    "end_of_persons",
    "enter_many",
    "holders",
    "relink",
    "resolve",
    "restore_of_persons",
]


class EndedNumber(NamedTuple):
    """A number whose cross index ends. ``reason``: a key of ``rules.END_REASONS``; ``mpi``: only if it is hers."""

    domain: str
    number: str
    reason: str
    mpi: UUID | None = None


async def end(
    connection: RawConnection,
    numbers: Sequence[EndedNumber],
    *,
    blinder: Blinder,
    provider: str,
    now: datetime,
    by_provider_alone: bool = False,
) -> list[UUID | PlatformError]:
    """End cross indexes; each is answered with the person who had it. Its history stays.

    CertificateNotEnded: certificates are replaced, not ended. NumberUnknown: nobody has it, or not the person named, or
    (``by_provider_alone``) another provider entered it.
    """
    found = await queries.active(connection, [(each.domain, each.number) for each in numbers], blinder=blinder)
    results: list[UUID | PlatformError] = []
    ending: dict[str, str] = {}
    for index, each in enumerate(numbers):
        row = found.get(index)
        if rules.claimed_type(each.domain):
            results.append(CertificateNotEnded())
        elif row is None or each.mpi not in (None, row.mpi) or (by_provider_alone and row.provider != provider):
            results.append(NumberUnknown())
        else:
            ending[row.relation_id] = each.reason
            results.append(row.mpi)
    if not ending:
        return results
    columns = (now, texts(ending), texts(ending.values()))
    rows: Sequence[Any] = await (await connection.execute(statements.END, columns)).fetchall()
    gone = {row[0] for row in rows}
    told: list[Change] = []
    for index, each in enumerate(numbers):
        result = results[index]
        if not isinstance(result, UUID):
            continue
        if found[index].relation_id not in gone:
            results[index] = NumberUnknown()  # another transaction ended it this moment
            continue
        told.append(Change(result, "unlinked", provider, found[index].version, domain=each.domain))
    await events.note(connection, told, now=now)
    return results


async def end_of_persons(connection: RawConnection, mpis: Sequence[UUID], *, now: datetime) -> int:
    """End every cross index of persons who are cancelled; give all ids that mean each. Return how many ended."""
    if not mpis:
        return 0
    cursor = await connection.execute(statements.END_OF_PERSONS, (now, "person_cancelled", plain(mpis)))
    return len(await cursor.fetchall())


async def restore_of_persons(
    connection: RawConnection, mpis: Sequence[UUID], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[Entered | PlatformError]:
    """Enter again what ``end_of_persons`` ended; a number that somebody else got meanwhile stays with her.

    NumberTaken and the rest as ``enter_many``.
    """
    if not mpis:
        return []
    rows: Sequence[Any] = await (await connection.execute(statements.ENDED_WITH_PERSON, (plain(mpis),))).fetchall()
    again = [_again(row, row[3], sealer) for row in rows]
    return await enter_many(connection, again, sealer=sealer, blinder=blinder, now=now)


async def relink(
    connection: RawConnection,
    numbers: Sequence[tuple[str, bytes]],
    *,
    mpi: UUID,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> list[Entered | PlatformError]:
    """Give numbers, each as (domain, blind), to the person whose they are; the old relation ends and stays readable.

    Those that nobody has are passed over. Answers as ``enter_many``.
    """
    if not numbers:
        return []
    codes, blinds = zip(*numbers, strict=True)
    rows: Sequence[Any] = await (await connection.execute(statements.ROWS, (texts(codes), octets(blinds)))).fetchall()
    moving = [row for row in rows if row[3] != mpi]
    if not moving:
        return []
    columns = (now, texts(row[0] for row in moving), texts("relinked" for _ in moving))
    await (await connection.execute(statements.END, columns)).fetchall()
    again = [_again(row, mpi, sealer) for row in moving]
    return await enter_moved(connection, again, sealer=sealer, blinder=blinder, now=now)


def _again(row: Any, mpi: UUID, sealer: Sealer) -> NewNumber:
    number = sealer.unseal(bytes(row[2]), aad(row[0])).decode()
    return NewNumber(row[1], number, mpi, row[6], row[4], row[5])
