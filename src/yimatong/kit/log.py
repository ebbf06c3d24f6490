"""Structured log: every line is an entry of a catalogue (code, level, fixed message) with facts beside it.

Support staff search by the code; personal data cannot slip in through a formatted text, and ``Personal`` facts are
masked by their type. One JSON object a line on standard error.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from enum import Enum
from typing import Any

import structlog

from yimatong.kit.masking import masked

_logger: structlog.stdlib.BoundLogger = structlog.get_logger()


class LogRef(Enum):
    """Base of the catalogues. A room subclasses it; each member is ``(code, level, message)``."""

    @property
    def code(self) -> str:
        """Return the stable code, e.g. ``KIT-L001``."""
        return str(self.value[0])

    def emit(self, **facts: object) -> None:
        """Write the line with its facts."""
        code, level, message = self.value
        _logger.log(level, message, code=code, ref=self.name, **facts)


class KitLog(LogRef):
    """Lines that the kit itself writes."""

    STARTED = ("KIT-L001", logging.INFO, "process started")
    STOPPED = ("KIT-L002", logging.INFO, "process stopped")
    REQUEST_FAILED = ("KIT-L003", logging.ERROR, "request ended in an unexpected failure")
    LOOP_FAILED = ("KIT-L004", logging.ERROR, "background loop failed and is tried again")
    DELIVERY_FAILED = ("KIT-L005", logging.WARNING, "outbox delivery failed and is tried again")
    DELIVERY_PARKED = ("KIT-L006", logging.ERROR, "outbox message parked after its last try")
    JOB_DONE = ("KIT-L008", logging.INFO, "scheduled job done")
    DATABASE_AWAY = ("KIT-L007", logging.WARNING, "database unavailable")


def _mask(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {key: masked(value) for key, value in event.items()}


def set_up(*, process: str, level: int = logging.INFO) -> None:
    """Send the log of this process to standard error as JSON lines; called once by each process."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _mask,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Asked at every line: whoever replaces standard error, and closes his own later, does not take the log along.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(process=process)
