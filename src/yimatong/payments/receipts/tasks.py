"""The outbox handler of receipts, for the worker."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from yimatong.crypto.vault import Vault
from yimatong.kit.db import Database
from yimatong.kit.outbox import Handler, Message
from yimatong.payments import news
from yimatong.payments.receipts import service
from yimatong.payments.receipts.issuer import ReceiptIssuer

TOPIC: Final = news.RECEIPT_DUE
"""What asks for a receipt."""


def handlers(
    db: Database, vault: Vault, issuer: ReceiptIssuer | None, *, now: Callable[[], datetime]
) -> dict[str, Handler]:
    """Return the outbox handler of receipts; without an issuer there are none, and nothing is kept waiting."""

    async def deliver(message: Message) -> None:
        if issuer is not None:
            await service.ask(db, vault, issuer, message.payload, now=now())

    return {TOPIC: deliver}
