"""What is done with a message of ``HIPMessageServer``: registration, revision, merge and query of persons.

The actions of regional platforms (WS/T 448-2014) and of hospital platforms (WS/T 846-2024) are both known, also with
the prefix ``XT-`` that some systems put before them. What cannot be done is said in the acknowledgement (AE); a SOAP
fault is only for what is no message at all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from yimatong.empi.identifiers import catalogue
from yimatong.empi.identifiers.schemas import Domain, SourceNumber
from yimatong.empi.registration.schemas import PersonToRegister
from yimatong.empi.search.schemas import PersonHit, PersonQuery
from yimatong.gateways.errors import ActionUnknown, KeyUnknown, V3FieldMissing
from yimatong.gateways.health.core import Asker, Index
from yimatong.gateways.soap import reading, writing
from yimatong.gateways.soap.reading import Element, Envelope, InstanceId
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id

ADD: Final = "PRPA_IN201311UV02"
REVISE: Final = "PRPA_IN201314UV02"
RESOLVE: Final = "PRPA_IN201304UV02"
FIND: Final = "PRPA_IN201305UV02"
ACTIONS: Final = {
    "PatientRegistryAddRequest": ADD,
    "PatientRegistryReviseRequest": REVISE,
    "PatientRegistryDuplicatesResolved": RESOLVE,
    "PatientRegistryFindCandidatesQuery": FIND,
    "PatientInfoRegister": ADD,
    "PatientInfoUpdate": REVISE,
    "PatientInfoMerge": RESOLVE,
    "PatientInfoQuery": FIND,
}
"""Action to message."""

_PREFIX: Final = "XT-"

INDEX_ROOT: Final = catalogue.oid_of("mpi")
"""Under which persons' references are given."""

Verb = Callable[["Server", Element, Envelope, Asker], Awaitable[Element]]


class Server:
    """Does what messages ask."""

    def __init__(self, index: Index) -> None:
        """Keep the index."""
        self._index = index

    async def handle(self, action: str, message: str, asker: Asker) -> str:
        """Return the answer to a message.

        Raises:
            V3MessageUnreadable: it is none; there is nothing that an acknowledgement could refer to.
        """
        root = reading.parsed(message)
        asked = reading.envelope(root)
        try:
            wanted = ACTIONS.get(action.removeprefix(_PREFIX))
            verb = _VERBS.get(asked.interaction)
            if wanted is None or verb is None or wanted != asked.interaction:
                raise ActionUnknown(action=f"{action[:60]} / {asked.interaction[:40]}")
            answer = await verb(self, root, asked, asker)
        except PlatformError as error:
            text = f"{error.code} {error.text('zh')}"
            answer = writing.answered(asked, message_id=new_id("v3"), now=asker.now, text=text, refused=True)
        return writing.text_of(answer)

    async def register(self, root: Element, asked: Envelope, asker: Asker) -> Element:
        """Register or revise: the same number of the sender again is the same record."""
        said = reading.patient(root)
        numbered = await self._numbers(said.numbers, asker)
        own = await self._index.own_number(asker, [number for number, _ in numbered])
        if own is None:
            raise V3FieldMissing(field="patient/id")
        further = tuple(number for number, domain in numbered if number != own and domain.kind != "certificate")
        done = await self._index.register(
            asker, PersonToRegister(source=own, resident=said.stated, identifiers=further)
        )
        index = InstanceId(INDEX_ROOT, done.mpi_ref)
        return writing.answered(asked, message_id=new_id("v3"), now=asker.now, text="", index=index)

    async def merge(self, root: Element, asked: Envelope, asker: Asker) -> Element:
        """Merge the records that the message replaces into the patient's."""
        said = reading.patient(root)
        survivor = await self._first_own(said.numbers, asker, "patient/id")
        if not said.replaces:
            raise V3FieldMissing(field="replacementOf/priorRegistration")
        for number, _ in await self._numbers(said.replaces, asker):
            if number != survivor:
                await self._index.merge(asker, surviving=survivor, retired=number)
        return writing.answered(asked, message_id=new_id("v3"), now=asker.now, text="")

    async def find(self, root: Element, asked: Envelope, asker: Asker) -> Element:
        """Answer a query for candidates."""
        query = reading.query(root)
        id_cards = [each.extension for each in query.numbers if each.root == reading.ID_CARD_ROOT]
        others = [each for each in query.numbers if each.root != reading.ID_CARD_ROOT]
        numbers = tuple(number for number, _ in await self._numbers(others, asker))
        page = await self._index.search(
            asker,
            PersonQuery(
                name=query.name,
                sex=query.sex if query.sex in ("1", "2") else "",
                id_type="01" if id_cards else "",
                id_number=id_cards[0] if id_cards else "",
                identifiers=numbers,
                born_from=query.birth_date,
                born_to=query.birth_date,
                limit=query.limit,
            ),
        )
        systems = await self._index.systems(asker, [each.domain for hit in page.persons for each in hit.identifiers])

        def instances(hit: PersonHit) -> list[InstanceId]:
            found = [(systems.by_code(each.domain), each.number) for each in hit.identifiers]
            return [InstanceId(domain.oid, number) for domain, number in found if domain is not None and domain.oid]

        return writing.found(
            asked,
            query,
            [(hit, instances(hit)) for hit in page.persons],
            index_root=INDEX_ROOT,
            message_id=new_id("v3"),
            now=asker.now,
            total=page.total if page.total is not None else len(page.persons),
        )

    async def _first_own(self, numbers: Sequence[InstanceId], asker: Asker, field: str) -> SourceNumber:
        own = await self._index.own_number(asker, [number for number, _ in await self._numbers(numbers, asker)])
        if own is None:
            raise V3FieldMissing(field=field)
        return own

    async def _numbers(self, numbers: Sequence[InstanceId], asker: Asker) -> list[tuple[SourceNumber, Domain]]:
        """Return numbers in their domains; one of the sender's own system is known by the general root, too.

        Raises:
            KeyUnknown: a domain that nobody knows.
        """
        systems = await self._index.systems(asker)
        found = []
        for number in numbers:
            if number.root in ("", LOCAL_PATIENT_ROOT):
                domain = systems.by_code(f"source:{asker.caller.institution_id}")
            else:
                domain = await self._index.domain(asker, f"urn:oid:{number.root}")
            if domain is None or domain.state != "active":
                raise KeyUnknown(location=number.root)
            found.append((SourceNumber(domain=domain.code, number=number.extension), domain))
        return found


LOCAL_PATIENT_ROOT: Final = "2.16.156.10011.2.5.1.4"
"""本地系统的患者 ID: the sender's own numbers, under one root for all senders."""

_VERBS: Final[dict[str, Verb]] = {
    ADD: Server.register,
    REVISE: Server.register,
    RESOLVE: Server.merge,
    FIND: Server.find,
}
