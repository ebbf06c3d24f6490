"""Deeds on the person index with a model beside them that knows what must be true: for games that chance plays.

The model is a few sets: who was entered, which merges stand, which pairs were rejected, who is cancelled. ``check``
compares the database with it and asks ``merges.verifying`` for everything that must hold whatever happened.
"""

from __future__ import annotations

import random
from typing import Any
from uuid import UUID

from index_world import BLINDER, SEALER, Clock, by, enter, pointers, say, state
from sqlalchemy import select

from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.cancelling.service import Wanted
from yimatong.empi.errors import MergeConflict, SamePerson
from yimatong.empi.merges import service as merges
from yimatong.empi.merges import verifying
from yimatong.empi.merges.remaking import remake
from yimatong.empi.models import identifier
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.empi.reviews import service as reviews
from yimatong.empi.reviews.service import NewReview
from yimatong.kit.db import Connection, raw

KEYS: dict[str, Any] = {"sealer": SEALER, "blinder": BLINDER}
NAMES = ("张三", "李四", "王芳", "王芳之子")
PERSONS_MAX = 8
DEEDS = ("enter", "feed", "merge", "merge", "merge", "unmerge", "reject", "ask", "cancel", "restore")


class Game:
    """One game in one open transaction."""

    def __init__(self, connection: Connection) -> None:
        """Begin with an empty index."""
        self.connection = connection
        self.clock = Clock()
        self.entered: list[UUID] = []
        self.merged: dict[UUID, tuple[str, UUID]] = {}
        self.rejected: set[frozenset[UUID]] = set()
        self.cancelled: set[UUID] = set()
        self.certified: set[UUID] = set()
        self.last: tuple[str, dict[str, Any]] | None = None
        """The merge made just now, and everything as it was before."""

    def root(self, mpi: UUID) -> UUID:
        """Return whom an id means by the merges that stand."""
        while mpi in self.merged:
            mpi = self.merged[mpi][1]
        return mpi

    def members(self, root: UUID) -> set[UUID]:
        """Return every id that means her."""
        return {each for each in self.entered if self.root(each) == root}

    def across(self, left: UUID, right: UUID) -> set[frozenset[UUID]]:
        """Return the rejected pairs between two persons."""
        one, two = self.members(left), self.members(right)
        return {pair for pair in self.rejected if pair & one and pair & two}

    async def enter(self, *, certified: bool) -> None:
        """Enter somebody, with a certificate of her own or without."""
        if len(self.entered) >= PERSONS_MAX:
            return
        self.last = None
        number = len(self.entered)  # her id follows from it, so that a game is the same every time
        mpi = await enter(
            self.connection,
            now=self.clock(),
            name=NAMES[number % len(NAMES)],
            id_number=f"E{number:08d}" if certified else "",
            id_type="03",
            phone=f"1380013{number:04d}",
            source=(f"src:h{number % 3}", f"N{number}"),
            mpi=UUID(int=number * 7919 % 8 + 1),
        )
        self.entered.append(mpi)
        if certified:
            self.certified.add(mpi)

    async def feed(self, mpi: UUID) -> None:
        """Say something new under an id, whomever it means today."""
        self.last = None
        facts = SealedFacts(name="张三", id_type="", id_number="", phone="13911112222", address="宝鸡市")
        await say(self.connection, mpi, facts, now=self.clock())
        await remake(await raw(self.connection), [self.root(mpi)], now=self.clock(), **KEYS)

    async def merge(self, retired: UUID, survivor: UUID, *, steward: bool) -> None:
        """Merge two, as the engine does or as a steward who passes over every conflict."""
        left, right = self.root(retired), self.root(survivor)
        conflicts = {"cancelled"} if {left, right} & self.cancelled else set()
        if not steward:
            if self.members(left) & self.certified and self.members(right) & self.certified:
                conflicts.add("two_certificates")
            if self.across(left, right):
                conflicts.add("rejected_pair")
        before = await state(self.connection)
        decision = by(method="steward") if steward else by(method="probability", operator="engine")
        over: Any = ("two_certificates", "rejected_pair", "twins", "one_deceased") if steward else ()
        try:
            done = await merges.merge(
                self.connection,
                retired=retired,
                survivor=survivor,
                decision=decision,
                over=over,
                now=self.clock(),
                **KEYS,
            )
        except MergeConflict as raised:
            refused = set(raised.audit.split(","))
        else:
            refused = set()
        assert refused == (conflicts if left != right else set())
        if refused:
            return
        assert done.survivor == right
        assert done.again == (left == right)
        if left == right:
            return
        self.rejected -= self.across(left, right)
        self.merged[left] = (done.merge_id, right)
        self.last = (done.merge_id, before)

    async def unmerge(self, retired: UUID) -> None:
        """Undo the merge that retired an id; right after it was made, everything is as it was."""
        merge_id, survivor = self.merged[retired]
        back, others = {each for each in self.entered if retired in self.way(each)}, self.root(retired)
        apart = self.last is None or self.last[0] != merge_id
        done = await merges.unmerge(
            self.connection, merge_id=merge_id, decision=by("unmerge"), apart=apart, now=self.clock(), **KEYS
        )
        assert (set(done.back), done.others) == (back, others)
        del self.merged[retired]
        if apart:
            self.rejected.add(frozenset((retired, survivor)))
        elif self.last is not None:
            assert await state(self.connection) == self.last[1], "an unmerge restores the very state before"
        self.last = None

    def way(self, mpi: UUID) -> list[UUID]:
        """Return an id and everybody it leads over to its person."""
        passed = [mpi]
        while passed[-1] in self.merged:
            passed.append(self.merged[passed[-1]][1])
        return passed

    async def reject(self, left: UUID, right: UUID) -> None:
        """Judge two not to be one person."""
        self.last = None
        one, two = self.root(left), self.root(right)
        try:
            await merges.reject(
                self.connection, left=left, right=right, decision=by("reject"), now=self.clock(), **KEYS
            )
        except SamePerson:
            assert one == two
            return
        self.rejected.add(frozenset((one, two)))

    async def ask(self, left: UUID, right: UUID) -> None:
        """Put a pair before a steward; what cannot be a question is none."""
        self.last = None
        one, two = self.root(left), self.root(right)
        silent = one == two or {one, two} & self.cancelled or self.across(one, two)
        found = await reviews.open_many(await raw(self.connection), [NewReview(left, right, "probable")], self.clock())
        assert (found == [""]) == bool(silent)

    async def cancel(self, mpi: UUID) -> None:
        """Cancel whoever an id means."""
        self.last = None
        root = self.root(mpi)
        wanted = Wanted(reason="error", died_on=None, operator="his-1")
        done = await cancelling.cancel(self.connection, mpi, wanted, now=self.clock())
        assert done.again == (root in self.cancelled)
        self.cancelled.add(root)

    async def restore(self, mpi: UUID) -> None:
        """Take a cancellation back."""
        self.last = None
        await cancelling.restore(self.connection, mpi, operator="opr_1", reason="wrong", now=self.clock(), **KEYS)
        self.cancelled.remove(self.root(mpi))

    async def check(self) -> None:
        """Compare the database with the model, and with everything that must always hold."""
        wanted = {each: (self.root(each) if each in self.merged else None) for each in self.entered}
        assert await pointers(self.connection) == wanted, "every retired id leads to her person in one step"
        broken = await verifying.look(self.connection)
        assert not broken, broken
        walk = verifying.look_at_golden(self.connection, **KEYS)
        assert [found async for _, part in walk for found in part] == []
        for each in self.entered[:2]:
            assert (await persons.read(self.connection, SEALER, each)).mpi == self.root(each)
        live = await self.connection.execute(select(identifier.c.mpi).where(identifier.c.state == "active"))
        numbered = {self.root(mpi) for mpi in live.scalars()}
        assert numbered == {self.root(each) for each in self.entered} - self.cancelled

    async def anything(self, chance: random.Random) -> None:
        """Do one deed that chance chooses, and check."""
        deed = chance.choice(
            ["enter", "feed", "merge", "merge", "merge", "unmerge", "reject", "ask", "cancel", "restore"]
        )
        if len(self.entered) < 4 or deed == "enter":
            await self.enter(certified=chance.random() < 0.5)
        elif deed == "unmerge":
            if self.merged:
                await self.unmerge(chance.choice(sorted(self.merged)))
        elif deed == "restore":
            if self.cancelled:
                await self.restore(chance.choice(sorted(self.cancelled)))
        elif deed == "cancel":
            if chance.random() < 0.4:
                await self.cancel(chance.choice(self.entered))
        elif deed == "feed":
            await self.feed(chance.choice(self.entered))
        else:
            left, right = chance.sample(self.entered, 2)
            if deed == "merge":
                await self.merge(left, right, steward=chance.random() < 0.6)
            else:
                await (self.reject if deed == "reject" else self.ask)(left, right)
        await self.check()
