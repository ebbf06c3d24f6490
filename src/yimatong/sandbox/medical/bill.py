"""The detail file of a day: ZIP of one UTF-8 text, cells parted by TAB, ``null`` for empty, a refund as a second row.

Both interfaces settle into one set of books, so both are in the file. A settlement reversed by 2601 is in none. The
names of the columns in the first line are this simulator's; the order of the first ten is that of the public copies.
"""

from __future__ import annotations

import io
import zipfile
from datetime import date, datetime, timedelta

from yimatong.kit.clock import BEIJING, day_bounds
from yimatong.kit.money import plain_yuan
from yimatong.sandbox.medical.rows import Institution, Settlement
from yimatong.sandbox.medical.state import Insurance

COLUMNS = (
    *("psn_no", "mdtrt_id", "setl_id", "msgid", "stmt_rslt", "refd_setl_flag", "memo", "setl_time"),
    *("medfee_sumamt", "fund_pay_sumamt", "acct_pay", "cash_payamt"),
)
_closed: set[date] = set()


def available_from(day: date) -> datetime:
    """Return when a day's file can be had by itself: 01:00 of the next day."""
    _, end = day_bounds(day)
    return end + timedelta(hours=1)


def close(day: date) -> None:
    """Let a day's file be had at once."""
    _closed.add(day)


def closed(_insurance: Insurance, day: date) -> bool:
    """Say whether a day's file can be had at once."""
    return day in _closed


def text(insurance: Insurance, institution: Institution, day: date) -> str:
    """Return the file's text."""
    start, end = day_bounds(day)
    rows = []
    for each in insurance.settlements:
        if each.fixmedins_code != institution.fixmedins_code or each.state == "reversed":
            continue
        if start <= each.settled_at < end:
            rows.append(_row(each, each.settled_at, memo=each.memo))
        if each.ended_at is not None and start <= each.ended_at < end and not _refunded(insurance, each):
            rows.append(_row(each, each.ended_at, memo=each.memo, back=True))
    for refund in insurance.refunds:
        order = insurance.orders.get(refund.pay_ord_id)
        if order is None or order.fixmedins_code != institution.fixmedins_code or refund.status != "SUCC":
            continue
        settlement = insurance.settlements.get(order.setl_id)
        if settlement is not None and start <= refund.at < end:
            amounts = (refund.fund_fen + refund.account_fen, refund.fund_fen, refund.account_fen, 0)
            rows.append(_line(settlement, refund.at, refund.app_refd_sn, amounts, back=True))
    return "\n".join(["\t".join(COLUMNS), *sorted(rows)]) + "\n"


def packed(insurance: Insurance, institution: Institution, day: date) -> bytes:
    """Return the file as it is downloaded."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(f"{institution.fixmedins_code}_{day:%Y%m%d}.txt", text(insurance, institution, day))
    return out.getvalue()


def _refunded(insurance: Insurance, settlement: Settlement) -> bool:
    """Say whether 6203 gave a settlement back: then each refund has its own row."""
    order = insurance.orders.get(settlement.msgid)
    return order is not None and any(each.status == "SUCC" for each in insurance.refunds_of(order))


def _row(settlement: Settlement, moment: datetime, *, memo: str, back: bool = False) -> str:
    division = settlement.division
    amounts = (division.total_fen, division.fund_fen, division.account_fen, division.own_fen)
    return _line(settlement, moment, memo, amounts, back=back)


def _line(
    settlement: Settlement, moment: datetime, memo: str, amounts: tuple[int, int, int, int], *, back: bool
) -> str:
    cells = [
        settlement.psn_no,
        settlement.mdtrt_id,
        settlement.setl_id,
        settlement.msgid,
        "null",
        "001" if back else "000",
        memo or "null",
        f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}",
        *(plain_yuan(-fen if back else fen) for fen in amounts),
    ]
    return "\t".join(cells)
