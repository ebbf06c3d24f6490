"""Verbs of bindings: start, answer the bank's challenge, choose the default card.

Each verb that asks an issuer has three parts: the intent is recorded and committed; the issuer is asked with nothing
open; its answer is recorded and committed. The id of a binding is made from the caller's idempotency key and is the
request number at the issuer, so a request that is sent again after a crash goes on with the same binding there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.errors import IdempotencyKeyReused
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.accounts.history import Origin
from yimatong.cards.bindings import queries, settling
from yimatong.cards.bindings.issuers import NOTHING_DONE, Desk, Outcome
from yimatong.cards.bindings.schemas import BankCardView, ChallengeAnswer, NewBankCard, NewInsuranceCard
from yimatong.cards.errors import (
    AccountCancelled,
    AccountFrozen,
    BindingBusy,
    BindingNotOpen,
    BindingsFull,
    BindingStartsTooMany,
    CardBoundAlready,
    CardOfAnother,
    ChallengeAnswerMissing,
    ChallengeWrong,
)
from yimatong.cards.models import binding
from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.vault import Vault
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import PersonRecord
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Connection
from yimatong.kit.masking import Secret
from yimatong.standards import bank_cards, insurance_cards, phones

STARTS_A_DAY: Final = 10
INSURANCE_CARDS_MAX: Final = 5
_PREFIXES: Final = {"bank_card": "bkc", "social_card": "soc", "cooperative_card": "soc"}


class _Intent(msgspec.Struct, frozen=True, kw_only=True):
    """A card that is to be bound, checked, with everything that its row needs."""

    binding_id: str
    kind: str
    number: str
    blind: bytes
    issuer: str
    card_kind: str
    limit: int


async def start_bank_card(
    desk: Desk, vuid: str, wanted: NewBankCard, *, origin: Origin, key: str, now: datetime
) -> str:
    """Begin to bind a bank card and return the binding's id; the bank has then sent its challenge.

    Raises:
        BankCardShape, BankCardChecksum, BankCardIssuerUnknown; AccountNotFound, AccountFrozen, AccountCancelled;
        CardBoundAlready, CardOfAnother, BindingsFull, BindingStartsTooMany, BindingBusy; CardHolderMismatch,
        CardNotUsable; IdempotencyKeyReused. What ``Party.ask`` raises; after PartyOutcomeUnknown the worker asks.
    """
    number = bank_cards.normalise(wanted.number)
    issuer = bank_cards.issuer(number)
    intent = await _intent(
        desk.vault, "bank_card", number, vuid=vuid, origin=origin, key=key, issuer=issuer, limit=desk.bank_cards_max
    )
    row, person = await _record(desk, vuid, intent, origin=origin, now=now)
    if row.pending == "open":
        phone = phones.normalise(wanted.phone or str.__str__(person.phone))
        asked = desk.bank.apply(row.binding_id, person, number, phone, now=now)
        row = await _asked(desk, row.binding_id, asked, origin=origin, now=now)
    settling.require_success(row)
    return str(row.binding_id)


async def bind_insurance_card(
    desk: Desk, vuid: str, wanted: NewInsuranceCard, *, origin: Origin, key: str, now: datetime
) -> str:
    """Bind a social-insurance card or 合疗证 whose password the insurer checks; return the binding's id.

    Raises:
        InsuranceCardShape; CardPasswordWrong, CardPasswordLocked; the rest as ``start_bank_card``.
    """
    number = insurance_cards.normalise(wanted.number)
    intent = await _intent(
        desk.vault, wanted.kind, number, vuid=vuid, origin=origin, key=key, issuer=None, limit=INSURANCE_CARDS_MAX
    )
    row, person = await _record(desk, vuid, intent, origin=origin, now=now)
    if row.pending == "open":
        password = Secret(wanted.password)
        asked = desk.insurer.apply(row.binding_id, wanted.kind, person, number, password, now=now)
        row = await _asked(desk, row.binding_id, asked, origin=origin, now=now)
    settling.require_success(row)
    return str(row.binding_id)


async def _intent(
    vault: Vault,
    kind: str,
    number: str,
    *,
    vuid: str,
    origin: Origin,
    key: str,
    issuer: bank_cards.Issuer | None,
    limit: int,
) -> _Intent:
    digest = sm3(f"{origin.actor}\0{key}\0{vuid}\0{kind}".encode())
    return _Intent(
        binding_id=f"{_PREFIXES[kind]}_{digest[:16].hex()}",
        kind=kind,
        number=number,
        blind=(await vault.blinder()).card_blind(kind, number),
        issuer="insurer" if issuer is None else issuer.bank,
        card_kind="" if issuer is None else issuer.kind,
        limit=limit,
    )


async def _record(
    desk: Desk, vuid: str, intent: _Intent, *, origin: Origin, now: datetime
) -> tuple[Row[Any], PersonRecord]:
    """Commit the intent, or find the one that this very request committed before."""
    sealer = await desk.vault.sealer()
    async with desk.db.transaction() as tx:
        account = await accounts.held(tx, vuid, scope=origin.scope, for_update=True)
        _require_open(account)
        person = await persons.read(tx, sealer, account.mpi)
        known = await queries.by_id(tx, intent.binding_id, for_update=True)
        if known is not None and known.number_blind != intent.blind:
            raise IdempotencyKeyReused
        if known is not None and (known.state, known.reason) != ("failed", "not_reached"):
            return known, person
        if known is not None:
            await tx.execute(delete(binding).where(binding.c.binding_id == intent.binding_id))
        await _make_room(tx, account.vuid, intent, now=now)
        place = {"vuid": account.vuid, "binding_id": intent.binding_id}
        statement = insert(binding).values(
            **place,
            kind=intent.kind,
            state="started",
            pending="open",
            ask_at=now + settling.FIRST_QUESTION,
            number_blind=intent.blind,
            sealed=sealer.seal(intent.number.encode(), queries.aad(**place)),
            tail=intent.number[-4:],
            issuer=intent.issuer,
            card_kind=intent.card_kind,
            made_by=origin.actor,
            made_at=now,
            changed_at=now,
        )
        made = (await tx.execute(statement.on_conflict_do_nothing().returning(binding))).first()
        if made is None:
            raise BindingBusy
        return made, person


async def _make_room(tx: Connection, vuid: str, intent: _Intent, *, now: datetime) -> None:
    """Refuse a card that is bound, and one too many; an unanswered challenge for the same card gives way."""
    other = await queries.live_card(tx, intent.kind, intent.blind)
    hers = other is not None and other.vuid in await accounts.group(tx, vuid)
    if other is not None:
        waits = other.state == "started" and other.pending is None
        if waits and (hers or (other.expires_at is not None and other.expires_at <= now)):
            await tx.execute(
                update(binding)
                .where(binding.c.vuid == other.vuid, binding.c.binding_id == other.binding_id)
                .values(state="expired", reason="superseded" if hers else "expired", changed_at=now)
            )
        elif not hers:
            raise CardOfAnother
        elif other.state == "started":
            raise BindingBusy
        else:
            raise CardBoundAlready
    kinds = (queries.BANK_CARD,) if intent.kind == queries.BANK_CARD else queries.INSURANCE_CARDS
    if len(await queries.live_of_group(tx, vuid, kinds)) >= intent.limit:
        raise BindingsFull(limit=intent.limit)
    if await queries.started_since(tx, vuid, day_bounds(business_date(now))[0]) >= STARTS_A_DAY:
        raise BindingStartsTooMany


async def _asked(desk: Desk, binding_id: str, asked: Any, *, origin: Origin, now: datetime) -> Row[Any]:
    """Wait for the issuer and commit what it says; what it certainly did not do is undone here."""
    sealer = await desk.vault.sealer()
    try:
        outcome = await asked
    except NOTHING_DONE:
        async with desk.db.transaction() as tx:
            await settling.settle(tx, sealer, binding_id, Outcome(state="absent"), origin=origin, now=now)
        raise
    async with desk.db.transaction() as tx:
        return await settling.settle(tx, sealer, binding_id, outcome, origin=origin, now=now)


def _require_open(account: Row[Any]) -> None:
    if account.state == "frozen":
        raise AccountFrozen
    if account.state == "cancelled":
        raise AccountCancelled


async def confirm(
    desk: Desk, vuid: str, binding_id: str, answer: ChallengeAnswer, *, origin: Origin, key: str, now: datetime
) -> None:
    """Hand the holder's answer to the bank; a binding that is confirmed already stays so.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, BindingNotFound, BindingNotOpen, BindingBusy;
        ChallengeAnswerMissing, ChallengeWrong, ChallengeFailed, ChallengeExpired. What ``Party.ask`` raises.
    """
    mark = sm3(f"{origin.actor}\0{key}".encode()).hex()
    row = await _record_answer(desk, vuid, binding_id, answer, mark, origin=origin, now=now)
    if row.state == "started":
        sealer = await desk.vault.sealer()
        try:
            outcome = await desk.bank.confirm(
                binding_id, code=answer.code or "", amount_fen=answer.amount_fen or 0, now=now
            )
        except NOTHING_DONE:
            await _take_back(desk, binding_id, now=now)
            raise
        async with desk.db.transaction() as tx:
            row = await settling.settle(tx, sealer, binding_id, outcome, origin=origin, now=now)
    settling.require_success(row)
    if row.state == "started":
        raise ChallengeWrong(tries_left=row.tries_left or 0)
    if row.state != "confirmed":
        raise BindingNotOpen(state=row.state)


async def _record_answer(
    desk: Desk, vuid: str, binding_id: str, answer: ChallengeAnswer, mark: str, *, origin: Origin, now: datetime
) -> Row[Any]:
    """Commit that the bank is being asked; a binding that waits for nothing is returned as it stands."""
    async with desk.db.transaction() as tx:
        account = await accounts.held(tx, vuid, scope=origin.scope)
        row = await queries.of_account(tx, account.vuid, binding_id, (queries.BANK_CARD,), for_update=True)
        if row.state != "started":
            return row
        _require_open(account)
        if row.pending is not None:
            raise BindingBusy
        values: dict[str, object] = {"pending": "confirm", "ask_at": now + settling.FIRST_QUESTION}
        if row.expires_at is not None and row.expires_at <= now:
            values = {"state": "expired", "reason": "expired"}
        else:
            _require_answer(row, answer)
            if row.last_answer == mark:
                raise ChallengeWrong(tries_left=row.tries_left or 0)
            values["last_answer"] = mark
        changed: Row[Any] = (
            await tx.execute(
                update(binding)
                .where(binding.c.vuid == row.vuid, binding.c.binding_id == binding_id)
                .values(changed_at=now, **values)
                .returning(binding)
            )
        ).one()
        return changed


def _require_answer(row: Row[Any], answer: ChallengeAnswer) -> None:
    if row.challenge == "sms" and (answer.code is None or answer.amount_fen is not None):
        raise ChallengeAnswerMissing(needed="code")
    if row.challenge == "small_amount" and (answer.amount_fen is None or answer.code is not None):
        raise ChallengeAnswerMissing(needed="amount_fen")


async def _take_back(desk: Desk, binding_id: str, *, now: datetime) -> None:
    """The bank was not reached: the challenge still waits, and no try is spent."""
    async with desk.db.transaction() as tx:
        await tx.execute(
            update(binding)
            .where(binding.c.binding_id == binding_id, binding.c.pending == "confirm")
            .values(pending=None, ask_at=None, last_answer=None, changed_at=now)
        )


async def set_default(tx: Connection, vuid: str, binding_id: str, *, origin: Origin, now: datetime) -> BankCardView:
    """Make a bound bank card the account's default one.

    Raises:
        AccountNotFound, AccountFrozen, AccountCancelled, BindingNotFound. BindingNotOpen: it is not confirmed.
    """
    account = await accounts.held(tx, vuid, scope=origin.scope, for_update=True)
    _require_open(account)
    row = await queries.of_account(tx, account.vuid, binding_id, (queries.BANK_CARD,), for_update=True)
    if row.state != "confirmed":
        raise BindingNotOpen(state=row.state)
    await tx.execute(
        update(binding)
        .where(binding.c.vuid.in_(await accounts.group(tx, account.vuid)), binding.c.kind == queries.BANK_CARD)
        .where(binding.c.state == "confirmed")
        .values(is_default=binding.c.binding_id == binding_id, changed_at=now)
    )
    return queries.bank_card_view(await queries.of_account(tx, account.vuid, binding_id, (queries.BANK_CARD,)))
