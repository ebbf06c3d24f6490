"""Reconciliation files of the simulated UnionPay, and the differences that a test asks to plant in them.

A settlement date (清算日期) runs from 23:00 to 23:00. Its file is served after it was closed by the control port, or by
itself from 02:00 of the day after (the true hour is in no public source). Layout: ZM records of 42 fields of fixed
widths in bytes (GBK), a space between them, 607 bytes, CRLF. 交易代码 ``S22`` and ``S30``, and C and D (to and from the
merchant), are the simulator's reading.
"""

from __future__ import annotations

import base64
import io
import os
import random
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.unionpay.requests import parse_time
from yimatong.sandbox.unionpay.rows import ClosedDay, Merchant, Transaction, WireError
from yimatong.sandbox.unionpay.state import PAYMENT, UnionPay

KINDS = ("amount", "channel_only", "platform_only", "fee", "duplicate")
RATE_PER_MILLE = 6
_WIDTHS = (
    *(3, 11, 11, 6, 10, 19, 12, 4, 2, 21, 2, 32, 2, 6, 10, 13, 13, 4, 15, 2, 2, 6, 2, 4, 32, 1, 21, 15, 1, 15, 32),
    *(13, 13, 8, 32, 13, 13, 12, 2, 1, 32, 98),
)
_READY = timedelta(hours=2)
_DAYS_KEPT = 60


class Row:
    """A line of a file: a transaction, its amount and fee as they are shown."""

    def __init__(self, transaction: Transaction, *, amount_fen: int | None = None, fee_fen: int | None = None) -> None:
        """Show the true amount and fee unless told otherwise."""
        self.transaction = transaction
        self.amount_fen = transaction.amount_fen if amount_fen is None else amount_fen
        self.fee_fen = fee(self.amount_fen) if fee_fen is None else fee_fen


def fee(amount_fen: int) -> int:
    """Return the fee in fen: 0.6 %, half a fen up."""
    return (amount_fen * RATE_PER_MILLE + 500) // 1000


def close_day(
    unionpay: UnionPay, day: date, *, kinds: Sequence[str], count: int, seed: int, mer_id: str = ""
) -> ClosedDay:
    """Write the files of a settlement date with ``count`` planted differences of each kind; again replaces them.

    Raises:
        WireError: 10 for an unknown kind.
    """
    if set(kinds) - set(KINDS):
        raise WireError(code="10", detail=f"known kinds are {list(KINDS)}")
    name = f"{day:%Y%m%d}"
    chance = random.Random(f"{day}/{seed}")
    planted: list[dict[str, str]] = []
    written: list[str] = []
    for merchant in sorted(unionpay.merchants, key=lambda each: each.mer_id):
        if mer_id not in ("", merchant.mer_id):
            continue
        true = [
            each
            for each in unionpay.transactions
            if each.mer_id == merchant.mer_id and each.settle_date == name and each.state == "done"
        ]
        true.sort(key=lambda each: (each.trace_no, each.query_id))
        rows = _planted(true, kinds, count, chance, planted)
        if rows:
            _keep(_path(unionpay.store.directory, name, merchant.mer_id), rows)
            written.append(merchant.mer_id)
    known = unionpay.days.get(name)
    if known is not None and mer_id:
        written += [each for each in known.merchants if each != mer_id]
        planted += [each for each in known.planted if each["mer_id"] != mer_id]
    closed = ClosedDay(date=name, merchants=tuple(written), planted=planted)
    unionpay.days.put(name, closed)
    return closed


def packed(unionpay: UnionPay, merchant: Merchant, settle_date: str, *, now: datetime) -> tuple[str, str]:
    """Return file name and content (base64(zlib(zip))) of the last settlement date with this month and day.

    Raises:
        WireError: 98 when there is none, 10 for no date.
    """
    day = _latest(settle_date, unionpay.business_time(now))
    if day is None:
        raise WireError(code="10", detail="报文格式错误[settleDate]")
    name = f"{day:%Y%m%d}"
    closed = unionpay.days.get(name)
    ends = datetime(day.year, day.month, day.day, tzinfo=BEIJING) + timedelta(days=1)
    if closed is None and unionpay.business_time(now) >= ends + _READY:
        closed = close_day(unionpay, day, kinds=(), count=0, seed=0)
    if closed is None or merchant.mer_id not in closed.merchants:
        raise WireError(code="98")
    text = _path(unionpay.store.directory, name, merchant.mer_id).read_bytes()
    if unionpay.faults.strikes("broken_files"):
        text = text[: len(text) // 2 - 7]  # never between two records
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"INN{day:%y%m%d}88ZM_{merchant.mer_id}", text)
    return f"{merchant.mer_id}_{name}.zip", base64.b64encode(zlib.compress(archive.getvalue())).decode()


def record(row: Row) -> bytes:
    """Return the 607 bytes of a line."""
    made, paid = row.transaction, row.transaction.txn_type == PAYMENT
    done = made.done_at or made.created_at
    net = row.amount_fen - row.fee_fen
    facts: Mapping[int, str] = {
        1: "S22" if paid else "S30",
        2: "49360000   ",
        3: "00010000   ",
        4: made.trace_no,
        5: f"{done.astimezone(BEIJING):%m%d%H%M%S}",
        6: "621700******0000",
        7: f"{row.amount_fen:012d}",
        8: "8062",
        9: "07",
        10: made.query_id,
        12: made.order_id,
        13: "01",
        16: f"{'D' if paid else 'C'}{row.fee_fen:012d}",
        17: f"{'C' if paid else 'D'}{net:012d}",
        20: made.txn_type,
        21: made.sub_type,
        22: made.biz_type,
        27: made.orig_query_id,
        28: made.mer_id,
        33: f"{'C' if paid else 'D'}{net:012d}",
        35: made.req_reserved,
    }
    return b" ".join(_cell(facts.get(number, ""), width) for number, width in enumerate(_WIDTHS, 1))


def _cell(text: str, width: int) -> bytes:
    octets = text.encode("gbk", errors="replace")
    while len(octets) > width:
        text = text[:-1]
        octets = text.encode("gbk", errors="replace")
    return octets.ljust(width)


def _planted(
    true: list[Transaction], kinds: Sequence[str], count: int, chance: random.Random, planted: list[dict[str, str]]
) -> list[Row]:
    free = chance.sample(true, len(true))
    shown: dict[str, list[Row]] = {each.key: [Row(each)] for each in true}
    for kind in [kind for _ in range(count) for kind in kinds]:
        if not free:
            break
        about = free.pop()
        if kind == "amount":
            shown[about.key] = [Row(about, amount_fen=about.amount_fen + 1)]
        elif kind == "fee":
            shown[about.key] = [Row(about, fee_fen=fee(about.amount_fen) + 1)]
        elif kind == "duplicate":
            shown[about.key] = [Row(about), Row(about)]
        elif kind == "platform_only":
            shown[about.key] = []
        else:
            stranger = replace(about, order_id=f"X{about.order_id[1:]}", query_id=f"9{about.query_id[1:]}")
            shown[stranger.key] = [Row(stranger)]
            about = stranger
        planted.append(
            {
                "kind": kind,
                "mer_id": about.mer_id,
                "order_id": about.order_id,
                "query_id": about.query_id,
                "amount_fen": str(about.amount_fen),
            }
        )
    return [row for rows in shown.values() for row in rows]


def _latest(settle_date: str, moment: datetime) -> date | None:
    today = moment.astimezone(BEIJING).date()
    for year in (today.year + 1, today.year, today.year - 1):
        found = parse_time(f"{year}{settle_date}000000")
        if found is not None and found.date() <= today + timedelta(days=1):
            return found.date() if (today - found.date()).days <= _DAYS_KEPT else None
    return None


def _path(directory: Path, day: str, mer_id: str) -> Path:
    return directory / "bills" / f"unionpay-{day}-{mer_id}.zm"


def _keep(path: Path, rows: Sequence[Row]) -> None:
    path.parent.mkdir(exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(b"".join(record(row) + b"\r\n" for row in rows))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
