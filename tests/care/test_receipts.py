"""Electronic receipts through the application: whose they are, a stay's one receipt, and the slip of a deposit."""

from __future__ import annotations

import re
import secrets
from typing import Any

import httpx
import msgspec
import pypdfium2
import pytest
from care_world import Ward, refused

from yimatong.access import request_auth
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong.sandbox.local import LocalWorld


@pytest.fixture(scope="module")
def settings(plain_settings: Settings, world: LocalWorld) -> Settings:
    return msgspec.structs.replace(plain_settings, receipts_base_url=f"{world.url}/receipts")


def read(ward: Ward, order_no: str) -> Any:
    return ward.his.call("GET", f"/api/v1/orders/{order_no}/receipt")


class Download:
    """The PDF of an order as a caller gets it, by a request signed by hand."""

    def __init__(self, core_url: str, secrets_of: dict[str, str]) -> None:
        self._url, self._secrets = core_url, secrets_of

    def __call__(self, caller_id: str, order_no: str) -> httpx.Response:
        target, at, nonce = (
            f"/api/v1/orders/{order_no}/receipt.pdf",
            int(clock.now().timestamp()),
            secrets.token_hex(16),
        )
        text = request_auth.request_text(method="GET", target=target, timestamp=at, nonce=nonce, bound="", body=b"")
        signature = request_auth.sign(bytes.fromhex(self._secrets[caller_id]), text)
        header = request_auth.header(caller_id=caller_id, timestamp=at, nonce=nonce, signature=signature)
        with httpx.Client(base_url=self._url, trust_env=False, timeout=30) as http:
            return http.get(target, headers={"authorization": header})


@pytest.fixture
def download(core_url: str, secrets_of: dict[str, str]) -> Download:
    return Download(core_url, secrets_of)


def issued(ward: Ward, *numbers: str) -> list[Any]:
    return [each for each in ward.world.control("/control/receipts") if each["request_no"] in numbers]


def test_a_receipt_is_read_by_its_own_hospital_once_it_is_issued(ward: Ward, download: Download) -> None:
    placed = ward.of_resident(ward.resident(), 4321)
    order_no = placed["order_no"]
    assert refused(lambda: read(ward, order_no)) == (404, "PAY-4301")
    assert download("his-1", order_no).json()["code"] == "PAY-4301"
    ward.pay(order_no)
    found = read(ward, order_no)
    assert (found["order_no"], found["deposit"]) == (order_no, None)
    (receipt,) = found["receipts"]
    (kept,) = issued(ward, order_no)
    assert (receipt["kind"], receipt["state"], receipt["amount_fen"]) == ("blue", "issued", 4321)
    assert (receipt["receipt_no"], receipt["check_code"]) == (kept["receipt_no"], kept["check_code"])
    assert httpx.get(receipt["check_url"], trust_env=False).json()["genuine"] == 1
    for reader in (ward.other_his, ward.other_app):
        status, code = refused(lambda each=reader: each.call("GET", f"/api/v1/orders/{order_no}/receipt"))
        assert (status, code) == (404, "PAY-1001")
    for caller_id in ("his-2", "app-2"):
        answer = download(caller_id, order_no)
        assert (answer.status_code, answer.json()["code"]) == (404, "PAY-1001")
    assert refused(lambda: read(ward, "P20261130000000000000"))[0] == 404


def test_the_pdf_is_one_and_its_code_leads_to_the_check(ward: Ward, download: Download) -> None:
    placed = ward.of_resident(ward.resident(), 100)
    ward.pay(placed["order_no"])
    answer = download("his-1", placed["order_no"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["content-disposition"] == f'inline; filename="receipt-{placed["order_no"]}.pdf"'
    assert answer.headers["cache-control"] == "no-store"
    document = pypdfium2.PdfDocument(answer.content)
    assert len(document) == 1
    zxingcpp = pytest.importorskip("zxingcpp")
    seen = zxingcpp.read_barcodes(document[0].render(scale=4).to_pil())
    assert [each.text for each in seen] == [read(ward, placed["order_no"])["receipts"][0]["check_url"]]


def test_a_refusal_of_the_platform_is_shown_and_draws_nothing(ward: Ward, download: Download) -> None:
    placed = ward.of_resident(ward.resident(), 100)
    ward.world.control("/control/parties/receipts/behaviour", {"state": "down"})
    try:
        ward.pay(placed["order_no"])
        assert [each["state"] for each in read(ward, placed["order_no"])["receipts"]] == ["asked"]
        assert download("his-1", placed["order_no"]).json()["code"] == "PAY-4301"
    finally:
        ward.world.control("/control/parties/receipts/behaviour", {})


def stay_with(ward: Ward, *deposits: int) -> tuple[str, list[str]]:
    """Admit a resident who pays these deposits; return the stay's number and the deposits' orders."""
    stay = ward.admit(ward.resident("王小芳"))["admission_no"]
    placed = [ward.deposit(stay, fen)["order_no"] for fen in deposits]
    for order_no in placed:
        ward.pay(order_no)
    return stay, placed


def test_a_deposit_has_a_slip_and_no_receipt_before_the_stay_is_settled(ward: Ward, download: Download) -> None:
    stay = ward.admit(ward.resident())["admission_no"]
    unpaid = ward.deposit(stay, 30000)
    assert refused(lambda: read(ward, unpaid["order_no"])) == (404, "PAY-4301")
    ward.pay(unpaid["order_no"])
    found = read(ward, unpaid["order_no"])
    assert found["receipts"] == []
    slip = found["deposit"]
    assert (slip["source_id"], slip["amount_fen"], slip["held_fen"]) == (unpaid["bill_no"], 30000, 30000)
    assert (slip["amount_in_words"], slip["channel"]) == ("叁佰元整", "wechat")
    assert issued(ward, unpaid["order_no"]) == []
    answer = download("his-1", unpaid["order_no"])
    assert (answer.status_code, len(pypdfium2.PdfDocument(answer.content))) == (200, 1)
    assert download("his-2", unpaid["order_no"]).json()["code"] == "PAY-1001"


ITEMS = [{"name": "床位费", "amount_fen": 20000}, {"name": "手术费", "amount_fen": 40000}]


def settle(ward: Ward, stay: str, total_fen: int, items: list[Any]) -> Any:
    body = {"settlement_no": f"S{stay}", "total_fen": total_fen, "items": items}
    return ward.his.call("POST", f"/api/v1/admissions/{stay}/settlement", body)


def test_a_stay_that_deposits_cover_has_one_inpatient_receipt(ward: Ward, download: Download) -> None:
    stay, (first, second) = stay_with(ward, 50000, 30000)
    assert refused(lambda: settle(ward, stay, 60001, ITEMS))[1] == "PAY-1005"
    done = settle(ward, stay, 60000, ITEMS)
    assert done["admission"]["settlement"]["receipt_order_no"] == second
    ward.work(until_refunded=True)  # 200 yuan of the second deposit go back: no red receipt, it is on the blue one
    (receipt,) = read(ward, second)["receipts"]
    assert (receipt["kind"], receipt["state"], receipt["amount_fen"]) == ("blue", "issued", 60000)
    (kept,) = issued(ward, first, second)
    assert (kept["form"], kept["amount_fen"]) == ("inpatient", 60000)
    assert kept["receipt_code"].startswith("610602")
    slip = read(ward, second)["deposit"]
    assert (slip["used_fen"], slip["returned_fen"], slip["held_fen"]) == (10000, 20000, 0)
    assert read(ward, first)["receipts"] == []
    assert len(pypdfium2.PdfDocument(download("his-1", second).content)) == 2
    assert settle(ward, stay, 60000, ITEMS)["admission"] == ward.read_stay(stay)
    ward.work()
    assert len(issued(ward, first, second)) == 1


@pytest.mark.parametrize("by", ["his", "app"])
def test_a_stay_that_deposits_do_not_cover_has_its_receipt_with_the_rest(ward: Ward, by: str) -> None:
    stay, _ = stay_with(ward, 50000)
    due = settle(ward, stay, 60000, [])["due"]
    ward.work()
    order_no = due["order_no"]
    if by == "app":  # an order of the app's own takes the place of the bill's
        vuid = ward.read_stay(stay)["vuid"]
        clinic = ward.of_resident(vuid, 100)["bill_no"]
        wanted = {"institution_id": "inst-h1", "payer_vuid": vuid}
        both = wanted | {"bills": [due["bill_no"], clinic]}
        assert refused(lambda: ward.app.call("POST", "/api/v1/payables/orders", both)) == (409, "CARE-2005")
        ward.his.call("POST", f"/api/v1/orders/{order_no}/close")
        ward.work()
        order_no = ward.app.call("POST", "/api/v1/payables/orders", wanted | {"bills": [due["bill_no"]]})["order_no"]
        assert order_no != due["order_no"]
    assert refused(lambda: read(ward, order_no)) == (404, "PAY-4301")
    ward.pay(order_no)
    assert ward.read_stay(stay)["settlement"]["receipt_order_no"] == order_no
    (receipt,) = read(ward, order_no)["receipts"]
    (kept,) = issued(ward, order_no)
    assert (kept["form"], kept["amount_fen"], receipt["amount_fen"]) == ("inpatient", 60000, 60000)
    items = {"items": [{"line": 1, "amount_fen": 4000}]} if by == "app" else {}
    wanted = {"order_no": order_no, "request_no": f"r-{order_no}", "amount_fen": 4000, "reason": "多收"} | items
    ward.his.create_refund(wanted)
    ward.work(until_refunded=True)
    assert [each["amount_fen"] for each in read(ward, order_no)["receipts"]] == [60000, -4000]


def test_what_a_receipt_says_of_a_stay_is_sealed(ward: Ward) -> None:
    stay, _ = stay_with(ward, 500)
    settle(ward, stay, 400, [])
    ((content,),) = ward.sql("SELECT content_sealed FROM payments_stay ORDER BY noted_at DESC LIMIT 1")
    assert not re.search(re.escape(stay.encode()) + b"|" + "外科".encode(), bytes(content))
