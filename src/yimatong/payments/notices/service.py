"""A notice is verified on its raw bytes by the channel's adapter, then settled like the answer to a query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from yimatong.payments import accounts, asking, settlement
from yimatong.payments.channels.base import ChannelAccount, NoticeAnswer
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered, NoticeNotGenuine
from yimatong.payments.notices.sharing import Shared, Word, may_be_shared
from yimatong.payments.numbers import is_leg_no


async def take(
    desk: Desk,
    channel: str,
    account_id: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    shared: Shared | None = None,
    now: datetime,
) -> None:
    """Verify a notice and apply it; when this returns it is committed. Plain ones are settled with others.

    A notice that names a pre-settlement says no more than that there is news: the insurer is asked.

    Raises:
        NoticeNotGenuine: its signature, time or key does not hold, or there is no such account.
        PaymentMismatch: genuine, but it does not fit our books; nothing was applied.
        PartyUnreachable, PartyOutcomeUnknown: the channel had to be asked and was silent; the notice comes again.
    """
    if channel not in desk.channels:
        raise NoticeNotGenuine(audit="no such channel")
    if not account_id.isascii() or not account_id.isprintable():
        raise NoticeNotGenuine(audit="account id")
    try:
        account = await _account(desk, shared, account_id)
    except ChannelNotOffered as error:
        raise NoticeNotGenuine(audit=f"no account {account_id}") from error
    if account.channel != channel:
        raise NoticeNotGenuine(audit=f"account {account_id} is not at {channel}")
    told = desk.channel(channel).read_notice(account, headers, body, now=now)
    if told.payment is not None and is_leg_no(told.payment.attempt_no):
        await asking.ask_leg(desk, told.payment.attempt_no, now=now)
        return
    if shared is not None and told.payment is not None and may_be_shared(told):
        word = Word(account=account, told=told, found=told.payment, now=now)
        if await shared.settlements.tried(word):
            return
    try:
        await settlement.settle_notice(desk.db, account, told, now=now)
    except settlement.AskFirst as late:
        paid_at = told.payment.paid_at if told.payment is not None else None
        await asking.confirm(desk, late.attempt_no, paid_at=paid_at, now=now)


async def _account(desk: Desk, shared: Shared | None, account_id: str) -> ChannelAccount:
    if shared is not None:
        return await shared.accounts.submit(account_id)
    async with desk.db.single() as connection:
        return await accounts.by_id(connection, desk.vault, account_id)


def answer(desk: Desk, channel: str, *, problem: str, status: int) -> NoticeAnswer:
    """Return what the channel wants to hear: *taken* when ``problem`` is empty; JSON for a channel that we have not."""
    known = desk.channels.get(channel)
    if known is not None:
        return known.answer_notice(problem=problem, status=status)
    return NoticeAnswer(
        status=status, body=msgspec.json.encode({"code": "FAIL", "message": problem}), media_type="application/json"
    )
