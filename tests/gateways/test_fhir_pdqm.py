"""PDQm: searches and reads (ITI-78), and matches (ITI-119), to the letter of the transactions."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest
from fhir_world import BASE, GREEN, RED, XML, Fhir, number, outcome, patient

from yimatong.empi.search import service
from yimatong.gateways.fhir import encoding

ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
MOTHER = "http://hl7.org/fhir/StructureDefinition/patient-mothersMaidenName"


@pytest.fixture(scope="module")
def people(his: Fhir) -> SimpleNamespace:
    """Five residents of hospital 1, by number."""
    mother = [{"url": MOTHER, "valueString": "王芳"}]
    address = [{"text": "陕西省西安市雁塔区解放路61号祥和小区26号楼2单元1604室"}]
    phone = [{"system": "phone", "value": "13912345678", "use": "mobile"}]
    said = {
        "zhang": {"name": [{"family": "张", "given": ["三丰"]}], "gender": "male", "birthDate": "1985-06-04"}
        | {"telecom": phone, "address": address, "extension": mother},
        "ouyang": {"name": [{"text": "欧阳修远"}], "gender": "male", "birthDate": "1985-07-01"},
        "li": {"name": [{"family": "李", "given": ["三妹"]}], "gender": "female", "birthDate": "1990-12-31"}
        | {"maritalStatus": {"coding": [{"code": "M"}]}},
        "mohr": {"name": [{"family": "MOHR", "given": ["ALICE"]}], "gender": "female", "birthDate": "1958-01-30"},
        "guli": {"name": [{"text": "阿依古丽·买买提"}], "gender": "unknown", "birthDate": "2001"},
    }
    found = {}
    for key, facts in said.items():
        mine = number()
        answer = his.feed(mine, patient(mine, **facts))
        assert answer.status_code == 201, answer.text
        found[key] = SimpleNamespace(number=mine, id=answer.extensions["resource"]["id"])
    return SimpleNamespace(**found)


def ids(bundle: dict[str, Any]) -> set[str]:
    return {each["resource"]["id"] for each in bundle.get("entry", []) if each["search"]["mode"] == "match"}


@pytest.mark.parametrize(
    ("params", "names"),
    [
        ([("family", "张")], {"zhang"}),
        ([("family", "欧阳")], {"ouyang"}),
        ([("family", "欧")], {"ouyang"}),
        ([("family:exact", "欧")], set()),
        ([("family:exact", "欧阳")], {"ouyang"}),
        ([("family:contains", "阳")], {"ouyang"}),
        ([("family", "张,李")], {"zhang", "li"}),
        ([("given", "三")], {"zhang", "li"}),
        ([("given", "三"), ("given", "三丰")], {"zhang"}),
        ([("given:exact", "三")], set()),
        ([("family", "zhang")], {"zhang"}),
        ([("family", "Zhang"), ("given", "Sanfeng")], {"zhang"}),
        ([("family", "mohr"), ("given", "ali")], {"mohr"}),
        ([("family:exact", "mohr")], set()),
        ([("family", "买买提")], {"guli"}),
        ([("family", "买买提"), ("given", "阿依")], {"guli"}),
        ([("name", "阿依古丽")], {"guli"}),
        ([("name", "alice")], {"mohr"}),
        ([("family", "张"), ("gender", "male")], {"zhang"}),
        ([("family", "张"), ("gender", "female")], set()),
        ([("gender", "male,unknown")], {"zhang", "ouyang", "guli"}),
        ([("birthdate", "1985-06-04")], {"zhang"}),
        ([("birthdate", "1985")], {"zhang", "ouyang"}),
        ([("birthdate", "1985-07")], {"ouyang"}),
        ([("birthdate", "ge1985-06-05"), ("birthdate", "le1990-12-31")], {"ouyang", "li"}),
        ([("birthdate", "gt1985-06-04"), ("birthdate", "lt1990-12-31")], {"ouyang"}),
        ([("birthdate", "1985-06-04,1990-12-31")], {"zhang", "li"}),
        ([("birthdate", "ne1985"), ("gender", "male")], set()),
        ([("birthdate", "1985"), ("family", "张")], {"zhang"}),
        ([("telecom", "13912345678")], {"zhang"}),
        ([("telecom", "phone|13912345678")], {"zhang"}),
        ([("telecom", "email|13912345678")], set()),
        ([("address", "陕西")], {"zhang"}),
        ([("address:contains", "祥和小区")], {"zhang"}),
        ([("address-city", "西安")], {"zhang"}),
        ([("address-state", "陕西省")], {"zhang"}),
        ([("address-country", "CN")], {"zhang"}),
        ([("address-postalcode", "710000")], set()),
        ([("mothersMaidenName", "王芳")], {"zhang"}),
        ([("mothersMaidenName:exact", "王")], set()),
        ([("active", "true")], {"zhang", "ouyang", "li", "mohr", "guli"}),
    ],
)
def test_a_search(his: Fhir, people: SimpleNamespace, params: list[tuple[str, str]], names: set[str]) -> None:
    bundle = his.get("/Patient", params=params)
    assert bundle["type"] == "searchset"
    assert ids(bundle) == {getattr(people, name).id for name in names}
    assert bundle["total"] == len(names)
    assert bundle["link"][0]["relation"] == "self"
    assert bundle["link"][0]["url"].startswith(f"{BASE}/Patient?{params[0][0].replace(':', ':')}=")
    assert "entry" in bundle or not names
    posted = his("POST", "/Patient/_search", data=dict_of(params))
    assert ids(posted.extensions["resource"]) == ids(bundle)


def dict_of(params: list[tuple[str, str]]) -> dict[str, list[str]]:
    return {key: [value for name, value in params if name == key] for key, _ in params}


def test_by_identifier_with_and_without_system(his: Fhir, people: SimpleNamespace) -> None:
    mine = people.zhang
    assert ids(his.get("/Patient", params={"identifier": f"{RED}|{mine.number}"})) == {mine.id}
    assert ids(his.get("/Patient", params={"identifier": mine.number})) == {mine.id}
    two = f"{RED}|{mine.number},{RED}|{people.li.number}"
    assert ids(his.get("/Patient", params={"identifier": two})) == {mine.id, people.li.id}
    both = [("identifier", f"{RED}|{mine.number}"), ("identifier", f"{RED}|{people.li.number}")]
    assert ids(his.get("/Patient", params=both)) == set()
    assert his.get("/Patient", params={"identifier": f"urn:oid:1.2.3|{mine.number}"})["total"] == 0
    assert his.get("/Patient", params={"identifier": f"|{mine.number}"})["total"] == 0


def test_only_identifiers_of_the_wanted_domains_are_returned(his: Fhir, people: SimpleNamespace) -> None:
    """Case 2 of 2:3.78.4.1.3."""
    params = [("family", "张"), ("identifier", f"{RED}|")]
    (entry,) = his.get("/Patient", params=params)["entry"]
    assert [each["system"] for each in entry["resource"]["identifier"]] == [RED]
    assert his.get("/Patient", params=[("family", "张"), ("identifier", f"{GREEN}|")])["total"] == 0
    either = [("family", "张"), ("identifier", f"{RED}|,{GREEN}|")]
    assert ids(his.get("/Patient", params=either)) == {people.zhang.id}


def test_an_unknown_domain_to_be_returned(his: Fhir, people: SimpleNamespace) -> None:
    """Case 4: the preferred answer."""
    answer = his("GET", "/Patient", params=[("family", "张"), ("identifier", "urn:oid:1.2.3.4.5|")])
    assert outcome(answer) == (404, "warning", "not-found", "targetSystem not found")


def test_nobody_is_a_bundle_without_entries(his: Fhir, people: SimpleNamespace) -> None:
    """Case 3."""
    bundle = his.get("/Patient", params={"family": "诸葛"})
    assert bundle["total"] == 0
    assert "entry" not in bundle


@pytest.mark.parametrize(
    "options",
    [
        {"params": {"family": "张", "_format": "application/pdf"}},
        {"headers": {"accept": "text/html"}, "params": {"family": "张"}},
        {"headers": {"accept": "application/fhir+json; fhirVersion=5.0"}, "params": {"family": "张"}},
    ],
)
def test_a_format_that_nobody_speaks(his: Fhir, options: dict) -> None:
    """Case 5."""
    assert outcome(his("GET", "/Patient", **options))[:3] == (406, "error", "not-supported")


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "application/fhir+xml; fhirVersion=4.0",
        "text/xml",
        "application/xml;q=0.9, text/html",
        "*/*;q=0.1, application/fhir+xml",
    ],
)
def test_xml(his: Fhir, people: SimpleNamespace, accept: str) -> None:
    answer = his("GET", "/Patient", params={"telecom": "13912345678"}, headers={"accept": accept})
    assert answer.headers["content-type"] == "application/fhir+xml; fhirVersion=4.0; charset=utf-8"
    assert ids(answer.extensions["resource"]) == {people.zhang.id}
    assert encoding.read(answer.content, "xml")["entry"][0]["search"]["score"] > 0


def test_pages_are_linked_and_hold_everybody_once(his: Fhir, people: SimpleNamespace) -> None:
    params = {"birthdate": "ge1900", "active": "true", "_count": "2"}
    bundle, found, pages = his.get("/Patient", params=params), [], 0
    assert bundle["total"] == 5
    while True:
        pages += 1
        found += [each["resource"]["id"] for each in bundle["entry"]]
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        if not following:
            break
        assert "1900" not in following[0]
        assert len(bundle["entry"]) == 2
        bundle = his.get(following[0])
        assert bundle["total"] == 5
    assert pages == 3
    assert sorted(found) == sorted({each.id for each in vars(people).values()})


def test_a_page_is_its_callers_own(his: Fhir, his2: Fhir, people: SimpleNamespace) -> None:
    bundle = his.get("/Patient", params={"birthdate": "ge1900", "_count": "1"})
    (following,) = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
    assert his2("GET", following).status_code == 400
    assert his("GET", following[:-4] + "AAAA").status_code == 400


@pytest.mark.parametrize("params", [{"_summary": "count"}, {"_count": "0"}])
def test_only_the_number(his: Fhir, people: SimpleNamespace, params: dict[str, str]) -> None:
    bundle = his.get("/Patient", params={"birthdate": "1985", **params})
    assert bundle["total"] == 2
    assert "entry" not in bundle


def test_what_is_not_served_is_ignored_and_told_or_refused(his: Fhir, people: SimpleNamespace) -> None:
    params = {"family": "张", "organization": "1", "given:sounds": "x", "_sort": "family"}
    bundle = his.get("/Patient", params=params)
    assert ids(bundle) == {people.zhang.id}
    (told,) = [each["resource"] for each in bundle["entry"] if each["search"]["mode"] == "outcome"]
    assert told["issue"][0]["severity"] == "warning"
    assert "organization" in told["issue"][0]["diagnostics"]
    assert "organization" not in bundle["link"][0]["url"]
    strict = his("GET", "/Patient", params=params, headers={"prefer": "handling=strict"})
    assert outcome(strict)[:3] == (400, "error", "not-supported")
    assert his("GET", "/Patient", params=params, headers={"prefer": "handling=lenient"}).status_code == 200


@pytest.mark.parametrize(
    "params",
    [
        {"birthdate": "1985-13-01"},
        {"birthdate": "yesterday"},
        {"birthdate": "0000"},
        {"gender": "F"},
        {"active": "yes"},
        {"_count": "-1"},
        {"_count": "many"},
        {"identifier": "a|b|c"},
        {"family": ",".join("x" * 25)},
        {"_page": "zzz"},
    ],
)
def test_a_value_that_its_type_does_not_have(his: Fhir, params: dict[str, str]) -> None:
    assert outcome(his("GET", "/Patient", params=params))[:3] == (400, "error", "invalid")


def test_one_patient_is_read(his: Fhir, people: SimpleNamespace) -> None:
    answer = his("GET", f"/Patient/{people.zhang.id}")
    found = answer.extensions["resource"]
    assert answer.headers["etag"] == f'W/"{found["meta"]["versionId"]}"'
    assert found["name"][0] == {
        "extension": [
            {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": "IDE"}
        ],
        "use": "official",
        "text": "张三丰",
        "family": "张",
        "given": ["三丰"],
    }
    assert found["name"][1]["text"] == "Zhang Sanfeng"
    assert found["telecom"] == [{"system": "phone", "value": "13912345678", "use": "mobile"}]
    assert found["address"][0]["city"] == "西安市"
    assert found["address"][0]["district"] == "雁塔区"
    assert {"url": MOTHER, "valueString": "王芳"} in found["extension"]
    assert (
        his("GET", f"/Patient/{people.zhang.id}", headers={"if-none-match": answer.headers["etag"]}).status_code == 304
    )
    li = his.get(f"/Patient/{people.li.id}")
    assert {each["code"] for each in li["maritalStatus"]["coding"]} == {"M", "20"}
    by_id = his.get("/Patient", params={"_id": f"{people.zhang.id},{people.li.id}"})
    assert ids(by_id) == {people.zhang.id, people.li.id}


@pytest.mark.parametrize("nobody", ["0" * 32, "unknown", "f" * 64, "a.b-c"])
def test_nobody_is_read(his: Fhir, nobody: str) -> None:
    """2:3.78.4.3.3 case 2."""
    assert outcome(his("GET", f"/Patient/{nobody}"))[:3] == (404, "error", "not-found")


def test_every_patient_has_an_identifier(his2: Fhir, people: SimpleNamespace) -> None:
    """The PDQm Patient profile wants one; where the caller may know of none, it is the address of the resource."""
    (entry,) = his2.get("/Patient", params={"telecom": "13912345678"})["entry"]
    found = entry["resource"]
    assert found["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": f"{BASE}/Patient/{found['id']}"}]


def test_what_is_masked_is_absent_and_says_so(his2: Fhir, people: SimpleNamespace) -> None:
    (entry,) = his2.get("/Patient", params={"telecom": "13912345678"})["entry"]
    found = entry["resource"]
    assert found["id"] != people.zhang.id
    assert "birthDate" not in found
    for element, name in ((found["name"][0], "_text"), (found["telecom"][0], "_value"), (found, "_birthDate")):
        assert {"url": ABSENT, "valueCode": "masked"} in element[name]["extension"]
    assert "张三丰" not in str(found)
    assert "13912345678" not in str(found)


def test_a_merged_patient_is_found_with_her_survivor(his: Fhir) -> None:
    """Case 6, the third way: the inactive Patient, and the one that its link points at."""
    old, new = number(), number()
    first = his.feed(old, patient(old, name=[{"text": "郑旧名"}], birthDate="1944-05-06")).extensions["resource"]["id"]
    stays = his.feed(new, patient(new, name=[{"text": "秦新名"}], birthDate="1977-08-09")).extensions["resource"]["id"]
    link = [{"other": {"reference": f"Patient/{stays}"}, "type": "replaced-by"}]
    done = his.feed(old, patient(old, active=False, link=link))
    assert done.status_code == 200, done.text
    survivor = done.extensions["resource"]["id"]
    (retired,) = {first, stays} - {survivor}
    bundle = his.get("/Patient", params={"_id": retired})
    assert ids(bundle) == {retired}
    assert bundle["total"] == 1
    by_mode = {each["search"]["mode"]: each["resource"] for each in bundle["entry"]}
    assert by_mode["match"]["active"] is False
    assert by_mode["include"]["id"] == survivor


def match(fhir: Fhir, facts: dict[str, Any], **parameters: Any):
    listed = [{"name": "resource", "resource": facts}]
    for name, value in parameters.items():
        listed.append({"name": name, "valueBoolean" if isinstance(value, bool) else "valueInteger": value})
    return fhir("POST", "/Patient/$match", {"resourceType": "Parameters", "parameter": listed})


@pytest.fixture(scope="module")
def known(his: Fhir) -> dict[str, Any]:
    """Somebody of whom much is known, and a namesake."""
    from core_world import make_resident

    made = make_resident("秦始明")
    card = {"system": "urn:oid:2.16.156.10011.1.3", "value": made.id_number}
    facts = {
        "name": [{"text": made.name}],
        "gender": "male",
        "birthDate": made.birth_date,
        "telecom": [{"system": "phone", "value": "13700001111"}],
        "address": [{"text": "陕西省西安市碑林区南大街1号3单元501室"}],
    }
    mine, other = number(), number()
    answer = his.feed(mine, patient(identifier=[{"system": RED, "value": mine}, card], **facts))
    assert answer.status_code == 201
    namesake = facts | {"birthDate": "1950-01-02", "telecom": [{"system": "phone", "value": "13700002222"}]}
    assert his.feed(other, patient(identifier=[{"system": RED, "value": other}], **namesake)).status_code == 201
    return {"id": answer.extensions["resource"]["id"], "number": mine, "card": card, "facts": facts}


def test_a_match_is_scored_and_graded(his: Fhir, known: dict[str, Any]) -> None:
    facts = patient(identifier=[known["card"]], **known["facts"])
    bundle = match(his, facts).extensions["resource"]
    assert bundle["type"] == "searchset"
    best = bundle["entry"][0]
    assert best["resource"]["id"] == known["id"]
    assert best["search"]["mode"] == "match"
    assert 0 < best["search"]["score"] <= 1
    grade = {"url": "http://hl7.org/fhir/StructureDefinition/match-grade", "valueCode": "certain"}
    assert best["search"]["extension"] == [grade]
    assert best["fullUrl"] == f"{BASE}/Patient/{known['id']}"
    assert bundle["total"] == len(bundle["entry"])
    scores = [each["search"]["score"] for each in bundle["entry"]]
    assert scores == sorted(scores, reverse=True)
    alone = his("POST", "/Patient/$match", facts)
    assert ids(alone.extensions["resource"]) == ids(bundle)
    xml = his("POST", "/Patient/$match", encoding.write(facts, "xml"), headers={"accept": XML})
    assert ids(xml.extensions["resource"]) == ids(bundle)


def test_only_certain_matches(his: Fhir, known: dict[str, Any]) -> None:
    facts = patient(identifier=[known["card"]], **known["facts"])
    sure = match(his, facts, onlyCertainMatches=True).extensions["resource"]
    assert ids(sure) == {known["id"]}
    vague = match(his, patient(name=[{"text": "秦始明"}], gender=None, birthDate=None), onlyCertainMatches=True)
    assert vague.status_code == 200
    assert "entry" not in vague.extensions["resource"]


def test_count_limits_a_match(his: Fhir, known: dict[str, Any]) -> None:
    facts = patient(identifier=[known["card"]], **known["facts"])
    assert len(match(his, facts, count=1).extensions["resource"]["entry"]) == 1


def test_no_match_is_an_empty_bundle(his: Fhir) -> None:
    answer = match(his, patient(name=[{"text": "无人知"}], birthDate="1901-02-03"))
    assert answer.status_code == 200
    assert "entry" not in answer.extensions["resource"]


MODIFIER = {"url": "http://example.org/do-not-match", "valueBoolean": True}


@pytest.mark.parametrize(
    ("facts", "more", "code"),
    [
        ({"modifierExtension": [MODIFIER]}, {}, "extension"),
        ({"contact": [{"modifierExtension": [MODIFIER], "name": {"text": "x"}}]}, {}, "extension"),
        ({"implicitRules": "http://example.org"}, {}, "extension"),
        ({"name": None}, {}, "required"),
        ({}, {"count": 0}, "invalid"),
        ({}, {"depth": 3}, "invalid"),
    ],
)
def test_a_match_that_is_refused(his: Fhir, facts: dict, more: dict, code: str) -> None:
    answer = match(his, patient(**facts), **more)
    assert outcome(answer)[:3] == (400, "error", code)


def test_extensions_that_nobody_knows_do_not_hinder_a_match(his: Fhir) -> None:
    unknown = [{"url": "http://example.org/colour", "valueString": "red"}]
    assert match(his, patient(extension=unknown)).status_code == 200


def test_combinations_never_fail(his: Fhir, people: SimpleNamespace) -> None:
    """Any two parameters together give a bundle or a refusal with its outcome, never a failure."""
    values = {"family": "张", "given": "三", "birthdate": "1985", "gender": "male", "telecom": "13912345678"}
    values |= {"address": "陕西", "mothersMaidenName": "王芳", "name": "张", "address-city": "西安"}
    for one, other in itertools.combinations(values, 2):
        bundle = his.get("/Patient", params={one: values[one], other: values[other]})
        assert people.zhang.id in ids(bundle), (one, other)


def test_alternatives_together_open_no_more_than_one_search(
    his: Fhir, people: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CANDIDATES_MAX", 1)
    assert len(ids(his.get("/Patient", params=[("family:exact", "欧阳")]))) == 1
    answer = his("GET", "/Patient", params=[("family:exact", "欧阳,MOHR")])
    assert outcome(answer)[0] == 422
    assert "EMP-3002" in answer.text
