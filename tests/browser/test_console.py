"""The console in a real browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

DESKTOP, PHONE, SMALL = {"width": 1440, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}
LISTS = ("codes", "payments", "discrepancies")


@pytest.mark.parametrize(("name", "size"), [("1440", DESKTOP), ("390", PHONE), ("320", SMALL)])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_pages_look_right(open_page, stage, log_in, shoot, name, size, language):  # noqa: PLR0917 -- fixtures come by name
    page, axe = open_page(size, language=language), language == "zh" or name == "390"
    page.goto("/console/login")
    shoot(page, f"console-login-{name}-{language}", axe=axe)
    log_in(page, "clerk")
    page.goto(f"/console?day={stage.yesterday}")
    expect(page.locator("svg.chart").first).to_be_visible()
    shoot(page, f"console-home-{name}-{language}", axe=axe)
    for part in LISTS:
        page.locator(f"nav.menu a[href='/console/{part}']").click()
        expect(page.locator("table.list").first).to_be_attached()
        shoot(page, f"console-{part}-{name}-{language}", axe=axe)


def test_table_behind_the_chart(open_page, stage, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "clerk")
    page.goto(f"/console?day={stage.yesterday}")
    page.locator("summary").first.press("Enter")
    expect(page.locator("details table").first).to_be_visible()
    shoot(page, "console-home-table-1440-zh")


def test_filter_by_hand(open_page, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "clerk")
    page.goto("/console/codes")
    page.get_by_label("结果").select_option("CRD-2003")
    page.get_by_role("button", name="查询").click()
    expect(page.locator("tbody .state.bad").first).to_be_visible()
    assert page.locator("tbody .state.good").count() == 0
    page.get_by_role("link", name="下一页").click()
    expect(page.get_by_role("link", name="回到第一页")).to_be_visible()
    page.goto("/console/codes?day=2001-01-01")
    expect(page.get_by_text("没有符合条件的记录")).to_be_visible()
    shoot(page, "console-codes-empty-1440-zh")


def test_details(open_page, stage, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "clerk")
    page.goto("/console/discrepancies/dis_2")
    shoot(page, "console-discrepancy-1440-zh")
    page.goto(f"/console/payments/P{stage.yesterday:%Y%m%d}{1:012d}")
    shoot(page, "console-payment-1440-zh")


def test_empty_day(open_page, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "clerk")
    page.goto("/console?day=2001-01-01")
    shoot(page, "console-home-empty-1440-zh")


def test_audit_is_verified_in_place(open_page, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "auditor")
    page.goto("/console/audit")
    page.get_by_role("button", name="验证审计链").click()
    expect(page.locator("#chain .note")).to_be_visible()
    shoot(page, "console-audit-1440-zh")


def test_refused_page_and_wrong_password(open_page, log_in, shoot):
    page = open_page(DESKTOP, quiet=False)
    page.goto("/console/login")
    page.locator("#login").fill("clerk")
    page.locator("#password").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("用户名或密码不正确")).to_be_visible()
    shoot(page, "console-login-wrong-1440-zh")
    log_in(page, "auditor")
    page.goto("/console/codes")
    expect(page.get_by_text("ACC-1006")).to_be_visible()
    shoot(page, "console-refused-1440-zh")


def test_switch_language(open_page, log_in):
    page = open_page(DESKTOP)
    log_in(page, "clerk")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("link", name="Overview")).to_be_visible()
    assert page.locator("html").get_attribute("lang") == "en"
