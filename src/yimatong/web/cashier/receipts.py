"""The electronic receipt (医疗电子票据) of what the session paid for, as PDF, where it is issued."""

from __future__ import annotations

from litestar import Response, get
from litestar.di import NamedDependency

from yimatong.access.caller import PLATFORM
from yimatong.kit.db import Connection
from yimatong.payments.errors import ReceiptNotIssued
from yimatong.payments.receipts import drawing, queries
from yimatong.web.cashier.standing import till_of
from yimatong.web.page import Page


@get("/cashier/receipt.pdf", session="cashier", permission="cashier:show", reads="personal", include_in_schema=False)
async def show_receipt(page: NamedDependency[Page]) -> Response[bytes]:
    """Show the issued receipts of the session's order.

    Raises:
        ReceiptNotIssued: none is issued, or the page is a kiosk's: names stand on it, and a hall looks on.
        LabelFontMissing: this server has no font that they can be drawn with.
    """
    till = till_of(page)
    if till.kiosk:
        raise ReceiptNotIssued
    found = await page.read(lambda tx: queries.issued(tx, page.vault, till.order_no, scope=PLATFORM))
    return Response(
        drawing.pdf(found.receipts, found.slip),
        media_type="application/pdf",
        headers={
            "Content-Disposition": f'inline; filename="receipt-{till.order_no}.pdf"',
            "Cache-Control": "no-store",
        },
    )


async def receipt_state(connection: Connection, order_no: str) -> str:
    """Return ``issued`` if the page has a receipt to show, ``asked`` if one is under way, else an empty text.

    ``slip``: it has the slip of a deposit, and no receipt before the stay is settled.
    """
    try:
        found = await queries.of_order(connection, order_no, scope=PLATFORM)
    except ReceiptNotIssued:
        return ""
    states = {each.state for each in found.receipts}
    return next((state for state in ("issued", "asked") if state in states), "slip" if found.deposit else "")


ROUTES = [show_receipt]
