"""Residents without a certificate, how they get one, and who shows whose codes."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.standards import id_number
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]
NewResident = Callable[[], SimpleNamespace]
ENTER = "/api/v1/accounts/without-certificate"


def _code(call: Callable[[], Any]) -> str:
    try:
        call()
    except ApiError as error:
        return error.code
    return ""


def _register(client: Client, resident: SimpleNamespace, real_name: str = "certificate_read") -> Any:
    return client.register_account(vars(resident), real_name=real_name)


def _identify(client: Client, vuid: str, resident: SimpleNamespace, real_name: str = "certificate_read") -> Any:
    body = {"resident": vars(resident), "real_name": real_name}
    return client.call("POST", f"/api/v1/accounts/{vuid}/certificate", body)


def _newborn(client: Client, mother: str, **more: Any) -> Any:
    body = {"kind": "newborn", "sex": "1", "birth_date": "2026-03-04", "guardian_vuid": mother} | more
    return client.call("POST", ENTER, body)


def _stranger(client: Client, **more: Any) -> Any:
    body = {"kind": "unidentified", "sex": "1", "age_estimate": 40, "local_no": secrets.token_hex(6)} | more
    return client.call("POST", ENTER, body)


def _begin(client: Client, guardian: str, member: str, consent: str, relation: str = "20") -> Any:
    body = {"member_vuid": member, "relation": relation, "consent": consent}
    return client.call("POST", f"/api/v1/accounts/{guardian}/family", body)


def _family(client: Client, vuid: str) -> list[dict[str, Any]]:
    return list(client.call("GET", f"/api/v1/accounts/{vuid}/family")["relations"])


_SERIALS = count(1, 2)


def _child(born: str = "2015-06-07", name: str = "张小丰") -> SimpleNamespace:
    first17 = f"610102{born.replace('-', '')}{next(_SERIALS):03d}"
    number = first17 + id_number.check_digit(first17)
    return SimpleNamespace(name=name, sex="1", birth_date=born, id_type="01", id_number=number, phone="13800138000")


def _rows(url: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query, values).fetchall()


def test_twins_stay_two_and_show_on_the_mothers_phone(client: Clients, resident: SimpleNamespace) -> None:
    his = client("his-1")
    mother = _register(his, resident)["vuid"]
    one, two = _newborn(his, mother), _newborn(his, mother, birth_order=2)
    assert one["vuid"] != two["vuid"]
    assert _newborn(his, mother)["vuid"] == one["vuid"]
    assert (one["name"], two["name"]) == ("张三丰之子", "张三丰之子二")
    assert one["id_type"] == "98"
    assert one["phone"] == resident.phone
    shown = _family(his, mother)
    assert {each["vuid"] for each in shown} == {one["vuid"], two["vuid"]}
    assert {(each["role"], each["relation_zh"], each["shows_code"]) for each in shown} == {("member", "子", True)}


def test_newborn_gets_a_number_without_losing_history(client: Clients, resident: SimpleNamespace) -> None:
    his = client("his-1")
    mother = _register(his, resident)["vuid"]
    baby = _newborn(his, mother)["vuid"]
    label = his.issue_code(baby, kind="static")["text"]
    known = _child("2026-03-04")
    wrong = _child("2026-03-05")
    assert _code(lambda: _identify(his, baby, wrong)) == "EMP-1001"
    done = _identify(his, baby, known)
    assert (done["name"], done["id_number"]) == ("张小丰", known.id_number)
    assert done["vuid"] != baby
    assert his.read_account(baby)["vuid"] == done["vuid"]
    events = his.call("GET", f"/api/v1/accounts/{baby}/history")["events"]
    assert [event["what"] for event in events] == ["identified", "family_begun", "opened"]
    assert events[0]["facts"][0] == {"name": "name", "before": "张***子", "after": "张*丰"}
    assert _family(his, mother)[0]["vuid"] == done["vuid"]
    assert label.startswith(baby)


def test_stranger_is_identified_as_a_registered_resident(
    client: Clients, resident: SimpleNamespace, database_url: str
) -> None:
    app, his = client("app-1"), client("his-1")
    hers = _register(app, resident, "police_online")["vuid"]
    stranger = _stranger(his)
    assert stranger["name"] == "无名氏"
    done = _identify(his, stranger["vuid"], resident)
    assert done["vuid"] == hers
    assert his.read_account(stranger["vuid"])["vuid"] == hers
    whats = [event["what"] for event in app.call("GET", f"/api/v1/accounts/{hers}/history")["events"]]
    assert whats[0] == "joined"
    assert whats.count("opened") == 2
    kept = _rows(
        database_url, "SELECT into_vuid, state_before FROM cards_account_join WHERE vuid = %s", stranger["vuid"]
    )
    assert kept == [(hers, "active")]
    states = _rows(
        database_url,
        "SELECT p.state, a.state, a.alias_of FROM cards_account a JOIN empi_person p USING (mpi) WHERE vuid = %s",
        stranger["vuid"],
    )
    assert states == [("retired", "alias", hers)]


def test_another_institution_does_not_come_to_the_registered_account_by_the_join(
    client: Clients, resident: SimpleNamespace
) -> None:
    number = secrets.token_hex(6)
    stranger = _stranger(client("his-1"), local_no=number)["vuid"]
    _register(client("app-1"), resident, "police_online")
    other = _stranger(client("his-2"), local_no=number)["vuid"]
    assert other != stranger
    _identify(client("his-1"), stranger, resident)
    assert _code(lambda: client("his-2").read_account(stranger)) == "CRD-1001"
    assert _identify(client("his-2"), other, resident)["vuid"] == client("his-1").read_account(stranger)["vuid"]


def test_join_of_another_name_or_with_a_weak_proof_is_refused(client: Clients, resident: SimpleNamespace) -> None:
    his = client("his-1")
    _register(client("app-1"), resident, "police_online")
    stranger = _stranger(his)["vuid"]
    wrong = SimpleNamespace(**vars(resident) | {"name": "李四"})
    assert _code(lambda: _identify(his, stranger, wrong)) == "EMP-1001"
    woman = _stranger(his, sex="2")["vuid"]
    assert _code(lambda: _identify(his, woman, resident)) == "EMP-1001"
    assert _code(lambda: _identify(his, stranger, resident, "stated")) == "CRD-1011"


def test_sixteen_entries_identified_at_once_are_one_account(
    client: Clients, resident: SimpleNamespace, database_url: str
) -> None:
    his = client("his-1")
    strangers = [_stranger(his)["vuid"] for _ in range(16)]
    started = threading.Barrier(16)

    def one(vuid: str) -> str:
        started.wait()
        return str(_identify(his, vuid, resident)["vuid"])

    with ThreadPoolExecutor(16) as pool:
        after = set(pool.map(one, strangers))
    assert len(after) == 1
    assert {his.read_account(vuid)["vuid"] for vuid in strangers} == after
    leads = _rows(database_url, "SELECT DISTINCT alias_of FROM cards_account WHERE vuid = ANY(%s)", strangers)
    assert {row[0] for row in leads} == after


def test_sixteen_entries_of_one_patient_at_once_are_one(client: Clients) -> None:
    his, number = client("his-1"), secrets.token_hex(6)
    started = threading.Barrier(16)

    def one(_: int) -> str:
        started.wait()
        return str(_stranger(his, local_no=number)["vuid"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(one, range(16)))) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "newborn", "sex": "1", "birth_date": "2026-03-04"},
        {"kind": "unidentified", "sex": "1", "age_estimate": 40},
        {"kind": "unidentified", "sex": "1", "local_no": "A1"},
        {"kind": "no_certificate", "sex": "1", "birth_date": "1950-01-01", "local_no": "A1"},
    ],
)
def test_entry_says_what_is_missing(client: Clients, body: dict[str, Any]) -> None:
    assert _code(lambda: client("his-1").call("POST", ENTER, body)) == "EMP-1011"


def test_child_under_the_phone_of_a_parent(client: Clients, resident: SimpleNamespace) -> None:
    app, other = client("app-1"), client("app-2")
    parent = _register(app, resident, "police_online")["vuid"]
    child = _register(app, _child(), "police_online")["vuid"]
    assert _code(lambda: _begin(app, child, parent, "written", "51")) == "CRD-1012"
    assert _code(lambda: _begin(app, parent, parent, "written")) == "CRD-1012"
    assert _code(lambda: _begin(app, parent, child, "written")) == "CRD-1014"
    assert _code(lambda: _begin(app, parent, child, "birth", "98")) == "STD-1301"
    _begin(app, parent, child, "birth")
    _begin(app, parent, child, "birth")
    assert len(_family(app, parent)) == 1
    assert _family(app, child)[0]["role"] == "guardian"
    assert _code(lambda: other.read_account(child)) == "CRD-1001"
    _register(other, resident, "police_online")
    assert other.read_account(child)["vuid"] == child
    assert other.issue_code(child, code_class="visit")["text"].startswith(child)
    assert _code(lambda: other.change_account_state(child, "cancelled")) == "CRD-1001"
    relation = _family(app, parent)[0]["relation_id"]
    assert _code(lambda: client("his-2").call("POST", f"/api/v1/family/{relation}/end")) == "CRD-1015"
    app.call("POST", f"/api/v1/family/{relation}/end")
    assert _code(lambda: other.read_account(child)) == "CRD-1001"
    assert _family(app, parent) == []


def test_coming_of_age_ends_what_the_guardian_shows(
    client: Clients, resident: SimpleNamespace, database_url: str
) -> None:
    app, other = client("app-1"), client("app-2")
    parent = _register(app, resident, "police_online")["vuid"]
    child = _register(app, _child(), "police_online")["vuid"]
    until = _begin(app, parent, child, "birth")["relations"][0]["shows_until"]
    assert until == "2033-06-07"
    _register(other, resident, "police_online")
    assert other.read_account(child)["vuid"] == child
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE cards_family SET shows_until = current_date - 1"
            " FROM cards_account a WHERE a.vuid = %s AND member_mpi = a.mpi",
            (child,),
        )
    assert _code(lambda: other.read_account(child)) == "CRD-1001"
    shown = _family(app, parent)[0]
    assert (shown["shows_code"], shown["vuid"]) == (False, "")


def test_elder_is_managed_with_consent_at_an_institution(client: Clients, new_resident: NewResident) -> None:
    app, his = client("app-1"), client("his-1")
    son, father = new_resident(), new_resident()
    for who in (son, father):
        _register(app, who, "police_online")
    vuids = [_register(his, who)["vuid"] for who in (son, father)]
    assert _code(lambda: _begin(app, *vuids, "written", "51")) == "CRD-1014"
    assert _begin(his, *vuids, "certificate_read", "51")["relations"][0]["kind"] == "adult"
    assert _code(lambda: _begin(his, *reversed(vuids), "written", "20")) == "CRD-1012"


def test_a_guardian_manages_only_so_many(client: Clients, resident: SimpleNamespace) -> None:
    his = client("his-1")
    mother = _register(his, resident)["vuid"]
    for order in range(1, 9):
        _newborn(his, mother, birth_order=order)
    assert _code(lambda: _newborn(his, mother, birth_order=9)) == "CRD-1013"
    assert len(_family(his, mother)) == 8
