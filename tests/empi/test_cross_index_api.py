"""Cross indexes over the signed native API: whose numbers a caller may use and see, and what is in the audit."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text

from yimatong.empi.identifiers import managing
from yimatong.empi.identifiers.managing import Change
from yimatong.empi.identifiers.schemas import DomainChange
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong_sdk import ApiError, Client

VISIT, OTHERS = "visit-card:inst-h1:01", "visit-card:inst-h2:01"
Clients = Callable[[str], Client]


def refused(client: Client, path: str, body: dict[str, Any]) -> str:
    with pytest.raises(ApiError) as caught:
        client.call("POST", path, body)
    return caught.value.code


def resolve(client: Client, domain: str, number: str, *targets: str) -> dict[str, Any]:
    body = {"source": {"domain": domain, "number": number}, "targets": list(targets)}
    return dict(client.call("POST", "/api/v1/cross-indexes/resolve", body))


def make(client: Client, mpi_ref: str, *numbers: tuple[str, str]) -> dict[str, Any]:
    identifiers = [{"domain": domain, "number": number} for domain, number in numbers]
    return dict(client.call("POST", "/api/v1/cross-indexes", {"mpi_ref": mpi_ref, "identifiers": identifiers}))


@pytest.fixture
def known(client: Clients, resident: SimpleNamespace) -> SimpleNamespace:
    """A resident whom both hospitals registered, each with a reference of its own."""
    body = {"resident": vars(resident), "real_name": "certificate_read"}
    refs = {his: client(his).call("POST", "/api/v1/accounts", body)["mpi_ref"] for his in ("his-1", "his-2")}
    return SimpleNamespace(id_number=resident.id_number, refs=refs, number=secrets.token_hex(6).upper())


def test_numbers_are_made_and_resolved(client: Clients, known: SimpleNamespace) -> None:
    his, ref = client("his-1"), known.refs["his-1"]
    made = make(his, ref, (VISIT, known.number), ("card:02", "A" + known.number), ("visit-card:inst-h1:02", "Z-1"))
    assert made["mpi_ref"] == ref
    assert [each["outcome"] for each in made["results"]] == ["entered"] * 3
    found = resolve(his, VISIT, known.number.lower())
    assert found["mpi_ref"] == ref
    told = {each["domain"]: (each["number"], each["masked"]) for each in found["identifiers"]}
    assert told["visit-card:inst-h1:02"] == ("Z-1", False)
    assert told["certificate:01"] == (known.id_number[:6] + "*" * 10 + known.id_number[-2:], True)
    assert told["card:02"] == ("*" * 9 + known.number[-4:], True)
    assert VISIT not in told, "the number asked by is not repeated"
    again = make(his, ref, (VISIT, known.number))
    assert again["results"][0]["outcome"] == "known"
    one = client("his-1").call(
        "POST",
        "/api/v1/cross-indexes",
        {"known": {"domain": VISIT, "number": known.number}, "identifiers": [{"domain": VISIT, "number": "n2"}]},
    )
    assert one["mpi_ref"] == ref


def test_a_hospital_neither_uses_nor_sees_the_numbers_of_another(client: Clients, known: SimpleNamespace) -> None:
    make(client("his-1"), known.refs["his-1"], (VISIT, known.number))
    make(client("his-2"), known.refs["his-2"], (OTHERS, known.number))
    body = {"source": {"domain": VISIT, "number": known.number}}
    assert refused(client("his-2"), "/api/v1/cross-indexes/resolve", body) == "EMP-2008"
    nothing = {"source": {"domain": VISIT, "number": "no-such-number"}}
    assert refused(client("his-2"), "/api/v1/cross-indexes/resolve", nothing) == "EMP-2008", "no oracle"
    assert refused(client("app-1"), "/api/v1/cross-indexes/resolve", body) == "EMP-2008"
    for caller, own, foreign in (("his-1", VISIT, OTHERS), ("his-2", OTHERS, VISIT)):
        found = resolve(client(caller), "certificate:01", known.id_number)
        domains = [each["domain"] for each in found["identifiers"]]
        assert own in domains
        assert foreign not in domains
        asked = resolve(client(caller), "certificate:01", known.id_number, foreign)
        assert asked["identifiers"] == []
        assert found["mpi_ref"] == known.refs[caller]
    entering = {
        "mpi_ref": known.refs["his-2"],
        "identifiers": [{"domain": VISIT, "number": "x"}, {"domain": OTHERS, "number": "y"}],
    }
    assert refused(client("his-2"), "/api/v1/cross-indexes", entering) == "EMP-2008"
    ending = {"source": {"domain": VISIT, "number": known.number}, "reason": "lost"}
    assert refused(client("his-2"), "/api/v1/cross-indexes/end", ending) == "EMP-2008"


async def test_an_operator_opens_a_domain_to_another_hospital(
    client: Clients, known: SimpleNamespace, database: Database
) -> None:
    make(client("his-1"), known.refs["his-1"], ("visit-card:inst-h1:03", known.number))
    body = {"source": {"domain": "visit-card:inst-h1:03", "number": known.number}}
    assert refused(client("his-2"), "/api/v1/cross-indexes/resolve", body) == "EMP-2008"
    change = Change(operator_id="op-1", reason="转诊协议", request_id="op_1", now=clock.now())
    async with database.transaction() as connection:
        for code in ("visit-card:inst-h1:03", "certificate:01"):
            await managing.change(connection, code, DomainChange(trusted=("inst-h2",)), version=1, change=change)
    found = resolve(client("his-2"), "visit-card:inst-h1:03", known.number)
    assert found["mpi_ref"] == known.refs["his-2"]
    assert {"domain": "certificate:01", "number": known.id_number, "masked": False}.items() <= found["identifiers"][
        0
    ].items()
    masked = resolve(client("his-1"), "visit-card:inst-h1:03", known.number)["identifiers"][0]
    assert masked["masked"]


def test_a_number_of_another_resident_stays_hers(
    client: Clients, known: SimpleNamespace, new_resident: Callable[[], SimpleNamespace]
) -> None:
    his = client("his-1")
    make(his, known.refs["his-1"], (VISIT, known.number))
    body = {"resident": vars(new_resident()), "real_name": "certificate_read"}
    other = his.call("POST", "/api/v1/accounts", body)["mpi_ref"]
    one = {"mpi_ref": other, "identifiers": [{"domain": VISIT, "number": known.number}]}
    assert refused(his, "/api/v1/cross-indexes", one) == "EMP-2005"
    mixed = make(his, other, (VISIT, known.number), (VISIT, "N" + known.number))
    assert [(each["outcome"], each["code"]) for each in mixed["results"]] == [("refused", "EMP-2005"), ("entered", "")]
    assert resolve(his, VISIT, known.number)["mpi_ref"] == known.refs["his-1"]
    ended = his.call(
        "POST",
        "/api/v1/cross-indexes/end",
        {"source": {"domain": VISIT, "number": known.number}, "reason": "wrong"},
    )
    assert ended["reason"] == "wrong"
    assert make(his, other, (VISIT, known.number))["results"][0]["outcome"] == "entered"
    assert resolve(his, VISIT, known.number)["mpi_ref"] == other


def test_only_who_entered_a_card_ends_it(client: Clients, known: SimpleNamespace) -> None:
    make(client("his-1"), known.refs["his-1"], ("card:02", known.number))
    body = {"source": {"domain": "card:02", "number": known.number}, "reason": "lost"}
    assert refused(client("his-2"), "/api/v1/cross-indexes/end", body) == "EMP-2007"
    assert client("his-1").call("POST", "/api/v1/cross-indexes/end", body)["domain"] == "card:02"


async def test_every_answer_is_in_the_audit_and_no_number_is(
    client: Clients, known: SimpleNamespace, database: Database
) -> None:
    make(client("his-1"), known.refs["his-1"], (VISIT, known.number))

    async def count(query: str) -> int:
        async with database.read() as connection:
            return int((await connection.execute(text(query))).scalar_one())

    reads = "SELECT count(*) FROM kit_audit_event WHERE action = 'cross-indexes:read' AND actor = 'his-1'"
    before = await count(reads)
    resolve(client("his-1"), VISIT, known.number)
    resolve(client("his-1"), "certificate:01", known.id_number)
    assert await count(reads) == before + 2
    for table in ("kit_audit_event", "empi_identifier", "empi_change"):
        query = f"SELECT count(*) FROM {table} t WHERE t::text LIKE '%{known.number}%'"
        assert await count(query) == 0, table


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("resolve", {"source": {"domain": "nothing:1", "number": "1"}}, "EMP-2001"),
        ("resolve", {"source": {"domain": "card:02", "number": "NOBODY01"}}, "EMP-2007"),
        ("resolve", {"source": {"domain": "card:02", "number": ""}}, "KIT-1001"),
        ("resolve", {"source": {"domain": "card:02\n", "number": "1"}}, "KIT-1001"),
        ("resolve", {"source": {"domain": "card:02", "number": "\u0000"}}, "EMP-2007"),
        ("resolve", {"source": {"domain": "card:02", "number": "1"}, "targets": ["x"]}, "EMP-2001"),
        ("resolve", {"source": {"domain": "card:02", "number": "1"}, "more": 1}, "KIT-1001"),
        ("", {"mpi_ref": "0" * 32, "identifiers": [{"domain": "card:02", "number": "12345678"}]}, "EMP-1005"),
        ("", {"identifiers": [{"domain": "card:02", "number": "12345678"}]}, "KIT-1001"),
        ("", {"mpi_ref": "0" * 32, "identifiers": []}, "KIT-1001"),
        ("end", {"source": {"domain": "certificate:01", "number": "11010519491231002X"}, "reason": "lost"}, "EMP-2012"),
        ("end", {"source": {"domain": "card:02", "number": "NOBODY01"}, "reason": "death"}, "KIT-1001"),
    ],
)
def test_bad_input_has_a_name(client: Clients, path: str, body: dict[str, Any], code: str) -> None:
    assert refused(client("his-1"), f"/api/v1/cross-indexes/{path}".rstrip("/"), body) == code


def test_domains_are_listed_and_read(client: Clients) -> None:
    his = client("his-1")
    found = {each["code"]: each for each in his.call("GET", "/api/v1/identifier-domains")["domains"]}
    assert {"certificate:01", "card:02", VISIT, "source:inst-h1"} <= set(found)
    assert not [code for code in found if "inst-h2" in code]
    assert found[VISIT]["name_zh"] == "第一医院就诊卡"
    assert found["certificate:01"]["oid"] == "2.16.156.10011.1.3"
    cards = his.call("GET", "/api/v1/identifier-domains?kind=card")["domains"]
    assert {each["kind"] for each in cards} == {"card"}
    assert his.call("GET", f"/api/v1/identifier-domains/{OTHERS}")["institution_id"] == "inst-h2"
    for code in ("visit-card:nobody:01", "nothing-there", "visit-card:inst-h1:77"):
        with pytest.raises(ApiError) as caught:
            his.call("GET", f"/api/v1/identifier-domains/{code}")
        assert caught.value.code == "EMP-2001"
    with pytest.raises(ApiError) as caught:
        his.call("GET", "/api/v1/identifier-domains?kind=nonsense")
    assert caught.value.code == "KIT-1001"
