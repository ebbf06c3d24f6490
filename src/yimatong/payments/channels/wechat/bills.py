"""Fetching the files of a business day (申请交易账单, 申请资金账单, 下载账单) and checking their hash.

Both are asked for in a signed call whose signed answer names address, kind and value of the hash; the file itself is
not signed, its hash stands for it. The hash is over the text before compression.
"""

from __future__ import annotations

import hashlib
import zlib
from datetime import date, datetime
from urllib.parse import urlencode, urlsplit

from yimatong.payments.channels.base import BillKind, ChannelAccount
from yimatong.payments.channels.wechat import keys
from yimatong.payments.channels.wechat import transformers as wire
from yimatong.payments.channels.wechat.connection import SUCCESS, Connection, code_of, done, unknown
from yimatong.payments.errors import BillBroken, BillNotReady

BILL_BYTES_MAX = 1 << 30
_GZIP_MAGIC = b"\x1f\x8b"
_NO_BILL = frozenset({"NO_STATEMENT_EXIST", "STATEMENT_CREATING", "STATEMENT_CREATED_FAIL"})
_ASKED = {
    BillKind.TRADE: ("/v3/bill/tradebill", {"bill_type": "ALL"}),
    BillKind.FUNDS: ("/v3/bill/fundflowbill", {"account_type": "BASIC"}),
}


async def fetch(connection: Connection, account: ChannelAccount, day: date, kind: BillKind, *, now: datetime) -> bytes:
    """Return the plain text of a day's file.

    Raises:
        BillNotReady: not written yet, or nothing was paid.
        BillBroken: what came does not have the announced hash.
        ChannelBusy, ChannelRefused, PartyUnreachable, PartyOutcomeUnknown: see their classes.
    """
    path, more = _ASKED[kind]
    wanted = urlencode({"bill_date": day.isoformat()} | more | {"tar_type": "GZIP"})
    answer = await connection.call(account, "GET", f"{path}?{wanted}", now=now)
    if code_of(answer) in _NO_BILL:
        raise BillNotReady(day=day.isoformat(), audit=code_of(answer))
    try:
        place = wire.read(done(answer).body, wire.BillPlace)
        split = urlsplit(place.download_url)  # the host stays ours: a signed request goes nowhere else
    except (wire.Garbled, ValueError) as error:
        raise unknown(audit=f"bill: {error}") from error
    key_id = keys.current_key_id(account, now=now)
    target = f"{split.path}?{split.query}"
    download = await connection.send(account, "GET", target, b"", key_id=key_id, now=now)
    if download.status not in SUCCESS:
        raise BillBroken(detail=f"HTTP {download.status}")
    return plain(download.body, place)


def plain(body: bytes, place: wire.BillPlace) -> bytes:
    """Return the text of a downloaded file, unpacked if it is packed. Raises ``BillBroken`` for another hash."""
    text = body
    if body.startswith(_GZIP_MAGIC):
        inflate = zlib.decompressobj(wbits=31)
        try:
            text = inflate.decompress(body, BILL_BYTES_MAX)
        except zlib.error as error:
            raise BillBroken(detail=f"gzip: {error}") from error
        if not inflate.eof:
            raise BillBroken(detail=f"gzip: truncated, or more than {BILL_BYTES_MAX} bytes")
    if place.hash_type != "SHA1":
        raise BillBroken(detail=f"hash type {place.hash_type}")
    found = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    if found != place.hash_value.lower():
        raise BillBroken(detail=f"SHA1 {found}, announced {place.hash_value}")
    return text
