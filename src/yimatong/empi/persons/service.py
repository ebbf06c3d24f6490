"""Verbs of the person index: identify residents by their certificates, or enter new persons.

Identification has steps, so that its caller can judge between them and so that many residents share each statement:
``claim_many`` (decides every race), ``look_up_many`` (who was there before, and is it the same person?), then
``enter_many`` for those who stay and ``release_many`` for those whom the caller refuses: nothing is left of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import search_tokens as search
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.survivorship import Golden, survive
from yimatong.empi.linkage import candidates, engine
from yimatong.empi.matching.facts import Facts
from yimatong.empi.persons import identity, queries, statements
from yimatong.empi.persons.schemas import Demographics, PersonRecord, RealNameMark, SealedFacts
from yimatong.empi.persons.statements import NewContribution, Row
from yimatong.kit.db import Connection, RawConnection, raw
from yimatong.kit.errors import PlatformError
from yimatong.kit.ids import new_id
from yimatong.standards.codes import NO_CERTIFICATE


class Identification(msgspec.Struct, kw_only=True, eq=False):
    """One resident on the way into the index; ``given`` is in normal form (``identity.checked``).

    ``fresh``: nobody else can have the proposed id, so nothing is looked up for it. After ``look_up_many``: ``known``
    is the person who was there, else she is new; ``refusal`` says why she cannot be who ``given`` says.
    """

    given: Demographics
    blind: bytes
    proposed_mpi: UUID
    fresh: bool
    provider: str
    mark: RealNameMark
    claimed: bool = False
    mpi: UUID | None = None
    joined: tuple[UUID, ...] = ()
    known: PersonRecord | None = None
    refusal: PlatformError | None = None

    @property
    def certificate(self) -> tuple[str, bytes]:
        """Return the key of the claim: certificate type and blind."""
        return self.given.id_type, self.blind


async def claim_many(connection: RawConnection, wanted: Sequence[Identification], *, now: datetime) -> None:
    """Claim every certificate, in sorted order, before anything else is locked.

    Of any number of transactions at once exactly one wins a certificate, the others wait for its commit and find its
    person. Of several items with one certificate the first one claims.
    """
    first: dict[tuple[str, bytes], Identification] = {}
    for item in wanted:
        first.setdefault(item.certificate, item)
    if not first:
        return
    won = await statements.claim(connection, [(*key, item.proposed_mpi) for key, item in first.items()], now=now)
    for key in won:
        first[key].claimed = True


async def look_up_many(connection: RawConnection, wanted: Sequence[Identification], *, sealer: Sealer) -> None:
    """Find who was there before; ``mpi`` stays None for one whose claim vanished meanwhile.

    A person of another name or sex is a ``refusal`` (PersonDisagrees), as is one who was reported dead (PersonDeceased)
    and a row that cannot be opened (SealBroken).
    """
    asked = [item for item in wanted if not (item.claimed and item.fresh)]
    for item in wanted:
        item.mpi = item.proposed_mpi if item.claimed else None
    if not asked:
        return
    found = await statements.holders(connection, [item.certificate for item in asked])
    for index, item in enumerate(asked):
        row = found.get(index)
        if row is None:
            continue
        try:
            joined, mpi, sealed, sex, birth_date, state, deceased_on = row
            item.known = queries.unsealed(
                sealer, mpi, sealed, sex=sex, birth_date=birth_date, state=state, deceased_on=deceased_on
            )
            item.mpi, item.joined = mpi, tuple(joined)
            identity.require_same(item.known, item.given)
            identity.require_living(item.known)
        except PlatformError as refusal:
            item.refusal = refusal


async def enter_many(
    connection: RawConnection,
    accepted: Sequence[Identification],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> None:
    """Enter those who are new, and keep what the providers said of each; all ``real_name`` marks are of ``now``.

    Who was there gets the golden record that all statements together make; who is new is compared with everybody else
    by the worker (``registration.comparing``).
    """
    persons: list[Row] = []
    said: list[NewContribution] = []
    found_by: list[tuple[UUID, int]] = []
    news: list[Change] = []
    for item in accepted:
        mpi = item.mpi or item.proposed_mpi
        told = contributed(item.given, mpi=mpi, provider=item.provider, mark=item.mark, sealer=sealer)
        said.append(told)
        found_by += [(mpi, token) for token in candidates.block_tokens(blinder, matching_facts(item.given))]
        if item.known is None:
            persons.append(golden.row_of(mpi, first_record(item.given, told, now=now), sealer=sealer, blinder=blinder))
            news.append(Change(mpi, "registered", item.provider, 1))
    if persons:
        await statements.enter(connection, persons, now=now)
    if said:
        await statements.contribute(connection, said, proven_at=accepted[0].mark.at, now=now)
        await statements.block(connection, found_by)
    known = {item.mpi: item.provider for item in accepted if item.known is not None and item.mpi is not None}
    if known:
        news += await refresh(connection, known, sealer=sealer, blinder=blinder, now=now)
    await events.note(connection, news, now=now)


async def refresh(
    connection: RawConnection, known: Mapping[UUID, str], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> list[Change]:
    """Compute the golden records of current persons again; ``known`` names the provider by person. Return what changed.

    Raises:
        SealBroken: a row was edited; nothing is written.
    """
    rules = (await engine.active(connection)).survivorship
    versions = await golden.recompute(connection, sorted(known), sealer=sealer, blinder=blinder, rules=rules, now=now)
    return [Change(mpi, "updated", known[mpi], version) for mpi, version in sorted(versions.items())]


def contributed(
    given: Demographics,
    *,
    mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    kind: str = "registration",
    estimated: bool = False,
) -> NewContribution:
    """Return the row of what a provider said of a resident with full facts."""
    sealed = sealer.seal(facts_blob(given, estimated=estimated), queries.aad(mpi))
    return NewContribution(
        mpi,
        new_id("ctb"),
        provider,
        sealed,
        mark.method,
        mark.level,
        mark.trace_no,
        kind,
        given.sex,
        given.birth_date,
    )


def first_record(given: Demographics, told: NewContribution, *, now: datetime, estimated: bool = False) -> Golden:
    """Return the golden record that one statement makes."""
    statement = golden.stated(
        _facts(given, estimated=estimated),
        contribution_id=told.contribution_id,
        provider=told.provider,
        kind=told.kind,
        level=told.level,
        at=now,
        sex=given.sex,
        birth_date=given.birth_date,
    )
    return survive([statement])


def matching_facts(given: Demographics) -> Facts:
    """Return what full facts say, for matching; a number of the domain index says nothing."""
    stands_in = given.id_type == NO_CERTIFICATE
    return Facts(
        name=given.name,
        sex=given.sex,
        birth_date=given.birth_date,
        id_type="" if stands_in else given.id_type,
        id_number="" if stands_in else given.id_number,
        phone=given.phone,
        address=given.address,
    )


async def release_many(connection: RawConnection, refused: Sequence[Identification]) -> None:
    """Undo the claims of residents who are refused after all."""
    claims = [(*item.certificate, item.proposed_mpi) for item in refused if item.claimed]
    if claims:
        await statements.release(connection, claims)


async def identify(
    connection: Connection,
    given: Demographics,
    *,
    proposed_mpi: UUID,
    provider: str,
    mark: RealNameMark,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> UUID:
    """Return the one person of a certificate, entering her as ``proposed_mpi`` when she is new.

    Raises:
        PersonDisagrees: the certificate is somebody's whose name or sex is another.
        PersonNotFound: her claim vanished this moment.
    """
    item = Identification(
        given=given,
        blind=blinder.id_blind(given.id_type, given.id_number),
        proposed_mpi=proposed_mpi,
        fresh=False,
        provider=provider,
        mark=mark,
    )
    inside = await raw(connection)
    await claim_many(inside, [item], now=now)
    await look_up_many(inside, [item], sealer=sealer)
    if item.refusal is not None:
        raise item.refusal
    if item.mpi is None:
        raise PersonNotFound
    await enter_many(inside, [item], sealer=sealer, blinder=blinder, now=now)
    return item.mpi


def tokens(blinder: Blinder, name: str, phone: str, address: str = "", mother_name: str = "") -> list[int]:
    """Return the sorted search tokens of a person (``search_tokens``)."""
    return search.of_person(blinder, name=name, phone=phone, address=address, mother_name=mother_name)


_encoder = msgspec.json.Encoder()


def facts_blob(given: Demographics, *, estimated: bool = False) -> bytes:
    """Return what is sealed of a person's facts."""
    return _encoder.encode(_facts(given, estimated=estimated))


def _facts(given: Demographics, *, estimated: bool) -> SealedFacts:
    return SealedFacts(
        name=given.name,
        id_type=given.id_type,
        id_number=given.id_number,
        phone=given.phone,
        address=given.address,
        nation=given.nation,
        marital=given.marital,
        occupation=given.occupation,
        estimated=estimated,
    )
