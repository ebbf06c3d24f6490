"""Paying at a kiosk in a real browser: certificate, bills, code on the screen or the payer's code, receipt."""

from __future__ import annotations

import pytest
from cashier_world import RICH, care_bills, certificate_line, enrol_everywhere, kiosk_link
from playwright.sync_api import expect

from yimatong.payments.orders.schemas import Item
from yimatong.standards import id_number

UPRIGHT = {"width": 1080, "height": 1920}
NAME, NUMBER = "张三丰", "61010219800102011" + id_number.check_digit("61010219800102011")
LINES = [
    Item(name="诊察费", amount_fen=2_500),
    Item(name="经皮冠状动脉支架植入术（含药物洗脱支架、球囊导管及一次性使用造影导丝）", amount_fen=999_997_499),
]


@pytest.fixture(scope="module", autouse=True)
def _rich(stage, run_async) -> None:
    run_async(enrol_everywhere(stage))


@pytest.fixture
def at_kiosk(open_page, stage, run_async):
    def go(*, quiet: bool = True):
        page = open_page(UPRIGHT, quiet=quiet)
        page.add_init_script("window.print = () => { window.printed = (window.printed || 0) + 1; };")
        page.goto(f"/kiosk/open/{run_async(kiosk_link(stage))}")
        return page

    return go


def _identified(page) -> None:
    page.locator("a[href='/kiosk/scan/pay']").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    page.keyboard.insert_text(certificate_line(NAME, NUMBER))
    page.keyboard.press("Enter")


def test_nothing_to_pay(at_kiosk, shoot):
    page = at_kiosk()
    page.locator("a[href='/kiosk/scan/pay']").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    page.keyboard.insert_text(certificate_line(NAME, NUMBER))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="没有待缴费用")).to_be_visible()
    shoot(page, "cashier-kiosk-none")


def test_from_certificate_to_receipt(at_kiosk, stage, run_async, shoot):
    bills = {"institution_id": RICH, "vuid": stage.vuids["zhang"]}
    order_no = run_async(stage.bill(items=LINES, description="住院费用结算", **bills))
    run_async(stage.bill(fen=2_850, description="检查费", **bills))
    run_async(stage.bill(fen=9_900, description="别的医院的费用", vuid=stage.vuids["zhang"]))
    run_async(stage.bill(fen=9_800, description="别人的费用", institution_id=RICH, vuid=stage.vuids["frozen"]))
    page = at_kiosk(quiet=False)
    shoot(page, "cashier-kiosk-start")
    _identified(page)
    expect(page.get_by_role("heading", name="请选择要缴的费用")).to_be_visible()
    expect(page.get_by_text("张*丰")).to_be_visible()
    assert page.locator("button.bill-way").count() == 2
    shoot(page, "cashier-kiosk-bills")
    page.get_by_role("button", name="住院费用结算").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    expect(page.locator(".show-code strong")).to_be_visible()
    shoot(page, "cashier-kiosk-choose")
    page.get_by_role("button", name="微信支付").click()
    expect(page.locator(".code-box svg")).to_be_visible()
    shoot(page, "cashier-kiosk-code")
    run_async(stage.pay(order_no))
    expect(page.locator("[data-face=paid]")).to_be_visible()
    shoot(page, "cashier-kiosk-paid")
    page.get_by_role("button", name="打印凭条").click()
    assert page.evaluate("window.printed") == 1
    page.get_by_role("link", name="完成").click()
    expect(page.locator("a[href='/kiosk/scan/pay']")).to_be_visible()
    answer = page.goto("/cashier")
    assert answer is not None
    assert answer.status == 401


def test_several_bills_at_once(at_kiosk, stage, run_async, shoot):
    run_async(care_bills(stage, stage.vuids["long"], ("检查费", 28_000), ("西药费", 123_456_789), ("治疗费", 4_050)))
    number = "61010219800102013" + id_number.check_digit("61010219800102013")
    page = at_kiosk()
    page.locator("a[href='/kiosk/scan/pay']").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    page.keyboard.insert_text(certificate_line("买买提江·阿不都热合曼·吾守尔·托合提", number))
    page.keyboard.press("Enter")
    expect(page.locator("[data-total]")).to_have_text("¥ 1,234,888.39")
    page.get_by_label("检查费").uncheck()
    expect(page.locator("[data-total]")).to_have_text("¥ 1,234,608.39")
    shoot(page, "cashier-kiosk-several")
    page.get_by_role("button", name="合计缴费").click()
    expect(page.locator(".amount")).to_contain_text("1,234,608.39")
    assert page.locator(".bill-no").count() == 2
    shoot(page, "cashier-kiosk-together")


def test_the_payers_code_is_scanned(at_kiosk, stage, run_async, shoot):
    order_no = run_async(stage.bill(fen=3_700, description="药费", institution_id=RICH, vuid=stage.vuids["zhang"]))
    page = at_kiosk(quiet=False)
    _identified(page)
    page.get_by_role("button", name="药费").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    page.keyboard.insert_text("990000000000000000")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("PAY-1007")
    expect(page.locator("[data-wedge]")).to_be_focused()
    code = stage.world.control("/control/wechat/payment-codes", {})["auth_code"]
    page.keyboard.insert_text(code)
    page.keyboard.press("Enter")
    expect(page.locator("[data-face=paid], [data-face=wait]")).to_be_visible()
    shoot(page, "cashier-kiosk-scanned")
    assert order_no in page.content()
