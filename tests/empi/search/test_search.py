"""Queries find who fits and nobody else, over sealed data, and show what the caller may see."""

from __future__ import annotations

import random
import re
import secrets
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import psycopg
import pytest
from registration_world import new_phone, record, someone

from yimatong.empi.errors import DomainNotYours
from yimatong.empi.search import fitting, service
from yimatong.empi.search.schemas import PersonQuery
from yimatong.kit.settings import Settings
from yimatong.standards import pinyin
from yimatong_sdk import ApiError, Client

SURNAMES, GIVEN = "王李张刘陈单曾欧", "伟玮芳方娜静敬强璟瑄一二三乐"


@pytest.fixture(scope="module")
def people(client: Callable[[str], Client]) -> list[dict[str, Any]]:
    """People of hospital 1, with names that sound alike and phones, addresses and mothers in common."""
    hand = random.Random(11)
    made = []
    for _ in range(60):
        name = hand.choice(SURNAMES) + "".join(hand.choices(GIVEN, k=hand.randint(1, 2)))
        made.append(
            someone(
                name=name,
                phone=f"1390000{hand.randint(0, 30):04d}",
                address=f"陕西省西安市雁塔区科技路{hand.randint(1, 4)}号{hand.randint(1, 9)}室",
                mother_name=hand.choice(["李秀英", "王秀兰", "张桂英"]),
            )
        )
    for each in made:
        client("his-1").call("POST", "/api/v1/persons", record(each))
    return made


def find(client: Callable[[str], Client], *, caller: str = "his-1", **wanted: Any) -> list[dict[str, Any]]:
    """Return all pages of a search."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = client(caller).call("POST", "/api/v1/persons/search", {"limit": 7, "cursor": cursor} | wanted)
        found += page["persons"]
        cursor = page["next_cursor"]
        if not cursor:
            assert page["total"] == len(found)
            return found


def code(client: Callable[[str], Client], *, caller: str = "his-1", **wanted: Any) -> str:
    with pytest.raises(ApiError) as refused:
        find(client, caller=caller, **wanted)
    return str(refused.value.code)


def sounds_alike(left: str, right: str) -> bool:
    return len(left) == len(right) and all(
        set(pinyin.every_reading(a)) & set(pinyin.every_reading(b)) for a, b in zip(left, right, strict=True)
    )


def test_every_combination_finds_exactly_who_fits(
    client: Callable[[str], Client], people: list[dict[str, Any]]
) -> None:
    """Random queries about a person, compared with looking through everybody."""
    hand = random.Random(5)
    for _ in range(60):
        target = hand.choice(people)
        born = date.fromisoformat(target["birth_date"])
        facts: dict[str, tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = {
            "name": ({"name": target["name"]}, lambda p, t=target: p["name"] == t["name"]),
            "pinyin": (
                {"name": target["name"], "name_match": "pinyin"},
                lambda p, t=target: sounds_alike(p["name"], t["name"]),
            ),
            "part": (
                {"name": target["name"][:2] + "*", "name_match": "part"},
                lambda p, t=target: p["name"].startswith(t["name"][:2]),
            ),
            "phone": ({"phone": target["phone"]}, lambda p, t=target: p["phone"] == t["phone"]),
            "tail": ({"phone": target["phone"][-4:]}, lambda p, t=target: p["phone"][-4:] == t["phone"][-4:]),
            "mother": (
                {"mother_name": target["mother_name"]},
                lambda p, t=target: p["mother_name"] == t["mother_name"],
            ),
            "address": ({"address": target["address"]}, lambda p, t=target: p["address"] == t["address"]),
            "born": (
                {"born_from": str(born - timedelta(days=9)), "born_to": str(born + timedelta(days=9))},
                lambda p, b=born: abs(date.fromisoformat(p["birth_date"]) - b) <= timedelta(days=9),
            ),
            "sex": ({"sex": target["sex"]}, lambda p, t=target: p["sex"] == t["sex"]),
            "region": ({"region_code": "610113"}, lambda p: True),
        }
        anchor = hand.choice(["name", "pinyin", "part", "phone", "tail", "mother", "address", "born"])
        chosen = {anchor, *hand.sample(["phone", "mother", "sex", "region", "born"], k=2)} - {"tail"} | {anchor}
        wanted: dict[str, Any] = {}
        for each in sorted(chosen, key=lambda name: name == anchor):
            wanted |= facts[each][0]
        expected = {
            p["id_number"]
            for p in people
            if all(facts[each][1](p) for each in chosen if facts[each][0].items() <= wanted.items())
        }
        assert {hit["id_number"] for hit in find(client, **wanted)} == expected, wanted


def test_pinyin_as_people_type_it_and_readings_of_surnames(client: Callable[[str], Client]) -> None:
    shan, zeng = someone(name="单雄信"), someone(name="曾国藩")
    for each in (shan, zeng):
        client("his-1").call("POST", "/api/v1/persons", record(each))
    for said, who in (
        *(("shan xiong xin", shan), ("Shanxiongxin", shan), ("善雄心", shan), ("增国凡", zeng), ("zengguofan", zeng)),
    ):
        assert [hit["name"] for hit in find(client, name=said, name_match="pinyin")] == [who["name"]]
    assert find(client, name="单雄心", name_match="exact") == []
    assert find(client, name="单雄", name_match="pinyin") == []


def test_wild_cards_are_looked_at_again(client: Callable[[str], Client]) -> None:
    unique = "璎珞"
    for name in (f"赵{unique}", f"赵{unique}珮", f"钱{unique}", "阿依古丽·买买提"):
        client("his-1").call("POST", "/api/v1/persons", record(someone(name=name)))

    def names(pattern: str) -> set[str]:
        return {hit["name"] for hit in find(client, name=pattern, name_match="part")}

    assert names(f"赵{unique}") == {f"赵{unique}"}
    assert names(f"赵{unique}*") == {f"赵{unique}", f"赵{unique}珮"}
    assert names(f"?{unique}") == {f"赵{unique}", f"钱{unique}"}
    assert names(f"*{unique}?") == {f"赵{unique}珮"}
    assert names("阿依*·买*提") == {"阿依古丽·买买提"}
    assert names(f"{unique}*") == set()


def test_planted_fault_without_the_second_look_is_found(
    client: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("孙翀霄", "霄孙翀"):
        client("his-1").call("POST", "/api/v1/persons", record(someone(name=name)))
    assert {hit["name"] for hit in find(client, name="孙翀*")} == {"孙翀霄"}
    monkeypatch.setattr(fitting, "rank", lambda *_, **__: 1.0)
    assert {hit["name"] for hit in find(client, name="孙翀*")} != {"孙翀霄"}


def test_by_numbers(client: Callable[[str], Client]) -> None:
    her = someone()
    sent = record(her, number="N-77")
    made = client("his-1").call("POST", "/api/v1/persons", sent)
    for wanted in (
        {"id_type": "01", "id_number": her["id_number"].lower()},
        {"id_number": her["id_number"]},
        {"identifiers": [sent["source"]]},
        {"identifiers": [sent["source"]], "id_number": her["id_number"], "name": her["name"]},
    ):
        assert [hit["mpi_ref"] for hit in find(client, **wanted)] == [made["mpi_ref"]]
    assert find(client, identifiers=[sent["source"]], name="别人") == []
    assert find(client, identifiers=[{"domain": "source:inst-h1", "number": "N-78"}]) == []
    assert code(client, caller="his-2", identifiers=[sent["source"]]) == DomainNotYours.code


def test_whole_for_who_has_a_record_masked_for_others(client: Callable[[str], Client]) -> None:
    her = someone(mother_name="李秀英")
    sent = record(her)
    client("his-1").call("POST", "/api/v1/persons", sent)
    (own,) = find(client, id_number=her["id_number"])
    assert (own["name"], own["phone"], own["id_number"]) == (her["name"], her["phone"], her["id_number"])
    assert own["birth_date"] == her["birth_date"]
    assert sent["source"] in own["identifiers"]
    (others,) = find(client, caller="his-2", id_number=her["id_number"])
    text = str(others)
    for secret in (
        her["name"],
        her["phone"],
        her["id_number"],
        her["address"],
        her["birth_date"],
        sent["source"]["number"],
    ):
        assert secret not in text
    assert others["mpi_ref"] != own["mpi_ref"]
    client("his-2").call("POST", "/api/v1/persons", record(her, owner="inst-h2"))
    (now_whole,) = find(client, caller="his-2", id_number=her["id_number"])
    assert now_whole["name"] == her["name"]


def test_too_wide_is_refused(client: Callable[[str], Client]) -> None:
    for wide in (
        *({}, {"sex": "1"}, {"region_code": "61"}, {"name": "张*"}, {"name": "*"}, {"name": "???"}),
        *({"name": "zhang", "name_match": "pinyin"}, {"born_from": "1980-01-01", "born_to": "1980-12-31"}),
        *({"born_from": "1980-01-01"}, {"sex": "1", "region_code": "610102", "name": "王*"}),
    ):
        assert code(client, **wide) == "EMP-3001", wide
    assert code(client, born_from="1990-01-01", born_to="1980-01-01") == "EMP-3004"


def test_too_many_are_none(client: Callable[[str], Client], monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(4):
        client("his-1").call("POST", "/api/v1/persons", record(someone(name="司马相如")))
    assert len(find(client, name="司马相如")) == 4
    monkeypatch.setattr(service, "CANDIDATES_MAX", 3)
    assert code(client, name="司马相如") == "EMP-3002"


def test_a_cursor_is_for_its_query_and_its_caller(
    client: Callable[[str], Client], people: list[dict[str, Any]]
) -> None:
    first = client("his-1").call("POST", "/api/v1/persons/search", {"mother_name": "李秀英", "limit": 3})
    cursor = first["next_cursor"]
    assert cursor
    assert code(client, mother_name="王秀兰", cursor=cursor) == "EMP-3003"
    assert code(client, caller="his-2", mother_name="李秀英", cursor=cursor) == "EMP-3003"
    for bad in ("x", cursor[:-2], cursor[::-1], "é", "A" * 100):
        assert code(client, mother_name="李秀英", cursor=bad) == "EMP-3003"
    # somebody new on an earlier page moves nobody of the later ones
    rest = client("his-1").call(
        "POST", "/api/v1/persons/search", {"mother_name": "李秀英", "limit": 100, "cursor": cursor}
    )
    client("his-1").call("POST", "/api/v1/persons", record(someone(mother_name="李秀英")))
    again = client("his-1").call(
        "POST", "/api/v1/persons/search", {"mother_name": "李秀英", "limit": 100, "cursor": cursor}
    )
    before = {hit["mpi_ref"] for hit in first["persons"]}
    assert {hit["mpi_ref"] for hit in rest["persons"]} <= {hit["mpi_ref"] for hit in again["persons"]}
    assert not before & {hit["mpi_ref"] for hit in again["persons"]}


def test_the_best_come_first(client: Callable[[str], Client]) -> None:
    phone = new_phone()
    for name in ("诸葛亮", "诸葛良", "朱格亮"):
        client("his-1").call("POST", "/api/v1/persons", record(someone(name=name, phone=phone)))
    found = find(client, name="诸葛亮", name_match="pinyin", phone=phone)
    assert found[0]["name"] == "诸葛亮"
    assert found[0]["rank"] > found[1]["rank"] == found[2]["rank"]


def test_retired_resolve_to_the_survivor_once_and_cancelled_on_request(
    client: Callable[[str], Client], settings: Settings
) -> None:
    mother = "慕容" + secrets.choice("璟瑄珩琚瑶") + secrets.choice("琰玥琬瑜璇")
    stays, gone, ended = (someone(mother_name=mother) for _ in range(3))
    refs = [client("his-1").call("POST", "/api/v1/persons", record(each))["mpi_ref"] for each in (stays, gone, ended)]
    assert len(find(client, mother_name=mother)) == 3
    client("his-1").call("POST", "/api/v1/persons/" + refs[2] + "/cancel", {"reason": "error"})
    assert {hit["mpi_ref"] for hit in find(client, mother_name=mother)} == set(refs[:2])
    states = {hit["mpi_ref"]: hit["state"] for hit in find(client, mother_name=mother, include_cancelled=True)}
    assert states == {refs[0]: "live", refs[1]: "live", refs[2]: "cancelled"}
    assert find(client, id_number=ended["id_number"]) == []
    assert len(find(client, id_number=ended["id_number"], include_cancelled=True)) == 1
    retire_the_newest(settings)
    for wanted in (
        {"mother_name": mother},
        {"name": gone["name"]},
        {"id_number": gone["id_number"]},
        {"phone": gone["phone"]},
    ):
        assert [hit["mpi_ref"] for hit in find(client, **wanted)] == [refs[0]], wanted
    assert client("his-1").call("GET", f"/api/v1/persons/{refs[1]}")["person"]["mpi_ref"] == refs[0]


def retire_the_newest(settings: Settings) -> None:
    """Move the pointer of the newest live person to the one before her, as a merge does."""
    with psycopg.connect(settings.database_url, autocommit=True) as db:
        (retired,), (survivor,) = db.execute(
            "SELECT mpi FROM empi_person WHERE state = 'live' ORDER BY created_at DESC LIMIT 2"
        ).fetchall()
        db.execute("UPDATE empi_person SET state = 'retired', current_mpi = %s WHERE mpi = %s", (survivor, retired))


def test_every_read_leaves_an_audit_row(client: Callable[[str], Client], settings: Settings) -> None:
    her = someone()
    ref = client("his-1").call("POST", "/api/v1/persons", record(her))["mpi_ref"]

    def audited() -> int:
        with psycopg.connect(settings.database_url) as db:
            row = db.execute(
                "SELECT count(*) FROM kit_audit_event WHERE actor = 'his-1' AND action LIKE 'persons:%'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    before = audited()
    find(client, id_number=her["id_number"])
    client("his-1").call("GET", f"/api/v1/persons/{ref}")
    client("his-1").call("GET", f"/api/v1/persons/{ref}/history")
    client("his-1").call("POST", "/api/v1/persons/match", {"resident": her})
    assert audited() == before + 4
    with psycopg.connect(settings.database_url) as db:
        text = str(db.execute("SELECT * FROM kit_audit_event").fetchall())
    assert her["id_number"] not in text
    assert her["name"] not in text


def test_a_person_with_where_her_fields_come_from(client: Callable[[str], Client]) -> None:
    her = someone()
    ref = client("his-1").call("POST", "/api/v1/persons", record(her))["mpi_ref"]
    alone = client("his-1").call("GET", f"/api/v1/persons/{ref}")
    assert {each["own"] for each in alone["origins"]} == {True}
    client("his-2").call("POST", "/api/v1/persons", record(her | {"address": "陕西省宝鸡市金台区"}, owner="inst-h2"))
    view = client("his-1").call("GET", f"/api/v1/persons/{ref}")
    origins = {each["field"]: each for each in view["origins"]}
    assert origins["name"]["level"] >= 1
    assert not origins["address"]["own"]
    assert "inst-h2" not in str(view)
    story = client("his-1").call("GET", f"/api/v1/persons/{ref}/history")
    assert {"registered"} <= {each["what"] for each in story["events"]}
    assert "inst-h2" not in str(story)
    for path in ("", "/history"):
        with pytest.raises(ApiError) as absent:
            client("his-1").call("GET", f"/api/v1/persons/{secrets.token_hex(16)}{path}")
        assert absent.value.code == "EMP-1005"


def test_history_is_for_who_has_a_record(client: Callable[[str], Client]) -> None:
    her = someone()
    client("his-1").call("POST", "/api/v1/persons", record(her))
    (hit,) = find(client, caller="his-2", id_number=her["id_number"])
    masked = client("his-2").call("GET", f"/api/v1/persons/{hit['mpi_ref']}")
    assert masked["origins"] == []
    assert her["name"] not in str(masked)
    with pytest.raises(ApiError) as refused:
        client("his-2").call("GET", f"/api/v1/persons/{hit['mpi_ref']}/history")
    assert refused.value.code == "EMP-1005"


def test_match_grades_by_the_engine(client: Callable[[str], Client]) -> None:
    her = someone()
    ref = client("his-1").call("POST", "/api/v1/persons", record(her))["mpi_ref"]

    def matched(**wanted: Any) -> list[dict[str, Any]]:
        found = client("his-1").call("POST", "/api/v1/persons/match", wanted)["candidates"]
        assert isinstance(found, list)
        return found

    (same, *_) = matched(resident=her)
    assert (same["person"]["mpi_ref"], same["grade"]) == (ref, "certain")
    assert same["evidence"]
    assert not any(her["name"] in str(part) for part in same["evidence"])
    assert [each["person"]["mpi_ref"] for each in matched(resident=her, only_certain=True)] == [ref]
    stranger = someone()
    assert all(each["grade"] != "certain" for each in matched(resident=stranger))
    assert matched(resident=stranger, only_certain=True) == []
    assert len(matched(resident=her, count=1)) == 1


def test_no_pattern_keeps_the_platform_busy() -> None:
    """A name of fifty equal letters under forty stars: a regular expression would try for years."""
    pattern, name = "*a" * 45 + "*b", "b" + "a" * 49
    began = time.process_time()
    assert fitting._name(_wanted(pattern), name) is None
    assert time.process_time() - began < 1
    hand = random.Random(3)
    for _ in range(3000):
        text, like = ("".join(hand.choices(marks, k=hand.randint(1, 7))) for marks in ("ab", "ab*?"))
        plain = "".join({"*": ".*", "?": "."}.get(each, each) for each in like)
        fits = re.fullmatch(plain, text) is not None
        assert (fitting._like(text, like)) == fits, (text, like)


def _wanted(pattern: str) -> fitting.Wanted:
    return fitting.wanted(PersonQuery(name=pattern))


def test_what_an_app_states_without_proof_opens_nobodys_record(client: Callable[[str], Client]) -> None:
    """A name, a sex and a number from any list: the app's record is linked, and it learns nothing more by that."""
    her = someone(mother_name="李秀英")
    client("his-1").call("POST", "/api/v1/persons", record(her, owner="inst-h1"))
    known = {name: her[name] for name in ("name", "sex", "id_type", "id_number")}
    linked = client("app-1").call("POST", "/api/v1/persons", record(known, owner="app-1"))
    assert linked["outcome"] == "linked"
    view = client("app-1").call("GET", f"/api/v1/persons/{linked['mpi_ref']}")
    for secret in (her["phone"], her["address"], her["name"], her["birth_date"]):
        assert secret not in str(view)
    assert view["origins"] == []
    with pytest.raises(ApiError) as refused:
        client("app-1").call("GET", f"/api/v1/persons/{linked['mpi_ref']}/history")
    assert refused.value.code == "EMP-1005"
    proven = {name: her[name] for name in her if name != "mother_name"}
    client("app-1").register_account(proven, real_name="police_online")
    assert client("app-1").call("GET", f"/api/v1/persons/{linked['mpi_ref']}")["person"]["name"] == her["name"]
