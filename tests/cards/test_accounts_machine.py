"""The account's state machine and its aliases, driven at random against a model: Hypothesis chooses the deeds.

Always true, whatever came before: every VUID ever issued leads to at most one live account; aliases point on in one
step and never in a circle; a person has one live account; what was cancelled stays cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import date, timedelta
from typing import Any, ClassVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import select

from yimatong.access.caller import PLATFORM, Caller
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.accounts import history, queries, registration, service
from yimatong.cards.accounts.schemas import Registration, StateChange
from yimatong.cards.certificates import service as certificates
from yimatong.cards.certificates.schemas import CertificateChange, OldCertificate
from yimatong.cards.entries import service as entries
from yimatong.cards.entries.schemas import NewEntry
from yimatong.cards.errors import AccountCancelled, AccountFrozen, AliasNotFound, FreezeByStronger
from yimatong.cards.models import account
from yimatong.cards.standing import service as standing
from yimatong.empi.errors import CertificateNotHers, CertificateTaken
from yimatong.empi.persons.schemas import Demographics
from yimatong.kit import clock
from yimatong.kit.settings import Settings

HIS = Caller(caller_id="his-1", kind="institution", name="his", institution_id="inst-h1")
OFFICE = history.of_operator("opr_1", PLATFORM, "req_office")
ORIGIN = history.of_caller(HIS, "req_machine")


class _NobodyToAsk:
    async def check(self, method: str, resident: Demographics, proof: object, *, now: object) -> str:
        raise AssertionError(resident.id_type)


def facts(number: int) -> Demographics:
    return Demographics(
        name="张三丰",
        sex="1",
        birth_date=date(1980, 2, 3),
        id_type="03",
        id_number=f"E{number:08d}",
        phone="13800138000",
    )


class Machine(RuleBasedStateMachine):
    parts: ClassVar[Parts]
    loop: ClassVar[asyncio.AbstractEventLoop]
    played: ClassVar[int] = 0
    """How many games were played: each has certificates of its own, which nothing that Hypothesis draws depends on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = clock.now() - timedelta(days=1)
        self.last = 0
        self.numbers: list[int] = []
        self.vuids: list[str] = []
        self.cancelled: set[tuple[str, int]] = set()
        Machine.played += 1
        self.played = Machine.played

    def do(self, work: Any) -> Any:
        self.now += timedelta(seconds=2)
        return self.loop.run_until_complete(work)

    async def tx(self, verb: Any) -> Any:
        async with self.parts.db.transaction() as connection:
            return await verb(connection)

    def fresh(self) -> int:
        self.last += 1
        return self.played * 1000 + self.last

    def keep(self, vuid: str) -> None:
        if vuid not in self.vuids:
            self.vuids.append(vuid)

    async def register(self, number: int) -> str:
        vault = self.parts.vault
        wanted = Registration(resident=facts(number), real_name="certificate_read")
        prepared = await registration.prepare(
            self.parts.db, vault, wanted, caller=HIS, real_name=_NobodyToAsk(), now=self.now
        )
        done = await self.tx(
            lambda tx: registration.register(tx, vault, prepared, caller=HIS, now=self.now, request_id="req_machine")
        )
        return str(done.vuid)

    async def change(self, vuid: str, number: int, old: int | None) -> str:
        vault = self.parts.vault
        before = None if old is None else OldCertificate(id_type="03", id_number=facts(old).id_number)
        wanted = CertificateChange(resident=facts(number), real_name="certificate_read", old=before)
        prepared = await certificates.prepare(
            self.parts.db, vault, vuid, wanted, origin=ORIGIN, check=_NobodyToAsk(), now=self.now
        )
        done = await self.tx(lambda tx: certificates.apply(tx, vault, vuid, prepared, origin=ORIGIN, now=self.now))
        return str(done.vuid)

    @rule()
    def register_somebody(self) -> None:
        if len(self.numbers) < 6:
            self.numbers.append(self.fresh())
            self.keep(self.do(self.register(self.numbers[-1])))

    @precondition(lambda self: self.numbers)
    @rule(data=st.data())
    def register_again(self, data: st.DataObject) -> None:
        with contextlib.suppress(AccountFrozen):
            self.keep(self.do(self.register(data.draw(st.sampled_from(self.numbers)))))

    @rule()
    def enter_a_stranger(self) -> None:
        vault = self.parts.vault
        wanted = NewEntry(kind="unidentified", sex="1", age_estimate=40, local_no=f"A{self.fresh()}")
        prepared = self.do(entries.prepare(self.parts.db, vault, wanted, origin=ORIGIN, now=self.now))
        done = self.do(self.tx(lambda tx: entries.register(tx, vault, prepared, origin=ORIGIN, now=self.now)))
        self.keep(done.vuid)

    @precondition(lambda self: self.vuids)
    @rule(data=st.data())
    def change_certificate(self, data: st.DataObject) -> None:
        """Give any account any certificate, known or new: it is changed, joined, or refused by name."""
        vuid = data.draw(st.sampled_from(self.vuids))
        fresh = data.draw(st.booleans()) or not self.numbers
        number = self.fresh() if fresh else data.draw(st.sampled_from(self.numbers))
        old = data.draw(st.sampled_from([None, *self.numbers]))
        if fresh:
            self.numbers.append(number)
        with contextlib.suppress(AccountFrozen, AccountCancelled, CertificateTaken, CertificateNotHers):
            self.keep(self.do(self.change(vuid, number, old)))

    @precondition(lambda self: self.vuids)
    @rule(data=st.data(), state=st.sampled_from(["active", "frozen", "cancelled"]), office=st.booleans())
    def change_state(self, data: st.DataObject, state: Any, *, office: bool) -> None:
        vuid = data.draw(st.sampled_from(self.vuids))
        before = self.do(self.tx(lambda tx: queries.latest(tx, vuid)))
        try:
            self.do(
                self.tx(
                    lambda tx: standing.change_state(
                        tx,
                        self.parts.vault,
                        vuid,
                        StateChange(state=state),
                        origin=OFFICE if office else ORIGIN,
                        now=self.now,
                    )
                )
            )
        except AccountCancelled:
            assert before.state == "cancelled"
        except FreezeByStronger:
            assert before.state == "frozen"
            assert before.frozen_by == "platform"
            assert not office
        else:
            assert before.state != "cancelled"
            if state == "cancelled":
                self.cancelled.add((before.vuid, before.generation))

    @precondition(lambda self: self.vuids)
    @rule(data=st.data(), on=st.booleans())
    def switch_alias(self, data: st.DataObject, *, on: bool) -> None:
        vuid, alias = (data.draw(st.sampled_from(self.vuids)) for _ in range(2))
        with contextlib.suppress(AliasNotFound):
            self.do(
                self.tx(
                    lambda tx: service.switch_alias(
                        tx, self.parts.vault, vuid, alias, on=on, origin=OFFICE, now=self.now
                    )
                )
            )

    @invariant()
    def every_vuid_leads_to_one_account(self) -> None:
        rows = self.do(self.tx(self._all_rows))
        newest = {row.vuid: row for row in sorted(rows, key=lambda row: row.generation)}
        for row in newest.values():
            if row.state == "alias":
                assert newest[row.alias_of].state != "alias", "an alias of an alias"
        live: dict[UUID, str] = {}
        for row in rows:
            if row.state in ("active", "frozen"):
                assert row.mpi not in live, "two live accounts of one person"
                live[row.mpi] = row.vuid
        for key in self.cancelled:
            assert [row.state for row in rows if (row.vuid, row.generation) == key] == ["cancelled"]
        for vuid in self.vuids[:3]:
            today = self.do(self.tx(lambda tx, vuid=vuid: queries.latest(tx, vuid)))
            assert today.state != "alias"
            group = self.do(self.tx(lambda tx, vuid=vuid: queries.group(tx, vuid)))
            assert vuid in group

    @staticmethod
    async def _all_rows(connection: Any) -> Any:
        return (await connection.execute(select(account))).all()


@pytest.mark.usefixtures("secrets_of")
def test_accounts_keep_their_rules_whatever_happens(settings: Settings) -> None:
    loop = asyncio.new_event_loop()
    Machine.loop = loop
    Machine.parts = assemble(settings)
    try:
        run_state_machine_as_test(Machine, settings=_HYPOTHESIS)
    finally:
        loop.run_until_complete(Machine.parts.close())
        loop.close()


_HYPOTHESIS = hypothesis_settings(
    max_examples=12,
    stateful_step_count=18,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
