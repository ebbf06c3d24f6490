"""快捷支付: paying by a bound bank card. The code that the bank sends is typed here, and goes to the channel alone."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response, post
from litestar.di import NamedDependency

from yimatong.access.caller import PLATFORM
from yimatong.kit.db import Connection
from yimatong.kit.errors import OutcomeUnknown, Refusal, Unavailable
from yimatong.payments.agreements import service
from yimatong.payments.agreements.schemas import AgreementView, NewPayment
from yimatong.payments.errors import AgreementNotFound, LegPending, OrderNotPayable
from yimatong.web.cashier.showing import Look, desk_of, frame, look, show
from yimatong.web.cashier.standing import till_of
from yimatong.web.page import Page

_CODE: Final = re.compile(r"[0-9]{4,8}", re.ASCII)


@post("/cashier/quick", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def send_code(page: NamedDependency[Page]) -> Response[Any]:
    """Have the code sent to the card's phone, and ask for it; a channel that needs none is paid at once."""
    seen, agreement = await _chosen(page)
    await page.write(_nothing)
    return await _pay(page, seen, agreement, "")


@post("/cashier/quick/pay", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def pay_by_card(page: NamedDependency[Page]) -> Response[Any]:
    """Pay with the code that the payer has typed; what cannot be a code is asked for again."""
    seen, agreement = await _chosen(page)
    form = await page.request.form()
    answer = re.sub(r"\s", "", str(form.get("answer", "")))
    if not _CODE.fullmatch(answer):
        return _ask(page, seen, agreement, sent_to=str(form.get("sent_to", ""))[:40], wrong=True)
    await page.write(_nothing)
    return await _pay(page, seen, agreement, answer)


async def _pay(page: Page, seen: Look, agreement: AgreementView, answer: str) -> Response[Any]:
    """Pay; the first call has the code sent, and asks for it."""
    till = till_of(page)
    new = NewPayment(order_no=till.order_no, answer=answer)
    try:
        started = await service.pay(
            desk_of(page), agreement.agreement_id, new, scope=PLATFORM, at_counter=bool(till.kiosk), now=page.now
        )
    except (OutcomeUnknown, OrderNotPayable, LegPending):
        return page.go("/cashier")
    except (Refusal, Unavailable) as error:
        return show(page, await look(page), problem=error)
    if started.challenge and not answer:
        return _ask(page, seen, agreement, sent_to=started.challenge)
    return page.go("/cashier")


async def _chosen(page: Page) -> tuple[Look, AgreementView]:
    """Return the bound card that the form names; it must be one that this page offers.

    Raises:
        AgreementNotFound: it is not.
    """
    wanted = str((await page.request.form()).get("agreement_id", ""))
    seen = await look(page)
    found = [each for each in seen.quick if each.agreement_id == wanted]
    if not found:
        raise AgreementNotFound
    return seen, found[0]


def _ask(page: Page, seen: Look, agreement: AgreementView, *, sent_to: str, wrong: bool = False) -> Response[str]:
    return page.html(
        "cashier/code.html",
        status=422 if wrong else 200,
        **frame(page),
        order=seen.stand.order,
        agreement=agreement,
        sent_to=sent_to,
        wrong=wrong,
    )


async def _nothing(_tx: Connection) -> None:
    """Stand for the verb that runs outside this transaction; only its audit row is written in it."""


ROUTES = [send_code, pay_by_card]
