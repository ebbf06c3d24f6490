"""What is called about payments: orders, the cashier, attempts, insurers' parts, agreements, two-in-one codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


class PaymentCalls(ABC):
    """These operations of the client; it makes the calls. Refunds, scanning and reading an order are in ``care``."""

    @abstractmethod
    def call(self, method: str, target: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Make one call and return the decoded answer."""

    def place_order(self, order: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Place an order (source_no, description, items, amount_fen); ``cashier_url`` in the answer opens once."""
        return self.call("POST", "/api/v1/orders", dict(order), idempotency_key=idempotency_key)

    def orders(self, *, source_no: str = "", state: str = "", limit: int = 20, cursor: str = "") -> Any:
        """Return a page of this institution's orders, newest first; ``next`` is the cursor of the next page."""
        asked = {"source_no": source_no, "state": state, "limit": limit, "cursor": cursor}
        given = {name: value for name, value in asked.items() if value not in ("", None)}
        return self.call("GET", f"/api/v1/orders?{urlencode(given)}")

    def make_cashier_link(self, order_no: str, *, idempotency_key: str | None = None) -> Any:
        """Return another one-time link to an order's cashier page."""
        return self.call("POST", f"/api/v1/orders/{order_no}/cashier-links", idempotency_key=idempotency_key)

    def cashier(self, order_no: str) -> Any:
        """Return what a cashier shows: lines, parts, until when, and by which channels and scenes it can be paid."""
        return self.call("GET", f"/api/v1/orders/{order_no}/cashier")

    def start_attempt(self, order_no: str, channel: str, scene: str, **more: str) -> Any:
        """Begin to pay; the same channel and scene again goes on with the open attempt.

        ``more``: client_ip, return_url, payer_id (jsapi), auth_code (barcode), part (``whole`` with the insurance).
        """
        body = {"channel": channel, "scene": scene, **more}
        return self.call("POST", f"/api/v1/orders/{order_no}/attempts", body)

    def refresh_order(self, order_no: str) -> Any:
        """Let the platform ask the channel now; return where the order stands."""
        return self.call("POST", f"/api/v1/orders/{order_no}/refresh")

    def take_back(self, order_no: str) -> Any:
        """Close or reverse what is under way, so that the order can be paid in another way."""
        return self.call("POST", f"/api/v1/orders/{order_no}/take-back")

    def close_order(self, order_no: str) -> Any:
        """Close an order that nobody is to pay any more; money that still comes goes back by itself."""
        return self.call("POST", f"/api/v1/orders/{order_no}/close")

    def presettle(self, order_no: str, channel: str, patient: Mapping[str, str], **shown: str) -> Any:
        """Ask an insurer what it pays of an order; nothing is settled, and asking again replaces what it said.

        ``patient``: name, id_type, id_number. ``shown``: credential (ecert, id, card, policy), credential_no, visit_no.
        """
        return self.call("POST", f"/api/v1/orders/{order_no}/legs", {"channel": channel, **patient, **shown})

    def legs(self, order_no: str) -> Any:
        """Return how an order is shared between insurers and the payer."""
        return self.call("GET", f"/api/v1/orders/{order_no}/legs")

    def drop_leg(self, order_no: str, part: str, *, idempotency_key: str | None = None) -> Any:
        """Leave an insurer out again: ``insurance`` or ``commercial``."""
        return self.call("POST", f"/api/v1/orders/{order_no}/legs/{part}/drop", idempotency_key=idempotency_key)

    def make_agreement(self, vuid: str, institution_id: str, channel: str, kind: str, **more: Any) -> Any:
        """Begin a ``password_free`` or ``bank_card`` agreement of a resident with a hospital.

        ``more``: single_limit_fen, daily_limit_fen, binding_id (of a bank card), return_url. The answer has the page
        to agree on (``redirect_url``) or where a code was sent (``challenge``).
        """
        body = {"vuid": vuid, "institution_id": institution_id, "channel": channel, "kind": kind, **more}
        return self.call("POST", "/api/v1/agreements", body)

    def agreements(self, vuid: str) -> Any:
        """List the agreements of an account, newest first."""
        return self.call("GET", f"/api/v1/agreements?{urlencode({'vuid': vuid})}")

    def confirm_agreement(self, agreement_id: str, answer: str) -> Any:
        """Hand in the code that the channel sent."""
        return self.call("POST", f"/api/v1/agreements/{agreement_id}/confirm", {"answer": answer})

    def refresh_agreement(self, agreement_id: str) -> Any:
        """Let the platform ask the channel now how an agreement stands."""
        return self.call("POST", f"/api/v1/agreements/{agreement_id}/refresh")

    def end_agreement(self, agreement_id: str) -> Any:
        """End an agreement; ending it again answers the same."""
        return self.call("POST", f"/api/v1/agreements/{agreement_id}/end")

    def pay_by_agreement(self, agreement_id: str, order_no: str, *, answer: str = "") -> Any:
        """Pay under an agreement or by a bound card (``bkc_...``).

        With codes by SMS call it twice: without ``answer`` the code is sent (``challenge``), with it the order is paid.
        """
        body = {"order_no": order_no, "answer": answer}
        return self.call("POST", f"/api/v1/agreements/{agreement_id}/pay", body)

    def two_in_one(self, vuid: str, *, binding_id: str = "", ttl_s: int = 60, image: str = "none") -> Any:
        """Issue a payment code with a bound bank card's token (二码合一); without ``binding_id`` the default card's."""
        body = {"vuid": vuid, "binding_id": binding_id, "ttl_s": ttl_s, "image": image}
        return self.call("POST", "/api/v1/codes/two-in-one", body)

    def receipts(self, order_no: str) -> Any:
        """Return the electronic receipts of an order: the payment's, and the red ones of its refunds."""
        return self.call("GET", f"/api/v1/orders/{order_no}/receipt")

    def deliveries(self, order_no: str) -> Any:
        """Return what was told of an order, try by try."""
        return self.call("GET", f"/api/v1/orders/{order_no}/deliveries")

    def replay_delivery(self, order_no: str, message_id: int, *, idempotency_key: str | None = None) -> Any:
        """Give a parked message another round of tries."""
        target = f"/api/v1/orders/{order_no}/deliveries/{message_id}/replay"
        return self.call("POST", target, idempotency_key=idempotency_key)

    def service_channels(self) -> Any:
        """List the service channels that this caller may name in its orders."""
        return self.call("GET", "/api/v1/service-channels")

    def channel_health(self) -> Any:
        """Return how this institution's merchant accounts answered in the last five minutes."""
        return self.call("GET", "/api/v1/channels/health")
