"""Which parser reads the bills of which channel. A new channel is one module and one entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

from yimatong.reconciliation.bills import wechat, wechat_sql
from yimatong.reconciliation.bills.base import BillRow, Staging
from yimatong.reconciliation.errors import BillFormatUnknown


class BillFormat(msgspec.Struct, frozen=True, kw_only=True):
    """The two readers of one channel's bills, each taking ``content`` and ``merchant_id``.

    ``rows`` is the specification. ``staging`` is a faster way to the same rows, or None where ``rows`` must decide.
    """

    rows: Callable[[bytes, str], Iterator[BillRow]]
    staging: Callable[[bytes, str], Staging | None]


FORMATS: Final[Mapping[str, BillFormat]] = {
    "wechat": BillFormat(
        rows=lambda content, merchant_id: wechat.rows(content, merchant_id=merchant_id),
        staging=lambda content, merchant_id: wechat_sql.staging(content, merchant_id=merchant_id),
    ),
}


def bill_format(channel: str) -> BillFormat:
    """Return the readers of a channel's bills.

    Raises:
        BillFormatUnknown: this channel's bills cannot be read yet.
    """
    found = FORMATS.get(channel)
    if found is None:
        raise BillFormatUnknown(channel=channel)
    return found
