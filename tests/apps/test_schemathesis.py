"""Every operation of the OpenAPI document by generated requests, signed: no 5xx, nothing that is not documented."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from yimatong.access import request_auth

EXAMPLES = 14
"""For each of two dozen operations; bounded so that all of it takes less than a minute."""

CHECKS: list[Any] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
METHODS = ("get", "post", "put", "patch", "delete")


class SignedSession(requests.Session):
    """Sends prepared requests as an institution's system does: each with its own nonce and idempotency key."""

    def __init__(self, secret_hex: str) -> None:
        super().__init__()
        self.trust_env = False
        self.secret = bytes.fromhex(secret_hex)
        self.answers: Counter[tuple[str, int]] = Counter()

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else bytes(body)
        timestamp, nonce, key = int(time.time()), secrets.token_hex(16), secrets.token_hex(8)
        text = request_auth.request_text(
            method=str(request.method), target=request.path_url, timestamp=timestamp, nonce=nonce, bound=key, body=raw
        )
        signature = request_auth.sign(self.secret, text)
        request.headers["idempotency-key"] = key
        request.headers["authorization"] = request_auth.header(
            caller_id="his-1", timestamp=timestamp, nonce=nonce, signature=signature
        )
        answer = super().send(request, **options)
        self.answers[str(request.method), answer.status_code] += 1
        return answer


@pytest.fixture(scope="module")
def document(core_url: str) -> dict[str, Any]:
    return dict(requests.get(f"{core_url}/openapi/openapi.json", timeout=10).json())


@pytest.fixture(scope="module")
def session(secrets_of: dict[str, str]) -> Iterator[SignedSession]:
    with SignedSession(secrets_of["his-1"]) as opened:
        yield opened


def operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (method, path, item[method]) for path, item in document["paths"].items() for method in METHODS if method in item
    ]


def test_the_document_is_complete(document: dict[str, Any]) -> None:
    found = operations(document)
    assert len(found) >= 20
    for method, path, operation in found:
        place = f"{method} {path}"
        assert operation.get("description"), place
        codes = " ".join(answer["description"] for answer in operation["responses"].values())
        for code in ("KIT-1001", "KIT-1004", "ACC-1001", "ACC-1002", "ACC-1005", "ACC-1006", "KIT-5001"):
            assert code in codes, f"{place} does not document {code}"
        if method == "post" and path not in _IDEMPOTENT | _LOOK_UPS:
            assert "ACC-1007" in codes, place
            assert "ACC-1008" in codes or path in _OWN_REPEATS, place


_IDEMPOTENT = {
    "/api/v1/orders/{order_no}/attempts",
    "/api/v1/orders/{order_no}/refresh",
    "/api/v1/orders/{order_no}/close",
    "/api/v1/orders/{order_no}/take-back",
    "/api/v1/orders/{order_no}/legs",
    "/api/v1/agreements",
    "/api/v1/agreements/{agreement_id}/confirm",
    "/api/v1/agreements/{agreement_id}/refresh",
    "/api/v1/agreements/{agreement_id}/end",
    "/api/v1/agreements/{agreement_id}/pay",
    "/api/v1/codes/two-in-one",
    "/api/v1/prescription-codes/resolve",
    "/api/v1/admissions/{admission_no}/settlement",
    "/api/v1/payables/orders",
}
"""Writes that need no key: doing them again is the same."""

_LOOK_UPS = {
    "/api/v1/accounts/search",
    "/api/v1/codes/drawings",
    "/api/v1/cross-indexes/resolve",
    "/api/v1/persons/match",
    "/api/v1/persons/search",
    "/api/v1/persons/statistics",
    "/api/v1/physical-cards/find",
    "/api/v1/visit-cards/find",
}
"""Reads whose numbers and names must not stand in an address."""

_OWN_REPEATS = {"/api/v1/codes/verify", "/api/v1/orders/{order_no}/scan"}
"""The code itself is what is used up; another code with the same key is another verification."""


def test_every_generated_request_is_answered_as_documented(
    document: dict[str, Any], core_url: str, session: SignedSession, owned: SimpleNamespace
) -> None:
    schema = schemathesis.openapi.from_dict(document)
    failures: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @seed(20261123)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            case.call_and_validate(base_url=core_url, session=session, checks=CHECKS)

        @seed(20261123)
        @settings(max_examples=EXAMPLES // 2, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def answered_about_real_objects(case: schemathesis.Case) -> None:
            _point_at(case, vars(owned))
            case.call_and_validate(base_url=core_url, session=session, checks=CHECKS)

        for each in (answered, answered_about_real_objects):
            try:
                each()
            except Exception as error:  # noqa: BLE001 -- all operations are tried before the test fails
                failures.append(f"{operation.method} {operation.path}: {error}")
    assert failures == [], "\n\n".join(failures)
    answers = session.answers
    assert answers.total() > 200
    assert not [status for _, status in answers if status in (401, 405, 413, 415)], answers
    assert min(answers["GET", 200], answers["POST", 201], answers["GET", 404], answers["POST", 422]) > 0, answers


def _point_at(case: schemathesis.Case, known: dict[str, str]) -> None:
    """Put the numbers of objects that exist into a generated case."""
    for place in (case.path_parameters, case.body):
        if isinstance(place, dict):
            place.update({name: value for name, value in known.items() if name in place})
