"""Log catalogue of the payments room (PAY-L)."""

from __future__ import annotations

import logging

from yimatong.kit.log import LogRef


class PaymentsLog(LogRef):
    """Lines that the payments room writes."""

    MISMATCH = ("PAY-L001", logging.ERROR, "what a channel says does not fit our books; nothing was applied")
    LATE_MONEY = ("PAY-L002", logging.WARNING, "late money went to suspense and is returned")
    CHANNEL_SILENT = ("PAY-L003", logging.WARNING, "a channel did not answer; it is asked again")
    FOLLOW_UP_FAILED = ("PAY-L004", logging.ERROR, "following up failed and is tried again")
    NOTICE_REFUSED = ("PAY-L005", logging.WARNING, "a payment notice was refused")
    NO_WEBHOOK = ("PAY-L007", logging.INFO, "an institution without a webhook was not told; it reads its orders")
    REFUND_STUCK = ("PAY-L006", logging.ERROR, "a refund did not reach its payer; a person must act")
    CHANNEL_MOOD = (
        "PAY-L020",
        logging.WARNING,
        "a merchant account's channel changed between answering and not answering",
    )
