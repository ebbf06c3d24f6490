"""Who comes through the door of the health interfaces, what is written of her, and what never fails."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

import httpx
import msgspec
import psycopg
import pytest
from fhir_world import JSON, RED, Fhir, number, outcome, parsed, patient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from yimatong.apps import health
from yimatong.gateways.errors import RequestsTooMany
from yimatong.gateways.health.door import Pace
from yimatong.kit import clock
from yimatong.kit.settings import Settings, SettingsInvalid
from yimatong_sdk import Client


@pytest.fixture(scope="module")
def http(health_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=health_url, trust_env=False) as opened:
        yield opened


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def test_the_capability_statement_is_open_and_says_what_is_served(http: httpx.Client) -> None:
    statement = parsed(http.get("/fhir/metadata", headers={"accept": JSON}))
    assert statement["fhirVersion"] == "4.0.1"
    assert statement["kind"] == "instance"
    (rest,) = statement["rest"]
    assert {each["name"] for each in rest["resource"][0]["searchParam"]} >= {
        *("_id", "active", "family", "given", "identifier", "telecom", "birthdate", "address", "address-city"),
        *("address-country", "address-postalcode", "address-state", "gender", "mothersMaidenName"),
    }
    assert rest["resource"][0]["conditionalUpdate"] is True
    assert rest["resource"][0]["conditionalDelete"] == "single"
    assert "https://profiles.ihe.net/ITI/PIXm/CapabilityStatement/IHE.PIXm.Manager" in statement["instantiates"]
    assert parsed(http.get("/fhir/metadata", params={"_format": "xml"}))["resourceType"] == "CapabilityStatement"
    assert http.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer abc"},
        {"authorization": "Basic ***"},
        basic("his-1"),
        basic("his-1:" + "0" * 64),
        basic("nobody:" + "0" * 64),
        basic("a\x00b:" + "0" * 64),
        basic("null:" + "0" * 64),
        {"authorization": "YMT-HMAC-SM3 caller_id=his-1,timestamp=1,nonce=12345678,signature=" + "0" * 64},
    ],
)
def test_without_credentials_that_hold_nobody_comes_in(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.get("/fhir/Patient", params={"family": "张"}, headers={"accept": JSON, **headers})
    answer.extensions["resource"] = parsed(answer)
    assert outcome(answer)[:3] == (401, "error", "login")
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_the_platforms_own_signature_counts_and_signs_the_answer(health_url: str, secrets_of: dict[str, str]) -> None:
    with Client(health_url, caller_id="his-1", secret_hex=secrets_of["his-1"], retries=0) as client:
        assert client.call("GET", "/fhir/Patient?family=NOBODY")["total"] == 0


def test_an_app_may_not_search(health_url: str, secrets_of: dict[str, str]) -> None:
    app = Fhir(health_url, "app-1", secrets_of["app-1"])
    assert outcome(app("GET", "/Patient", params={"family": "张"}))[:3] == (403, "error", "forbidden")
    app.close()


def test_a_suspended_caller_is_out_at_once(health_url: str, secrets_of: dict[str, str], database_url: str) -> None:
    late = Fhir(health_url, "his-2", secrets_of["his-2"])
    assert late("GET", "/Patient", params={"family": "无此人"}).status_code == 200
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE access_caller SET state = 'suspended' WHERE caller_id = 'his-2'")
        assert outcome(late("GET", "/Patient", params={"family": "无此人"}))[:3] == (403, "error", "forbidden")
        connection.execute("UPDATE access_caller SET state = 'approved' WHERE caller_id = 'his-2'")
    late.close()


def test_every_request_is_in_the_audit_without_what_was_looked_for(his: Fhir, database_url: str) -> None:
    mine = number()
    his.feed(mine, patient(mine, name=[{"text": "审计张"}]))
    his("GET", "/Patient", params={"family": "审计"})
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "SELECT action, object_id FROM kit_audit_event WHERE actor = 'his-1' ORDER BY id DESC LIMIT 20"
        ).fetchall()
        everything = str(connection.execute("SELECT * FROM kit_audit_event").fetchall())
    assert ("persons:register", "/fhir/Patient") in rows
    assert ("persons:search", "/fhir/Patient") in rows
    assert "审计" not in everything
    assert mine not in everything


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/Observation", 404),
        ("GET", "/Patient/1/_history", 404),
        ("PATCH", "/Patient", 405),
        ("DELETE", "/Patient/1", 405),
        ("POST", "/Patient", 405),
        ("GET", "/$process-message", 405),
        ("GET", "/Subscription/unknown", 404),
        ("GET", "/Subscription/sub-" + "0" * 32, 404),
        ("DELETE", "/Patient", 400),
        ("DELETE", "/Patient?identifier=urn:oid:1.2.3|1", 422),
        ("DELETE", "/Patient?family=x", 400),
        ("PUT", f"/Patient?identifier={RED}|1", 415),
    ],
)
def test_what_is_not_served_has_its_outcome(his: Fhir, method: str, path: str, status: int) -> None:
    assert outcome(his(method, path))[:2] == (status, "error")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("text/plain", 415),
        ("application/fhir+json; fhirVersion=5.0", 415),
        ("application/fhir+json; charset=latin-1", 415),
        ("application/fhir+json; fhirVersion=4.0", 201),
        ("application/json", 201),
    ],
)
def test_the_form_of_a_body(his: Fhir, content_type: str, status: int) -> None:
    mine = number()
    assert his.feed(mine, patient(mine), headers={"content-type": content_type}).status_code == status


def test_a_body_has_a_limit(his: Fhir) -> None:
    assert his.feed("1", b"x" * ((1 << 20) + 1)).status_code == 413


def test_a_caller_that_asks_too_often_waits() -> None:
    pace, now = Pace(2), clock.now()
    for _ in range(4):
        pace.take("his-1", now=now)
    with pytest.raises(RequestsTooMany) as refused:
        pace.take("his-1", now=now)
    assert refused.value.retry_after_s == 1
    pace.take("his-2", now=now)
    pace.take("his-1", now=now.fromtimestamp(now.timestamp() + 1, now.tzinfo))
    for _ in range(1000):
        Pace(0).take("his-1", now=now)


def test_a_tool_on_this_machine_needs_no_credentials_if_so_set(
    health_settings: Settings, secrets_of: dict[str, str], serve: Callable[..., str]
) -> None:
    opened = msgspec.structs.replace(health_settings, health_open_caller="his-1")
    url = serve(lambda: health.build(opened))
    with httpx.Client(base_url=url, trust_env=False, headers={"accept": JSON}) as client:
        assert client.get("/fhir/Patient", params={"family": "无此人"}).status_code == 200
        through = {"x-forwarded-for": "203.0.113.9"}
        assert client.get("/fhir/Patient", params={"family": "无此人"}, headers=through).status_code == 401
        assert client.get("/fhir/Patient", params={"family": "x"}, headers=basic("x:y")).status_code == 401
    for refused in (
        {"mode": "production"},
        {"addresses": msgspec.structs.replace(opened.addresses, health="http://0.0.0.0:1")},
    ):
        with pytest.raises(SettingsInvalid):
            health.build(msgspec.structs.replace(opened, **refused))


words = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
names = st.sampled_from(
    [
        "family",
        "given:exact",
        "birthdate",
        "identifier",
        "_id",
        "telecom",
        "_count",
        "gender",
        "address",
        "x",
        "_page",
        "_format",
        "mothersMaidenName",
        "active",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(params=st.lists(st.tuples(names, words), max_size=4))
def test_no_search_fails(his: Fhir, params: list[tuple[str, str]]) -> None:
    answer = his("GET", "/Patient", params=params)
    assert answer.status_code < 500, answer.text


fuzz = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda x: (
        st.lists(x, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "name",
                    "identifier",
                    "text",
                    "value",
                    "system",
                    "link",
                    "other",
                    "type",
                    "extension",
                    "url",
                    "entry",
                    "resource",
                    "parameter",
                    "resourceType",
                ]
            ),
            x,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=fuzz,
    path=st.sampled_from(
        ["/Patient/$match", "/Patient/$ihe-pix", "/$process-message", "/Subscription", f"/Patient?identifier={RED}|1"]
    ),
    kind=st.sampled_from(["Patient", "Bundle", "Parameters", "Subscription"]),
)
def test_no_body_fails(his: Fhir, body: object, path: str, kind: str) -> None:
    sent = {**body, "resourceType": kind} if isinstance(body, dict) else {"resourceType": kind, "name": body}
    answer = his("PUT" if "?" in path else "POST", path, sent)
    assert answer.status_code < 500, answer.text
    assert answer.extensions["resource"]["resourceType"]
