"""Verbs on who is who: merge, unmerge, reject, relink. Everything else about persons stays where it was entered.

A merge retires one id into another. Contributions, certificates and numbers keep the id that they were entered for;
only pointers move, and the golden record of the group is made anew. So undoing a merge is taking one edge out: the id
that it retired comes back with every id that leads to it over other merges, whatever was merged before or after.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, insert, select, update

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi import topics
from yimatong.empi.errors import MergeConflict, MergeNotFound
from yimatong.empi.events import service as events
from yimatong.empi.events.service import Change
from yimatong.empi.merges import decisions, pointers, queries, rejections
from yimatong.empi.merges import waiting as reviews
from yimatong.empi.merges.decisions import NewDecision
from yimatong.empi.merges.pointers import Before
from yimatong.empi.merges.rejections import lift, reject
from yimatong.empi.merges.remaking import remake
from yimatong.empi.merges.rules import CONFLICTS, NEVER, Conflict, conflicts, in_order
from yimatong.empi.models import merge as merge_table
from yimatong.kit import alarms, outbox
from yimatong.kit.db import Connection, raw
from yimatong.kit.ids import new_id

__all__ = ["Merged", "NewDecision", "Unmerged", "lift", "merge", "merge_pair", "reject", "unmerge"]

ALARM: Final = "merges-on-top"
"""Somebody should look at merges that came on top of one that was undone."""

_NAMED_MAX: Final = 10


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """Who was retired into whom. ``again``: both were one person before; ``merge_id`` is empty if no merge did it."""

    merge_id: str
    survivor: UUID
    retired: UUID
    again: bool = False


class Unmerged(msgspec.Struct, frozen=True, kw_only=True):
    """Who is a person of her own again, with every id that came back with her, and who stayed behind.

    ``later``: merges that came on top of the undone one and stand; they may have stood on the wrong half's facts.
    """

    merge_id: str
    person: UUID
    back: tuple[UUID, ...]
    others: UUID
    later: tuple[str, ...] = ()
    again: bool = False


async def merge(
    connection: Connection,
    *,
    retired: UUID,
    survivor: UUID,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    over: Collection[Conflict] = (),
) -> Merged:
    """Make one person of two: whoever ``retired`` means is retired into whoever ``survivor`` means.

    The same again changes nothing. ``decision`` says by what and by whom (kind and persons are filled in here).
    ``over`` names conflicts that a steward passes over; passing over a rejected pair lifts the rejection.

    Raises:
        PersonNotFound: one of them does not exist. MergeConflict: the cluster check (``merges.rules``).
        SealBroken: a row was edited.
    """
    rows = await pointers.lock(connection, retired, survivor)
    loser, winner = rows[retired], rows[survivor]
    if loser.mpi == winner.mpi:
        return await _again(connection, retired, survivor, winner.mpi)
    return await _merge(
        connection, loser, winner, decision=decision, sealer=sealer, blinder=blinder, now=now, over=frozenset(over)
    )


async def merge_pair(
    connection: Connection,
    *,
    left: UUID,
    right: UUID,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    over: Collection[Conflict] = (),
) -> Merged:
    """Do the same of two persons in any order: who has a valid certificate survives, then who was entered first."""
    rows = await pointers.lock(connection, left, right)
    first, second = rows[left].mpi, rows[right].mpi
    if first == second:
        return await _again(connection, left, right, first)
    groups = await queries.groups(connection, [first, second])
    survivor, retired = in_order(groups[first], groups[second])
    return await merge(
        connection,
        retired=retired.mpi,
        survivor=survivor.mpi,
        decision=decision,
        sealer=sealer,
        blinder=blinder,
        now=now,
        over=over,
    )


async def _again(connection: Connection, retired: UUID, survivor: UUID, person: UUID) -> Merged:
    known = await queries.of_retired(connection, retired) or await queries.of_retired(connection, survivor)
    if known is None:
        return Merged(merge_id="", survivor=person, retired=retired, again=True)
    return Merged(merge_id=known.merge_id, survivor=person, retired=known.retired_mpi, again=True)


async def _merge(
    connection: Connection,
    loser: Row[Any],
    winner: Row[Any],
    *,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    over: frozenset[Conflict],
) -> Merged:
    groups = await queries.groups(connection, [loser.mpi, winner.mpi])
    left, right = groups[loser.mpi], groups[winner.mpi]
    against = await queries.rejections(connection, left.members, right.members)
    _require(conflicts(left, right, against), over)
    if against:
        await lift(connection, sorted(left.members), sorted(right.members), now=now)
    inside = await raw(connection)
    made = decision._replace(kind="merge", left=loser.mpi, right=winner.mpi)
    (decision_id,) = await decisions.write(inside, [made], now)
    merge_id = new_id("mrg")
    before = Before(
        retired=tuple(sorted(left.members)),
        survivors=tuple(sorted(right.members)),
        survivor=pointers.opened(sealer, winner),
        retired_row=pointers.opened(sealer, loser),
    )
    await connection.execute(
        insert(merge_table).values(
            merge_id=merge_id,
            retired_mpi=loser.mpi,
            survivor_mpi=winner.mpi,
            moved=sorted(left.members),
            before=pointers.sealed(sealer, merge_id, before),
            decision_id=decision_id,
            at=now,
        )
    )
    moved = await pointers.retire(connection, left.members, into=winner.mpi, now=now)
    died = winner.deceased_on or loser.deceased_on
    version = await pointers.touch(connection, winner.mpi, now=now, deceased_on=died)
    made_anew = await remake(inside, [winner.mpi], sealer=sealer, blinder=blinder, now=now)
    version = made_anew.get(winner.mpi, version)
    await reviews.close(
        connection, left.members | right.members, decision_id=decision_id, operator=decision.operator, now=now
    )
    told = [Change(own, "merged", decision.operator, number, winner.mpi) for own, number in moved]
    told.append(Change(winner.mpi, "updated", decision.operator, version, loser.mpi))
    await events.note(inside, told, now=now)
    return Merged(merge_id=merge_id, survivor=winner.mpi, retired=loser.mpi)


def _require(found: tuple[Conflict, ...], over: frozenset[Conflict]) -> None:
    left = [each for each in found if each in NEVER or each not in over]
    if left:
        named = "; ".join(f"{CONFLICTS[each][0]} ({CONFLICTS[each][1]})" for each in left)
        raise MergeConflict(conflicts=named, audit=",".join(left))


async def unmerge(
    connection: Connection,
    *,
    merge_id: str,
    decision: NewDecision,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
    apart: bool = True,
) -> Unmerged:
    """Undo a merge: the id that it retired is a person of its own again, with all that lead to it.

    What was merged into the other person before or since stays with her; what was said meanwhile stays with the id that
    it was entered for. ``apart`` notes both as a rejected pair, so that the engine does not join them again at once.
    Undoing it again changes nothing.

    Raises:
        MergeNotFound: no such merge. SealBroken: a row was edited.
    """
    known = (await connection.execute(select(merge_table).where(merge_table.c.merge_id == merge_id))).first()
    if known is None:
        raise MergeNotFound
    root = known.retired_mpi
    rows = await pointers.lock(connection, root)
    standing = await queries.standing(connection, merge_id)
    if standing is None:
        return Unmerged(merge_id=merge_id, person=root, back=(), others=known.survivor_mpi, again=True)
    others = rows[root]
    back = await queries.under(connection, root)
    inside = await raw(connection)
    made = decision._replace(kind="unmerge", left=root, right=others.mpi)
    (decision_id,) = await decisions.write(inside, [made], now)
    await connection.execute(
        update(merge_table)
        .where(merge_table.c.merge_id == merge_id)
        .values(undone_at=now, undo_decision_id=decision_id)
    )
    moved = await pointers.bring_back(connection, back, root=root, now=now)
    version = await _separate(connection, standing, others, sealer=sealer, blinder=blinder, now=now)
    if apart:
        await rejections.keep(
            connection, root, standing.survivor_mpi, decision_id, twins=False, sealer=sealer, blinder=blinder, now=now
        )
    await reviews.reopen(connection, standing.decision_id, operator=decision.operator, now=now)
    later = await _look_at_later(connection, standing, others.mpi, now=now)
    told = [Change(own, "unmerged", decision.operator, number, others.mpi) for own, number in moved]
    told.append(Change(others.mpi, "updated", decision.operator, version, root))
    await events.note(inside, told, now=now)
    await outbox.write(
        connection,
        topic=topics.PERSON_UNMERGED,
        ordering_key=f"person:{root.hex}",
        payload={"mpis": [own.hex for own in sorted(back)], "others": others.mpi.hex},
        now=now,
    )
    return Unmerged(merge_id=merge_id, person=root, back=tuple(sorted(back)), others=others.mpi, later=later)


async def _separate(
    connection: Connection,
    undone: Row[Any],
    others: Row[Any],
    *,
    sealer: Sealer,
    blinder: Blinder,
    now: datetime,
) -> int:
    """Make both golden records what they are without each other; return the version of who stayed behind.

    The survivor's row is put back as it was kept, for one of whom nobody ever said anything; then both are made anew of
    what was said, which comes out the same unless somebody said more meanwhile.
    """
    before = pointers.unsealed(sealer, undone.merge_id, bytes(undone.before))
    own = (await queries.rows(connection, [undone.survivor_mpi]))[undone.survivor_mpi]
    values = pointers.restored(sealer, own.mpi, before.survivor)
    if own.deceased_on != before.retired_row.deceased_on:  # reported since, and hers
        values["deceased_on"] = own.deceased_on
    await pointers.touch(connection, own.mpi, now=now, **values)
    version = await pointers.touch(connection, others.mpi, now=now)
    both = [undone.retired_mpi, others.mpi]
    made_anew = await remake(await raw(connection), both, sealer=sealer, blinder=blinder, now=now)
    return made_anew.get(others.mpi, version)


async def _look_at_later(connection: Connection, undone: Row[Any], others: UUID, *, now: datetime) -> tuple[str, ...]:
    """Have somebody look at the merges that came on top: they may have stood on the facts of the wrong half."""
    later = await queries.after(connection, await queries.under(connection, others), since=undone.at)
    if later:
        detail = ", ".join(each.merge_id for each in later[:_NAMED_MAX])
        await alarms.raise_alarm(connection, kind=ALARM, subject=undone.merge_id, detail=detail, now=now)
    return tuple(each.merge_id for each in later)
