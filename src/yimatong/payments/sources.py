"""What an order pays for, in one word (``source_kind``): said by whoever has it placed, read by payments and care."""

from __future__ import annotations

from typing import Final

DIRECT: Final = "direct"
"""An institution placed the order itself: no payer room is told."""
BILL: Final = "bill"
"""One bill of the care room."""
SEVERAL: Final = "bills"
"""Several bills; the order's lines carry their numbers (``source_no``)."""
DEPOSIT: Final = "deposit"
"""An inpatient's deposit (预交金): its money is the hospital's debt until the stay is settled."""
