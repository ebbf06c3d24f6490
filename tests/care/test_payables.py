"""Payables: what a resident and her family have to pay, and one order for several bills of one hospital."""

from __future__ import annotations

from typing import Any

import pytest
from care_world import Ward, refused, together

from yimatong.access.webhooks import Destinations
from yimatong.apps.assembly import assemble
from yimatong.care.payables.service import state_of
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong.payments.service_channels import keyring
from yimatong.payments.service_channels import service as services
from yimatong.payments.service_channels.schemas import NewServiceChannel, Terminal
from yimatong_sdk import ApiError

HOSPITAL = "inst-h1"


def listed(client: Any, vuid: str, **more: Any) -> Any:
    return client.payables(vuid, **more)


def ordered(client: Any, payer: str, *bills: Any, **more: Any) -> Any:
    return client.pay_bills(HOSPITAL, [each["bill_no"] for each in bills], payer_vuid=payer, **more)


@pytest.mark.parametrize(
    ("paid", "back", "order", "state"),
    [
        (0, 0, "paying", "unpaid"),
        (0, 0, "closed", "expired"),
        (100, 0, "paid", "paid"),
        (100, 1, "partly_refunded", "partly_refunded"),
        (100, 100, "partly_refunded", "refunded"),
    ],
)
def test_a_bill_stands_as_its_sums_say(paid: int, back: int, order: str, state: str) -> None:
    assert state_of({"paid_fen": paid, "refunded_fen": back}, closed=order == "closed") == state


def test_a_mother_sees_her_own_bills_and_her_childs_page_by_page(ward: Ward) -> None:
    mother, child = ward.mother_and_child()
    bills = [ward.of_resident(who, fen) for who, fen in ((mother, 100), (child, 250), (mother, 400))]
    first = listed(ward.app, mother, limit=2)
    assert (first["total_fen"], len(first["payables"])) == (750, 2)
    rest = listed(ward.app, mother, limit=2, cursor=first["next"])
    shown = first["payables"] + rest["payables"]
    assert rest["next"] == ""
    assert [each["bill_no"] for each in shown] == [each["bill_no"] for each in bills]
    assert [each["own"] for each in shown] == [True, False, True]
    assert shown[0]["patient"] == "张大丰"
    assert "*" in shown[1]["patient"]
    assert shown[1]["patient_vuid"] == child
    assert shown[0]["institution_name"] == "第一医院"
    at_counter = listed(ward.kiosk, mother)["payables"]
    assert [each["bill_no"] for each in at_counter] == [bills[0]["bill_no"], bills[2]["bill_no"]]
    assert listed(ward.other_his, mother)["payables"] == []
    assert refused(lambda: listed(ward.other_app, mother))[0] == 404
    assert refused(lambda: listed(ward.app, mother, cursor="00")) == (422, "KIT-1001")


def test_one_payment_for_several_bills_and_each_is_refunded_by_itself(ward: Ward) -> None:
    mother, child = ward.mother_and_child()
    own, hers = ward.of_resident(mother, 1000), ward.of_resident(child, 2500)
    made = ordered(ward.app, mother, own, hers, return_url="https://app.example/back")
    assert (made["amount_fen"], made["dropped"]) == (3500, [])
    assert sorted(made["bills"]) == sorted([own["bill_no"], hers["bill_no"]])
    assert ward.his.read_order(own["order_no"])["state"] == "closed"
    again = ordered(ward.app, mother, hers, own)
    assert again["order_no"] == made["order_no"]
    ward.pay(made["order_no"], ward.app)
    assert (ward.bill_state(own["bill_no"]), ward.bill_state(hers["bill_no"])) == ("paid", "paid")
    assert listed(ward.app, mother)["payables"] == []
    assert refused(lambda: ordered(ward.app, mother, own)) == (409, "CARE-2003")
    order = ward.his.read_order(made["order_no"])
    assert [each["source_no"] for each in order["items"]] == sorted([own["bill_no"], hers["bill_no"]])
    line = [each["source_no"] for each in order["items"]].index(hers["bill_no"]) + 1
    bare = {"order_no": made["order_no"], "request_no": f"r-{hers['bill_no']}", "amount_fen": 500, "reason": "退药"}
    assert refused(lambda: ward.his.create_refund(bare))[0] == 422
    ward.his.create_refund(bare, items=[{"line": line, "amount_fen": 500}])
    ward.work(until_refunded=True)
    back = ward.his.call("GET", f"/api/v1/bills/{hers['bill_no']}")
    assert (back["state"], back["paid_fen"], back["refunded_fen"]) == ("partly_refunded", 2500, 500)
    other = ward.his.call("GET", f"/api/v1/bills/{own['bill_no']}")
    assert (other["state"], other["paid_fen"], other["refunded_fen"]) == ("paid", 1000, 0)
    rest = bare | {"request_no": f"s-{hers['bill_no']}", "amount_fen": 2000}
    ward.his.create_refund(rest, items=[{"line": line, "amount_fen": 2000}])
    ward.work(until_refunded=True)
    assert ward.bill_state(hers["bill_no"]) == "refunded"
    assert ward.bill_state(own["bill_no"]) == "paid"


def test_a_bill_that_turns_out_to_be_paid_drops_out_and_is_told(ward: Ward) -> None:
    patient = ward.resident()
    one, two = ward.of_resident(patient, 1000), ward.of_resident(patient, 2000)
    started = ward.start(ward.his, one["order_no"])
    ward.world.control("/control/wechat/pay", {"out_trade_no": started["attempt_no"]})
    made = ordered(ward.app, patient, one, two)
    assert (made["bills"], made["dropped"], made["amount_fen"]) == ([two["bill_no"]], [one["bill_no"]], 2000)
    ward.work()
    assert ward.bill_state(one["bill_no"]) == "paid"
    assert ward.his.read_order(one["order_no"])["state"] == "paid"


def test_a_silent_channel_keeps_the_bill_where_it_is(ward: Ward) -> None:
    patient = ward.resident()
    placed, other = ward.of_resident(patient), ward.of_resident(patient)
    ward.start(ward.his, placed["order_no"])
    ward.world.control("/control/wechat/faults", {"answer_5xx": 200})
    try:
        assert refused(lambda: ordered(ward.app, patient, placed, other)) == (409, "CARE-2004")
    finally:
        ward.world.control("/control/wechat/faults", {})
    made = ordered(ward.app, patient, placed, other)
    assert made["amount_fen"] == 20000


def test_nobody_orders_what_is_not_hers_or_another_hospitals(ward: Ward) -> None:
    patient, stranger = ward.resident(), ward.resident("李四海", apps=(ward.other_app,))
    placed = ward.of_resident(patient)
    body = {"institution_id": HOSPITAL, "bills": [placed["bill_no"]], "payer_vuid": patient}
    for client, change in (
        (ward.app, {"payer_vuid": stranger}),
        (ward.other_app, {}),
        (ward.other_app, {"payer_vuid": stranger}),
        (ward.other_his, {}),
        (ward.app, {"institution_id": "inst-h2"}),
        (ward.app, {"bills": [placed["bill_no"], "nothing"]}),
    ):
        found = refused(lambda c=client, b=body | change: c.call("POST", "/api/v1/payables/orders", b))
        assert found[0] == 404, change
    strange = {"service_channel_id": "svc_" + "0" * 32}
    assert refused(lambda: ordered(ward.app, patient, placed, ward.of_resident(patient), **strange))[0] == 404
    assert ward.bill_state(placed["bill_no"]) == "unpaid"


@pytest.fixture
def kiosk(settings: Settings, run_async: Any, secrets_of: Any) -> Any:
    """A service channel of the hospital with a terminal that must prove its orders."""

    async def register() -> Any:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            made = await services.register(
                connection,
                parts.vault,
                NewServiceChannel(
                    kind="kiosk",
                    name="自助机",
                    caller_id="his-1",
                    institution_id=HOSPITAL,
                    terminals=[Terminal(terminal_no="K02", name="二楼", proof=True)],
                ),
                destinations=Destinations(production=False),
                known={"wechat"},
                by=services.By(actor="op", request_id="req", now=clock.now()),
            )
        await parts.close()
        return made

    return run_async(register())


def test_a_terminal_proves_which_bills_it_asked_for(ward: Ward, kiosk: Any) -> None:
    patient = ward.resident()
    one, two = ward.of_resident(patient, 100), ward.of_resident(patient, 250)
    where = {"service_channel_id": kiosk.service_channel_id, "terminal_no": "K02"}

    def proof(*bills: Any, fen: int) -> str:
        named = ",".join(sorted(each["bill_no"] for each in bills))
        text = keyring.proof_text(merchant_no=kiosk.merchant_no, terminal_no="K02", source_no=named, amount_fen=fen)
        return keyring.proof(kiosk.terminal_keys["K02"], text)

    def ask(given: str) -> Any:
        body = {"institution_id": HOSPITAL, "bills": [one["bill_no"], two["bill_no"]], "payer_vuid": patient}
        return ward.his.call("POST", "/api/v1/payables/orders", body | where | {"proof": given})

    for wrong in ("", proof(one, two, fen=349), proof(one, fen=100)):
        assert refused(lambda given=wrong: ask(given))[1] == "PAY-4206"
    made = ask(proof(two, one, fen=350))
    assert made["amount_fen"] == 350
    found = ward.sql("SELECT service_channel_id, terminal_no FROM payments_order WHERE order_no = %s", made["order_no"])
    assert found == [(kiosk.service_channel_id, "K02")]
    assert ask(proof(one, two, fen=350))["order_no"] == made["order_no"]


def test_sixteen_at_once_make_one_order(ward: Ward) -> None:
    patient = ward.resident()
    bills = [ward.of_resident(patient, 1000 + number) for number in range(3)]
    made = together([lambda: ordered(ward.app, patient, *bills)] * 16)
    assert not [each for each in made if isinstance(each, ApiError) and not each.retryable]
    numbers = {each["order_no"] for each in made if not isinstance(each, ApiError)}
    assert len(numbers) == 1
    where = ward.sql("SELECT DISTINCT order_no FROM care_bill WHERE bill_no = ANY(%s)", [b["bill_no"] for b in bills])
    assert where == [(numbers.pop(),)]


def test_sixteen_different_wishes_leave_each_bill_in_one_open_order(ward: Ward) -> None:
    patient = ward.resident()
    bills = [ward.of_resident(patient, 1000 + number) for number in range(4)]
    wishes = [[bills[i % 4], bills[(i + 1 + i // 4) % 4]] for i in range(16)]
    together([lambda w=w: ordered(ward.app, patient, *w) for w in wishes])
    ward.work()
    names = [each["bill_no"] for each in bills]
    standing = ward.sql(
        "SELECT item->>'source_no', count(*) FROM payments_order, jsonb_array_elements(items) item"
        " WHERE state <> 'closed' AND item->>'source_no' = ANY(%s) GROUP BY 1",
        names,
    )
    assert {number for _, number in standing} == {1}
    for bill_no, order_no, state in ward.sql(
        "SELECT b.bill_no, b.order_no, o.state FROM care_bill b JOIN payments_order o USING (order_no)"
        " WHERE b.bill_no = ANY(%s)",
        names,
    ):
        assert (ward.bill_state(bill_no) == "expired") == (state == "closed"), order_no


def test_the_fee_of_a_booked_visit_and_a_deposit_are_paid_alone(ward: Ward) -> None:
    patient = ward.resident()
    fee = {"bill_no": f"F{patient[:9]}", "items": [{"name": "挂号费", "amount_fen": 900}], "total_fen": 900}
    booked = ward.visit(patient, fee=fee)["fee"]
    clinic = ward.of_resident(patient)
    deposit = ward.deposit(ward.admit(patient)["admission_no"], 50000)
    shown = {each["bill_no"]: each["alone"] for each in listed(ward.app, patient)["payables"]}
    assert shown == {booked["bill_no"]: True, clinic["bill_no"]: False, deposit["bill_no"]: True}
    for alone in (booked, deposit):
        assert refused(lambda each=alone: ordered(ward.app, patient, clinic, each)) == (409, "CARE-2005")
        assert ordered(ward.app, patient, alone)["order_no"] == alone["order_no"]
    assert ward.his.read_order(clinic["order_no"])["state"] == "created"
    ward.his.call("POST", f"/api/v1/orders/{deposit['order_no']}/close")
    ward.work()
    again = ordered(ward.app, patient, deposit)
    order = ward.his.read_order(again["order_no"])
    assert (order["source_kind"], order["source_id"]) == ("deposit", deposit["bill_no"])
    ward.pay(again["order_no"], ward.app)
    assert ward.bill_state(deposit["bill_no"]) == "paid"
