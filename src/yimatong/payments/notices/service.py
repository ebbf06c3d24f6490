"""A notice is verified on its raw bytes by the channel's adapter, then settled like the answer to a query."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from yimatong.payments import accounts, settlement
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ChannelNotOffered, NoticeNotGenuine


async def take(
    desk: Desk, channel: str, account_id: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> None:
    """Verify a notice and apply it; when this returns it is committed.

    Raises:
        NoticeNotGenuine: its signature, time or key does not hold, or there is no such account.
        PaymentMismatch: genuine, but it does not fit our books; nothing was applied.
    """
    if not account_id.isascii() or not account_id.isprintable():
        raise NoticeNotGenuine(audit="account id")
    try:
        async with desk.db.read() as connection:
            account = await accounts.by_id(connection, desk.vault, account_id)
    except ChannelNotOffered as error:
        raise NoticeNotGenuine(audit=f"no account {account_id}") from error
    if account.channel != channel:
        raise NoticeNotGenuine(audit=f"account {account_id} is not at {channel}")
    told = desk.channel(channel).read_notice(account, headers, body, now=now)
    await settlement.settle_notice(desk.db, account, told, now=now)
