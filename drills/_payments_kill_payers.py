"""Payers of the payments kill drill: they pay order after order through outages, and keep what they were told.

The hospital's system places an order itself. Half of the payers use the cashier's page on a phone, half a code that
the hospital's system draws. Half of what was paid goes back in part. Everything is sent with a fixed idempotency key
until it is answered, so what is asked for once must be there once, however often processes die.
"""

from __future__ import annotations

import time
from typing import Any

import httpx
from _tellers import WRITES, Teller

from yimatong.cli.errors import StoryFailed
from yimatong.cli.story import Cast
from yimatong_sdk import ApiError

WRITES["/api/v1/orders"] = "order"  # an order that an institution places itself is an acknowledged write here
_PAUSE_S = 0.2
_PAID_ELSEWHERE = ("PAY-1003", "PAY-1004")
_REFUND_SHARE = 0.5


class Payer(Teller):
    """Tells one tale again and again: placed, paid, looked at, and half of the time given back in part."""

    def tell(self, cast: Cast, number: str) -> None:
        """Tell it once; numbers and keys end in ``number``."""
        amount_fen = 1_000 + self._random.randrange(90_000)
        self.stage = "placing"
        wanted = {
            "source_no": f"K{number}",
            "description": "门诊医疗费",
            "items": [{"name": "门诊医疗费", "amount_fen": amount_fen}],
            "amount_fen": amount_fen,
            "expires_in_s": 6 * 3600,
        }
        placed = cast.his.call("POST", "/api/v1/orders", wanted, idempotency_key=f"order-{number}")
        order_no = str(placed["order_no"])
        if self._random.random() < 0.5:
            paid = self._pay(cast, order_no, placed["cashier_url"])
        else:
            paid = self._pay_by_code(cast, order_no)
        self._told.keep("payment", order_no, {"order_no": order_no}, paid)
        if self._random.random() < _REFUND_SHARE:
            self.stage = "refund"
            self._ask_back(cast, order_no, number, amount_fen)
        self._await_arrivals(cast, until=time.monotonic())

    def _ask_back(self, cast: Cast, order_no: str, number: str, amount_fen: int) -> None:
        wanted = {
            "order_no": order_no,
            "request_no": f"R{number}",
            "amount_fen": 1 + self._random.randrange(amount_fen),
            "reason": "退诊察费",
        }
        asked = cast.his.create_refund(wanted, idempotency_key=f"refund-{number}")
        self._open_refunds[str(asked["refund_no"])] = wanted

    def _await_arrivals(self, cast: Cast, *, until: float) -> None:
        """Look once at three of the refunds on their way, however short the time; then as long as there is time."""
        for refund_no in list(self._open_refunds)[:3]:
            found = cast.his.read_refund(refund_no)
            if found["state"] == "succeeded":
                self._told.keep("arrival", refund_no, self._open_refunds.pop(refund_no), found)
        if time.monotonic() < until:
            super()._await_arrivals(cast, until=until)

    def _pay_by_code(self, cast: Cast, order_no: str) -> dict[str, Any]:
        """Draw a code, scan and pay it at WeChat Pay, and look until the order is paid; any step may be repeated."""
        while time.monotonic() < self._until:
            self.stage = "code"
            try:
                tried = cast.his.call(
                    "POST", f"/api/v1/orders/{order_no}/attempts", {"channel": "wechat", "scene": "native"}
                )
                cast.control("/control/wechat/pay", {"out_trade_no": tried["attempt_no"]})
            except ApiError as error:
                if error.code not in _PAID_ELSEWHERE and not error.retryable:
                    self._told.surprise(f"attempt of {order_no}: {error}")
            except httpx.HTTPError:  # paid already, or not placed yet: the order says which
                time.sleep(_PAUSE_S)
            self.stage = "waiting"
            paid = self._look(cast, order_no)
            if paid is not None:
                return paid
        raise StoryFailed(step=f"订单 {order_no}", detail="没有等到支付 (not paid in time)")
