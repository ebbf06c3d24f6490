"""OperationOutcome (R4 2.36): what every refusal is answered with. Pure.

``diagnostics`` holds the English text, which for the transactions of IHE is the one that they prescribe; ``details``
holds the platform's public code and the text in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from yimatong.gateways.errors import FhirFault
from yimatong.gateways.fhir.values import Resource
from yimatong.kit.errors import PlatformError, Unavailable

CODE_SYSTEM: Final = "urn:yimatong:error"
_BY_STATUS: Final[Mapping[int, str]] = {
    202: "incomplete",
    400: "invalid",
    401: "login",
    403: "forbidden",
    404: "not-found",
    405: "not-supported",
    406: "not-supported",
    409: "conflict",
    410: "deleted",
    412: "conflict",
    413: "too-long",
    415: "not-supported",
    422: "processing",
    429: "throttled",
    500: "exception",
    503: "transient",
    504: "timeout",
}


_TOO_COSTLY: Final = frozenset({"EMP-3001", "EMP-3002"})
"""Searches that are too wide."""


def of_error(error: PlatformError, *, language: str) -> Resource:
    """Return the outcome of a refused request; ``language``: ``zh`` or ``en``."""
    severity = error.severity if isinstance(error, FhirFault) else "error"
    issue: Resource = {"severity": severity, "code": issue_type(error)}
    issue["details"] = {
        "coding": [{"system": CODE_SYSTEM, "code": error.code, "display": type(error).__name__}],
        "text": error.text(language),
    }
    issue["diagnostics"] = error.text("en")
    path = error.facts.get("path")
    if isinstance(path, str) and path[:1].isalpha():
        issue["expression"] = [path]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def issue_type(error: PlatformError) -> str:
    """Return the code of http://hl7.org/fhir/issue-type that fits an error best."""
    if isinstance(error, FhirFault):
        return error.issue
    if error.code in _TOO_COSTLY:
        return "too-costly"
    if isinstance(error, Unavailable):
        return "transient"
    return _BY_STATUS.get(error.status, "processing")


def told(severity: str, code: str, text: str) -> Resource:
    """Return an outcome of ours that is no refusal: ``information`` or ``warning``."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": severity, "code": code, "diagnostics": text}],
    }
