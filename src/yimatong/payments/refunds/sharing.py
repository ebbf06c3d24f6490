"""Which parts and lines of an order a refund comes from, and that no more goes back than came: pure.

What was paid is the sum of fund, account, own part and others; what goes back of each is at most what came of it, and
of each line at most the line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from yimatong.payments.channels.base import Part
from yimatong.payments.errors import (
    ItemsDoNotAddUp,
    ItemsNeeded,
    NoSuchLine,
    PartsDoNotAddUp,
    RefundExceedsItem,
    RefundExceedsPaid,
    RefundExceedsPart,
)
from yimatong.payments.refunds.schemas import NewRefund, RefundItem, RefundPart


class Came(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one part of the order, and by which attempt and account it goes back."""

    amount_fen: int
    attempt_no: str
    account_id: str
    components: Mapping[str, int] = {}


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """A refund that was asked for before and is not closed."""

    part: Part
    amount_fen: int
    components: Mapping[str, int] = {}


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back of one part."""

    part: Part
    amount_fen: int
    components: Mapping[str, int] = {}


def share(new: NewRefund, came: Mapping[Part, Came], earlier: Sequence[Earlier]) -> list[Share]:
    """Return what goes back of which part, in the order of the parts.

    Raises:
        RefundExceedsPaid: more than is left of everything.
        RefundExceedsPart: more than is left of a part, or of one of its components.
        PartsDoNotAddUp: the parts are not the amount, or a part's components are not the part.
    """
    left = {part: each.amount_fen - sum(e.amount_fen for e in earlier if e.part is part) for part, each in came.items()}
    if new.amount_fen > sum(left.values()):
        raise RefundExceedsPaid(refundable_fen=sum(left.values()))
    wanted = new.parts or _unsaid(new, left)
    if sum(each.amount_fen for each in wanted) != new.amount_fen or len({each.part for each in wanted}) != len(wanted):
        raise PartsDoNotAddUp(detail=", ".join(each.part for each in wanted))
    return [_share(each, came, earlier, left) for each in wanted]


def _unsaid(new: NewRefund, left: Mapping[Part, int]) -> list[RefundPart]:
    """Take the payer's own part, or everything where all that is left goes back."""
    if new.amount_fen == sum(left.values()):
        return [RefundPart(part=part.value, amount_fen=fen) for part, fen in left.items() if fen]  # type: ignore[arg-type]  # WHOLE is never one of them
    return [RefundPart(part="cash", amount_fen=new.amount_fen)]


def _share(
    wanted: RefundPart, came: Mapping[Part, Came], earlier: Sequence[Earlier], left: Mapping[Part, int]
) -> Share:
    part = Part(wanted.part)
    if wanted.amount_fen > left.get(part, 0):
        raise RefundExceedsPart(part=wanted.part, refundable_fen=left.get(part, 0))
    gone = Counter[str]()
    for each in earlier:
        if each.part is part:
            gone.update(each.components)
    rest = {name: fen - gone[name] for name, fen in came[part].components.items()}
    components = {name: fen for name, fen in wanted.components.items() if fen}
    if not components and wanted.amount_fen == left[part]:
        components = {name: fen for name, fen in rest.items() if fen}
    if rest and sum(components.values()) != wanted.amount_fen:
        raise PartsDoNotAddUp(detail=", ".join(rest))
    for name, fen in components.items():
        if fen > rest.get(name, 0):
            raise RefundExceedsPart(part=name, refundable_fen=rest.get(name, 0))
    return Share(part=part, amount_fen=wanted.amount_fen, components=components)


def check_items(
    amount_fen: int,
    wanted: Sequence[RefundItem],
    lines: Sequence[int],
    gone: Mapping[int, int],
    *,
    needed: bool,
) -> None:
    """Check which lines a refund is for. ``lines``: fen of each line of the order; ``gone``: fen returned, by line.

    Raises:
        ItemsNeeded: the order pays several bills and no line is named.
        ItemsDoNotAddUp: the lines are not the amount. NoSuchLine. RefundExceedsItem: more than is left of a line.
    """
    if not wanted:
        if needed:
            raise ItemsNeeded
        return
    items_fen = sum(each.amount_fen for each in wanted)
    if items_fen != amount_fen:
        raise ItemsDoNotAddUp(items_fen=items_fen, amount_fen=amount_fen)
    for line in {each.line for each in wanted}:
        if line > len(lines):
            raise NoSuchLine(line=line)
        left = lines[line - 1] - gone.get(line, 0)
        if sum(each.amount_fen for each in wanted if each.line == line) > left:
            raise RefundExceedsItem(line=line, refundable_fen=left)
