"""Stays in hospital: deposits, and a settlement that leaves not one fen unexplained."""

from __future__ import annotations

from typing import Any

import pytest
from care_world import Ward, refused, together

from yimatong_sdk import ApiError

LIABILITY, RECEIVABLE = "hospital:inst-h1:deposits", "hospital:inst-h1:receivable"


class Moved:
    """What a test moved on the accounts of the hospital's ledger."""

    def __init__(self, ward: Ward) -> None:
        ward.work(until_refunded=True)
        self._ward = ward
        self._before = ward.balances()

    def __call__(self) -> dict[str, int]:
        moved = {name: fen - self._before.get(name, 0) for name, fen in self._ward.balances().items()}
        return {name: fen for name, fen in moved.items() if fen}


@pytest.fixture
def stay(ward: Ward) -> Any:
    return ward.admit(ward.resident())


def paid_deposits(ward: Ward, stay: Any, *fens: int) -> list[Any]:
    made = [ward.deposit(stay["admission_no"], fen) for fen in fens]
    for each in made:
        ward.pay(each["order_no"])
    return made


def test_a_stay_begins_with_a_verified_code_and_is_its_hospitals_own(ward: Ward, stay: Any) -> None:
    assert (stay["state"], stay["ward"], stay["deposits"], stay["left_fen"]) == ("admitted", "三病区", [], 0)
    number = stay["admission_no"]
    assert ward.read_stay(number) == stay
    assert ward.his.call("GET", f"/api/v1/visits/{number}")["kind"] == "inpatient"
    for method, path, body in (
        ("GET", f"/api/v1/admissions/{number}", None),
        ("POST", f"/api/v1/admissions/{number}/deposits", {"bill_no": "D1", "amount_fen": 1}),
        ("POST", f"/api/v1/admissions/{number}/settlement", {"settlement_no": "S1", "total_fen": 1}),
    ):
        assert refused(lambda m=method, p=path, b=body: ward.other_his.call(m, p, b)) == (404, "CARE-3001")
    assert refused(lambda: ward.kiosk.call("POST", f"/api/v1/admissions/{number}/deposits", {})) == (403, "ACC-1006")


def test_deposits_are_the_hospitals_debt_until_the_stay_is_settled(ward: Ward, stay: Any) -> None:
    moved = Moved(ward)
    paid_deposits(ward, stay, 30000, 50000)
    assert (moved()[LIABILITY], moved().get(RECEIVABLE, 0)) == (-80000, 0)
    shown = ward.read_stay(stay["admission_no"])
    assert [(each["state"], each["left_fen"]) for each in shown["deposits"]] == [("paid", 30000), ("paid", 50000)]
    assert shown["left_fen"] == 80000
    done = ward.settle(stay["admission_no"], 45000, settlement_no=f"S{stay['admission_no']}")
    settled = done["admission"]
    assert done["due"] is None
    assert settled["state"] == "settled"
    assert {name: settled["settlement"][name] for name in ("total_fen", "used_fen", "due_fen", "back_fen")} == {
        "total_fen": 45000, "used_fen": 45000, "due_fen": 0, "back_fen": 35000,
    }  # fmt: skip
    assert [(each["used_fen"], each["left_fen"]) for each in settled["deposits"]] == [(30000, 0), (15000, 0)]
    assert [[r["amount_fen"] for r in each["refunds"]] for each in settled["deposits"]] == [[], [35000]]
    assert ward.settle(stay["admission_no"], 45000, settlement_no=f"S{stay['admission_no']}")["admission"] == settled
    ward.work(until_refunded=True)
    after = ward.read_stay(stay["admission_no"])
    assert [each["state"] for each in after["deposits"][1]["refunds"]] == ["succeeded"]
    assert moved() == {"channel:wechat:inst-h1": 45000, RECEIVABLE: -45000}
    assert refused(lambda: ward.settle(stay["admission_no"], 45000)) == (409, "CARE-3003")
    assert refused(lambda: ward.deposit(stay["admission_no"], 1)) == (409, "CARE-3002")


def test_what_deposits_do_not_cover_is_a_bill(ward: Ward, stay: Any) -> None:
    moved = Moved(ward)
    paid_deposits(ward, stay, 30000)
    done = ward.settle(stay["admission_no"], 100000)
    due = done["due"]
    assert (due["kind"], due["total_fen"]) == ("inpatient", 70000)
    assert done["admission"]["settlement"]["bill_no"] == due["bill_no"]
    ward.pay(due["order_no"])
    assert ward.bill_state(due["bill_no"]) == "paid"
    assert moved() == {"channel:wechat:inst-h1": 100000, RECEIVABLE: -100000}
    assert ward.his.call("GET", f"/api/v1/visits/{stay['admission_no']}")["state"] == "finished"


def test_a_stay_that_costs_nothing_gives_everything_back_newest_first(ward: Ward, stay: Any) -> None:
    moved = Moved(ward)
    first, second = paid_deposits(ward, stay, 100, 200)
    back = {"order_no": second["order_no"], "request_no": "part", "amount_fen": 50, "reason": "退部分预交金"}
    ward.his.create_refund(back)
    done = ward.settle(stay["admission_no"], 0)
    assert done["admission"]["settlement"]["back_fen"] == 250
    asked = ward.sql(
        "SELECT order_no, amount_fen FROM payments_refund WHERE order_no = ANY(%s) ORDER BY created_at, ctid",
        [first["order_no"], second["order_no"]],
    )
    assert asked == [(second["order_no"], 50), (second["order_no"], 150), (first["order_no"], 100)]
    ward.work(until_refunded=True)
    assert moved() == {}
    assert [ward.bill_state(each["bill_no"]) for each in (first, second)] == ["refunded", "refunded"]


def test_an_unpaid_deposit_is_closed_and_one_paid_a_moment_before_counts(ward: Ward, stay: Any) -> None:
    unpaid, racing = ward.deposit(stay["admission_no"], 700), ward.deposit(stay["admission_no"], 900)
    started = ward.start(ward.his, racing["order_no"])
    ward.world.control("/control/wechat/pay", {"out_trade_no": started["attempt_no"]})
    done = ward.settle(stay["admission_no"], 1000)
    assert done["admission"]["settlement"]["used_fen"] == 900
    assert done["due"]["total_fen"] == 100
    assert ward.bill_state(unpaid["bill_no"]) == "void"
    ward.work()
    assert (ward.bill_state(unpaid["bill_no"]), ward.bill_state(racing["bill_no"])) == ("void", "paid")
    path = f"/api/v1/bills/{unpaid['bill_no']}/orders"
    assert refused(lambda: ward.his.call("POST", path, {})) == (409, "CARE-2003")


def test_a_deposit_that_nobody_knows_about_stops_the_settlement_until_it_is_known(ward: Ward, stay: Any) -> None:
    placed = ward.deposit(stay["admission_no"], 700)
    started = ward.start(ward.his, placed["order_no"])
    ward.world.control("/control/wechat/faults", {"answer_5xx": 200})
    try:
        assert refused(lambda: ward.settle(stay["admission_no"], 500)) == (409, "CARE-3004")
    finally:
        ward.world.control("/control/wechat/faults", {})
    assert refused(lambda: ward.deposit(stay["admission_no"], 1)) == (409, "CARE-3002")
    ward.world.control("/control/wechat/pay", {"out_trade_no": started["attempt_no"]})
    done = ward.settle(stay["admission_no"], 600)
    assert (done["admission"]["settlement"]["used_fen"], done["admission"]["settlement"]["back_fen"]) == (600, 100)


def test_sixteen_settlements_at_once_move_everything_once(ward: Ward, stay: Any) -> None:
    moved = Moved(ward)
    paid_deposits(ward, stay, 300, 300, 300)
    number = f"S{stay['admission_no']}"
    wishes = [lambda: ward.settle(stay["admission_no"], 450, settlement_no=number)] * 12
    others = [lambda n=n: ward.settle(stay["admission_no"], 100 + n) for n in range(4)]
    made = together([*wishes, *others])
    (winner,) = {each["admission"]["settlement"]["settlement_no"] for each in made if not isinstance(each, ApiError)}
    assert {each.code for each in made if isinstance(each, ApiError)} <= {"CARE-3003"}
    ward.work(until_refunded=True)
    settled = ward.read_stay(stay["admission_no"])["settlement"]
    assert settled["settlement_no"] == winner
    assert settled["used_fen"] + settled["back_fen"] == 900
    used = settled["used_fen"]
    assert moved() == {"channel:wechat:inst-h1": used, RECEIVABLE: -used}


def test_what_paid_for_a_stay_cannot_go_back_as_a_deposit(ward: Ward, stay: Any) -> None:
    (deposit,) = paid_deposits(ward, stay, 1000)
    ward.settle(stay["admission_no"], 1000)
    wanted = {"order_no": deposit["order_no"], "request_no": "again", "amount_fen": 1, "reason": "退费"}
    assert refused(lambda: ward.his.create_refund(wanted)) == (409, "PAY-2002")
