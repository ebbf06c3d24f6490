"""What ``payments-fuzz`` breaks of credit payment."""

from __future__ import annotations

import _fuzzsigned
from _fuzz import Target

from yimatong.payments.channels.credit.channel import CreditPayment


def targets() -> list[Target]:
    """Return every way in."""
    return _fuzzsigned.targets(CreditPayment(None, ""))  # type: ignore[arg-type]
