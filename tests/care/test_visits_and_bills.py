"""A hospital registers a visit with a verified code, books a bill, and its bill follows the money."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

import pytest

from yimatong.care import tasks
from yimatong.kit import clock
from yimatong.kit.outbox import Message
from yimatong_sdk import ApiError

ITEMS = [{"name": "挂号费", "amount_fen": 1500}, {"name": "𠮷氏·西药", "amount_fen": 8500, "quantity": 2}]


def refused(client, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(ApiError) as error:
        client.call(method, path, body)
    return error.value.http_status, error.value.code


def new_visit(found, **change: Any) -> dict[str, Any]:
    return {
        "visit_no": f"V{secrets.token_hex(4)}",
        "verification_id": found.record_id,
        "vuid": found.vuid,
        "department": "内科",
        "doctor": "李医生",
    } | change


def new_bill(visit_no: str, **change: Any) -> dict[str, Any]:
    return {
        "visit_no": visit_no,
        "bill_no": f"B{secrets.token_hex(4)}",
        "description": "门诊缴费",
        "items": ITEMS,
        "total_fen": 10000,
    } | change


@pytest.fixture
async def visit(clients, verified):
    return clients["his-1"].call("POST", "/api/v1/visits", new_visit(await verified()))


async def test_a_visit_needs_a_verification_of_its_own(clients, verified) -> None:
    his = clients["his-1"]
    found = await verified()
    made = his.call("POST", "/api/v1/visits", new_visit(found))
    assert his.call("GET", f"/api/v1/visits/{made['visit_no']}") == made
    assert refused(his, "POST", "/api/v1/visits", new_visit(found)) == (409, "CARE-1004")
    again = new_visit(await verified(), visit_no=made["visit_no"])
    assert refused(his, "POST", "/api/v1/visits", again) == (409, "CARE-1002")
    old = await verified(at=clock.now() - timedelta(minutes=11))
    assert refused(his, "POST", "/api/v1/visits", new_visit(old)) == (409, "CARE-1003")
    elsewhere, swapped = await verified("inst-h2"), await verified()
    for strange in (new_visit(elsewhere), new_visit(swapped, vuid="A" * 64), new_visit(swapped, verification_id="x")):
        assert refused(his, "POST", "/api/v1/visits", strange)[0] == 404
    assert refused(clients["app-1"], "POST", "/api/v1/visits", new_visit(found)) == (403, "ACC-1006")


async def test_a_bill_is_booked_with_its_order_or_not_at_all(clients, visit) -> None:
    his, wanted = clients["his-1"], new_bill(visit["visit_no"])
    placed = his.create_bill(wanted)
    assert placed["cashier_url"].startswith("http")
    order = his.read_order(placed["order_no"])
    assert (order["source_kind"], order["source_id"], order["state"]) == ("bill", wanted["bill_no"], "created")
    assert order["items"][1]["name"] == "𠮷氏·西药"
    bills = his.call("GET", f"/api/v1/visits/{visit['visit_no']}/bills")["bills"]
    assert [(each["bill_no"], each["state"], each["total_fen"]) for each in bills] == [
        (wanted["bill_no"], "unpaid", 10000)
    ]
    listed = his.call("GET", f"/api/v1/orders?source_no={wanted['bill_no']}")["orders"]
    assert [each["order_no"] for each in listed] == [placed["order_no"]]
    assert refused(his, "POST", "/api/v1/bills", wanted) == (409, "CARE-2002")
    wrong = new_bill(visit["visit_no"], total_fen=9999)
    assert refused(his, "POST", "/api/v1/bills", wrong) == (422, "PAY-1005")
    assert refused(his, "GET", f"/api/v1/bills/{wrong['bill_no']}") == (404, "CARE-2001")
    assert refused(his, "POST", "/api/v1/bills", new_bill("V0")) == (404, "CARE-1001")


async def test_another_hospital_sees_and_touches_nothing(clients, visit) -> None:
    placed = clients["his-1"].create_bill(new_bill(visit["visit_no"]))
    other = clients["his-2"]
    order_no, bill_no = placed["order_no"], placed["bill_no"]
    for method, path, body in (
        ("GET", f"/api/v1/visits/{visit['visit_no']}", None),
        ("GET", f"/api/v1/visits/{visit['visit_no']}/bills", None),
        ("GET", f"/api/v1/bills/{bill_no}", None),
        ("POST", "/api/v1/bills", new_bill(visit["visit_no"])),
        ("POST", f"/api/v1/bills/{bill_no}/orders", {}),
        ("GET", f"/api/v1/orders/{order_no}", None),
        ("GET", f"/api/v1/orders/{order_no}/cashier", None),
        ("POST", f"/api/v1/orders/{order_no}/cashier-links", None),
        ("POST", f"/api/v1/orders/{order_no}/attempts", {"channel": "wechat", "scene": "native"}),
        ("POST", f"/api/v1/orders/{order_no}/refresh", None),
        ("POST", f"/api/v1/orders/{order_no}/close", None),
        ("POST", "/api/v1/refunds", {"order_no": order_no, "request_no": "r", "amount_fen": 1, "reason": "x"}),
    ):
        assert refused(other, method, path, body)[0] == 404, path
    assert clients["his-1"].read_order(order_no)["state"] == "created"


@pytest.mark.parametrize(
    "change",
    [
        {"items": []},
        {"items": [{"name": "x\x00", "amount_fen": 10000}]},
        {"items": [{"name": "x", "amount_fen": 100.5}]},
        {"items": [{"name": "x", "amount_fen": -1}]},
        {"total_fen": 10**13},
        {"bill_no": "中文"},
        {"description": ""},
        {"expires_in_s": 1},
        {"surprise": 1},
    ],
)
async def test_bad_input_is_named_and_books_nothing(clients, visit, change) -> None:
    status, code = refused(clients["his-1"], "POST", "/api/v1/bills", new_bill(visit["visit_no"], **change))
    assert (status, code) in {(400, "KIT-1001"), (422, "KIT-1001")}
    assert clients["his-1"].call("GET", f"/api/v1/visits/{visit['visit_no']}/bills")["bills"] == []


@pytest.mark.parametrize("path", ["orders/%00", "orders/P1", "bills/%00", "visits/%F0%9F%98%80", "refunds/%00R01"])
async def test_impossible_numbers_in_the_path_are_refused_by_name(clients, path) -> None:
    assert refused(clients["his-1"], "GET", f"/api/v1/{path}")[0] in (404, 422)


async def test_a_bill_follows_its_order_and_an_expired_one_gets_a_new_order(clients, visit, database) -> None:
    his = clients["his-1"]
    placed = his.create_bill(new_bill(visit["visit_no"]))
    order_no, bill_no = placed["order_no"], placed["bill_no"]
    hear = tasks.handlers(database, None, None)["payments.source_changed"]

    async def news(state: str, version: int, **facts: Any) -> str:
        payload = {
            "institution_id": "inst-h1",
            "source_kind": "bill",
            "source_id": bill_no,
            "order_no": order_no,
            "state": state,
            "version": version,
            "paid_fen": 10000,
            "refunded_fen": 0,
            "paid_at": "2026-11-23T09:00:00+08:00",
        } | facts
        message = Message(id=version, topic="t", ordering_key="k", payload=payload, attempts=1, created_at=clock.now())
        await hear(message)
        return his.call("GET", f"/api/v1/bills/{bill_no}")["state"]

    assert refused(his, "POST", f"/api/v1/bills/{bill_no}/orders", {}) == (409, "CARE-2003")
    assert his.call("POST", f"/api/v1/orders/{order_no}/close")["state"] == "closed"
    assert await news("closed", 4, paid_fen=0, paid_at=None) == "expired"
    placed = his.call("POST", f"/api/v1/bills/{bill_no}/orders", {})
    old, order_no = order_no, placed["order_no"]
    assert await news("closed", 9, order_no=old) == "unpaid"
    assert await news("paid", 3) == "paid"
    assert await news("partly_refunded", 5, refunded_fen=4000) == "partly_refunded"
    assert await news("paid", 3) == "partly_refunded"
