"""The national number of a person: a cross index in the domain ``national:mpi``, one a person.

Whose a number is, is the national index's to say. A number of before is ended when another one comes; a number that
already stands for somebody else of ours says that both are one person there, and a steward is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.identifiers import entering, queries, rules
from yimatong.empi.identifiers import service as identifiers
from yimatong.empi.identifiers.service import EndedNumber, Entered, NewNumber
from yimatong.empi.national import statements
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit.db import RawConnection

DOMAIN: Final = "national:mpi"
PROVIDER: Final = "national"


def blind(blinder: Blinder, national_id: str) -> bytes:
    """Return the keyed blind of a national number."""
    return rules.blind(blinder, DOMAIN, rules.normal(DOMAIN, national_id))


async def keep(
    connection: RawConnection, mpi: UUID, national_id: str, *, sealer: Sealer, blinder: Blinder, now: datetime
) -> str:
    """Enter a person's national number in the place of another one.

    Return the review that came of it, where the number is somebody else's of ours; else an empty text.
    A number that was another person's before may be hers now: the national index gave it.
    """
    own = blind(blinder, national_id)
    person = await _current(connection, mpi)
    standing: Sequence[Any] = await (await connection.execute(statements.NUMBERS, (DOMAIN, person, person))).fetchall()
    other = (await queries.active(connection, [(DOMAIN, national_id)], blinder=blinder)).get(0)
    if other is not None and await _current(connection, other.mpi) != person:
        return await ask(connection, person, other.mpi, because="one_national_number", now=now)
    ended = [
        EndedNumber(DOMAIN, sealer.unseal(bytes(row[2]), queries.aad(row[1])).decode(), "replaced")
        for row in standing
        if bytes(row[0]) != own
    ]
    await identifiers.end(connection, ended, blinder=blinder, provider=PROVIDER, now=now)
    new = [NewNumber(DOMAIN, national_id, person, PROVIDER)]
    (entered,) = await entering.enter_moved(connection, new, sealer=sealer, blinder=blinder, now=now)
    if isinstance(entered, Entered) and entered.fresh:
        version = await _version(connection, person)
        told = [Change(person, "linked", PROVIDER, version, domain=DOMAIN)]
        await events.note(connection, told, now=now)
    return ""  # taken by another transaction this moment: the next message finds it standing


async def ask(connection: RawConnection, left: UUID, right: UUID, *, because: str, now: datetime) -> str:
    """Put two persons before a steward, as what the national index says; return the review, empty if none opens."""
    wanted = NewReview(left, right, "national", because=because, method="national")
    (review_id,) = await reviews.open_many(connection, [wanted], now, operator=PROVIDER)
    return review_id


async def _version(connection: RawConnection, mpi: UUID) -> int:
    cursor = await connection.execute("SELECT version FROM empi_person WHERE mpi = %s", (mpi,))
    row: Any = await cursor.fetchone()
    return 0 if row is None else int(row[0])


async def _current(connection: RawConnection, mpi: UUID) -> UUID:
    cursor = await connection.execute("SELECT coalesce(current_mpi, mpi) FROM empi_person WHERE mpi = %s", (mpi,))
    row: Any = await cursor.fetchone()
    found: UUID = mpi if row is None else row[0]
    return found
