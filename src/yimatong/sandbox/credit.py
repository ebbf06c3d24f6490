"""A simulated credit scheme (先诊疗后付费), written from docs/spec/credit-payment.md.

It holds agreements with limits. A resident is named by her agreement or by her number at the scheme; who has not signed
is declined, unless the conditions say that newcomers are taken in.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Literal

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody
from msgspec.structs import replace

from yimatong.sandbox.settling import control, wire
from yimatong.sandbox.settling.books import Books
from yimatong.sandbox.settling.rows import Asked, Number, Payment
from yimatong.sandbox.settling.wire import Wire
from yimatong.sandbox.store import Store


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A signed agreement: its limit, and what is used of it, in fen."""

    agreement_no: Number
    payer_id: str
    limit_fen: int
    used_fen: int = 0
    state: Literal["signed", "suspended", "ended"] = "signed"


class AskCredit(Asked, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A payment, and whose agreement it is."""

    agreement_no: str = ""
    payer_id: str = ""


class Credit(Books):
    """The scheme's books."""

    name = "credit"

    def __init__(self, store: Store) -> None:
        """Take up the books where the journal left them."""
        super().__init__(store)
        self.lines = store.table("credit.lines", Line)

    def judge(self, asked: Asked, *, now: datetime) -> tuple[str, str, dict[str, int]]:  # noqa: ARG002 -- of the kind
        """Decline who has not signed, whose agreement rests, or who would be over the limit."""
        line = self._line(asked)
        if line is None or line.state == "ended":
            return "NOT_SIGNED", "", {}
        if line.state == "suspended":
            return "SUSPENDED", line.agreement_no, {}
        if line.used_fen + asked.amount_fen > line.limit_fen:
            return "OVER_LIMIT", line.agreement_no, {}
        return "", line.agreement_no, {}

    def moved(self, payment: Payment, fen: int) -> None:
        """Use up, or give back, a part of the limit."""
        line = self.lines.get(payment.payer)
        if line is not None:
            self.lines.put(line.agreement_no, replace(line, used_fen=line.used_fen + fen))

    def _line(self, asked: Asked) -> Line | None:
        if not isinstance(asked, AskCredit):
            return None
        if asked.agreement_no:
            return self.lines.get(asked.agreement_no)
        found = [line for line in self.lines if asked.payer_id and line.payer_id == asked.payer_id]
        if found or not asked.payer_id or not self.conditions.auto_fen:
            return found[0] if found else None
        number = f"CR{secrets.token_hex(8).upper()}"
        made = Line(agreement_no=number, payer_id=asked.payer_id, limit_fen=self.conditions.auto_fen)
        self.lines.put(number, made)
        return made


def of(request: Wire) -> Credit:
    """Return the scheme of a request."""
    found: Credit = request.app.state.credit
    return found


@post("/control/credit/lines", status_code=200)
async def sign(request: Wire, data: JSONBody[Line]) -> Line:
    """Sign an agreement, or change one."""
    of(request).lines.put(data.agreement_no, data)
    await of(request).store.flush()
    return data


@get("/control/credit/lines")
async def lines(request: Wire) -> list[Line]:
    """Show every agreement."""
    return list(of(request).lines)


HANDLERS: list[HTTPRouteHandler] = wire.handlers(of, prefix="/credit", noun="payments", question=AskCredit)
CONTROL: list[HTTPRouteHandler] = [sign, lines, *control.controls(of, name="credit")]
