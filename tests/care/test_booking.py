"""Booking a visit with its registration fee: paid it is registered, unpaid it is released and the hospital is told."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from care_world import Ward, refused
from litestar import Litestar, Request, post

from yimatong.care.visits.releasing import VISIT_RELEASED


def fee(**more: Any) -> dict[str, Any]:
    items = [{"name": "普通号", "amount_fen": 700}, {"name": "诊查费", "amount_fen": 800}]
    return {"bill_no": f"F{secrets.token_hex(5)}", "items": items, "total_fen": 1500} | more


def state_of(ward: Ward, visit: Any) -> str:
    return str(ward.his.call("GET", f"/api/v1/visits/{visit['visit_no']}")["state"])


def test_visit_bill_and_order_are_made_at_once_and_the_payment_registers_the_visit(ward: Ward) -> None:
    booked = ward.visit(ward.resident(), fee=fee())
    made = booked["fee"]
    assert (booked["state"], made["kind"], made["total_fen"]) == ("booked", "registration", 1500)
    assert ward.his.read_order(made["order_no"])["description"] == "挂号费"
    ward.pay(made["order_no"])
    assert (state_of(ward, booked), ward.bill_state(made["bill_no"])) == ("registered", "paid")


def test_an_unpaid_fee_releases_the_visit_and_its_hospital_is_told_once(ward: Ward) -> None:
    patient = ward.resident()
    booked = ward.visit(patient, fee=fee())
    made = booked["fee"]
    ward.his.call("POST", f"/api/v1/orders/{made['order_no']}/close")
    ward.work()
    assert (state_of(ward, booked), ward.bill_state(made["bill_no"])) == ("cancelled", "void")
    told = ward.sql("SELECT payload FROM kit_outbox WHERE topic = %s", VISIT_RELEASED)
    mine = [row[0] for row in told if row[0]["visit_no"] == booked["visit_no"]]
    assert [(each["event"], each["bill_no"]) for each in mine] == [("visit_released", made["bill_no"])]
    again = f"/api/v1/bills/{made['bill_no']}/orders"
    assert refused(lambda: ward.his.call("POST", again, {})) == (409, "CARE-2003")
    assert ward.app.payables(patient)["payables"] == []


def test_a_fee_is_booked_with_its_visit_or_neither(ward: Ward) -> None:
    patient, wanted = ward.resident(), fee(total_fen=1)
    body = {"visit_no": f"V{secrets.token_hex(5)}", "vuid": patient, "department": "内科", "fee": wanted}
    proven = body | {"verification_id": ward.verify(patient)}
    assert refused(lambda: ward.his.call("POST", "/api/v1/visits", proven)) == (422, "PAY-1005")
    assert refused(lambda: ward.his.call("GET", f"/api/v1/visits/{body['visit_no']}")) == (404, "CARE-1001")
    right = proven | {"fee": wanted | {"total_fen": 1500}}
    assert refused(lambda: ward.kiosk.call("POST", "/api/v1/visits", right)) == (403, "ACC-1006")
    assert ward.his.call("POST", "/api/v1/visits", right)["state"] == "booked"


def test_a_fee_booked_for_a_visit_that_was_registered_releases_nothing(ward: Ward) -> None:
    visit = ward.visit(ward.resident())
    placed = ward.bill(visit["visit_no"], kind="registration")
    ward.his.call("POST", f"/api/v1/orders/{placed['order_no']}/close")
    ward.work()
    assert (state_of(ward, visit), ward.bill_state(placed["bill_no"])) == ("registered", "expired")


def test_kinds_that_come_with_a_stay_are_not_booked_by_themselves(ward: Ward) -> None:
    visit = ward.visit(ward.resident())
    for kind in ("deposit", "inpatient", "other"):
        assert refused(lambda each=kind: ward.bill(visit["visit_no"], kind=each))[1] == "KIT-1001"


async def test_the_release_reaches_the_hospitals_address(ward: Ward, serve: Any) -> None:
    heard: list[tuple[dict[str, str], bytes]] = []

    def build() -> Any:
        @post("/told", status_code=200)
        async def told(request: Request[Any, Any, Any]) -> None:
            heard.append((dict(request.headers), await request.body()))

        return Litestar([told], openapi_config=None)

    url = serve(build)
    ward.sql("UPDATE access_caller SET webhook_url = %s WHERE caller_id = 'his-1'", f"{url}/told")
    booked = ward.visit(ward.resident(), fee=fee())
    await asyncio.to_thread(ward.his.call, "POST", f"/api/v1/orders/{booked['fee']['order_no']}/close")
    try:
        await asyncio.to_thread(ward.work)
    finally:
        ward.sql("UPDATE access_caller SET webhook_url = NULL WHERE caller_id = 'his-1'")
    mine = [(headers, body) for headers, body in heard if booked["visit_no"].encode() in body]
    assert len(mine) == 1
    headers, body = mine[0]
    assert b'"event":"visit_released"' in body
    assert headers["authorization"].startswith("YMT")
    assert headers["idempotency-key"].startswith("msg-")
