"""Faces of the cashier that come about by acting: codes by SMS, insurers, inside an app, a sick channel, receipts."""

from __future__ import annotations

import re

import pytest
from cashier_world import (
    RICH,
    bind_card,
    care_bills,
    certificate_line,
    enrol_everywhere,
    issue_receipt,
    kiosk_link,
    policy_for,
)
from playwright.sync_api import expect
from sqlalchemy import insert

from yimatong.kit import clock
from yimatong.payments.models import channel_health
from yimatong.payments.orders.schemas import Item
from yimatong.standards import id_number

SIZES = {
    "320": {"width": 320, "height": 640},
    "390": {"width": 390, "height": 844},
    "1280": {"width": 1280, "height": 800},
    "kiosk": {"width": 1080, "height": 1920},
}
WECHAT, ALIPAY = "MicroMessenger/8.0.50", "AliApp(AP/10.6) AlipayClient/10.6"
NAME, NUMBER = "张三丰", "61010219800102011" + id_number.check_digit("61010219800102011")
POLICY = "PO2026CASHIER01"


@pytest.fixture(scope="module", autouse=True)
def _rich(stage, run_async) -> None:
    run_async(enrol_everywhere(stage))
    run_async(bind_card(stage))
    policy_for(stage.world, name=NAME, id_number=NUMBER)


@pytest.fixture
def open_till(open_page, stage, run_async):
    def go(size: str, *, phone: bool = False, language: str = "zh", inside: str = "", quiet: bool = True, **bill):
        page = open_page(
            SIZES[size], phone=phone, language=language, foreign=stage.world.url, inside=inside, quiet=quiet
        )
        order_no = run_async(stage.bill(**({"institution_id": RICH} | bill)))
        page.goto(f"/cashier/open/{run_async(stage.link('cashier', order_no))}")
        return page, order_no

    return go


@pytest.fixture
def at_kiosk(open_page, stage, run_async):
    def go(*, language: str = "zh", quiet: bool = True):
        page = open_page(SIZES["kiosk"], language=language, quiet=quiet)
        page.goto(f"/kiosk/open/{run_async(kiosk_link(stage))}")
        page.locator("a[href='/kiosk/scan/pay']").click()
        expect(page.locator("[data-wedge]")).to_be_focused()
        page.keyboard.insert_text(certificate_line(NAME, NUMBER))
        page.keyboard.press("Enter")
        expect(page.locator(".bill-way").first).to_be_visible()
        return page

    return go


@pytest.mark.parametrize("size", ["320", "1280"])
def test_code_by_sms(open_till, stage, shoot, size):
    page, _ = open_till(size, fen=9_990, vuid=stage.vuids["zhang"], quiet=False)
    shoot(page, f"cashier-quick-{size}")
    page.get_by_role("button", name="银行卡快捷支付").click()
    expect(page.get_by_label("短信验证码", exact=True)).to_be_focused()
    shoot(page, f"cashier-sms-{size}")
    page.get_by_label("短信验证码", exact=True).fill("12")
    page.get_by_role("button", name="确认付款").click()
    expect(page.get_by_role("alert")).to_be_visible()
    shoot(page, f"cashier-sms-wrong-{size}")
    page.get_by_role("link", name="返回收银台").click()
    expect(page.locator("[data-face=wait]")).to_be_visible()
    shoot(page, f"cashier-sms-wait-{size}")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_code_by_sms_at_a_kiosk(at_kiosk, stage, run_async, shoot, language):
    run_async(stage.bill(fen=8_888, institution_id=RICH, vuid=stage.vuids["zhang"], description="检查费"))
    page = at_kiosk(language=language, quiet=False)
    page.locator(".bill-way", has_text="88.88").first.click()
    page.locator("form[action='/cashier/quick'] button").click()
    field = page.locator("#answer")
    expect(field).to_be_focused()
    shoot(page, f"cashier-kiosk-sms-{language}")
    for digit in "1234567890":
        page.locator(f"[data-digit='{digit}']").click()
    expect(field).to_have_value("12345678")
    page.locator("[data-back]").click()
    expect(field).to_have_value("1234567")
    page.locator("[data-clear]").click()
    expect(field).to_have_value("")
    for key in page.locator(".pad button").all():
        box = key.bounding_box()
        assert min(box["width"], box["height"]) >= 60
    page.locator("[data-digit='1']").click()
    page.locator("button[type=submit]", has_text="确认付款" if language == "zh" else "Pay").first.click()
    expect(page.get_by_role("alert")).to_be_visible()
    shoot(page, f"cashier-kiosk-sms-wrong-{language}")


@pytest.mark.parametrize("size", ["390", "1280"])
def test_insurer_that_takes_its_time(open_till, stage, shoot, size):
    page, _ = open_till(size, fen=20_000, vuid=stage.vuids["zhang"])
    page.get_by_role("button", name="使用医保支付").click()
    expect(page.get_by_role("button", name="不使用医保")).to_be_visible()
    stage.world.control("/control/insurance/faults", {"settles_later": 1})
    page.locator("button.channel", has_text="微信支付").click()
    expect(page.locator("[data-face=settling]")).to_be_visible()
    shoot(page, f"cashier-settling-{size}")


def test_insurance_pays_all(open_till, stage, shoot):
    page, _ = open_till("390", fen=10_000, vuid=stage.vuids["zhang"])
    page.get_by_role("link", name="使用商业保险支付").click()
    expect(page.get_by_label("保单号")).to_be_visible()
    shoot(page, "cashier-policy-390")
    page.get_by_label("保单号").fill(POLICY)
    page.get_by_role("button", name="查询可支付金额").click()
    expect(page.get_by_role("button", name="不使用商业保险")).to_be_visible()
    shoot(page, "cashier-all-insured-390")


def test_own_part_stands_first_when_an_insurer_shared(open_till, stage, run_async, shoot):
    page, order_no = open_till("390", fen=20_000, vuid=stage.vuids["zhang"])
    page.get_by_role("button", name="使用医保支付").click()
    page.locator("button.channel", has_text="微信支付").click()
    expect(page.locator(".code-box svg")).to_be_visible()
    own = page.locator(".amount").inner_text()
    assert "200.00" not in own
    stage.world.control("/control/wechat/pay", {"out_trade_no": f"{order_no}A02"})
    page.get_by_role("button", name="我已完成支付").click()
    expect(page.locator("[data-face=paid]")).to_be_visible()
    assert page.locator(".amount").inner_text() == own
    shoot(page, "cashier-paid-insured-390")


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("inside", "agent"), [("wechat", WECHAT), ("alipay", ALIPAY)])
def test_inside_an_app(open_till, shoot, inside, agent, language):
    page, _ = open_till("390", phone=True, inside=agent, language=language)
    expect(page.locator("form[action='/cashier/elsewhere']")).to_be_visible()
    shoot(page, f"cashier-inside-{inside}-{language}")
    page.locator("form[action='/cashier/elsewhere'] button").click()
    expect(page.locator(".by-steps li")).to_have_count(3)
    shoot(page, f"cashier-elsewhere-{inside}-{language}")
    page.locator("a[href='/cashier']").click()
    page.locator("button.channel").first.click()
    expect(page.locator(".code-box svg")).to_be_visible()
    shoot(page, f"cashier-inside-wait-{inside}-{language}")


def test_another_phone_scans(open_till, shoot):
    page, _ = open_till("320", phone=True)
    shoot(page, "cashier-phone-320")
    page.get_by_role("button", name="用另一部手机扫码付款").first.click()
    expect(page.get_by_role("heading", name="另一部手机")).to_be_visible()
    shoot(page, "cashier-phone-scan-320")


def test_receipt(open_till, stage, run_async, shoot):
    page, order_no = open_till("390", vuid=stage.vuids["zhang"])
    page.locator("button.channel", has_text="微信支付").click()
    expect(page.locator(".code-box svg")).to_be_visible()
    run_async(stage.pay(order_no))
    run_async(issue_receipt(stage, order_no))
    expect(page.locator("[data-face=paid]")).to_be_visible()
    page.reload()
    expect(page.get_by_role("link", name="查看电子票据")).to_be_visible()
    shoot(page, "cashier-receipt-390")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_at_a_kiosk(at_kiosk, stage, run_async, shoot, language):
    order_no = run_async(
        stage.bill(institution_id=RICH, vuid=stage.vuids["zhang"], description="住院费用结算",
                   items=[Item(name=f"{n:02d} 注射用头孢曲松钠他唑巴坦钠（国谈药）1.0g×10支", amount_fen=1_000 + n)
                          for n in range(60)])
    )  # fmt: skip
    run_async(care_bills(stage, stage.vuids["zhang"], ("检查费", 28_000), ("西药费", 123_456), ("治疗费", 4_050)))
    page = at_kiosk(language=language)
    shoot(page, f"kiosk-bills-{language}")
    page.locator("button.bill-way", has_text="住院费用结算").click()
    expect(page.locator(".show-code")).to_be_visible()
    shoot(page, f"kiosk-choose-{language}")
    page.locator(".insured button.channel").click()
    expect(page.locator(".shares")).to_be_visible()
    shoot(page, f"kiosk-insured-{language}")
    page.locator("a[href='/cashier/size?large=1']").click()
    expect(page.locator("html.large")).to_be_attached()
    shoot(page, f"kiosk-large-{language}")
    page.locator("a[href='/cashier/size?large=0']").click()
    paid = {"state": "paid", "paid_at": clock.now(), "paid_channel": "wechat", "paid_fen": 61_770, "closed_at": None}
    for face, values in (("closed", {"state": "closed", "closed_at": clock.now()}), ("paid", paid)):
        run_async(stage.set_order(order_no, **values))
        page.goto("/cashier")
        expect(page.locator(f"[data-face={face}]")).to_be_visible()
        shoot(page, f"kiosk-{face}-{language}")


def test_kiosk_goes_home_by_itself(at_kiosk, stage, run_async):
    """The outcome is not left on the screen: a countdown runs, a touch sets it back, at its end the start is shown."""
    order_no = run_async(stage.bill(institution_id=RICH, vuid=stage.vuids["zhang"], description="挂号费", fen=2_500))
    page = at_kiosk()
    page.locator("button.bill-way", has_text="挂号费").click()
    expect(page.locator(".show-code")).to_be_visible()
    run_async(stage.set_order(order_no, state="paid", paid_at=clock.now(), paid_channel="wechat", paid_fen=2_500))
    page.clock.install()
    page.goto("/cashier")
    left = page.locator("[data-left]")
    expect(left).to_have_text(re.compile("^(4[0-5]|3.)$"))
    page.clock.fast_forward(20_000)
    expect(left).to_have_text(re.compile("^[12].$"))
    page.mouse.click(5, 900)
    expect(left).to_have_text(re.compile("^(4[0-5]|3.)$"))
    page.clock.fast_forward(46_000)
    expect(page.locator("a[href='/kiosk/scan/pay']")).to_be_visible()


def test_sick_channel_is_told_and_not_offered(open_till, stage, run_async, shoot):
    async def fall_ill(tx, _parts):
        now = clock.now()
        await tx.execute(
            insert(channel_health).values(
                account_id=f"alipay-{RICH}",
                mood="sick",
                since=now,
                updated_at=now,
                pause_s=3600,
                pin="hidden",
            )
        )

    run_async(stage.act(fall_ill))
    page, _ = open_till("390")
    expect(page.get_by_text("支付宝暂时无法使用")).to_be_visible()
    expect(page.locator("button.channel", has_text="支付宝")).to_have_count(0)
    shoot(page, "cashier-sick-390")
