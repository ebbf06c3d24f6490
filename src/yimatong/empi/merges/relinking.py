"""Relink: one source record is moved to the person whose it is, or to a person of its own.

What the record said moves with it, its number, and the claim of a certificate that nobody else said of the old person.
Sealed statements are tied to their row, so they are sealed anew. A record that is all that is known of a person is not
moved: then the persons are merged, so that her id goes on leading somewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import ColumnElement, Row, insert, literal, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import SourceRecordUnknown
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.identifiers import service as identifiers
from yimatong.empi.merges import decisions, pointers, queries, rejections
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.remaking import remake
from yimatong.empi.merges.service import merge
from yimatong.empi.models import block, certificate, contribution, person
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.db import Connection, raw

_facts = msgspec.json.Decoder(SealedFacts)


class Relinked(msgspec.Struct, frozen=True, kw_only=True):
    """From whom to whom a record went. ``merged``: it was all that was known of her, so both became one person."""

    left: UUID
    right: UUID
    merged: bool = False
    again: bool = False


async def relink(
    connection: Connection,
    *,
    domain: str,
    source_blind: bytes,
    to: UUID | None,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> Relinked:
    """Move a source record to the person whom ``to`` means, or, with None, to a person of its own.

    A person of its own is noted as rejected with the old one, so that the engine does not join them again.

    Raises:
        SourceRecordUnknown: no such record. PersonNotFound: nobody there. MergeConflict: see ``Relinked.merged``.
    """
    await pointers.hold(connection)
    rows = await _of_record(connection, domain, source_blind)
    if not rows:
        raise SourceRecordUnknown
    own: UUID = rows[0].mpi
    held = await pointers.lock(connection, own, *([] if to is None else [to]))
    old = held[own].mpi
    new = await _fresh(connection, rows[-1], sealer=sealer, now=now) if to is None else held[to].mpi
    if new == old:
        return Relinked(left=old, right=old, again=True)
    others = await _others(connection, old, {row.contribution_id for row in rows})
    if not others and to is not None:
        await merge(connection, retired=old, survivor=new, decision=decision, sealer=sealer, blinder=blinder, now=now)
        return Relinked(left=old, right=new, merged=True)
    await _move(connection, rows, others, new, sealer=sealer, blinder=blinder)
    inside = await raw(connection)
    await identifiers.relink(inside, [(domain, source_blind)], mpi=new, sealer=sealer, blinder=blinder, now=now)
    versions = {mpi: await pointers.touch(connection, mpi, now=now) for mpi in (old, new)}
    versions |= await remake(inside, [old, new], sealer=sealer, blinder=blinder, now=now)
    made = decision._replace(kind="relink", left=old, right=new, contribution_id=rows[-1].contribution_id)
    (decision_id,) = await decisions.write(inside, [made], now)
    if to is None:
        await rejections.keep(connection, old, new, decision_id, twins=False, sealer=sealer, blinder=blinder, now=now)
    told = [Change(old, "updated", decision.operator, versions[old], new)]
    told.append(Change(new, "registered" if to is None else "updated", decision.operator, versions[new], old))
    await events.note(inside, told, now=now)
    return Relinked(left=old, right=new)


async def _of_record(connection: Connection, domain: str, source_blind: bytes) -> Sequence[Row[Any]]:
    found = await connection.execute(
        select(contribution)
        .where(contribution.c.domain == domain, contribution.c.source_blind == source_blind)
        .order_by(contribution.c.at, contribution.c.contribution_id)
    )
    return found.all()


async def _others(connection: Connection, mpi: UUID, moving: set[str]) -> list[Row[Any]]:
    members = (await queries.groups(connection, [mpi]))[mpi].members
    found = await connection.execute(select(contribution).where(contribution.c.mpi.in_(members)))
    return [row for row in found if row.contribution_id not in moving]


async def _fresh(connection: Connection, said: Row[Any], *, sealer: Sealer, now: datetime) -> UUID:
    """Enter a person for a record; her golden record follows from it."""
    mpi = uuid4()
    await connection.execute(
        insert(person).values(
            mpi=mpi,
            sealed=sealer.seal(sealer.unseal(said.sealed, aad(said.mpi)), aad(mpi)),
            search_tokens=[],
            sex=said.sex or "0",
            birth_date=said.birth_date,
            created_at=now,
            changed_at=now,
        )
    )
    return mpi


async def _move(
    connection: Connection,
    rows: Sequence[Row[Any]],
    others: Sequence[Row[Any]],
    new: UUID,
    *,
    sealer: Sealer,
    blinder: Blinder,
) -> None:
    """Move what the record said, the claims of certificates that only it stated, and its blocking keys."""
    stated: set[tuple[str, bytes]] = set()
    for row in rows:
        facts = sealer.unseal(row.sealed, aad(row.mpi))
        stated |= _certificate(_facts.decode(facts), blinder)
        await connection.execute(
            update(contribution)
            .where(contribution.c.mpi == row.mpi, contribution.c.contribution_id == row.contribution_id)
            .values(mpi=new, sealed=sealer.seal(facts, aad(new)))
        )
    for row in others:
        stated -= _certificate(_facts.decode(sealer.unseal(row.sealed, aad(row.mpi))), blinder)
    for id_type, blind in sorted(stated):
        await connection.execute(
            update(certificate)
            .where(certificate.c.id_type == id_type, certificate.c.id_blind == blind, certificate.c.mpi == rows[0].mpi)
            .values(mpi=new)
        )
    keys = select(block.c.token, _value(new)).where(block.c.mpi == rows[0].mpi)
    await connection.execute(upsert(block).from_select(["token", "mpi"], keys).on_conflict_do_nothing())


def _value(mpi: UUID) -> ColumnElement[UUID]:
    return literal(mpi, person.c.mpi.type)


def _certificate(facts: SealedFacts, blinder: Blinder) -> set[tuple[str, bytes]]:
    return {(facts.id_type, blinder.id_blind(facts.id_type, facts.id_number))} if facts.id_number else set()
