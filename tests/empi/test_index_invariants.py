"""The promises of the person index, whatever happens: Hypothesis chooses the deeds, and planted faults are caught."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from index_game import Game
from sqlalchemy import text

from yimatong.empi.merges import pointers, queries, rejections, rules, service, waiting
from yimatong.kit.db import Connection, Database

_HYPOTHESIS = hypothesis_settings(
    max_examples=12,
    stateful_step_count=18,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


class Machine(RuleBasedStateMachine):
    loop: ClassVar[asyncio.AbstractEventLoop]
    database: ClassVar[Database]

    def __init__(self) -> None:
        super().__init__()
        self.connection = self.do(self.database.engine.connect().start())
        self.transaction = self.do(self.connection.begin().start())
        self.game = Game(self.connection)

    def do(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.do(self.transaction.rollback())
        self.do(self.connection.close())

    def somebody(self, data: st.DataObject) -> UUID:
        return self.game.entered[data.draw(st.integers(0, len(self.game.entered) - 1))]

    @rule(certified=st.booleans())
    def enter(self, *, certified: bool) -> None:
        self.do(self.game.enter(certified=certified))

    @precondition(lambda self: self.game.entered)
    @rule(data=st.data())
    def feed(self, data: st.DataObject) -> None:
        self.do(self.game.feed(self.somebody(data)))

    @precondition(lambda self: len(self.game.entered) > 1)
    @rule(data=st.data(), steward=st.booleans())
    def merge(self, data: st.DataObject, *, steward: bool) -> None:
        self.do(self.game.merge(self.somebody(data), self.somebody(data), steward=steward))

    @precondition(lambda self: self.game.merged)
    @rule(data=st.data())
    def unmerge(self, data: st.DataObject) -> None:
        merged = [each for each in self.game.entered if each in self.game.merged]
        self.do(self.game.unmerge(data.draw(st.sampled_from(range(len(merged))).map(merged.__getitem__))))

    @precondition(lambda self: len(self.game.entered) > 1)
    @rule(data=st.data(), judged=st.booleans())
    def judge(self, data: st.DataObject, *, judged: bool) -> None:
        left, right = self.somebody(data), self.somebody(data)
        self.do(self.game.reject(left, right) if judged else self.game.ask(left, right))

    @precondition(lambda self: self.game.entered)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.do(self.game.cancel(self.somebody(data)))

    @precondition(lambda self: self.game.cancelled)
    @rule()
    def restore(self) -> None:
        first = next(each for each in self.game.entered if each in self.game.cancelled)
        self.do(self.game.restore(first))

    @invariant()
    def promises(self) -> None:
        self.do(self.game.check())


def test_the_index_keeps_its_promises_whatever_happens(database_url: str) -> None:
    Machine.loop = asyncio.new_event_loop()
    Machine.database = Database(database_url)
    try:
        run_state_machine_as_test(Machine, settings=_HYPOTHESIS)
    finally:
        Machine.loop.run_until_complete(Machine.database.close())
        Machine.loop.close()


async def play(connection: Connection, *, seed: int = 11, deeds: int = 100) -> None:
    """Play a game that is the same every time; an AssertionError is a broken promise."""
    game, chance = Game(connection), random.Random(seed)
    for _ in range(deeds):
        await game.anything(chance)


async def test_the_game_that_finds_the_faults_finds_none_without_them(connection: Connection) -> None:
    await play(connection)


def _forgets_pointees(patch: pytest.MonkeyPatch) -> None:
    real = pointers.retire

    async def only_the_head(connection: Any, moved: Any, *, into: UUID, now: Any) -> Any:
        head = [mpi for mpi, row in (await queries.rows(connection, list(moved))).items() if row.current_mpi is None]
        return await real(connection, head, into=into, now=now)

    patch.setattr(pointers, "retire", only_the_head)


def _loses_moved_ids(patch: pytest.MonkeyPatch) -> None:
    async def alone(_connection: Any, mpi: UUID) -> frozenset[UUID]:
        return frozenset((mpi,))

    patch.setattr(queries, "under", alone)


def _ignores_rejections(patch: pytest.MonkeyPatch) -> None:
    async def none(*_: Any) -> list[Any]:
        return []

    patch.setattr(queries, "rejections", none)


def _checks_no_claim(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "_types", lambda _group: set())


def _keeps_the_golden_record(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> dict[UUID, int]:
        return {}

    patch.setattr(service, "remake", nothing)


def _joins_them_again(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        return None

    patch.setattr(rejections, "keep", nothing)


def _leaves_ghosts_in_the_queue(patch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> list[str]:
        return []

    patch.setattr(waiting, "close", nothing)


FAULTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "a merge forgets the ids that led to the retired one": _forgets_pointees,
    "an unmerge loses ids that came back": _loses_moved_ids,
    "a rejected pair is ignored": _ignores_rejections,
    "the claim of a certificate is not checked": _checks_no_claim,
    "the golden record is not made anew": _keeps_the_golden_record,
    "a pair taken apart is not remembered": _joins_them_again,
    "a merge leaves reviews of a retired id waiting": _leaves_ghosts_in_the_queue,
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planted_fault_is_caught(connection: Connection, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    FAULTS[fault](monkeypatch)
    with pytest.raises(AssertionError):
        await play(connection)


@pytest.mark.parametrize("index", ["uq_empi_merge_retired", "uq_empi_contribution_source", "uq_empi_identifier_active"])
async def test_a_missing_unique_index_is_caught(connection: Connection, index: str) -> None:
    await connection.execute(text(f"DROP INDEX {index}"))
    with pytest.raises(AssertionError, match=index):
        await play(connection, deeds=1)
