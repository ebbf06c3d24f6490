"""What a caller sees of a person: whole where it has a record of her, else masked.

The rule stands in docs/spec/search.md. An institution that has stated something of a person (by any of its callers,
under any id that means her today), or an app that has proven it (real-name level 2), reads her name, numbers, phone,
address and birth date whole; everybody else sees masks and no birth date.
Identifiers are shown as ``identifiers.visibility`` says: an institution's own domains are nobody else's to know of.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from yimatong.access.caller import Caller
from yimatong.crypto.vault import Vault
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers.queries import Number
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.search import queries
from yimatong.empi.search.schemas import PersonHit
from yimatong.kit.db import Connection, raw
from yimatong.kit.masking import Personal


async def hits(
    connection: Connection, vault: Vault, ranks: Mapping[UUID, float], *, caller: Caller, now: datetime
) -> list[PersonHit]:
    """Return persons of today as a caller sees them, in the order given."""
    if not ranks:
        return []
    inside = await raw(connection)
    sealer = await vault.sealer()
    rows = await queries.today(inside, ranks)
    seen = await queries.seen_by(connection, ranks, caller=caller)
    numbers = await identifiers.of_persons(
        inside, list(ranks), sealer=sealer, blinder=await vault.blinder(), now=now, scope=caller.scope
    )
    refer = await vault.referrer(caller.holder)
    found = []
    for mpi, rank in ranks.items():
        row, marital, _ = rows[mpi]
        known = persons.unsealed(
            sealer,
            mpi,
            row.sealed,
            sex=row.sex,
            birth_date=row.birth_date,
            state=row.state,
            deceased_on=row.deceased_on,
        )
        found.append(
            hit(
                known,
                ref=refer(mpi.hex),
                region_code=row.region_code or "",
                marital=marital,
                numbers=numbers[mpi],
                whole=mpi in seen,
                rank=rank,
            )
        )
    return found


def hit(
    known: PersonRecord,
    *,
    ref: str,
    region_code: str,
    marital: str,
    numbers: Collection[Number],
    whole: bool,
    rank: float,
) -> PersonHit:
    """Return one person as a caller sees her, ``whole`` or masked."""
    return PersonHit(
        mpi_ref=ref,
        name=told(known.name, whole=whole),
        sex=known.sex,
        birth_date=known.birth_date if whole else None,
        id_type=known.id_type,
        id_number=told(known.id_number, whole=whole),
        phone=told(known.phone, whole=whole),
        address=told(known.address, whole=whole),
        region_code=region_code,
        marital=marital if whole else "",
        nation=known.nation if whole else "",
        state=known.state,
        deceased_on=known.deceased_on if whole else None,
        identifiers=tuple(SourceNumber(domain=each.domain, number=each.number) for each in numbers),
        rank=rank,
    )


def told(text: Personal, *, whole: bool) -> str:
    """Return a text whole, or its mask; what is empty stays empty."""
    return str.__str__(text) if whole or not text else text.masked
