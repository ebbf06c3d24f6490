"""The golden record is survivorship of everything that was said, whatever flow said it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from registration_world import Tables, bare, new_name, new_phone, record, someone

from yimatong.apps.assembly import assemble
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.survivorship import DEFAULT, Statement, Survivorship, survive
from yimatong.empi.registration import comparing
from yimatong.kit import clock
from yimatong.kit.db import raw
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.settings import Settings
from yimatong_sdk import Client

START = datetime(2026, 1, 1, tzinfo=UTC)
Of = Callable[[str], Client]


def said(number: int, **facts: Any) -> Statement:
    given = {"kind": "feed", "level": 1, "at": START + timedelta(days=number), "name": "张三", "provider": "his-1"}
    return Statement(contribution_id=f"ctb_{number}", **{**given, **facts})


@pytest.mark.parametrize(
    ("field", "statements", "winner"),
    [
        ("phone", [said(1, phone="1", level=2), said(2, phone="2")], "1"),  # not overwritten unproven
        ("phone", [said(1, phone="1", level=2), said(2, phone="2", level=2)], "2"),
        ("phone", [said(1, phone="1", kind="registration"), said(2, phone="2")], "1"),
        ("phone", [said(1, phone="1"), said(2, phone="2")], "2"),
        ("phone", [said(1, phone="1"), said(2)], "1"),  # silence wins nothing
        ("name", [said(1, name="甲", level=3), said(2, name="乙")], "甲"),
        ("name", [said(1, name="甲", level=3), said(2, name="乙", kind="correction", level=2)], "乙"),
        ("name", [said(1, name="甲", level=3), said(2, name="乙", kind="correction")], "甲"),  # an unproven one
        ("address", [said(1, address="旧", level=3), said(2, address="新")], "新"),
        ("address", [said(1, address="旧"), said(2, kind="correction")], ""),  # a correction clears
        ("sex", [said(1, sex="1"), said(2, sex="9"), said(3, sex="0")], "1"),
        ("id_number", [said(1, id_type="98", id_number="D1", level=3), said(2, id_type="01", id_number="X")], "X"),
        (
            "birth_date",
            [said(1, birth_date=date(1980, 1, 1), estimated=True, level=3), said(2, birth_date=date(1981, 5, 2))],
            date(1981, 5, 2),
        ),
    ],
)
def test_who_wins(field: str, statements: list[Statement], winner: object) -> None:
    for _ in range(4):
        assert getattr(survive(statements), field) == winner
        random.shuffle(statements)


def test_order_of_reading_never_counts_and_every_field_says_who_said_it() -> None:
    statements = [
        said(n % 3, provider=f"his-{n}", phone=str(n), address=str(n), name=f"人{n % 2}", level=n % 4) for n in range(9)
    ]
    statements = [
        Statement(**{**{f: getattr(each, f) for f in each.__struct_fields__}, "contribution_id": f"c{n}"})
        for n, each in enumerate(statements)
    ]
    first = survive(statements)
    for _ in range(20):
        random.shuffle(statements)
        assert survive(statements) == first
    assert first.origins["phone"].contribution_id == f"c{first.phone}"
    assert "sex" not in first.origins


def test_rules_and_trust_are_data() -> None:
    statements = [said(1, phone="1", provider="his-1"), said(2, phone="2", provider="his-2")]
    assert survive(statements, Survivorship(trust={"his-1": 5})).phone == "1"
    assert survive(statements, Survivorship(fields={"phone": ("oldest",)})).phone == "1"
    assert set(DEFAULT) >= {"name", "sex", "birth_date", "certificate", "phone", "address", "marital"}


async def consistent(settings: Settings) -> int:
    """Hold every golden record in the database against its statements; return how many there are."""
    parts = assemble(settings)
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as connection:
        inside = await raw(connection)
        cursor = await inside.execute("SELECT mpi FROM empi_person WHERE state <> 'retired'")
        mpis = [row[0] for row in await cursor.fetchall()]
        held = await golden.lock(inside, mpis)  # type: ignore[arg-type]
        everything = await golden.contributions(inside, mpis, sealer=sealer)  # type: ignore[arg-type]
        for mpi, stated in zip(mpis, everything, strict=True):
            made = survive([each.statement for each in stated])
            assert golden.is_as(made, mpi, held[mpi], sealer=sealer), made.origins  # type: ignore[arg-type,index]
            assert list(held[mpi].search_tokens) == golden.tokens_of(blinder, made)  # type: ignore[index]
    await parts.close()
    return len(mpis)


def test_every_flow_of_cards_leaves_the_golden_record_that_its_statements_make(
    client: Of, settings: Settings, run_async: Callable[..., Any]
) -> None:
    his, other = client("his-1"), client("his-2")

    def account(who: Client, resident: dict[str, Any], method: str = "certificate_read") -> Any:
        return who.call("POST", "/api/v1/accounts", {"resident": resident, "real_name": method})

    resident = someone()
    first = account(his, resident)
    account(other, {**resident, "phone": new_phone(), "address": ""})  # again by another
    path = f"/api/v1/accounts/{first['vuid']}"
    his.call("POST", f"{path}/update", {"address": "陕西省西安市莲湖区丰庆路1号", "marital": "20"})
    his.call("POST", f"{path}/update", {"real_name": "certificate_read", "name": "欧阳改名", "phone": new_phone()})
    his.call("POST", f"{path}/update", {"address": ""})
    passport = {**someone(), "id_type": "03", "id_number": f"E{new_phone()}"}
    old = account(his, passport)
    renewed = {**passport, "id_number": f"E{new_phone()}"}
    change = {"resident": renewed, "real_name": "certificate_read",
              "old": {"id_type": "03", "id_number": passport["id_number"]}}  # fmt: skip
    his.call("POST", f"/api/v1/accounts/{old['vuid']}/certificate", change)
    born = bare()
    entry = {"kind": "no_certificate", "local_no": new_phone(), "name": born["name"], "sex": born["sex"],
             "birth_date": born["birth_date"], "phone": born["phone"]}  # fmt: skip
    entered = his.call("POST", "/api/v1/accounts/without-certificate", entry)
    known = someone()
    same = {**entry, "local_no": new_phone(), "name": known["name"], "birth_date": known["birth_date"]}
    nobody = his.call("POST", "/api/v1/accounts/without-certificate", {**same, "sex": known["sex"]})
    proven = {"resident": known, "real_name": "certificate_read"}
    his.call("POST", f"/api/v1/accounts/{nobody['vuid']}/certificate", proven)
    his.call("POST", "/api/v1/persons", record(resident))
    his.call("POST", "/api/v1/persons", record({**known, "phone": new_phone()}, real_name="window"))
    assert entered["vuid"]
    assert run_async(consistent(settings)) >= 4


def test_the_worker_compares_who_was_not_compared(
    client: Of, settings: Settings, run_async: Callable[..., Any]
) -> None:
    tables = Tables(settings.database_url)
    his = client("his-1")

    async def compare() -> None:
        parts = assemble(settings)
        while await comparing.compare_due(parts.db, parts.vault, now=clock.now()):
            pass
        await parts.close()

    run_async(compare())
    assert tables.count("empi_person", "compared_at IS NULL AND state = 'live'") == 0
    resident = someone(name=new_name())
    short = {key: value for key, value in resident.items() if key not in ("id_type", "id_number")}
    his.call("POST", "/api/v1/persons", record(short))
    entered = tables.one("SELECT mpi FROM empi_contribution ORDER BY at DESC LIMIT 1").mpi
    his.call("POST", "/api/v1/accounts", {"resident": resident, "real_name": "certificate_read"})
    waiting = tables.one("SELECT mpi FROM empi_person WHERE compared_at IS NULL AND state = 'live'").mpi
    run_async(compare())
    assert tables.one("SELECT current_mpi FROM empi_person WHERE mpi = %s", entered).current_mpi == waiting
    merge = tables.one("SELECT * FROM empi_decision WHERE kind = 'merge' AND left_mpi = %s", entered)
    assert (merge.method, merge.operator) == ("probability", "engine")
    assert run_async(consistent(settings)) >= 1


@pytest.mark.parametrize("fault", ["changed", "locked"])
def test_nobody_is_merged_on_old_facts_or_passed_over_for_a_lock(
    client: Of, settings: Settings, run_async: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    tables = Tables(settings.database_url)
    his, resident = client("his-1"), someone(name=new_name())
    short = {key: value for key, value in resident.items() if key not in ("id_type", "id_number")}
    his.call("POST", "/api/v1/persons", record(short))
    his.call("POST", "/api/v1/accounts", {"resident": resident, "real_name": "certificate_read"})
    waiting = tables.one("SELECT mpi FROM empi_person WHERE compared_at IS NULL ORDER BY created_at DESC LIMIT 1").mpi
    alarms = tables.count("kit_alarm", "kind = %s", comparing.ALARM)
    read, merge = comparing.likenesses, comparing.merges.merge_pair

    async def changed_meanwhile(*given: Any, **more: Any) -> Any:
        found = await read(*given, **more)
        with psycopg.connect(settings.database_url) as other:
            other.execute("UPDATE empi_person SET version = version + 1 WHERE mpi = %s", (waiting,))
        return found

    async def locked(*_given: Any, **_more: Any) -> Any:
        raise DatabaseUnavailable

    async def compare() -> int:
        parts = assemble(settings)
        done = await comparing.compare_due(parts.db, parts.vault, now=clock.now())
        await parts.close()
        return done

    with monkeypatch.context() as faulty:
        if fault == "changed":
            faulty.setattr(comparing, "likenesses", changed_meanwhile)
        else:
            faulty.setattr(comparing.merges, "merge_pair", locked)
        run_async(compare())
    left = tables.one("SELECT state, compared_at FROM empi_person WHERE mpi = %s", waiting)
    assert (left.state, left.compared_at) == ("live", None)
    assert tables.count("kit_alarm", "kind = %s", comparing.ALARM) == alarms
    assert comparing.merges.merge_pair is merge
    while run_async(compare()):
        pass
    assert tables.count("empi_person", "mpi = %s AND compared_at IS NOT NULL", waiting) == 1
    assert tables.count("empi_person", "current_mpi = %s", waiting) == 1
