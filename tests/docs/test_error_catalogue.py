"""docs/spec/errors.md lists every public error code. Run this file to write the page again after a change."""

import importlib
import pkgutil
from pathlib import Path

import yimatong
from yimatong.kit.errors import OutcomeUnknown, PlatformError, Refusal, Unavailable, catalogue

PAGE = Path(__file__).resolve().parents[2] / "docs/spec/errors.md"
INTRODUCTION = """# Error codes

Generated from the catalogues of the rooms by `tests/docs/test_error_catalogue.py`, which also fails when this page is
out of date. How errors are answered, and what the branches mean: [api.md](api.md#errors). `{...}` is filled in with a
fact. Codes are stable: a message may get better, a code never changes its meaning.

`CLI-`, and parts of `CRY-` and `REC-`, are said by commands and never travel over the wire.

"""
BRANCHES = ((Refusal, "refusal"), (Unavailable, "unavailable"), (OutcomeUnknown, "outcome unknown"))


def known():
    for module in pkgutil.walk_packages(yimatong.__path__, "yimatong."):
        importlib.import_module(module.name)
    return {code: error for code, error in catalogue().items() if error.__module__.startswith("yimatong.")}


def branch(error):
    return next((name for kind, name in BRANCHES if issubclass(error, kind)), "defect")


def table():
    lines = ["| code | status | branch | retry | name | 中文 | English |", "|---|---|---|---|---|---|---|"]
    for code, error in known().items():
        retry = "yes" if error.retryable else ""
        cells = (f"`{code}`", error.status, branch(error), retry, error.__name__, error.zh, error.en)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def test_page_is_the_catalogue():
    assert PAGE.read_text("utf-8") == INTRODUCTION + table(), f"run: python {Path(__file__).name}"


def test_every_error_speaks_both_languages():
    for code, error in known().items():
        assert issubclass(error, PlatformError)
        assert error.zh, code
        assert error.en, code


if __name__ == "__main__":
    PAGE.write_text(INTRODUCTION + table(), "utf-8")
