"""The identity rule: what is possible, and one person for one certificate however it is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import msgspec
import psycopg
import pytest

from yimatong_sdk import Client

sys.path.insert(0, str(Path(__file__).parents[1]))
from core_world import client, core_url, new_resident, resident, secrets_of, settings, world  # noqa: F401

from yimatong.empi import errors
from yimatong.empi.persons import identity
from yimatong.empi.persons.schemas import Demographics, PersonRecord
from yimatong.kit.masking import Address, IdNumber, PersonName, Phone

TODAY = date(2026, 11, 23)
GOOD = Demographics(
    name="张三丰",
    sex="2",
    birth_date=date(1949, 12, 31),
    id_type="01",
    id_number="11010519491231002X",
    phone="13800138000",
)


def changed(**facts: object) -> Demographics:
    return msgspec.structs.replace(GOOD, **facts)


def test_every_way_of_writing_has_one_normal_form() -> None:
    normal = identity.checked(GOOD, today=TODAY)
    for number in ("11010519491231002x", "110105491231002", " 11010519491231002X "):
        assert identity.checked(changed(id_number=number), today=TODAY) == normal
    assert identity.checked(changed(name=" 张三丰 "), today=TODAY) == normal


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"id_type": "55"}, errors.CertificateTypeUnknown),
        ({"id_type": "98"}, errors.CertificateTypeUnknown),
        ({"birth_date": date(2026, 11, 24)}, errors.BirthDateImpossible),
        ({"birth_date": date(1890, 1, 1)}, errors.BirthDateImpossible),
        ({"birth_date": date(1949, 12, 30)}, errors.BirthDateDisagrees),
        ({"sex": "1"}, errors.SexDisagrees),
        ({"id_type": "03", "id_number": "护照"}, errors.CertificateNumberInvalid),
    ],
)
def test_impossible_facts_are_refused(facts: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error) as refused:
        identity.checked(changed(**facts), today=TODAY)
    if "birth_date" in facts:  # what a resident gave is not said again: error texts go to logs and reports
        told = f"{refused.value} {refused.value.facts} {refused.value.text('zh')}"
        assert str(facts["birth_date"]) not in told


@pytest.mark.parametrize(
    ("name", "sex", "same"), [("张三丰", "2", True), ("张三峰", "2", False), ("张三丰", "1", False)]
)
def test_same_person_or_not(name: str, sex: str, *, same: bool) -> None:
    known = PersonRecord(
        mpi=uuid4(),
        name=PersonName(name),
        sex=sex,
        birth_date=GOOD.birth_date,
        id_type="01",
        id_number=IdNumber(GOOD.id_number),
        phone=Phone(""),
        address=Address(""),
        state="live",
    )
    if same:
        identity.require_same(known, GOOD)
    else:
        with pytest.raises(errors.PersonDisagrees):
            identity.require_same(known, GOOD)


def test_fifteen_and_eighteen_digits_at_once_are_one_person(
    client: Callable[[str], Client],  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],  # noqa: F811
    database_url: str,
) -> None:
    person = vars(new_resident())
    short = person | {"id_number": person["id_number"][:6] + person["id_number"][8:17]}
    callers = [client(name) for name in ("app-1", "app-2", "his-1", "his-2")]

    def enrol(number: int) -> str:
        return str(callers[number % 4].register_account((person, short)[number % 2], real_name="stated")["vuid"])

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(enrol, range(16)))) == 1
    with psycopg.connect(database_url) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()
            for table in ("empi_person", "empi_certificate", "cards_account", "cards_holder", "empi_contribution")
        ]
    assert counts == [(1,), (1,), (1,), (4,), (16,)]


def test_nothing_personal_is_stored_in_the_clear(
    client: Callable[[str], Client],  # noqa: F811
    resident: SimpleNamespace,  # noqa: F811
    database_url: str,
) -> None:
    resident.name = "欧阳不在明文里"
    client("app-1").register_account(vars(resident), real_name="stated")
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for (row,) in connection.execute(f"SELECT t::text FROM {table} t").fetchall():
                for secret in (resident.name, resident.id_number, resident.phone):
                    assert secret not in row, table
                    assert secret.encode().hex() not in row, table
