"""The verbs of electronic receipts: ask for one when an order is paid or money went back, and keep what was issued.

News of an order comes as ``payments.receipt_due`` in an order of its own, so an issuer that is down holds up nobody; it
is asked again for a day on the outbox's schedule and then parked in sight. What is asked for is stored before the
issuer is called and is the same when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Row, update
from sqlalchemy.dialects.postgresql import insert

from yimatong.access.caller import PLATFORM
from yimatong.crypto.vault import Vault
from yimatong.kit import outbox
from yimatong.kit.db import Connection, Database
from yimatong.payments import news, parts, sources
from yimatong.payments.channels.base import Part
from yimatong.payments.errors import ChannelRefused, ReceiptNotIssued
from yimatong.payments.models import receipt
from yimatong.payments.models import stay as stay_table
from yimatong.payments.orders import queries as orders
from yimatong.payments.orders.schemas import Item
from yimatong.payments.receipts import queries
from yimatong.payments.receipts.issuer import IssuedReceipt, ReceiptContent, ReceiptIssuer, ReceiptLine
from yimatong.payments.receipts.schemas import PaidBy, Stay

INSURANCES: Final = {"insurance": "基本医疗保险", "ncms": "城乡居民基本医疗保险（新农合）"}
OWN_EXPENSE: Final = "自费"
NO_NAME: Final = "（未提供）"


async def note_stay(connection: Connection, vault: Vault, paid_by: PaidBy, stay: Stay, *, now: datetime) -> None:
    """Note in the open transaction what the receipt of a settled stay says, for the source whose order it hangs on.

    Where deposits paid it all, the receipt is asked for now; else it is asked for when the bill is paid.
    """
    sealer = await vault.sealer(queries.PURPOSE)
    place = (paid_by.institution_id, paid_by.source_kind, paid_by.source_id)
    content = sealer.seal(msgspec.json.encode(stay), queries.stay_aad(*place))
    names = ("institution_id", "source_kind", "source_id")
    await connection.execute(
        insert(stay_table).values(content_sealed=content, noted_at=now, **dict(zip(names, place, strict=True)))
    )
    if paid_by.order_no:
        payload = {"order_no": paid_by.order_no, "event": "stay_settled"}
        await outbox.write(
            connection,
            topic=news.RECEIPT_DUE,
            ordering_key=f"receipt:{paid_by.order_no}",
            payload=payload,
            now=now,
        )


async def ask(db: Database, vault: Vault, issuer: ReceiptIssuer, payload: Mapping[str, Any], *, now: datetime) -> None:
    """Have the receipt issued that a message asks for; one that was issued or refused stays as it is.

    Raises:
        ChannelBusy, PartyUnreachable, PartyOutcomeUnknown, ReceiptNotIssued (a refund's comes after): ask again.
    """
    order_no, refund_no = str(payload["order_no"]), str(payload.get("refund_no", ""))
    async with db.transaction() as connection:
        content = await _asked(connection, vault, order_no, refund_no, now=now)
    if content is None:
        return
    try:
        made = await issuer.issue(content, now=now)
    except ChannelRefused as error:
        await _record(db, content, {"state": "refused", "cause": str(error.facts.get("channel_code", ""))})
        return
    await _record(db, content, _issued(made))


def _issued(made: IssuedReceipt) -> dict[str, object]:
    return {"state": "issued"} | {name: getattr(made, name) for name in made.__struct_fields__}


async def _record(db: Database, content: ReceiptContent, values: Mapping[str, object]) -> None:
    async with db.transaction() as connection:
        await connection.execute(
            update(receipt)
            .where(
                receipt.c.order_no == content.order_no,
                receipt.c.request_no == content.request_no,
                receipt.c.state == "asked",
            )
            .values(**values)
        )


async def _asked(
    connection: Connection, vault: Vault, order_no: str, refund_no: str, *, now: datetime
) -> ReceiptContent | None:
    """Store what is to be asked for, or read it where it was stored before; None: there is nothing to ask."""
    held = await orders.row_of(connection, order_no, scope=PLATFORM)
    request_no, sealer = refund_no or order_no, await vault.sealer(queries.PURPOSE)
    stay = await queries.stay_of(connection, vault, held)
    if held.source_kind == sources.DEPOSIT and (refund_no or stay is None):
        return None  # a deposit is not income: what went back of it stands on the receipt of the stay
    known = await queries.row_of(connection, order_no, request_no)
    if known is not None:
        plain = sealer.unseal(known.content_sealed, queries.aad(order_no, request_no))
        return msgspec.json.decode(plain, type=ReceiptContent) if known.state == "asked" else None
    if refund_no:
        content = await _red(connection, vault, held, refund_no)
    else:
        content = await _blue(connection, vault, held, stay)
    if content is None:
        return None
    await connection.execute(
        insert(receipt)
        .values(
            order_no=order_no,
            request_no=request_no,
            institution_id=held.institution_id,
            kind=content.kind,
            state="asked",
            amount_fen=content.amount_fen,
            content_sealed=sealer.seal(msgspec.json.encode(content), queries.aad(order_no, request_no)),
            asked_at=now,
        )
        .on_conflict_do_nothing()
    )
    return content


async def _blue(connection: Connection, vault: Vault, held: Row[Any], stay: Stay | None) -> ReceiptContent:
    institution, payer = await queries.names(connection, vault, held)
    legs = await parts.legs(connection, held.order_no)
    insured = legs.get(Part.INSURANCE)
    components = dict(insured.components) if insured else {}
    fund_fen, account_fen = int(components.get("fund_fen", 0)), int(components.get("account_fen", 0))
    own_fen, amount_fen = int(held.cash_fen), int(held.amount_fen)
    items = msgspec.convert(held.items, list[Item]) if stay is None else stay.items
    if stay is not None:  # what deposits paid came out of the patient's own pocket
        amount_fen = stay.total_fen
        own_fen = amount_fen if held.source_kind == sources.DEPOSIT else own_fen + amount_fen - int(held.amount_fen)
    return ReceiptContent(
        kind="blue",
        form="outpatient" if stay is None else "inpatient",
        institution_id=held.institution_id,
        institution_name=institution,
        payer=payer or NO_NAME,
        insurance=INSURANCES.get(insured.channel, OWN_EXPENSE) if insured else OWN_EXPENSE,
        order_no=held.order_no,
        request_no=held.order_no,
        lines=tuple(ReceiptLine(name=each.name, quantity=each.quantity, amount_fen=each.amount_fen) for each in items),
        amount_fen=amount_fen,
        paid_fen={
            "fund_fen": fund_fen,
            "account_fen": account_fen,
            "own_fen": own_fen,
            "other_fen": amount_fen - own_fen - fund_fen - account_fen,
        },
        at=stay.settled_at if stay is not None and held.source_kind == sources.DEPOSIT else held.paid_at,
        stay=stay,
    )


async def _red(connection: Connection, vault: Vault, held: Row[Any], refund_no: str) -> ReceiptContent | None:
    """Return the red receipt of a refund; None where the payment has no receipt and will have none.

    Raises:
        ReceiptNotIssued: the payment's receipt is still being asked for; the message comes again.
    """
    blue = await queries.row_of(connection, held.order_no, held.order_no)
    if blue is not None and blue.state == "asked":
        raise ReceiptNotIssued
    if blue is None or blue.state != "issued":
        return None
    sealer = await vault.sealer(queries.PURPOSE)
    original = msgspec.json.decode(
        sealer.unseal(blue.content_sealed, queries.aad(held.order_no, held.order_no)), type=ReceiptContent
    )
    gone = await queries.refund_of(connection, held.order_no, refund_no)
    back_fen = int(gone.amount_fen)
    fund_fen, account_fen = int(gone.components.get("fund_fen", 0)), int(gone.components.get("account_fen", 0))
    own_fen = back_fen if gone.part == Part.CASH else 0
    gone_lines = [] if original.stay else await queries.refunded_lines(connection, held.order_no, refund_no)
    lines = [ReceiptLine(name=original.lines[line - 1].name, quantity=1, amount_fen=-fen) for line, fen in gone_lines]
    if sum(line.amount_fen for line in lines) != -back_fen:
        lines = [ReceiptLine(name="退费", quantity=1, amount_fen=-back_fen)]
    return msgspec.structs.replace(
        original,
        kind="red",
        request_no=refund_no,
        lines=tuple(lines),
        amount_fen=-back_fen,
        paid_fen={
            "fund_fen": -fund_fen,
            "account_fen": -account_fen,
            "own_fen": -own_fen,
            "other_fen": -(back_fen - fund_fen - account_fen - own_fen),
        },
        at=gone.succeeded_at,
        original_code=blue.receipt_code,
        original_no=blue.receipt_no,
    )
