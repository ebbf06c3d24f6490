"""Two cores over one database, everything at once in random order: nobody waits for ever, no code is good twice."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from core_world import make_resident

from yimatong.apps import core
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

CALLERS = ("his-1", "his-2", "app-1", "app-2")
ROUNDS = 200


@pytest.fixture(scope="module")
def nodes(settings: Settings, secrets_of: dict[str, str], serve: Callable[[object], str]) -> Iterator[list[Any]]:
    urls = [serve(lambda: core.build(settings)) for _ in range(2)]
    made = [
        {name: Client(url, caller_id=name, secret_hex=secrets_of[name], retries=0) for name in CALLERS} for url in urls
    ]
    yield made
    for node in made:
        for each in node.values():
            each.close()


def _ask(client: Client, path: str, body: Any, key: str = "") -> tuple[str, Any]:
    try:
        return "ok", client.call("POST", path, body, idempotency_key=key or secrets.token_hex(8))
    except ApiError as refused:
        return str(refused.code), None


@pytest.mark.parametrize(
    ("path", "body"), [("/api/v1/codes/revoke", {}), ("/api/v1/accounts/{vuid}/state", {"state": "frozen"})]
)
def test_a_change_locks_the_accounts_of_a_person_in_one_order(
    nodes: list[dict[str, Client]], database_url: str, path: str, body: dict[str, str]
) -> None:
    """The cancelled one first; whoever waits for it holds nothing that somebody else may wait for."""
    client, resident = nodes[0]["his-1"], make_resident()
    registration = {"resident": vars(resident), "real_name": "police_online"}
    vuid = client.call("POST", "/api/v1/accounts", registration)["vuid"]
    client.call("POST", f"/api/v1/accounts/{vuid}/state", {"state": "cancelled"})
    assert client.call("POST", "/api/v1/accounts", registration)["vuid"] == vuid
    lock = "SELECT FROM cards_account WHERE vuid = %s AND generation = %s FOR UPDATE"
    wanted = {"vuid": vuid} | body if path.endswith("revoke") else body
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database_url) as first:
        first.execute(lock, [vuid, 1])
        change = pool.submit(client.call, "POST", path.format(vuid=vuid), wanted)
        with psycopg.connect(database_url, autocommit=True) as other:
            while not other.execute("SELECT FROM pg_locks WHERE NOT granted").fetchall():
                assert not change.done(), "it did not wait"
                time.sleep(0.01)
            other.execute(f"{lock} NOWAIT", [vuid, 2])
        first.rollback()
        assert change.result(30)["vuid"] == vuid


def test_everything_at_once_on_two_nodes(nodes: list[dict[str, Client]]) -> None:
    people: list[SimpleNamespace] = [make_resident() for _ in range(5)]
    draw = random.Random(20261123)
    vuids: list[str] = []
    codes: list[str] = []
    accepted: Counter[str] = Counter()
    answers: Counter[str] = Counter()

    def one(seed: int) -> None:
        own = random.Random(seed)
        node, name = own.choice(nodes), own.choice(CALLERS)
        client, what = node[name], own.random()
        if what < 0.35 or not vuids:
            body = {"resident": vars(own.choice(people)), "real_name": "police_online"}
            code, made = _ask(client, "/api/v1/accounts", body, key=own.choice(["same", "", "", ""]) and f"k{seed % 7}")
            vuids.extend([made["vuid"]] if made else [])
        elif what < 0.6:
            code, made = _ask(client, "/api/v1/codes", {"vuid": own.choice(vuids), "ttl_s": 300})
            codes.extend([made["text"]] if made else [])
        elif what < 0.9 and codes:
            text = own.choice(codes[-6:])
            code, made = _ask(node[own.choice(("his-1", "his-2"))], "/api/v1/codes/verify",
                              {"code": text, "purpose": "visit"})  # fmt: skip
            accepted.update([text] if made else [])
        elif what < 0.96:
            path = f"/api/v1/accounts/{own.choice(vuids)}/state"
            code, made = _ask(client, path, {"state": own.choice(["frozen", "active", "active", "cancelled"])})
        else:
            code, made = _ask(client, "/api/v1/codes/revoke", {"vuid": own.choice(vuids)})
        answers[code] += 1

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(one, [draw.getrandbits(32) for _ in range(ROUNDS)]))
    assert not [code for code in answers if code.startswith("KIT-5")], answers
    assert set(accepted.values()) <= {1}
    assert answers["ok"] > ROUNDS // 4, answers
