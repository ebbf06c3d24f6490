"""A browser made of httpx in front of the pages."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from pages_world import PASSWORD, Stage, stage, web_url  # noqa: F401


class Visitor(httpx.Client):
    """A browser without scripts: keeps cookies, finds the form token of the last page, sends forms."""

    token = ""

    def look(self, path: str, **options: Any) -> httpx.Response:
        answer = self.get(path, **options)
        found = re.search(r'"x-form-token": "([0-9a-f]{64})"', answer.text)
        self.token = found[1] if found else self.token
        return answer

    def submit(self, path: str, **form: str) -> httpx.Response:
        return self.post(path, data={"form_token": self.token} | form)

    def log_in(self, login: str, password: str = PASSWORD) -> httpx.Response:
        self.look("/console/login")
        answer = self.submit("/console/login", login=login, password=password)
        if answer.status_code == 303:
            self.look("/console")
        return answer


@pytest.fixture
def visitor(web_url: str) -> Iterator[Visitor]:  # noqa: F811
    with Visitor(base_url=web_url, trust_env=False, timeout=30) as opened:
        yield opened


@pytest.fixture
def open_card(
    visitor: Visitor,
    stage: Stage,  # noqa: F811
    run_async: Callable[..., Any],
) -> Callable[[str], httpx.Response]:
    def opened(who: str) -> httpx.Response:
        link = run_async(stage.link("card", stage.vuids[who]))
        answer = visitor.look(f"/card/open/{link}")
        assert answer.status_code == 303
        return visitor.look("/card")

    return opened
