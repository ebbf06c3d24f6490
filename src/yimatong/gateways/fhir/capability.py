"""The CapabilityStatement (R4 2.11): exactly what is served, and which actors of IHE it is. Pure."""

from __future__ import annotations

from typing import Any, Final

from yimatong import __version__
from yimatong.gateways.fhir.values import Resource

PREFIX: Final = "/fhir"
"""Path of ``[base]`` below the address of the health interfaces."""

PDQM: Final = "https://profiles.ihe.net/ITI/PDQm"
PIXM: Final = "https://profiles.ihe.net/ITI/PIXm"
PMIR: Final = "https://profiles.ihe.net/ITI/PMIR"
_PARAMETER: Final = "http://hl7.org/fhir/SearchParameter/"
_RELEASED: Final = "2026-11-01"

SEARCH: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("_id", "token", "Resource-id", "居民引用（对各调用方不同） / the person's reference for this caller"),
    ("active", "token", "Patient-active", "是否有效 / whether the record is active"),
    ("address", "string", "individual-address", "地址任一部分 / any part of the address"),
    ("address-city", "string", "individual-address-city", "城市 / city"),
    ("address-country", "string", "individual-address-country", "国家 / country"),
    ("address-postalcode", "string", "individual-address-postalcode", "邮编（未保存） / postal code (none is kept)"),
    ("address-state", "string", "individual-address-state", "省 / province"),
    ("birthdate", "date", "individual-birthdate", "出生日期 / date of birth"),
    ("family", "string", "individual-family", "姓 / family name"),
    ("gender", "token", "individual-gender", "性别 / administrative gender"),
    ("given", "string", "individual-given", "名 / given name"),
    ("identifier", "token", "Patient-identifier", "标识 / an identifier of the person"),
    ("name", "string", "Patient-name", "姓名任一部分 / any part of the name"),
    ("telecom", "token", "individual-telecom", "电话 / telephone number"),
    (
        "mothersMaidenName",
        "string",
        "patient-extensions-Patient-mothersMaidenName",
        "母亲姓名 / the mother's maiden name",
    ),
)
"""Search parameters of Patient: name, type, id of the definition, what it is."""


def statement(base: str) -> Resource:
    """Return the statement of the interface at ``base`` (without a trailing slash)."""
    return {
        "resourceType": "CapabilityStatement",
        "url": f"{base}/metadata",
        "version": __version__,
        "name": "YimatongPersonIndex",
        "title": "一码通居民主索引 FHIR 接口 / yimatong person index, FHIR interface",
        "status": "active",
        "date": _RELEASED,
        "publisher": "yimatong",
        "description": "Patient Demographics Supplier (PDQm), Patient Identifier Cross-reference Manager (PIXm) and"
        " Patient Identity Registry (PMIR) of IHE ITI.",
        "kind": "instance",
        "instantiates": [
            f"{PDQM}/CapabilityStatement/IHE.PDQm.PatientDemographicsSupplier",
            f"{PIXM}/CapabilityStatement/IHE.PIXm.Manager",
            f"{PMIR}/CapabilityStatement/IHE.PMIR.PatientIdentityRegistry",
        ],
        "software": {"name": "yimatong", "version": __version__},
        "implementation": {"description": "yimatong", "url": base},
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "application/fhir+xml", "json", "xml"],
        "rest": [_rest()],
        "messaging": [
            {
                "endpoint": [
                    {
                        "protocol": {
                            "system": "http://terminology.hl7.org/CodeSystem/message-transport",
                            "code": "http",
                        },
                        "address": f"{base}/$process-message",
                    }
                ],
                "documentation": "Mobile Patient Identity Feed [ITI-93]",
                "supportedMessage": [
                    {"mode": mode, "definition": f"{PMIR}/StructureDefintion/IHE.PMIR.MessageDefinition"}
                    for mode in ("receiver", "sender")
                ],
            }
        ],
    }


def _rest() -> dict[str, Any]:
    return {
        "mode": "server",
        "documentation": "Mobile Patient Demographics Query [ITI-78], Patient Demographics Match [ITI-119], Mobile"
        " Patient Identifier Cross-reference Query [ITI-83], Patient Identity Feed FHIR [ITI-104], Subscribe to Patient"
        " Updates [ITI-94]",
        "security": {
            "service": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                            "code": "Basic",
                        }
                    ]
                }
            ],
            "description": "HTTP Basic (RFC 7617) with caller id and secret, over TLS; or the platform's signature"
            " (YMT-HMAC-SM3).",
        },
        "resource": [_patient(), _subscription()],
        "operation": [
            {
                "name": "process-message",
                "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message",
            }
        ],
    }


def _patient() -> dict[str, Any]:
    return {
        "type": "Patient",
        "supportedProfile": [
            f"{PDQM}/StructureDefinition/IHE.PDQm.Patient",
            f"{PDQM}/StructureDefinition/IHE.PDQm.MatchInputPatient",
            f"{PIXM}/StructureDefinition/IHE.PIXm.Patient",
        ],
        "interaction": [
            {"code": "read"},
            {"code": "search-type"},
            {"code": "update", "documentation": "conditional update by identifier [ITI-104]"},
            {"code": "delete", "documentation": "conditional delete by identifier [ITI-104]"},
        ],
        "versioning": "versioned-update",
        "readHistory": False,
        "updateCreate": False,
        "conditionalCreate": False,
        "conditionalRead": "not-supported",
        "conditionalUpdate": True,
        "conditionalDelete": "single",
        "searchParam": [
            {"name": name, "definition": _PARAMETER + definition, "type": kind, "documentation": text}
            for name, kind, definition, text in SEARCH
        ],
        "operation": [
            {"name": "match", "definition": f"{PDQM}/OperationDefinition/PDQmMatch"},
            {"name": "ihe-pix", "definition": f"{PIXM}/OperationDefinition/IHE.PIXm.pix"},
        ],
    }


def _subscription() -> dict[str, Any]:
    return {
        "type": "Subscription",
        "supportedProfile": [f"{PMIR}/StructureDefinition/IHE.PMIR.Subscription.Request"],
        "interaction": [{"code": code} for code in ("create", "read", "update", "delete")],
        "versioning": "versioned",
        "readHistory": False,
        "updateCreate": False,
    }
