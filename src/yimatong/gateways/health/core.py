"""The person index as the health interfaces use it: one facade for FHIR, HL7 v2 and SOAP.

Every method is one transaction with its audit row, asks for the caller's permission first, and refers to persons by the
caller's own references (``mpi_ref``).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

import msgspec

from yimatong.access.caller import Caller
from yimatong.access.shared import SharedRead, reading
from yimatong.access.webhooks import Destinations
from yimatong.crypto.vault import Vault
from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.cancelling.schemas import Reason
from yimatong.empi.errors import DomainUnknown, SourceRecordUnknown
from yimatong.empi.identifiers import crossing, managing, visibility
from yimatong.empi.identifiers import queries as identifiers
from yimatong.empi.identifiers.schemas import CrossIndexToEnd, Domain, Resolved, SourceNumber, ToResolve
from yimatong.empi.merges import by_provider
from yimatong.empi.merges import queries as pointers
from yimatong.empi.merges.schemas import RecordsToMerge
from yimatong.empi.registration.schemas import PersonToRegister, RegisteredPerson, Stated
from yimatong.empi.registration.service import Provider, Registrar, ToRegister, checked
from yimatong.empi.search import service as search
from yimatong.empi.search.schemas import MatchCandidate, PersonPage, PersonQuery
from yimatong.empi.subscriptions import queries as subscription_queries
from yimatong.empi.subscriptions import service as subscriptions
from yimatong.empi.subscriptions.schemas import NewSubscription, Subscription
from yimatong.gateways.health.people import Lookup, People, Shown
from yimatong.gateways.health.systems import Systems
from yimatong.kit import audit
from yimatong.kit.db import Connection, Database, RawConnection, raw
from yimatong.kit.errors import PlatformError

__all__ = ["Asker", "Index", "Known", "Lookup", "MergedRecord", "Shown"]

EndReason = Literal["lost", "replaced", "cancelled", "wrong", "other"]

_SYSTEMS_S: Final = 5.0
_OID: Final = "urn:oid:"
_OWN_KINDS: Final = ("source", "visit_card", "region")

T = TypeVar("T")


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and for which request. ``path`` names the operation in the audit; it holds no personal data."""

    caller: Caller
    request_id: str
    path: str
    now: datetime


Known = SourceNumber | str
"""A record of a provider by its own number, or a person by the caller's reference (``mpi_ref``)."""


class MergedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whose a merged record is now. ``waits``: nothing was merged, a data steward judges first."""

    mpi_ref: str
    version: int
    waits: bool = False


class Index:
    """The person index. One per process."""

    def __init__(
        self, db: Database, vault: Vault, *, destinations: Destinations, subscribers_to_all: Sequence[str]
    ) -> None:
        """Prepare the shared paths."""
        self.db = db
        self._registrar = Registrar(vault)
        self.vault = vault
        self._destinations = destinations
        self._subscribers_to_all = tuple(subscribers_to_all)
        self._resolutions = db.batch(reading(crossing.Resolver(vault).resolve))
        self._registrations = db.batch(reading(self._register))
        self._systems: dict[str, tuple[float, Systems]] = {}

    async def systems(self, asker: Asker, codes: Iterable[str] = ()) -> Systems:
        """Return the identifier domains that a caller may know of: everybody's and its own institution's.

        ``codes`` are further ones that numbers to be shown are of: the caller was trusted with them.
        """
        known = await self._listed(asker)
        missing = sorted({code for code in codes if known.by_code(code) is None})
        if not missing:
            return known
        async with self.db.read() as connection:
            others = await identifiers.domains_of(await raw(connection), missing)
        return Systems([*known.all, *others.values()])

    async def _listed(self, asker: Asker) -> Systems:
        key = asker.caller.institution_id or ""
        kept = self._systems.get(key)
        if kept is not None and time.monotonic() - kept[0] < _SYSTEMS_S:
            return kept[1]
        async with self.db.read() as connection:
            found = Systems(await managing.listed(connection, institution_id=asker.caller.institution_id))
        self._systems[key] = time.monotonic(), found
        return found

    async def domain(self, asker: Asker, system: str) -> Domain | None:
        """Return the domain of a FHIR system; None for one that is unknown, or another institution's own."""
        known = (await self.systems(asker)).by_system(system)
        if known is not None or not (system.startswith(_OID) and system.isprintable()):
            return known
        async with self.db.read() as connection:
            try:
                found = await managing.by_oid(connection, system.removeprefix(_OID))
            except DomainUnknown:
                return None
        sight = visibility.sight(found.code, found.trusted, found.institution_id, asker.caller.scope)
        return None if sight == "none" else found

    async def resolve(self, asker: Asker, source: SourceNumber, targets: Sequence[str] = ()) -> Resolved:
        """Return whose a number is, and her numbers in the wanted domains (PIX).

        Raises:
            NotPermitted. DomainUnknown, DomainSuspended, DomainNotYours, NumberUnknown: see ``identifiers.queries``.
        """
        asker.caller.require("cross-indexes:read")
        item = SharedRead(
            caller=asker.caller,
            request_id=asker.request_id,
            action="cross-indexes:read",
            path=asker.path,
            now=asker.now,
            payload=ToResolve(source=source, targets=tuple(targets)),
        )
        return msgspec.json.decode(await self._resolutions.submit(item), type=Resolved)

    async def numbers(self, asker: Asker, mpi_ref: str, targets: Sequence[str] = ()) -> Resolved:
        """Return the numbers of a person by the caller's reference; errors as ``resolve``, PersonNotFound."""
        return await self._do(asker, "cross-indexes:read", lambda tx: self._people(tx, asker).numbers(mpi_ref, targets))

    async def person(self, asker: Asker, mpi_ref: str) -> Shown:
        """Return a person by the caller's reference, a retired one as herself; raises PersonNotFound."""
        return await self._do(asker, "persons:read", lambda tx: self._people(tx, asker).person(mpi_ref))

    async def search(self, asker: Asker, wanted: PersonQuery) -> PersonPage:
        """Return a page of persons whom a query fits; errors as ``search.service.search``."""
        return await self._do(
            asker,
            "persons:search",
            lambda tx: search.search(tx, self.vault, wanted, caller=asker.caller, now=asker.now),
        )

    async def look_up(self, asker: Asker, wanted: Lookup, *, keep: Callable[[Shown], bool]) -> list[Shown]:
        """Return everybody who fits; ``keep`` judges each unmasked. Errors as ``People.look_up``."""
        return await self._do(asker, "persons:search", lambda tx: self._people(tx, asker).look_up(wanted, keep=keep))

    async def match(
        self, asker: Asker, resident: Stated, numbers: Sequence[SourceNumber], *, limit: int, certain: bool = False
    ) -> list[tuple[Shown, MatchCandidate]]:
        """Return who the matching engine finds for given facts, most likely first; with ``certain`` one or nobody.

        Raises:
            DomainUnknown, DomainNotYours: of a number.
        """

        async def query(connection: Connection) -> list[tuple[Shown, MatchCandidate]]:
            found = await search.match(
                connection,
                self.vault,
                resident,
                numbers,
                caller=asker.caller,
                now=asker.now,
                limit=limit,
                only_certain=certain,
            )
            people = self._people(connection, asker)
            shown = await people.persons([await people.mpi(each.person.mpi_ref) for each in found])
            return list(zip(shown, found, strict=True))

        return await self._do(asker, "persons:match", query)

    async def register(self, asker: Asker, wanted: PersonToRegister) -> RegisteredPerson:
        """Register a record of the caller's; the same source number again is the same record.

        Raises:
            NotPermitted. Refusals of ``registration.service``.
        """
        asker.caller.require("persons:register")
        record = checked(wanted, Provider.of(asker.caller), now=asker.now)
        refer = await self.vault.referrer(asker.caller.holder)
        item = SharedRead(
            caller=asker.caller,
            request_id=asker.request_id,
            action="persons:register",
            path=asker.path,
            now=asker.now,
            payload=ToRegister(record=record, refer=refer),
        )
        return msgspec.json.decode(await self._registrations.submit(item), type=RegisteredPerson)

    async def own_number(self, asker: Asker, numbers: Sequence[SourceNumber]) -> SourceNumber | None:
        """Return the first of some numbers whose domain is the caller's own to keep records under, or None."""
        systems = await self.systems(asker)
        for each in numbers:
            domain = systems.by_code(each.domain)
            if domain is not None and domain.kind in _OWN_KINDS:
                sight = visibility.sight(domain.code, domain.trusted, domain.institution_id, asker.caller.scope)
                if sight == "clear":
                    return each
        return None

    async def version(self, asker: Asker, source: SourceNumber) -> int | None:
        """Return the version of the person of a number, None where nobody has it."""

        async def query(connection: Connection) -> int | None:
            mpi = await self._holder(connection, source)
            if mpi is None:
                return None
            return int((await pointers.rows(connection, [mpi]))[mpi].version)

        return await self._do(asker, "persons:register", query)

    async def merge(self, asker: Asker, *, retired: Known, surviving: Known) -> MergedRecord:
        """Say that two records of the caller's institution are one resident; the retired one's number ends.

        Raises:
            NotPermitted. SourceRecordUnknown: one of them is none of the institution's. PersonNotFound.
        """

        async def verb(connection: Connection) -> MergedRecord:
            sealer, blinder = await self.vault.sealer(), await self.vault.blinder()
            gone = await self._record(connection, asker, retired)
            stays = await self._record(connection, asker, surviving)
            done = await by_provider.merge_records(
                connection,
                RecordsToMerge(surviving=stays, retired=gone),
                provider=by_provider.Provider(asker.caller.holder, asker.caller.caller_id),
                sealer=sealer,
                blinder=blinder,
                now=asker.now,
            )
            if done.outcome != "review" and gone != stays and await self._holder(connection, gone) is not None:
                await self._end(connection, asker, gone, reason="replaced")
            row = (await pointers.rows(connection, [done.mpi]))[done.mpi]
            ref = await self.vault.mpi_ref(asker.caller.holder, done.mpi.hex)
            return MergedRecord(mpi_ref=ref, version=row.version, waits=done.outcome == "review")

        return await self._do(asker, "persons:merge", verb)

    async def remove(self, asker: Asker, source: SourceNumber) -> None:
        """Let a number of the caller's own domain stand for nobody.

        Raises:
            NumberUnknown: nobody has it. DomainNotYours.
        """
        await self._do(asker, "cross-indexes:write", lambda tx: self._end(tx, asker, source, reason="wrong"))

    async def cancel(self, asker: Asker, mpi_ref: str, *, reason: Reason, died_on: date | None = None) -> None:
        """Cancel a person in the caller's name; errors as ``cancelling.service.cancel_by_institution``."""

        async def verb(connection: Connection) -> None:
            await cancelling.cancel_by_institution(
                connection,
                await self._people(connection, asker).mpi(mpi_ref),
                cancelling.Wanted(reason=reason, died_on=died_on, operator=asker.caller.caller_id),
                institution_id=asker.caller.holder,
                sealer=await self.vault.sealer(),
                blinder=await self.vault.blinder(),
                now=asker.now,
            )

        await self._do(asker, "persons:cancel", verb)

    async def subscribe(self, asker: Asker, wanted: NewSubscription) -> Subscription:
        """Subscribe the caller; errors as ``subscriptions.service.subscribe``."""
        return await self._do(
            asker,
            "persons:subscribe",
            lambda tx: subscriptions.subscribe(
                tx,
                self.vault,
                wanted,
                caller=asker.caller,
                destinations=self._destinations,
                to_all=self._subscribers_to_all,
                now=asker.now,
            ),
        )

    async def subscription(self, asker: Asker, subscription_id: str) -> Subscription:
        """Return a subscription of the caller's own.

        Raises:
            SubscriptionNotFound: none.
        """

        async def query(connection: Connection) -> Subscription:
            row = await subscription_queries.owned(connection, subscription_id, caller=asker.caller)
            ref = "" if row.mpi is None else await self.vault.mpi_ref(asker.caller.holder, row.mpi.hex)
            return subscription_queries.view(row, ref)

        return await self._do(asker, "persons:subscribe", query)

    async def switch_subscription(self, asker: Asker, subscription_id: str, *, on: bool) -> Subscription:
        """Pause a subscription, or let it go on; errors as ``subscriptions.service``."""
        verb = subscriptions.resume if on else subscriptions.pause
        return await self._do(
            asker,
            "persons:subscribe",
            lambda tx: verb(tx, self.vault, subscription_id, caller=asker.caller, now=asker.now),
        )

    async def end_subscription(self, asker: Asker, subscription_id: str) -> Subscription:
        """End a subscription for good; errors as ``subscriptions.service.end``."""
        return await self._do(
            asker,
            "persons:subscribe",
            lambda tx: subscriptions.end(tx, self.vault, subscription_id, caller=asker.caller, now=asker.now),
        )

    def _people(self, connection: Connection, asker: Asker) -> People:
        return People(connection, self.vault, asker.caller, now=asker.now)

    async def _holder(self, connection: Connection, source: SourceNumber) -> UUID | None:
        found = await identifiers.holders(
            await raw(connection), [(source.domain, source.number)], blinder=await self.vault.blinder()
        )
        return found.get(0)

    async def _record(self, connection: Connection, asker: Asker, known: Known) -> SourceNumber:
        """Return the institution's own number of a record, which a reference of the caller's may stand for.

        Raises:
            SourceRecordUnknown: the institution has no record of this person. PersonNotFound.
        """
        if isinstance(known, SourceNumber):
            return known
        shown = await self._people(connection, asker).person(known)
        systems = await self._listed(asker)
        for each in shown.hit.identifiers:
            domain = systems.by_code(each.domain)
            if domain is not None and domain.kind in _OWN_KINDS and domain.institution_id == asker.caller.holder:
                return each
        raise SourceRecordUnknown

    async def _end(self, connection: Connection, asker: Asker, source: SourceNumber, *, reason: EndReason) -> None:
        wanted = CrossIndexToEnd(source=source, reason=reason)
        await crossing.finish(connection, self.vault, wanted, caller=asker.caller, now=asker.now)

    async def _register(
        self, connection: RawConnection, items: Sequence[SharedRead[ToRegister]]
    ) -> list[RegisteredPerson | PlatformError]:
        return await self._registrar.register(connection, [each.payload for each in items])

    async def _do(self, asker: Asker, permission: str, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do something for a caller in one transaction, with its audit row."""
        asker.caller.require(permission)
        async with self.db.transaction() as connection:
            done = await work(connection)
            await self.note(connection, asker, permission)
            return done

    async def note(self, connection: Connection, asker: Asker, action: str, **more: Any) -> None:
        """Write the audit row of a request into an open transaction."""
        await audit.record(
            connection,
            actor=asker.caller.caller_id,
            institution_id=asker.caller.institution_id,
            action=action,
            object_kind="route",
            object_id=asker.path,
            request_id=asker.request_id,
            now=asker.now,
            **more,
        )
