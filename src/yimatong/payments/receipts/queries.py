"""Every SELECT of electronic receipts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select

from yimatong.access import callers
from yimatong.access.caller import Scope
from yimatong.cards.accounts import queries as cards
from yimatong.cards.errors import AccountNotFound
from yimatong.crypto.vault import Vault
from yimatong.empi.errors import PersonNotFound
from yimatong.empi.persons import queries as persons
from yimatong.kit.db import Connection
from yimatong.payments import sources
from yimatong.payments.errors import ReceiptNotIssued
from yimatong.payments.models import receipt, refund, refund_item, stay
from yimatong.payments.orders import queries as orders
from yimatong.payments.receipts.issuer import IssuedReceipt, ReceiptContent
from yimatong.payments.receipts.schemas import DepositSlip, NamedSlip, Receipts, ReceiptView, Stay
from yimatong.standards.amounts_in_words import in_capitals

PURPOSE = "payment-receipts"


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """Issued receipts, each with what stands on it; and the slip of a deposit, with the names on it."""

    receipts: list[tuple[ReceiptContent, IssuedReceipt]]
    slip: NamedSlip | None = None


def aad(order_no: str, request_no: str) -> bytes:
    """Bind a sealed content to its row."""
    return f"payments_receipt:{order_no}:{request_no}".encode()


def stay_aad(institution_id: str, source_kind: str, source_id: str) -> bytes:
    """Bind a sealed stay to its row."""
    return f"payments_stay:{institution_id}:{source_kind}:{source_id}".encode()


async def of_order(connection: Connection, order_no: str, *, scope: Scope) -> Receipts:
    """Return the receipts of an order, and the slip of a deposit.

    Raises:
        OrderNotFound: no such order in ``scope``. ReceiptNotIssued: there is none.
    """
    held = await orders.row_of(connection, order_no, scope=scope)
    rows, slip = await _rows(connection, order_no), slip_of(held)
    if not rows and slip is None:
        raise ReceiptNotIssued
    return Receipts(order_no=order_no, receipts=[_view(row) for row in rows], deposit=slip)


async def issued(connection: Connection, vault: Vault, order_no: str, *, scope: Scope) -> Issued:
    """Return the issued receipts of an order, and the slip of a deposit, with what stands on them.

    Raises:
        OrderNotFound: no such order in ``scope``. ReceiptNotIssued: none is issued. SealBroken: a row was edited.
    """
    held = await orders.row_of(connection, order_no, scope=scope)
    sealer, slip = await vault.sealer(PURPOSE), slip_of(held)
    found = [
        (
            msgspec.json.decode(sealer.unseal(row.content_sealed, aad(order_no, row.request_no)), type=ReceiptContent),
            numbers(row),
        )
        for row in await _rows(connection, order_no)
        if row.state == "issued"
    ]
    if not found and slip is None:
        raise ReceiptNotIssued
    if slip is None:
        return Issued(receipts=found)
    institution, payer = await names(connection, vault, held)
    return Issued(receipts=found, slip=NamedSlip(slip=slip, institution_name=institution, payer=payer))


def slip_of(held: Row[Any]) -> DepositSlip | None:
    """Return the slip of an order that paid a deposit; None for every other order: pure."""
    if held.source_kind != sources.DEPOSIT or held.paid_at is None:
        return None
    return DepositSlip(
        order_no=held.order_no,
        source_id=held.source_id,
        amount_fen=held.paid_fen,
        amount_in_words=in_capitals(held.paid_fen),
        used_fen=held.used_fen,
        returned_fen=held.refund_reserved_fen,
        held_fen=held.paid_fen - held.used_fen - held.refund_reserved_fen,
        channel=held.paid_channel or "",
        channel_trade_no=held.channel_trade_no or "",
        paid_at=held.paid_at,
    )


async def stay_of(connection: Connection, vault: Vault, held: Row[Any]) -> Stay | None:
    """Return the settled stay whose receipt is issued for an order, or None.

    Raises:
        SealBroken: the row was edited.
    """
    kind, number = source_of(held)
    found = await connection.execute(
        select(stay.c.content_sealed).where(
            stay.c.institution_id == held.institution_id, stay.c.source_kind == kind, stay.c.source_id == number
        )
    )
    kept = found.scalar_one_or_none()
    if kept is None:
        return None
    plain = (await vault.sealer(PURPOSE)).unseal(kept, stay_aad(held.institution_id, kind, number))
    return msgspec.json.decode(plain, type=Stay)


def source_of(held: Row[Any]) -> tuple[str, str]:
    """Return kind and number of what an order pays; the bill itself where an order of several has just one: pure."""
    if held.source_kind == sources.SEVERAL:
        bills = {str(item.get("source_no", "")) for item in held.items}
        if len(bills) == 1:
            return sources.BILL, bills.pop()
    return held.source_kind, held.source_id


def numbers(row: Row[Any]) -> IssuedReceipt:
    """Return the numbers of an issued receipt's row."""
    return IssuedReceipt(
        receipt_code=row.receipt_code,
        receipt_no=row.receipt_no,
        check_code=row.check_code,
        issued_at=row.issued_at,
        check_url=row.check_url,
    )


async def row_of(connection: Connection, order_no: str, request_no: str) -> Row[Any] | None:
    """Return a receipt's row, or None."""
    found = await connection.execute(
        select(receipt).where(receipt.c.order_no == order_no, receipt.c.request_no == request_no)
    )
    return found.first()


async def refund_of(connection: Connection, order_no: str, refund_no: str) -> Row[Any]:
    """Return the row of a refund that succeeded."""
    found = await connection.execute(
        select(refund).where(refund.c.order_no == order_no, refund.c.refund_no == refund_no)
    )
    return found.one()


async def refunded_lines(connection: Connection, order_no: str, refund_no: str) -> list[tuple[int, int]]:
    """Return which lines of an order a refund returns, and how much of each."""
    rows = await connection.execute(
        select(refund_item.c.line, refund_item.c.amount_fen)
        .where(refund_item.c.order_no == order_no, refund_item.c.refund_no == refund_no)
        .order_by(refund_item.c.line)
    )
    return [(int(row[0]), int(row[1])) for row in rows]


async def names(connection: Connection, vault: Vault, held: Row[Any]) -> tuple[str, str]:
    """Return the names of an order's institution and patient; empty where no patient is known."""
    institution = await callers.institution_name(connection, held.institution_id)
    if held.vuid is None:
        return institution, ""
    try:
        account = await cards.latest(connection, held.vuid)
        person = await persons.read(connection, await vault.sealer(), account.mpi)
    except (AccountNotFound, PersonNotFound):
        return institution, ""
    return institution, str.__str__(person.name)


async def _rows(connection: Connection, order_no: str) -> Sequence[Row[Any]]:
    rows = await connection.execute(
        select(receipt)
        .where(receipt.c.order_no == order_no)
        .order_by(receipt.c.kind, receipt.c.asked_at, receipt.c.request_no)
    )
    return rows.all()


def _view(row: Row[Any]) -> ReceiptView:
    return ReceiptView(
        request_no=row.request_no,
        kind=row.kind,
        state=row.state,
        amount_fen=row.amount_fen,
        amount_in_words=in_capitals(row.amount_fen),
        receipt_code=row.receipt_code,
        receipt_no=row.receipt_no,
        check_code=row.check_code,
        check_url=row.check_url,
        cause=row.cause,
        issued_at=row.issued_at,
    )
