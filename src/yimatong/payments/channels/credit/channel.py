"""A credit scheme behind the port: a bank or the health commission's scheme pays for a resident who has signed.

No public standard that we found describes how such schemes are called, so the protocol is our own:
docs/spec/credit-payment.md. A scheme that speaks another one is adapted in a folder beside this one.
"""

from __future__ import annotations

from typing import Any

from yimatong.payments.channels.base import ChannelAccount, PaymentIntent
from yimatong.payments.channels.signed.channel import REFUSALS, SignedChannel


class CreditPayment(SignedChannel):
    """A guarantor. The resident is named by her ``agreement_no``, or by ``payer_id``, her number at the scheme."""

    name = "credit"
    noun = "payments"
    refusals = REFUSALS | {"NOT_SIGNED", "SUSPENDED", "OVER_LIMIT"}

    def question(self, account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
        """Return what is asked of the guarantor: the payment, and whose agreement it is."""
        return super().question(account, intent) | {
            "agreement_no": intent.agreement_no,
            "payer_id": intent.payer_id,
        }
