"""The simulated guarantor and insurer, called as docs/spec publishes it, without the platform's client."""

from __future__ import annotations

import secrets

import httpx
import pytest
from signed_calls import ask

from yimatong.sandbox.local import LocalWorld

SECRET = "ab" * 32
MERCHANT = {"merchant_id": "H0001", "app_id": "app-1", "secret_hex": SECRET}


@pytest.fixture
def call(world):
    def send(party, path, body, **wrong):
        return ask(f"{world.url}/{party}/v1/{path}", body, **({"app_id": "app-1", "secret": SECRET} | wrong))

    for party in ("credit", "commercial"):
        world.control(f"/control/{party}/merchants", MERCHANT)
        world.control(f"/control/{party}/faults", {})
        world.control(f"/control/{party}/conditions", {"auto_fen": 100_000, "refund_settles_s": 0})
    return send


def payment(number="", amount_fen=100, **more):
    facts = {
        "merchant_id": "H0001",
        "payment_no": number or secrets.token_hex(8),
        "amount_fen": amount_fen,
        "description": "门诊缴费",
        "placed_at": "2026-11-30T10:00:00+08:00",
        "expires_at": "2099-11-30T10:30:00+08:00",
        "notify_url": "http://127.0.0.1:9/n",
    }
    return facts | more


def test_a_newcomer_is_taken_in_and_her_limit_is_kept(call):
    payer = secrets.token_hex(4)
    first = call("credit", "payments", payment(amount_fen=60_000, payer_id=payer)).json()
    assert (first["code"], first["payment"]["state"]) == ("OK", "settled")
    second = call("credit", "payments", payment(amount_fen=60_000, payer_id=payer)).json()
    assert (second["payment"]["state"], second["payment"]["reason"]) == ("declined", "OVER_LIMIT")


def test_expired_questions_are_declined(call):
    late = payment(expires_at="2020-01-01T00:00:00+08:00", payer_id="p1")
    assert call("credit", "payments", late).json()["payment"]["reason"] == "EXPIRED"


@pytest.mark.parametrize(
    "change", [{"amount_fen": 0}, {"amount_fen": 1.5}, {"amount_fen": "1"}, {"merchant_id": "H0002"}, {"extra": 1}]
)
def test_questions_of_another_shape_are_refused_signed(call, change):
    reply = call("credit", "payments", payment(payer_id="p1") | change)
    assert (reply.status_code, reply.json()["code"]) == (200, "BAD_REQUEST")


@pytest.mark.parametrize(
    "wrong", [{"secret": "cd" * 32}, {"app_id": "app-2"}, {"timestamp": "1"}, {"timestamp": "x"}, {"nonce": ""}]
)
def test_questions_that_are_not_signed_are_not_answered(call, wrong):
    assert call("credit", "payments", payment(payer_id="p1"), **wrong).status_code == 401


def test_a_nonce_counts_once(call):
    nonce = secrets.token_hex(8)
    assert call("credit", "payments/query", {"merchant_id": "H0001", "payment_no": "x"}, nonce=nonce).status_code == 200
    assert call("credit", "payments/query", {"merchant_id": "H0001", "payment_no": "x"}, nonce=nonce).status_code == 401


def test_a_policy_pays_its_rate_after_the_deductible_up_to_what_is_left(call, world):
    person = {"name": "王芳", "id_type": "01", "id_number": "610102198808080460", "policy_no": "PO9"}
    policy = {"policy_no": "PO9", "name": "王芳", "id_number": person["id_number"], "rate_percent": 90}
    world.control("/control/commercial/policies", policy | {"deductible_left_fen": 1000, "left_fen": 10_000})

    def presettle(amount_fen):
        bill = {
            "merchant_id": "H0001",
            "leg_no": secrets.token_hex(8),
            "order_no": "P1",
            "visit_no": "V1",
            "description": "门诊",
            "amount_fen": amount_fen,
            "placed_at": "2026-11-30T10:00:00+08:00",
            "lines": [{"name": "西药费", "amount_fen": amount_fen}],
            "insured": person,
        }
        return call("commercial", "presettle", bill).json()

    first = presettle(2001)["presettlement"]
    assert first["covered_fen"] == 900  # 90 % of 10.01 yuan, whole fen, rounded down
    claim = payment(amount_fen=900, presettle_no=first["presettle_no"], components={"claim_fen": 900})
    assert call("commercial", "claims", claim).json()["payment"]["components"] == {"claim_fen": 900}
    second = presettle(20_000)["presettlement"]
    assert second["covered_fen"] == 9100  # the deductible is used up, and so is nearly the sum insured


def test_books_outlive_a_restart(tmp_path):
    number, refund_no = secrets.token_hex(8), secrets.token_hex(8)
    named = {"merchant_id": "H0001", "payment_no": number}
    with LocalWorld(tmp_path) as world:
        world.control("/control/credit/merchants", MERCHANT)
        world.control("/control/credit/conditions", {"auto_fen": 100_000, "settles_s": -1, "refund_settles_s": 0})
        base = f"{world.url}/credit/v1"
        ask(f"{base}/payments", payment(number, payer_id="p1"), app_id="app-1", secret=SECRET)
    with LocalWorld(tmp_path) as world:
        base = f"{world.url}/credit/v1"
        found = ask(f"{base}/payments/query", named, app_id="app-1", secret=SECRET).json()["payment"]
        assert found["state"] == "pending"
        assert world.control("/control/credit/settle", named)["state"] == "settled"
        back = named | {"refund_no": refund_no, "refund_fen": 1, "asked_at": "2026-11-30T10:00:00+08:00"}
        asked = back | {"notify_url": "http://127.0.0.1:9/n"}
        assert ask(f"{base}/refunds", asked, app_id="app-1", secret=SECRET).json()["refund"]["state"] == "done"
    with LocalWorld(tmp_path) as world:
        assert [refund["state"] for refund in world.control("/control/credit/refunds")] == ["done"]
        assert world.control("/control/credit/lines")[0]["used_fen"] == 99


def test_the_control_port_says_what_is_not_there(world, call):
    with pytest.raises(httpx.HTTPStatusError) as refused:
        world.control("/control/credit/settle", {"merchant_id": "H0001", "payment_no": "none"})
    assert refused.value.response.json()["code"] == "UNKNOWN_NUMBER"
