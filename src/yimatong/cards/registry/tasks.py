"""What the worker does for the registry: carries news between registry and accounts, registers what arrived."""

from __future__ import annotations

from collections.abc import Mapping

from yimatong.cards import topics
from yimatong.cards.registry import announcing
from yimatong.kit.db import Database
from yimatong.kit.outbox import Handler, Message


def handlers(db: Database) -> Mapping[str, Handler]:
    """Return the outbox handlers of both sides; a repeated or overtaken message changes nothing."""

    async def accounts_changed(message: Message) -> None:
        async with db.transaction() as connection:
            await announcing.hear_accounts(connection, message.payload, message_id=message.id, now=message.created_at)

    async def cards_changed(message: Message) -> None:
        async with db.transaction() as connection:
            await announcing.hear_cards(connection, message.payload, now=message.created_at)

    return {topics.ACCOUNTS_CHANGED: accounts_changed, announcing.CARDS_CHANGED: cards_changed}
