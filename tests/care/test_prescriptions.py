"""Prescription codes: payable in an app for half an hour, afterwards at a kiosk or window; guesses are throttled."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

import pytest
from care_world import Ward, refused, together
from hypothesis import given
from hypothesis import strategies as st

from yimatong.care.errors import PrescriptionCodeUnknown
from yimatong.care.printed_codes import texts

RESOLVE = "/api/v1/prescription-codes/resolve"


def resolve(client: Any, code: str, vuid: str = "") -> Any:
    return client.call("POST", RESOLVE, {"code": code, "vuid": vuid})


def app_time_over(ward: Ward, placed: Any) -> None:
    """Half an hour passes."""
    for table, column, key in (("care_bill", "bill_no", "bill_no"), ("payments_order", "order_no", "order_no")):
        ward.sql(f"UPDATE {table} SET app_until = now() - interval '1 s' WHERE {column} = %s", placed[key])


@pytest.fixture
def prescribed(ward: Ward) -> tuple[str, Any]:
    patient = ward.resident()
    return patient, ward.of_resident(patient, 3210, kind="prescription", description="处方 1 号", code_image="svg")


@given(st.binary(min_size=16, max_size=16))
def test_a_text_is_read_however_the_scanner_ends_it(token: bytes) -> None:
    text = texts.text_of(token)
    assert re.fullmatch(r"YMTRX:1:[A-Z2-7]{26}", text)
    wanted = texts.digest_of(text)
    for read in (f"{text}\r\n", f" {text}", text.lower(), text.replace(":", "：")):
        assert texts.digest_of(read) == wanted
    for wrong in (text[:-1], text + "A", text.replace("YMTRX:1", "YMTRX:2"), text[:-1] + "1"):
        with pytest.raises(PrescriptionCodeUnknown):
            texts.digest_of(wrong)


def test_whoever_holds_the_slip_pays_it_by_her_own_app(ward: Ward, prescribed: tuple[str, Any]) -> None:
    _, placed = prescribed
    assert placed["code_image"].startswith("<?xml")
    payer = ward.resident("李四海", apps=(ward.other_app,))
    assert refused(lambda: ward.other_app.read_order(placed["order_no"])) == (404, "PAY-1001")
    shown = resolve(ward.other_app, placed["code"], payer)
    assert (shown["patient"], shown["amount_fen"], shown["institution_name"]) == ("张*丰", 3210, "第一医院")
    assert shown["items"][0]["name"] == "西药费"
    assert 0 < shown["app_left_s"] <= 1800
    assert shown["cashier_url"].startswith("http")
    assert ward.other_app.read_order(placed["order_no"])["state"] == "created"
    ward.pay(placed["order_no"], ward.other_app)
    assert ward.bill_state(placed["bill_no"]) == "paid"
    assert refused(lambda: resolve(ward.other_app, placed["code"], payer)) == (409, "CARE-4002")


def test_after_half_an_hour_the_app_is_sent_to_a_kiosk_and_the_kiosk_takes_it(
    ward: Ward, prescribed: tuple[str, Any]
) -> None:
    patient, placed = prescribed
    resolve(ward.app, placed["code"], patient)
    app_time_over(ward, placed)
    assert refused(lambda: resolve(ward.app, placed["code"], patient)) == (409, "PAY-1013")
    assert refused(lambda: ward.start(ward.app, placed["order_no"])) == (409, "PAY-1013")
    body = {"institution_id": "inst-h1", "bills": [placed["bill_no"]], "payer_vuid": patient}
    assert refused(lambda: ward.app.call("POST", "/api/v1/payables/orders", body)) == (409, "PAY-1013")
    shown = resolve(ward.kiosk, placed["code"])
    assert (shown["app_left_s"], shown["cashier_url"]) == (0, "")
    ward.pay(placed["order_no"], ward.kiosk)
    assert ward.bill_state(placed["bill_no"]) == "paid"


def test_time_in_apps_is_not_won_by_another_order(ward: Ward, prescribed: tuple[str, Any]) -> None:
    patient, placed = prescribed
    other = ward.of_resident(patient)
    body = {"institution_id": "inst-h1", "bills": [placed["bill_no"], other["bill_no"]], "payer_vuid": patient}
    both = ward.app.call("POST", "/api/v1/payables/orders", body)
    (until,) = ward.sql("SELECT app_until FROM payments_order WHERE order_no = %s", both["order_no"])[0]
    (wanted,) = ward.sql("SELECT app_until FROM care_bill WHERE bill_no = %s", placed["bill_no"])[0]
    assert abs((until - wanted).total_seconds()) <= 1
    assert refused(lambda: resolve(ward.app, placed["code"], patient)) == (409, "CARE-4003")
    app_time_over(ward, placed)
    assert refused(lambda: ward.app.call("POST", "/api/v1/payables/orders", body)) == (409, "PAY-1013")
    again = ward.kiosk.call("POST", "/api/v1/payables/orders", body | {"bills": [placed["bill_no"]]})
    assert refused(lambda: ward.start(ward.app, again["order_no"])) == (404, "PAY-1001")
    assert resolve(ward.kiosk, placed["code"])["order_no"] == again["order_no"]


def test_a_slip_printed_again_kills_the_one_before(ward: Ward, prescribed: tuple[str, Any]) -> None:
    patient, placed = prescribed
    path = f"/api/v1/bills/{placed['bill_no']}/code"
    again = ward.his.call("POST", path, {"code_image": "png"})
    assert base64.b64decode(again["code_image"]).startswith(b"\x89PNG")
    assert refused(lambda: resolve(ward.app, placed["code"], patient)) == (404, "CARE-4001")
    assert resolve(ward.app, again["code"], patient)["bill_no"] == placed["bill_no"]
    assert refused(lambda: ward.other_his.call("POST", path, {})) == (404, "CARE-2001")
    clinic = ward.of_resident(patient)
    assert refused(lambda: ward.his.call("POST", f"/api/v1/bills/{clinic['bill_no']}/code", {})) == (409, "CARE-2003")
    kept = ward.sql("SELECT digest FROM care_prescription_code WHERE bill_no = %s", placed["bill_no"])
    assert [bytes(row[0]) for row in kept] == [texts.digest_of(again["code"])]


def test_a_code_is_not_for_another_hospital_nor_for_somebody_elses_account(
    ward: Ward, prescribed: tuple[str, Any]
) -> None:
    patient, placed = prescribed
    assert refused(lambda: resolve(ward.other_his, placed["code"])) == (404, "CARE-4001")
    assert refused(lambda: resolve(ward.other_app, placed["code"], patient))[0] == 404
    assert refused(lambda: resolve(ward.app, placed["code"]))[1] == "KIT-1001"
    assert ward.sql("SELECT payer_caller_id FROM payments_order WHERE order_no = %s", placed["order_no"]) == [(None,)]
    ward.his.call("POST", f"/api/v1/orders/{placed['order_no']}/close")
    assert refused(lambda: resolve(ward.app, placed["code"], patient)) == (409, "CARE-4002")


def test_guessing_is_throttled_for_the_resident_and_not_for_her_neighbours(
    ward: Ward, prescribed: tuple[str, Any]
) -> None:
    patient, placed = prescribed
    guesser = ward.resident("王小明")
    wrong = [lambda: resolve(ward.app, texts.text_of(secrets.token_bytes(16)), guesser)] * 10
    assert {error.code for error in together(wrong)} <= {"CARE-4001", "CRD-2013"}
    assert refused(lambda: resolve(ward.app, placed["code"], guesser)) == (429, "CRD-2013")
    assert resolve(ward.app, placed["code"], patient)["bill_no"] == placed["bill_no"]
    ward.sql("UPDATE care_code_guess SET throttled_until = now() - interval '1 s', since = now() - interval '61 s'")
    assert resolve(ward.app, placed["code"], guesser)["bill_no"] == placed["bill_no"]
    assert refused(lambda: resolve(ward.app, "nonsense", guesser)) == (404, "CARE-4001")
