"""What a FHIR resource may hold, checked element by element against the table. Pure.

A resource is a ``dict`` as FHIR's JSON form writes it (R4, 2.6): ``resourceType`` first, repeating elements as lists,
``_name`` beside a primitive for its id and extensions.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

from yimatong.gateways.errors import ResourceMalformed
from yimatong.gateways.fhir.elements import RESOURCES, TYPES, Element

Resource = dict[str, Any]

DEPTH_MAX: Final = 24
"""How deep extensions and resources may stand inside each other."""

_YEAR: Final = r"([1-9]\d{3}|0\d{2}[1-9]|0\d[1-9]0|0[1-9]00)"
_DAY: Final = r"-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_CLOCK: Final = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d{1,9})?"
_ZONE: Final = r"(Z|[+-]((0\d|1[0-3]):[0-5]\d|14:00))"
_TEXTS: Final = {
    "base64Binary": r"[0-9A-Za-z+/=\s]*",
    "canonical": r"\S*",
    "code": r"[^\s]+(\s[^\s]+)*",
    "date": rf"{_YEAR}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?",
    "dateTime": rf"{_YEAR}(-(0[1-9]|1[0-2])|{_DAY}(T{_CLOCK}{_ZONE})?)?",
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "instant": rf"{_YEAR}{_DAY}T{_CLOCK}{_ZONE}",
    "markdown": r"[\s\S]+",
    "oid": r"urn:oid:[0-2](\.(0|[1-9]\d*))+",
    "string": r"[\s\S]+",
    "time": _CLOCK,
    "uri": r"\S*",
    "url": r"\S*",
    "uuid": r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "xhtml": r"[\s\S]+",
}
_PATTERNS: Final = {name: re.compile(text, re.ASCII) for name, text in _TEXTS.items()}
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_RANGES: Final = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}
PRIMITIVES: Final = frozenset({*_TEXTS, *_RANGES, "boolean", "decimal"})


def check(value: object, *, path: str = "", depth: int = 0) -> Resource:
    """Return a resource that has the documented shape.

    A resource of a type that is not served is only looked at from outside: it may be contained in one that is.

    Raises:
        ResourceMalformed: with the path of the first element that is wrong.
    """
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise ResourceMalformed(path=path or "resourceType", reason="no resourceType")
    kind = value["resourceType"]
    _deep_enough(depth, path or kind)
    if kind not in RESOURCES:
        return value
    _check_type({name: part for name, part in value.items() if name != "resourceType"}, kind, path or kind, depth)
    return value


def _check_type(value: dict[str, Any], kind: str, path: str, depth: int) -> None:
    if not value:
        raise ResourceMalformed(path=path, reason="empty")
    known = TYPES[kind]
    choices: set[str] = set()
    for name, part in value.items():
        element = known.get(name.removeprefix("_"))
        if element is None or (name.startswith("_") and element.type not in PRIMITIVES):
            raise ResourceMalformed(path=f"{path}.{_shown(name)}", reason="unknown element")
        where = f"{path}.{name}"
        if name.startswith("_"):
            _check_beside(part, element, where, depth)
        else:
            _check_element(part, element, where, depth)
        choice = re.match(r"(value|deceased|multipleBirth|event|author)(?=[A-Z])", element.name)
        if choice is not None and kind != "UsageContext":
            choices.add(element.name)
            if sum(each.startswith(choice[1]) for each in choices) > 1:
                raise ResourceMalformed(path=where, reason="two values of one choice")


def _check_element(part: object, element: Element, path: str, depth: int) -> None:
    if not element.many:
        _check_one(part, element, path, depth)
        return
    if not isinstance(part, list) or not part:
        raise ResourceMalformed(path=path, reason="not a list of at least one")
    for index, each in enumerate(part):
        if each is None and element.type in PRIMITIVES:  # its extensions stand in the list beside it
            continue
        _check_one(each, element, f"{path}[{index}]", depth)


def _check_one(part: object, element: Element, path: str, depth: int) -> None:
    if element.type in PRIMITIVES:
        check_primitive(part, element.type, path)
    elif element.type == "Resource":
        check(part, path=path, depth=depth + 1)
    elif element.type != "Any":
        if not isinstance(part, dict):
            raise ResourceMalformed(path=path, reason="not an object")
        _deep_enough(depth, path)
        _check_type(part, element.type, path, depth + 1)


def _check_beside(part: object, element: Element, path: str, depth: int) -> None:
    """Check the ids and extensions that stand beside a primitive."""
    listed = part if isinstance(part, list) else [part]
    if isinstance(part, list) is not element.many:
        raise ResourceMalformed(path=path, reason="a list or not a list")
    for each in listed:
        if each is None:
            continue
        if not isinstance(each, dict):
            raise ResourceMalformed(path=path, reason="not an id and extensions")
        _deep_enough(depth, path)
        _check_type(each, "Primitive", path, depth + 1)


def check_primitive(value: object, kind: str, path: str) -> None:
    """Check a value of a primitive type.

    Raises:
        ResourceMalformed: it is none of this type. The value itself is not told.
    """
    if kind == "boolean":
        good = isinstance(value, bool)
    elif kind in _RANGES:
        least, most = _RANGES[kind]
        good = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    elif kind == "decimal":
        good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    else:
        good = (
            isinstance(value, str)
            and _CONTROLS.search(value) is None
            and bool(value)
            and _PATTERNS[kind].fullmatch(value) is not None
        )
    if not good:
        raise ResourceMalformed(path=path, reason=f"not a {kind}")


def _deep_enough(depth: int, path: str) -> None:
    if depth > DEPTH_MAX:
        raise ResourceMalformed(path=path[:200], reason="too deep")


def _shown(name: str) -> str:
    """Return what of an unknown name may be told: it may be anything."""
    return name if re.fullmatch(r"[A-Za-z_]{1,40}", name, re.ASCII) else "?"
