"""The health interfaces on a loopback port, the domains of the IHE examples, and a client of each hospital.

Every answer is read by ``fhir.resources`` (a library that nobody here wrote), which knows the R4 structures.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from core_world import HOSPITAL, OTHER
from fhir.resources.R4B import get_fhir_model_class

from yimatong.apps import health
from yimatong.apps.assembly import assemble
from yimatong.empi.identifiers import managing
from yimatong.empi.identifiers.schemas import DomainChange
from yimatong.kit import clock
from yimatong.kit.settings import Settings

RED, GREEN = "urn:oid:1.3.6.1.4.1.21367.13.20.1000", "urn:oid:1.3.6.1.4.1.21367.13.20.2000"
"""The domains of the IHE examples: the record numbers of hospital 1 and hospital 2 (which trusts hospital 1)."""

ID_CARD = "urn:oid:2.16.156.10011.1.3"
BASE = "http://fhir.example.test/fhir"
JSON, XML = "application/fhir+json", "application/fhir+xml"


class Fhir:
    """A client of one caller. Every answer with a body must be a resource that fhir.resources accepts."""

    def __init__(self, url: str, caller_id: str, secret: str) -> None:
        self._http = httpx.Client(
            base_url=url + "/fhir", auth=httpx.BasicAuth(caller_id, secret) if caller_id else None, trust_env=False
        )

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        headers = {"accept": JSON, **options.pop("headers", {})}
        if isinstance(body, dict):
            options["content"] = json.dumps(body).encode()
            headers.setdefault("content-type", JSON)
        elif body is not None:
            options["content"] = body
            headers.setdefault("content-type", XML)
        answer = self._http.request(method, path.removeprefix(BASE), headers=headers, **options)
        if answer.content:
            answer.extensions["resource"] = parsed(answer)
        return answer

    def get(self, path: str, **options: Any) -> dict[str, Any]:
        answer = self("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.extensions["resource"]

    def feed(self, number: str, patient: dict[str, Any], *, system: str = RED, **options: Any) -> httpx.Response:
        return self("PUT", "/Patient", patient, params={"identifier": f"{system}|{number}"}, **options)

    def close(self) -> None:
        self._http.close()


def parsed(answer: httpx.Response) -> dict[str, Any]:
    """Return the resource of an answer in JSON's shape, as the foreign library reads it."""
    form = answer.headers["content-type"].partition(";")[0]
    assert form in (JSON, XML), answer.headers["content-type"]
    if form == JSON:
        found = answer.json()
        get_fhir_model_class(found["resourceType"]).model_validate(found)
        return found
    kind = answer.content.partition(b'xmlns="http://hl7.org/fhir"')[0].rpartition(b"<")[2].strip().decode()
    model = get_fhir_model_class(kind).model_validate_xml(answer.content)
    return json.loads(model.model_dump_json())


def outcome(answer: httpx.Response) -> tuple[int, str, str, str]:
    """Return status, severity, code and diagnostics of a refusal."""
    found = answer.extensions["resource"]
    assert found["resourceType"] == "OperationOutcome", found
    issue = found["issue"][0]
    assert issue["details"]["coding"][0]["system"] == "urn:yimatong:error"
    return answer.status_code, issue["severity"], issue["code"], issue["diagnostics"]


def patient(number: str = "", **more: Any) -> dict[str, Any]:
    """Return the Patient of the IHE examples (PIXm, Patient-MohrAlice-Red), with another number and other facts."""
    made = {
        "resourceType": "Patient",
        "identifier": [{"system": RED, "value": number}] if number else [],
        "active": True,
        "name": [{"family": "MOHR", "given": ["ALICE"]}],
        "gender": "female",
        "birthDate": "1958-01-30",
    }
    made |= more
    return {name: value for name, value in made.items() if value not in ([], None)}


def number() -> str:
    """Return a record number that nobody has."""
    return f"IHERED-{secrets.randbelow(10**12)}"


@pytest.fixture(scope="module")
def health_settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(
        settings,
        health_public_url=BASE.removesuffix("/fhir"),
        webhook_hosts=("127.0.0.0/8",),
        subscribers_to_all=("his-1",),
    )


@pytest.fixture(scope="module")
def domains(settings: Settings, secrets_of: dict[str, str], run_async: Callable[..., object]) -> None:
    """Name the record numbers of both hospitals by the object identifiers of the IHE examples."""

    async def name() -> None:
        parts = assemble(settings)
        async with parts.db.transaction() as connection:
            for institution_id, system, trusted in ((HOSPITAL, RED, ()), (OTHER, GREEN, (HOSPITAL,))):
                await managing.change(
                    connection,
                    f"source:{institution_id}",
                    DomainChange(oid=system.removeprefix("urn:oid:"), trusted=trusted),
                    version=1,
                    change=managing.Change(operator_id="opr-1", reason="test", request_id="req", now=clock.now()),
                )
        await parts.close()

    run_async(name())


@pytest.fixture(scope="module")
def health_url(health_settings: Settings, domains: None, serve: Callable[[object], str]) -> str:
    return serve(lambda: health.build(health_settings))


@pytest.fixture(scope="module")
def his(health_url: str, secrets_of: dict[str, str]) -> Iterator[Fhir]:
    """Hospital 1."""
    made = Fhir(health_url, "his-1", secrets_of["his-1"])
    yield made
    made.close()


@pytest.fixture(scope="module")
def his2(health_url: str, secrets_of: dict[str, str]) -> Iterator[Fhir]:
    """Hospital 2."""
    made = Fhir(health_url, "his-2", secrets_of["his-2"])
    yield made
    made.close()
