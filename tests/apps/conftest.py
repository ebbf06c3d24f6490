"""The core on loopback for the tests of the assembled applications, and one of everything that it keeps."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from yimatong_sdk import Client

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]
from core_world import (  # noqa: E402, F401
    APPID,
    HOSPITAL,
    client,
    core_url,
    make_resident,
    merchant,
    new_resident,
    resident,
    secrets_of,
    settings,
    world,
)


@pytest.fixture(scope="module")
def owned(client: Callable[[str], Client], merchant: None, world: Any) -> SimpleNamespace:  # noqa: F811
    """One of each object, made through the API by app-1 (the account) and by hospital 1 (all the rest)."""
    app, his, terminal = client("app-1"), client("his-1"), client("term-1")
    account = app.register_account(vars(make_resident()), real_name="police_online")
    vuid = account["vuid"]
    code = app.issue_code(vuid, code_class="visit")["text"]
    record_id = terminal.verify_code(code, purpose="visit")["record_id"]
    made = SimpleNamespace(
        vuid=vuid, mpi_ref=account["mpi_ref"], record_id=record_id, visit_no="V-1", bill_no="B-1", source_no="S-1"
    )
    made.alias, made.relation_id = "E" * 64, "fam_" + "0" * 32
    his.register_visit({"visit_no": made.visit_no, "verification_id": record_id, "vuid": vuid, "department": "内科"})
    again = app.issue_code(vuid, code_class="visit")["text"]
    stay = {"verification_id": terminal.verify_code(again, purpose="visit")["record_id"], "vuid": vuid}
    made.admission_no = "Z-1"
    his.call("POST", "/api/v1/admissions", {"admission_no": made.admission_no, "department": "内科", **stay})
    items = [{"name": "西药费", "amount_fen": 1234}]
    made.bill_order_no = his.create_bill(
        {
            "visit_no": made.visit_no,
            "bill_no": made.bill_no,
            "description": "门诊缴费",
            "items": items,
            "total_fen": 1234,
        }
    )["order_no"]
    made.order_no = his.call(
        "POST",
        "/api/v1/orders",
        {"source_no": made.source_no, "description": "门诊缴费", "items": items, "amount_fen": 1234},
    )["order_no"]
    attempt = his.call("POST", f"/api/v1/orders/{made.order_no}/attempts", {"channel": "wechat", "scene": "native"})
    world.control("/control/wechat/pay", {"out_trade_no": attempt["attempt_no"]})
    assert his.call("POST", f"/api/v1/orders/{made.order_no}/refresh")["state"] == "paid"
    made.refund_no = his.create_refund(
        {"order_no": made.order_no, "request_no": "R-1", "amount_fen": 100, "reason": "退费"}
    )["refund_no"]
    card = {"card_number": "6101-" + secrets.token_hex(6), "card_type": "01", "issuer": "435628013"}
    holder = {"holder": vars(make_resident()), "real_name": "certificate_read"}
    made.card_id = his.call("POST", "/api/v1/physical-cards", card | holder)["card_id"]
    made.delivery = "2026-11-22"
    row = {"line": 1, "name": "张三", "sex": "1", "birth_date": "1980-01-02", "id_type": "01", "id_number": "1", **card}
    row.pop("issuer")
    his.call("POST", "/api/v1/physical-cards/deliveries", {"delivery": made.delivery, "rows": [row]})
    return made


@pytest.fixture
def key() -> str:
    return secrets.token_hex(8)
