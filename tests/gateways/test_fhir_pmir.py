"""PMIR: feed messages (ITI-93) and subscriptions (ITI-94)."""

from __future__ import annotations

from typing import Any

import pytest
from fhir_world import BASE, GREEN, JSON, RED, XML, Fhir, number, outcome, patient

from yimatong.gateways.fhir import encoding

FEED = "urn:ihe:iti:pmir:2019:patient-feed"


def entry(resource: dict[str, Any] | None, method: str = "POST", url: str = "Patient") -> dict[str, Any]:
    made: dict[str, Any] = {"fullUrl": "urn:uuid:14298d90-b285-4c4c-8252-5d4e7bb5fdb6"}
    if resource is not None:
        made["resource"] = resource
    return made | {"request": {"method": method, "url": url}, "response": {"status": "200"}}


def message(*entries: dict[str, Any], event: str = FEED) -> dict[str, Any]:
    """Return a message as the examples of the profile have it (Bundle ex-PMIRBundleCreate)."""
    header = {
        "resourceType": "MessageHeader",
        "id": "ex-messageheader-create",
        "eventUri": event,
        "source": {"endpoint": "http://example.com/patientSource"},
        "focus": [{"reference": "Bundle/ex-bundle-history-create"}],
        "destination": [{"endpoint": "http://example.com/patientEndpoint"}],
    }
    history = {"resourceType": "Bundle", "id": "ex-bundle-history-create", "type": "history", "entry": list(entries)}
    return {
        "resourceType": "Bundle",
        "type": "message",
        "entry": [
            {"fullUrl": "http://example.com/MessageHeader/ex-messageheader-create", "resource": header},
            {"fullUrl": "http://example.com/Bundle/ex-bundle-history-create", "resource": history},
        ],
    }


def answered(answer) -> dict[str, Any]:
    """Return the header of a response message."""
    assert answer.status_code == 200, answer.text
    found = answer.extensions["resource"]
    assert found["type"] == "message"
    (only,) = found["entry"]
    assert only["resource"]["eventUri"] == "urn:ihe:iti:pmir:2019:patient-feed-response"
    assert only["resource"]["response"]["identifier"] == "ex-messageheader-create"
    return only["resource"]


def send(fhir: Fhir, *entries: dict[str, Any], **options: Any):
    return fhir("POST", "/$process-message", message(*entries), **options)


def total(fhir: Fhir, mine: str) -> int:
    return fhir.get("/Patient", params={"identifier": f"{RED}|{mine}"})["total"]


def test_patients_are_created_updated_and_deleted(his: Fhir) -> None:
    one, two = number(), number()
    created = answered(send(his, entry(patient(one)), entry(patient(two, birthDate="1985-07-12"))))
    assert created["response"]["code"] == "ok"
    assert (total(his, one), total(his, two)) == (1, 1)
    changed = patient(one, name=[{"family": "MOHR", "given": ["ALISSA"]}])
    answered(send(his, entry(changed, "PUT", "Patient/their-own-id")))
    (found,) = his.get("/Patient", params={"identifier": f"{RED}|{one}"})["entry"]
    assert found["resource"]["name"][0]["given"] == ["ALISSA"]
    answered(send(his, entry(None, "DELETE", f"Patient?identifier={RED}|{two}")))
    assert total(his, two) == 0
    answered(send(his, entry(None, "DELETE", f"Patient/{found['resource']['id']}")))
    assert total(his, one) == 0


def test_a_patient_is_merged(his: Fhir) -> None:
    old, new = number(), number()
    answered(send(his, entry(patient(old, name=[{"text": "卫旧"}])), entry(patient(new, name=[{"text": "蒋新"}]))))
    link = [{"other": {"identifier": {"system": RED, "value": new}}, "type": "replaced-by"}]
    merged = {
        "resourceType": "Patient",
        "identifier": [{"system": RED, "value": old}],
        "active": False,
        "link": link,
    }
    assert answered(send(his, entry(merged, "PUT", "Patient/123")))["response"]["code"] == "ok"
    assert (total(his, old), total(his, new)) == (0, 1)


def test_what_failed_is_told_and_the_rest_is_done(his: Fhir) -> None:
    mine = number()
    nobody = patient(identifier=[{"system": "urn:oid:1.2.3", "value": "1"}])
    header = answered(send(his, entry(nobody), entry(patient(mine))))
    assert header["response"]["code"] == "fatal-error"
    assert header["response"]["details"] == {"reference": "#outcome"}
    (issue,) = header["contained"][0]["issue"]
    assert issue["expression"] == ["Bundle.entry[1].resource.entry[0]"]
    assert total(his, mine) == 1


def test_a_message_of_which_nothing_could_be_done_is_refused(his: Fhir) -> None:
    nobody = patient(identifier=[{"system": "urn:oid:1.2.3", "value": "1"}])
    assert outcome(send(his, entry(nobody)))[:3] == (422, "error", "code-invalid")


def test_xml_both_ways(his: Fhir) -> None:
    body = encoding.write(message(entry(patient(number()))), "xml")
    answer = his("POST", "/$process-message", body, headers={"accept": XML})
    assert answered(answer)["response"]["code"] == "ok"
    assert answer.headers["content-type"].startswith(XML)


@pytest.mark.parametrize(
    "broken",
    [
        {"resourceType": "Bundle", "type": "batch"},
        {"resourceType": "Bundle", "type": "message"},
        message(entry(patient("1")), event="urn:example:another-event"),
        message(),
        message(entry(patient("1"), "PATCH")),
        message(entry(None, "POST")),
    ],
)
def test_what_is_no_feed_message(his: Fhir, broken: dict[str, Any]) -> None:
    answer = his("POST", "/$process-message", broken)
    assert answer.status_code in (400, 422), answer.text
    assert outcome(answer)[1] == "error"


def wanted(criteria: str = "Patient", **channel: str) -> dict[str, Any]:
    """Return the Subscription of the profile's example (ex-subscription-request)."""
    said = {"type": "message", "endpoint": "http://127.0.0.1:9/pmir-message", "payload": JSON} | channel
    return {
        "resourceType": "Subscription",
        "status": "requested",
        "contact": [{"system": "phone", "value": "+1-555-555-1212"}],
        "reason": "To receive Patient changes.",
        "criteria": criteria,
        "channel": said,
    }


def test_a_subscription_lives(his: Fhir) -> None:
    made = his("POST", "/Subscription", wanted())
    assert made.status_code == 201, made.text
    location = made.headers["location"].partition("/_history")[0]
    assert location.startswith(f"{BASE}/Subscription/")
    known = his.get(location)
    assert (known["status"], known["criteria"]) == ("active", "Patient")
    assert known["channel"] == wanted()["channel"]
    off = his("PUT", location, known | {"status": "off"})
    assert off.status_code == 200, off.text
    assert his.get(location)["status"] == "off"
    assert his("PUT", location, known | {"status": "requested"}).extensions["resource"]["status"] == "active"
    assert his("PUT", location, known, headers={"if-match": 'W/"99"'}).status_code == 412
    assert his("DELETE", location).status_code == 204
    assert his.get(location)["status"] == "off"
    assert outcome(his("PUT", location, known | {"status": "requested"}))[0] == 409


def test_subscriptions_by_criteria(his: Fhir, his2: Fhir) -> None:
    mine = number()
    ref = his.feed(mine, patient(mine)).extensions["resource"]["id"]
    one = his("POST", "/Subscription", wanted(f"Patient?_id={ref}"))
    assert one.status_code == 201, one.text
    assert one.extensions["resource"]["criteria"] == f"Patient?_id={ref}"
    number_of_one = his("POST", "/Subscription", wanted(f"Patient?identifier={RED}|{mine}", type="rest-hook"))
    assert number_of_one.extensions["resource"]["criteria"] == f"Patient?_id={ref}"
    domain = his("POST", "/Subscription", wanted(f"Patient?identifier={RED}|", payload=XML))
    assert domain.status_code == 201, domain.text
    assert domain.extensions["resource"]["criteria"] == f"Patient?identifier={RED}|"
    assert domain.extensions["resource"]["channel"]["payload"] == XML
    organization = his("POST", "/Subscription", wanted("Patient?organization=inst-h1"))
    assert organization.status_code == 201, organization.text
    assert outcome(his2("POST", "/Subscription", wanted()))[:3] == (403, "error", "forbidden")
    assert his2("GET", one.headers["location"].partition("/_history")[0]).status_code == 404


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (wanted("Observation"), 422),
        (wanted("Patient?name=x"), 422),
        (wanted("Patient?identifier=urn:oid:1.2.3|"), 422),
        (wanted(f"Patient?identifier={GREEN}|"), 403),
        (wanted(type="email"), 422),
        (wanted(payload="text/plain"), 422),
        (wanted(endpoint="http://10.0.0.1/x"), 422),
        (patient("1"), 422),
        (
            {
                "resourceType": "Subscription",
                "status": "requested",
                "criteria": "Patient",
                "reason": "x",
                "channel": {"type": "message"},
            },
            400,
        ),
    ],
)
def test_a_subscription_that_is_refused(his: Fhir, broken: dict[str, Any], status: int) -> None:
    assert outcome(his("POST", "/Subscription", broken))[0] == status
