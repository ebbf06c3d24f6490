from __future__ import annotations

import base64
import secrets
import time

import httpx
import pytest
from signed_calls import ask

from yimatong.crypto.gm.sm3 import hmac_sm3

SECRET = bytes(range(32))
BODY = b'{"type":"order.paid","order_no":"O1","amount_fen":1234}'


@pytest.fixture(scope="module")
def hospital(world):
    world.control("/control/his/h1", {"caller_id": "platform", "secret_hex": SECRET.hex()})
    return f"{world.url}/his/h1/notifications"


@pytest.fixture(autouse=True)
def _well_behaved(world, hospital):
    yield
    world.control("/control/his/h1/behaviour", {})


def send(url, *, key="", body=BODY, caller="platform", moment=None, nonce=None, secret=SECRET, coding="hex"):
    timestamp, nonce = str(int(moment or time.time())), nonce or secrets.token_hex(16)
    path = httpx.URL(url).raw_path.decode()
    code = hmac_sm3(secret, f"POST\n{path}\n{timestamp}\n{nonce}\n{key}\n".encode() + body + b"\n")
    signature = code.hex() if coding == "hex" else base64.b64encode(code).decode()
    head = f'YMT-HMAC-SM3 caller_id="{caller}",timestamp="{timestamp}",nonce="{nonce}",signature="{signature}"'
    headers = {"Authorization": head, "Idempotency-Key": key, "Content-Type": "application/json"}
    return httpx.post(url, content=body, headers=headers, trust_env=False)


def test_a_bill_is_booked_once(world, hospital):
    assert send(hospital, key="e1").json() == {"received": True, "duplicate": False}
    assert send(f"{hospital}?retry=1", key="e1", coding="base64").json() == {"received": True, "duplicate": True}
    assert send(hospital, key="e1", body=b'{"amount_fen":1}').status_code == 409
    booked = [each for each in world.control("/control/his/h1/booked") if each["idempotency_key"] == "e1"]
    assert [(each["deliveries"], each["event"]["order_no"]) for each in booked] == [(2, "O1")]


@pytest.mark.parametrize(
    "wrong",
    [{"caller": "other"}, {"secret": bytes(32)}, {"moment": 1.0}, {"moment": 10**20}, {"key": "", "body": BODY}],
)
def test_what_is_not_proven_is_not_booked(world, hospital, wrong):
    before = len(world.control("/control/his/h1/booked"))
    assert send(hospital, **({"key": "never"} | wrong)).status_code in (400, 401)
    assert len(world.control("/control/his/h1/booked")) == before


def test_nonces_and_strange_signatures(hospital):
    assert send(hospital, key="e2", nonce="n" * 20).status_code == 200
    assert send(hospital, key="e2", nonce="n" * 20).status_code == 401
    headers = {"Authorization": f"YMT-HMAC-SM3 caller_id=platform,timestamp={int(time.time())},nonce=x,signature=zz"}
    assert httpx.post(hospital, content=BODY, headers=headers, trust_env=False).status_code == 401
    assert httpx.post(hospital, content=BODY, trust_env=False).status_code == 401


def test_down_slow_and_losing_its_answers(world, hospital):
    world.control("/control/his/h1/behaviour", {"state": "down"})
    assert send(hospital, key="e3").status_code == 503
    world.control("/control/his/h1/behaviour", {"slow_s": 0.2, "lost_answers": 1})
    begun = time.monotonic()
    assert send(hospital, key="e3").status_code == 500
    assert time.monotonic() - begun >= 0.2
    assert send(hospital, key="e3").json() == {"received": True, "duplicate": True}


def test_books_can_be_made_to_differ(world, hospital):
    send(hospital, key="e4")
    world.control("/control/his/h1/correct", {"forget": ["e4"], "invent": [{"order_no": "GHOST"}]})
    booked = world.control("/control/his/h1/booked")
    assert "e4" not in {each["idempotency_key"] for each in booked}
    assert [each for each in booked if each["event"].get("order_no") == "GHOST"]
    with pytest.raises(httpx.HTTPStatusError):
        world.control("/control/his/h1/correct", {"forget": ["e4"]})
    with pytest.raises(httpx.HTTPStatusError):
        world.control("/control/his/h2/behaviour", {})


@pytest.mark.parametrize(
    ("name", "id_type", "number", "match"),
    [
        ("张三", "01", "11010519491231002X", True),
        ("张三", "01", "11010519491231002x", True),
        ("张三", "01", "110105194912310021", False),
        ("张三", "01", "short", False),
        ("张假三", "01", "11010519491231002X", False),
        ("John", "03", "P1234567", True),
    ],
)
def test_real_name_rules(world, name, id_type, number, match):
    question = {"name": name, "id_type": id_type, "id_number": number}
    answer = ask(f"{world.url}/realname/check", question).json()
    assert answer["match"] is match
    assert answer["trace_no"].startswith("RN")


def test_real_name_service_can_be_down_and_keeps_nothing(world):
    question = {"name": "停机", "id_type": "01", "id_number": "11010519491231002X"}
    assert ask(f"{world.url}/realname/check", question).status_code == 503
    assert ask(f"{world.url}/realname/check", {"name": ""}).status_code == 400
