"""The card index: what the registry and the accounts tell it, and which person a card stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from registry_world import Office, new_number, office  # noqa: F401

from yimatong_sdk import ApiError


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def resolve(office: Office, domain: str, number: str) -> Any:  # noqa: F811
    return office.his.call("POST", "/api/v1/cross-indexes/resolve", {"source": {"domain": domain, "number": number}})


def refused(office: Office, domain: str, number: str) -> str:  # noqa: F811
    with pytest.raises(ApiError) as caught:
        resolve(office, domain, number)
    return caught.value.code


def row(database: psycopg.Connection[Any], medium_id: str) -> Any:
    return database.execute(
        "SELECT m.kind, m.status, m.issuer, m.issued_on IS NOT NULL, m.chip_sealed IS NOT NULL, i.state,"
        " i.ended_reason, i.application_domain FROM empi_medium m JOIN empi_identifier i USING (medium_id)"
        " WHERE m.medium_id = %s",
        [medium_id],
    ).fetchone()


def test_a_card_follows_its_registry(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    resident, number = new_resident(), new_number()
    card = office.issue(resident, number, new_number("C"))
    found = resolve(office, "card:01", number)
    assert found["identifiers"][0]["domain"] == "certificate:01"
    assert row(database, card["card_id"]) == (
        ("card:01", "active", "435628013", True, True, "active", None, "health-card")
    )
    office.change(card, "lost")
    assert refused(office, "card:01", number) == "EMP-2014"
    assert "card:01" not in [
        each["domain"] for each in resolve(office, "certificate:01", resident.id_number)["identifiers"]
    ]
    office.change(card, "issued")
    assert resolve(office, "card:01", number)["mpi_ref"] == found["mpi_ref"]
    other = new_number()
    new = office.replace(card, other)
    assert refused(office, "card:01", number) == "EMP-2007"
    assert row(database, card["card_id"])[1:2] + row(database, card["card_id"])[5:7] == (
        "replaced",
        "ended",
        "replaced",
    )
    assert resolve(office, "card:01", other)["mpi_ref"] == found["mpi_ref"]
    office.change(new, "cancelled")
    assert refused(office, "card:01", other) == "EMP-2007"


def test_a_number_of_a_dead_card_is_given_to_somebody_else(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    number = new_number()
    first = office.issue(new_resident(), number)
    before = resolve(office, "card:01", number)["mpi_ref"]
    office.change(first, "cancelled")
    office.issue(new_resident(), number)
    assert resolve(office, "card:01", number)["mpi_ref"] != before


def test_a_card_whose_number_stands_for_somebody_else_takes_nothing(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    number = new_number()
    body = {"resident": vars(new_resident()), "real_name": "certificate_read"}
    ref = office.his.call("POST", "/api/v1/accounts", body)["mpi_ref"]
    made = {"mpi_ref": ref, "identifiers": [{"domain": "card:02", "number": number}]}
    office.his.call("POST", "/api/v1/cross-indexes", made)
    card = office.issue(new_resident(), number, card_type="02")
    assert resolve(office, "card:02", number)["mpi_ref"] == ref
    assert row(database, card["card_id"]) is None, "the card is in the index, without a person"
    assert database.execute("SELECT 1 FROM empi_medium WHERE medium_id = %s", [card["card_id"]]).fetchone()


def test_an_electronic_card_is_a_medium_once_the_news_is_heard(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    resident = new_resident()
    body = {"resident": vars(resident), "real_name": "certificate_read"}
    made = office.his.call("POST", "/api/v1/accounts", body)
    office.deliver()
    found = resolve(office, "card:electronic", made["vuid"])
    assert found["mpi_ref"] == made["mpi_ref"]
    told = {each["domain"]: each for each in resolve(office, "certificate:01", resident.id_number)["identifiers"]}
    assert told["card:electronic"]["masked"]
    assert told["card:electronic"]["application_domain"] == "e-health-card"
    state = f"/api/v1/accounts/{made['vuid']}/state"
    office.his.call("POST", state, {"state": "frozen"})
    office.deliver()
    assert refused(office, "card:electronic", made["vuid"]) == "EMP-2014"
    office.his.call("POST", state, {"state": "active"})
    office.deliver()
    assert resolve(office, "card:electronic", made["vuid"])["mpi_ref"] == made["mpi_ref"]
    database.execute("UPDATE kit_outbox SET state = 'pending', next_at = now() WHERE topic = 'cards.accounts_changed'")
    office.deliver()
    assert resolve(office, "card:electronic", made["vuid"])["mpi_ref"] == made["mpi_ref"], "repeats change nothing"
