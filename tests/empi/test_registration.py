"""Registration by information providers: every outcome, what is stored of it, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from registration_world import Tables, another_number, bare, new_name, new_phone, record, someone

from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

PATH = "/api/v1/persons"
Of = Callable[[str], Client]


@pytest.fixture(scope="module")
def tables(settings: Settings, core_url: str) -> Tables:
    return Tables(settings.database_url)


def register(caller: Client, body: dict[str, Any], **more: Any) -> Any:
    return caller.call("POST", PATH, body, **more)


def refused(caller: Client, body: dict[str, Any]) -> ApiError:
    with pytest.raises(ApiError) as error:
        register(caller, body)
    return error.value


def person_of(tables: Tables, number: str) -> Any:
    """Return the person of a source record by its number's contribution: the newest one written."""
    return tables.one("SELECT mpi FROM empi_contribution ORDER BY at DESC, contribution_id DESC LIMIT 1").mpi


def last_contribution(tables: Tables) -> Any:
    return tables.one("SELECT * FROM empi_contribution ORDER BY at DESC, contribution_id DESC LIMIT 1")


def test_a_new_person_with_a_certificate(client: Of, tables: Tables) -> None:
    done = register(client("his-1"), record(someone(marital="20", nation="01")))
    assert (done["outcome"], done["method"], done["domain_id"], done["version"]) == ("created", "none", "", 1)
    told = last_contribution(tables)
    assert (told.kind, told.domain, told.current, told.real_name_level) == ("feed", "source:inst-h1", True, 1)
    row = tables.one("SELECT * FROM empi_person WHERE mpi = %s", told.mpi)
    assert (row.marital, row.region_code is not None, row.compared_at is not None) == ("20", True, True)
    assert len(row.search_tokens) > 10
    for table in ("empi_certificate", "empi_identifier"):
        assert tables.count(table, "mpi = %s", told.mpi) == 1, table
    assert tables.count("empi_block", "mpi = %s", told.mpi) >= 8
    kinds = [each.kind for each in tables.rows("SELECT kind FROM empi_change WHERE mpi = %s ORDER BY id", told.mpi)]
    assert sorted(kinds) == ["linked", "registered"]


def test_the_same_source_again_is_an_update(client: Of, tables: Tables) -> None:
    his, resident = client("his-1"), someone()
    first = register(his, record(resident, number="UPDATED-1"))
    before = last_contribution(tables)
    tokens = {each.token for each in tables.rows("SELECT token FROM empi_block WHERE mpi = %s", before.mpi)}
    again = register(his, record({**resident, "phone": new_phone(), "marital": "30"}, number="UPDATED-1"))
    assert (again["outcome"], again["method"], again["version"]) == ("updated", "source", 2)
    assert again["mpi_ref"] == first["mpi_ref"]
    assert tables.count("empi_contribution", "mpi = %s", before.mpi) == 2
    assert tables.count("empi_contribution", "mpi = %s AND current", before.mpi) == 1
    assert tables.one("SELECT marital FROM empi_person WHERE mpi = %s", before.mpi).marital == "30"
    now = {each.token for each in tables.rows("SELECT token FROM empi_block WHERE mpi = %s", before.mpi)}
    assert now - tokens
    assert tokens - now, "the old telephone number still finds her"
    same = register(his, record({**resident, "phone": new_phone(), "marital": "30"}, number="updated-1"))
    assert same["mpi_ref"] == first["mpi_ref"], "a number is one in either case"


def test_a_certificate_whose_name_and_sex_agree_links(client: Of, tables: Tables) -> None:
    resident = someone()
    register(client("his-1"), record(resident))
    mpi = last_contribution(tables).mpi
    done = register(client("his-2"), record({**resident, "phone": new_phone(), "address": ""}, owner="inst-h2"))
    assert (done["outcome"], done["method"]) == ("linked", "certificate")
    assert last_contribution(tables).mpi == mpi
    decision = tables.one("SELECT * FROM empi_decision WHERE left_mpi = %s", mpi)
    assert (decision.kind, decision.method, decision.operator) == ("link", "certificate", "engine")
    assert [each["comparison"] for each in decision.evidence] == ["certificate", "name", "sex"]
    old = {**resident, "id_number": resident["id_number"][:6] + resident["id_number"][8:17], "sex": "0"}
    assert register(client("his-2"), record(old, owner="inst-h2"))["outcome"] == "linked"  # 15 digits, sex not said


@pytest.mark.parametrize("differs", ["name", "sex"])
def test_a_certificate_of_another_name_or_sex_is_a_review_or_a_refusal(
    client: Of, tables: Tables, differs: str
) -> None:
    passport = {"id_type": "03", "id_number": f"E{new_phone()}"}
    resident = someone(**passport)
    register(client("his-1"), record(resident))
    mpi = last_contribution(tables).mpi
    other = {**resident, "name": "完全两样"} if differs == "name" else {**resident, "sex": "2"}
    done = register(client("his-2"), record(other, owner="inst-h2"))
    assert (done["outcome"], done["method"]) == ("review", "none")
    assert done["domain_id"].startswith("D")
    own = last_contribution(tables).mpi
    assert own != mpi
    review = tables.one("SELECT * FROM empi_review WHERE review_id = %s", done["review_id"])
    assert review.kind == "certificate_conflict"
    assert {review.left_mpi, review.right_mpi} == {own, mpi}
    assert tables.count("empi_certificate", "mpi = %s AND id_type = '03'", own) == 0
    persons = tables.count("empi_person")
    error = refused(client("app-1"), record(other, owner="app-1"))
    assert (error.code, error.http_status) == ("EMP-1001", 409)
    assert tables.count("empi_person") == persons


def test_without_a_certificate_likeness_links_and_the_domain_index_counts(client: Of, tables: Tables) -> None:
    resident = bare()
    first = register(client("his-1"), record(resident))
    assert first["domain_id"]
    mpi = last_contribution(tables).mpi
    done = register(client("his-2"), record(resident, owner="inst-h2"))
    assert (done["outcome"], done["method"], done["domain_id"]) == ("linked", "probability", first["domain_id"])
    assert done["probability"] > 0.99
    decision = tables.one("SELECT * FROM empi_decision WHERE left_mpi = %s", mpi)
    assert decision.weight > 0
    assert decision.evidence
    assert "139" not in str(decision.evidence)


def test_a_certificate_that_comes_later_identifies_her(client: Of, tables: Tables) -> None:
    resident = someone()
    short = {key: value for key, value in resident.items() if key not in ("id_type", "id_number")}
    register(client("his-1"), record(short, number="LATER-1"))
    mpi = last_contribution(tables).mpi
    done = register(client("his-1"), record(resident, number="LATER-1"))
    assert (done["outcome"], done["domain_id"]) == ("updated", "")
    assert tables.one("SELECT state FROM empi_domain_entry WHERE mpi = %s", mpi).state == "identified"
    linked = register(client("his-2"), record({**resident, "phone": ""}, owner="inst-h2"))
    assert (linked["outcome"], linked["method"]) == ("linked", "certificate")


def test_likeness_that_is_not_enough_is_a_review_and_strangers_are_strangers(client: Of, tables: Tables) -> None:
    resident = someone()
    register(client("his-1"), record(resident))
    mpi = last_contribution(tables).mpi
    twin = {**resident, "id_number": another_number(resident)}  # all the same but another valid number
    done = register(client("his-2"), record(twin, owner="inst-h2"))
    assert done["outcome"] == "review"
    review = tables.one("SELECT * FROM empi_review WHERE review_id = %s", done["review_id"])
    assert mpi in (review.left_mpi, review.right_mpi)
    assert tables.count("empi_certificate", "mpi = %s", last_contribution(tables).mpi) == 1, "her own claim stands"
    assert register(client("his-2"), record(someone(), owner="inst-h2"))["outcome"] == "created"


def test_an_invalid_number_is_kept_as_said_and_identifies_nobody(client: Of, tables: Tables) -> None:
    resident = someone()
    broken = resident["id_number"][:17] + ("0" if resident["id_number"][17] != "0" else "1")
    done = register(client("his-1"), record({**resident, "id_number": broken}))
    assert (done["outcome"], bool(done["domain_id"])) == ("created", True)
    mpi = last_contribution(tables).mpi
    assert [each.id_type for each in tables.rows("SELECT id_type FROM empi_certificate WHERE mpi = %s", mpi)] == ["98"]
    contradicted = {**someone(), "birth_date": "1931-02-03"}
    assert register(client("his-1"), record(contradicted))["domain_id"], "a number of another birth date is not hers"


def test_sex_and_birth_date_may_be_missing(client: Of, tables: Tables) -> None:
    done = register(client("his-1"), record({"name": "某无名", "phone": new_phone()}))
    assert done["outcome"] == "created"
    row = tables.one("SELECT * FROM empi_person WHERE mpi = %s", last_contribution(tables).mpi)
    assert (row.sex, row.birth_date) == ("0", None)
    only = someone()
    told = {key: only[key] for key in ("name", "id_type", "id_number")}
    register(client("his-1"), record(told))
    row = tables.one("SELECT * FROM empi_person WHERE mpi = %s", last_contribution(tables).mpi)
    assert (row.sex, str(row.birth_date)) == (only["sex"], only["birth_date"]), "the number tells both"


def test_further_numbers_are_entered_and_lead_to_her(client: Of, tables: Tables) -> None:
    resident = bare()
    card = {"domain": "visit-card:inst-h1:01", "number": f"C{new_phone()}"}
    register(client("his-1"), record(resident, identifiers=[card]))
    mpi = last_contribution(tables).mpi
    assert tables.count("empi_identifier", "mpi = %s", mpi) == 2
    moved = {**resident, "phone": new_phone(), "address": "", "birth_date": None}
    done = register(client("his-1"), record(moved, identifiers=[card]))
    assert (done["outcome"], done["method"]) == ("linked", "source")
    assert last_contribution(tables).mpi == mpi


def test_a_number_of_somebody_else_is_a_review_and_nothing_is_lost(client: Of, tables: Tables) -> None:
    card = {"domain": "visit-card:inst-h1:01", "number": f"C{new_phone()}"}
    register(client("his-1"), record(someone(), identifiers=[card]))
    theirs = last_contribution(tables).mpi
    done = register(client("his-1"), record(someone(), identifiers=[card]))
    assert done["outcome"] == "review"
    mine = last_contribution(tables).mpi
    assert mine != theirs
    holder = tables.one(
        "SELECT mpi FROM empi_identifier WHERE domain = %s AND mpi = ANY(%s)", card["domain"], [mine, theirs]
    )
    assert holder.mpi == theirs
    review = tables.one("SELECT * FROM empi_review WHERE review_id = %s", done["review_id"])
    assert {review.left_mpi, review.right_mpi} == {mine, theirs}


@pytest.mark.parametrize("bare_one", [False, True])
def test_a_number_alone_joins_nobody_of_another_certificate_or_birth_date(
    client: Of, tables: Tables, *, bare_one: bool
) -> None:
    """Two of one name and sex; a clerk types the card of the one for the other."""
    make = bare if bare_one else someone
    his, first = client("his-1"), make(name=new_name())
    card = {"domain": "card:01", "number": f"61000000{new_phone()}"}
    hers = register(his, record(first, identifiers=[card]))
    second = make(name=first["name"])
    while second["birth_date"] == first["birth_date"]:
        second = make(name=first["name"])
    done = register(his, record(second, identifiers=[card]))
    assert (done["outcome"], done["mpi_ref"] != hers["mpi_ref"]) == ("review", True)
    error = refused(client("app-1"), record(second, owner="app-1", identifiers=[card]))
    assert error.code == "EMP-2005"
    short = {key: first[key] for key in ("name", "sex")}
    assert register(his, record(short, identifiers=[card]))["mpi_ref"] == hers["mpi_ref"]


def test_a_number_given_to_somebody_else_does_not_take_the_first_ones_identity(client: Of, tables: Tables) -> None:
    """The provider reuses a record number: another certificate stands where two providers know the old one."""
    resident, newcomer = someone(), someone()
    register(client("his-1"), record(resident, number="REUSED"))
    mpi = last_contribution(tables).mpi
    register(client("his-2"), record(resident, owner="inst-h2"))
    done = register(client("his-1"), record(newcomer, number="REUSED"))
    assert done["outcome"] == "review"
    own = last_contribution(tables).mpi
    assert own != mpi
    assert tables.one("SELECT kind FROM empi_decision WHERE left_mpi = %s AND kind = 'relink'", own).kind == "relink"
    current = tables.rows("SELECT mpi FROM empi_identifier WHERE domain = 'source:inst-h1' AND state = 'active'"
                          " AND mpi = ANY(%s)", [mpi, own])  # fmt: skip
    assert [each.mpi for each in current] == [own]
    back = register(client("his-2"), record({**resident, "phone": new_phone()}, owner="inst-h2"))
    assert back["method"] == "certificate"
    assert last_contribution(tables).mpi == mpi


def test_a_provider_corrects_its_own_slip(client: Of, tables: Tables) -> None:
    resident = someone()
    slip = {**resident, "id_number": another_number(resident)}
    register(client("his-1"), record(slip, number="SLIP"))
    mpi = last_contribution(tables).mpi
    done = register(client("his-1"), record(resident, number="SLIP"))
    assert done["outcome"] == "updated"
    claims = tables.rows("SELECT replaced_at FROM empi_certificate WHERE mpi = %s ORDER BY claimed_at", mpi)
    assert [each.replaced_at is None for each in claims] == [False, True]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "张三1"}, "STD-"),
        ({"birth_date": "2099-01-01"}, "EMP-1004"),
        ({"birth_date": "1800-01-01"}, "EMP-1004"),
        ({"id_type": "77"}, "EMP-1006"),
        ({"nation": "99"}, "STD-"),
        ({"marital": "77"}, "STD-"),
        ({"sex": "7"}, "KIT-1001"),
        ({"birth_date": "gestern"}, "KIT-1001"),
        ({"name": ""}, "KIT-1001"),
        ({"unheard": "of"}, "KIT-1001"),
    ],
)
def test_bad_input_is_refused_by_name(client: Of, tables: Tables, change: dict[str, str], code: str) -> None:
    persons = tables.count("empi_person")
    error = refused(client("his-1"), record({**someone(), **change}))
    assert error.code.startswith(code)
    assert error.http_status == 422
    assert tables.count("empi_person") == persons


@pytest.mark.parametrize(
    ("owner", "caller", "code"),
    [
        ("inst-h2", "his-1", "EMP-2008"),
        ("inst-h1", "app-1", "EMP-2008"),
        ("app-2", "app-1", "EMP-2008"),
    ],
)
def test_a_source_of_somebody_else_is_refused(client: Of, owner: str, caller: str, code: str) -> None:
    assert refused(client(caller), record(someone(), owner=owner)).code == code


def test_domains_and_proofs_are_checked(client: Of) -> None:
    his, app = client("his-1"), client("app-1")
    body = record(someone())
    assert refused(his, {**body, "source": {"domain": "nowhere:1", "number": "1"}}).code == "EMP-2001"
    assert refused(his, {**body, "identifiers": [{"domain": "nowhere:1", "number": "1"}]}).code == "EMP-2001"
    assert refused(app, record(someone(), owner="app-1", real_name="certificate_read")).code == "EMP-1013"
    assert register(app, record(someone(), owner="app-1"))["outcome"] == "created"


def test_the_same_key_again_is_the_same_answer(client: Of, tables: Tables) -> None:
    body = record(someone())
    first = register(client("his-1"), body, idempotency_key="registration-once")
    persons = tables.count("empi_contribution")
    assert register(client("his-1"), body, idempotency_key="registration-once") == first
    assert tables.count("empi_contribution") == persons
