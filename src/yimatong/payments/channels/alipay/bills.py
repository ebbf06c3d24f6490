"""What can be checked of a downloaded bill, which nobody signs: where it comes from, and that it is a whole zip. Pure.

Source: opendocs.alipay.com, alipay.data.dataservice.bill.downloadurl.query: a plain GET of a zip, the address holds for
30 s. The names in it begin with the merchant's number, ``0156`` and the day (``20880000000000010156_20261201_``).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from datetime import date
from typing import Final
from urllib.parse import SplitResult, urlsplit

from yimatong.payments.channels.base import BillKind
from yimatong.payments.errors import BillBroken

METHOD: Final = "alipay.data.dataservice.bill.downloadurl.query"
TYPES: Final = {BillKind.TRADE: "trade", BillKind.FUNDS: "signcustomer"}
NOT_YET: Final = frozenset({"isp.bill_not_exist", "BILL_NOT_EXIST", "isp.bill-not-exist"})
HOST: Final = "dwbillcenter.alipay.com"
PACKED_MAX: Final = 256 << 20
PLAIN_MAX: Final = 1 << 30
RATIO_MAX: Final = 200
"""Text packs to a tenth or so; DEFLATE's limit is about 1:1000."""
ENTRIES_MAX: Final = 16
_CHUNK: Final = 1 << 20


def checked_address(url: str, *, gateway_url: str, hosts: frozenset[str]) -> str:
    """Return the address if it is the gateway's own or https at one of ``hosts``.

    Raises:
        BillBroken: anything else, a user name in it included: our server fetches nothing from an address of choice.
    """
    try:
        wanted, gateway = urlsplit(url), urlsplit(gateway_url)
        same = _origin(wanted) == _origin(gateway)
        known = wanted.scheme == "https" and wanted.hostname in hosts and wanted.port in (None, 443)
    except ValueError as error:
        raise BillBroken(detail="download address") from error
    if "@" in wanted.netloc or not (same or known):
        raise BillBroken(detail=f"download address at {(wanted.hostname or '')[:64]}")
    return url


def checked_zip(packed: bytes, *, merchant_id: str, day: date) -> bytes:
    """Return ``packed`` when it is a whole zip of this merchant's and day's texts, every entry's CRC right.

    Raises:
        BillBroken: too large, packed too tightly, truncated, altered, or another merchant's or day's.
    """
    if len(packed) > PACKED_MAX:
        raise BillBroken(detail=f"zip: more than {PACKED_MAX} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = archive.infolist()
            if not 0 < len(entries) <= ENTRIES_MAX:
                raise BillBroken(detail=f"zip: {len(entries)} entries")
            limit = min(PLAIN_MAX, RATIO_MAX * len(packed))
            for entry in entries:
                _check_name(entry.filename, merchant_id=merchant_id, day=day)
                limit -= _length(archive, entry, limit=limit)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BillBroken(detail=f"zip: {error}"[:200]) from error
    return packed


def _check_name(name: str, *, merchant_id: str, day: date) -> None:
    """Judge the part of a name that is ASCII in every reading of it."""
    if not name.startswith(f"{merchant_id}0156_{day:%Y%m%d}_") or "/" in name or "\\" in name:
        raise BillBroken(detail="zip: another merchant's or day's file")


def _length(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, *, limit: int) -> int:
    """Return how many bytes an entry really has; reading to its end checks its CRC."""
    length = 0
    with archive.open(entry) as file:
        while chunk := file.read(_CHUNK):
            length += len(chunk)
            if length > limit:
                raise BillBroken(detail="zip: unpacks to more than it may")
    return length


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port
