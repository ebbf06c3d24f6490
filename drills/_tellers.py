"""Storytellers: they tell the demonstration's story again and again, through outages, and keep what they were told.

A tale is the one of ``ymt demo``: a resident is registered, shows a code, is seen at the window, gets a bill, pays at
the cashier on a phone, and gets a part back. Every write is sent with a fixed idempotency key until it is answered, as
an integrator does it; every answer that acknowledges something is kept, to be looked for afterwards.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

from yimatong.cli import story
from yimatong.cli.errors import StoryFailed
from yimatong.cli.story import Cast
from yimatong.kit.settings import Settings
from yimatong_sdk import AnswerNotGenuine, ApiError, Client, PlatformUnreachable

WRITES: Final = {
    "/api/v1/accounts": "account",
    "/api/v1/codes": "code",
    "/api/v1/codes/verify": "verification",
    "/api/v1/visits": "visit",
    "/api/v1/bills": "bill",
    "/api/v1/refunds": "refund",
}
_PAUSE_S: Final = 0.3
_LOOK_S: Final = 8.0
_ARRIVAL_S: Final = 4.0
"""How long a tale waits for its refund at most; an unanswered one is looked at again in the tales that follow."""
_UNEXPECTED: Final = 500
_CODE_EXPIRED: Final = "CRD-2003"


@dataclass(frozen=True)
class Acknowledged:
    """One operation that the platform said is done: what was wanted, under which key, and the answer."""

    kind: str
    key: str
    wanted: dict[str, Any]
    answer: dict[str, Any]


@dataclass
class Told:
    """What the storytellers asked for and were told; shared by their threads."""

    acknowledged: list[Acknowledged] = field(default_factory=list)
    asked: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """By kind and idempotency key: what was wanted, answered or not."""
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: int = 0
    surprises: list[str] = field(default_factory=list)
    tales: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, kind: str) -> list[Acknowledged]:
        """Return what was acknowledged of one kind."""
        return [each for each in self.acknowledged if each.kind == kind]

    def ask(self, kind: str, key: str, wanted: dict[str, Any]) -> None:
        """Note that something is about to be asked for."""
        with self.lock:
            self.asked.setdefault(kind, {})[key] = wanted

    def keep(self, kind: str, key: str, wanted: dict[str, Any], answer: dict[str, Any]) -> None:
        """Keep an acknowledgement."""
        with self.lock:
            self.acknowledged.append(Acknowledged(kind, key, wanted, answer))

    def surprise(self, text: str) -> None:
        """Note what must never happen."""
        with self.lock:
            self.surprises.append(text)


class Counting(httpx.HTTPTransport):
    """Counts the statuses of every answer, and the requests that got none."""

    def __init__(self, told: Told) -> None:
        """Count into ``told``."""
        super().__init__()
        self._told = told

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        try:
            answer = super().handle_request(request)
        except httpx.TransportError:
            with self._told.lock:
                self._told.unanswered += 1
            raise
        with self._told.lock:
            self._told.statuses[answer.status_code] += 1
        if answer.status_code == _UNEXPECTED:
            self._told.surprise(f"500: {request.method} {request.url.path} {answer.headers.get('ymt-request-id', '')}")
        return answer


class Witness(Client):
    """A caller that never gives up before ``until`` (monotonic seconds) and keeps what it was told."""

    def __init__(self, address: str, *, caller_id: str, secret_hex: str, told: Told, until: float) -> None:
        """Wait for answers no longer than ``until``."""
        super().__init__(address, caller_id=caller_id, secret_hex=secret_hex, retries=2, transport=Counting(told))
        self._told = told
        self._until = until

    def call(self, method: str, target: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Make one call, with the same key until it is answered."""
        key = idempotency_key or uuid.uuid4().hex
        kind = WRITES.get(target, "") if method == "POST" else ""
        if kind:
            self._told.ask(kind, key, body)
        while True:
            try:
                answer = super().call(method, target, body, idempotency_key=key)
                break
            except (PlatformUnreachable, AnswerNotGenuine, ApiError) as error:
                if isinstance(error, AnswerNotGenuine):
                    self._told.surprise(f"{method} {target}: {error}")
                if isinstance(error, ApiError) and not error.retryable and error.http_status != _UNEXPECTED:
                    raise
                if time.monotonic() > self._until:
                    raise
            time.sleep(_PAUSE_S)
        if kind:
            self._told.keep(kind, key, body, answer)
        return answer


class WitnessCast(Cast):
    """Everybody who plays, as witnesses."""

    def __init__(self, settings: Settings, told: Told, *, until: float) -> None:
        """Prepare the callers; errors as ``Cast``."""
        self._told = told
        self._until = until
        super().__init__(settings)

    def _client(self, address: str, caller_id: str) -> Client:
        return Witness(
            address, caller_id=caller_id, secret_hex=self._keys[caller_id], told=self._told, until=self._until
        )

    def browser(self) -> httpx.Client:
        """Return a phone's browser whose answers are counted."""
        plain = super().browser()
        headers, base_url = plain.headers, plain.base_url
        plain.close()
        return httpx.Client(
            base_url=base_url, headers=headers, follow_redirects=True, timeout=15, transport=Counting(self._told)
        )


class Teller(threading.Thread):
    """Tells tale after tale until ``enough`` is set, and ends the one that it is in.

    ``stage`` says where in a payment it is just now, empty outside: from the bill's order being placed until the money
    (and the part that goes back) has arrived.
    """

    def __init__(self, settings: Settings, told: Told, *, name: str, until: float, enough: threading.Event) -> None:
        """Nothing is told before ``start``."""
        super().__init__(name=name, daemon=True)
        self.stage = ""
        self._settings = settings
        self._told = told
        self._until = until
        self._enough = enough
        self._random = random.Random(name)
        self._open_refunds: dict[str, dict[str, Any]] = {}

    def run(self) -> None:
        """Tell."""
        cast = WitnessCast(self._settings, self._told, until=self._until)
        number = 0
        try:
            while not self._enough.is_set():
                number += 1
                self._tell_whole(cast, f"{self.name}.{number}")
            self.await_arrivals(cast)
        except (PlatformUnreachable, AnswerNotGenuine, ApiError) as error:
            self._told.surprise(f"{self.name} at its open refunds: {error!r}")
        finally:
            cast.close()

    def _tell_whole(self, cast: Cast, number: str) -> None:
        try:
            self.tell(cast, number)
            with self._told.lock:
                self._told.tales += 1
        except ApiError as error:
            if error.code != _CODE_EXPIRED:  # an outage may outlive a code; everything else is a finding
                self._told.surprise(f"tale {number} at {self.stage or 'the window'}: {error}")
        except (StoryFailed, PlatformUnreachable, AnswerNotGenuine, httpx.HTTPError) as error:
            self._told.surprise(f"tale {number} at {self.stage or 'the window'}: {error!r}")
        finally:
            self.stage = ""

    def tell(self, cast: Cast, number: str) -> None:
        """Tell one tale whose numbers and keys end in ``number``."""
        resident = story.facts(story.new_resident())
        account = cast.app.register_account(resident, real_name="police_online", idempotency_key=f"account-{number}")
        amount_fen = 6_000 + self._random.randrange(90_000)
        placed = story.register_visit_and_bill(cast, account["vuid"], number=number, total_fen=amount_fen)
        order_no = str(placed["order_no"])
        self.stage = "cashier"
        paid = self._pay(cast, order_no, placed["cashier_url"])
        self._told.keep("payment", order_no, {"order_no": order_no}, paid)
        self.stage = "refund"
        wanted = {
            "order_no": order_no,
            "request_no": f"R{number}",
            "amount_fen": 1 + self._random.randrange(amount_fen // 2),
            "reason": "退诊察费",
        }
        asked = cast.his.create_refund(wanted, idempotency_key=f"refund-{number}")
        self._open_refunds[str(asked["refund_no"])] = wanted
        self._await_arrivals(cast, until=time.monotonic() + self._random.uniform(0.0, _ARRIVAL_S))

    def await_arrivals(self, cast: Cast) -> None:
        """Wait for the refunds that are still on their way; one that does not come is a finding."""
        self._await_arrivals(cast, until=self._until)
        for refund_no in self._open_refunds:
            self._told.surprise(f"refund {refund_no} did not arrive")

    def _await_arrivals(self, cast: Cast, *, until: float) -> None:
        """Look at the refunds that were asked for until all have arrived, or ``until``."""
        while self._open_refunds and time.monotonic() < until:
            for refund_no, wanted in list(self._open_refunds.items()):
                found = cast.his.read_refund(refund_no)
                if found["state"] == "succeeded":
                    self._told.keep("arrival", refund_no, wanted, found)
                    del self._open_refunds[refund_no]
            time.sleep(_PAUSE_S)

    def _pay(self, cast: Cast, order_no: str, url: str) -> dict[str, Any]:
        """Pay as a person does who sees error pages: look whether it is paid, else ask for another link and try again.

        Raises:
            StoryFailed: not paid in time.
        """
        link = url
        while time.monotonic() < self._until:
            self.stage = "cashier"
            try:
                story.pay_at_cashier(cast, link)
            except (StoryFailed, httpx.HTTPError):
                time.sleep(_PAUSE_S)
            self.stage = "waiting"
            paid = self._look(cast, order_no)
            if paid is not None:
                return paid
            try:
                link = str(cast.his.call("POST", f"/api/v1/orders/{order_no}/cashier-links")["cashier_url"])
            except ApiError as error:
                if error.code != "PAY-1003":
                    raise
        raise StoryFailed(step=f"订单 {order_no}", detail="没有等到支付 (not paid in time)")

    def _look(self, cast: Cast, order_no: str) -> dict[str, Any] | None:
        until = time.monotonic() + self._random.uniform(1.0, _LOOK_S)
        while time.monotonic() < until:
            order: dict[str, Any] = cast.his.read_order(order_no)
            if order["state"] == "paid":
                return order
            time.sleep(0.15)
        return None
