"""Every SELECT on rule sets and their runs."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, func, select

from yimatong.empi.errors import MatchModelUnknown, RuleRunNotFound, RuleSetNotFound
from yimatong.empi.linkage import stored
from yimatong.empi.linkage.stored import StoredModel
from yimatong.empi.models import dry_run, match_model, person, rule_set
from yimatong.empi.rules.schemas import Body, Difference, RuleSet, Run
from yimatong.kit.db import Connection


async def read(connection: Connection, version: int) -> RuleSet:
    """Return a rule set.

    Raises:
        RuleSetNotFound: there is none of this version.
    """
    row = (await connection.execute(select(rule_set).where(rule_set.c.version == version))).first()
    if row is None:
        raise RuleSetNotFound(version=version)
    return _rule_set(row)


async def active(connection: Connection) -> RuleSet | None:
    """Return the rule set that is in force; None while the shipped rules are."""
    row = (await connection.execute(select(rule_set).where(rule_set.c.state == "active"))).first()
    return None if row is None else _rule_set(row)


async def newest(connection: Connection, *, limit: int = 50) -> list[RuleSet]:
    """Return rule sets, the newest first."""
    rows = await connection.execute(select(rule_set).order_by(rule_set.c.version.desc()).limit(limit))
    return [_rule_set(row) for row in rows]


async def model_versions(connection: Connection) -> list[int]:
    """Return the versions of models that a rule set may use; 0 is the one that is shipped."""
    rows = await connection.execute(select(match_model.c.version).order_by(match_model.c.version.desc()))
    return [*rows.scalars(), 0]


async def models(connection: Connection) -> list[StoredModel]:
    """Return the stored models, the newest first; the shipped one is not among them."""
    return await stored.listed(connection)


async def model(connection: Connection, version: int) -> StoredModel:
    """Return the line of a stored model.

    Raises:
        MatchModelUnknown: there is none of this version.
    """
    columns = match_model.c.version, match_model.c.trained_on, match_model.c.created_by, match_model.c.created_at
    row = (await connection.execute(select(*columns).where(match_model.c.version == version))).first()
    if row is None:
        raise MatchModelUnknown(version=version)
    return StoredModel(**row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor


async def to_compare(connection: Connection) -> int:
    """Return how many live persons still wait to be compared with everybody else."""
    waiting = select(func.count()).select_from(person).where(person.c.compared_at.is_(None), person.c.state == "live")
    return int((await connection.execute(waiting)).scalar_one())


async def runs(connection: Connection, version: int | None = None, *, limit: int = 20) -> list[Run]:
    """Return runs, the newest first; of one rule set or of all."""
    wanted = select(dry_run).order_by(dry_run.c.started_at.desc(), dry_run.c.run_id).limit(limit)
    if version is not None:
        wanted = wanted.where(dry_run.c.rule_version == version)
    return [_run(row) for row in await connection.execute(wanted)]


async def run(connection: Connection, run_id: str) -> Run:
    """Return a run.

    Raises:
        RuleRunNotFound: there is none.
    """
    row = (await connection.execute(select(dry_run).where(dry_run.c.run_id == run_id))).first()
    if row is None:
        raise RuleRunNotFound
    return _run(row)


def _rule_set(row: Row[Any]) -> RuleSet:
    kept = row._mapping  # noqa: SLF001 -- SQLAlchemy's documented accessor
    return RuleSet(**{**kept, "body": msgspec.convert(kept["body"], Body)})


def _run(row: Row[Any]) -> Run:
    kept = dict(row._mapping)  # noqa: SLF001 -- SQLAlchemy's documented accessor
    result = kept.pop("result")
    return Run(**kept, difference=None if result is None else msgspec.convert(result, Difference))
