"""From our rows to what an adapter is told of an attempt or a refund; an insurer's references are unsealed for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import Row, select

from yimatong.crypto.vault import Vault
from yimatong.kit.db import Connection
from yimatong.payments.channels.base import Part, PlacedPayment, RefundRequest, Scene
from yimatong.payments.models import leg

PURPOSE = "leg-references"


async def payment(connection: Connection, vault: Vault, tried: Row[Any]) -> PlacedPayment:
    """Return an attempt as its channel knows it."""
    return PlacedPayment(
        attempt_no=tried.attempt_no,
        amount_fen=tried.amount_fen,
        scene=Scene(tried.scene),
        part=Part(tried.part),
        placed_at=tried.created_at,
        expires_at=tried.expires_at,
        channel_trade_no=tried.channel_trade_no or "",
        references=await references(connection, vault, tried.order_no, tried.part),
        components=tried.intent.get("components") or {},
    )


def refund_request(row: Row[Any], paid: PlacedPayment, *, notify_url: str) -> RefundRequest:
    """Return a refund as its channel is asked for it."""
    return RefundRequest(
        refund_no=row.refund_no,
        payment=paid,
        refund_fen=row.amount_fen,
        reason=row.reason,
        notify_url=notify_url,
        asked_at=row.created_at,
        components=row.components,
    )


async def references(connection: Connection, vault: Vault, order_no: str, part: str) -> Mapping[str, str]:
    """Return what the insurer of a part wants to hear again; nothing for the payer's own part."""
    if part == Part.CASH:
        return {}
    insured = Part.INSURANCE if part == Part.WHOLE else part
    found = await connection.execute(select(leg).where(leg.c.order_no == order_no, leg.c.part == insured))
    row = found.first()
    if row is None:
        return {}
    plain = (await vault.sealer(PURPOSE)).unseal(row.references_sealed, aad(order_no, row.part))
    return msgspec.json.decode(plain, type=dict[str, str])


def aad(order_no: str, part: str) -> bytes:
    """Bind sealed references to their leg."""
    return f"payments_leg:{order_no}:{part}".encode()
