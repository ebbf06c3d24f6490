"""PIXm: the feed (ITI-104) and the query (ITI-83), to the letter of the transactions."""

from __future__ import annotations

import pytest
from fhir_world import BASE, GREEN, JSON, RED, XML, Fhir, number, outcome, patient

from yimatong.gateways.fhir import encoding


def pix(fhir: Fhir, source: str, *targets: str, **options):
    params = [("sourceIdentifier", source), *(("targetSystem", each) for each in targets)]
    return fhir("GET", "/Patient/$ihe-pix", params=params, **options)


def identifiers(answer) -> set[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    found = answer.extensions["resource"].get("parameter", [])
    return {
        (each["valueIdentifier"]["system"], each["valueIdentifier"]["value"])
        for each in found
        if each["name"] == "targetIdentifier"
    }


def target_ids(answer) -> list[str]:
    found = answer.extensions["resource"].get("parameter", [])
    return [each["valueReference"]["reference"] for each in found if each["name"] == "targetId"]


def test_a_record_is_added_then_revised(his: Fhir) -> None:
    mine = number()
    first = his.feed(mine, patient(mine))
    assert first.status_code == 201, first.text
    assert first.headers["etag"] == 'W/"1"'
    location = first.headers["location"]
    assert location.startswith(f"{BASE}/Patient/")
    assert location.endswith("/_history/1")
    again = his.feed(mine, patient(mine, name=[{"family": "MOHR", "given": ["ALISSA"]}]))
    assert again.status_code == 200
    assert again.extensions["resource"]["id"] == first.extensions["resource"]["id"]
    assert again.extensions["resource"]["name"][0]["given"] == ["ALISSA"]


def test_a_record_is_fed_in_xml_and_answered_in_xml(his: Fhir) -> None:
    mine = number()
    answer = his.feed(mine, encoding.write(patient(mine), "xml"), headers={"accept": XML})
    assert answer.status_code == 201, answer.text
    assert answer.headers["content-type"].startswith(XML)
    assert answer.extensions["resource"]["birthDate"] == "1958-01-30"


def test_a_number_of_one_domain_leads_to_those_of_others(his: Fhir, his2: Fhir, resident) -> None:
    card = {"system": "urn:oid:2.16.156.10011.1.3", "value": resident.id_number}
    facts = {"name": [{"text": "张三丰"}], "gender": "male", "birthDate": resident.birth_date}
    red, green = number(), number()
    assert his.feed(red, patient(identifier=[{"system": RED, "value": red}, card], **facts)).status_code == 201
    made = his2.feed(green, patient(identifier=[{"system": GREEN, "value": green}, card], **facts), system=GREEN)
    assert made.status_code == 201, made.text
    answer = pix(his, f"{RED}|{red}")
    assert (GREEN, green) in identifiers(answer)
    assert (RED, red) not in identifiers(answer)
    assert len(target_ids(answer)) == 1
    assert target_ids(answer)[0].startswith(f"{BASE}/Patient/")
    assert identifiers(pix(his, f"{RED}|{red}", GREEN)) == {(GREEN, green)}
    assert identifiers(pix(his, f"{BASE}|Patient/{target_ids(answer)[0].rpartition('/')[2]}", GREEN)) == {
        (GREEN, green)
    }
    posted = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "sourceIdentifier", "valueIdentifier": {"system": RED, "value": red}},
            {"name": "targetSystem", "valueUri": GREEN},
        ],
    }
    assert identifiers(his("POST", "/Patient/$ihe-pix", posted)) == {(GREEN, green)}
    assert identifiers(pix(his, f"{RED}|{red}", headers={"accept": XML})) >= {(GREEN, green)}


def test_other_hospitals_learn_nothing_of_numbers_that_are_not_theirs(his: Fhir, his2: Fhir) -> None:
    mine = number()
    his.feed(mine, patient(mine))
    assert outcome(pix(his2, f"{RED}|{mine}"))[:3] == (400, "error", "code-invalid")


def test_an_unknown_source_identifier(his: Fhir) -> None:
    assert outcome(pix(his, f"{RED}|IHERED-nobody")) == (
        *(404, "error", "not-found"),
        "sourceIdentifier Patient Identifier not found",
    )


def test_an_unknown_source_domain(his: Fhir) -> None:
    assert outcome(pix(his, "urn:oid:1.2.3.4.5|1")) == (
        *(400, "error", "code-invalid"),
        "sourceIdentifier Assigning Authority not found",
    )


def test_an_unknown_target_domain(his: Fhir) -> None:
    mine = number()
    his.feed(mine, patient(mine))
    assert outcome(pix(his, f"{RED}|{mine}", "urn:oid:1.2.3.4.5")) == (
        *(403, "error", "code-invalid"),
        "targetSystem not found",
    )


@pytest.mark.parametrize("source", ["", RED, f"{RED}|", "|123", "123"])
def test_a_source_identifier_without_system_or_value(his: Fhir, source: str) -> None:
    status, severity, code, _ = outcome(pix(his, source))
    assert (status, severity, code) == (400, "error", "invalid")


def test_two_source_identifiers(his: Fhir) -> None:
    params = [("sourceIdentifier", f"{RED}|1"), ("sourceIdentifier", f"{RED}|2")]
    assert his("GET", "/Patient/$ihe-pix", params=params).status_code == 400


def test_a_duplicate_is_resolved(his: Fhir) -> None:
    subsumed, surviving = number(), number()
    facts = {
        "birthDate": "1971-03-04",
        "name": [
            {
                "family": "MOHR",
                "given": [subsumed.replace("IHERED-", "X").translate(str.maketrans("0123456789", "ABCDEFGHIJ"))],
            }
        ],
    }
    old = his.feed(subsumed, patient(subsumed, **facts)).extensions["resource"]["id"]
    other = {"birthDate": "1989-12-13", "name": [{"family": "QUITE", "given": ["DIFFERENT"]}]}
    new = his.feed(surviving, patient(surviving, **other)).extensions["resource"]["id"]
    assert old != new
    link = [{"other": {"identifier": {"system": RED, "value": surviving}}, "type": "replaced-by"}]
    done = his.feed(subsumed, patient(subsumed, active=False, link=link, **facts))
    assert done.status_code == 200, done.text
    stays = done.extensions["resource"]["id"]
    (gone,) = {old, new} - {stays}
    assert pix(his, f"{RED}|{subsumed}").status_code == 404
    assert target_ids(pix(his, f"{RED}|{surviving}")) == [f"{BASE}/Patient/{stays}"]
    retired = his.get(f"/Patient/{gone}")
    assert retired["active"] is False
    assert retired["link"] == [{"other": {"reference": f"Patient/{stays}"}, "type": "replaced-by"}]
    assert his.feed(subsumed, patient(subsumed, active=False, link=link, **facts)).status_code == 200


def test_a_record_is_removed(his: Fhir) -> None:
    mine = number()
    his.feed(mine, patient(mine))
    removed = his("DELETE", "/Patient", params={"identifier": f"{RED}|{mine}"})
    assert removed.status_code == 204, removed.text
    assert pix(his, f"{RED}|{mine}").status_code == 404
    again = his("DELETE", "/Patient", params={"identifier": f"{RED}|{mine}"})
    assert outcome(again)[:3] == (404, "error", "not-found")


def test_a_record_in_another_hospitals_domain_is_refused(his2: Fhir) -> None:
    assert his2.feed("1", patient("1")).status_code in (403, 422)


def test_if_match_holds_the_version(his: Fhir) -> None:
    mine = number()
    tag = his.feed(mine, patient(mine)).headers["etag"]
    assert outcome(his.feed(mine, patient(mine), headers={"if-match": 'W/"77"'}))[:3] == (412, "error", "conflict")
    assert his.feed(mine, patient(mine), headers={"if-match": tag}).status_code == 200


@pytest.mark.parametrize(
    ("returning", "body"), [("minimal", ""), ("OperationOutcome", "OperationOutcome"), ("representation", "Patient")]
)
def test_prefer_return(his: Fhir, returning: str, body: str) -> None:
    mine = number()
    answer = his.feed(mine, patient(mine), headers={"prefer": f"return={returning}"})
    assert answer.status_code == 201
    assert answer.extensions.get("resource", {}).get("resourceType", "") == body


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"modifierExtension": [{"url": "http://example.org/not-alive", "valueBoolean": True}]}, 400, "extension"),
        ({"implicitRules": "http://example.org/rules"}, 400, "extension"),
        ({"name": None}, 400, "required"),
        ({"active": False}, 422, "value"),
        ({"birthDate": "2058-01-30"}, 422, "processing"),
        ({"birthDate": "1958-13-30"}, 400, "structure"),
        ({"favouriteColour": "red"}, 400, "structure"),
        ({"gender": "F"}, 422, "value"),
    ],
)
def test_what_is_not_taken(his: Fhir, more: dict, status: int, code: str) -> None:
    mine = number()
    assert outcome(his.feed(mine, patient(mine, **more)))[:3] == (status, "error", code)


def test_extensions_that_nobody_knows_are_no_obstacle(his: Fhir) -> None:
    mine = number()
    unknown = [{"url": "http://example.org/colour", "valueRatio": {"numerator": {"value": 1.5}}}]
    assert his.feed(mine, patient(mine, extension=unknown)).status_code == 201
    assert his.feed(mine, encoding.write(patient(mine, extension=unknown), "xml")).status_code == 200


def test_a_death_is_reported_with_the_record(his: Fhir) -> None:
    mine = number()
    answer = his.feed(mine, patient(mine, deceasedDateTime="2026-03-04T05:06:07+08:00"))
    assert answer.status_code == 201, answer.text
    assert answer.extensions["resource"]["deceasedDateTime"] == "2026-03-04"
    assert answer.extensions["resource"]["active"] is False


def test_the_json_is_asked_for_by_format(his: Fhir) -> None:
    answer = pix(his, f"{RED}|IHERED-nobody", headers={"accept": XML})
    assert answer.headers["content-type"].startswith(XML)
    params = {"sourceIdentifier": f"{RED}|IHERED-nobody", "_format": "json"}
    answer = his("GET", "/Patient/$ihe-pix", params=params, headers={"accept": XML})
    assert answer.headers["content-type"].startswith(JSON)
