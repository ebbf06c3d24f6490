"""Searches for Patients (R4 3.1.1, ITI-78): parameters read, and what they say of a Patient. Pure.

Repeated parameters are all to fit, values between commas are alternatives. Strings fit from the beginning, without
regard to case, accents and width; ``:exact`` and ``:contains`` as FHIR says.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec

from yimatong.gateways.errors import ParameterInvalid, ParameterUnknown
from yimatong.gateways.fhir.values import Resource
from yimatong.standards import phones
from yimatong.standards.errors import PhoneInvalid

STRINGS: Final = (
    *("family", "given", "name", "mothersMaidenName"),
    *("address", "address-city", "address-country", "address-postalcode", "address-state"),
)
TOKENS: Final = ("_id", "active", "gender", "identifier", "telecom")
DATES: Final = ("birthdate",)
CONTROLS: Final = ("_format", "_pretty", "_count", "_summary", "_sort", "_total", "_elements", "_page")
_IGNORED: Final = ("_sort", "_total", "_elements")
_MODIFIERS: Final = {"exact", "contains"}
COUNT: Final = 20
COUNT_MAX: Final = 100
_PARAMETERS_MAX: Final = 40
_VALUES_MAX: Final = 20
_PREFIX: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d{4}(?:-\d{2}(?:-\d{2})?)?)", re.ASCII)
_GENDERS: Final = ("male", "female", "other", "unknown")


class Token(msgspec.Struct, frozen=True):
    """A token: ``system`` is None where any would do; an empty ``value`` stands for any."""

    system: str | None
    value: str


class Span(msgspec.Struct, frozen=True):
    """Days a birth date may be: from ``first`` to ``last``, both inside; outside of them where ``outside`` is set."""

    first: date
    last: date
    outside: bool = False


class Term(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter: one of its values must fit. Which list is filled depends on its type."""

    name: str
    modifier: str = ""
    texts: tuple[str, ...] = ()
    tokens: tuple[Token, ...] = ()
    spans: tuple[Span, ...] = ()


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked. ``used`` are the parameters as they were understood, ``ignored`` the names of the others."""

    terms: tuple[Term, ...]
    count: int
    only_count: bool
    used: tuple[tuple[str, str], ...]
    ignored: tuple[str, ...]

    def of(self, *names: str) -> list[Term]:
        """Return the terms of parameters."""
        return [term for term in self.terms if term.name in names]


def parameters(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query string or a form.

    Raises:
        ParameterInvalid: not UTF-8, or too many.
    """
    try:
        found = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=200
        )
    except (UnicodeDecodeError, ValueError) as error:
        raise ParameterInvalid(parameter="query", reason="not a query string in UTF-8") from error
    if any("\x00" in text for pair in found for text in pair):
        raise ParameterInvalid(parameter="query", reason="control characters")
    return found


def read(given: Sequence[tuple[str, str]], *, strict: bool) -> Search:
    """Return the search that parameters ask for.

    Raises:
        ParameterInvalid: a value that the type does not have. ParameterUnknown: not served, and ``strict``.
    """
    if len(given) > _PARAMETERS_MAX:
        raise ParameterInvalid(parameter="query", reason=f"more than {_PARAMETERS_MAX} parameters")
    terms: list[Term] = []
    used: list[tuple[str, str]] = []
    ignored: list[str] = []
    count, only_count = COUNT, False
    for key, value in given:
        name, _, modifier = key.partition(":")
        if name in CONTROLS and name not in _IGNORED and not modifier:
            if name == "_count":
                count = _count(value)
                only_count = only_count or count == 0
            only_count = only_count or (name == "_summary" and value == "count")
            if name != "_page":
                used.append((key, value))
            continue
        term = _term(name, modifier, value) if value else None
        if term is None:
            if value or strict:
                _refuse_unknown(key, strict=strict)
                ignored.append(_shown(key))
            continue
        terms.append(term)
        used.append((key, value))
    return Search(terms=tuple(terms), count=count, only_count=only_count, used=tuple(used), ignored=tuple(ignored))


def _refuse_unknown(key: str, *, strict: bool) -> None:
    if strict:
        raise ParameterUnknown(parameter=_shown(key))


def _shown(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_:.-]{1,60}", key, re.ASCII) else "?"


def _count(value: str) -> int:
    if not re.fullmatch(r"\d{1,6}", value, re.ASCII):
        raise ParameterInvalid(parameter="_count", reason="not a number")
    return min(int(value), COUNT_MAX)


def _term(name: str, modifier: str, value: str) -> Term | None:
    """Return what a parameter asks for, or None where it is not served."""
    values = list(_values(name, value))
    if name in STRINGS and (not modifier or modifier in _MODIFIERS):
        texts = tuple(each if modifier == "exact" else folded(each) for each in map(_unescaped, values))
        return Term(name=name, modifier=modifier, texts=tuple(text for text in texts if text))
    if modifier:
        return None
    if name in DATES:
        return Term(name=name, spans=tuple(_span(name, each) for each in values))
    if name in TOKENS:
        return Term(name=name, tokens=tuple(_token(name, each) for each in values))
    return None


def _values(name: str, value: str) -> Iterator[str]:
    """Yield the alternatives of a value; a comma behind a backslash is a comma."""
    parts = re.findall(r"(?:\\.|[^\\,])+", value, re.DOTALL)
    if not parts or len(parts) > _VALUES_MAX:
        raise ParameterInvalid(parameter=name, reason=f"1 to {_VALUES_MAX} values")
    yield from parts


def _unescaped(text: str) -> str:
    return re.sub(r"\\([,|$\\])", r"\1", text)


def _token(name: str, value: str) -> Token:
    parts = re.split(r"(?<!\\)\|", value)
    if len(parts) > 2:  # noqa: PLR2004 -- system and value
        raise ParameterInvalid(parameter=name, reason="system|value")
    text = _unescaped(parts[-1]).strip()
    token = Token(_unescaped(parts[0]).strip() if len(parts) > 1 else None, text)
    if name == "active" and text not in ("true", "false"):
        raise ParameterInvalid(parameter=name, reason="true or false")
    if name == "gender" and text not in _GENDERS:
        raise ParameterInvalid(parameter=name, reason="male, female, other or unknown")
    if len(text) > 200 or (not text and name != "identifier"):  # noqa: PLR2004 -- longer than any number
        raise ParameterInvalid(parameter=name, reason="1 to 200 characters")
    return token


def _span(name: str, value: str) -> Span:
    """Return the days that a prefix and a date of any precision stand for (R4 3.1.1.4.7)."""
    found = _PREFIX.fullmatch(value)
    try:
        first, last = _days(found[2]) if found else (date.max, date.min)
    except (ValueError, OverflowError) as error:
        raise ParameterInvalid(parameter=name, reason="no such day") from error
    if found is None:
        raise ParameterInvalid(parameter=name, reason="[prefix]YYYY[-MM[-DD]]")
    prefix = found[1] or "eq"
    if prefix == "ap":
        return Span(_moved(first, -366), _moved(last, 366))
    if prefix in ("gt", "sa"):
        return Span(_moved(last, 1), date.max)
    if prefix in ("lt", "eb"):
        return Span(date.min, _moved(first, -1))
    if prefix == "ge":
        return Span(first, date.max)
    return Span(date.min, last) if prefix == "le" else Span(first, last, outside=prefix == "ne")


def _days(text: str) -> tuple[date, date]:
    year, month, day = (*map(int, text.split("-")), 0, 0)[:3]
    first = date(year, month or 1, day or 1)
    if day:
        return first, first
    if month:
        following = date(year + month // 12, month % 12 + 1, 1)
        return first, following - timedelta(days=1)
    return first, date(year, 12, 31)


def _moved(day: date, days: int) -> date:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return day


def folded(text: str) -> str:
    """Return the form in which strings are compared: no case, no accents, half width, single blanks."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return " ".join("".join(each for each in plain if not unicodedata.combining(each)).split())


def fits(patient: Resource, term: Term) -> bool:
    """Say whether a Patient (unmasked) fits a term. ``identifier`` and ``_id`` are looked up, not compared."""
    if term.name in STRINGS:
        return any(_text_fits(own, text, term.modifier) for own in _texts(patient, term.name) for text in term.texts)
    if term.name == "birthdate":
        text = patient.get("birthDate", "")
        return bool(text) and any(_day_fits(date.fromisoformat(text), span) for span in term.spans)
    if term.name == "gender":
        return patient.get("gender", "unknown") in {token.value for token in term.tokens}
    if term.name == "active":
        return ("true" if patient.get("active") else "false") in {token.value for token in term.tokens}
    if term.name == "telecom":
        own = [(each.get("system"), each.get("value", "")) for each in patient.get("telecom", ())]
        return any(_phone_fits(system, value, token) for system, value in own for token in term.tokens)
    return True


def _day_fits(day: date, span: Span) -> bool:
    return (span.first <= day <= span.last) is not span.outside


def _text_fits(own: str, text: str, modifier: str) -> bool:
    if modifier == "exact":
        return own == text
    return text in folded(own) if modifier == "contains" else folded(own).startswith(text)


def _texts(patient: Resource, name: str) -> Iterator[str]:
    """Yield the texts of a Patient that a string parameter looks at."""
    if name == "mothersMaidenName":
        yield from (
            each["valueString"]
            for each in patient.get("extension", ())
            if each["url"].endswith("patient-mothersMaidenName") and "valueString" in each
        )
    elif name in ("family", "given", "name"):
        for each in patient.get("name", ()):
            yield from _parts(each, ("family", "given", "text") if name == "name" else (name,))
    else:
        part = name.removeprefix("address").removeprefix("-").replace("postalcode", "postalCode")
        for each in patient.get("address", ()):
            yield from _address_parts(each) if not part else _parts(each, (part,))


def _address_parts(address: Mapping[str, Any]) -> Iterator[str]:
    """Yield every part of an address, and what its text says after the region."""
    yield from _parts(address, ("text", "line", "city", "district", "state", "postalCode", "country"))
    text = address.get("text", "")
    for part in ("state", "city", "district"):
        text = text.removeprefix(address.get(part, ""))
        yield text


def _parts(value: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    for name in names:
        part = value.get(name)
        if isinstance(part, str):
            yield part
        elif part:
            yield from part


def _phone_fits(system: str | None, own: str, token: Token) -> bool:
    if token.system is not None and token.system != system:
        return False
    return _digits(own) == _digits(token.value)


def _digits(text: str) -> str:
    try:
        return phones.normalise(text)
    except PhoneInvalid:
        return text
