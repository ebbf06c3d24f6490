"""Insurers in the cashier: ask what they pay of the bill, and leave them out again.

Whose bill it is the index knows, where the order names the patient; else the page asks for name and certificate. What
is typed goes to the insurer and is not kept.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency

from yimatong.access.caller import PLATFORM
from yimatong.cards.accounts import queries as accounts
from yimatong.cards.errors import AccountNotFound
from yimatong.kit.db import Connection
from yimatong.kit.errors import OutcomeUnknown, PlatformError, Refusal, Unavailable
from yimatong.payments.cashier import queries as cashier
from yimatong.payments.channels.base import Part
from yimatong.payments.legs import service
from yimatong.payments.legs.schemas import NewLeg
from yimatong.standards.codes import CERTIFICATE_TYPES
from yimatong.web.cashier.showing import Look, desk_of, frame, insurers, look, show
from yimatong.web.cashier.standing import till_of
from yimatong.web.errors import FilterInvalid
from yimatong.web.page import Page

_SHOWS: Final = {"insurance": "id", "ncms": "card", "commercial": "policy"}
"""By what somebody shows that she is insured: her certificate, the card of the cooperative scheme, a policy."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Whose insurance is asked."""

    name: str
    id_type: str
    id_number: str


@get("/cashier/insurance", session="cashier", permission="cashier:show", include_in_schema=False)
async def ask_whose(page: NamedDependency[Page]) -> Response[Any]:
    """Ask for what is needed: name and certificate of a patient whom nobody named, the number of a policy."""
    seen = await look(page)
    channel = page.request.query_params.get("channel", "")
    if channel not in insurers(seen.stand):
        return page.go("/cashier")
    return _ask(page, seen, channel)


@post("/cashier/insurance", session="cashier", permission="cashier:pay", reads="personal", status_code=200,
      include_in_schema=False)  # fmt: skip
async def presettle(page: NamedDependency[Page]) -> Response[Any]:
    """Ask the insurer what it pays, and share the order so."""
    form = await page.request.form()
    channel, till = str(form.get("channel", "")), till_of(page)
    holder = await page.write(lambda tx: _known(tx, page)) or _stated(form)
    try:
        wanted = msgspec.convert(
            msgspec.to_builtins(holder)
            | {
                "channel": channel,
                "credential": _SHOWS.get(channel, "id"),
                "credential_no": str(form.get("credential_no", "")).strip(),
            },
            NewLeg,
        )
    except msgspec.ValidationError:
        return _ask(page, await look(page), channel, problem=FilterInvalid(detail=page.text("cashier.whose.short")))
    try:
        await service.presettle(
            desk_of(page), till.order_no, wanted, scope=PLATFORM, at_counter=bool(till.kiosk), now=page.now
        )
    except (Refusal, Unavailable, OutcomeUnknown) as error:
        return show(page, await look(page), problem=error)
    return page.go("/cashier")


@post("/cashier/insurance/drop", session="cashier", permission="cashier:pay", status_code=200, include_in_schema=False)
async def drop(page: NamedDependency[Page]) -> Response[Any]:
    """Leave an insurer out again: the payer pays all by herself."""
    part = str((await page.request.form()).get("part", ""))
    if part not in {Part.INSURANCE, Part.COMMERCIAL}:
        raise FilterInvalid(detail="part")
    try:
        await page.write(lambda tx: service.drop(tx, till_of(page).order_no, part, scope=PLATFORM, now=page.now))
    except (Refusal, Unavailable) as error:
        return show(page, await look(page), problem=error)
    return page.go("/cashier")


async def _known(tx: Connection, page: Page) -> Holder | None:
    """Return the patient's certificate facts as the index has them, None where nobody named her."""
    patient, _ = await cashier.whose(tx, till_of(page).order_no)
    if patient is None:
        return None
    try:
        card = await accounts.card_view(tx, page.vault, patient)
    except AccountNotFound:
        return None
    return Holder(name=str.__str__(card.name), id_type=card.id_type, id_number=str.__str__(card.id_number))


def _stated(form: Any) -> Holder:
    return Holder(
        name=str(form.get("name", "")).strip(),
        id_type=str(form.get("id_type", "01")),
        id_number=str(form.get("id_number", "")).strip().upper(),
    )


def _ask(page: Page, seen: Look, channel: str, *, problem: PlatformError | None = None) -> Response[str]:
    return page.html(
        "cashier/insurance.html",
        status=problem.status if problem else 200,
        **frame(page),
        order=seen.stand.order,
        channel=channel,
        known=seen.known,
        policy=_SHOWS.get(channel, "id") != "id",
        certificates={code: getattr(kind, page.language) for code, kind in CERTIFICATE_TYPES.items()},
        problem=problem.text(page.language) if problem else "",
    )


ROUTES = [ask_whose, presettle, drop]
