"""The invariants, each a question to the books of both sides. Pure: nothing here knows how the services work.

The allowed edges stand here again, on purpose: a service that changes its own table of edges does not change these.
12-14 are asked in ``_payments_bills``; 6, 7 and 8 in part where the plays meet the answers.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
from _payments_books import Books
from sqlalchemy import Row

Break = tuple[int, str]
_ORDER: Final = {
    None: {"created"},
    "created": {"paying", "closing"},
    "paying": {"created", "paid", "closing"},
    "closing": {"paid", "closed"},
    "paid": {"partly_refunded", "refunded"},
    "partly_refunded": {"partly_refunded", "refunded"},
}
_ATTEMPT: Final = {
    None: {"started"},
    "started": {"unknown", "succeeded", "failed"},
    "unknown": {"started", "succeeded", "failed"},
    "failed": {"succeeded"},
}
_OPEN: Final = {"processing", "unknown", "succeeded", "abnormal", "closed"}
_REFUND: Final = {
    None: {"requested"},
    "requested": _OPEN,
    "processing": _OPEN - {"processing"},
    "unknown": _OPEN - {"unknown"},
    "abnormal": {"succeeded", "closed"},
}
_INSIDE: Final = ("payments.source_changed", "payments.receipt_due")
_EDGES: Final = {"order": _ORDER, "attempt": _ATTEMPT, "refund": _REFUND}
_PAID: Final = ("paid", "partly_refunded", "refunded")


def find(books: Books) -> list[Break]:
    """Ask every question and return what does not hold."""
    return [each for question in QUESTIONS for each in question(books)]


def postings_balance(books: Books) -> Iterator[Break]:
    """1: every movement has two lines at least, which add up to zero."""
    lines: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row in books.rows["entries"]:
        lines[row.order_no, row.movement].append(row.amount_fen)
    for row in books.rows["movements"]:
        found = lines.pop((row.order_no, row.movement), [])
        if len(found) < 2 or sum(found):
            yield 1, f"{row.order_no} {row.movement} has the lines {found}"
    for key in lines:
        yield 1, f"{key} has lines and no movement"


def balances_are_true(books: Books) -> Iterator[Break]:
    """2: all balances add up to zero, and what a channel owes is what its own books say, per merchant."""
    balances: Counter[str] = Counter()
    for row in books.rows["entries"]:
        balances[row.account] += row.amount_fen
    if sum(balances.values()):
        yield 2, f"the balances add up to {sum(balances.values())}"
    hospitals = {row.order_no: row.institution_id for row in books.rows["orders"]}
    owed: Counter[str] = Counter()
    for number, payment in books.payments.items():
        if payment.state == "paid":
            owed[f"channel:{payment.channel}:{hospitals[number[:21]]}"] += payment.amount_fen
    for number, refund in books.refunds.items():
        if refund.state == "succeeded":
            owed[f"channel:{refund.channel}:{hospitals[number[:21]]}"] -= refund.amount_fen
    for account in {name for name in balances if name.startswith("channel:")} | owed.keys():
        if balances[account] != owed[account]:
            yield 2, f"{account} is {balances[account]}, its channel says {owed[account]}"


def one_payment_lands(books: Books) -> Iterator[Break]:
    """3: at most one attempt lands on each part of an order; every other one is in suspense and goes back."""
    refunds = books.of("refunds")
    for order_no, attempts in books.of("attempts").items():
        landed = Counter(row.part for row in attempts if row.landed == "order")
        if any(number > 1 for number in landed.values()):
            yield 3, f"{order_no}: {dict(landed)} landed"
        for row in attempts:
            if row.landed == "suspense":
                back = [each for each in refunds[order_no] if each.attempt_no == row.attempt_no and each.kind == "late"]
                if sum(each.amount_fen for each in back) != row.amount_fen:
                    yield 3, f"{row.attempt_no} is late and {[each.amount_fen for each in back]} goes back"


def refunds_within_paid(books: Books) -> Iterator[Break]:
    """4: what went back and is on its way is at most what came, of the order, of each attempt, and at the channel."""
    paid = {row.order_no: row.paid_fen for row in books.rows["orders"]}
    reserved = {row.order_no: row.refund_reserved_fen for row in books.rows["orders"]}
    of_order: Counter[str] = Counter()
    of_attempt: Counter[str] = Counter()
    for row in books.rows["refunds"]:
        if row.state != "closed":
            of_attempt[row.attempt_no] += row.amount_fen
            of_order[row.order_no] += row.amount_fen if row.kind == "asked" else 0
    for order_no, fen in of_order.items():
        if fen > paid[order_no] or fen != reserved[order_no]:
            yield 4, f"{order_no}: {fen} of {paid[order_no]} go back, {reserved[order_no]} reserved"
    amounts = {row.attempt_no: row.amount_fen for row in books.rows["attempts"] if row.state == "succeeded"}
    for number, fen in of_attempt.items():
        if fen > amounts.get(number, 0):
            yield 4, f"{number}: {fen} of {amounts.get(number, 0)} go back"
    at_channel: Counter[str] = Counter()
    for refund in books.refunds.values():
        at_channel[refund.attempt_no] += refund.amount_fen if refund.state != "closed" else 0
    for number, fen in at_channel.items():
        if fen > books.payments[number].amount_fen:
            yield 4, f"{number}: the channel gives {fen} back"


def only_allowed_edges(books: Books) -> Iterator[Break]:
    """5: every change of state is an allowed edge, begins where the last one ended, and the last is the row's."""
    now: dict[tuple[str, str], str] = {}
    for row in sorted(books.rows["history"], key=lambda each: each.id):
        key = (row.kind, row.number)
        if row.from_state != now.get(key) or row.to_state not in _EDGES[row.kind].get(row.from_state, ()):
            yield 5, f"{row.number}: {now.get(key)}, then {row.from_state} -> {row.to_state} ({row.cause})"
        now[key] = row.to_state
    for kind, table, number in (
        ("order", "orders", "order_no"),
        ("attempt", "attempts", "attempt_no"),
        ("refund", "refunds", "refund_no"),
    ):
        for row in books.rows[table]:
            if now.get((kind, getattr(row, number))) != row.state:
                yield 5, f"{getattr(row, number)} is {row.state} without history"


def acknowledged_is_there(books: Books) -> Iterator[Break]:
    """6: what was acknowledged is there, once, as it was acknowledged."""
    orders = {row.order_no: row for row in books.rows["orders"]}
    for placed in books.world.book.orders.values():
        row = orders.get(placed.order_no)
        if row is None or (row.amount_fen, row.source_id) != (placed.amount_fen, placed.source_no):
            yield 6, f"{placed.order_no} was acknowledged and is {row and (row.amount_fen, row.source_id)}"
    live = Counter(
        (row.institution_id, row.source_kind, row.source_id) for row in orders.values() if row.state != "closed"
    )
    for source, number in live.items():
        if number > 1:
            yield 6, f"{source} has {number} orders that are not closed"
    for order_no in books.world.book.closed:
        if orders[order_no].state != "closed":
            yield 6, f"{order_no} was acknowledged as closed and is {orders[order_no].state}"
    for order_no in books.world.book.paid:
        if orders[order_no].state not in _PAID:
            yield 6, f"{order_no} was acknowledged as paid and is {orders[order_no].state}"


def acknowledged_refunds_are_there(books: Books) -> Iterator[Break]:
    """6: the same of refunds."""
    refunds: dict[tuple[str, str], list[Row[Any]]] = defaultdict(list)
    for row in books.rows["refunds"]:
        refunds[row.order_no, row.request_no].append(row)
    for request_no, (order_no, fen, numbers) in books.world.book.refunds.items():
        found = refunds[order_no, request_no]
        if sum(row.amount_fen for row in found) != fen or {row.refund_no for row in found} != set(numbers):
            yield 6, f"refund {request_no} of {order_no}, {fen} fen: {[row.refund_no for row in found]}"


def nothing_unproven_counts(books: Books) -> Iterator[Break]:
    """7: an attempt has succeeded only if its own channel says so, with that amount."""
    for row in books.rows["attempts"]:
        truth = books.payments.get(row.attempt_no)
        if row.state == "succeeded" and (
            truth is None or (truth.state, truth.amount_fen, truth.channel) != ("paid", row.amount_fen, row.channel)
        ):
            yield 7, f"{row.attempt_no} has succeeded with {row.amount_fen}; its channel says {truth}"


def every_way_ends_alike(books: Books) -> Iterator[Break]:
    """8, 9: the ledger holds exactly the movements that the channels' truth gives, however often and whence it came."""
    movements = Counter((row.order_no, row.movement) for row in books.rows["movements"])
    wanted: Counter[tuple[str, str]] = Counter()
    for row in books.rows["attempts"]:
        truth = books.payments.get(row.attempt_no)
        if truth is not None and truth.state == "paid":
            wanted[row.order_no, f"{'late' if row.landed == 'suspense' else 'paid'}:{row.attempt_no}"] += 1
    for row in books.rows["refunds"]:
        wanted[row.order_no, f"refund_asked:{row.refund_no}"] += 1
        truth_back = books.refunds.get(row.refund_no)
        if truth_back is not None and truth_back.state == "succeeded":
            wanted[row.order_no, f"refund_arrived:{row.refund_no}"] += 1
        elif row.state == "closed":
            wanted[row.order_no, f"refund_dropped:{row.refund_no}"] += 1
    for key in wanted.keys() | movements.keys():
        if wanted[key] != movements[key]:
            yield 9, f"{key[0]} {key[1]} is booked {movements[key]} times, not {wanted[key]}"


def news_is_told(books: Books) -> Iterator[Break]:
    """10: each change that the world is told of has one message, delivered or parked in sight, and in order."""
    told: Counter[tuple[str, str]] = Counter()
    for row in books.outbox:
        told[row.topic, row.payload["order_no"]] += 1
        if row.state == "pending":
            yield 10, f"message {row.id} is neither delivered nor parked"
        inside = row.topic in _INSIDE
        known = books.world.sources if inside else books.world.his.booked
        key: Any = row.id if inside else f"msg-{row.id}"
        if row.state == "delivered" and key not in known:
            yield 10, f"message {row.id} ({row.topic}) is delivered and nobody has it"
    reached = Counter((row.number, row.to_state) for row in books.rows["history"] if row.kind == "order")
    back = Counter(row.order_no for row in books.rows["refunds"] if row.kind == "asked" and row.state == "succeeded")
    for row in books.rows["orders"]:
        wanted = {
            "payments.order_paid": reached[row.order_no, "paid"],
            "payments.order_closed": reached[row.order_no, "closed"],
            "payments.refund_succeeded": back[row.order_no],
        }
        changes = sum(wanted.values())
        wanted["payments.receipt_due"] = wanted["payments.order_paid"] + wanted["payments.refund_succeeded"]
        wanted["payments.source_changed"] = 0 if row.source_kind == "direct" else changes
        for topic, number in wanted.items():
            if told[topic, row.order_no] != number:
                yield 10, f"{row.order_no}: {told[topic, row.order_no]} times {topic}, not {number}"
    versions: dict[str, int] = defaultdict(int)
    for key in books.world.his.order:
        payload = msgspec.json.decode(books.world.his.booked[key])
        if payload["version"] <= versions[payload["order_no"]]:
            yield 10, f"the hospital heard of {payload['order_no']} out of order"
        versions[payload["order_no"]] = payload["version"]


def everything_ends(books: Books) -> Iterator[Break]:
    """11: once it is calm every order, attempt and refund comes to its end, and the end is the channel's truth."""
    stuck = {
        row.order_no for row in books.rows["refunds"] if row.kind == "reversal" and row.state in ("abnormal", "closed")
    }
    for row in books.rows["orders"]:
        if row.state not in (*_PAID, "closed") and not (row.state == "closing" and row.order_no in stuck):
            yield 11, f"{row.order_no} is still {row.state}"
        wanted = _state_of(books, row)
        if row.state in _PAID and row.state != wanted:
            yield 11, f"{row.order_no} is {row.state}, its refunds make it {wanted}"
    seen = set()
    for row in books.rows["attempts"]:
        seen.add(row.attempt_no)
        truth = books.payments.get(row.attempt_no)
        if row.state not in ("succeeded", "failed"):
            yield 11, f"{row.attempt_no} is still {row.state}"
        if (row.state == "succeeded") != (truth is not None and truth.state == "paid"):
            yield 11, f"{row.attempt_no} is {row.state}, its channel says {truth and truth.state}"
        if truth is not None and truth.state == "open":
            yield 11, f"{row.attempt_no} is {row.state} and can still be paid"
    yield from ((11, f"{number} is known to its channel alone") for number in books.payments.keys() - seen)
    for row in books.rows["refunds"]:
        truth_back = books.refunds.get(row.refund_no)
        said = truth_back.state if truth_back else "closed"
        if row.state != said:
            yield 11, f"{row.refund_no} is {row.state}, its channel says {said}"
    numbers = {row.refund_no for row in books.rows["refunds"]}
    yield from ((11, f"refund {number} is known to its channel alone") for number in books.refunds.keys() - numbers)


def _state_of(books: Books, order: Row[Any]) -> str:
    back = sum(
        row.amount_fen
        for row in books.rows["refunds"]
        if row.order_no == order.order_no and row.kind == "asked" and row.state == "succeeded"
    )
    return "paid" if not back else "refunded" if back == order.amount_fen else "partly_refunded"


def parts_add_up(books: Books) -> Iterator[Break]:
    """15: a paid order is the sum of its parts; the own part only after the insurer's, which else goes back."""
    attempts, refunds = books.of("attempts"), books.of("refunds")
    succeeded = {row.number: row.id for row in books.rows["history"] if row.to_state == "succeeded"}
    legs = books.of("legs")
    for order in books.rows["orders"]:
        landed = {row.part: row for row in attempts[order.order_no] if row.landed == "order"}
        if order.state in _PAID and sum(row.amount_fen for row in landed.values()) != order.amount_fen:
            yield 15, f"{order.order_no}: {order.amount_fen} paid by {[row.amount_fen for row in landed.values()]}"
        cash = landed.get("cash")
        for leg in legs[order.order_no]:
            row = landed.get(leg.part)
            if (
                leg.state == "presettled"
                and cash is not None
                and order.state in _PAID
                and (row is None or succeeded[row.attempt_no] > succeeded[cash.attempt_no])
            ):
                yield 15, f"{order.order_no}: the own part was taken before the part {leg.part}"
            if row is not None and sum(leg.components.values()) != leg.amount_fen:
                yield 15, f"{order.order_no}: {leg.components} are not {leg.amount_fen}"
        if order.state == "closed":
            back = {row.attempt_no: row.state for row in refunds[order.order_no] if row.kind == "reversal"}
            for row in landed.values():
                if back.get(row.attempt_no) != "succeeded":
                    yield 15, f"{order.order_no} is closed, and {row.attempt_no} did not go back"
        yield from _splits(refunds[order.order_no], landed)


def _splits(refunds: list[Row[Any]], landed: dict[str, Row[Any]]) -> Iterator[Break]:
    taken: Counter[str] = Counter()
    for row in refunds:
        if row.kind == "late" or row.state == "closed":
            continue
        taken[row.part] += row.amount_fen
        if row.part != "cash" and sum(row.components.values()) != row.amount_fen:
            yield 15, f"{row.refund_no}: {row.components} are not {row.amount_fen}"
    for part, fen in taken.items():
        if part not in landed or fen > landed[part].amount_fen:
            yield 15, f"{fen} of the part {part} go back, {part in landed and landed[part].amount_fen} came"


QUESTIONS: Final[tuple[Callable[[Books], Iterator[Break]], ...]] = (
    postings_balance,
    balances_are_true,
    one_payment_lands,
    refunds_within_paid,
    only_allowed_edges,
    acknowledged_is_there,
    acknowledged_refunds_are_there,
    nothing_unproven_counts,
    every_way_ends_alike,
    news_is_told,
    everything_ends,
    parts_add_up,
)
