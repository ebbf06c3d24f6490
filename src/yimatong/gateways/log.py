"""Log lines of the gateways (GWY-L)."""

from __future__ import annotations

import logging

from yimatong.kit.log import LogRef


class GatewayLog(LogRef):
    """Lines that the gateways write."""

    HL7_BLOCK_BROKEN = (
        "GWY-L001",
        logging.WARNING,
        "an MLLP connection sent something that is no block; it was closed",
    )
    HL7_NOT_ANSWERED = (
        "GWY-L002",
        logging.WARNING,
        "an HL7 v2 message could not be answered; the connection was closed",
    )
    HL7_NOT_ADMITTED = (
        "GWY-L004",
        logging.WARNING,
        "an MLLP connection was closed at once: no partner sends from there, or too many are open",
    )
    HL7_FAILED = ("GWY-L003", logging.ERROR, "an HL7 v2 message ended in an unexpected failure")
