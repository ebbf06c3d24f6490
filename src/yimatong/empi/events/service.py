"""What happened to persons, written in the transaction that made it happen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from yimatong.kit.arrays import plain, texts
from yimatong.kit.db import RawConnection

Kind = Literal["registered", "updated", "merged", "unmerged", "cancelled", "restored", "linked", "unlinked"]

_NOTE = """
    INSERT INTO empi_change (mpi, kind, other_mpi, domain, provider, version, at)
    SELECT m, k, o, d, p, v, %s::timestamptz
    FROM unnest(%s::uuid[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::int[]) AS i (m, k, o, d, p, v)
"""


class Change(NamedTuple):
    """One change of a person; ``version`` is hers after it. ``other``: the person she was merged with."""

    mpi: UUID
    kind: Kind
    provider: str
    version: int
    other: UUID | None = None
    domain: str | None = None


async def note(connection: RawConnection, changes: Sequence[Change], *, now: datetime) -> None:
    """Write changes in the open transaction, in their order."""
    if not changes:
        return
    mpis, kinds, providers, versions, others, domains = zip(*changes, strict=True)
    columns = (plain(mpis), plain(kinds), plain(others), texts(domains), texts(providers), plain(versions))
    await connection.execute(_NOTE, (now, *columns))
