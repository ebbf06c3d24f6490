"""Cross indexes as callers make, end and resolve them: whose they may be, and what is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from yimatong.access.caller import Caller
from yimatong.access.shared import SharedRead
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import DomainUnknown, PersonNotFound
from yimatong.empi.identifiers import queries, visibility
from yimatong.empi.identifiers.entering import Entered, NewNumber, enter_many
from yimatong.empi.identifiers.queries import Asked, Found
from yimatong.empi.identifiers.schemas import (
    CrossIndexEnded,
    CrossIndexesMade,
    CrossIndexesToMake,
    CrossIndexMade,
    CrossIndexToEnd,
    Resolved,
    ResolvedNumber,
    ToResolve,
)
from yimatong.empi.identifiers.service import EndedNumber, end
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.kit.errors import InvalidInput, PlatformError


class Resolver:
    """获取交叉索引 for many callers at once; ``Database.batch(reading(resolver.resolve))`` makes it a shared path."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def resolve(
        self, connection: RawConnection, items: Sequence[SharedRead[ToResolve]]
    ) -> list[Resolved | PlatformError]:
        """Resolve many; errors as ``queries.resolve``."""
        asked = [Asked(each.payload.source.domain, each.payload.source.number, each.payload.targets) for each in items]
        found = await queries.resolve(
            connection,
            asked,
            sealer=await self._vault.sealer(),
            blinder=await self._vault.blinder(),
            now=items[0].now,
            scopes=[each.caller.scope for each in items],
        )
        return [
            one if isinstance(one, PlatformError) else await self._shown(one, each.caller)
            for one, each in zip(found, items, strict=True)
        ]

    async def _shown(self, found: Found, caller: Caller) -> Resolved:
        numbers = (
            ResolvedNumber(
                domain=each.domain,
                number=each.number,
                masked=each.masked,
                application_domain=each.application_domain,
                since=each.since,
            )
            for each in found.numbers
        )
        ref = await self._vault.mpi_ref(holder(caller), found.mpi.hex)
        return Resolved(mpi_ref=ref, identifiers=tuple(numbers))


def holder(caller: Caller) -> str:
    """Return in whose name a caller knows persons: its institution, else itself."""
    return caller.institution_id or caller.caller_id


async def make(
    connection: Connection, vault: Vault, wanted: CrossIndexesToMake, *, caller: Caller, now: datetime
) -> CrossIndexesMade:
    """Enter numbers of one resident; where none can be entered, the first refusal is the answer.

    Raises:
        InvalidInput: the resident is named twice or not at all. PersonNotFound, NumberUnknown: nobody is meant.
        DomainUnknown, DomainNotYours. Refusals of ``entering.enter_many`` when every number was refused.
    """
    sealer, blinder, refer = await vault.sealer(), await vault.blinder(), await vault.referrer(holder(caller))
    inside = await raw(connection)
    mpi = await _meant(connection, vault, wanted, caller=caller, now=now)
    domains = await queries.domains_of(inside, {each.domain for each in wanted.identifiers})
    for each in wanted.identifiers:
        if each.domain not in domains:
            raise DomainUnknown(domain=each.domain)
        visibility.require_entry(domains[each.domain], caller.scope)
    new = [NewNumber(each.domain, each.number, mpi, holder(caller)) for each in wanted.identifiers]
    done = await enter_many(inside, new, sealer=sealer, blinder=blinder, now=now, tell=True)
    refused = [each for each in done if isinstance(each, PlatformError)]
    if len(refused) == len(done):
        raise refused[0]
    results = tuple(_told(each.domain, one) for each, one in zip(wanted.identifiers, done, strict=True))
    return CrossIndexesMade(mpi_ref=refer(mpi.hex), results=results)


def _told(domain: str, done: Entered | PlatformError) -> CrossIndexMade:
    if isinstance(done, PlatformError):
        return CrossIndexMade(
            domain=domain,
            outcome="refused",
            relation_id="",
            code=done.code,
            zh=done.text("zh"),
            en=done.text("en"),
        )
    outcome = "entered" if done.fresh else "known"
    return CrossIndexMade(domain=domain, outcome=outcome, relation_id=done.relation_id, code="", zh="", en="")  # type: ignore[arg-type]


async def _meant(
    connection: Connection, vault: Vault, wanted: CrossIndexesToMake, *, caller: Caller, now: datetime
) -> UUID:
    if bool(wanted.mpi_ref) == (wanted.known is not None):
        raise InvalidInput(detail="mpi_ref / known")
    if wanted.known is None:
        named = UUID(await vault.mpi_from_ref(holder(caller), wanted.mpi_ref))
        row = await persons.current(connection, named)
        if row.state != "live":
            raise PersonNotFound
        mpi: UUID = row.mpi
        return mpi
    found = await queries.resolve(
        await raw(connection),
        [Asked(wanted.known.domain, wanted.known.number)],
        sealer=await vault.sealer(),
        blinder=await vault.blinder(),
        now=now,
        scopes=[caller.scope],
    )
    if isinstance(found[0], PlatformError):
        raise found[0]
    return found[0].mpi


async def finish(
    connection: Connection, vault: Vault, wanted: CrossIndexToEnd, *, caller: Caller, now: datetime
) -> CrossIndexEnded:
    """End the cross index of a number of the caller's own domain, or of one that it entered itself.

    Raises:
        DomainUnknown, DomainNotYours. NumberUnknown: nobody has it, or another provider entered it.
        CertificateNotEnded.
    """
    inside = await raw(connection)
    domain = (await queries.domains_of(inside, [wanted.source.domain])).get(wanted.source.domain)
    if domain is None:
        raise DomainUnknown(domain=wanted.source.domain)
    visibility.require_entry(domain, caller.scope)
    own = visibility.sight(domain.code, domain.trusted, domain.institution_id, caller.scope) == "clear"
    ended = await end(
        inside,
        [EndedNumber(domain.code, wanted.source.number, wanted.reason)],
        blinder=await vault.blinder(),
        provider=holder(caller),
        now=now,
        by_provider_alone=not own,
    )
    if isinstance(ended[0], PlatformError):
        raise ended[0]
    return CrossIndexEnded(domain=domain.code, reason=wanted.reason, ended_at=now)
