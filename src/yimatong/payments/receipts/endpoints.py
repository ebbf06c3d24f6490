"""HTTP of electronic receipts."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath

from yimatong.access.edge import Call, documented
from yimatong.cards.errors import LabelFontMissing
from yimatong.payments.errors import OrderNotFound, ReceiptNotIssued
from yimatong.payments.receipts import drawing, queries
from yimatong.payments.receipts.schemas import Receipts

PDF: Final = "application/pdf"


@get(
    "/api/v1/orders/{order_no:str}/receipt",
    permission="orders:read",
    reads="personal",
    responses=documented(Receipts, OrderNotFound, ReceiptNotIssued, status=200),
)
async def read_receipt(order_no: FromPath[str], call: NamedDependency[Call]) -> Receipts:
    """查询电子票据. Read the receipts of an order: the payment's, and the red ones of its refunds."""
    return await call.read(lambda tx: queries.of_order(tx, order_no, scope=call.caller.scope))


@get(
    "/api/v1/orders/{order_no:str}/receipt.pdf",
    permission="orders:read",
    reads="personal",
    responses={
        **documented(Receipts, OrderNotFound, ReceiptNotIssued, LabelFontMissing, status=200),
        200: ResponseSpec(bytes, generate_examples=False, media_type=PDF, description="a PDF document"),
    },
)
async def draw_receipt(order_no: FromPath[str], call: NamedDependency[Call]) -> Response[bytes]:
    """下载电子票据版式文件. The issued receipts of an order as PDF."""
    found = await call.read(lambda tx: queries.issued(tx, call.vault, order_no, scope=call.caller.scope))
    return Response(
        drawing.pdf(found.receipts, found.slip),
        media_type=PDF,
        headers={"Content-Disposition": f'inline; filename="receipt-{order_no}.pdf"', "Cache-Control": "no-store"},
    )


ROUTES = [read_receipt, draw_receipt]
