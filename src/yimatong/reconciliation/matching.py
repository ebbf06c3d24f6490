"""What becomes of two rows that stand for one movement, and of a row without partner. Pure: words, a rule, SQL text.

Every input row of either side ends in exactly one class, and counts and fen of the classes add up to each side's
totals. ``compare`` is the rule; ``PAIR`` is the same rule in SQL, and a test holds the two together. Order is of no
account: rows are ranked by what they say, never by where they stood, and rows that tie say the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec
from msgspec.structs import replace

from yimatong.reconciliation.bills.base import REFUND

MATCHED: Final = "matched"
PLATFORM_ONLY: Final = "platform_only"
CHANNEL_ONLY: Final = "channel_only"
DUPLICATE: Final = "duplicate"
CROSS_DAY: Final = "cross_day"
CLASSES: Final = (MATCHED, "amount", "status", "fee", CHANNEL_ONLY, PLATFORM_ONLY, DUPLICATE, CROSS_DAY)
"""matched: both sides agree. amount, status, fee: both sides there, that differs (the first that does counts).
channel_only, platform_only: no partner, kept in the pool of the next run. duplicate: a further row of one number on
one side. cross_day: the partner lies on the neighbour's bill and agrees."""
DIFFERENCES: Final = tuple(name for name in CLASSES if name not in (MATCHED, CROSS_DAY))

FEE_TOLERANCE: Final = Decimal("0.005")
"""Channels round a fee to the fen or to five decimals: half a fen either way is no difference."""


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """A movement of money as one side tells it. ``fee_due``: what the channel's own rate gives (bills only)."""

    kind: str
    number: str
    channel_no: str
    amount_fen: int
    state: str
    at: datetime
    fee: Decimal | None = None
    fee_due: Decimal | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A row that is not simply matched. ``partner_day``: the bill day of the other side where it is another one."""

    klass: str
    kind: str
    number: str
    rank: int = 1
    platform: Movement | None = None
    bill: Movement | None = None
    bill_line: int | None = None
    partner_day: date | None = None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows and fen of each side are in one class, for one kind of movement."""

    klass: str
    kind: str
    platform_rows: int
    platform_fen: int
    bill_rows: int
    bill_fen: int


class Pooled(msgspec.Struct, frozen=True, kw_only=True):
    """A row without partner on a neighbouring day."""

    day: date
    finding: Finding


def compare(platform: Movement, bill: Movement) -> str:
    """Return the class of a pair: the amount decides first, then the state, then the fee.

    A bill's refund that was still on its way may have become anything since; only the platform's own word counts then.
    """
    if platform.amount_fen != bill.amount_fen:
        return "amount"
    if platform.state != bill.state and not (bill.kind == REFUND and bill.state == "processing"):
        return "status"
    if platform.fee is not None:
        return MATCHED if platform.fee == bill.fee else "fee"
    if bill.fee is not None and bill.fee_due is not None and abs(bill.fee - bill.fee_due) > FEE_TOLERANCE:
        return "fee"
    return MATCHED


PAIR: Final = f"""
CASE WHEN b.pos IS NULL THEN '{PLATFORM_ONLY}'
     WHEN p.pos IS NULL THEN '{CHANNEL_ONLY}'
     WHEN p.amount_fen <> b.amount_fen THEN 'amount'
     WHEN p.state <> b.state AND NOT (kind = '{REFUND}' AND b.state = 'processing') THEN 'status'
     WHEN p.fee IS NOT NULL THEN CASE WHEN p.fee = b.fee THEN '{MATCHED}' ELSE 'fee' END
     WHEN abs(b.fee - b.fee_due) > {FEE_TOLERANCE} THEN 'fee'
     ELSE '{MATCHED}' END"""

_RANK = """
CREATE TABLE {side}_again AS
SELECT s.pos, row_number() OVER (
    PARTITION BY kind, number
    ORDER BY EXISTS (SELECT 1 FROM {other} o
                     WHERE o.kind = s.kind AND o.number = s.number AND o.amount_fen = s.amount_fen) DESC,
             amount_fen, state, fee NULLS FIRST, fee_due NULLS FIRST, channel_no, moment, pos) AS rank
FROM {side} s SEMI JOIN (SELECT kind, number FROM {side} GROUP BY kind, number HAVING count(*) > 1) USING (kind, number)
"""
RANK: Final = (_RANK.format(side="platform", other="bill"), _RANK.format(side="bill", other="platform"))
"""Ranks only the numbers that stand more than once on a side, the row that fits the other side best first."""

MATCH: Final = f"""
CREATE TABLE found AS
WITH p AS (SELECT * FROM platform ANTI JOIN (FROM platform_again WHERE rank > 1) USING (pos)),
     b AS (SELECT * FROM bill ANTI JOIN (FROM bill_again WHERE rank > 1) USING (pos))
SELECT {PAIR} AS klass, kind, p.pos AS p_pos, b.pos AS b_pos, 1 AS rank,
       p.amount_fen AS p_fen, b.amount_fen AS b_fen
FROM p FULL JOIN b USING (kind, number)
UNION ALL
SELECT '{DUPLICATE}', kind, pos, NULL, rank, amount_fen, NULL
FROM platform JOIN platform_again USING (pos) WHERE rank > 1
UNION ALL
SELECT '{DUPLICATE}', kind, NULL, pos, rank, NULL, amount_fen
FROM bill JOIN bill_again USING (pos) WHERE rank > 1
"""  # noqa: S608 -- constants of this module

TALLY: Final = """
SELECT klass, kind, count(p_pos), coalesce(sum(p_fen), 0), count(b_pos), coalesce(sum(b_fen), 0)
FROM found GROUP BY klass, kind ORDER BY klass, kind
"""
TOTALS: Final = """
SELECT kind, count(*), coalesce(sum(amount_fen), 0) FROM {side} GROUP BY kind ORDER BY kind
"""
FINDINGS: Final = f"""
SELECT f.klass, f.kind, coalesce(p.number, b.number), f.rank,
       p.channel_no, p.amount_fen, p.state, p.moment, p.fee,
       b.channel_no, b.amount_fen, b.state, b.moment, b.fee, b.fee_due, b.pos
FROM (FROM found WHERE klass <> '{MATCHED}') f
LEFT JOIN platform p ON p.pos = f.p_pos LEFT JOIN bill b ON b.pos = f.b_pos
ORDER BY f.kind, 3, f.klass, f.rank, f.p_pos IS NULL
"""  # noqa: S608 -- constants of this module


def pair_neighbours(
    day: date, findings: Iterable[Finding], pool: Iterable[Pooled]
) -> tuple[list[Finding], list[Pooled]]:
    """Pair rows without partner of ``day`` with those of its neighbours.

    ``pool`` holds one-sided rows only. Returns both lists in full, each paired row with both sides, its partner's day
    and its class: ``cross_day`` where the two agree, else what differs. Each row is used once, the earlier day first.
    """
    waiting: dict[tuple[str, str, str], list[Pooled]] = {}
    for pooled in sorted(pool, key=lambda each: (each.day, each.finding.kind, each.finding.number)):
        key = (pooled.finding.klass, pooled.finding.kind, pooled.finding.number)
        waiting.setdefault(key, []).append(pooled)
    mine: list[Finding] = []
    theirs: list[Pooled] = []
    opposite = {PLATFORM_ONLY: CHANNEL_ONLY, CHANNEL_ONLY: PLATFORM_ONLY}
    for finding in findings:
        partners = waiting.get((opposite.get(finding.klass, ""), finding.kind, finding.number))
        if not partners:
            mine.append(finding)
            continue
        partner = partners.pop(0)
        platform = finding.platform or partner.finding.platform
        bill = finding.bill or partner.finding.bill
        if platform is None or bill is None:
            message = "two rows of one side were paired"
            raise AssertionError(message)
        klass = compare(platform, bill)
        both = {"klass": CROSS_DAY if klass == MATCHED else klass, "platform": platform, "bill": bill}
        mine.append(replace(finding, partner_day=partner.day, **both))
        theirs.append(Pooled(day=partner.day, finding=replace(partner.finding, partner_day=day, **both)))
    theirs.extend(pooled for left in waiting.values() for pooled in left)
    return mine, theirs
