"""Verbs on rule sets: draft, try, propose, decide by a second person, apply over history.

A rule set is tried before it may be proposed: what it would merge, split and send to stewards is seen by whoever
approves. Once approved it is active for new records at once; for those before it every person whom it touches is
compared again in the background, by the same code as a new record.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import insert, select, update

from yimatong.access import approvals
from yimatong.access.approvals import Approval
from yimatong.empi.errors import (
    MatchModelUnknown,
    RuleRunRunning,
    RuleSetNotDraft,
    RuleSetNotTried,
    RuleSetUnchanged,
)
from yimatong.empi.linkage import engine
from yimatong.empi.matching import scoring
from yimatong.empi.models import dry_run, rule_set
from yimatong.empi.rules import queries
from yimatong.empi.rules.schemas import Body, RuleSet
from yimatong.kit import jobs
from yimatong.kit.db import Connection
from yimatong.kit.ids import new_id

APPROVAL: Final = "matching-rules"
"""Kind of the approval (``access.approvals``)."""

JOB: Final = "empi.run-rules"
"""Name of the job that tries or applies a rule set; its argument is the run."""

_LOCK: Final = "empi.rules"


async def draft(
    connection: Connection, body: Body, *, model_version: int, note: str, operator: str, now: datetime
) -> int:
    """Store a draft and return its version. A stored draft is never changed: another thought is another version.

    Raises:
        MatchThresholdsInvalid: review lies above link. MatchModelUnknown: no such model.
        RuleSetUnchanged: it is what is in force.
    """
    scoring.checked(body.thresholds)
    if model_version not in await queries.model_versions(connection):
        raise MatchModelUnknown(version=model_version)
    present = await queries.active(connection)
    if present is not None and (present.body, present.model_version) == (body, model_version):
        raise RuleSetUnchanged
    done = await connection.execute(
        insert(rule_set)
        .values(
            model_version=model_version,
            body=msgspec.to_builtins(body),
            note=note,
            created_by=operator,
            created_at=now,
        )
        .returning(rule_set.c.version)
    )
    return int(done.scalar_one())


async def try_out(connection: Connection, version: int, *, operator: str, now: datetime) -> str:
    """Start a dry run of a draft in the background and return its id.

    Raises:
        RuleSetNotFound. RuleSetNotDraft: it was proposed, or decided. RuleRunRunning: one is under way.
    """
    if (await queries.read(connection, version)).state != "draft":
        raise RuleSetNotDraft
    return await _start(connection, "dry", version, operator=operator, now=now)


async def propose(connection: Connection, version: int, *, reason: str, operator: str, now: datetime) -> str:
    """Propose a draft that was tried to a second person, and return the approval's id.

    Raises:
        RuleSetNotFound. RuleSetNotDraft. RuleSetNotTried: no dry run of it ended well.
    """
    wanted = await _locked(connection, version)
    if wanted.state != "draft":
        raise RuleSetNotDraft
    tried = await connection.execute(
        select(dry_run.c.result)
        .where(dry_run.c.rule_version == version, dry_run.c.kind == "dry", dry_run.c.state == "done")
        .order_by(dry_run.c.started_at.desc())
        .limit(1)
    )
    result = tried.scalar_one_or_none()
    if result is None:
        raise RuleSetNotTried
    approval_id = await approvals.propose(
        connection,
        kind=APPROVAL,
        subject=str(version),
        payload={"counts": result["counts"], "persons": result["persons"]},
        reason=reason,
        proposer_id=operator,
        now=now,
    )
    await connection.execute(
        update(rule_set).where(rule_set.c.version == version).values(state="proposed", approval_id=approval_id)
    )
    return approval_id


async def decide(
    connection: Connection, version: int, *, approve: bool, operator: str, now: datetime
) -> tuple[Approval, str]:
    """Approve or reject a proposed rule set as a second person; return the approval and the run that applies it.

    Approved, it is active at once and the one before it retires; rejected, it is a draft again.

    Raises:
        RuleSetNotFound. ApprovalNotOpen: it is not proposed. ApproverIsProposer: the same person.
    """
    wanted = await _locked(connection, version)
    approval = await approvals.decide(
        connection, wanted.approval_id or "", approver_id=operator, approve=approve, now=now
    )
    if not approve:
        await connection.execute(
            update(rule_set).where(rule_set.c.version == version).values(state="draft", approval_id=None)
        )
        return approval, ""
    await connection.execute(update(rule_set).where(rule_set.c.state == "active").values(state="retired"))
    await connection.execute(
        update(rule_set).where(rule_set.c.version == version).values(state="active", activated_at=now)
    )
    engine.forget()
    return approval, await _start(connection, "apply", version, operator=operator, now=now)


async def _start(connection: Connection, kind: str, version: int, *, operator: str, now: datetime) -> str:
    under_way = await connection.execute(
        select(dry_run.c.run_id)
        .where(dry_run.c.rule_version == version, dry_run.c.kind == kind, dry_run.c.state.in_(["waiting", "running"]))
        .limit(1)
    )
    if under_way.first() is not None:
        raise RuleRunRunning
    run_id = new_id("run")
    await connection.execute(
        insert(dry_run).values(run_id=run_id, kind=kind, rule_version=version, started_by=operator, started_at=now)
    )
    await jobs.defer(connection, task=JOB, args={"run_id": run_id}, lock=_LOCK)
    return run_id


async def _locked(connection: Connection, version: int) -> RuleSet:
    """Hold the rule sets still: which one is active is decided by one transaction at a time."""
    await connection.execute(select(rule_set.c.version).order_by(rule_set.c.version).with_for_update())
    return await queries.read(connection, version)
