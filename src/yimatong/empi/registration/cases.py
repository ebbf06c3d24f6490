"""One record on its way through a registration: its keys, what was found for it, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple
from uuid import UUID, uuid4

import msgspec

from yimatong.crypto.tokens import Blinder
from yimatong.empi import search_tokens as search
from yimatong.empi.golden.service import Said
from yimatong.empi.identifiers import rules as domains
from yimatong.empi.linkage import candidates
from yimatong.empi.linkage.candidates import Candidate
from yimatong.empi.matching.facts import Facts, Score
from yimatong.empi.merges.waiting import Kind
from yimatong.empi.registration.checking import Record
from yimatong.empi.registration.schemas import Outcome
from yimatong.kit.errors import PlatformError

Method = Literal["certificate", "probability", "source", "none"]
_SIXTY_FOUR: Final = 8


class ToReview(msgspec.Struct, frozen=True, kw_only=True):
    """A person whom a record may be of, for a steward; ``because`` says in a word why."""

    mpi: UUID
    kind: Kind
    because: str
    score: Score | None = None


class Behind(NamedTuple):
    """Whom a person of today stands for: every id, and her valid certificates as (type, blind).

    ``claims``: those that were replaced among them; they lead to her, too.
    """

    members: frozenset[UUID]
    certificates: frozenset[tuple[str, bytes]]
    claims: frozenset[tuple[str, bytes]]


class Case(msgspec.Struct, kw_only=True, eq=False):
    """A record and what became of it. ``own``: the id that its statement stands under; ``person``: who she is today.

    ``known``: the statement of the same source that it replaces. ``claimed``: the certificate is claimed by this very
    transaction. ``holder`` and ``numbered``: whose certificate and whose number it is. ``only_said_here``: certificates
    of the person that nobody but this source ever said. ``alone``: no other record of the round may be of one person.
    """

    record: Record
    facts: Facts
    tokens: list[int]
    source: tuple[str, bytes]
    blind: bytes
    identity: int
    proposed: UUID
    claimed: bool = False
    known: Said | None = None
    holder: UUID | None = None
    numbered: UUID | None = None
    ranked: Sequence[Candidate] = ()
    own: UUID | None = None
    person: UUID | None = None
    moved_from: UUID | None = None
    outcome: Outcome = "created"
    method: Method = "none"
    score: Score | None = None
    only_said_here: frozenset[tuple[str, bytes]] = frozenset()
    replaces: set[tuple[str, bytes]] = set()
    entered: list[tuple[str, str]] = []
    reviews: list[ToReview] = []
    contribution_id: str = ""
    review_id: str = ""
    domain_id: str = ""
    version: int = 1
    alone: bool = True
    refusal: PlatformError | None = None

    @property
    def certificate(self) -> tuple[str, bytes] | None:
        """Return the claim's key, or None for a record that no certificate identifies."""
        held = self.record.certificate
        return None if held is None else (held[0], self.blind)

    @property
    def keys(self) -> set[object]:
        """Return what two records of one round must not share: the later one sees what the earlier one stored."""
        numbers = {(each.domain, each.number) for each in self.record.identifiers}
        return {self.source, self.identity, *numbers, *([self.certificate] if self.certificate else [])}


def case(record: Record, *, blinder: Blinder) -> Case:
    """Return a record as a case, with the keys under which it is found and locked."""
    held, source, facts = record.certificate, record.source, record.matching
    name = search.comparable(record.facts.name)
    identity = blinder.digest("identity", f"{name}|{record.birth_date}".encode())[:_SIXTY_FOUR]
    number = domains.normal(source.domain, source.number)
    return Case(
        record=record,
        facts=facts,
        tokens=candidates.block_tokens(blinder, facts),
        source=(source.domain, domains.blind(blinder, source.domain, number)),
        blind=b"" if held is None else blinder.id_blind(*held),
        identity=int.from_bytes(identity, "big", signed=True),
        proposed=uuid4(),
        replaces=set(),
        entered=[],
        reviews=[],
    )


def locks(cases: Sequence[Case]) -> list[int]:
    """Return the advisory locks of a batch: source numbers, then identities, each in order."""
    sources = {int.from_bytes(each.source[1][:_SIXTY_FOUR], "big", signed=True) for each in cases}
    return [*sorted(sources), *sorted({each.identity for each in cases})]


def next_round(waiting: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Take the cases that share nothing with one another; the others come after them."""
    seen: set[object] = set()
    taken: list[Case] = []
    left: list[Case] = []
    for each in waiting:
        (left if each.keys & seen else taken).append(each)
        seen |= each.keys
    return taken, left


def mark_lookalikes(taken: Sequence[Case]) -> None:
    """Note which new records of one round may be of one person: neither saw the other; the worker compares them."""
    by_token: dict[int, Case] = {}
    for each in taken:
        for token in each.tokens:
            other = by_token.setdefault(token, each)
            if other is not each:
                each.alone = False
