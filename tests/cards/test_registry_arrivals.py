"""批量制卡: rows of a delivery are entered as they come and registered by a job; bad ones keep a reason."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from registry_world import Office, new_number, office  # noqa: F401 -- a fixture

from yimatong_sdk import ApiError

PATH = "/api/v1/physical-cards/deliveries"


def _row(line: int, holder: SimpleNamespace, **change: Any) -> dict[str, Any]:
    return {
        "line": line,
        "card_number": new_number(),
        "card_type": "01",
        "chip_number": new_number("C"),
        **vars(holder),
        **change,
    }


def _send(office: Office, name: str, rows: list[dict[str, Any]]) -> Any:  # noqa: F811
    for start in range(0, len(rows), 100):
        view = office.his.call("POST", PATH, {"delivery": name, "rows": rows[start : start + 100]})
    return view


def test_bad_rows_keep_their_reason_and_good_ones_are_cards(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    known = new_resident()
    office.issue(known, taken := new_number())
    stranger = SimpleNamespace(**vars(known) | {"name": "李四"})
    rows = [
        _row(1, new_resident()),
        _row(2, new_resident(), card_type="77"),
        _row(3, new_resident(), card_number="?"),
        _row(4, new_resident(), phone=""),
        _row(5, new_resident(), birth_date="1980-02-30"),
        _row(6, new_resident(), id_number="610102198001020110"),
        _row(7, stranger),
        _row(8, new_resident(), card_number=taken),
        _row(9, twice := new_resident()),
        _row(10, twice),
    ]
    received = _send(office, "bad-rows", rows)
    assert (received["received"], received["waiting"]) == (10, 10)
    assert office.register_arrivals() == 10
    view = office.his.call("GET", f"{PATH}/bad-rows")
    assert (view["done"], view["waiting"]) == (3, 0)
    assert {row["line"]: row["code"] for row in view["refused_rows"]} == {
        2: "CRD-3008",
        3: "CRD-3007",
        4: "KIT-1001",
        5: "KIT-1001",
        6: view["refused_rows"][4]["code"],
        7: "EMP-1001",
        8: "CRD-3005",
    }
    said = {row["line"]: row["zh"] for row in view["refused_rows"]}
    assert "phone" in said[4]
    assert "birth_date" in said[5]
    assert "77" in said[2]
    assert office.identify(card_number=rows[0]["card_number"], card_type="01")["card_state"] == "issued"
    assert office.identify(chip_number=rows[9]["chip_number"])["resident"]["name"] == "张三丰"


def test_sent_again_changes_nothing_and_a_corrected_row_takes_its_place(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    rows = [_row(1, new_resident()), _row(2, new_resident(), phone="x")]
    _send(office, "again", rows)
    office.register_arrivals()
    assert _send(office, "again", [rows[0]])["waiting"] == 0
    assert office.his.call("POST", f"{PATH}/again/retry")["waiting"] == 1
    office.register_arrivals()
    assert office.his.call("GET", f"{PATH}/again")["refused"] == 1
    assert _send(office, "again", [rows[1] | {"phone": "13800138000"}])["waiting"] == 1
    office.register_arrivals()
    view = office.his.call("GET", f"{PATH}/again")
    assert (view["received"], view["done"], view["refused"]) == (2, 2, 0)


def test_late_delivery_brings_no_dead_card_back(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    row = _row(1, resident)
    _send(office, "monday", [row])
    office.register_arrivals()
    number = {"card_number": row["card_number"], "card_type": "01"}
    card = office.his.call("POST", "/api/v1/physical-cards/find", number)
    office.change(card, "cancelled")
    _send(office, "tuesday", [row])
    office.register_arrivals()
    assert office.his.call("GET", f"{PATH}/tuesday")["done"] == 1
    found = office.his.call("POST", "/api/v1/physical-cards/find", number)
    assert (found["card_id"], found["state"]) == (card["card_id"], "cancelled")


def test_two_workers_at_once_register_every_row_once(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database_url: str,
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    holders = [new_resident() for _ in range(300)]
    _send(office, "crowd", [_row(line, holder) for line, holder in enumerate(holders * 2, start=1)])
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: office.register_arrivals(), range(3)))
    assert sum(done) == 600
    view = office.his.call("GET", f"{PATH}/crowd")
    assert (view["done"], view["refused"]) == (600, 0)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT count(*), count(DISTINCT card_id) FROM cards_arrival WHERE delivery = 'crowd'"
        ).fetchone()
        persons = connection.execute(
            "SELECT count(*) FROM empi_certificate c LEFT JOIN empi_person p USING (mpi) WHERE p.mpi IS NULL"
        ).fetchone()
    assert rows == (600, 600)
    assert persons == (0,)


@pytest.mark.parametrize("state", ["XX000", "54000"])
def test_a_row_that_nobody_foresaw_stands_alone(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database_url: str,
    state: str,
) -> None:
    """One card that the database cannot take, for whatever reason, does not hold up the other ten."""
    rows = [_row(line, new_resident()) for line in range(1, 12)]
    rows[6]["chip_number"] = "FA11" + rows[6]["chip_number"]
    _send(office, f"odd-{state}", rows)
    end = rows[6]["card_number"][-4:]
    with psycopg.connect(database_url) as connection:
        connection.execute(
            f"""
            CREATE FUNCTION drill_odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                IF right(NEW.number_end, 4) = '{end}' THEN RAISE EXCEPTION 'odd' USING ERRCODE = '{state}'; END IF;
                RETURN NEW;
            END $$;
            CREATE TRIGGER drill_odd BEFORE INSERT ON cards_physical_card
                FOR EACH ROW EXECUTE FUNCTION drill_odd();
            """
        )
    try:
        assert office.register_arrivals() == 11
        view = office.his.call("GET", f"{PATH}/odd-{state}")
    finally:
        with psycopg.connect(database_url) as connection:
            connection.execute("DROP FUNCTION drill_odd CASCADE")
    assert (view["done"], view["waiting"]) == (10, 0)
    assert [(row["line"], row["code"]) for row in view["refused_rows"]] == [(7, "CRD-3014")]


def test_nothing_personal_is_in_the_clear(office: Office, resident: SimpleNamespace, database_url: str) -> None:  # noqa: F811
    row = _row(1, resident, name="欧阳某某", phone="bad")
    _send(office, "sealed", [row])
    office.register_arrivals()
    with psycopg.connect(database_url) as connection:
        text = str(connection.execute("SELECT a::text FROM cards_arrival a").fetchall())
    for secret in (row["card_number"], row["chip_number"], row["id_number"], "欧阳某某"):
        assert secret not in text


def test_another_institutions_delivery_is_not_there(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    _send(office, "own", [_row(1, resident)])
    with pytest.raises(ApiError) as refused:
        office.other.call("GET", f"{PATH}/own")
    assert refused.value.code == "CRD-3013"
