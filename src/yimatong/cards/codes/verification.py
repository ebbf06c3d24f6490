"""Verification of codes, many at once: concurrent requests share their round trips and one commit.

One batch is one transaction of two statements. Before it, every VALID is opened with one call to the device. The first
statement takes the request nonces and reads callers, policies, accounts, earlier uses and persons; the pure judgement
decides; the second uses the good codes up by an atomic change that every node sees, and writes every record and audit
row. Only what is not in order costs more: labels, several uses of one code at once, and texts that are no codes. A bad
item never fails its neighbours, and nobody is answered before the commit. With the database or the device down nothing
verifies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from yimatong.access.caller import Caller
from yimatong.access.errors import CallerNotApproved, NonceRepeated
from yimatong.cards.codec import CodeKind, CodeText, parse
from yimatong.cards.codes import judgement, offline, statements, trouble
from yimatong.cards.codes.item import Item
from yimatong.cards.codes.judgement import EarlierUse
from yimatong.cards.codes.schemas import Resident, VerifiedCode
from yimatong.cards.codes.signing import live_public_keys
from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable, CodeUsed, NotOpenToApplication
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
        await self.read(items)
        await statements.look_up(connection, items)
        rounds = decide(items)
        lost = [(await statements.store(connection, stored), stored) for stored in rounds if stored]
        rubbish = trouble.rubbish(items)
        if rubbish:
            await trouble.count(connection, rubbish)

        async def answers() -> Sequence[VerifiedCode | Exception]:
            for cursor, stored in lost:
                for order, kept in await cursor.fetchall():
                    if kept:
                        stored[order].repeats = kept
                    else:
                        stored[order].refusal = CodeUsed()
            sealer = await self._vault.sealer()
            return [item.refusal or await self._answer_or_error(item, sealer) for item in items]

        return answers

    async def read(self, items: Sequence[Item]) -> None:
        """Read every text and open what is sealed in it; a text that is no code, or not ours, is refused here."""
        for item in items:
            _read(item)
        await self._open([item for item in items if item.code and item.code.valid])

    async def _open(self, dynamic: Sequence[Item]) -> None:
        """Open every VALID, with one call to the device for all of them, and check what an offline code signs."""
        if not dynamic:
            return
        by_version = await self._vault.valid_keys([item.code.vuid for item in dynamic if item.code])
        versions = list(by_version)
        for item, *keys in zip(dynamic, *by_version.values(), strict=True):
            try:
                item.valid, position = judgement.opened(_sure(item.code), keys)
                item.key_version = versions[position]
            except CodeNotGenuine as refusal:
                item.refusal = refusal
        signed = [item for item in dynamic if item.code and item.code.kind is CodeKind.OFFLINE]
        if signed:
            await self._check_signed(signed)

    async def _check_signed(self, items: Sequence[Item]) -> None:
        """Check signature and VALID of offline codes; both are always looked at, so that no time tells which failed."""
        keys = await live_public_keys(self._vault)
        for item in items:
            try:
                offline.check_online(_sure(item.code), item.valid, issuer=self._vault.issuer, public_keys=keys)
            except CodeNotGenuine as refusal:
                item.refusal, item.valid = item.refusal or refusal, None

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
        return VerifiedCode(
            record_id=item.repeats or item.record_id,
            vuid=_sure(found.account).vuid,
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


def decide(items: Sequence[Item]) -> list[list[Item]]:
    """Decide about items that were read and looked up; return them in the rounds in which they are to be stored."""
    seen: set[tuple[str, str]] = set()
    for item in items:
        _admit(item, seen)
        _judge(item)
    rounds = _settle_twins(items)
    _charge_failures(items)
    return rounds


def _read(item: Item) -> None:
    try:
        item.code = parse(item.wanted.code)
    except CodeUnreadable as refusal:
        item.refusal = refusal


def _admit(item: Item, seen: set[tuple[str, str]]) -> None:
    """Refuse a repeated request, and a caller that may not ask this moment; both come before the code itself."""
    found = _sure(item.found)
    key = (item.caller.caller_id, item.nonce)
    try:
        if not found.fresh or key in seen:
            raise NonceRepeated
        if found.caller_state != "approved":
            raise CallerNotApproved(state=found.caller_state)
        trouble.check(item.caller.caller_id, found.throttled_until, now=item.now)
        if found.policy.purposes is not None and item.wanted.purpose not in found.policy.purposes:
            raise NotOpenToApplication(what=item.wanted.purpose)
    except PlatformError as refusal:
        item.refusal = refusal
    seen.add(key)
    item.earlier, item.uses = found.earlier, found.policy.uses
    if item.uses > 1:
        item.place = f"{item.caller.institution_id or item.caller.caller_id}/{item.wanted.visit_no}"


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
            judgement.judge_label(item.code, item.label_state)
            judgement.judge_static(account, purpose)
            return
        judgement.judge_token(item.code, item.earlier)
        item.repeats = judgement.first_answer(item.earlier, item.caller.caller_id, item.mark) or ""
        if item.repeats:
            return
        judgement.judge_time(item.valid, now=item.now, skew_s=found.policy.skew_s)
        judgement.judge_standing(account, item.valid)
        judgement.judge_use(item.valid, purpose, item.earlier, uses=item.uses, place=item.place)
    except PlatformError as refusal:
        item.refusal = refusal


def _settle_twins(items: Sequence[Item]) -> list[list[Item]]:
    """Share the items out to rounds of storing, in none of which two use one code.

    Of several items of one batch with the same code the first uses it; the next sees that use, and is refused, or
    answered as a repeat, or uses the code again in the next round where its policy lets it.
    """
    rounds: list[list[Item]] = [[]]
    used: dict[tuple[str, int, bytes], list[Item]] = {}
    for item in items:
        if isinstance(item.refusal, NonceRepeated):
            continue
        before: list[Item] = []
        if item.consumes:
            before = used.setdefault(item.use_key, [])
            if before:
                item.earlier = _after(before[-1], item.earlier)
                _judge(item)
        if not item.consumes:
            rounds[0].append(item)
            continue
        if len(before) == len(rounds):
            rounds.append([])
        rounds[len(before)].append(item)
        before.append(item)
    return rounds


def _after(use: Item, known: EarlierUse | None) -> EarlierUse:
    """Return what is known of a code after a use of this very batch."""
    before = use.earlier
    again = before is not None and before.used_by is not None
    left = before.uses_left - 1 if before is not None and again else use.uses - 1
    older = list(before.older or ()) if before is not None else []
    if before is not None and again:
        older.append(f"{before.used_by}\n{before.used_key}\n{before.record_id}")
    return EarlierUse(
        use.caller.caller_id,
        use.mark,
        use.record_id,
        known.failures if known else 0,
        uses_left=left,
        place=use.place,
        older=older,
        token_digest=known.token_digest if known else None,
    )


def _charge_failures(items: Sequence[Item]) -> None:
    """Charge the failures of each code to one item: to its last use of this batch, if it has one.

    Uses of this batch come before its failures, so that a third failure does not burn what was judged good beside it.
    """
    bearers: dict[tuple[str, int, bytes], Item] = {}
    failed = []
    for item in items:
        if item.valid is None or isinstance(item.refusal, NonceRepeated):
            continue
        if isinstance(item.refusal, judgement.COUNTED):
            failed.append(item)
        elif not item.consumes:
            continue
        bearers.setdefault(item.use_key, item)
        if item.consumes:
            bearers[item.use_key] = item
    for item in failed:
        bearers[item.use_key].fails += 1


def _sure(value: Any) -> Any:
    """Return a value that an item of this stage always has."""
    if value is None:
        message = "an item skipped a stage of its verification"
        raise RuntimeError(message)
    return value
