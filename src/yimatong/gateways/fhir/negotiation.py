"""Which form and version of FHIR a request speaks and wants (R4 3.1.0.1.11, IHE ITI TF-2 Z.6). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from yimatong.gateways.errors import BodyFormatUnsupported, FormatNotAcceptable
from yimatong.gateways.fhir.encoding import Form

MEDIA_TYPES: Final[Mapping[Form, str]] = {
    "json": "application/fhir+json; fhirVersion=4.0; charset=utf-8",
    "xml": "application/fhir+xml; fhirVersion=4.0; charset=utf-8",
}
FORM_ENCODED: Final = "application/x-www-form-urlencoded"

_FORMS: Final[Mapping[str, Form]] = {
    "json": "json",
    "application/json": "json",
    "text/json": "json",
    "application/fhir+json": "json",
    "application/json+fhir": "json",
    "xml": "xml",
    "application/xml": "xml",
    "text/xml": "xml",
    "application/fhir+xml": "xml",
    "application/xml+fhir": "xml",
}
_ANY: Final = ("*/*", "application/*", "*")
_VERSIONS: Final = ("4.0", "4.0.1", "")


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How a request wants its answer. ``strict``: unknown parameters are errors; ``returning``: what a write gives."""

    form: Form = "json"
    pretty: bool = False
    strict: bool = False
    returning: str = "representation"


def wish(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Wish:
    """Return what the headers ``Accept`` and ``Prefer`` and the parameters ``_format`` and ``_pretty`` ask for.

    Raises:
        FormatNotAcceptable: neither JSON nor XML of FHIR 4.0 would do.
    """
    prefer = dict(_preferences(headers.get("prefer", "")))
    returning = prefer.get("return", "representation")
    return Wish(
        form=_answer_form(headers.get("accept", ""), parameters.get("_format", "")),
        pretty=parameters.get("_pretty") == "true",
        strict=prefer.get("handling") == "strict",
        returning=returning if returning in ("minimal", "OperationOutcome") else "representation",
    )


def form_or_json(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Form:
    """Return the form of an answer that must be given in any case, as that of an error."""
    try:
        return wish(headers, parameters).form
    except FormatNotAcceptable:
        return "json"


def body_form(content_type: str) -> Form:
    """Return the form of a body.

    Raises:
        BodyFormatUnsupported: another media type or version, or a character set that is not UTF-8.
    """
    name, parameters = _media_type(content_type)
    form = _FORMS.get(name) if "/" in name else None
    if (
        form is None
        or parameters.get("fhirversion", "") not in _VERSIONS
        or parameters.get("charset", "utf-8").lower() not in ("utf-8", "utf8", "us-ascii")
    ):
        raise BodyFormatUnsupported
    return form


def is_search_form(content_type: str) -> bool:
    """Say whether a body is that of a search by POST."""
    return _media_type(content_type)[0] == FORM_ENCODED


def _answer_form(accept: str, asked: str) -> Form:
    if asked:
        form = _form_of(asked.replace(" ", "+") if "fhir " in asked else asked)
        if form is None:
            raise FormatNotAcceptable
        return form
    if not accept.strip():
        return "json"
    for each in sorted(_ranges(accept), key=lambda found: -found[1]):
        if each[1] > 0 and (form := _form_of(each[0])) is not None:
            return form
    raise FormatNotAcceptable


def _form_of(text: str) -> Form | None:
    name, parameters = _media_type(text)
    if parameters.get("fhirversion", "") not in _VERSIONS:
        return None
    return "json" if name in _ANY else _FORMS.get(name)


def _ranges(accept: str) -> Iterator[tuple[str, float]]:
    for part in accept.split(",")[:50]:
        weight = _media_type(part)[1].get("q", "1")
        try:
            yield part, float(weight)
        except ValueError:
            yield part, 0.0


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    """Return type and parameters in lower case; FHIR's own parameter is kept apart from the type."""
    name, *rest = text.split(";")
    parameters = {}
    for each in rest:
        key, _, value = each.partition("=")
        parameters[key.strip().lower()] = value.strip().strip('"')
    return name.strip().lower(), parameters


def _preferences(prefer: str) -> Iterator[tuple[str, str]]:
    for part in prefer.replace(";", ",").split(",")[:20]:
        key, _, value = part.partition("=")
        yield key.strip().lower(), value.strip().strip('"')
