"""12-14: the bills of the simulated WeChat Pay against our movements, through the code that reconciles.

Every seed: each merchant's bill of each day is written from the simulator's books, fetched by the adapter over the
drill's network (with fault 18: absent, cut, altered on the way, a row twice, a column more, bytes that are no text),
read by the real parser, compared pair by pair with ``reconciliation.matching.compare`` and across midnight with
``pair_neighbours``. Joining the two sides of a day is done here in a compact way, since starting DuckDB takes longer
than a whole seed; a ``deep`` seed runs the real engine on the same days too, forwards and shuffled, and holds the two
together.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date
from random import Random
from typing import Final

from _payments_books import Books
from _payments_cast import HOSPITALS, merchant_id
from _payments_invariants import Break
from _payments_world import World

from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.errors import PlatformError
from yimatong.payments.queries import day_movements
from yimatong.reconciliation import engine
from yimatong.reconciliation.bills.registry import bill_format
from yimatong.reconciliation.matching import (
    CHANNEL_ONLY,
    CROSS_DAY,
    DUPLICATE,
    MATCHED,
    PLATFORM_ONLY,
    Finding,
    Movement,
    Pooled,
    compare,
    pair_neighbours,
)
from yimatong.sandbox.wechat import bill as writer

_SPOILT: Final = ("absent", "cut", "altered", "twice", "column", "junk")
Joined = tuple[Counter[tuple[str, str]], list[Finding]]
"""Rows by class and side, and what is not simply matched."""


async def find(world: World, books: Books, *, deep: bool) -> list[Break]:
    """Reconcile every merchant's every day and return what cannot be explained."""
    breaks: list[Break] = []
    for hospital in HOSPITALS:
        desk = _Desk(world, hospital)
        pool: list[Pooled] = []
        for day in desk.days(books):
            platform = await desk.platform(day)
            bill = await desk.bill(day)
            joined = join(platform, bill)
            breaks += _partition(joined, platform, bill, day)
            if deep:
                breaks += await desk.deep(day, platform, joined)
            mine, theirs = pair_neighbours(day, joined[1], [each for each in pool if _one_sided(each.finding)])
            paired = {(each.day, each.finding.kind, each.finding.number): each for each in theirs}
            pool = [paired.get((each.day, each.finding.kind, each.finding.number), each) for each in pool]
            pool += [Pooled(day=day, finding=finding) for finding in mine]
        breaks += _explained(pool)
        world.chance.struck[19] += sum(each.finding.klass == CROSS_DAY for each in pool)
        breaks += await desk.spoilt(books)
    return breaks


def join(platform: Sequence[Movement], bill: Sequence[Movement]) -> Joined:
    """Join two sides of a day by kind and number: every row ends in exactly one class."""
    counts: Counter[tuple[str, str]] = Counter()
    findings: list[Finding] = []
    sides: dict[tuple[str, str], tuple[list[Movement], list[Movement]]] = defaultdict(lambda: ([], []))
    for row in platform:
        sides[row.kind, row.number][0].append(row)
    for row in bill:
        sides[row.kind, row.number][1].append(row)
    for (kind, number), (ours, theirs) in sorted(sides.items()):
        mine, other = (ours or [None])[0], (theirs or [None])[0]
        klass = PLATFORM_ONLY if other is None else CHANNEL_ONLY if mine is None else compare(mine, other)
        counts[klass, "platform"] += mine is not None
        counts[klass, "bill"] += other is not None
        if klass != MATCHED:
            findings.append(Finding(klass=klass, kind=kind, number=number, platform=mine, bill=other))
        for rank, row in enumerate(ours[1:], 2):
            counts[DUPLICATE, "platform"] += 1
            findings.append(Finding(klass=DUPLICATE, kind=kind, number=number, rank=rank, platform=row))
        for rank, row in enumerate(theirs[1:], 2):
            counts[DUPLICATE, "bill"] += 1
            findings.append(Finding(klass=DUPLICATE, kind=kind, number=number, rank=rank, bill=row))
    return +counts, findings


def _partition(joined: Joined, platform: Sequence[Movement], bill: Sequence[Movement], day: date) -> list[Break]:
    """13: the classes of a day hold each row of each side once."""
    for side, rows in (("platform", platform), ("bill", bill)):
        held = sum(number for (_, other), number in joined[0].items() if other == side)
        if held != len(rows):
            return [(13, f"{day}: {held} of {len(rows)} rows of {side} are in a class")]
    return []


def _one_sided(finding: Finding) -> bool:
    return finding.klass in (PLATFORM_ONLY, CHANNEL_ONLY)


def _explained(pool: Sequence[Pooled]) -> list[Break]:
    """12: what is not matched on its day is matched with its neighbour, once; nothing else is left."""
    left = [each for each in pool if each.finding.klass != CROSS_DAY]
    breaks = [
        (12, f"{each.day} {each.finding.number} is {each.finding.klass}: {each.finding.platform} {each.finding.bill}")
        for each in left
    ]
    sides = Counter(
        (each.finding.kind, each.finding.number, each.day) for each in pool if each.finding.klass == CROSS_DAY
    )
    return breaks + [(14, f"{key} was matched {number} times") for key, number in sides.items() if number > 1]


class _Desk:
    """One hospital's merchant at WeChat Pay."""

    def __init__(self, world: World, hospital: str) -> None:
        self._world = world
        self._hospital = hospital
        self._mchid = merchant_id(hospital)
        self._orders = [each for each in world.wechat.books.orders if each.mchid == self._mchid]
        self._refunds = [each for each in world.wechat.books.refunds if each.mchid == self._mchid]
        self._form = bill_format("wechat")
        self._account = world.cast.account(hospital, "wechat", world.turns[hospital, "wechat"])

    def days(self, books: Books) -> list[date]:
        """Return the days on which money moved on either side."""
        moments = [each.paid_at for each in self._orders if each.paid_at is not None]
        moments += [each.created_at for each in self._refunds]
        own = f"wechat-{self._hospital}"
        moments += [row.paid_at for row in books.rows["attempts"] if row.account_id == own and row.paid_at]
        moments += [row.accepted_at for row in books.rows["refunds"] if row.account_id == own and row.accepted_at]
        return sorted({business_date(each) for each in moments})

    def _text(self, day: date) -> bytes:
        rows = writer.rows_of(day, self._orders, self._refunds)
        return writer.render(rows, "ALL").encode() if rows else b""

    async def platform(self, day: date) -> list[Movement]:
        """Return our movements of a day, as reconciliation reads them."""
        start, end = day_bounds(day)
        async with self._world.desk.db.read() as connection:
            found = await day_movements(
                connection, channel="wechat", account_id=f"wechat-{self._hospital}", start=start, end=end
            )
        return [
            Movement(
                kind=each.kind,
                number=each.number,
                channel_no=each.channel_no,
                amount_fen=each.amount_fen,
                state=each.state,
                at=each.at,
            )
            for each in found
        ]

    async def bill(self, day: date) -> list[Movement]:
        """Fetch and read the bill of a day; no money, no bill."""
        text = self._text(day)
        return self._read(await self._fetch(day, text)) if text else []

    async def _fetch(self, day: date, text: bytes, sent: bytes | None = None) -> bytes:
        """Fetch a bill of which WeChat Pay announces ``text`` and sends ``sent``."""
        self._world.wechat.announced, self._world.wechat.sent = text, text if sent is None else sent
        channel = self._world.desk.channels["wechat"]
        return await channel.bill(self._account, day, now=self._world.loop.moment())

    def _read(self, content: bytes) -> list[Movement]:
        return [
            Movement(
                kind=row.kind,
                number=row.number,
                channel_no=row.channel_no,
                amount_fen=row.amount_fen,
                state=row.state,
                at=row.at,
                fee=row.fee,
                fee_due=row.fee_due,
            )
            for row in self._form.rows(content, self._mchid)
        ]

    async def spoilt(self, books: Books) -> list[Break]:
        """18: spoil a bill in one of six ways; it is refused, or what it adds is named and nothing else."""
        full = [day for day in self.days(books) if self._text(day)]
        if not full:
            return []
        dice = self._world.chance.random
        day, how = dice.choice(full), dice.choice(_SPOILT)
        self._world.chance.count(18)
        text = self._text(day)
        true = self._read(text)
        try:
            found = self._read(await self._spoilt(day, text, how))
        except PlatformError as error:
            self._world.note(f"bill {how}: {error.code}")
            return [] if how in ("absent", "cut", "altered", "junk") else [(13, f"a bill with {how} was refused")]
        if how == "column":
            return [] if found == true else [(13, "one more column changed the rows")]
        if how == "cut" and found == true:  # the last zeros of the last sum are gone: "2.30" and "2.3" say the same
            return []
        if how == "twice":
            classes = join(true, found)[0]
            return [] if classes[DUPLICATE, "bill"] == 1 else [(13, f"a row that stands twice: {dict(classes)}")]
        return [(13, f"a bill that was {how} was read")]

    async def _spoilt(self, day: date, text: bytes, how: str) -> bytes:
        dice = self._world.chance.random
        lines = text.decode().split("\r\n")
        if how == "absent":
            return await self._fetch(day, b"")
        if how == "altered":
            return await self._fetch(day, text, text.replace(b"`0.60%", b"`0.61%", 1))
        if how == "cut":
            at = dice.randrange(1, len(text) - 2)
            return await self._fetch(day, text[:at])
        if how == "junk":
            return await self._fetch(day, text.replace("交易时间".encode(), "交易时间".encode("gb18030"), 1))
        if how == "column":
            head, rows = lines[0] + ",备注", [f"{line},`x" for line in lines[1:-3]]
            return await self._fetch(day, "\r\n".join([head, *rows, *lines[-3:]]).encode())
        rows_twice = writer.rows_of(day, self._orders, self._refunds)
        rows_twice.append(dice.choice(rows_twice))
        return await self._fetch(day, writer.render(rows_twice, "ALL").encode())

    async def deep(self, day: date, platform: list[Movement], joined: Joined) -> list[Break]:
        """13, 14: the real engine finds the same, in any order, again and again."""
        text = self._text(day)
        if not text:
            return []
        seen, dice = [], Random(f"{day} {self._mchid}")  # its own: a seed is the same with and without this
        for shuffled in (False, True):
            rows, content = list(platform), text
            if shuffled:
                dice.shuffle(rows)
                content = _shuffled(text, dice)
            outcome = engine.reconcile(rows, content, self._form, merchant_id=self._mchid)
            seen.append(
                (
                    outcome.tallies,
                    sorted((each.klass, each.kind, each.number, each.rank) for each in outcome.findings),
                )
            )
        mine = sorted((each.klass, each.kind, each.number, each.rank) for each in joined[1])
        if seen[0] != seen[1]:
            return [(14, f"{day}: another order of the rows gives another result")]
        return [] if seen[0][1] == mine else [(13, f"{day}: the engine finds {seen[0][1]}, the drill {mine}")]


def _shuffled(text: bytes, dice: Random) -> bytes:
    lines = text.decode().split("\r\n")
    rows = lines[1:-3]
    dice.shuffle(rows)
    return "\r\n".join([lines[0], *rows, *lines[-3:]]).encode()
