"""Taking a card off an account: certificate and card number prove it, three wrong tries a day at most.

A try is counted and committed before it is judged to be wrong, and nothing says which of the two was. Here the binding
ends at once; its issuer is told after the commit, by the request if it can, else by the worker until it has heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts.history import Origin
from yimatong.cards.bindings import queries, settling
from yimatong.cards.bindings.issuers import Desk
from yimatong.cards.bindings.schemas import Unbinding
from yimatong.cards.errors import BindingNotOpen, UnbindingNotProven, UnbindingTriesSpent
from yimatong.cards.models import binding, binding_tries
from yimatong.empi.persons import queries as persons
from yimatong.kit.clock import business_date
from yimatong.kit.db import Connection
from yimatong.kit.errors import PlatformError
from yimatong.standards import bank_cards, insurance_cards
from yimatong.standards.errors import BankCardChecksum, BankCardShape, InsuranceCardShape

WRONG_A_DAY: Final = 3


async def unbind(
    desk: Desk,
    vuid: str,
    binding_id: str,
    proof: Unbinding,
    *,
    kinds: Sequence[str],
    origin: Origin,
    now: datetime,
) -> None:
    """End a binding; one that has ended already stays so, once the proof is right.

    Raises:
        AccountNotFound, BindingNotFound, BindingNotOpen. UnbindingNotProven: certificate or number is wrong.
        UnbindingTriesSpent: too many wrong ones today; even the right proof is refused.
    """
    sealer, blinder = await desk.vault.sealer(), await desk.vault.blinder()
    id_blind = blinder.id_blind(proof.id_type, proof.id_number)
    async with desk.db.transaction() as tx:
        account = await accounts.held(tx, vuid, scope=origin.scope, for_update=True)
        row = await queries.of_account(tx, account.vuid, binding_id, kinds, for_update=True)
        day = business_date(now)
        if await queries.wrong_tries(tx, account.vuid, day) >= WRONG_A_DAY:
            raise UnbindingTriesSpent
        owner = await persons.mpi_of_certificate(tx, id_type=proof.id_type, id_blind=id_blind)
        same_card = blinder.card_blind(row.kind, _digits(row.kind, proof.number)) == row.number_blind
        proven = same_card and owner in await persons.members(tx, account.mpi)
        if not proven:
            await _count_wrong(tx, account.vuid, now=now)
        elif row.state in queries.LIVE:
            await settling.end(tx, sealer, row, reason="request", origin=origin, now=now)
    if not proven:
        raise UnbindingNotProven
    if row.state not in (*queries.LIVE, "ended"):
        raise BindingNotOpen(state=row.state)
    if row.pending is None and row.state in queries.LIVE:
        await tell_end(desk, row, now=now)


def _digits(kind: str, number: str) -> str:
    """Return the number in normal form; one of another shape is simply wrong."""
    try:
        return bank_cards.normalise(number) if kind == queries.BANK_CARD else insurance_cards.normalise(number)
    except (BankCardShape, BankCardChecksum, InsuranceCardShape):
        return ""


async def _count_wrong(tx: Connection, vuid: str, *, now: datetime) -> None:
    first = insert(binding_tries).values(vuid=vuid, day=business_date(now), wrong=1)
    await tx.execute(
        first.on_conflict_do_update(index_elements=["vuid", "day"], set_={"wrong": binding_tries.c.wrong + 1})
    )


async def tell_end(desk: Desk, row: Row[Any], *, now: datetime) -> None:
    """Tell the issuer that a binding has ended; when it cannot be told now, the worker tells it."""
    try:
        await desk.issuer(row.kind).end(row.binding_id, now=now)
    except PlatformError:
        return
    async with desk.db.transaction() as tx:
        await tx.execute(
            update(binding)
            .where(binding.c.binding_id == row.binding_id, binding.c.pending == "end")
            .values(pending=None, ask_at=None, asked=0, changed_at=now)
        )
