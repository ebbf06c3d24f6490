"""Who may do what: every operation of the core by every kind of caller, and on whose objects.

The table must be complete: a new operation without a row fails. What is denied is denied by name (ACC-1006); an object
of somebody else answers exactly as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from core_world import make_resident

from yimatong_sdk import ApiError, Client

A, I, T, F = "app-1", "his-1", "term-1", "front-1"  # noqa: E741 -- app, institution, terminal, front
KINDS = (A, I, T, F)

MATRIX: dict[tuple[str, str], str] = {
    ("POST", "/api/v1/accounts"): "AIT",
    ("GET", "/api/v1/accounts/{vuid}"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/state"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/page-links"): "A",
    ("POST", "/api/v1/accounts/{vuid}/record-subscription"): "AI",
    ("POST", "/api/v1/accounts/without-certificate"): "I",
    ("POST", "/api/v1/accounts/search"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/certificate"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/update"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/history"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/bank-cards"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/bank-cards"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/bank-cards/{binding_id}/confirm"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/bank-cards/{binding_id}/default"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/bank-cards/{binding_id}/unbind"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/insurance-cards"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/insurance-cards"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/insurance-cards/{binding_id}/unbind"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/aliases"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/aliases/{alias}"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/family"): "AI",
    ("POST", "/api/v1/accounts/{vuid}/family"): "AI",
    ("POST", "/api/v1/family/{relation_id}/end"): "AI",
    ("POST", "/api/v1/codes"): "AIT",
    ("POST", "/api/v1/codes/verify"): "IT",
    ("POST", "/api/v1/codes/revoke"): "AI",
    ("GET", "/api/v1/codes/offline"): "IT",
    ("POST", "/api/v1/codes/offline-uses"): "IT",
    ("GET", "/api/v1/codes/records"): "AI",
    ("GET", "/api/v1/codes/records/counts"): "AI",
    ("POST", "/api/v1/codes/drawings"): "AIT",
    ("GET", "/api/v1/symbologies"): "AIT",
    ("POST", "/api/v1/labels"): "IT",
    ("POST", "/api/v1/labels/sheets"): "IT",
    ("POST", "/api/v1/labels/{serial}/revoke"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/labels"): "AI",
    ("POST", "/api/v1/kiosk-links"): "T",
    ("POST", "/api/v1/physical-cards"): "I",
    ("POST", "/api/v1/physical-cards/find"): "AI",
    ("GET", "/api/v1/physical-cards/{card_id}"): "AI",
    ("POST", "/api/v1/physical-cards/{card_id}/state"): "AI",
    ("POST", "/api/v1/physical-cards/{card_id}/replace"): "AI",
    ("GET", "/api/v1/accounts/{vuid}/physical-cards"): "AI",
    ("POST", "/api/v1/physical-cards/deliveries"): "I",
    ("GET", "/api/v1/physical-cards/deliveries/{delivery}"): "I",
    ("POST", "/api/v1/physical-cards/deliveries/{delivery}/retry"): "I",
    ("POST", "/api/v1/identify"): "IT",
    ("POST", "/api/v1/visit-cards"): "I",
    ("POST", "/api/v1/visit-cards/find"): "I",
    ("POST", "/api/v1/visits"): "IT",
    ("GET", "/api/v1/visits/{visit_no}"): "I",
    ("GET", "/api/v1/visits/{visit_no}/bills"): "IT",
    ("POST", "/api/v1/bills"): "I",
    ("GET", "/api/v1/bills/{bill_no}"): "IT",
    ("POST", "/api/v1/bills/{bill_no}/orders"): "I",
    ("POST", "/api/v1/orders"): "I",
    ("GET", "/api/v1/orders"): "AI",
    ("GET", "/api/v1/orders/{order_no}"): "AI",
    ("GET", "/api/v1/orders/{order_no}/cashier"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/cashier-links"): "I",
    ("POST", "/api/v1/orders/{order_no}/attempts"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/refresh"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/close"): "I",
    ("POST", "/api/v1/orders/{order_no}/take-back"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/legs"): "AIT",
    ("GET", "/api/v1/orders/{order_no}/legs"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/legs/{part}/drop"): "AIT",
    ("POST", "/api/v1/orders/{order_no}/scan"): "IT",
    ("GET", "/api/v1/orders/{order_no}/receipt"): "AI",
    ("GET", "/api/v1/orders/{order_no}/receipt.pdf"): "AI",
    ("GET", "/api/v1/orders/{order_no}/deliveries"): "AI",
    ("POST", "/api/v1/orders/{order_no}/deliveries/{message_id}/replay"): "I",
    ("POST", "/api/v1/agreements"): "AI",
    ("GET", "/api/v1/agreements"): "AI",
    ("POST", "/api/v1/agreements/{agreement_id}/confirm"): "AI",
    ("POST", "/api/v1/agreements/{agreement_id}/refresh"): "AI",
    ("POST", "/api/v1/agreements/{agreement_id}/end"): "AI",
    ("POST", "/api/v1/agreements/{agreement_id}/pay"): "AIT",
    ("POST", "/api/v1/codes/two-in-one"): "AIT",
    ("GET", "/api/v1/service-channels"): "AI",
    ("GET", "/api/v1/service-channels/{service_channel_id}"): "AI",
    ("GET", "/api/v1/channels/health"): "AI",
    ("POST", "/api/v1/prescription-codes/resolve"): "AIT",
    ("POST", "/api/v1/bills/{bill_no}/code"): "I",
    ("POST", "/api/v1/admissions"): "IT",
    ("GET", "/api/v1/admissions/{admission_no}"): "IT",
    ("POST", "/api/v1/admissions/{admission_no}/deposits"): "I",
    ("POST", "/api/v1/admissions/{admission_no}/settlement"): "I",
    ("GET", "/api/v1/payables"): "AIT",
    ("POST", "/api/v1/payables/orders"): "AIT",
    ("POST", "/api/v1/refunds"): "I",
    ("GET", "/api/v1/refunds/{refund_no}"): "I",
    ("POST", "/api/v1/persons"): "AI",
    ("POST", "/api/v1/persons/merge"): "I",
    ("POST", "/api/v1/persons/statistics"): "AI",
    ("POST", "/api/v1/persons/search"): "I",
    ("POST", "/api/v1/persons/match"): "I",
    ("GET", "/api/v1/persons/{mpi_ref}"): "AI",
    ("GET", "/api/v1/persons/{mpi_ref}/history"): "AI",
    ("POST", "/api/v1/persons/{mpi_ref}/cancel"): "I",
    ("POST", "/api/v1/person-subscriptions"): "AI",
    ("GET", "/api/v1/person-subscriptions"): "AI",
    ("POST", "/api/v1/person-subscriptions/{subscription_id}/pause"): "AI",
    ("POST", "/api/v1/person-subscriptions/{subscription_id}/resume"): "AI",
    ("POST", "/api/v1/person-subscriptions/{subscription_id}/end"): "AI",
    ("GET", "/api/v1/identifier-domains"): "AI",
    ("GET", "/api/v1/identifier-domains/{code}"): "AI",
    ("POST", "/api/v1/cross-indexes"): "I",
    ("POST", "/api/v1/cross-indexes/resolve"): "AI",
    ("POST", "/api/v1/cross-indexes/end"): "I",
}
"""A letter for every kind of caller that the operation is open to."""

ABSENT = {
    "vuid": "F" * 64,
    "visit_no": "nothing-there",
    "bill_no": "nothing-there",
    "order_no": "P20991231999999999999",
    "refund_no": "R20991231999999999999",
    "record_id": "rec_0",
    "subscription_id": "sub_" + "0" * 32,
    "card_id": "pcd_" + "0" * 32,
    "delivery": "nothing-there",
    "serial": "L000000000",
    "alias": "E" * 64,
    "relation_id": "fam_" + "0" * 32,
    "binding_id": "bkc_" + "0" * 32,
    "code": "nothing-there",
    "mpi_ref": "0" * 32,
    "part": "insurance",
    "message_id": "1",
    "agreement_id": "agr_" + "0" * 32,
    "service_channel_id": "svc_" + "0" * 32,
    "admission_no": "nothing-there",
}
UNBINDING = {"id_type": "01", "id_number": "11010519491231002X", "number": "6222021700000000012"}
NEW_ITEMS = [{"name": "西药费", "amount_fen": 100}]


def _paying(facts: dict[str, str]) -> dict[str, Any]:
    """Return what the operations of payments, payables and stays are sent."""
    return {
        "/api/v1/orders/{order_no}/attempts": {"channel": "wechat", "scene": "native"},
        "/api/v1/orders/{order_no}/legs": {
            "channel": "insurance",
            "name": "张三丰",
            "id_type": "01",
            "id_number": "11010519491231002X",
        },
        "/api/v1/orders/{order_no}/scan": {"text": "134567890123456789"},
        "/api/v1/agreements": {
            "vuid": facts["vuid"],
            "institution_id": "inst-h1",
            "channel": "alipay",
            "kind": "password_free",
        },
        "/api/v1/agreements/{agreement_id}/confirm": {"answer": "123456"},
        "/api/v1/agreements/{agreement_id}/pay": {"order_no": facts["order_no"]},
        "/api/v1/codes/two-in-one": {"vuid": facts["vuid"]},
        "/api/v1/prescription-codes/resolve": {"code": f"YMTRX:1:{'A' * 26}", "vuid": facts["vuid"]},
        "/api/v1/bills/{bill_no}/code": {},
        "/api/v1/admissions": {
            "admission_no": "Z-of-another",
            "verification_id": facts["record_id"],
            "vuid": facts["vuid"],
            "department": "内科",
        },
        "/api/v1/admissions/{admission_no}/deposits": {"bill_no": "D-of-another", "amount_fen": 100},
        "/api/v1/admissions/{admission_no}/settlement": {"settlement_no": "E-of-another", "total_fen": 0},
        "/api/v1/payables/orders": {
            "institution_id": "inst-h1",
            "bills": [facts["bill_no"]],
            "payer_vuid": facts["vuid"],
        },
        "/api/v1/refunds": {
            "order_no": facts["order_no"],
            "request_no": "R-of-another",
            "amount_fen": 1,
            "reason": "退费",
        },
    }


def bodies(facts: dict[str, str]) -> dict[str, Any]:
    """Return what each operation is sent, about the objects in ``facts``."""
    return {
        "/api/v1/accounts/{vuid}/state": {"state": "active"},
        "/api/v1/accounts/{vuid}/certificate": {
            "resident": vars(make_resident()),
            "real_name": "police_online",
            "old": {"id_type": "01", "id_number": "11010519491231002X"},
        },
        "/api/v1/accounts/{vuid}/update": {"address": "陕西省西安市"},
        "/api/v1/accounts/{vuid}/aliases/{alias}": {"on": False},
        "/api/v1/accounts/{vuid}/family": {"member_vuid": facts["vuid"], "relation": "20", "consent": "birth"},
        "/api/v1/accounts/{vuid}/bank-cards": {"number": "6222021700000000012"},
        "/api/v1/accounts/{vuid}/bank-cards/{binding_id}/confirm": {"code": "123456"},
        "/api/v1/accounts/{vuid}/bank-cards/{binding_id}/unbind": UNBINDING,
        "/api/v1/accounts/{vuid}/insurance-cards": {"kind": "social_card", "number": "61A123456", "password": "123456"},
        "/api/v1/accounts/{vuid}/insurance-cards/{binding_id}/unbind": UNBINDING,
        "/api/v1/physical-cards/{card_id}/state": {"state": "lost"},
        "/api/v1/physical-cards/{card_id}/replace": {"card_number": "6101-of-another"},
        "/api/v1/accounts/{vuid}/record-subscription": {"url": "http://127.0.0.1:8490/persons"},
        "/api/v1/persons/{mpi_ref}/cancel": {"reason": "error"},
        "/api/v1/codes": {"vuid": facts["vuid"]},
        "/api/v1/codes/revoke": {"vuid": facts["vuid"]},
        "/api/v1/labels": {"vuid": facts["vuid"]},
        "/api/v1/labels/{serial}/revoke": {"vuid": facts["vuid"]},
        "/api/v1/visits": {
            "visit_no": "V-of-another",
            "verification_id": facts["record_id"],
            "vuid": facts["vuid"],
            "department": "内科",
        },
        "/api/v1/bills": {
            "visit_no": facts["visit_no"],
            "bill_no": "B-of-another",
            "description": "缴费",
            "items": NEW_ITEMS,
            "total_fen": 100,
        },
        "/api/v1/bills/{bill_no}/orders": {},
        **_paying(facts),
    }


@pytest.fixture(scope="module")
def document(core_url: str) -> dict[str, Any]:
    return dict(httpx.get(f"{core_url}/openapi/openapi.json", trust_env=False).json())


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {
        (method.upper(), path) for path, item in document["paths"].items() for method in item if method != "parameters"
    }


def test_the_matrix_has_a_row_for_every_operation(document: dict[str, Any]) -> None:
    assert set(MATRIX) == operations(document)


def answer(client: Client, method: str, path: str, facts: dict[str, str]) -> tuple[int, str]:
    """Call and return (status, code), the code empty when it was done."""
    target = path.format(**ABSENT | facts)
    body = bodies(facts).get(path) if method == "POST" else None
    try:
        client.call(method, target, body)
    except ApiError as error:
        return error.http_status, error.code
    return 200, ""


@pytest.mark.parametrize("caller", KINDS)
@pytest.mark.parametrize(("method", "path"), MATRIX, ids=lambda part: part)
def test_denied_is_denied_by_name_and_allowed_is_not(
    client: Callable[[str], Client], owned: SimpleNamespace, method: str, path: str, caller: str
) -> None:
    letter = {A: "A", I: "I", T: "T", F: "F"}[caller]
    status, code = answer(client(caller), method, path, ABSENT)
    if letter in MATRIX[method, path]:
        assert code != "ACC-1006"
    else:
        assert (status, code) == (403, "ACC-1006")


NAMES_AN_OBJECT = [
    (method, path) for method, path in MATRIX if "{" in path or (method == "POST" and path in bodies(ABSENT))
]


@pytest.mark.parametrize("stranger", ["app-2", "his-2", "term-2"])
@pytest.mark.parametrize(("method", "path"), NAMES_AN_OBJECT, ids=lambda part: part)
def test_somebody_elses_object_answers_like_an_absent_one(
    client: Callable[[str], Client], owned: SimpleNamespace, method: str, path: str, stranger: str
) -> None:
    absent = answer(client(stranger), method, path, ABSENT)
    found = answer(client(stranger), method, path, vars(owned))
    assert found == absent
    assert found[0] in (403, 404)


OWNER = {"vuid": "app-1", "mpi_ref": "app-1"} | dict.fromkeys(
    ("record_id", "visit_no", "admission_no", "bill_no", "order_no", "refund_no", "card_id", "delivery"), "his-1"
)


NOT_FOUND_HERE = (
    "/api/v1/identifier-domains/{code}",
    "/api/v1/orders/{order_no}/receipt",
    "/api/v1/orders/{order_no}/receipt.pdf",
    "/api/v1/service-channels/{service_channel_id}",
)
"""What belongs to nobody; receipts, which the worker has issued; service channels, which operators register."""


@pytest.mark.parametrize(
    ("method", "path"),
    [each for each in MATRIX if each[0] == "GET" and "{" in each[1] and each[1] not in NOT_FOUND_HERE],
)
def test_the_owner_finds_it(client: Callable[[str], Client], owned: SimpleNamespace, method: str, path: str) -> None:
    name = path.split("{")[1].split("}", maxsplit=1)[0]
    assert answer(client(OWNER[name]), method, path, vars(owned)) == (200, "")


def test_lists_show_ones_own_only(client: Callable[[str], Client], owned: SimpleNamespace) -> None:
    mine = client("his-1").call("GET", "/api/v1/orders")["orders"]
    assert {order["order_no"] for order in mine} >= {owned.order_no, owned.bill_order_no}
    assert client("his-2").call("GET", "/api/v1/orders")["orders"] == []
    assert client("app-2").call("GET", "/api/v1/orders")["orders"] == []
    assert client("his-2").call("GET", f"/api/v1/orders?source_no={owned.source_no}")["orders"] == []


def test_one_number_of_two_institutions_is_two_objects(client: Callable[[str], Client], owned: SimpleNamespace) -> None:
    body = {"source_no": owned.source_no, "description": "缴费", "items": NEW_ITEMS, "amount_fen": 100}
    other = client("his-2").call("POST", "/api/v1/orders", body)
    assert other["order_no"] != owned.order_no
    assert client("his-2").call("GET", f"/api/v1/orders/{other['order_no']}")["amount_fen"] == 100
    with pytest.raises(ApiError) as refused:
        client("his-1").call("GET", f"/api/v1/orders/{other['order_no']}")
    assert refused.value.code == "PAY-1001"


def test_same_idempotency_key_of_two_callers_is_two_requests(
    client: Callable[[str], Client], owned: SimpleNamespace
) -> None:
    body = {"source_no": "shared-key", "description": "缴费", "items": NEW_ITEMS, "amount_fen": 100}
    first = client("his-1").call("POST", "/api/v1/orders", body, idempotency_key="one-key")
    second = client("his-2").call("POST", "/api/v1/orders", body, idempotency_key="one-key")
    assert first["order_no"] != second["order_no"]
