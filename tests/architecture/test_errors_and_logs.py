"""Every error has one code, two languages, the status of its branch; every log line has one code."""

from __future__ import annotations

import pkgutil
import re
from importlib import import_module
from typing import Any

import pytest

import yimatong
from yimatong.kit.errors import OutcomeUnknown, PlatformError, Refusal, Unavailable, catalogue
from yimatong.kit.log import LogRef

for _found in pkgutil.walk_packages(yimatong.__path__, "yimatong."):
    import_module(_found.name)

PREFIXES = {
    "access": "ACC",
    "cards": "CRD",
    "care": "CARE",
    "cli": "CLI",
    "crypto": "CRY",
    "empi": "EMP",
    "gateways": "GWY",
    "kit": "KIT",
    "payments": "PAY",
    "reconciliation": "REC",
    "sandbox": "SBX",
    "standards": "STD",
    "web": "WEB",
}
DEFECTS = {"KIT-5000", "KIT-5101", "PAY-5001", "REC-5001"}
"""Defects of ours that no caller can do anything about: neither refused nor unavailable."""

HOMES = {
    "KIT-1101": "kit.money",
    "KIT-1201": "kit.settings",
    "KIT-1301": "kit.alarms",
    "KIT-5101": "kit.audit",
    "KIT-5102": "kit.audit",
}
"""Errors that stand beside the one module that raises them."""

STATUS = {Refusal: range(400, 500), Unavailable: (503,), OutcomeUnknown: (202, 504)}


def descendants(kind: type[Any]) -> set[type[Any]]:
    return {kind}.union(*(descendants(child) for child in kind.__subclasses__()))


OURS = [error for error in descendants(PlatformError) if error.__module__.startswith("yimatong.")]
LISTED = sorted(catalogue().items())


def _facts(text: str) -> set[str]:
    """Return the facts that a message tells; ``reason_zh`` and ``reason_en`` are one fact in two languages."""
    return {name.removesuffix("_zh").removesuffix("_en") for name in re.findall(r"{(\w+)", text)}


def faults(error: type[PlatformError]) -> list[str]:
    """Return what is wrong with one error class."""
    found = []
    branch = next((kind for kind in STATUS if issubclass(error, kind)), None)
    if branch is None and error.code not in DEFECTS:
        found.append("stands in no branch")
    if error.status not in (STATUS[branch] if branch else (500,)):
        found.append(f"status {error.status}")
    if not re.search(r"[\u4e00-\u9fff]", error.zh):
        found.append("no Chinese text")
    if not error.en or re.search(r"[\u4e00-\u9fff]", error.en):
        found.append("no English text")
    if _facts(error.zh) != _facts(error.en):
        found.append("the two languages tell different facts")
    if not (error.__doc__ or "").strip() or error.__doc__ == PlatformError.__doc__:
        found.append("no docstring")
    if not re.fullmatch(rf"{PREFIXES[error.__module__.split('.')[1]]}-\d{{4}}", error.code):
        found.append(f"code {error.code}")
    home = f"yimatong.{HOMES.get(error.code, error.__module__.split('.')[1] + '.errors')}"
    if not f"{error.__module__}.".startswith(f"{home}."):
        found.append(f"lives in {error.__module__}")
    return found


@pytest.mark.parametrize(("code", "error"), LISTED, ids=[code for code, _ in LISTED])
def test_listed_error_is_sound(code: str, error: type[PlatformError]) -> None:
    assert faults(error) == []


def test_every_error_class_is_in_the_catalogue_or_only_groups_others() -> None:
    listed = set(catalogue().values())
    for error in OURS:
        if error is PlatformError:
            continue
        grouping = bool(error.__subclasses__()) and "code" not in error.__dict__
        assert error in listed or grouping, error


def test_a_second_class_with_a_code_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="KIT-1002"):
        type("Twin", (Refusal,), {"code": "KIT-1002"})


@pytest.mark.parametrize(
    ("branch", "change", "fault"),
    [
        (Refusal, {"status": 503}, "status 503"),
        (Unavailable, {"status": 500}, "status 500"),
        (OutcomeUnknown, {"status": 200}, "status 200"),
        (PlatformError, {}, "stands in no branch"),
        (Refusal, {"zh": "only english"}, "no Chinese text"),
        (Refusal, {"en": "编号 {no}"}, "no English text"),
        (Refusal, {"en": "without the fact"}, "the two languages tell different facts"),
        (Refusal, {"__module__": "yimatong.cards.errors"}, "code"),
        (Refusal, {"__module__": "yimatong.payments.orders.service"}, "lives in"),
        (Refusal, {"__doc__": ""}, "no docstring"),
    ],
)
def test_planted_error_is_found(branch: type[PlatformError], change: dict[str, Any], fault: str) -> None:
    facts = {
        "status": 400,
        "zh": "编号 {no}",
        "en": "number {no}",
        "__doc__": "D.",
        "__module__": "yimatong.payments.errors",
    }
    planted = type("Planted", (branch,), facts | change)
    planted.code = "PAY-9999"  # after the class is made, so that it never enters the catalogue
    assert any(found.startswith(fault) for found in faults(planted))


def references() -> list[LogRef]:
    kinds = [kind for kind in descendants(LogRef) if kind.__module__.startswith("yimatong.") and kind is not LogRef]
    return [member for kind in kinds for member in kind]


def test_log_codes_are_unique_and_have_their_rooms_prefix() -> None:
    codes = [entry.code for entry in references()]
    assert len(codes) == len(set(codes))
    for entry in references():
        room = type(entry).__module__.split(".")[1]
        assert re.fullmatch(rf"{PREFIXES[room]}-L\d{{3}}", entry.code), entry
