"""A real headless Chromium in front of the pages; skipped, with the reason, where there is none."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from yimatong.web import assets

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT / "tests" / "web"))
from pages_world import PASSWORD, Stage, stage, web_url  # noqa: E402, F401

SHOTS = _ROOT / "artefacts" / "screenshots"
PHONE, SMALL, DESKTOP = {"width": 390, "height": 844}, {"width": 320, "height": 640}, {"width": 1440, "height": 900}
PHONE_AGENT = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 "
    "Mobile/15E148 Safari/604.1"
)
PATIENCE_MS = 15_000
"""For every wait: pages that poll do so every five seconds, and the machine may be busy."""
expect.set_options(timeout=PATIENCE_MS)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
"""Rules that only a person can judge are left to people; everything serious or critical fails the test."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    reason = "" if _browser() else "no Chromium on this machine (make test installs it where it may)"
    if not reason and assets.missing():
        reason = f"browser files were not installed: {assets.missing()}"
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


def _browser() -> str:
    return next((found for name in _BROWSERS if (found := shutil.which(name))), "")


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {
        "executable_path": _browser(),
        "args": [
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    }


@pytest.fixture
def open_page(browser: Any, web_url: str) -> Iterator[Callable[..., Page]]:  # noqa: F811
    """Open a page in a fresh context of a given size; every console error or foreign host fails the test.

    ``inside``: what the browser of an app adds to a phone's user agent.
    """
    opened = []

    def start(
        size: dict[str, int],
        *,
        phone: bool = False,
        language: str = "zh",
        quiet: bool = True,
        foreign: str = "data:",
        inside: str = "",
    ) -> Page:
        context = browser.new_context(
            viewport=size,
            base_url=web_url,
            locale="zh-CN",
            timezone_id="Asia/Shanghai",
            device_scale_factor=2 if size["width"] < 500 else 1,
            has_touch=phone,
            is_mobile=phone,
            **({"user_agent": f"{PHONE_AGENT} {inside}"} if phone else {}),
        )
        context.add_cookies([{"name": "ymt_lang", "value": language, "url": web_url}])
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(f"page error: {error}"))
        page.on(
            "console", lambda line: troubles.append(f"console: {line.text}") if line.type == "error" and quiet else None
        )
        page.on(
            "request",
            lambda request: (
                troubles.append(f"foreign: {request.url}")
                if not request.url.startswith((web_url, "data:", foreign))
                else None
            ),
        )
        opened.append((context, troubles))
        return page

    yield start
    for context, _ in opened:
        context.close()
    assert [trouble for _, troubles in opened for trouble in troubles] == []


@pytest.fixture
def shoot() -> Callable[..., None]:
    """Keep a picture of the whole page; on the way see that it fits its screen and that axe finds nothing serious."""
    SHOTS.mkdir(parents=True, exist_ok=True)

    def take(page: Page, name: str, *, axe: bool = True) -> None:
        page.wait_for_load_state()
        over = page.locator("html").evaluate("root => root.scrollWidth - root.clientWidth")
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)
        assert over <= 0, f"{name}: {over} px wider than its screen"
        if not axe:
            return
        found = Axe().run(page).response["violations"]
        serious = [
            (each["id"], [node["html"] for node in each["nodes"]])
            for each in found
            if each["impact"] in {"serious", "critical"}
        ]
        assert serious == [], f"{name}: {serious}"

    return take


@pytest.fixture
def log_in() -> Callable[[Page, str], None]:
    def go(page: Page, login: str) -> None:
        page.goto("/console/login")
        page.locator("#login").fill(login)
        page.locator("#password").fill(PASSWORD)
        page.locator("form[action='/console/login'] button").click()
        expect(page.locator("nav.menu")).to_be_visible()

    return go
