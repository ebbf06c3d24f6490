"""The resident's card in a real browser: the code renews itself, and is never left standing when its time is over."""

from __future__ import annotations

import io
import re

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

SIZES = {"320": ({"width": 320, "height": 640}, True), "390": ({"width": 390, "height": 844}, True),
         "1440": ({"width": 1440, "height": 900}, False)}  # fmt: skip


def _open(page: Page, stage, run_async, who: str = "zhang") -> None:
    page.goto(f"/card/open/{run_async(stage.link('card', stage.vuids[who]))}")


def _text_of_code(page: Page) -> str:
    picture = Image.open(io.BytesIO(page.locator("#code").screenshot()))
    found = zxingcpp.read_barcodes(picture)
    assert found, "the code on the screen cannot be read"
    return found[0].text


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_card_looks_right(open_page, stage, run_async, shoot, size, language):  # noqa: PLR0917 -- fixtures come by name
    viewport, phone = SIZES[size]
    page = open_page(viewport, phone=phone, language=language)
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    assert _text_of_code(page).startswith(stage.vuids["zhang"] + ":0:")
    shoot(page, f"card-{size}-{language}")


def test_purpose_changes_the_code(open_page, stage, run_async):
    page = open_page(SIZES["390"][0], phone=True)
    _open(page, stage, run_async)
    expect(page.locator("#code [data-purpose=visit]")).to_be_visible()
    before = _text_of_code(page)
    page.locator("label", has_text="支付").click()
    expect(page.locator("#code [data-purpose=payment]")).to_be_visible()
    assert _text_of_code(page) != before


def test_keyboard_alone_reaches_the_purposes(open_page, stage, run_async):
    page = open_page(SIZES["1440"][0])
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    page.locator("input[value=visit]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#code [data-purpose=records]")).to_be_visible()


NEARLY_WHOLE = re.compile(r"^(60|5\d)$")
"""A code begins with its own second, so a fresh one may already have a second less than its minute."""


def test_code_renews_itself_before_it_ends(open_page, stage, run_async):
    page = open_page(SIZES["390"][0], phone=True)
    page.clock.install()
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    before = _text_of_code(page)
    with page.expect_response("**/card/code"):
        page.clock.run_for(53_000)
    expect(page.locator("#seconds")).to_have_text(NEARLY_WHOLE)
    assert _text_of_code(page) != before


def test_without_network_an_ended_code_is_covered(open_page, stage, run_async, shoot):
    page = open_page(SIZES["390"][0], phone=True, quiet=False)
    page.clock.install()
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    page.route("**/card/**", lambda route: route.abort())
    page.clock.run_for(30_000)
    expect(page.locator("#code svg")).to_be_visible()
    page.clock.run_for(31_000)
    expect(page.locator("#code")).to_be_hidden()
    assert page.locator("#code svg").count() == 0
    expect(page.get_by_text("二维码已过期", exact=True)).to_be_visible()
    shoot(page, "card-390-offline-zh")
    page.unroute("**/card/**")
    page.locator("#cover [data-again]").click()
    expect(page.locator("#code svg")).to_be_visible()


def test_sleeping_phone_wakes_with_a_fresh_code(open_page, stage, run_async):
    page = open_page(SIZES["390"][0], phone=True)
    page.clock.install()
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    before = _text_of_code(page)
    page.clock.fast_forward(3_600_000)
    expect(page.locator("#seconds")).to_have_text(NEARLY_WHOLE)
    expect(page.locator("#code svg")).to_be_visible()
    assert _text_of_code(page) != before


def test_use_is_told_and_a_new_code_follows(open_page, stage, run_async, shoot):
    page = open_page(SIZES["390"][0], phone=True)
    _open(page, stage, run_async, "long")
    expect(page.locator("#code svg")).to_be_visible()
    run_async(stage.use_code(stage.vuids["long"]))
    expect(page.locator("#used-where")).to_have_text("西安市第一人民医院（演示）")
    shoot(page, "card-390-used-zh")
    expect(page.locator("#code svg")).to_be_visible()
    shoot(page, "card-390-long-name-zh")


def test_ended_session_takes_the_code_away(open_page, stage, run_async, shoot):
    page = open_page(SIZES["390"][0], phone=True, quiet=False)
    _open(page, stage, run_async)
    expect(page.locator("#code svg")).to_be_visible()
    page.context.clear_cookies(name="ymt_card")
    page.locator("label", has_text="病历").click()
    expect(page.get_by_text("页面已失效", exact=True)).to_be_visible()
    assert page.locator("#code svg").count() == 0
    shoot(page, "card-390-ended-zh")


def test_frozen_and_label_and_error(open_page, stage, run_async, shoot):
    page = open_page(SIZES["390"][0], phone=True, quiet=False)
    _open(page, stage, run_async, "frozen")
    expect(page.get_by_text("冻结期间不能出示二维码")).to_be_visible()
    shoot(page, "card-390-frozen-zh")
    _open(page, stage, run_async)
    page.get_by_text("查看并打印").click()
    expect(page.locator(".label-sheet .qr svg")).to_be_visible()
    shoot(page, "card-390-label-zh")
    page.goto("/card/open/used-up")
    expect(page.get_by_text("ACC-2006")).to_be_visible()
    shoot(page, "error-390-link-zh")
