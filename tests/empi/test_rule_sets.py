"""Rule sets over the real index: tried, proposed with what they change, approved by another person, applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from core_world import make_resident
from registration_world import Tables, new_name, new_phone, record
from sqlalchemy import text

from yimatong.access.errors import ApprovalNotOpen, ApproverIsProposer
from yimatong.apps.assembly import Parts, assemble
from yimatong.empi.errors import (
    MatchModelUnknown,
    MatchThresholdsInvalid,
    RuleRunRunning,
    RuleSetNotDraft,
    RuleSetNotFound,
    RuleSetNotTried,
    RuleSetUnchanged,
)
from yimatong.empi.linkage import engine as engines
from yimatong.empi.matching.scoring import Thresholds
from yimatong.empi.registration import comparing
from yimatong.empi.rules import queries, running, service
from yimatong.empi.rules.schemas import Body, Run
from yimatong.kit import clock
from yimatong.kit.db import raw
from yimatong.kit.ids import new_id
from yimatong.kit.settings import Settings
from yimatong_sdk import Client

FIRST, SECOND = "opr_first", "opr_second"


@pytest.fixture(scope="module")
async def parts(settings: Settings, secrets_of: dict[str, str]) -> Any:
    made = assemble(settings)
    async with made.db.transaction() as connection:
        for operator_id in (FIRST, SECOND):
            await connection.execute(
                text(
                    "INSERT INTO access_operator (operator_id, login, name, roles, password_salt, password_hash,"
                    " created_at) VALUES (:o, :o, :o, '{steward}', '', '', now())"
                ),
                {"o": operator_id},
            )
    yield made
    await made.close()


@pytest.fixture(scope="module")
def tables(settings: Settings) -> Tables:
    return Tables(settings.database_url)


def bits(link: float, review: float) -> Body:
    return Body(thresholds=Thresholds(link=link, review=review))


async def draft(parts: Parts, body: Body) -> int:
    async with parts.db.transaction() as tx:
        return await service.draft(tx, body, model_version=0, note="试", operator=FIRST, now=clock.now())


async def tried(parts: Parts, version: int) -> Run:
    async with parts.db.transaction() as tx:
        run_id = await service.try_out(tx, version, operator=FIRST, now=clock.now())
    return await done(parts, run_id)


async def done(parts: Parts, run_id: str) -> Run:
    url = parts.settings.database_url
    return await running.run(parts.db, parts.vault, run_id, database_url=url, now=clock.now())


async def proposed(parts: Parts, version: int) -> None:
    async with parts.db.transaction() as tx:
        await service.propose(tx, version, reason="试运行无误", operator=FIRST, now=clock.now())


async def decided(parts: Parts, version: int, operator: str, *, approve: bool = True) -> str:
    async with parts.db.transaction() as tx:
        return (await service.decide(tx, version, approve=approve, operator=operator, now=clock.now()))[1]


def twice(client: Callable[[str], Client]) -> tuple[str, str]:
    """Register one resident without a certificate at two hospitals, alike but for the address; return both outcomes."""
    resident = {
        "name": new_name(), "sex": "1", "birth_date": make_resident().birth_date, "phone": new_phone(),
        "address": "陕西省西安市雁塔区科技路9号",
    }  # fmt: skip
    outcomes = []
    for caller, owner in (("his-1", "inst-h1"), ("his-2", "inst-h2")):
        answer = client(caller).call(
            "POST", "/api/v1/persons", record(dict(resident), owner=owner), idempotency_key=new_id("idem")
        )
        outcomes.append(answer["outcome"])
        resident["address"] = "甘肃省兰州市城关区平凉路3号"
    return outcomes[0], outcomes[1]


async def test_rules_are_tried_before_they_are_proposed_and_approved_by_another(
    parts: Parts, client: Callable[[str], Client], tables: Tables
) -> None:
    strict = await draft(parts, bits(60, 0))
    assert (await tried(parts, strict)).state == "done"
    await proposed(parts, strict)
    with pytest.raises(ApproverIsProposer):
        await decided(parts, strict, FIRST)
    assert (await done(parts, await decided(parts, strict, SECOND))).state == "done"
    async with parts.db.read() as tx:
        assert (await engines.active(await raw(tx))).version == strict
    assert twice(client) == ("created", "review")
    same = await draft_refused(parts, bits(60, 0))
    assert same is RuleSetUnchanged

    milder = await draft(parts, bits(5, 0))
    run = await tried(parts, milder)
    assert run.difference is not None
    assert run.difference.counts["merge"] >= 1
    assert run.difference.persons == tables.count("empi_person", "state = 'live'")
    assert tables.count("empi_merge") == 0  # a dry run does nothing
    await proposed(parts, milder)
    applied = await done(parts, await decided(parts, milder, SECOND))
    assert (applied.state, applied.rows_done) == ("done", applied.rows_total)
    while await comparing.compare_due(parts.db, parts.vault, now=clock.now()):
        pass
    assert tables.count("empi_merge", "undone_at IS NULL") == run.difference.counts["merge"]
    (decision,) = tables.rows("SELECT rule_version, method, operator FROM empi_decision WHERE kind = 'merge' LIMIT 1")
    assert (decision.rule_version, decision.method, decision.operator) == (milder, "probability", "engine")

    back = await draft(parts, bits(60, 0))
    found = (await tried(parts, back)).difference
    assert found is not None
    assert found.counts["split"] == run.difference.counts["merge"]
    await proposed(parts, back)
    await done(parts, await decided(parts, back, SECOND))
    assert tables.count("kit_alarm", "kind = %s", running.ALARM) == 1
    assert tables.count("empi_merge", "undone_at IS NULL") == run.difference.counts["merge"]  # stewards undo, not rules


async def draft_refused(parts: Parts, body: Body, *, model: int = 0) -> type[Exception]:
    try:
        async with parts.db.transaction() as tx:
            await service.draft(tx, body, model_version=model, note="", operator=FIRST, now=clock.now())
    except Exception as error:  # noqa: BLE001 -- which one it is, is what is asked
        return type(error)
    return type(None)  # type: ignore[return-value]


async def test_what_cannot_be_is_refused_by_name(parts: Parts) -> None:
    assert await draft_refused(parts, bits(1, 2)) is MatchThresholdsInvalid
    assert await draft_refused(parts, bits(float("nan"), 2)) is MatchThresholdsInvalid
    assert await draft_refused(parts, bits(3, 2), model=99) is MatchModelUnknown
    version = await draft(parts, bits(33, 2))
    with pytest.raises(RuleSetNotTried):
        await proposed(parts, version)
    with pytest.raises(RuleSetNotFound):
        await proposed(parts, 9999)
    with pytest.raises(ApprovalNotOpen):
        await decided(parts, version, SECOND)


async def test_one_run_at_a_time_and_a_killed_one_is_done_again(parts: Parts) -> None:
    version = await draft(parts, bits(34, 2))
    async with parts.db.transaction() as tx:
        run_id = await service.try_out(tx, version, operator=FIRST, now=clock.now())
        with pytest.raises(RuleRunRunning):
            await service.try_out(tx, version, operator=FIRST, now=clock.now())
        await tx.execute(
            text("UPDATE empi_dry_run SET state = 'running', stage = 'score' WHERE run_id = :r"), {"r": run_id}
        )
    assert (await done(parts, run_id)).state == "done"  # its worker died in the middle
    before = (await done(parts, run_id)).ended_at
    async with parts.db.read() as tx:
        assert (await queries.run(tx, run_id)).ended_at == before


async def test_a_rejected_proposal_is_a_draft_again(parts: Parts) -> None:
    version = await draft(parts, bits(35, 2))
    await tried(parts, version)
    await proposed(parts, version)
    with pytest.raises(RuleSetNotDraft):
        await tried(parts, version)
    await decided(parts, version, SECOND, approve=False)
    async with parts.db.read() as tx:
        assert (await queries.read(tx, version)).state == "draft"
        assert (await queries.newest(tx))[0].version == version
