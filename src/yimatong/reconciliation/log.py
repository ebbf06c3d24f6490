"""Log catalogue of the reconciliation room."""

from __future__ import annotations

import logging

from yimatong.kit.log import LogRef


class ReconciliationLog(LogRef):
    """Lines about runs; numbers only, never a row of a bill."""

    DONE = ("REC-L001", logging.INFO, "business day reconciled")
    FAILED = ("REC-L002", logging.WARNING, "business day could not be reconciled")
