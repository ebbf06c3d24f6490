"""Golden records made anew under the rules in force, after pointers or contributions moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.golden import service as golden
from yimatong.empi.linkage import engine
from yimatong.kit.db import RawConnection


async def remake(
    connection: RawConnection, mpis: Sequence[UUID], *, sealer: Sealer, blinder: Blinder, now: datetime
) -> Mapping[UUID, int]:
    """Make the golden records of current persons anew; return the versions that are new.

    Raises:
        SealBroken: a row was edited; nothing is written.
    """
    rules = (await engine.active(connection)).survivorship
    return await golden.recompute(connection, mpis, sealer=sealer, blinder=blinder, rules=rules, now=now)
