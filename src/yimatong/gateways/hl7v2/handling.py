"""What is done with a message of HL7 v2: the feed (ADT), PIX and PDQ queries (QBP), and their answers.

Every message is answered: with what was done, or with why it was not. The same message again (same sender, MSH-10 and
text) says the same of the same source record, so that nothing is done twice.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from yimatong.access.callers import Directory
from yimatong.empi.errors import DomainNotYours, DomainSuspended, DomainUnknown, NumberInvalid, NumberUnknown
from yimatong.empi.identifiers.schemas import Domain, SourceNumber
from yimatong.empi.registration.schemas import PersonToRegister
from yimatong.gateways.errors import (
    EventUnsupported,
    FieldMissing,
    KeyUnknown,
    MessageTypeUnsupported,
    ProcessingIdUnsupported,
    VersionUnsupported,
)
from yimatong.gateways.health.core import Asker, Index
from yimatong.gateways.hl7v2 import partners, queries, reading, writing
from yimatong.gateways.hl7v2.messages import Received
from yimatong.gateways.hl7v2.reading import Authority, Header, Numbered
from yimatong.gateways.hl7v2.writing import Answer
from yimatong.gateways.log import GatewayLog
from yimatong.kit import clock
from yimatong.kit.errors import PlatformError, UnexpectedFailure
from yimatong.kit.ids import new_id
from yimatong.kit.settings import Hl7Partner

FEED: Final = frozenset({"A01", "A04", "A05", "A08", "A28", "A31"})
MERGES: Final = frozenset({"A40"})
_UNKNOWN: Final = (DomainUnknown, DomainSuspended, DomainNotYours)
INDEX_NAMESPACE: Final = "YMT"

Verb = Callable[["Handler", Received, Header, Asker], Awaitable[Answer]]


class Handler:
    """Answers messages. One per process."""

    def __init__(self, index: Index, directory: Directory, partners_known: Sequence[Hl7Partner]) -> None:
        """Keep what is asked at each message."""
        self._index = index
        self._directory = directory
        self._partners = tuple(partners_known)

    async def handle(self, block: bytes, peer: str) -> bytes:
        """Return the answer to a message that came from an address."""
        now = clock.now()
        control_id = new_id("hl7")
        try:
            message = Received(block)
            header = reading.header(message)
        except PlatformError as fault:
            nobody = Header(
                application="", facility="", to_application="", to_facility="", kind="", event="", control_id="",
                processing_id="P", version="2.5",
            )  # fmt: skip
            return writing.written(
                writing.acknowledged("", [fault]), nobody, charset="", control_id=control_id, now=now
            )
        answer = await self._answer(message, header, peer, now=now, request_id=control_id)
        return writing.written(answer, header, charset=message.charset, control_id=control_id, now=now)

    async def _answer(self, message: Received, header: Header, peer: str, *, now: datetime, request_id: str) -> Answer:
        try:
            verb = _verb(header)
            known = await self._directory.get(partners.caller_of(self._partners, header, peer))
            known.require_approved()
            path = f"hl7v2:{header.kind}^{header.event}"
            asker = Asker(caller=known.caller, request_id=request_id, path=path, now=now)
            return await verb(self, message, header, asker)
        except PlatformError as fault:
            return _refusal(message, header, fault)
        except Exception as error:  # noqa: BLE001 -- a sender that gets no answer sends for ever
            GatewayLog.HL7_FAILED.emit(request_id=request_id, cause=_place(error))
            return _refusal(message, header, UnexpectedFailure())

    async def register(self, message: Received, header: Header, asker: Asker) -> Answer:
        """Register or update what a PID says (ITI-8)."""
        said = reading.patient(message.one("PID"))
        numbered = await self._numbers(said.identifiers, asker)
        listed = [SourceNumber(domain=domain.code, number=number.number) for number, domain in numbered]
        own = await self._index.own_number(asker, listed)
        if own is None:
            raise FieldMissing(location="PID^1^3", field="PID-3")
        stated = said.stated
        for number, domain in numbered:
            if domain.kind == "certificate" and domain.id_type and not stated.id_number:
                stated = msgspec.structs.replace(stated, id_type=domain.id_type, id_number=number.number[:40])
        if reading.estimated(message.one("PID"), 7):
            stated = msgspec.structs.replace(stated, birth_date_estimated=True)
        certificates = {domain.code for _, domain in numbered if domain.kind == "certificate"}
        further = tuple(each for each in dict.fromkeys(listed) if each != own and each.domain not in certificates)
        done = await self._index.register(asker, PersonToRegister(source=own, resident=stated, identifiers=further))
        if said.deceased:
            await self._index.cancel(asker, done.mpi_ref, reason="death", died_on=said.died_on)
        return writing.acknowledged(header.event)

    async def merge(self, message: Received, header: Header, asker: Asker) -> Answer:
        """Merge the record of MRG-1 into that of PID-3 (A40)."""
        pid, mrg = message.one("PID"), message.one("MRG")
        survivor = await self._own(reading.identifiers(pid, 3), asker, place="PID^1^3", field="PID-3")
        retired = await self._own(reading.identifiers(mrg, 1), asker, place="MRG^1^1", field="MRG-1")
        await self._index.merge(asker, surviving=survivor, retired=retired)
        return writing.acknowledged(header.event)

    async def pix(self, message: Received, _header: Header, asker: Asker) -> Answer:
        """Answer a PIX query (ITI-9)."""
        whose, where = queries.pix(message)
        domain = await self._domain(whose.authority, asker, place=f"{whose.location}^4")
        targets = [(await self._domain(authority, asker, place=place)).code for authority, place in where]
        source = SourceNumber(domain=domain.code, number=whose.number)
        try:
            found = await self._index.resolve(asker, source, targets)
        except (NumberUnknown, NumberInvalid) as error:
            raise queries.unknown_number(str(whose.location)) from error
        except _UNKNOWN as error:
            raise KeyUnknown(location=f"{whose.location}^4") from error
        systems = await self._index.systems(asker, [each.domain for each in found.identifiers])
        return queries.pix_answer(message, found.identifiers, lambda code: _authority(systems.by_code(code), code))

    async def pdq(self, message: Received, _header: Header, asker: Asker) -> Answer:
        """Answer a PDQ query (ITI-21), page by page."""
        wanted = queries.pdq(message)
        domains = frozenset([(await self._domain(each, asker, place=place)).code for each, place in wanted.domains])
        named = []
        for number, authority in wanted.identifiers:
            domain = await self._domain(authority, asker, place="QPD^1^3")
            named.append(SourceNumber(domain=domain.code, number=number))
        query = msgspec.structs.replace(wanted.query, identifiers=tuple(named))
        page = await self._index.search(asker, query)
        hits = [hit for hit in page.persons if not domains or any(each.domain in domains for each in hit.identifiers)]
        systems = await self._index.systems(asker, [each.domain for hit in hits for each in hit.identifiers])
        return queries.pdq_answer(
            message,
            hits,
            authority_of=lambda code: _authority(systems.by_code(code), code),
            own=Authority(INDEX_NAMESPACE),
            wanted=domains,
            pointer=page.next_cursor,
            total=page.total,
        )

    async def cancel_query(self, _message: Received, header: Header, _asker: Asker) -> Answer:
        """Acknowledge that the rest of a query is not wanted (QCN^J01); nothing is kept between pages."""
        return writing.acknowledged(header.event)

    async def _numbers(self, found: Sequence[Numbered], asker: Asker) -> list[tuple[Numbered, Domain]]:
        return [(each, await self._domain(each.authority, asker, place=f"{each.location}^4")) for each in found]

    async def _own(self, found: Sequence[Numbered], asker: Asker, *, place: str, field: str) -> SourceNumber:
        """Return the first number of the sender's own systems."""
        numbered = await self._numbers(found, asker)
        listed = [SourceNumber(domain=domain.code, number=number.number) for number, domain in numbered]
        own = await self._index.own_number(asker, listed)
        if own is None:
            raise FieldMissing(location=place, field=field)
        return own

    async def _domain(self, authority: Authority, asker: Asker, *, place: str) -> Domain:
        """Return the domain of an assigning authority; the sender's own when none is named.

        Raises:
            KeyUnknown: nobody knows it.
        """
        systems = await self._index.systems(asker)
        institution = asker.caller.institution_id
        if authority.universal_id:
            found = await self._index.domain(asker, f"urn:oid:{authority.universal_id.removeprefix('urn:oid:')}")
        elif authority.empty or authority.namespace == institution:
            found = systems.by_code(f"source:{institution}")
        else:
            found = systems.by_code(authority.namespace)
        if found is None or found.state != "active":
            raise KeyUnknown(location=place)
        return found


def _verb(header: Header) -> Verb:
    if not header.version.startswith("2."):
        raise VersionUnsupported(location="MSH^1^12", version=header.version[:20])
    if header.processing_id[:1] not in ("P", "T", ""):
        raise ProcessingIdUnsupported(location="MSH^1^11", processing_id=header.processing_id[:20])
    if header.kind not in _EVENTS:
        raise MessageTypeUnsupported(location="MSH^1^9^1^1", type=header.kind[:20])
    verb = _EVENTS[header.kind].get(header.event)
    if verb is None:
        raise EventUnsupported(location="MSH^1^9^1^2", event=header.event[:20])
    return verb


_EVENTS: Final[dict[str, dict[str, Verb]]] = {
    "ADT": {**dict.fromkeys(FEED, Handler.register), **dict.fromkeys(MERGES, Handler.merge)},
    "QBP": {"Q22": Handler.pdq, "Q23": Handler.pix},
    "QCN": {"J01": Handler.cancel_query},
}
_RESPONSES: Final = {"Q22": "K22", "Q23": "K23"}


def _refusal(message: Received, header: Header, fault: PlatformError) -> Answer:
    """Answer what could not be done: a query by its response where its QPD can be repeated, all else by an ACK."""
    response = _RESPONSES.get(header.event) if header.kind == "QBP" else None
    if response is not None and message.has("QPD") and writing.code_of([fault]) == "AE":
        return queries.refused(message, response, [fault])
    return writing.acknowledged(header.event, [fault])


def _place(error: Exception) -> str:
    """Return what an unexpected failure was and where; its text may hold what the message said of a patient."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join([type(error).__name__, *(f"{each.name}:{each.lineno}" for each in reversed(frames))])


def _authority(domain: Domain | None, code: str) -> Authority:
    if domain is not None and domain.oid:
        return Authority("", domain.oid, "ISO")
    return Authority(code)
