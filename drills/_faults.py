"""What is lost, doubled or wrong, given what the storytellers were told and everybody's books: pure.

*Lost*: acknowledged, and not there or not as acknowledged. *Doubled*: there more often than it was asked for. *Wrong*:
books that do not agree, things that never came to their end, answers that must not be given.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from _books import Books, Row
from _tellers import Acknowledged, Told

from yimatong.cards.codes.judgement import SKEW_S_MAX

_HELD: Final = ("name", "id_number", "phone", "mpi_ref", "static_code", "real_name_level")
_PAID_STATES: Final = ("paid", "partly_refunded", "refunded")
_MARGIN_S: Final = 5


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it must be. ``kind`` is lost, doubled or wrong."""

    kind: str
    text: str


def find(told: Told, books: Books, *, before: frozenset[str] = frozenset()) -> list[Fault]:
    """Return every fault. ``before`` are the VUIDs of the accounts that were there before the drill."""
    checks: list[Callable[[], Iterator[Fault]]] = [
        lambda: _accounts(told, books, before),
        lambda: _codes(told, books),
        lambda: _visits_and_bills(told, books),
        lambda: _payments(told, books),
        lambda: _refunds(told, books),
        lambda: _outside_world(books),
        lambda: _hospital(books),
        lambda: _ledger(books),
        lambda: _outbox_and_audit(books),
        lambda: (Fault("wrong", text) for text in told.surprises),
    ]
    return [fault for check in checks for fault in check()]


def _one(rows: list[Row], what: str, **values: object) -> Iterator[Fault]:
    """There must be exactly one row, with these values."""
    if not rows:
        yield Fault("lost", f"{what}: not there")
    if len(rows) > 1:
        yield Fault("doubled", f"{what}: {len(rows)} times")
    for row in rows[:1]:
        for name, value in values.items():
            if row[name] != value:
                yield Fault("lost", f"{what}: {name} is {row[name]!r}, acknowledged as {value!r}")


def _accounts(told: Told, books: Books, before: frozenset[str]) -> Iterator[Fault]:
    live = [row for row in books.tables["cards_account"] if row["state"] != "cancelled"]
    known = {each.answer["vuid"] for each in told.of("account")}
    for each in told.of("account"):
        vuid, what = each.answer["vuid"], f"account {each.key}"
        yield from _one([row for row in live if row["vuid"] == vuid], what, state=each.answer["state"])
        read = books.accounts_read.get(vuid, {})
        for name in _HELD:
            if read.get(name) != each.answer[name]:
                yield Fault("lost", f"{what}: {name} reads otherwise than acknowledged")
    for mpi, number in Counter(row["mpi"] for row in live).items():
        if number > 1:
            yield Fault("doubled", f"person {mpi} has {number} live accounts")
    strangers = {row["vuid"] for row in live} - known - before
    unanswered = len(told.asked.get("account", {})) - len(told.of("account"))
    if len(strangers) > unanswered:
        yield Fault("doubled", f"{len(strangers)} accounts that nobody was told of, {unanswered} registrations open")


def _codes(told: Told, books: Books) -> Iterator[Fault]:
    for kind, event in (("code", "issued"), ("verification", "verified")):
        for each in told.of(kind):
            rows = books.where("cards_code_record", record_id=each.answer["record_id"])
            yield from _one(rows, f"{kind} {each.key}", vuid=_vuid(each.wanted), event=event, result="ok")
        asked = Counter(_vuid(wanted) for wanted in told.asked.get(kind, {}).values())
        for vuid, number in asked.items():
            rows = books.where("cards_code_record", vuid=vuid, event=event, result="ok")
            if len(rows) > number:
                yield Fault("doubled", f"{vuid[:12]}: {event} {len(rows)} times, asked for {number}")
    ends = {each.answer["text"]: datetime.fromisoformat(each.answer["expires_at"]) for each in told.of("code")}
    for each in told.of("verification"):
        uses = [row for row in books.tables["cards_code_use"] if str(row["used_key"]).partition(" ")[0] == each.key]
        forgotten = ends[each.wanted["code"]].timestamp() + 2 * SKEW_S_MAX < books.read_at + _MARGIN_S
        if uses or not forgotten:
            yield from _one(uses, f"use of {each.key}", record_id=each.answer["record_id"])


def _vuid(wanted: Row) -> str:
    return str(wanted.get("vuid") or wanted["code"][:64])


def _visits_and_bills(told: Told, books: Books) -> Iterator[Fault]:
    for each in told.of("visit"):
        wanted, rows = each.wanted, books.where("care_visit", visit_no=each.wanted["visit_no"])
        same = {name: wanted[name] for name in ("vuid", "verification_id", "department", "doctor")}
        yield from _one(rows, f"visit {each.key}", **same)
        again = books.where("care_visit", verification_id=wanted["verification_id"])
        if len(again) > 1:
            yield Fault("doubled", f"visit {each.key}: one verification, {len(again)} visits")
    for each in told.of("bill"):
        what, order_no, total_fen = f"bill {each.key}", each.answer["order_no"], each.wanted["total_fen"]
        rows = books.where("care_bill", bill_no=each.wanted["bill_no"])
        yield from _one(rows, what, order_no=order_no, visit_no=each.wanted["visit_no"], total_fen=total_fen)
        orders = books.where("payments_order", source_id=each.wanted["bill_no"])
        yield from _one(orders, f"order of {what}", order_no=order_no, amount_fen=total_fen)


def _payments(told: Told, books: Books) -> Iterator[Fault]:
    for each in told.of("payment"):
        rows = books.where("payments_order", order_no=each.key)
        same = {name: each.answer[name] for name in ("amount_fen", "paid_fen", "channel_trade_no")}
        yield from _one(rows, f"payment {each.key}", **same)
        if rows and rows[0]["state"] not in _PAID_STATES:
            yield Fault("lost", f"payment {each.key}: acknowledged as paid, is {rows[0]['state']}")
    for order in books.tables["payments_order"]:
        landed = books.where("payments_attempt", order_no=order["order_no"], landed="order")
        if len(landed) != (order["state"] in _PAID_STATES):
            kind = "doubled" if len(landed) > 1 else "wrong"
            yield Fault(kind, f"order {order['order_no']} is {order['state']} with {len(landed)} effective payments")
        for bill in books.where("care_bill", order_no=order["order_no"]):
            ours = [bill[name] for name in ("state", "paid_fen", "refunded_fen")]
            theirs = [order[name] for name in ("state", "paid_fen", "refunded_fen")]
            if ours != theirs and order["state"] in _PAID_STATES:
                yield Fault("wrong", f"bill {bill['bill_no']} says {ours}, its order {theirs}")


def _refunds(told: Told, books: Books) -> Iterator[Fault]:
    for each in [*told.of("refund"), *told.of("arrival")]:
        rows = books.where("payments_refund", order_no=each.wanted["order_no"], request_no=each.wanted["request_no"])
        what = f"{each.kind} {each.wanted['request_no']}"
        yield from _one(rows, what, refund_no=each.answer["refund_no"], amount_fen=each.wanted["amount_fen"])
        if rows and each.kind == "arrival" and rows[0]["state"] != "succeeded":
            yield Fault("lost", f"{what}: acknowledged as arrived, is {rows[0]['state']}")
    asked = Counter(wanted["order_no"] for wanted in told.asked.get("refund", {}).values())
    for order_no, number in Counter(row["order_no"] for row in books.where("payments_refund", kind="asked")).items():
        if number > asked[order_no]:
            yield Fault("doubled", f"order {order_no}: {number} refunds, asked for {asked[order_no]}")


def _outside_world(books: Books) -> Iterator[Fault]:
    """The channel's truth: what it took from payers and what it gave back, order by order."""
    taken, given = Counter[str](), Counter[str]()
    for row in books.wechat_orders:
        if row["trade_state"] in ("SUCCESS", "REFUND"):
            taken[_order_of(row["out_trade_no"])] += row["total_fen"]
    for row in books.wechat_refunds:
        if row["status"] == "SUCCESS":
            given[_order_of(row["out_refund_no"])] += row["refund_fen"]
    late_back = Counter[str]()
    for row in books.where("payments_refund", kind="late", state="succeeded"):
        late_back[row["order_no"]] += row["amount_fen"]
    for order in books.tables["payments_order"]:
        number = order["order_no"]
        ours = order["paid_fen"] + order["late_fen"]
        yield from _compare(f"order {number}: paid", ours_fen=ours, theirs_fen=taken.pop(number, 0))
        if order["late_fen"] != late_back[number]:
            yield Fault("doubled", f"order {number}: paid twice, and the second payment is not back with its payer")
        back = order["refunded_fen"] + late_back[number]
        yield from _compare(f"order {number}: returned", ours_fen=back, theirs_fen=given.pop(number, 0))
    for number, amount_fen in (taken + given).items():
        yield Fault("lost", f"the channel moved {amount_fen} fen for {number}, which we do not know")


def _compare(what: str, *, ours_fen: int, theirs_fen: int) -> Iterator[Fault]:
    if ours_fen != theirs_fen:
        kind = "doubled" if ours_fen > theirs_fen else "lost"
        yield Fault(kind, f"{what} {ours_fen} fen in our books, {theirs_fen} fen in the channel's")


def _order_of(part_no: str) -> str:
    return part_no[:21]


def _hospital(books: Books) -> Iterator[Fault]:
    """The hospital's system books each payment and each refund that arrived exactly once."""
    wanted = Counter(
        ("order_paid", order["order_no"]) for order in books.tables["payments_order"] if order["state"] in _PAID_STATES
    )
    wanted += Counter(
        ("refund_succeeded", refund["refund_no"])
        for refund in books.where("payments_refund", kind="asked", state="succeeded")
    )
    found = Counter(
        (event["event"], event["refund_no"] if event["event"] == "refund_succeeded" else event["order_no"])
        for event in books.booked
        if event["event"] in ("order_paid", "refund_succeeded")
    )
    for key in sorted(wanted.keys() | found.keys()):
        if found[key] < wanted[key]:
            yield Fault("lost", f"the hospital did not book {key[0]} of {key[1]}")
        elif found[key] > wanted[key]:
            yield Fault("doubled", f"the hospital booked {key[0]} of {key[1]} {found[key]} times")


def _ledger(books: Books) -> Iterator[Fault]:
    """Every movement balances, and the accounts of an order add up to what the order says."""
    movements, accounts = Counter[tuple[str, str]](), defaultdict[str, Counter[str]](Counter)
    for entry in books.tables["payments_ledger_entry"]:
        movements[entry["order_no"], entry["movement"]] += entry["amount_fen"]
        accounts[entry["order_no"]][entry["account"].split(":")[0]] += entry["amount_fen"]
    for (number, movement), sum_fen in movements.items():
        if sum_fen:
            yield Fault("wrong", f"movement {movement} of {number} does not balance: {sum_fen} fen")
    for order in books.tables["payments_order"]:
        refunds = books.where("payments_refund", order_no=order["order_no"])
        late_back = sum(row["amount_fen"] for row in refunds if row["kind"] == "late" and row["state"] != "closed")
        arrived = sum(row["amount_fen"] for row in refunds if row["state"] == "succeeded")
        under_way = sum(row["amount_fen"] for row in refunds if row["state"] not in ("succeeded", "closed"))
        expected = {
            "channel": order["paid_fen"] + order["late_fen"] - arrived,
            "hospital": order["refund_reserved_fen"] - order["paid_fen"],
            "suspense": late_back - order["late_fen"],
            "transit": -under_way,
        }
        booked = accounts[order["order_no"]]
        for name, sum_fen in expected.items():
            if booked[name] != sum_fen:
                kind = "doubled" if abs(booked[name]) > abs(sum_fen) else "lost"
                text = f"ledger of {order['order_no']}: {name} {booked[name]} fen, by its order {sum_fen} fen"
                yield Fault(kind, text)


def _outbox_and_audit(books: Books) -> Iterator[Fault]:
    for row in books.tables["kit_outbox"]:
        if row["state"] != "delivered":
            yield Fault("wrong", f"outbox message {row['id']} {row['topic']} is {row['state']}: {row['last_error']}")
    once = Counter((row["topic"], str(row["payload"])) for row in books.tables["kit_outbox"])
    for (topic, _), number in once.items():
        if number > 1:
            yield Fault("doubled", f"outbox: {topic} written {number} times")
    if books.audit_fault:
        yield Fault("wrong", f"audit: {books.audit_fault}")
    elif books.audit_covered != books.audit_rows:
        yield Fault("wrong", f"audit: {books.audit_covered} of {books.audit_rows} rows are sealed")
    rows = {
        "codes:issue": len(books.where("cards_code_record", event="issued")),
        "visits:write": len(books.tables["care_visit"]),
        "bills:write": len(books.tables["care_bill"]),
        "refunds:write": len(books.where("payments_refund", kind="asked")),
    }
    for action, number in rows.items():
        if books.audit_actions.get(action, 0) != number:
            yield Fault("wrong", f"audit: {books.audit_actions.get(action, 0)} rows of {action} for {number} rows")


def acknowledged(told: Told) -> dict[str, int]:
    """Count what was acknowledged, by kind."""

    def kind_of(each: Acknowledged) -> str:
        return each.kind

    return dict(Counter[Any](map(kind_of, told.acknowledged)))
