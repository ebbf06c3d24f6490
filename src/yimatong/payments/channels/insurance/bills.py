"""The detail file of 3202, fetched by 9102: out of its ZIP, its hash checked. Pure.

The file is a ZIP with one text: UTF-8, cells parted by TAB, ``null`` for empty, a refund as a second row with negative
amounts (public: open hospital systems that exchange it). That 3202 answers with the centre's own list without one of
ours beside it, the first line with the names of the columns, and ``file_sm3``, are this platform's with its simulator.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from yimatong.crypto.gm.sm3 import sm3
from yimatong.payments.channels.insurance.splits import needed, text_in
from yimatong.payments.errors import BillBroken

COLUMNS: Final = (
    *("psn_no", "mdtrt_id", "setl_id", "msgid", "stmt_rslt", "refd_setl_flag", "memo", "setl_time"),
    *("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "cash_payamt"),
)
"""``memo`` is our own number: of the attempt, or of the refund in a row of a refund."""

BYTES_MAX: Final = 1 << 30


def asking(day: date, institution: str) -> dict[str, Any]:
    """Return the content of 3202 for one day of one institution."""
    return {
        "data": {
            "fixmedins_code": institution,
            "stmt_begndate": day.isoformat(),
            "stmt_enddate": day.isoformat(),
            "clr_type": "11",
        }
    }


def fetching(told: Mapping[str, Any], institution: str) -> dict[str, Any]:
    """Return the content of 9102. Raises ``Garbled`` when 3202 named no file."""
    return {
        "fsDownloadIn": {
            "file_qury_no": needed(told, "file_qury_no"),
            "filename": needed(told, "filename"),
            "fixmedins_code": institution,
        }
    }


def opened(body: bytes, told: Mapping[str, Any]) -> bytes:
    """Return the text of a downloaded file. Raises ``BillBroken``."""
    announced = text_in(told, "file_sm3")
    if announced and sm3(body).hex() != announced.lower():
        raise BillBroken(detail=f"SM3 {sm3(body).hex()}, announced {announced[:64]}")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            inside = packed.infolist()
            if len(inside) != 1 or inside[0].file_size > BYTES_MAX:
                raise BillBroken(detail="zip: not one file of a bearable size")
            text = packed.read(inside[0])
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, RuntimeError, OSError) as error:
        raise BillBroken(detail=f"zip: {type(error).__name__}") from error
    head = text.split(b"\n", 1)[0].decode("utf-8", "replace").rstrip("\r").split("\t")
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise BillBroken(detail=f"columns missing: {', '.join(missing)}")
    return text
