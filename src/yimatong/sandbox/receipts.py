"""A simulated finance e-bill platform (财政电子票据管理平台), written from docs/spec/receipts.md.

It numbers receipts by form and year, once for each ``request_no``; a red one names its original and never exceeds what
is left of it. Anybody can check a receipt with code, number and check code at ``/receipts/check``, where the QR on
it leads. Questions are signed as the other parties' are (:mod:`yimatong.sandbox.signed`); ``/control/parties/receipts``
makes it misbehave, ``/control/receipts`` shows what was issued.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from msgspec import Meta

from yimatong.kit import clock
from yimatong.kit.clock import BEIJING, rfc3339
from yimatong.sandbox.signed import Wire, parties
from yimatong.sandbox.store import Store

PARTY = "receipts"
_PARTS = ("fund_fen", "account_fen", "own_fen", "other_fen")
Text = Annotated[str, Meta(min_length=1, max_length=400)]


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of a receipt."""

    name: Text
    quantity: int
    amount_fen: int


class Stay(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The stay of an inpatient receipt."""

    admission_no: Text
    department: Text
    admitted_at: datetime
    settled_at: datetime
    prepaid_fen: int
    due_fen: int
    back_fen: int


class AskReceipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a receipt is asked for."""

    institution_id: Text
    request_no: Annotated[str, Meta(min_length=8, max_length=64)]
    order_no: Text
    kind: Literal["blue", "red"]
    form: Literal["outpatient", "inpatient"]
    payer: Text
    insurance: Text
    lines: Annotated[list[Line], Meta(min_length=1, max_length=200)]
    amount_fen: int
    paid_fen: dict[str, int]
    at: datetime
    original_code: str = ""
    original_no: str = ""
    stay: Stay | None = None


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt in the platform's books."""

    institution_id: str
    request_no: str
    kind: str
    form: str = "outpatient"
    payer: str
    amount_fen: int
    digest: str
    receipt_code: str
    receipt_no: str
    check_code: str
    issued_at: datetime
    original_no: str = ""


class Told(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an answer."""

    code: str
    message: str = ""
    receipt: dict[str, str | int] | None = None


class _Refused(Exception):
    def __init__(self, *, code: str, message: str) -> None:
        super().__init__(message)
        self.told = Told(code=code, message=message)


class Finance:
    """The platform's books."""

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        self.store = store
        self.issued = store.table("receipts.issued", Issued)

    def issue(self, asked: AskReceipt, *, now: datetime) -> Issued:
        """Issue a receipt, or return the one of this request. Raises ``_Refused``."""
        key = f"{asked.institution_id}/{asked.request_no}"
        digest = hashlib.sha256(msgspec.json.encode(asked, order="sorted")).hexdigest()
        known = self.issued.get(key)
        if known is not None:
            if known.digest != digest:
                raise _Refused(code="NUMBER_USED", message="the request number was used for another receipt")
            return known
        _check(asked)
        if asked.kind == "red":
            self._require_original(asked)
        year = f"{now.astimezone(BEIJING):%y}"
        made = Issued(
            institution_id=asked.institution_id,
            request_no=asked.request_no,
            kind=asked.kind,
            form=asked.form,
            payer=asked.payer,
            amount_fen=asked.amount_fen,
            digest=digest,
            receipt_code=f"6106{'01' if asked.form == 'outpatient' else '02'}{year}",
            receipt_no=f"{len(self.issued) + 1:010d}",
            check_code="".join(secrets.choice("0123456789abcdef") for _ in range(6)),
            issued_at=now,
            original_no=asked.original_no,
        )
        self.issued.put(key, made)
        return made

    def _require_original(self, asked: AskReceipt) -> None:
        same = [each for each in self.issued if each.institution_id == asked.institution_id]
        numbers = (asked.original_code, asked.original_no)
        found = next(
            (each for each in same if (each.receipt_code, each.receipt_no) == numbers and each.kind == "blue"), None
        )
        if found is None:
            raise _Refused(code="NO_ORIGINAL", message="no such receipt to turn red")
        red = sum(each.amount_fen for each in same if each.kind == "red" and each.original_no == asked.original_no)
        if found.amount_fen + red + asked.amount_fen < 0:
            raise _Refused(code="TOO_MUCH", message="more than is left of the receipt")


def _check(asked: AskReceipt) -> None:
    sums = (sum(line.amount_fen for line in asked.lines), sum(asked.paid_fen.get(name, 0) for name in _PARTS))
    if set(sums) != {asked.amount_fen} or set(asked.paid_fen) - set(_PARTS):
        raise _Refused(code="BAD_REQUEST", message="lines or parts do not add up")
    if (asked.kind == "blue") != (asked.amount_fen > 0):
        raise _Refused(code="BAD_REQUEST", message="a blue receipt is positive, a red one negative")
    if (asked.form == "inpatient") != (asked.stay is not None):
        raise _Refused(code="BAD_REQUEST", message="an inpatient receipt names its stay, another one none")
    if asked.stay is not None and asked.kind == "blue":
        owed_fen = asked.stay.prepaid_fen + asked.stay.due_fen - asked.stay.back_fen
        if owed_fen != asked.amount_fen or asked.stay.settled_at < asked.stay.admitted_at:
            raise _Refused(code="BAD_REQUEST", message="deposits, the rest and what went back do not add up")


def of(request: Wire) -> Finance:
    """Return the platform of a request."""
    found: Finance = request.app.state.receipts
    return found


def _shown(made: Issued, base: str) -> dict[str, str | int]:
    query = f"code={made.receipt_code}&no={made.receipt_no}&check={made.check_code}"
    return {
        "request_no": made.request_no,
        "institution_id": made.institution_id,
        "amount_fen": made.amount_fen,
        "receipt_code": made.receipt_code,
        "receipt_no": made.receipt_no,
        "check_code": made.check_code,
        "issued_at": rfc3339(made.issued_at),
        "check_url": f"{base}/receipts/check?{query}",
    }


@post("/receipts/v1/receipts", status_code=200)
async def issue(request: Wire) -> Response[bytes]:
    """Issue a receipt; a refusal is signed like a success."""
    asked, nonce = await parties(request).receive(PARTY, request, AskReceipt)
    try:
        told = Told(code="OK", receipt=_shown(of(request).issue(asked, now=clock.now()), _base(request)))
    except _Refused as refused:
        told = refused.told
    await of(request).store.flush()
    return parties(request).answer(PARTY, nonce, told)


@get("/receipts/check")
async def check(
    request: Wire,
    code: Annotated[str, QueryParameter(max_length=20)],
    no: Annotated[str, QueryParameter(max_length=20)],
    checked: Annotated[str, QueryParameter(name="check", max_length=20)],
) -> dict[str, str | int]:
    """Say whether a receipt is genuine, to anybody who has its three numbers."""
    for each in of(request).issued:
        if (each.receipt_code, each.receipt_no, each.check_code) == (code, no, checked):
            return {"genuine": 1, "amount_fen": each.amount_fen, "issued_at": rfc3339(each.issued_at)}
    return {"genuine": 0}


@get("/control/receipts")
async def shown(request: Wire) -> list[Issued]:
    """Show every receipt."""
    return list(of(request).issued)


def _base(request: Wire) -> str:
    return str(request.base_url).rstrip("/")


HANDLERS: list[HTTPRouteHandler] = [issue, check]
CONTROL: list[HTTPRouteHandler] = [shown]
