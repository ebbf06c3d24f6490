"""The verbs of agreements: make one, answer its challenge, ask how it stands, end it, pay under it.

The request is committed before the channel is called, the outcome after it. No money moves by an agreement itself; one
that nobody agreed to within ``WAITING`` is given up.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Row, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import PLATFORM, Caller, Scope
from yimatong.cards.accounts import queries as cards
from yimatong.cards.bindings import queries as bindings
from yimatong.cards.errors import BindingNotFound
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.ids import new_id
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.agreements import bound, limits, queries
from yimatong.payments.agreements.schemas import AgreementView, NewAgreement, NewPayment
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt, StartedAttempt
from yimatong.payments.channels.abilities import (
    Agreeing,
    AgreementKind,
    AgreementRequest,
    AgreementStanding,
    ChannelAgreement,
)
from yimatong.payments.channels.base import ChannelAccount, Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import (
    AgreementExists,
    AgreementNotOffered,
    AgreementNotUsable,
    ChannelBusy,
    ChannelRefused,
)
from yimatong.payments.models import agreement

WAITING: Final = timedelta(minutes=30)
_SILENT = (PartyUnreachable, PartyOutcomeUnknown, ChannelBusy)
_PAUSE: Final = timedelta(seconds=20)


async def make(desk: Desk, new: NewAgreement, *, caller: Caller, now: datetime) -> AgreementView:
    """Begin an agreement; begun before and still waiting, it goes on.

    Raises:
        AccountNotFound, BindingNotFound, ChannelNotOffered, AgreementNotOffered, AgreementExists: nothing was begun.
        ChannelRefused: the channel declined. PartyUnreachable, PartyOutcomeUnknown: begin again, it is the same one.
    """
    channel = _agreeing(desk, new.channel, new.kind)
    async with desk.db.transaction() as connection:
        row, account, request = await _record(connection, desk, new, caller=caller, now=now)
    if row.action is not None:
        return queries.view(row)
    try:
        action = await channel.agree(account, request, now=now)
    except ChannelRefused as error:
        refused = ChannelAgreement(
            request_no=row.agreement_id,
            standing=AgreementStanding.REFUSED,
            reason=str(error.facts.get("channel_code", "")),
        )
        await _apply(desk, row.agreement_id, refused, now=now)
        raise
    async with desk.db.transaction() as connection:
        changed = await connection.execute(
            update(agreement)
            .where(agreement.c.agreement_id == row.agreement_id)
            .values(action=msgspec.to_builtins(action), updated_at=now)
            .returning(agreement)
        )
        return queries.view(changed.one())


async def confirm(desk: Desk, agreement_id: str, answer: str, *, scope: Scope, now: datetime) -> AgreementView:
    """Hand in the answer to the channel's challenge.

    Raises:
        AgreementNotFound, AgreementNotUsable (it does not wait). ChannelRefused: wrong, or too late.
    """
    row, account, request = await _load(desk, agreement_id, scope=scope)
    if row.state != "waiting":
        raise AgreementNotUsable(state=row.state)
    found = await _agreeing(desk, row.channel, row.kind).confirm_agreement(account, request, answer, now=now)
    return await _apply(desk, agreement_id, found, now=now)


async def refresh(desk: Desk, agreement_id: str, *, scope: Scope = PLATFORM, now: datetime) -> AgreementView:
    """Ask the channel how an agreement stands, or have one that is ending ended; a silent channel changes nothing.

    Raises:
        AgreementNotFound.
    """
    row, account, request = await _load(desk, agreement_id, scope=scope)
    channel = _agreeing(desk, row.channel, row.kind)
    try:
        if row.state == "ending":
            number = await _number(desk, row)
            return await _apply(
                desk, agreement_id, await channel.end_agreement(account, request, number, now=now), now=now
            )
        if row.state in {"waiting", "agreed"}:
            return await _apply(desk, agreement_id, await channel.query_agreement(account, request, now=now), now=now)
    except (*_SILENT, ChannelRefused):
        pass
    return queries.view(row)


async def end(desk: Desk, agreement_id: str, *, scope: Scope, now: datetime) -> AgreementView:
    """End an agreement: nothing is paid under it from now on, whatever the channel takes its time to say.

    Raises:
        AgreementNotFound.
    """
    async with desk.db.transaction() as connection:
        row = await queries.row_of(connection, agreement_id, scope=scope, for_update=True)
        if row.state in {"waiting", "agreed"}:
            new = "ending" if row.agreement_no_sealed is not None else "ended"
            await connection.execute(
                update(agreement)
                .where(agreement.c.agreement_id == agreement_id)
                .values(
                    state=new,
                    updated_at=now,
                    ended_at=now if new == "ended" else None,
                    next_ask_at=now if new == "ending" else None,
                )
            )
    return await refresh(desk, agreement_id, scope=scope, now=now)


async def pay(
    desk: Desk, agreement_id: str, new: NewPayment, *, scope: Scope, at_counter: bool = False, now: datetime
) -> StartedAttempt:
    """Pay an order under an agreement; errors as ``cashier.start_attempt`` and ``limits.admit``.

    Where the agreement wants an SMS code, the first call has it sent (``challenge``), the second brings the answer.
    A bound bank card (``bkc_...``) is one that always does.
    """
    async with desk.db.read() as connection:
        if bound.names_card(agreement_id):
            await bound.row_of(connection, agreement_id, scope=scope)
            channel = bound.CHANNEL
        else:
            channel = (await queries.row_of(connection, agreement_id, scope=scope)).channel
    return await cashier.start_attempt(
        desk,
        new.order_no,
        NewAttempt(channel=channel, scene=Scene.AGREEMENT),
        scope=scope,
        at_counter=at_counter,
        extra=limits.admission(desk.vault, agreement_id, answer=new.answer, now=now),
        now=now,
    )


async def quick(connection: Connection, desk: Desk, vuid: str, institution_id: str) -> list[AgreementView]:
    """Return what a resident can pay with at an institution by an SMS code: bound cards, then agreements of that kind.

    Raises:
        AccountNotFound: no such account.
    """
    made = await queries.of_account(connection, vuid, scope=PLATFORM)
    return [
        *await bound.offered(connection, desk.vault, vuid, institution_id),
        *(
            each
            for each in made.agreements
            if (each.state, each.kind, each.institution_id) == ("agreed", "bank_card", institution_id)
        ),
    ]


def _agreeing(desk: Desk, name: str, kind: str) -> Agreeing:
    channel = desk.channel(name)
    if not isinstance(channel, Agreeing) or AgreementKind(kind) not in channel.agreement_kinds:
        raise AgreementNotOffered(channel=name)
    return channel


async def _record(
    connection: Connection, desk: Desk, new: NewAgreement, *, caller: Caller, now: datetime
) -> tuple[Row[Any], ChannelAccount, AgreementRequest]:
    """Record a request, or find the one that waits."""
    holder = await cards.held(connection, new.vuid, scope=caller.scope)
    account = await accounts.of_institution(connection, desk.vault, new.institution_id, new.channel)
    agreement_id = new_id("agr")
    request = await _request(connection, desk, new, holder, agreement_id, account=account, now=now)
    sealer = await desk.vault.sealer(limits.PURPOSE)
    plain = msgspec.json.encode(request, enc_hook=str.__str__)
    made = await connection.execute(
        insert(agreement)
        .values(
            agreement_id=agreement_id,
            vuid=holder.vuid,
            institution_id=new.institution_id,
            channel=new.channel,
            account_id=account.account_id,
            kind=new.kind,
            state="waiting",
            request_sealed=sealer.seal(plain, limits.request_aad(agreement_id)),
            single_limit_fen=new.single_limit_fen,
            daily_limit_fen=max(new.daily_limit_fen, new.single_limit_fen),
            made_by=caller.caller_id,
            created_at=now,
            updated_at=now,
            next_ask_at=now + _PAUSE,
        )
        .on_conflict_do_nothing()
        .returning(agreement)
    )
    row = made.first()
    if row is not None:
        return row, account, request
    before = await queries.live(connection, holder.vuid, account.account_id, new.kind)
    if before is None or before.state != "waiting":
        raise AgreementExists(agreement_id=before.agreement_id if before else "")
    return before, account, await _unsealed(desk, before)


async def _request(
    connection: Connection,
    desk: Desk,
    new: NewAgreement,
    holder: Row[Any],
    agreement_id: str,
    *,
    account: ChannelAccount,
    now: datetime,
) -> AgreementRequest:
    person = await persons.read(connection, await desk.vault.sealer(), holder.mpi)
    number = Secret("")
    if new.binding_id:
        bound = await bindings.bound_cards(connection, await desk.vault.sealer(), holder.vuid, scope=PLATFORM)
        chosen = [card for card in bound if card.binding_id == new.binding_id]
        if not chosen:
            raise BindingNotFound
        number = Secret(str.__str__(chosen[0].number))
    return AgreementRequest(
        request_no=agreement_id,
        kind=AgreementKind(new.kind),
        placed_at=now,
        notify_url=desk.notify_url(account),
        return_url=new.return_url,
        name=str.__str__(person.name),
        id_type=person.id_type,
        id_number=str.__str__(person.id_number),
        card_number=number,
        phone=str.__str__(person.phone),
    )


async def _load(desk: Desk, agreement_id: str, *, scope: Scope) -> tuple[Row[Any], ChannelAccount, AgreementRequest]:
    async with desk.db.read() as connection:
        row = await queries.row_of(connection, agreement_id, scope=scope)
        account = await accounts.by_id(connection, desk.vault, row.account_id)
    return row, account, await _unsealed(desk, row)


async def _unsealed(desk: Desk, row: Row[Any]) -> AgreementRequest:
    plain = (await desk.vault.sealer(limits.PURPOSE)).unseal(row.request_sealed, limits.request_aad(row.agreement_id))
    return msgspec.json.decode(plain, type=AgreementRequest, dec_hook=lambda kind, value: kind(value))


async def _number(desk: Desk, row: Row[Any]) -> str:
    sealer = await desk.vault.sealer(limits.PURPOSE)
    return sealer.unseal(row.agreement_no_sealed, limits.number_aad(row.agreement_id)).decode()


async def _apply(desk: Desk, agreement_id: str, found: ChannelAgreement, *, now: datetime) -> AgreementView:
    """Apply what the channel says of an agreement; what has ended stays ended."""
    sealer = await desk.vault.sealer(limits.PURPOSE)
    async with desk.db.transaction() as connection:
        row = await queries.row_of(connection, agreement_id, scope=PLATFORM, for_update=True)
        values = _changes(row, found, now=now)
        if values.get("state") == "agreed":
            values["agreement_no_sealed"] = sealer.seal(found.agreement_no.encode(), limits.number_aad(agreement_id))
        changed = await connection.execute(
            update(agreement)
            .where(agreement.c.agreement_id == agreement_id)
            .values(**values, updated_at=now)
            .returning(agreement)
        )
        return queries.view(changed.one())


def _changes(row: Row[Any], found: ChannelAgreement, *, now: datetime) -> dict[str, Any]:
    """Return what a channel's word changes: pure."""
    given_up = row.created_at + WAITING < now
    if row.state == "waiting":
        if found.standing is AgreementStanding.AGREED and found.agreement_no:
            return {"state": "agreed", "agreed_at": now, "next_ask_at": None, "action": {}}
        if found.standing is AgreementStanding.REFUSED:
            return {"state": "refused", "reason": found.reason, "next_ask_at": None}
        if found.standing is AgreementStanding.ENDED or given_up:
            return {"state": "ended", "ended_at": now, "next_ask_at": None}
    elif row.state in {"agreed", "ending"} and found.standing in (AgreementStanding.ENDED, AgreementStanding.ABSENT):
        return {"state": "ended", "ended_at": now, "next_ask_at": None}
    return {"next_ask_at": row.next_ask_at and now + _PAUSE}
