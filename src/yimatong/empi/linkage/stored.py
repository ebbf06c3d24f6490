"""Models in the database: each one a version that is never changed, with what it was trained on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select

from yimatong.empi.errors import MatchModelUnknown
from yimatong.empi.linkage.training import Trained
from yimatong.empi.matching import model as models
from yimatong.empi.matching.model import Model
from yimatong.empi.models import match_model
from yimatong.kit.db import Connection


class StoredModel(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list of models."""

    version: int
    trained_on: dict[str, Any]
    created_by: str
    created_at: datetime


async def store(
    connection: Connection, trained: Trained, *, source: str, created_by: str, now: datetime, more: dict[str, Any]
) -> int:
    """Store a trained model and return its version; ``more`` stands beside what it was trained on (thresholds)."""
    trained_on = {
        "source": source,
        "records": trained.records,
        "sampled": trained.sampled,
        "certain_pairs": trained.certain_pairs,
        "unseen_levels": list(trained.unseen_levels),
        **more,
    }
    found = await connection.execute(
        insert(match_model)
        .values(body=msgspec.to_builtins(trained.model), trained_on=trained_on, created_by=created_by, created_at=now)
        .returning(match_model.c.version)
    )
    return int(found.scalar_one())


async def read(connection: Connection, version: int) -> Model:
    """Return a stored model.

    Raises:
        MatchModelUnknown: there is none of this version.
        MatchModelInvalid: it does not fit the comparators of this release.
    """
    found = await connection.execute(select(match_model.c.body).where(match_model.c.version == version))
    body = found.scalar_one_or_none()
    if body is None:
        raise MatchModelUnknown(version=version)
    return models.read(msgspec.json.encode(body))


async def listed(connection: Connection, *, limit: int = 100) -> list[StoredModel]:
    """Return the newest models first."""
    rows = await connection.execute(
        select(match_model.c.version, match_model.c.trained_on, match_model.c.created_by, match_model.c.created_at)
        .order_by(match_model.c.version.desc())
        .limit(limit)
    )
    return [
        StoredModel(
            version=row.version, trained_on=row.trained_on, created_by=row.created_by, created_at=row.created_at
        )
        for row in rows
    ]
