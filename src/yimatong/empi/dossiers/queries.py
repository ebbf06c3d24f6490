"""Every SELECT of a dossier. What is read here is unsealed personal data: the page that asks writes the audit row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, or_, select

from yimatong.crypto.sealing import Sealer
from yimatong.empi.dossiers.schemas import (
    FIELDS,
    Certificate,
    ChangeLine,
    DecisionLine,
    FieldValue,
    MergeLine,
    Record,
    Statement,
    field_text,
    whole,
)
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.survivorship import survive
from yimatong.empi.merges import queries as merges_queries
from yimatong.empi.merges.decisions import evidence_read
from yimatong.empi.models import certificate, change, contribution, decision, merge, person
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.db import Connection

_facts: Final = msgspec.json.Decoder(SealedFacts)
_SAID_ONLY: Final = ("said_number",)
_STATEMENTS_MAX: Final = 200
_LINES_MAX: Final = 100


async def read(connection: Connection, sealer: Sealer, mpi: UUID) -> Record:
    """Return the person whom an id means today, with every statement of all ids that mean her.

    Raises:
        PersonNotFound: no such person. SealBroken: a row was edited.
    """
    members = await persons.members(connection, mpi)
    return await _record(connection, sealer, members[0], members)


async def sides(connection: Connection, sealer: Sealer, left: UUID, right: UUID) -> tuple[Record, Record]:
    """Return two persons as they stand apart; of a pair that was merged, what each brought into the merge.

    Raises:
        PersonNotFound: one of them does not exist. SealBroken: a row was edited.
    """
    of_left, of_right = await persons.members(connection, left), await persons.members(connection, right)
    if of_left[0] != of_right[0]:
        return (
            await _record(connection, sealer, of_left[0], of_left),
            await _record(connection, sealer, of_right[0], of_right),
        )
    return await _before_merge(connection, sealer, left, right, of_left)


async def _before_merge(
    connection: Connection, sealer: Sealer, left: UUID, right: UUID, members: tuple[UUID, ...]
) -> tuple[Record, Record]:
    retired = left if right == members[0] or left != members[0] else right
    own = tuple(sorted(await merges_queries.under(connection, retired), key=lambda mpi: (mpi != retired, mpi)))
    rest = tuple(each for each in members if each not in own) or members
    of_own = await _record(connection, sealer, retired, own, rebuilt=True)
    of_rest = await _record(connection, sealer, rest[0], rest, rebuilt=True)
    return (of_own, of_rest) if retired == left else (of_rest, of_own)


async def _record(
    connection: Connection, sealer: Sealer, mpi: UUID, members: tuple[UUID, ...], *, rebuilt: bool = False
) -> Record:
    row = (await connection.execute(select(person).where(person.c.mpi == mpi))).first()
    if row is None:
        raise PersonNotFound
    statements = await _statements(connection, sealer, members)
    known = _survivors(statements) if rebuilt else _golden(sealer, row)
    known |= {name: said for name in _SAID_ONLY if (said := _said(name, statements))}
    return Record(
        mpi=mpi,
        members=members,
        state=row.state,
        version=row.version,
        fields=tuple(_field(name, known.get(name, ""), statements) for name in FIELDS),
        statements=statements,
        created_at=row.created_at,
        changed_at=row.changed_at,
        cancelled_at=row.cancelled_at,
        cancel_reason=row.cancel_reason,
        deceased_on=row.deceased_on,
    )


def _golden(sealer: Sealer, row: Row[Any]) -> dict[str, str]:
    facts = _facts.decode(sealer.unseal(row.sealed, persons.aad(row.mpi)))
    return _values(facts, sex=row.sex, birth_date=row.birth_date)


def _values(facts: SealedFacts, *, sex: object, birth_date: object) -> dict[str, str]:
    found = {"sex": str(sex or ""), "birth_date": str(birth_date or "")}
    for name in FIELDS:
        if name not in found:
            found[name] = str(getattr(facts, name))
    found["id_type"] = facts.id_type or facts.said_type
    return {name: field_text(name, found[name]) for name in FIELDS if found[name]}


def _survivors(statements: Sequence[Statement]) -> dict[str, str]:
    """Return what survives of one side's statements: a side of a merged pair has no golden record of its own."""
    said = [
        golden.stated(
            each.facts,
            contribution_id=each.contribution_id,
            provider=each.provider,
            kind=each.kind,
            level=each.level,
            at=each.at,
            sex=whole(each.values.get("sex", "0")),
            birth_date=date.fromisoformat(each.values["birth_date"]) if "birth_date" in each.values else None,
        )
        for each in statements
        if each.current
    ]
    if not said:
        return {}
    won = survive(said)
    return {
        name: field_text(name, str(getattr(won, name) or ""))
        for name in FIELDS
        if name not in _SAID_ONLY and getattr(won, name)
    }


def _said(name: str, statements: Sequence[Statement]) -> str:
    """Return the newest of what was said and identifies nobody: it never gets into a golden record."""
    return next((each.values[name] for each in statements if each.current and name in each.values), "")


def _rank(statement: Statement) -> tuple[bool, int, Any]:
    return statement.current, statement.level, statement.at


def _field(name: str, value: str, statements: Sequence[Statement]) -> FieldValue:
    said = [each for each in statements if each.current and name in each.values]
    agreeing = [each for each in statements if each.values.get(name) == value] if value else []
    return FieldValue(
        name=name,
        value=value,
        source=max(agreeing, key=_rank, default=None),
        others=len({whole(each.values[name]) for each in said} - {whole(value)}),
    )


async def _statements(connection: Connection, sealer: Sealer, members: Sequence[UUID]) -> tuple[Statement, ...]:
    rows = await connection.execute(
        select(contribution)
        .where(contribution.c.mpi.in_(members))
        .order_by(contribution.c.current.desc(), contribution.c.at.desc(), contribution.c.contribution_id.desc())
        .limit(_STATEMENTS_MAX)
    )
    found = []
    for row in rows:
        facts = _facts.decode(sealer.unseal(row.sealed, persons.aad(row.mpi)))
        found.append(
            Statement(
                own_mpi=row.mpi,
                contribution_id=row.contribution_id,
                provider=row.provider,
                kind=row.kind,
                domain=row.domain,
                current=row.current,
                facts=facts,
                values=_values(facts, sex=row.sex, birth_date=row.birth_date),
                proof=row.real_name_method,
                level=row.real_name_level,
                at=row.at,
            )
        )
    return tuple(found)


async def changes(connection: Connection, mpis: Sequence[UUID]) -> list[ChangeLine]:
    """Return what happened to persons, newest first."""
    rows = await connection.execute(
        select(change).where(change.c.mpi.in_(mpis)).order_by(change.c.id.desc()).limit(_LINES_MAX)
    )
    return [
        ChangeLine(
            mpi=row.mpi,
            kind=row.kind,
            other_mpi=row.other_mpi,
            domain=row.domain,
            provider=row.provider,
            version=row.version,
            at=row.at,
        )
        for row in rows
    ]


async def decisions(connection: Connection, mpis: Sequence[UUID]) -> list[DecisionLine]:
    """Return the decisions that any of these persons took part in, newest first."""
    rows = await connection.execute(
        select(decision)
        .where(or_(decision.c.left_mpi.in_(mpis), decision.c.right_mpi.in_(mpis)))
        .order_by(decision.c.at.desc(), decision.c.decision_id.desc())
        .limit(_LINES_MAX)
    )
    return [_decision(row) for row in rows]


def _decision(row: Row[Any]) -> DecisionLine:
    return DecisionLine(
        decision_id=row.decision_id,
        at=row.at,
        kind=row.kind,
        method=row.method,
        left_mpi=row.left_mpi,
        right_mpi=row.right_mpi,
        weight=row.weight,
        probability=row.probability,
        evidence=evidence_read(row.evidence),
        rule_version=row.rule_version,
        operator=row.operator,
        reason=row.reason,
    )


async def merges(connection: Connection, mpis: Sequence[UUID]) -> list[MergeLine]:
    """Return the merges of persons, newest first, those undone among them."""
    rows = await connection.execute(
        select(
            merge.c.merge_id,
            merge.c.retired_mpi,
            merge.c.survivor_mpi,
            merge.c.moved,
            merge.c.at,
            merge.c.decision_id,
            merge.c.undone_at,
        )
        .where(or_(merge.c.retired_mpi.in_(mpis), merge.c.survivor_mpi.in_(mpis)))
        .order_by(merge.c.at.desc(), merge.c.merge_id.desc())
        .limit(_LINES_MAX)
    )
    return [
        MergeLine(
            merge_id=row.merge_id,
            retired_mpi=row.retired_mpi,
            survivor_mpi=row.survivor_mpi,
            moved=tuple(row.moved),
            at=row.at,
            decision_id=row.decision_id,
            undone_at=row.undone_at,
        )
        for row in rows
    ]


async def certificates(connection: Connection, mpis: Sequence[UUID]) -> list[Certificate]:
    """Return the certificates that are claimed for persons, the oldest claim first."""
    rows = await connection.execute(
        select(certificate.c.id_type, certificate.c.mpi, certificate.c.claimed_at, certificate.c.replaced_at)
        .where(certificate.c.mpi.in_(mpis))
        .order_by(certificate.c.claimed_at, certificate.c.id_type)
    )
    return [
        Certificate(id_type=row.id_type, own_mpi=row.mpi, claimed_at=row.claimed_at, replaced_at=row.replaced_at)
        for row in rows
    ]
