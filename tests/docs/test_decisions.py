"""Every decision is in the index, has the parts of the template, and is held by something that exists."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs/decisions"
ROOT = FOLDER.parents[1]
RECORDS = sorted(path.name for path in FOLDER.glob("[0-9]*.md"))
PARTS = ("Question", "Decision", "Instead of", "Price", "Held by")


def test_index_lists_every_record_in_order():
    assert re.findall(r"\]\((\d{4}-[a-z-]+\.md)\)", (FOLDER / "README.md").read_text("utf-8")) == RECORDS


@pytest.mark.parametrize("name", RECORDS)
def test_record_has_the_parts_of_the_template(name):
    text = (FOLDER / name).read_text("utf-8")
    assert text.startswith(f"# {name[:4]} ")
    assert tuple(re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)) == PARTS


@pytest.mark.parametrize("name", RECORDS)
def test_what_holds_it_exists(name):
    held = (FOLDER / name).read_text("utf-8").split("**Held by.**")[1]
    named = re.findall(r"`((?:tests|bootstrap)/[\w/]+(?:\.py)?)(?:::(test_\w+))?`", held)
    assert named
    for path, test in named:
        assert (ROOT / path).exists(), path
        assert not test or f"def {test}(" in (ROOT / path).read_text("utf-8"), test
