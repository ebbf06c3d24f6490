"""The registry under its first name, until every caller asks ``cards.registry.service``."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from yimatong.cards.registry.service import announce, ask
from yimatong.kit.db import Connection

__all__ = ["ask", "synchronise"]


async def synchronise(
    connection: Connection, *, id_type: str, id_blind: bytes, mpi: UUID, vuid: str, now: datetime
) -> None:
    """Tell the registry of an account; see ``registry.service.announce``."""
    del id_type, id_blind, mpi
    await announce(connection, [vuid], now=now)
