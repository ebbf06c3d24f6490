"""A front on the wire between a caller and the core: forwards what it cannot change, invents nothing."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.gateways.front import INSTITUTION_PATHS, INTERNET_PATHS, Front
from yimatong.kit.http import Outbound
from yimatong_sdk import Client

sys.path.insert(0, str(Path(__file__).parents[1] / "apps"))
from wire import Wire, code_of

VUID = "A" * 64


@pytest.fixture(scope="module")
def front_url(core_url: str, secrets_of: dict[str, str], serve: Callable[..., str]) -> Callable[..., str]:
    def start(
        front_id: str = "front-1", *, secret: str = "", paths: tuple[str, ...] = INSTITUTION_PATHS, centre: str = ""
    ) -> str:
        key = bytes.fromhex(secret or secrets_of[front_id])
        return serve(
            lambda: Front(
                centre=centre or core_url, front_id=front_id, secret=key, paths=paths, outbound=Outbound(read_s=1)
            )
        )

    return start


@pytest.fixture(scope="module")
def front(front_url: Callable[..., str]) -> str:
    return front_url()


@pytest.fixture(scope="module")
def through(front: str, secrets_of: dict[str, str]) -> Wire:
    """Terminal 1 through the front of its own hospital."""
    return Wire(front, "term-1", secrets_of["term-1"])


def test_the_whole_way_through_a_front(
    front: str,
    client: Callable[[str], Client],
    secrets_of: dict[str, str],
    resident: SimpleNamespace,
    database_url: str,
) -> None:
    vuid = client("app-1").register_account(vars(resident), real_name="police_online")["vuid"]
    code = client("app-1").issue_code(vuid, code_class="visit")["text"]
    with Client(front, caller_id="term-1", secret_hex=secrets_of["term-1"], retries=0) as terminal:
        record_id = terminal.verify_code(code, purpose="visit")["record_id"]
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT front_id FROM cards_code_record WHERE record_id = %s", (record_id,)).fetchone()
    assert row == ("front-1",)


def test_bytes_pass_unchanged(serve: Callable[..., str], front_url: Callable[..., str]) -> None:
    seen: list[tuple[bytes, bytes, dict[bytes, bytes], bytes]] = []

    async def centre(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        seen.append((scope["raw_path"], scope["query_string"], dict(scope["headers"]), body))
        headers = [(b"content-type", b"application/json"), (b"ymt-signature", b"s"), (b"server-secret", b"x")]
        await send({"type": "http.response.start", "status": 207, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"odd":  "\xe4\xbd\xa0"}'})

    url = front_url(centre=serve(lambda: centre))
    body = b' {"vuid" : "\xe4\xbd\xa0", "b": 1.0e2}\n'
    reply = Wire(url, "term-1", "11" * 32).send(
        "POST", "/api/v1/codes/%2E%2E?b=2&a=1&a=%20", body, key="k-1", check=False
    )
    path, query, headers, arrived = seen[0]
    assert (path.split(b"?")[0], query, arrived) == (b"/api/v1/codes/%2E%2E", b"b=2&a=1&a=%20", body)
    assert headers[b"idempotency-key"] == b"k-1"
    assert b"caller_id=term-1" in headers[b"authorization"]
    assert b"caller_id=front-1" in headers[b"ymt-front"]
    assert (reply.status_code, reply.content) == (207, b'{"odd":  "\xe4\xbd\xa0"}')
    assert reply.headers["ymt-signature"] == "s"
    assert "server-secret" not in reply.headers


@pytest.mark.parametrize(
    "target", ["/", "/openapi/openapi.json", "/notify/wechat/x", "/api/v1/ordersx", "/api/v2/codes", "/api/v1/codesx/1"]
)
def test_what_is_not_served_is_refused_at_the_door(through: Wire, target: str) -> None:
    assert code_of(through.send("GET", target, check=False)) == "GWY-1001"


def test_the_internet_front_serves_no_hospital_operations(front_url: Callable[..., str]) -> None:
    url = front_url(paths=INTERNET_PATHS)
    for target in ("/api/v1/visits", "/api/v1/bills", "/api/v1/refunds"):
        assert code_of(Wire(url, "app-1", "11" * 32).send("POST", target, check=False)) == "GWY-1001"


def test_refused_at_the_door(through: Wire) -> None:
    assert code_of(through.send("POST", "/api/v1/codes", b"{}", age_s=301, check=False)) == "ACC-1004"
    assert code_of(through.send("POST", "/api/v1/codes", b"x" * 70_000, check=False)) == "KIT-1004"
    unsigned = through.send("POST", "/api/v1/codes", b"{}", headers={"authorization": "x"}, check=False)
    assert code_of(unsigned) == "ACC-1001"


def test_a_repeat_is_stopped_by_the_front_and_behind_it_by_the_core(
    through: Wire, front_url: Callable[..., str], secrets_of: dict[str, str]
) -> None:
    nonce = secrets.token_hex(16)
    body = {"vuid": VUID}
    assert code_of(through.send("POST", "/api/v1/codes", body, nonce=nonce)) == "CRD-1001"
    assert code_of(through.send("POST", "/api/v1/codes", body, nonce=nonce, check=False)) == "GWY-1002"
    another = Wire(front_url(), "term-1", secrets_of["term-1"])
    assert code_of(another.send("POST", "/api/v1/codes", body, nonce=nonce)) == "ACC-1005"


def test_a_stolen_front_cannot_invent_or_alter_a_terminals_request(through: Wire) -> None:
    invented = Wire(through.url, "term-1", "22" * 32)
    assert code_of(invented.send("POST", "/api/v1/codes", {"vuid": VUID}, check=False)) == "ACC-1002"
    altered = through.send("POST", "/api/v1/codes", {"vuid": VUID}, sent={"body": b"{}"}, check=False)
    assert code_of(altered) == "ACC-1002"


def test_a_front_carries_its_own_institution_only(through: Wire, secrets_of: dict[str, str]) -> None:
    other = Wire(through.url, "term-2", secrets_of["term-2"])
    assert code_of(other.send("POST", "/api/v1/codes", {"vuid": VUID}, check=False)) == "ACC-1009"


def test_who_is_no_front_carries_nothing(front_url: Callable[..., str], secrets_of: dict[str, str]) -> None:
    for front_id, secret, code in (("his-1", "", "ACC-1009"), ("front-1", "33" * 32, "ACC-1002")):
        wire = Wire(front_url(front_id, secret=secret), "term-1", secrets_of["term-1"])
        assert code_of(wire.send("POST", "/api/v1/codes", {"vuid": VUID}, check=False)) == code


def test_a_terminal_of_a_front_is_refused_directly(
    core_url: str, through: Wire, database_url: str, secrets_of: dict[str, str]
) -> None:
    direct = Wire(core_url, "term-1", secrets_of["term-1"])
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE access_caller SET through_front = 1 WHERE caller_id = 'term-1'")
    try:
        deadline = time.monotonic() + 30
        while code_of(direct.send("POST", "/api/v1/codes", {"vuid": VUID})) != "ACC-1010":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert code_of(direct.send("POST", "/api/v1/codes/verify", {"code": VUID, "purpose": "visit"})) == "ACC-1010"
        assert code_of(through.send("POST", "/api/v1/codes", {"vuid": VUID})) == "CRD-1001"
    finally:
        with psycopg.connect(database_url) as connection:
            connection.execute("UPDATE access_caller SET through_front = 0 WHERE caller_id = 'term-1'")


def test_centre_down_may_be_tried_again_with_the_same_bytes(front_url: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    wire = Wire(front_url(centre=f"http://127.0.0.1:{port}"), "term-1", "11" * 32)
    nonce = secrets.token_hex(16)
    for _ in range(2):
        reply = wire.send("POST", "/api/v1/codes", {"vuid": VUID}, nonce=nonce, check=False)
        assert (reply.status_code, code_of(reply), reply.json()["retryable"]) == (503, "GWY-5001", True)


def test_a_centre_that_never_answers_leaves_the_outcome_open(front_url: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kept: list[socket.socket] = []
        threading.Thread(target=lambda: kept.append(silent.accept()[0]), daemon=True).start()
        wire = Wire(front_url(centre=f"http://127.0.0.1:{silent.getsockname()[1]}"), "term-1", "11" * 32)
        reply = wire.send("POST", "/api/v1/codes", {"vuid": VUID}, check=False)
        assert (reply.status_code, code_of(reply), reply.json()["retryable"]) == (504, "GWY-5002", True)
        for each in kept:
            each.close()


def test_a_front_header_alone_is_not_a_signature(core_url: str, secrets_of: dict[str, str]) -> None:
    wire = Wire(core_url, "front-1", secrets_of["front-1"])
    reply = wire.send("POST", "/api/v1/codes", {"vuid": VUID}, headers={"ymt-front": "x"})
    assert code_of(reply) == "ACC-1001"
