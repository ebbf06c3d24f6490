"""The card office in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

DESKTOP, PHONE, SMALL = {"width": 1440, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}


@pytest.mark.parametrize(("name", "size"), [("1440", DESKTOP), ("390", PHONE), ("320", SMALL)])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_card_office(open_page, stage, log_in, shoot, name, size, language):  # noqa: PLR0917 -- fixtures come by name
    page = open_page(size, language=language)
    log_in(page, "clerk")
    page.goto("/console/accounts?way=name_and_phone")
    page.locator("#f-name").fill("买买提江·阿不都热合曼·吾守尔·托合提")
    page.locator("#f-phone").fill("13800138000")
    page.locator("form.filters button").click()
    expect(page.locator("table.list a").first).to_be_visible()
    shoot(page, f"console-accounts-{name}-{language}", axe=name != "320")
    page.locator("table.list a").first.click()
    page.locator("#r-frozen, #r-active").first.wait_for()
    if page.locator("#r-frozen").count():
        page.locator("#r-frozen").select_option("suspected_fraud")
        page.locator("form:has(#r-frozen) button").click()
    expect(page.locator("#r-active")).to_be_visible()
    shoot(page, f"console-account-{name}-{language}", axe=name != "320")
    page.locator("form:has(#r-active) button").click()
    expect(page.locator("#r-frozen")).to_be_visible()
