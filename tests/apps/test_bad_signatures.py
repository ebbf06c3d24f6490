"""Requests that are not genuine: altered, old, repeated, unknown, suspended; on the general and on the lean route."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import pytest
from wire import Wire, code_of

from yimatong.access import callers
from yimatong.apps.assembly import assemble
from yimatong.kit.settings import Settings

VERIFY, CODES = "/api/v1/codes/verify", "/api/v1/codes"
VUID = "A" * 64
BODIES: dict[str, dict[str, Any]] = {CODES: {"vuid": VUID}, VERIFY: {"code": f"{VUID}:1:", "purpose": "visit"}}
REFUSED = {CODES: "CRD-1001", VERIFY: "CRD-2002"}
"""What a genuine request of these bodies is told: the resident does not exist."""

PATHS = pytest.mark.parametrize("path", [CODES, VERIFY], ids=["general", "lean"])


@pytest.fixture(scope="module")
def his(core_url: str, secrets_of: dict[str, str]) -> Wire:
    return Wire(core_url, "his-1", secrets_of["his-1"])


@PATHS
def test_genuine(his: Wire, path: str) -> None:
    reply = his.send("POST", path, BODIES[path])
    assert code_of(reply) in (REFUSED[path], "CRD-2001")
    assert "ymt-signature" in reply.headers


@PATHS
@pytest.mark.parametrize("altered", ["body", "path", "query", "method", "key", "secret", "caller"])
def test_altered(his: Wire, secrets_of: dict[str, str], core_url: str, path: str, altered: str) -> None:
    sent: dict[str, Any] = {
        "body": {"body": b'{"vuid": "' + b"B" * 64 + b'"}'},
        "path": {"target": "/api/v1/codes/revoke"},
        "query": {"target": f"{path}?x=1"},
        "method": {"method": "PUT"},
        "key": {"key": "another"},
    }.get(altered, {})
    wire = Wire(core_url, "his-1", "00" * 32) if altered == "secret" else his
    reply = wire.send("POST", path, BODIES[path], sent=sent, caller_id="his-2" if altered == "caller" else None)
    assert (reply.status_code, code_of(reply)) == (401, "ACC-1002")
    assert "ymt-signature" not in reply.headers


@PATHS
@pytest.mark.parametrize("age_s", [301, -400, 10**6, -(10**6)])
def test_old_and_future_time_stamps(his: Wire, path: str, age_s: int) -> None:
    assert code_of(his.send("POST", path, BODIES[path], age_s=age_s)) == "ACC-1004"


@PATHS
@pytest.mark.parametrize("age_s", [200, -290])
def test_clocks_may_differ(his: Wire, path: str, age_s: int) -> None:
    assert code_of(his.send("POST", path, BODIES[path], age_s=age_s)) not in ("ACC-1004", "ACC-1002")


@PATHS
def test_repeated_nonce(his: Wire, path: str) -> None:
    nonce = secrets.token_hex(16)
    assert code_of(his.send("POST", path, BODIES[path], nonce=nonce)) != "ACC-1005"
    for _ in range(3):
        assert code_of(his.send("POST", path, BODIES[path], nonce=nonce)) == "ACC-1005"


def test_a_nonce_of_the_lean_route_is_used_up_on_the_general_one(his: Wire) -> None:
    nonce = secrets.token_hex(16)
    his.send("POST", VERIFY, BODIES[VERIFY], nonce=nonce)
    assert code_of(his.send("POST", CODES, BODIES[CODES], nonce=nonce)) == "ACC-1005"


def test_one_nonce_of_two_callers_is_two(core_url: str, secrets_of: dict[str, str]) -> None:
    nonce = secrets.token_hex(16)
    for name in ("his-1", "his-2"):
        reply = Wire(core_url, name, secrets_of[name]).send("POST", CODES, BODIES[CODES], nonce=nonce)
        assert code_of(reply) == "CRD-1001"


@PATHS
def test_unknown_terminal_and_wrong_signature_are_one_answer(his: Wire, core_url: str, path: str) -> None:
    unknown = his.send("POST", path, BODIES[path], caller_id="term-999").json()
    wrong = Wire(core_url, "his-1", "11" * 32).send("POST", path, BODIES[path]).json()
    assert unknown | {"request_id": ""} == wrong | {"request_id": ""}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer x",
        "YMT-HMAC-SM3",
        "YMT-HMAC-SM3 caller_id=his-1",
        f"YMT-HMAC-SM3 caller_id=his-1,timestamp=1,nonce=12345678,signature={'G' * 64}",
        f"YMT-HMAC-SM3 caller_id=his-1,timestamp=x,nonce=12345678,signature={'0' * 64}",
        f"YMT-HMAC-SM3 caller_id=his-1,timestamp=1,nonce=short,signature={'0' * 64}",
        f"YMT-HMAC-SM3 caller_id=his 1,timestamp=1,nonce=12345678,signature={'0' * 64}",
        f"YMT-HMAC-SM3 caller_id={'h' * 65},timestamp=1,nonce=12345678,signature={'0' * 64}",
        f"YMT-HMAC-SM3 caller_id=his-1,timestamp={'9' * 13},nonce=12345678,signature={'0' * 64}",
        "\xff\xfe",
    ],
)
@PATHS
def test_unreadable_header(his: Wire, path: str, header: str) -> None:
    reply = his.send("POST", path, BODIES[path], headers={"authorization": header.encode("latin-1")})  # type: ignore[dict-item]
    assert (reply.status_code, code_of(reply)) == (401, "ACC-1001")


@pytest.fixture
def set_state(settings: Settings, run_async: Callable[..., object]) -> Callable[[str, str], None]:
    def change(caller_id: str, state: str) -> None:
        async def work() -> None:
            parts = assemble(settings)
            try:
                async with parts.db.transaction() as connection:
                    await callers.set_state(connection, caller_id, state)
            finally:
                await parts.close()

        run_async(work())

    return change


@PATHS
def test_suspended_takes_effect_at_once_and_is_undone_within_the_cache_time(
    core_url: str, secrets_of: dict[str, str], set_state: Callable[[str, str], None], path: str
) -> None:
    wire = Wire(core_url, "his-2", secrets_of["his-2"])
    assert code_of(wire.send("POST", path, BODIES[path])) != "ACC-1003"
    set_state("his-2", "suspended")
    reply = wire.send("POST", path, BODIES[path])
    assert (reply.status_code, code_of(reply)) == (403, "ACC-1003")
    set_state("his-2", "approved")
    deadline = time.monotonic() + 30
    while code_of(wire.send("POST", path, BODIES[path])) == "ACC-1003":
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_revoked_is_for_ever(core_url: str, secrets_of: dict[str, str], set_state: Callable[[str, str], None]) -> None:
    from yimatong.access.errors import CallerUnknown

    wire = Wire(core_url, "term-2", secrets_of["term-2"])
    set_state("term-2", "revoked")
    for path in (CODES, VERIFY):
        assert code_of(wire.send("POST", path, BODIES[path])) == "ACC-1003"
    with pytest.raises(CallerUnknown):
        set_state("term-2", "approved")
