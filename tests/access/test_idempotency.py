"""Idempotency keys on the wire: one effect however often and however many at once; a refusal frees the key."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]


def order(source_no: str, *, total_fen: int = 100) -> dict[str, Any]:
    items = [{"name": "西药费", "amount_fen": 100}]
    return {"source_no": source_no, "description": "缴费", "items": items, "amount_fen": total_fen}


def place(client: Client, body: dict[str, Any], key: str) -> Any:
    return client.call("POST", "/api/v1/orders", body, idempotency_key=key)


def test_sixteen_at_once_have_one_effect_and_one_answer(client: Clients, database_url: str) -> None:
    his = client("his-1")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: place(his, order("S-16"), "key-16"), range(16)))
    assert all(answer == answers[0] for answer in answers)
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM payments_order WHERE source_id = 'S-16'").fetchone() == (1,)
        audited = connection.execute("SELECT count(*) FROM kit_audit_event WHERE action = 'orders:write'").fetchone()
    assert audited == (1,)


def test_a_refusal_frees_the_key(client: Clients, database_url: str) -> None:
    his = client("his-1")
    with pytest.raises(ApiError) as refused:
        place(his, order("S-free", total_fen=99), "key-free")
    assert refused.value.code == "PAY-1005"
    with psycopg.connect(database_url) as connection:
        kept = connection.execute("SELECT count(*) FROM access_idempotency WHERE key = 'key-free'").fetchone()
    assert kept == (0,)
    assert place(his, order("S-free"), "key-free")["state"] == "created"


def test_the_same_key_for_another_request_is_refused(client: Clients) -> None:
    his = client("his-1")
    first = place(his, order("S-key"), "key-one")
    for body in (order("S-other"), order("S-key") | {"description": "别的"}):
        with pytest.raises(ApiError) as refused:
            place(his, body, "key-one")
        assert (refused.value.http_status, refused.value.code) == (422, "ACC-1008")
    with pytest.raises(ApiError) as refused:
        his.call("POST", f"/api/v1/orders/{first['order_no']}/cashier-links", idempotency_key="key-one")
    assert refused.value.code == "ACC-1008"


def test_kept_answers_are_sealed(client: Clients, database_url: str) -> None:
    order_no = place(client("his-1"), order("S-sealed"), "key-sealed")["order_no"]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT status, answer FROM access_idempotency WHERE key = 'key-sealed'").fetchone()
    assert row is not None
    assert row[0] == 201
    assert order_no.encode() not in row[1]
