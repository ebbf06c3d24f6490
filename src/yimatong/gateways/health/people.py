"""Persons as a caller of the health interfaces sees them: found, read, masked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row

from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import NothingSelective, PersonNotFound, TooManyCandidates
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers.queries import Number
from yimatong.empi.identifiers.schemas import Resolved, ResolvedNumber, SourceNumber
from yimatong.empi.merges import queries as pointers
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.empi.search import queries as search_queries
from yimatong.empi.search import service as search
from yimatong.empi.search import showing
from yimatong.empi.search.schemas import PersonHit, PersonQuery
from yimatong.kit.db import Connection, raw

SCANNED_MAX: Final = 500
"""How many persons an index may hold at most to be looked through one by one where a search has no selective fact."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A person as a caller may see her. ``replaced_by``: the reference of the survivor of a retired one, else empty."""

    hit: PersonHit
    version: int
    replaced_by: str = ""


class Lookup(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are found: by references, by numbers (every group of alternatives), else by queries together.

    ``inactive``: cancelled and retired persons count, too.
    """

    refs: frozenset[str] | None = None
    numbers: tuple[tuple[SourceNumber, ...], ...] = ()
    queries: tuple[PersonQuery, ...] = ()
    inactive: bool = False


class People:
    """Reads persons inside an open transaction for one caller at one moment."""

    def __init__(self, connection: Connection, vault: Vault, caller: Caller, *, now: datetime) -> None:
        """Name who reads."""
        self._connection = connection
        self._vault = vault
        self._caller = caller
        self._now = now

    async def mpi(self, ref: str) -> UUID:
        """Return the id behind a reference; it need not exist."""
        return UUID(await self._vault.mpi_from_ref(self._caller.holder, ref))

    async def person(self, ref: str) -> Shown:
        """Return a person by reference, a retired one as herself.

        Raises:
            PersonNotFound: none.
        """
        mpi = await self.mpi(ref)
        rows = await pointers.rows(self._connection, [mpi])
        if mpi not in rows:
            raise PersonNotFound
        return (await self._shown(list(rows.values()), clear=False))[0]

    async def numbers(self, ref: str, targets: Sequence[str]) -> Resolved:
        """Return the numbers of a person of today in some domains, empty for all.

        Raises:
            PersonNotFound: none, or she was cancelled.
        """
        shown = await self.person(ref)
        if shown.hit.state != "live" and not shown.replaced_by:
            raise PersonNotFound
        mpi = await self.mpi(ref)
        found = await identifiers.of_persons(
            await raw(self._connection),
            [mpi],
            sealer=await self._vault.sealer(),
            blinder=await self._vault.blinder(),
            now=self._now,
            scope=self._caller.scope,
            targets=targets,
        )
        told = (
            ResolvedNumber(
                domain=each.domain,
                number=each.number,
                masked=each.masked,
                application_domain=each.application_domain,
                since=each.since,
            )
            for each in found[mpi]
        )
        return Resolved(mpi_ref=shown.replaced_by or ref, identifiers=tuple(told))

    async def persons(self, mpis: Sequence[UUID]) -> list[Shown]:
        """Return persons in the order of their ids given; unknown ones are left out."""
        rows = await pointers.rows(self._connection, list(mpis))
        return await self._shown([rows[mpi] for mpi in mpis if mpi in rows], clear=False)

    async def look_up(self, wanted: Lookup, *, keep: Callable[[Shown], bool]) -> list[Shown]:
        """Return everybody who fits, as the caller may see them, in a stable order.

        ``keep`` judges a person unmasked.

        Raises:
            NothingSelective: too few facts for an index of this size. TooManyCandidates, DomainNotYours.
        """
        ranks = await self._candidates(wanted)
        rows = await pointers.rows(self._connection, list(ranks))
        listed = [row for row in rows.values() if wanted.inactive or row.state == "live"]
        clear = await self._shown(listed, clear=True, ranks=ranks)
        kept = {row.mpi for row, each in zip(listed, clear, strict=True) if keep(each)}
        shown = await self._shown([row for row in listed if row.mpi in kept], clear=False, ranks=ranks)
        return sorted(shown, key=lambda each: (-each.hit.rank, each.hit.mpi_ref))

    async def _candidates(self, wanted: Lookup) -> Mapping[UUID, float]:
        """Return candidates with how well they fit."""
        if wanted.refs is None and not wanted.numbers:
            return await self._searched(wanted.queries)
        found: set[UUID] | None = None
        if wanted.refs is not None:
            found = {await self.mpi(ref) for ref in wanted.refs}
        for group in wanted.numbers:
            asked = [(number.domain, number.number) for number in group]
            holders = await identifiers.holders(await raw(self._connection), asked, blinder=await self._vault.blinder())
            found = set(holders.values()) if found is None else found & set(holders.values())
        return dict.fromkeys(found or (), 0.0)

    async def _searched(self, queries: Sequence[PersonQuery]) -> Mapping[UUID, float]:
        """Return everybody whom one of the queries fits. One by sound alone that is too wide is left out."""
        found: dict[UUID, float] = {}
        for query in queries:
            try:
                ranked = await search.candidates(self._connection, self._vault, query, caller=self._caller)
            except NothingSelective:
                ranked = await self._few(alone=query.name_match != "pinyin" or len(queries) == 1)
            for mpi, rank in ranked.items():
                found[mpi] = max(rank, found.get(mpi, 0.0))
            if len(found) > search.CANDIDATES_MAX:  # each is opened twice, with every number that she has
                raise TooManyCandidates(limit=search.CANDIDATES_MAX)
        return found

    async def _few(self, *, alone: bool) -> Mapping[UUID, float]:
        """Return everybody where they are few; else nobody, or a refusal where no other query stands beside."""
        found = await persons.with_tokens(self._connection, [], limit=SCANNED_MAX + 1)
        if len(found) <= SCANNED_MAX:
            return dict.fromkeys(found, 0.0)
        if alone:
            raise NothingSelective
        return {}

    async def _shown(
        self, rows: Sequence[Row[Any]], *, clear: bool, ranks: Mapping[UUID, float] | None = None
    ) -> list[Shown]:
        sealer, blinder = await self._vault.sealer(), await self._vault.blinder()
        refer = await self._vault.referrer(self._caller.holder)
        scope: Scope = PLATFORM if clear else self._caller.scope
        numbers = await identifiers.of_persons(
            await raw(self._connection),
            [row.mpi for row in rows],
            sealer=sealer,
            blinder=blinder,
            now=self._now,
            scope=scope,
        )
        shown = []
        seen = set() if clear else await self._seen([row.current_mpi or row.mpi for row in rows])
        for row in rows:
            hit = _hit(
                row,
                persons.record(sealer, row),
                numbers[row.mpi],
                ref=refer(row.mpi.hex),
                whole=clear or (row.current_mpi or row.mpi) in seen,
                rank=(ranks or {}).get(row.mpi, 0.0),
            )
            replaced_by = refer(row.current_mpi.hex) if row.current_mpi else ""
            shown.append(Shown(hit=hit, version=row.version, replaced_by=replaced_by))
        return shown

    async def _seen(self, mpis: Collection[UUID]) -> set[UUID]:
        """Return of whom the caller has a record: those it sees whole (docs/spec/search.md)."""
        return await search_queries.seen_by(self._connection, mpis, caller=self._caller)


class Seen(PersonHit, frozen=True, kw_only=True):
    """A person found, with what the health interfaces tell besides."""

    mother_name: str = ""


def _hit(
    row: Row[Any], known: PersonRecord, numbers: Collection[Number], *, ref: str, whole: bool, rank: float
) -> Seen:
    base = showing.hit(
        known,
        ref=ref,
        region_code=row.region_code or "",
        marital=row.marital or known.marital,
        numbers=numbers,
        whole=whole,
        rank=rank,
    )
    return Seen(**msgspec.structs.asdict(base), mother_name=showing.told(known.mother_name, whole=whole))
