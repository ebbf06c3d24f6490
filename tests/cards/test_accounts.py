"""What a card office meets, over HTTP: freezing, certificates that change, residents without one, updates, history."""

from __future__ import annotations

import itertools
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.standards import id_number
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]
NewResident = Callable[[], SimpleNamespace]


def _code(call: Callable[[], Any]) -> str:
    """Return the public code of the refusal, empty when the call succeeds."""
    try:
        call()
    except ApiError as error:
        return error.code
    return ""


def _register(client: Client, resident: SimpleNamespace, real_name: str = "police_online") -> Any:
    return client.register_account(vars(resident), real_name=real_name)


def _passport(resident: SimpleNamespace) -> SimpleNamespace:
    return SimpleNamespace(**vars(resident) | {"id_type": "03", "id_number": f"E{secrets.randbelow(10**8):08d}"})


def _change(client: Client, vuid: str, new: SimpleNamespace, old: Any = None, real_name: str = "police_online") -> Any:
    body = {"resident": vars(new), "real_name": real_name}
    if old is not None:
        body["old"] = {"id_type": old.id_type, "id_number": old.id_number}
    return client.call("POST", f"/api/v1/accounts/{vuid}/certificate", body)


def _state(client: Client, vuid: str, state: str, **more: str) -> Any:
    return client.call("POST", f"/api/v1/accounts/{vuid}/state", {"state": state} | more)


def _update(client: Client, vuid: str, **facts: str) -> Any:
    return client.call("POST", f"/api/v1/accounts/{vuid}/update", facts)


def _events(client: Client, vuid: str) -> list[dict[str, Any]]:
    return list(client.call("GET", f"/api/v1/accounts/{vuid}/history")["events"])


def _rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


def test_fifteen_and_eighteen_digits_are_one_account(client: Clients, resident: SimpleNamespace) -> None:
    short = SimpleNamespace(**vars(resident) | {"id_number": id_number.to_15(resident.id_number)})
    first = _register(client("app-1"), short)
    again = _register(client("app-1"), resident)
    assert first["vuid"] == again["vuid"]
    assert again["id_number"] == resident.id_number
    changed = _change(client("app-1"), first["vuid"], resident, short)
    assert changed["vuid"] == first["vuid"]


def test_renewed_passport_leaves_a_working_alias(client: Clients, resident: SimpleNamespace) -> None:
    app, old, new = client("app-1"), _passport(resident), _passport(resident)
    before = _register(app, old)["vuid"]
    after = _change(app, before, new, old)
    assert after["vuid"] != before
    assert (after["id_number"], after["phone"]) == (new.id_number, resident.phone)
    assert app.read_account(before) == app.read_account(after["vuid"]) == after
    assert _register(app, old)["vuid"] == _register(app, new)["vuid"] == after["vuid"]
    assert app.call("GET", f"/api/v1/accounts/{before}/aliases")["aliases"] == [{"vuid": before, "on": True}]
    names = [event["what"] for event in _events(app, before)]
    assert names[0] == "certificate_changed"
    assert "opened" in names


def test_chain_of_renewals_points_on_in_one_step(client: Clients, resident: SimpleNamespace, database_url: str) -> None:
    app, passports = client("app-1"), [_passport(resident) for _ in range(4)]
    vuids = [_register(app, passports[0])["vuid"]]
    for old, new in itertools.pairwise(passports):
        vuids.append(_change(app, vuids[0], new, old)["vuid"])
    rows = _rows(database_url, "SELECT vuid, alias_of FROM cards_account WHERE vuid = ANY(%s)", vuids)
    assert {row for row in rows if row[1]} == {(vuid, vuids[-1]) for vuid in vuids[:-1]}
    back = _change(app, vuids[-1], passports[0], passports[3])
    assert back["vuid"] == vuids[0]
    rows = _rows(database_url, "SELECT vuid, alias_of FROM cards_account WHERE vuid = ANY(%s)", vuids)
    assert {row for row in rows if row[1]} == {(vuid, vuids[0]) for vuid in vuids[1:]}


@pytest.mark.parametrize(
    ("change", "real_name", "code"),
    [
        ({"name": "李四"}, "police_online", "EMP-1001"),
        ({"birth_date": "1990-01-01"}, "police_online", "EMP-1001"),
        ({}, "stated", "CRD-1011"),
        ({}, "certificate_read", "CRD-1006"),
    ],
)
def test_certificate_change_needs_proof_and_agreement(
    client: Clients, resident: SimpleNamespace, change: dict[str, str], real_name: str, code: str
) -> None:
    app, old = client("app-1"), _passport(resident)
    vuid = _register(app, old)["vuid"]
    new = SimpleNamespace(**vars(_passport(resident)) | change)
    assert _code(lambda: _change(app, vuid, new, old, real_name)) == code
    assert app.read_account(vuid)["id_number"] == old.id_number


def test_certificate_of_another_person_and_wrong_old_number_are_refused_by_name(
    client: Clients, new_resident: NewResident
) -> None:
    app, one, two = client("app-1"), _passport(new_resident()), None
    two = SimpleNamespace(**vars(one) | {"id_number": "G87654321"})
    vuid = _register(app, one)["vuid"]
    _register(client("app-2"), two)
    assert _code(lambda: _change(app, vuid, two, one)) == "EMP-1008"
    fresh = SimpleNamespace(**vars(one) | {"id_number": "G11111111"})
    assert _code(lambda: _change(app, vuid, fresh, two)) == "EMP-1009"
    assert _code(lambda: _change(app, vuid, fresh, None)) == "EMP-1009"


def test_permanent_residence_card_of_both_forms(client: Clients, new_resident: NewResident) -> None:
    born = "1980-05-06"
    base = vars(new_resident()) | {"name": "John Smith", "birth_date": born, "id_type": "09"}
    first17 = "931" + "840" + "19800506" + f"{secrets.randbelow(999):03d}"
    old = SimpleNamespace(**base | {"id_number": f"USA3100800506{secrets.randbelow(99):02d}"})
    new = SimpleNamespace(**base | {"id_number": first17 + id_number.check_digit(first17)})
    his = client("his-1")
    vuid = _register(his, old, "certificate_read")["vuid"]
    changed = _change(his, vuid, new, old, "certificate_read")
    assert changed["vuid"] != vuid
    assert his.read_account(vuid)["vuid"] == changed["vuid"]
    slip = SimpleNamespace(**base | {"id_number": first17 + ("1" if new.id_number[-1] != "1" else "2")})
    assert _code(lambda: _change(his, vuid, slip, new, "certificate_read")) == "STD-1012"


def test_sixteen_changes_at_once_end_alike(client: Clients, resident: SimpleNamespace, database_url: str) -> None:
    app, old, new = client("app-1"), _passport(resident), _passport(resident)
    vuid = _register(app, old)["vuid"]
    started = threading.Barrier(16)

    def one(_: int) -> str:
        started.wait()
        return str(_change(app, vuid, new, old)["vuid"])

    with ThreadPoolExecutor(16) as pool:
        after = set(pool.map(one, range(16)))
    assert len(after) == 1
    rows = _rows(database_url, "SELECT count(*) FROM cards_account WHERE vuid = ANY(%s)", [vuid, *after])
    assert rows == [(2,)]


def test_alias_is_switched_off_and_on(client: Clients, resident: SimpleNamespace) -> None:
    app, old, new = client("app-1"), _passport(resident), _passport(resident)
    before = _register(app, old)["vuid"]
    after = _change(app, before, new, old)["vuid"]
    path = f"/api/v1/accounts/{after}/aliases/{before}"
    assert app.call("POST", path, {"on": False})["aliases"] == [{"vuid": before, "on": False}]
    assert _events(app, after)[0]["what"] == "alias_off"
    assert app.call("POST", path, {"on": True})["aliases"][0]["on"]
    assert _code(lambda: app.call("POST", f"/api/v1/accounts/{after}/aliases/{'E' * 64}", {"on": False})) == "CRD-1009"


def test_freeze_is_taken_back_by_the_same_or_a_stronger_party(client: Clients, resident: SimpleNamespace) -> None:
    app, his = client("app-1"), client("his-1")
    vuid = _register(app, resident)["vuid"]
    _register(his, resident, "certificate_read")
    _state(app, vuid, "frozen", reason="lost_phone")
    _state(his, vuid, "frozen", reason="suspected_fraud")
    assert _code(lambda: _state(app, vuid, "active")) == "CRD-1008"
    assert _code(lambda: _state(app, vuid, "cancelled")) == "CRD-1008"
    assert _code(lambda: _register(app, resident)) == "CRD-1002"
    assert _state(his, vuid, "active")["state"] == "active"
    _state(app, vuid, "frozen")
    assert _state(his, vuid, "active")["state"] == "active"


def test_reported_death_cancels_and_stays(client: Clients, resident: SimpleNamespace) -> None:
    app, his = client("app-1"), client("his-1")
    vuid = _register(app, resident)["vuid"]
    _register(his, resident, "certificate_read")
    assert _code(lambda: _state(app, vuid, "cancelled", reason="deceased", died_on="2026-01-01")) == "CRD-1016"
    assert _code(lambda: _state(his, vuid, "cancelled", reason="deceased")) == "CRD-1016"
    assert _code(lambda: _state(his, vuid, "cancelled", reason="deceased", died_on="2999-01-01")) == "EMP-1004"
    code = app.issue_code(vuid, code_class="visit")["text"]
    _state(his, vuid, "cancelled", reason="deceased", died_on="2026-01-01")
    assert _code(lambda: client("term-1").verify_code(code, purpose="visit")) == "CRD-2006"
    assert _code(lambda: _register(app, resident)) == "EMP-1010"


def test_registered_again_after_a_cancellation(client: Clients, resident: SimpleNamespace) -> None:
    app, old, new = client("app-1"), _passport(resident), _passport(resident)
    before = _register(app, old)["vuid"]
    after = _change(app, before, new, old)["vuid"]
    _state(app, before, "cancelled")
    assert app.read_account(after)["state"] == "cancelled"
    assert _register(app, new)["vuid"] == after
    assert app.read_account(before)["state"] == "active"


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"phone": "13900139000"}, "CRD-1011"),
        ({"phone": "13900139000", "real_name": "police_online"}, ""),
        ({"name": "张三風", "real_name": "stated"}, "CRD-1011"),
        ({"name": "张三風", "real_name": "police_online"}, ""),
        ({"sex": "2", "real_name": "police_online"}, "EMP-1003"),
        ({"nation": "99"}, "STD-1301"),
        ({"nation": "05", "marital": "20", "occupation": "教师", "address": "陕西省西安市雁塔区"}, ""),
        ({"address": ""}, "CRD-1010"),
    ],
)
def test_updates(client: Clients, resident: SimpleNamespace, facts: dict[str, str], code: str) -> None:
    app = client("app-1")
    vuid = _register(app, resident)["vuid"]
    assert _code(lambda: _update(app, vuid, **facts)) == code
    if not code:
        event = _events(app, vuid)[0]
        assert event["what"] == "updated"
        assert {fact["name"] for fact in event["facts"]} == set(facts) - {"real_name"}


def test_update_says_what_follows_and_history_is_masked(
    client: Clients, resident: SimpleNamespace, database_url: str
) -> None:
    app = client("app-1")
    vuid = _register(app, resident)["vuid"]
    done = _update(app, vuid, name="张三風", phone="13912345678", real_name="police_online")
    assert (done["changed"], done["follows"]) == (["name", "phone"], ["index", "registry"])
    assert (done["account"]["name"], done["account"]["phone"]) == ("张三風", "13912345678")
    event = _events(app, vuid)[0]
    assert event["facts"][0] == {"name": "name", "before": "张*丰", "after": "张*風"}
    assert event["facts"][1]["after"] == "139****5678"
    assert (event["actor"], event["actor_kind"]) == ("app-1", "app")
    assert event["request_id"].startswith("req_")
    rows = _rows(database_url, "SELECT sealed FROM cards_account_event WHERE vuid = %s AND what = 'updated'", vuid)
    assert "张*風".encode() not in bytes(rows[0][0])
    said = _rows(
        database_url, "SELECT count(*) FROM empi_contribution c JOIN cards_account a USING (mpi) WHERE vuid = %s", vuid
    )
    assert said == [(2,)]


def test_sex_and_birth_date_of_a_passport_change_with_the_certificate_only(
    client: Clients, resident: SimpleNamespace
) -> None:
    his, old = client("his-1"), _passport(resident)
    vuid = _register(his, old, "certificate_read")["vuid"]
    assert _code(lambda: _update(his, vuid, birth_date="1990-01-01", real_name="police_online")) == "CRD-1011"
    assert _update(his, vuid, birth_date="1990-01-01", real_name="certificate_read")["changed"] == ["birth_date"]


def test_somebody_elses_account_is_not_found(client: Clients, resident: SimpleNamespace) -> None:
    vuid = _register(client("app-1"), resident)["vuid"]
    stranger = client("app-2")
    assert _code(lambda: _update(stranger, vuid, address="x")) == "CRD-1001"
    assert _code(lambda: _events(stranger, vuid)) == "CRD-1001"
    assert _code(lambda: _change(stranger, vuid, _passport(resident), resident)) == "CRD-1001"


def _search(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    return list(client.call("POST", "/api/v1/accounts/search", wanted)["accounts"])


def test_accounts_are_found_every_way_and_masked(client: Clients, resident: SimpleNamespace) -> None:
    app, his = client("app-1"), client("his-1")
    resident.phone = f"137{secrets.randbelow(10**8):08d}"
    account = _register(app, resident)
    certificate = {"id_type": "01", "id_number": resident.id_number}
    pair = {"name": resident.name, "phone": resident.phone}
    for wanted in (
        {"vuid": account["vuid"]},
        {"mpi_ref": account["mpi_ref"]},
        {"certificate": certificate},
        {"name_and_phone": pair},
    ):
        found = _search(app, **wanted)
        assert [one["vuid"] for one in found] == [account["vuid"]]
        assert found[0]["name"] == "张*丰"
        assert found[0]["id_number"] != resident.id_number
        assert _search(client("app-2"), **wanted) == []
    for wanted in ({"certificate": certificate}, {"name_and_phone": pair}):
        found = _search(his, **wanted)
        assert [(one["vuid"], one["held"]) for one in found] == [("", False)]
    assert _search(his, vuid=account["vuid"]) == []
    assert _code(lambda: _search(his)) == "KIT-1001"
    assert _code(lambda: _search(his, vuid=account["vuid"], certificate=certificate)) == "KIT-1001"


def test_search_has_pages(client: Clients, new_resident: NewResident) -> None:
    his, phone = client("his-1"), f"136{secrets.randbelow(10**8):08d}"
    vuids = set()
    for _ in range(5):
        one = new_resident()
        one.phone = phone
        vuids.add(_register(his, one, "certificate_read")["vuid"])
    seen: list[str] = []
    after = ""
    while True:
        wanted = {"name_and_phone": {"name": "张三丰", "phone": phone}, "limit": 2, "after": after}
        page = his.call("POST", "/api/v1/accounts/search", wanted)
        seen += [one["vuid"] for one in page["accounts"]]
        after = page["next"]
        if not after:
            break
    assert len(seen) == 5
    assert set(seen) == vuids
