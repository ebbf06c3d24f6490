"""The verb of a window that scans a code to have an order paid.

A channel's payment code goes to that channel. A health-card code is verified and used up first, for the purpose of
payment alone: a two-in-one code pays with the token that it carries, which its provider checks; a plain payment code
pays under the resident's password-free agreement with this hospital, within its limits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from yimatong.access.caller import Scope
from yimatong.cards.codes.schemas import VerifiedCode
from yimatong.payments.agreements import limits
from yimatong.payments.agreements import queries as agreements
from yimatong.payments.cashier import queries as cashier_queries
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt, StartedAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.desk import Desk
from yimatong.payments.errors import ScannedCannotPay
from yimatong.payments.orders import queries as orders
from yimatong.payments.scanning.schemas import ScannedPayment
from yimatong.payments.two_in_one import service as two_in_one

_TOKEN_FIELDS: Final = 3


async def pay_by_channel(
    desk: Desk, order_no: str, channel: str, text: str, *, scope: Scope, now: datetime
) -> ScannedPayment:
    """Pay with a channel's own payment code; errors as ``cashier.start_attempt``."""
    wanted = NewAttempt(channel=channel, scene=Scene.BARCODE, auth_code=text.strip("\r\n\t "))
    started = await cashier.start_attempt(desk, order_no, wanted, scope=scope, at_counter=True, now=now)
    return await _paid(desk, order_no, started, channel, "payment_code", scope=scope)


async def pay_by_card(
    desk: Desk, order_no: str, verified: VerifiedCode, text: str, *, scope: Scope, now: datetime
) -> ScannedPayment:
    """Pay with a verified health-card code.

    Raises:
        ScannedCannotPay: the resident agreed to no payment by her code here. TokenRefused: the provider declined.
        PayerNotProven, AgreementLimitExceeded, and as for ``cashier.start_attempt``.
    """
    fields = text.strip("\r\n\t ").replace("：", ":").split(":", _TOKEN_FIELDS)
    if len(fields) > _TOKEN_FIELDS:
        channel, token = await two_in_one.check(desk, fields[_TOKEN_FIELDS], now=now)
        wanted = NewAttempt(channel=channel, scene=Scene.BARCODE, auth_code=token)
        started = await cashier.start_attempt(desk, order_no, wanted, scope=scope, at_counter=True, now=now)
        return await _paid(desk, order_no, started, channel, "two_in_one", scope=scope)
    async with desk.db.read() as connection:
        held = await orders.row_of(connection, order_no, scope=scope)
        row = await agreements.usable(connection, verified.vuid, held.institution_id)
    if row is None:
        raise ScannedCannotPay
    started = await cashier.start_attempt(
        desk,
        order_no,
        NewAttempt(channel=row.channel, scene=Scene.AGREEMENT),
        scope=scope,
        at_counter=True,
        extra=limits.admission(desk.vault, row.agreement_id, now=now),
        now=now,
    )
    return await _paid(desk, order_no, started, row.channel, "agreement", scope=scope)


async def _paid(
    desk: Desk, order_no: str, started: StartedAttempt, channel: str, by: str, *, scope: Scope
) -> ScannedPayment:
    async with desk.db.read() as connection:
        stands = await cashier_queries.status(connection, order_no, scope=scope)
    return ScannedPayment(order_no=order_no, attempt_no=started.attempt_no, channel=channel, by=by, state=stands.state)
