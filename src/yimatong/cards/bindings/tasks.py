"""Asking issuers about what they have not answered, and telling them what has ended; every second, by the worker.

A binding is claimed for a while and committed before its issuer is asked, so that no transaction is open meanwhile and
a crash gives it back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, update

from yimatong.cards.bindings import queries, settling
from yimatong.cards.bindings.issuers import Desk
from yimatong.cards.models import binding
from yimatong.kit.errors import PlatformError

PAUSES_S: Final = (20, 30, 60, 120, 300, 600, 1800, 3600)
_MOST: Final = 20


async def run_due(desk: Desk, *, now: datetime) -> int:
    """Ask about what is due and let unanswered challenges expire; return how many bindings were touched."""
    async with desk.db.transaction() as tx:
        stale = update(binding).where(
            binding.c.state == "started", binding.c.pending.is_(None), binding.c.expires_at <= now
        )
        expired = await tx.execute(
            stale.values(state="expired", reason="expired", changed_at=now).returning(binding.c.binding_id)
        )
        done = len(expired.all())
    async with desk.db.read() as tx:
        due = await queries.due(tx, now=now, limit=_MOST)
    for binding_id in due:
        done += await _work(desk, binding_id, now=now)
    return done


async def _work(desk: Desk, binding_id: str, *, now: datetime) -> int:
    async with desk.db.transaction() as tx:
        row = await queries.by_id(tx, binding_id, for_update=True)
        if row is None or row.ask_at is None or row.ask_at > now:
            return 0
        pause_s = PAUSES_S[min(row.asked, len(PAUSES_S) - 1)]
        await tx.execute(
            update(binding)
            .where(binding.c.vuid == row.vuid, binding.c.binding_id == binding_id)
            .values(ask_at=now + timedelta(seconds=pause_s), asked=min(row.asked + 1, len(PAUSES_S)))
        )
    try:
        await (_end(desk, row, now=now) if row.pending == "end" else _ask(desk, row, now=now))
    except PlatformError:
        return 1
    return 1


async def _ask(desk: Desk, row: Row[Any], *, now: datetime) -> None:
    outcome = await desk.issuer(row.kind).query(row.binding_id, now=now)
    if outcome.state == "absent" and now - row.changed_at < settling.IN_FLIGHT:
        return
    sealer = await desk.vault.sealer()
    async with desk.db.transaction() as tx:
        await settling.settle(tx, sealer, row.binding_id, outcome, origin=settling.WORKER, now=now)


async def _end(desk: Desk, row: Row[Any], *, now: datetime) -> None:
    issuer = desk.issuer(row.kind)
    known = await issuer.query(row.binding_id, now=now)
    if known.state in ("waiting", "agreed"):
        await issuer.end(row.binding_id, now=now)
    async with desk.db.transaction() as tx:
        await tx.execute(
            update(binding)
            .where(binding.c.binding_id == row.binding_id, binding.c.pending == "end")
            .values(pending=None, ask_at=None, asked=0, changed_at=now)
        )
