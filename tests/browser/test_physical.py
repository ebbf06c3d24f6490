"""The list of physical cards in a real browser: empty, and with ten thousand cards."""

from __future__ import annotations

import physical_stage
import pytest
from playwright.sync_api import expect

DESKTOP, PHONE, SMALL = {"width": 1440, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}
SIZES = {"1440": DESKTOP, "390": PHONE, "320": SMALL}


def test_empty_list_says_so(open_page, log_in, shoot):
    page = open_page(PHONE)
    log_in(page, "clerk")
    page.goto("/console/physical-cards")
    expect(page.locator(".empty")).to_be_visible()
    shoot(page, "console-physical-empty-390-zh")


@pytest.fixture(scope="module")
def laid_out(stage, run_async) -> None:
    run_async(stage.act(physical_stage.lay_out))


@pytest.mark.usefixtures("laid_out")
@pytest.mark.parametrize(("name", "language"), [("1440", "zh"), ("390", "zh"), ("320", "zh"), ("320", "en")])
def test_ten_thousand_cards(open_page, log_in, shoot, name, language):
    page = open_page(SIZES[name], language=language)
    log_in(page, "clerk")
    page.goto("/console/physical-cards")
    assert page.locator("table.list").first.locator("tbody tr").count() == 50
    shoot(page, f"console-physical-{name}-{language}", axe=name != "320")
    page.locator("#n-number").fill(physical_stage.NUMBER)
    page.locator("form:has(#n-number) button").click()
    assert page.locator("table.list tbody tr").count() == 1
    assert physical_stage.NUMBER not in page.url
    shoot(page, f"console-physical-found-{name}-{language}", axe=False)
