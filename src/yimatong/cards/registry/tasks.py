"""What the worker does for the registry: carries news between it, the accounts and the card index."""

from __future__ import annotations

from collections.abc import Mapping

from yimatong.cards import topics
from yimatong.cards.registry import announcing, indexing
from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.outbox import Handler, Message


def handlers(db: Database, vault: Vault) -> Mapping[str, Handler]:
    """Return the outbox handlers of both sides; a repeated or overtaken message changes nothing."""

    async def accounts_changed(message: Message) -> None:
        sealer, blinder = await vault.sealer(), await vault.blinder()
        async with db.transaction() as connection:
            await announcing.hear_accounts(connection, message.payload, message_id=message.id, now=message.created_at)
            await indexing.tell_accounts(
                connection,
                message.payload["persons"],
                version=message.id,
                sealer=sealer,
                blinder=blinder,
                now=message.created_at,
            )

    async def cards_changed(message: Message) -> None:
        async with db.transaction() as connection:
            await announcing.hear_cards(connection, message.payload, now=message.created_at)

    return {topics.ACCOUNTS_CHANGED: accounts_changed, announcing.CARDS_CHANGED: cards_changed}
