"""Log catalogue of the care room (CARE-L)."""

from __future__ import annotations

import logging

from yimatong.kit.log import LogRef


class CareLog(LogRef):
    """Lines that the care room writes."""

    NO_WEBHOOK = ("CARE-L001", logging.INFO, "an institution without a webhook was not told; it reads its visits")
