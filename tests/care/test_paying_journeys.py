"""Journeys at the window: payment codes, a mother's password-free agreement for her child, treatment before payment."""

from __future__ import annotations

import secrets
from typing import Any

import httpx
import pytest
from care_world import Ward, refused
from core_world import HOSPITAL

from yimatong.apps.assembly import assemble
from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Settings
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount
from yimatong.sandbox.alipay.enrolment import enrol_app
from yimatong.sandbox.local import LocalWorld

SCHEME_ACCOUNT = f"credit-{HOSPITAL}"


@pytest.fixture(scope="module")
def window(ward: Ward, settings: Settings, world: LocalWorld, run_async: Any) -> Ward:
    """Hospital 1 has Alipay, a credit scheme and a commercial insurer besides WeChat Pay."""
    app = enrol_app(world.control, app_id="2021000000000888", pid="2088000000000888", name="第一医院")
    secret = secrets.token_hex(32)
    facts = {"merchant_id": HOSPITAL, "app_id": f"ymt-{HOSPITAL}", "secret_hex": secret}
    for party in ("credit", "commercial"):
        world.control(f"/control/{party}/merchants", facts)
    alipay = {"private_key_pem": app.private_key_pem, "alipay_public_key_pem": app.alipay_public_key_pem}

    async def enter() -> None:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            for channel, merchant_id, app_id, kept in (
                ("alipay", app.pid, app.app_id, alipay),
                ("credit", HOSPITAL, f"ymt-{HOSPITAL}", {"secret_hex": secret}),
                ("commercial", HOSPITAL, f"ymt-{HOSPITAL}", {"secret_hex": secret}),
            ):
                account = ChannelAccount(
                    account_id=f"{channel}-{HOSPITAL}",
                    institution_id=HOSPITAL,
                    channel=channel,
                    merchant_id=merchant_id,
                    app_id=app_id,
                    secrets={name: Secret(value) for name, value in kept.items()},
                )
                await accounts.put_account(connection, parts.vault, account, now=clock.now())
        await parts.close()

    run_async(enter())
    return ward


def agree(ward: Ward, vuid: str, **limits: int) -> Any:
    """Let a resident sign a password-free agreement with hospital 1 at the simulated Alipay."""
    wanted = {"vuid": vuid, "institution_id": HOSPITAL, "channel": "alipay", "kind": "password_free", **limits}
    made = ward.app.call("POST", "/api/v1/agreements", wanted)
    assert (made["state"], made["redirect_url"] != "") == ("waiting", True)
    with httpx.Client(trust_env=False) as phone:
        page = phone.get(made["redirect_url"])
        assert "免密支付" in page.text, page.text
        action = page.text.split('action="')[1].split('"')[0]
        phone.post(ward.world.url + action, data={"decision": "pay"})
    done = ward.app.call("POST", f"/api/v1/agreements/{made['agreement_id']}/refresh")
    assert done["state"] == "agreed"
    return done


def payment_code(ward: Ward, vuid: str) -> str:
    return str(ward.app.issue_code(vuid, code_class="payment")["text"])


def test_a_window_takes_a_payment_code_of_wechat_pay(window: Ward) -> None:
    placed = window.of_resident(window.resident(), 3456)
    code = window.world.control("/control/wechat/payment-codes", {"ends": "pays"})["auth_code"]
    paid = window.kiosk.scan_to_pay(placed["order_no"], f"{code}\r\n")
    assert (paid["channel"], paid["by"], paid["state"]) == ("wechat", "payment_code", "paid")
    window.work()
    assert window.bill_state(placed["bill_no"]) == "paid"
    assert refused(lambda: window.kiosk.scan_to_pay(placed["order_no"], code)) == (409, "PAY-1003")


def test_a_mothers_agreement_pays_her_childs_bill_and_no_strangers(window: Ward) -> None:
    mother, child = window.mother_and_child()
    agree(window, mother, single_limit_fen=5000, daily_limit_fen=8000)
    hers = window.of_resident(child, 4800)
    paid = window.kiosk.scan_to_pay(hers["order_no"], payment_code(window, mother))
    assert (paid["channel"], paid["by"], paid["state"]) == ("alipay", "agreement", "paid")
    window.work()
    assert window.bill_state(hers["bill_no"]) == "paid"
    stranger = window.of_resident(window.resident("李四海"), 100)
    assert (
        refused(lambda: window.kiosk.scan_to_pay(stranger["order_no"], payment_code(window, mother)))[1] == "PAY-4006"
    )
    own = window.of_resident(mother, 4000)
    assert refused(lambda: window.kiosk.scan_to_pay(own["order_no"], payment_code(window, mother)))[1] == "PAY-4004"
    less = window.of_resident(mother, 3200)
    assert window.kiosk.scan_to_pay(less["order_no"], payment_code(window, mother))["state"] == "paid"


def test_a_code_pays_once_and_only_where_its_holder_agreed(window: Ward) -> None:
    patient = window.resident()
    placed = window.of_resident(patient, 100)
    code = payment_code(window, patient)
    assert refused(lambda: window.kiosk.scan_to_pay(placed["order_no"], code)) == (409, "PAY-4102")
    agree(window, patient)
    assert refused(lambda: window.kiosk.scan_to_pay(placed["order_no"], code))[1].startswith("CRD-")
    visit_code = window.app.issue_code(patient, code_class="visit")["text"]
    assert refused(lambda: window.kiosk.scan_to_pay(placed["order_no"], visit_code))[1].startswith("CRD-")
    assert window.kiosk.scan_to_pay(placed["order_no"], payment_code(window, patient))["state"] == "paid"


def test_treatment_first_and_payment_by_credit_later(window: Ward) -> None:
    patient, number = window.resident(), f"r-{secrets.token_hex(4)}"
    window.world.control("/control/credit/conditions", {"refund_settles_s": 0})
    line = {"agreement_no": f"CR{secrets.token_hex(4)}", "payer_id": number, "limit_fen": 9000}
    window.world.control("/control/credit/lines", line)
    visit = window.visit(patient)
    first = window.bill(visit["visit_no"], 6000, description="先诊疗后付费", expires_in_s=7 * 86400)
    wanted = {"channel": "credit", "scene": "direct", "payer_id": number}
    path = f"/api/v1/orders/{first['order_no']}/attempts"
    window.his.call("POST", path, wanted)
    assert window.his.read_order(first["order_no"])["state"] == "paid"
    second = window.bill(visit["visit_no"], 6000)
    over = f"/api/v1/orders/{second['order_no']}/attempts"
    assert refused(lambda: window.his.call("POST", over, wanted))[1] == "PAY-3001"
    back = {"order_no": first["order_no"], "request_no": number, "amount_fen": 6000, "reason": "退费"}
    window.his.create_refund(back)
    window.work(until_refunded=True)
    assert window.bill_state(first["bill_no"]) == "refunded"
    window.his.call("POST", over, wanted)
    window.work()
    assert window.bill_state(second["bill_no"]) == "paid"
    (used,) = [each for each in window.world.control("/control/credit/lines") if each["payer_id"] == number]
    assert used["used_fen"] == 6000


def claim(ward: Ward, order_no: str, **policy: Any) -> Any:
    """Insure somebody and ask the insurer what it pays of an order."""
    number = f"CP{secrets.token_hex(5)}"
    who = {"name": "张三丰", "id_number": "610102199001010014"}
    ward.world.control("/control/commercial/conditions", {"refund_settles_s": 0})
    ward.world.control("/control/commercial/policies", {"policy_no": number, **who, **policy})
    wanted = {"channel": "commercial", **who, "id_type": "01", "credential": "policy", "credential_no": number}
    return ward.his.call("POST", f"/api/v1/orders/{order_no}/legs", wanted)


def claims(ward: Ward, order_no: str) -> list[str]:
    """How the insurer's own books say that an order's claim stands."""
    found = ward.world.control("/control/commercial/payments")
    return [each["state"] for each in found if each["payment_no"].startswith(order_no)]


def test_a_commercial_insurer_pays_its_share_directly(window: Ward) -> None:
    placed = window.of_resident(window.resident(), 10_000)
    shared = claim(window, placed["order_no"], rate_percent=80, deductible_left_fen=2_000)
    (leg,) = shared["legs"]
    assert (leg["part"], leg["state"], leg["amount_fen"] + shared["cash_fen"]) == ("commercial", "presettled", 10_000)
    assert leg["amount_fen"] == 6_400, "80 % of what is over the deductible"
    window.pay(placed["order_no"])
    assert window.bill_state(placed["bill_no"]) == "paid"
    (settled,) = window.his.call("GET", f"/api/v1/orders/{placed['order_no']}/legs")["legs"]
    assert settled["state"] == "settled"
    assert claims(window, placed["order_no"]) == ["settled"]
    whole = {"order_no": placed["order_no"], "request_no": "back", "amount_fen": 10_000, "reason": "退费"}
    window.his.create_refund(whole)
    window.work(until_refunded=True)
    window.work(until_refunded=True)
    assert window.bill_state(placed["bill_no"]) == "refunded"


def test_an_insurer_that_pays_nothing_leaves_the_bill_to_its_payer(window: Ward) -> None:
    placed = window.of_resident(window.resident(), 5_000)
    assert refused(lambda: claim(window, placed["order_no"], until="2020-01-01"))[1] == "PAY-3001"
    window.pay(placed["order_no"])
    assert window.bill_state(placed["bill_no"]) == "paid"
    assert claims(window, placed["order_no"]) == []


def test_an_own_part_that_is_never_paid_gives_the_claim_back(window: Ward) -> None:
    placed = window.of_resident(window.resident(), 10_000)
    claim(window, placed["order_no"], rate_percent=50)
    window.start(window.his, placed["order_no"])
    assert claims(window, placed["order_no"]) == ["settled"], "the insurer's part comes first"
    window.his.call("POST", f"/api/v1/orders/{placed['order_no']}/close")
    window.work(until_refunded=True)
    window.sql(
        "UPDATE payments_order SET close_at = now() WHERE order_no = %s AND state = 'closing'", placed["order_no"]
    )
    window.work(until_refunded=True)
    assert window.his.read_order(placed["order_no"])["state"] == "closed"
    assert claims(window, placed["order_no"]) != ["settled"]
