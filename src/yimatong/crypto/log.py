"""Log lines of the crypto room."""

from __future__ import annotations

import logging

from yimatong.kit.log import LogRef


class CryptoLog(LogRef):
    """What support staff see of the crypto machines."""

    DEVICE_LOST = ("CRY-L001", logging.WARNING, "crypto machine taken out and tried again in the background")
    DEVICE_BACK = ("CRY-L002", logging.INFO, "crypto machine in use")
    DEVICE_NOT_TAKEN = ("CRY-L003", logging.ERROR, "crypto machine answers but cannot be used")
    SIGNING_KEY_DIFFERS = (
        "CRY-L004",
        logging.WARNING,
        "crypto machine does not hold the signing key pair of the others",
    )
