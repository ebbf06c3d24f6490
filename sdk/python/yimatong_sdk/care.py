"""What is called about care and its payments: visits, stays, bills, payables, orders, refunds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any


class CareCalls(ABC):
    """These operations of the client; it makes the calls."""

    @abstractmethod
    def call(self, method: str, target: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """Make one call and return the decoded answer."""

    def register_visit(self, visit: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Register a visit of the resident whose code was verified here."""
        return self.call("POST", "/api/v1/visits", dict(visit), idempotency_key=idempotency_key)

    def admit(self, admission: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Register a stay in hospital of the resident whose code was verified here."""
        return self.call("POST", "/api/v1/admissions", dict(admission), idempotency_key=idempotency_key)

    def ask_deposit(self, admission_no: str, deposit: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Ask for a deposit of a stay (bill_no, amount_fen); returns the order and the cashier's address."""
        target = f"/api/v1/admissions/{admission_no}/deposits"
        return self.call("POST", target, dict(deposit), idempotency_key=idempotency_key)

    def settle_stay(self, admission_no: str, settlement: Mapping[str, Any]) -> Any:
        """Settle a stay (settlement_no, total_fen); the same again answers the same and moves nothing twice."""
        return self.call("POST", f"/api/v1/admissions/{admission_no}/settlement", dict(settlement))

    def read_stay(self, admission_no: str) -> Any:
        """Return a stay with its deposits, what went back of them, and its settlement."""
        return self.call("GET", f"/api/v1/admissions/{admission_no}")

    def create_bill(self, bill: Mapping[str, Any], *, idempotency_key: str | None = None) -> Any:
        """Ask for payment of a visit's bill; returns the order and the cashier's address."""
        return self.call("POST", "/api/v1/bills", dict(bill), idempotency_key=idempotency_key)

    def payables(self, vuid: str, *, limit: int = 20, cursor: str = "") -> Any:
        """Return a page of what a resident has to pay, in an app also for whom she cares; ``next`` is the cursor."""
        target = f"/api/v1/payables?vuid={vuid}&limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        return self.call("GET", target)

    def pay_bills(self, institution_id: str, bills: Sequence[str], *, payer_vuid: str, **where: str) -> Any:
        """Make one order for bills of one hospital; ``dropped`` in the answer were paid before.

        ``where``: service_channel_id, terminal_no, proof, return_url.
        """
        body = {"institution_id": institution_id, "bills": list(bills), "payer_vuid": payer_vuid, **where}
        return self.call("POST", "/api/v1/payables/orders", body)

    def resolve_prescription(self, code: str, *, vuid: str = "") -> Any:
        """Tell what a printed prescription code is for; an app names its payer's account and may pay from then on."""
        return self.call("POST", "/api/v1/prescription-codes/resolve", {"code": code, "vuid": vuid})

    def scan_to_pay(self, order_no: str, text: str, *, idempotency_key: str | None = None) -> Any:
        """Pay an order with the text that a window's scanner read: a payment code, or a health-card code.

        Called again it carries a new key: give the same one to be sure that a code is used once.
        """
        return self.call("POST", f"/api/v1/orders/{order_no}/scan", {"text": text}, idempotency_key=idempotency_key)

    def read_order(self, order_no: str) -> Any:
        """Return a payment order of this institution."""
        return self.call("GET", f"/api/v1/orders/{order_no}")

    def create_refund(
        self,
        refund: Mapping[str, Any],
        *,
        items: Sequence[Mapping[str, int]] = (),
        parts: Sequence[Mapping[str, Any]] = (),
        idempotency_key: str | None = None,
    ) -> Any:
        """Ask for a refund of a paid order.

        ``items``: which lines it is for (``line`` from 1, ``amount_fen``), needed where one order pays several bills;
        ``parts``: what comes from which part (``part``, ``amount_fen``, ``components``).
        """
        body = dict(refund) | {
            name: [dict(each) for each in given] for name, given in (("items", items), ("parts", parts)) if given
        }
        return self.call("POST", "/api/v1/refunds", body, idempotency_key=idempotency_key)

    def read_refund(self, refund_no: str) -> Any:
        """Return a refund of this institution."""
        return self.call("GET", f"/api/v1/refunds/{refund_no}")
