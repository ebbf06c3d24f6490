"""Pages of the documentation, read the way their tests need them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def text_of():
    return lambda name: (ROOT / name).read_text("utf-8")


@pytest.fixture(scope="session")
def blocks(text_of):
    """The fenced blocks of a page with one info string, in order."""

    def find(name, kind):
        return re.findall(rf"^```{kind}\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL)

    return find
