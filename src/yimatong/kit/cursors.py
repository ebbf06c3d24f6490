"""Cursors of lists: where the next page begins, as a text that callers hand back as it is. Pure.

A cursor is the key of the last row that was shown: its moment, then texts.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from yimatong.kit.errors import InvalidInput

_BETWEEN = "\n"
"""Stands in none of the parts."""


def write(at: datetime, *texts: str) -> str:
    """Return the cursor of a row with this key; ``at`` is aware."""
    return base64.urlsafe_b64encode(_BETWEEN.join((at.isoformat(), *texts)).encode()).decode().rstrip("=")


def read(cursor: str, *, texts: int) -> tuple[datetime, *tuple[str, ...]]:
    """Return the moment and so many texts of a cursor.

    Raises:
        InvalidInput: not a cursor of ours.
    """
    try:
        at, *found = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode().split(_BETWEEN)
        moment = datetime.fromisoformat(at)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(detail="cursor") from error
    if moment.tzinfo is None or len(found) != texts or any("\0" in each for each in found):
        raise InvalidInput(detail="cursor")
    return moment, *found
