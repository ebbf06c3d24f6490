"""Verification of codes, many at once: concurrent requests share their round trips and one commit.

One batch is one transaction: request nonces are taken, accounts and earlier uses read, the pure judgement asked, good
codes consumed by an atomic insert that every node sees, failures counted, and every item recorded and audited. Items
are sorted by key, so two batches cannot wait for each other in a circle. A bad item never fails its neighbours, and
nobody is answered before the commit. With the database or the crypto device down nothing verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn
from uuid import UUID

from yimatong.access.caller import Caller
from yimatong.access.errors import CallerNotApproved, NonceRepeated
from yimatong.cards.codec import CodeText, Purpose, parse
from yimatong.cards.codes import judgement, statements
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.judgement import EarlierUse
from yimatong.cards.codes.schemas import Resident, VerifiedCode
from yimatong.cards.errors import CodeUnreadable
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.db import RawConnection
from yimatong.kit.errors import PlatformError


class Verifier:
    """The work of a batch; ``Database.batch(verifier.work)`` makes it a shared path."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def work(self, connection: RawConnection, items: Sequence[Item]) -> Sequence[VerifiedCode | Exception]:
        """Verify the items in one transaction; return an answer or a refusal for each, in order."""
        ordered = sorted(items, key=lambda item: item.wanted.code)
        await self._admit(connection, ordered)
        genuine = [item for item in ordered if item.refusal is None]
        await self._open(genuine)
        await self._look_up(connection, genuine)
        for item in genuine:
            _judge(item)
        _settle_twins(genuine)
        found = await self._consume(connection, genuine)
        answers = {id(item): await self._answer(item, found) for item in items}
        await statements.record(connection, [item for item in ordered if not isinstance(item.refusal, NonceRepeated)])
        return [answers[id(item)] for item in items]

    async def _admit(self, connection: RawConnection, items: Sequence[Item]) -> None:
        """Take the request nonces and look at every caller's state as it is this moment."""
        fresh, states = await statements.admit(connection, items)
        for item in items:
            state = states.get(item.caller.caller_id, "revoked")
            if (item.caller.caller_id, item.nonce) not in fresh:
                item.refusal = NonceRepeated()
            elif state != "approved":
                item.refusal = CallerNotApproved(state=state)
            else:
                fresh.discard((item.caller.caller_id, item.nonce))
                _read(item)

    async def _open(self, items: Sequence[Item]) -> None:
        """Open every VALID, with one call to the device for all of them."""
        dynamic = [item for item in items if item.refusal is None and item.code and item.code.valid]
        if not dynamic:
            return
        by_version = await self._vault.valid_keys([item.code.vuid for item in dynamic if item.code])
        for number, item in enumerate(dynamic):
            try:
                item.valid = judgement.opened(item.code or _never(), [keys[number] for keys in by_version.values()])
            except PlatformError as refusal:
                item.refusal = refusal

    async def _look_up(self, connection: RawConnection, items: Sequence[Item]) -> None:
        accounts = await statements.accounts(connection, {item.code.vuid for item in items if item.code})
        uses = await statements.uses(connection, [item.use_key for item in items if item.valid])
        for item in items:
            if item.code is not None:
                item.account = accounts.get(item.code.vuid)
            if item.valid is not None:
                item.earlier = uses.get(item.use_key)

    async def _consume(self, connection: RawConnection, items: Sequence[Item]) -> dict[UUID, PersonRecord]:
        """Use up the good codes, count the failures of the bad ones, and read the residents to be shown."""
        await statements.consume(connection, [item for item in items if item.consumes])
        await statements.count_failures(
            connection, [item for item in items if item.valid and isinstance(item.refusal, judgement.COUNTED)]
        )
        wanted = {item.account.mpi for item in items if item.refusal is None and item.account}
        if not wanted:
            return {}
        return await persons.read_many(connection, await self._vault.sealer(), wanted)

    async def _answer(self, item: Item, found: dict[UUID, PersonRecord]) -> VerifiedCode | Exception:
        if item.refusal is not None:
            return item.refusal
        account, code = item.account or _never(), item.code or _never()
        person = found[account.mpi]
        record_id = item.earlier.record_id if item.repeats and item.earlier else item.record_id
        return VerifiedCode(
            record_id=record_id or item.record_id,
            vuid=code.vuid,
            kind=code.kind,
            purpose=item.wanted.purpose,
            verified_at=item.now,
            resident=await self._resident(item.caller, code, person),
        )

    async def _resident(self, caller: Caller, code: CodeText, person: PersonRecord) -> Resident:
        if judgement.is_static(code):
            return Resident(name=person.name.masked, sex=person.sex)
        return Resident(
            name=str.__str__(person.name),
            sex=person.sex,
            birth_date=person.birth_date,
            id_type=person.id_type,
            id_number=str.__str__(person.id_number),
            phone=str.__str__(person.phone),
            mpi_ref=await self._vault.mpi_ref(caller.institution_id or caller.caller_id, person.mpi.hex),
        )


def _read(item: Item) -> None:
    try:
        item.code = parse(item.wanted.code)
    except CodeUnreadable as refusal:
        item.refusal = refusal


def _judge(item: Item) -> None:
    """Ask the pure judgement; a refusal stays with the item."""
    if item.refusal is not None or item.code is None:
        return
    purpose: Purpose = item.wanted.purpose
    try:
        account = judgement.judge_account(item.account)
        if item.valid is None:
            judgement.judge_static(account, purpose)
            return
        if _same_request(item, item.earlier):
            item.repeats = True
            return
        judgement.judge_time(item.valid, now=item.now)
        judgement.judge_standing(account, item.valid)
        judgement.judge_use(item.valid, purpose, item.earlier)
    except PlatformError as refusal:
        item.refusal = refusal


def _same_request(item: Item, earlier: EarlierUse | None) -> bool:
    """Say whether the first use was this very request, sent again with a fresh nonce."""
    return (
        earlier is not None
        and earlier.used_by == item.caller.caller_id
        and bool(item.idempotency_key)
        and earlier.used_key == item.idempotency_key
    )


def _settle_twins(items: Sequence[Item]) -> None:
    """Of several items of one batch with the same code the first uses it; the rest see that use."""
    first: dict[tuple[str, int, bytes], Item] = {}
    for item in items:
        if not item.consumes:
            continue
        winner = first.setdefault(item.use_key, item)
        if winner is not item:
            item.earlier = EarlierUse(winner.caller.caller_id, winner.idempotency_key, winner.record_id, 0)
            _judge(item)


def _never() -> NoReturn:
    message = "an accepted item has its code and its account"
    raise RuntimeError(message)
