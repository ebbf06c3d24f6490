"""The card's main job on the wire: a resident is enrolled, gets codes, and a terminal verifies them."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from yimatong.cards.codec import CodeClass, Valid, dynamic_text, seal_valid
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.keys import live_valid_keys
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]


def _enrol(client: Client, resident: SimpleNamespace, real_name: str = "police_online") -> Any:
    return client.register_account(vars(resident), real_name=real_name)


def _code_of(error: pytest.ExceptionInfo[ApiError]) -> str:
    return error.value.code


def test_enrol_gives_one_account_for_ever(client: Clients, resident: SimpleNamespace) -> None:
    first = _enrol(client("app-1"), resident)
    again = _enrol(client("app-1"), resident)
    assert len(first["vuid"]) == 64
    assert first == again
    assert first["name"] == "张三丰"
    assert client("app-1").read_account(first["vuid"]) == first


def test_same_idempotency_key_gives_the_same_answer(client: Clients, resident: SimpleNamespace) -> None:
    body = {"resident": vars(resident), "real_name": "police_online"}
    first = client("app-1").call("POST", "/api/v1/accounts", body, idempotency_key="k" * 20)
    assert client("app-1").call("POST", "/api/v1/accounts", body, idempotency_key="k" * 20) == first
    body["real_name"] = "bank_online"
    with pytest.raises(ApiError) as refused:
        client("app-1").call("POST", "/api/v1/accounts", body, idempotency_key="k" * 20)
    assert _code_of(refused) == "ACC-1008"


def test_repeat_is_answered_without_asking_the_register_again(
    client: Clients, resident: SimpleNamespace, database_url: str
) -> None:
    """The simulated register takes five seconds for this name; only the first request waits for it."""
    resident.name = "慢慢来"
    body = {"resident": vars(resident), "real_name": "police_online"}
    first = client("app-1").call("POST", "/api/v1/accounts", body, idempotency_key="slow-register")
    started = time.monotonic()
    assert client("app-1").call("POST", "/api/v1/accounts", body, idempotency_key="slow-register") == first
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("change", "code"), [({"name": "李四"}, "EMP-1001"), ({"birth_date": "1990-01-01"}, "EMP-1002")]
)
def test_strangers_certificate_is_refused_by_name(
    client: Clients, resident: SimpleNamespace, change: dict[str, str], code: str
) -> None:
    _enrol(client("app-1"), resident)
    with pytest.raises(ApiError) as refused:
        client("app-1").register_account(vars(resident) | change, real_name="police_online")
    assert _code_of(refused) == code


def test_sixteen_callers_at_once_get_one_account(client: Clients, resident: SimpleNamespace) -> None:
    started = threading.Barrier(16)

    def one(_: int) -> str:
        started.wait()
        return str(_enrol(client("app-1"), resident)["vuid"])

    client("app-1")
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(one, range(16)))) == 1


def test_dynamic_code_is_verified_once(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _enrol(client("app-1"), resident)["vuid"]
    code = client("app-1").issue_code(vuid, code_class="visit")
    seen = client("term-1").verify_code(code["text"], purpose="visit")
    assert seen["resident"]["name"] == "张三丰"
    assert seen["resident"]["id_number"] == resident.id_number
    with pytest.raises(ApiError) as refused:
        client("term-2").verify_code(code["text"], purpose="visit")
    assert _code_of(refused) == "CRD-2004"


def test_same_terminal_with_the_same_key_gets_its_first_answer(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _enrol(client("app-1"), resident)["vuid"]
    code = client("app-1").issue_code(vuid, code_class="visit")["text"]
    first = client("term-1").verify_code(code, purpose="visit", idempotency_key="retry-1")
    again = client("term-1").verify_code(code, purpose="visit", idempotency_key="retry-1")
    assert again["record_id"] == first["record_id"]


def test_the_key_of_a_use_opens_nothing_else(client: Clients, resident: SimpleNamespace) -> None:
    """A use for a visit, asked again with its key, is no answer for payment, records, or another visit."""
    vuid = _enrol(client("app-1"), resident)["vuid"]
    code = client("app-1").issue_code(vuid, code_class="general")["text"]
    client("term-1").verify_code(code, purpose="visit", idempotency_key="retry-2")
    for purpose in ("payment", "records", "register"):
        with pytest.raises(ApiError) as refused:
            client("term-1").verify_code(code, purpose=purpose, idempotency_key="retry-2")
        assert _code_of(refused) == "ACC-1008", purpose


def test_static_code_shows_a_masked_name_only(client: Clients, resident: SimpleNamespace) -> None:
    account = _enrol(client("app-1"), resident)
    seen = client("term-1").verify_code(account["static_code"], purpose="visit")
    assert seen["resident"]["name"] == "张*丰"
    assert seen["resident"]["id_number"] == ""
    with pytest.raises(ApiError) as refused:
        client("term-1").verify_code(account["static_code"], purpose="records")
    assert _code_of(refused) == "CRD-2007"


def test_code_pasted_onto_another_person_is_not_genuine(
    client: Clients, new_resident: Callable[[], SimpleNamespace]
) -> None:
    one, two = (_enrol(client("app-1"), new_resident())["vuid"] for _ in range(2))
    code = client("app-1").issue_code(one, code_class="visit")["text"]
    altered = code[:-1] + ("0" if code[-1] != "0" else "1")
    for forged in (
        two + code[64:],
        altered,
        code + ":P.a-token",
        code + ":S." + "A" * 124,
        f"{one}:0:{'A' * 32}",
        "F" * 64 + code[64:],
    ):
        with pytest.raises(ApiError) as refused:
            client("term-1").verify_code(forged, purpose="visit")
        assert _code_of(refused) == "CRD-2002"
    client("term-1").verify_code(code, purpose="visit")


def test_third_failure_burns_a_genuine_code(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _enrol(client("app-1"), resident)["vuid"]
    code = client("app-1").issue_code(vuid, code_class="visit")["text"]
    codes = []
    for _ in range(4):
        with pytest.raises(ApiError) as refused:
            client("term-1").verify_code(code, purpose="payment")
        codes.append(_code_of(refused))
    assert codes == ["CRD-2007", "CRD-2007", "CRD-2007", "CRD-2005"]
    with pytest.raises(ApiError) as refused:
        client("term-1").verify_code(code, purpose="visit")
    assert _code_of(refused) == "CRD-2005"


def test_revoked_frozen_and_cancelled(client: Clients, resident: SimpleNamespace) -> None:
    app = client("app-1")
    vuid = _enrol(app, resident)["vuid"]
    code = app.issue_code(vuid, code_class="visit")["text"]
    app.revoke_codes(vuid)
    with pytest.raises(ApiError) as refused:
        client("term-1").verify_code(code, purpose="visit")
    assert _code_of(refused) == "CRD-2006"
    app.change_account_state(vuid, "cancelled")
    with pytest.raises(ApiError) as refused:
        app.issue_code(vuid)
    assert _code_of(refused) == "CRD-1003"
    assert _enrol(app, resident)["vuid"] == vuid


def test_weaker_proof_of_another_app_is_refused(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _enrol(client("term-1"), resident, "certificate_read")["vuid"]
    with pytest.raises(ApiError) as refused:
        _enrol(client("app-2"), resident, "stated")
    assert _code_of(refused) == "CRD-1004"
    with pytest.raises(ApiError) as refused:
        client("app-2").read_account(vuid)
    assert _code_of(refused) == "CRD-1001"


def test_real_name_register_is_really_asked(client: Clients, resident: SimpleNamespace) -> None:
    resident.name = "假名字"
    with pytest.raises(ApiError) as refused:
        _enrol(client("app-1"), resident)
    assert _code_of(refused) == "CRD-1005"


def test_expired_code_of_the_platforms_own_keys(client: Clients, resident: SimpleNamespace, settings: Settings) -> None:
    vuid = _enrol(client("app-1"), resident)["vuid"]
    device = SoftDevice.open(settings.keystore, settings.keystore_passphrase, production=False)
    keys = live_valid_keys(device, settings.issuer, [vuid])
    for issued_at in (int(time.time()) - 600, int(time.time()) + 600):
        old = Valid(CodeClass.VISIT, issued_at, 60, secrets.token_bytes(5))
        with pytest.raises(ApiError) as refused:
            client("term-1").verify_code(dynamic_text(vuid, seal_valid(keys[max(keys)][0], old)), purpose="visit")
        assert _code_of(refused) == "CRD-2003"


def test_fifty_terminals_race_for_each_code(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _enrol(client("app-1"), resident)["vuid"]
    codes = [client("app-1").issue_code(vuid, code_class="visit")["text"] for _ in range(6)]
    clients = [client("term-1"), client("term-2")]

    def one(number: int) -> str:
        try:
            clients[number % 2].verify_code(codes[number % 6], purpose="visit")
        except ApiError as error:
            return error.code
        return "ok"

    with ThreadPoolExecutor(24) as pool:
        outcomes = list(pool.map(one, range(72)))
    assert outcomes.count("ok") == 6
    assert set(outcomes) <= {"ok", "CRD-2004", "CRD-2005"}
