"""Physical cards on the wire: issued, linked both ways, lost, found, replaced, cancelled; one call to identify."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from registry_world import Office, new_number, office  # noqa: F401 -- a fixture

from yimatong.cards.codes import trouble
from yimatong_sdk import ApiError, Client

Clients = Callable[[str], Client]
LONG = "买买提江·阿不都热合曼·吾守尔·托合提·艾尔肯·阿不力克木·玉素甫·赛买提"


def _refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(ApiError) as refused:
        call()
    return refused.value.code


def test_card_without_an_account_opens_none(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    card = office.issue(resident)
    assert card["state"] == "issued"
    assert card["vuid"] == ""
    office.deliver()
    assert office.his.call("GET", f"/api/v1/physical-cards/{card['card_id']}")["vuid"] == ""
    seen = office.identify(card_number=office.numbers[card["card_id"]], card_type="01")
    assert (seen["presented"], seen["vuid"], seen["account_state"], seen["card_state"]) == (
        "card_number",
        "",
        "",
        "issued",
    )
    assert seen["resident"]["name"] == "张*丰"


def test_person_known_first_in_the_registry_gets_her_card_linked_when_the_account_opens(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
) -> None:
    card = office.issue(resident)
    vuid = office.app.register_account(vars(resident), real_name="police_online")["vuid"]
    office.deliver()
    assert office.his.call("GET", f"/api/v1/physical-cards/{card['card_id']}")["vuid"] == vuid
    listed = office.app.call("GET", f"/api/v1/accounts/{vuid}/physical-cards")["cards"]
    assert [(each["card_id"], each["state"]) for each in listed] == [(card["card_id"], "issued")]
    found = office.his.call(
        "POST", "/api/v1/physical-cards/find", {"card_number": office.numbers[card["card_id"]], "card_type": "01"}
    )
    assert found["vuid"] == vuid


def test_card_with_account_is_linked_both_ways(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    card = office.issue(resident, with_account=True)
    assert len(card["vuid"]) == 64
    office.deliver()
    assert office.his.read_account(card["vuid"])["name"] == "张三丰"
    cards = office.his.call("GET", f"/api/v1/accounts/{card['vuid']}/physical-cards")["cards"]
    assert [each["card_id"] for each in cards] == [card["card_id"]]


def test_issuing_again_is_the_same_card(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    number = new_number()
    first = office.issue(resident, number)
    assert office.issue(resident, number) == first
    assert office.issue(resident, number.lower()) == first


@pytest.mark.parametrize("with_account", [False, True])
def test_sixteen_at_once_make_one_card_and_one_person(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    database_url: str,
    *,
    with_account: bool,
) -> None:
    someone, number, chip = new_resident(), new_number(), new_number("C")
    started = threading.Barrier(16)

    def one(_: int) -> str:
        started.wait()
        return str(office.issue(someone, number, chip, with_account=with_account)["card_id"])

    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(one, range(16)))
    assert len(made) == 1
    office.deliver()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT count(DISTINCT r.mpi), count(*) FROM cards_physical_card c JOIN cards_registry_resident r"
            " USING (id_type, id_blind) WHERE c.card_id = %s",
            [made.pop()],
        ).fetchone()
    assert rows == (1, 1)


def test_number_and_chip_belong_to_one_card_in_force(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    number, chip = new_number(), new_number("C")
    card = office.issue(new_resident(), number, chip)
    stranger = new_resident()
    assert _refusal(lambda: office.issue(stranger, number)) == "CRD-3005"
    assert _refusal(lambda: office.issue(stranger, new_number(), chip)) == "CRD-3006"
    office.change(card, "lost")
    assert _refusal(lambda: office.issue(stranger, new_number(), chip)) == "CRD-3006"
    office.change(card, "cancelled")
    assert office.issue(stranger, new_number(), chip)["state"] == "issued"


def test_two_holders_at_once_for_one_chip_give_it_to_one(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
) -> None:
    chip, started = new_number("C"), threading.Barrier(8)

    def one(_: int) -> str:
        started.wait()
        try:
            return str(office.issue(new_resident(), new_number(), chip)["card_id"])
        except ApiError as error:
            return error.code

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(8)))
    assert sum(answer.startswith("pcd_") for answer in answers) == 1
    assert set(answers) - {"CRD-3006"} == {answer for answer in answers if answer.startswith("pcd_")}


def test_lost_found_replaced_and_the_old_number_presented(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    card = office.issue(resident, chip=new_number("C"), with_account=True)
    number = office.numbers[card["card_id"]]
    office.deliver()
    assert office.change(card, "lost")["state"] == "lost"
    assert _refusal(lambda: office.identify(card_number=number, card_type="01")) == "CRD-3002"
    assert office.change(card, "issued")["state"] == "issued"
    assert office.identify(card_number=number, card_type="01")["vuid"] == card["vuid"]
    office.change(card, "lost")
    new = office.replace(card, new_number())
    assert new["vuid"] == card["vuid"]
    assert _refusal(lambda: office.identify(card_number=number, card_type="01")) == "CRD-3003"
    assert office.identify(card_number=office.numbers[new["card_id"]], card_type="01")["vuid"] == card["vuid"]
    old = office.his.call("GET", f"/api/v1/physical-cards/{card['card_id']}")
    assert (old["state"], old["replaced_by"]) == ("replaced", new["card_id"])
    assert _refusal(lambda: office.change(card, "issued")) == "CRD-3003"
    assert _refusal(lambda: office.issue(resident, number)) == "CRD-3003"
    office.deliver()
    listed = office.his.call("GET", f"/api/v1/accounts/{card['vuid']}/physical-cards")["cards"]
    assert {each["card_id"]: each["state"] for each in listed} == {
        card["card_id"]: "replaced",
        new["card_id"]: "issued",
    }


def test_replaced_by_a_card_with_the_same_number(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    number = new_number()
    card = office.issue(resident, number, new_number("C"))
    new = office.replace(card, number, new_number("C"))
    seen = office.identify(card_number=number, card_type="01")
    assert seen["card_state"] == "issued"
    found = office.his.call("POST", "/api/v1/physical-cards/find", {"card_number": number, "card_type": "01"})
    assert found["card_id"] == new["card_id"]


def test_cancelled_card_never_comes_back(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    number = new_number()
    card = office.issue(resident, number)
    office.change(card, "cancelled")
    assert _refusal(lambda: office.identify(card_number=number, card_type="01")) == "CRD-3004"
    assert _refusal(lambda: office.issue(resident, number)) == "CRD-3004"
    assert _refusal(lambda: office.change(card, "issued")) == "CRD-3004"
    assert _refusal(lambda: office.replace(card, new_number())) == "CRD-3004"


def test_one_answer_whatever_is_shown(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    chip = new_number("C")
    card = office.issue(resident, chip=chip, with_account=True)
    office.deliver()
    vuid, number = card["vuid"], office.numbers[card["card_id"]]
    dynamic = office.his.issue_code(vuid, code_class="visit")["text"]
    certificate = {"id_type": "01", "id_number": resident.id_number, "name": resident.name}
    shown = {
        "code_dynamic": office.identify(code=dynamic),
        "code_static": office.identify(code=f"{vuid}:1"),
        "card_number": office.identify(card_number=number, card_type="01"),
        "card_chip": office.identify(chip_number=chip),
        "certificate": office.identify(**certificate),
    }
    assert {how: answer["presented"] for how, answer in shown.items()} == {how: how for how in shown}
    assert len({frozenset(answer) for answer in shown.values()}) == 1
    assert {(a["vuid"], a["account_state"], a["card_type"], a["card_state"]) for a in shown.values()} == {
        (vuid, "active", "01", "issued")
    }
    told = {how: answer["resident"] for how, answer in shown.items()}
    assert told["code_dynamic"]["id_number"] == resident.id_number
    assert told["card_number"] == told["code_static"]
    assert set(filter(None, told["card_number"].values())) == {"张*丰", "1"}
    assert (told["card_chip"]["name"], told["card_chip"]["id_number"][6:14]) == ("张三丰", "*" * 8)
    assert (told["certificate"]["id_number"], told["certificate"]["phone"]) == (resident.id_number, "138****8000")
    assert told["card_chip"]["mpi_ref"] == told["certificate"]["mpi_ref"] == told["code_dynamic"]["mpi_ref"]


def test_code_is_used_up_and_a_repeat_gets_the_first_answer(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    vuid = office.issue(resident, with_account=True)["vuid"]
    code = office.his.issue_code(vuid, code_class="visit")["text"]
    key = secrets.token_hex(8)
    first = office.identify(key=key, code=code)
    assert office.identify(key=key, code=code) == first
    assert _refusal(lambda: office.identify(code=code)) == "CRD-2004"
    assert _refusal(lambda: office.terminal.verify_code(code, purpose="visit")) == "CRD-2004"


def test_frozen_account_is_refused_at_once_though_no_news_was_delivered(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
) -> None:
    card = office.issue(resident, with_account=True)
    office.his.call("POST", f"/api/v1/accounts/{card['vuid']}/state", {"state": "frozen"})
    assert _refusal(lambda: office.identify(card_number=office.numbers[card["card_id"]], card_type="01")) == "CRD-1002"
    certificate = {"id_type": "01", "id_number": resident.id_number, "name": resident.name}
    assert _refusal(lambda: office.identify(**certificate)) == "CRD-1002"


def test_unknown_and_disagreeing_are_one_answer(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    office.issue(resident)
    known = {"id_type": "01", "id_number": resident.id_number}
    assert _refusal(lambda: office.identify(**known, name="李四")) == "CRD-3011"
    assert _refusal(lambda: office.identify(**known, name="1" * 50)) == "CRD-3011"
    assert _refusal(lambda: office.identify(id_type="03", id_number="E12345678", name="李四")) == "CRD-3011"
    assert _refusal(lambda: office.identify(card_number=new_number(), card_type="01")) == "CRD-3011"
    assert _refusal(lambda: office.identify(chip_number=new_number("C"))) == "CRD-3011"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"card_number": "6101002000"},
        {"card_type": "01"},
        {"id_type": "01", "id_number": "11010519491231002X"},
        {"code": "x", "chip_number": "C-1234"},
        {"card_number": "6101002000", "card_type": "01", "name": "张三"},
    ],
)
def test_exactly_one_medium(office: Office, body: dict[str, str]) -> None:  # noqa: F811
    assert _refusal(lambda: office.identify(**body)) == "CRD-3010"


@pytest.mark.parametrize("purpose", ["records", "payment"])
def test_card_and_certificate_serve_what_a_static_code_serves(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    purpose: str,
) -> None:
    card = office.issue(resident)
    number = office.numbers[card["card_id"]]
    assert _refusal(lambda: office.identify(purpose=purpose, card_number=number, card_type="01")) == "CRD-3012"


def test_every_try_leaves_a_record_and_an_audit_row(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    database_url: str,
) -> None:
    card = office.issue(resident, with_account=True)
    number = office.numbers[card["card_id"]]
    office.identify(card_number=number, card_type="01")
    office.change(card, "lost")
    with pytest.raises(ApiError):
        office.identify(card_number=number, card_type="01")
    office.identify(id_type="01", id_number=resident.id_number, name=resident.name)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT code_kind, result, institution_id FROM cards_code_record WHERE vuid = %s AND event = 'verified'"
            " ORDER BY at",
            [card["vuid"]],
        ).fetchall()
        audited = connection.execute(
            "SELECT count(*) FROM kit_audit_event e JOIN cards_code_record r USING (request_id)"
            " WHERE r.vuid = %s AND e.action = 'residents:identify' AND r.event = 'verified'",
            [card["vuid"]],
        ).fetchone()
    assert rows == [
        ("plastic", "ok", "inst-h1"),
        ("plastic", "CRD-3002", "inst-h1"),
        ("certificate", "ok", "inst-h1"),
    ]
    assert audited == (3,)


def test_app_reports_lost_and_nothing_else(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    vuid = office.app.register_account(vars(resident), real_name="police_online")["vuid"]
    card = office.issue(resident)
    office.deliver()
    path = f"/api/v1/physical-cards/{card['card_id']}/state"
    assert office.app.call("POST", path, {"state": "lost"})["state"] == "lost"
    assert _refusal(lambda: office.app.call("POST", path, {"state": "issued"})) == "CRD-3009"
    assert _refusal(lambda: office.app.call("POST", path, {"state": "cancelled"})) == "CRD-3009"
    office.deliver()
    listed = office.app.call("GET", f"/api/v1/accounts/{vuid}/physical-cards")["cards"]
    assert listed[0]["state"] == "lost"


def test_another_institution_sees_no_card_of_others(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    card = office.issue(resident)
    number = {"card_number": office.numbers[card["card_id"]], "card_type": "01"}
    assert _refusal(lambda: office.other.call("GET", f"/api/v1/physical-cards/{card['card_id']}")) == "CRD-3001"
    assert _refusal(lambda: office.other.call("POST", "/api/v1/physical-cards/find", number)) == "CRD-3001"
    path = f"/api/v1/physical-cards/{card['card_id']}/state"
    assert _refusal(lambda: office.other.call("POST", path, {"state": "cancelled"})) == "CRD-3001"
    seen = office.other.call("POST", "/api/v1/identify", {**number, "purpose": "visit"})
    assert seen["resident"]["name"] == "张*丰"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"card_type": "77"}, "CRD-3008"),
        ({"card_number": "12"}, "KIT-1001"),
        ({"card_number": "61010020 0001"}, "KIT-1001"),
        ({"issuer": "第一医院"}, "KIT-1001"),
        ({"real_name": "hearsay"}, "KIT-1001"),
    ],
)
def test_bad_cards_are_refused_by_name(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    change: dict[str, str],
    code: str,
) -> None:
    assert _refusal(lambda: office.issue(resident, **change)) == code


def test_long_name_and_strangers_certificate(office: Office, resident: SimpleNamespace) -> None:  # noqa: F811
    resident.name = LONG
    card = office.issue(resident, chip=(chip := new_number("C")))
    assert office.identify(chip_number=chip)["resident"]["name"] == LONG
    shown = office.identify(card_number=office.numbers[card["card_id"]], card_type="01")
    assert shown["resident"]["name"] == "买" + "*" * (len(LONG) - 2) + "提"
    resident.name = "王五"
    assert _refusal(lambda: office.issue(resident)) == "EMP-1001"


def test_numbers_are_sealed_in_the_database(office: Office, resident: SimpleNamespace, database_url: str) -> None:  # noqa: F811
    number, chip = new_number(), new_number("C")
    office.issue(resident, number, chip)
    office.deliver()
    with psycopg.connect(database_url) as connection:
        for table in ("cards_physical_card", "cards_account_card", "cards_card_event", "kit_outbox"):
            text = str(connection.execute(f"SELECT t::text FROM {table} t").fetchall())
            assert number not in text
            assert chip not in text
            assert resident.id_number not in text


def test_terminal_that_guesses_numbers_is_throttled_and_reported(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    database_url: str,
) -> None:
    """Cards, chips and certificates that find nobody count like texts that are no codes; others do not notice."""
    number = new_number()
    office.issue(resident, number, with_account=True)
    known = {"card_number": number, "card_type": "01"}
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM cards_code_trouble")
        results = []
        for guess in range(trouble.RUBBISH_MAX["terminal"]):
            medium = [
                {"card_number": new_number(), "card_type": "01"},
                {"chip_number": new_number("C")},
                {"id_type": "01", "id_number": resident.id_number, "name": "李四"},
            ][guess % 3]
            results.append(_refusal(lambda medium=medium: office.identify(**medium)))
        assert set(results) == {"CRD-3011"}
        with pytest.raises(ApiError) as throttled:
            office.identify(**known)
        assert (throttled.value.http_status, throttled.value.code) == (429, "CRD-2013")
        other = office.other.call("POST", "/api/v1/identify", {**known, "purpose": "visit"}, idempotency_key="other-1")
        assert other["presented"] == "card_number"
        alarm = connection.execute(
            "SELECT subject, detail FROM kit_alarm WHERE kind = %s AND acknowledged_at IS NULL", [trouble.ALARM]
        ).fetchall()
        assert [row[0] for row in alarm] == ["term-1"]
        assert number not in alarm[0][1]
        recorded = connection.execute(
            "SELECT result FROM cards_code_record WHERE caller_id = 'term-1' ORDER BY at DESC, record_id DESC LIMIT 1"
        ).fetchone()
        assert recorded == ("CRD-2013",)
        connection.execute("UPDATE cards_code_trouble SET throttled_until = now(), since = now() - interval '1 hour'")
        assert office.identify(**known)["presented"] == "card_number"
