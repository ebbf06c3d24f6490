"""How the cashier looks where it is hard: long names, large sums, many items, insurers, forms, large print, a kiosk."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cashier_world import RICH, enrol_everywhere
from playwright.sync_api import expect

from yimatong.kit import clock
from yimatong.payments.orders.schemas import Item

SIZES = {
    "320": {"width": 320, "height": 640},
    "390": {"width": 390, "height": 844},
    "1280": {"width": 1280, "height": 800},
}
LONG = "经皮冠状动脉支架植入术（含药物洗脱支架、球囊导管及一次性使用造影导丝等高值医用耗材）"
MANY = [Item(name=f"{n:02d} 注射用头孢曲松钠他唑巴坦钠（国谈药）1.0g×10支", amount_fen=1_000 + n, quantity=n % 7 + 1)
        for n in range(60)]  # fmt: skip
HARD = [Item(name=LONG, amount_fen=999_999_999 - 12_850), Item(name="诊察费", amount_fen=12_850)]
BILLS = [
    Item(name="诊察费", amount_fen=2_500, source_no="MZ20261130-0001"),
    Item(name="血常规（五分类）", amount_fen=2_800, source_no="MZ20261130-0001"),
    Item(name=LONG, amount_fen=9_999_00, source_no="MZ20261130-0002"),
]


@pytest.fixture(scope="module", autouse=True)
def _rich(stage, run_async) -> None:
    run_async(enrol_everywhere(stage))


@pytest.fixture
def open_till(open_page, stage, run_async):
    """Open the cashier of an order at the hospital with every channel."""

    def go(size: str, *, phone: bool = False, language: str = "zh", institution: str = RICH, **bill):
        page = open_page(SIZES[size], phone=phone, language=language, foreign=stage.world.url)
        order_no = run_async(stage.bill(institution_id=institution, **bill))
        page.goto(f"/cashier/open/{run_async(stage.link('cashier', order_no))}")
        return page, order_no

    return go


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("size", list(SIZES))
def test_long_names_and_a_large_sum(open_till, shoot, size, language):
    page, _ = open_till(size, language=language, items=HARD, description="住院费用结算（心血管内科一病区）")
    expect(page.locator("button.channel").first).to_be_visible()
    shoot(page, f"cashier-hard-{size}-{language}")


@pytest.mark.parametrize("size", list(SIZES))
def test_large_print_is_kept(open_till, shoot, size):
    page, _ = open_till(size, items=HARD)
    page.get_by_role("link", name="大字版").click()
    expect(page.locator("html.large")).to_be_attached()
    assert page.evaluate("getComputedStyle(document.documentElement).fontSize") == "32px"
    shoot(page, f"cashier-large-{size}")
    page.reload()
    expect(page.locator("html.large")).to_be_attached()
    page.get_by_role("link", name="标准字号").click()
    expect(page.locator("html.large")).not_to_be_attached()


@pytest.mark.parametrize("size", list(SIZES))
def test_sixty_items_are_folded(open_till, shoot, size):
    page, _ = open_till(size, items=MANY)
    expect(page.get_by_text("查看其余 55 项")).to_be_visible()
    shoot(page, f"cashier-many-{size}")
    page.get_by_text("查看其余 55 项").click()
    expect(page.get_by_text("59 注射用头孢")).to_be_visible()


@pytest.mark.parametrize("size", list(SIZES))
def test_several_bills_stand_apart(open_till, shoot, size):
    page, _ = open_till(size, items=BILLS, description="门诊费用合并支付（2 张账单）")
    expect(page.get_by_text("MZ20261130-0002")).to_be_visible()
    shoot(page, f"cashier-bills-{size}")


@pytest.mark.parametrize("size", list(SIZES))
def test_insurance_shares(open_till, stage, shoot, size):
    page, order_no = open_till(size, items=BILLS, vuid=stage.vuids["zhang"])
    page.get_by_role("button", name="使用医保支付").click()
    expect(page.get_by_text("个人支付")).to_be_visible()
    expect(page.get_by_text("其中统筹基金")).to_be_visible()
    shoot(page, f"cashier-insured-{size}")
    page.get_by_role("button", name="不使用医保").click()
    expect(page.get_by_role("button", name="使用医保支付")).to_be_visible()
    assert order_no in page.content()


def test_insurance_of_an_unknown_patient_is_asked_for(open_till, shoot):
    page, _ = open_till("390", items=BILLS)
    page.get_by_role("link", name="使用医保支付").click()
    expect(page.get_by_label("证件号码")).to_be_visible()
    shoot(page, "cashier-whose-390")
    page.get_by_label("姓名").fill("王小明")
    page.get_by_label("证件号码").fill("610102199001011239")
    page.get_by_role("button", name="查询可支付金额").click()
    expect(page.get_by_text("个人支付")).to_be_visible()


@pytest.mark.parametrize("size", ["390", "1280"])
def test_unionpay_by_a_form(open_till, stage, shoot, size):
    """The form leaves for the channel by itself; the page's policy lets it go there and nowhere else."""
    page, order_no = open_till(size, phone=size == "390", items=BILLS)
    if size == "390":
        page.get_by_role("button", name="云闪付 打开云闪付付款").click()
    else:
        page.locator(".way-of", has_text="云闪付").get_by_role("button", name="在本机打开网页付款").click()
    page.wait_for_url(f"{stage.world.url}/**")
    page.goto("/cashier/leave")
    expect(page.locator("form#leave button")).to_be_visible()
    shoot(page, f"cashier-leave-{size}")
    page.goto("/cashier")
    expect(page.get_by_role("link", name="打开云闪付")).to_be_visible()
    shoot(page, f"cashier-leave-wait-{size}")
    assert order_no in page.content()


def test_no_channel(open_till, shoot, stage, run_async):
    page, _ = open_till("320", institution="inst-v1", items=HARD)
    expect(page.get_by_text("该医院暂未开通线上支付")).to_be_visible()
    shoot(page, "cashier-none-320")


@pytest.mark.parametrize(
    ("face", "values"),
    [
        ("counter", {"app_until": clock.now() - timedelta(minutes=1)}),
        ("expired", {"expires_at": clock.now() - timedelta(minutes=1)}),
        ("paid", {"state": "paid", "paid_at": clock.now(), "paid_fen": 999_999_999, "paid_channel": "wechat"}),
        (
            "refunded",
            {"state": "partly_refunded", "paid_fen": 999_999_999, "refund_reserved_fen": 12_850,
             "refunded_fen": 12_850, "paid_at": clock.now()},
        ),
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", ["320", "1280"])
def test_faces_look_right(open_till, stage, run_async, shoot, size, face, values):  # noqa: PLR0917 -- fixtures come by name
    page, order_no = open_till(size, items=HARD, return_url="https://app.example.cn/orders/1")
    run_async(stage.set_order(order_no, **values))
    page.reload()
    expect(page.locator(f"[data-face={face}]")).to_be_visible()
    expect(page.get_by_role("link", name="返回")).to_have_attribute("href", "https://app.example.cn/orders/1")
    shoot(page, f"cashier-face-{face}-{size}")


def test_by_keyboard_alone(open_till, stage, run_async):
    page, order_no = open_till("390", items=BILLS)
    for _ in range(12):
        page.keyboard.press("Tab")
        if "微信支付" in page.evaluate("document.activeElement.textContent"):
            break
    page.keyboard.press("Enter")
    expect(page.locator(".code-box svg")).to_be_visible()
    run_async(stage.pay(order_no))
    expect(page.locator("[data-face=paid]")).to_be_visible()
    expect(page.locator("#outcome")).to_be_focused()
