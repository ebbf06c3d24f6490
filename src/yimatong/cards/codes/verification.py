"""Verification of codes, many at once: concurrent requests share their round trips and one commit.

One batch is one transaction of two statements. Before it, every VALID is opened with one call to the device. The first
statement takes the request nonces and reads callers, accounts, earlier uses and persons; the pure judgement decides;
the second uses the good codes up by an atomic insert that every node sees, and writes every record and audit row. A bad
item never fails its neighbours, and nobody is answered before the commit. With the database or the device down nothing
verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yimatong.access.caller import Caller
from yimatong.access.errors import CallerNotApproved, NonceRepeated
from yimatong.cards.codec import CodeText, parse
from yimatong.cards.codes import judgement, statements
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.judgement import EarlierUse
from yimatong.cards.codes.schemas import Resident, VerifiedCode
from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable, CodeUsed
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.db import Answers, RawConnection
from yimatong.kit.errors import PlatformError


class Verifier:
    """The work of a batch; ``Database.batch(verifier.work)`` makes it a shared path."""

    def __init__(self, vault: Vault) -> None:
        """Keep the vault."""
        self._vault = vault

    async def work(self, connection: RawConnection, items: Sequence[Item]) -> Answers[VerifiedCode]:
        """Verify the items in one transaction; the answers are made when it is committed."""
        for item in items:
            _read(item)
        await self._open([item for item in items if item.code and item.code.valid])
        await statements.look_up(connection, items)
        seen: set[tuple[str, str]] = set()
        for item in items:
            _admit(item, seen)
            _judge(item)
        _settle_twins(items)
        stored = [item for item in items if not isinstance(item.refusal, NonceRepeated)]
        lost = await statements.store(connection, stored) if stored else None
        failed = [item for item in stored if item.valid and isinstance(item.refusal, judgement.COUNTED)]
        if failed:
            await statements.count_failures(connection, failed)

        async def answers() -> Sequence[VerifiedCode | Exception]:
            for row in await lost.fetchall() if lost else ():
                stored[row[0]].refusal = CodeUsed()
            sealer = await self._vault.sealer()
            return [item.refusal or await self._answer_or_error(item, sealer) for item in items]

        return answers

    async def _open(self, dynamic: Sequence[Item]) -> None:
        """Open every VALID, with one call to the device for all of them."""
        if not dynamic:
            return
        by_version = await self._vault.valid_keys([item.code.vuid for item in dynamic if item.code])
        for item, *keys in zip(dynamic, *by_version.values(), strict=True):
            try:
                item.valid = judgement.opened(_sure(item.code), keys)
            except CodeNotGenuine as refusal:
                item.refusal = refusal

    async def _answer_or_error(self, item: Item, sealer: Sealer) -> VerifiedCode | PlatformError:
        """Answer one item; a person's row that cannot be opened fails this item and none of its neighbours."""
        try:
            return await self._answer(item, sealer)
        except PlatformError as error:
            return error

    async def _answer(self, item: Item, sealer: Sealer) -> VerifiedCode:
        found, code = _sure(item.found), _sure(item.code)
        mpi, sealed, sex, birth_date, state = found.person
        person = persons.unsealed(sealer, mpi, sealed, sex=sex, birth_date=birth_date, state=state)
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
            name=str(person.name),
            sex=person.sex,
            birth_date=person.birth_date,
            id_type=person.id_type,
            id_number=str(person.id_number),
            phone=str(person.phone),
            mpi_ref=await self._vault.mpi_ref(caller.institution_id or caller.caller_id, person.mpi.hex),
        )


def _read(item: Item) -> None:
    try:
        item.code = parse(item.wanted.code)
    except CodeUnreadable as refusal:
        item.refusal = refusal


def _admit(item: Item, seen: set[tuple[str, str]]) -> None:
    """Refuse a repeated request, and a caller that is not approved this moment; both come before the code itself."""
    found = _sure(item.found)
    key = (item.caller.caller_id, item.nonce)
    if not found.fresh or key in seen:
        item.refusal = NonceRepeated()
    elif found.caller_state != "approved":
        item.refusal = CallerNotApproved(state=found.caller_state)
    seen.add(key)
    item.earlier = found.earlier


def _judge(item: Item) -> None:
    """Ask the pure judgement; a refusal stays with the item."""
    if item.refusal is not None or item.code is None:
        return
    purpose, found = item.wanted.purpose, _sure(item.found)
    try:
        account = judgement.judge_account(found.account)
        if found.person is None:
            raise CodeNotGenuine(audit="the account's person is not in the index")
        if item.valid is None:
            judgement.judge_static(account, purpose)
            return
        if _same_request(item):
            item.repeats = True
            return
        judgement.judge_time(item.valid, now=item.now)
        judgement.judge_standing(account, item.valid)
        judgement.judge_use(item.valid, purpose, item.earlier)
    except PlatformError as refusal:
        item.refusal = refusal


def _same_request(item: Item) -> bool:
    """Say whether the first use was this very request, sent again with a fresh nonce."""
    earlier = item.earlier
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


def _sure(value: Any) -> Any:
    """Return a value that an item of this stage always has."""
    if value is None:
        message = "an item skipped a stage of its verification"
        raise RuntimeError(message)
    return value
