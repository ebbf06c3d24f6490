"""The cashier in a real browser, paid by the simulated payer."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from playwright.sync_api import expect

from yimatong.kit import clock
from yimatong.payments.orders.schemas import Item

SMALL, PHONE, DESKTOP = {"width": 320, "height": 640}, {"width": 390, "height": 844}, {"width": 1440, "height": 900}
LINES = [
    Item(name="诊察费", amount_fen=1_500),
    Item(name="腹部彩色多普勒超声检查（肝、胆、胰、脾、双肾）", amount_fen=18_000),
    Item(name="注射用头孢曲松钠 1.0g", amount_fen=9_999, quantity=6),
]


def _open(page, stage, run_async, **bill) -> str:
    order_no = run_async(stage.bill(**bill))
    page.goto(f"/cashier/open/{run_async(stage.link('cashier', order_no))}")
    return order_no


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(("name", "size"), [("320", SMALL), ("390", PHONE), ("1440", DESKTOP)])
def test_scan_and_paid(open_page, stage, run_async, shoot, name, size, language):  # noqa: PLR0917 -- fixtures come by name
    page = open_page(size, language=language)
    order_no = _open(page, stage, run_async, items=LINES)
    shoot(page, f"cashier-choose-{name}-{language}")
    page.locator("button.channel").click()
    expect(page.locator(".code-box svg")).to_be_visible()
    shoot(page, f"cashier-wait-{name}-{language}")
    run_async(stage.pay(order_no))
    expect(page.locator("[data-face=paid]")).to_be_visible()
    expect(page.get_by_text(order_no)).to_be_visible()
    shoot(page, f"cashier-paid-{name}-{language}")


def test_phone_jumps_to_the_channel_and_comes_back(open_page, stage, run_async, shoot):
    page = open_page(PHONE, phone=True, foreign=stage.world.url)
    order_no = _open(page, stage, run_async)
    shoot(page, "cashier-choose-phone-zh")
    page.locator("button.channel").click()
    page.wait_for_url(f"{stage.world.url}/**")
    page.goto("/cashier")
    expect(page.locator("#jump")).to_be_visible()
    shoot(page, "cashier-jump-390-zh")
    run_async(stage.pay(order_no))
    expect(page.get_by_role("heading", name="支付成功")).to_be_visible()


def test_unknown_is_told_and_ends_well(open_page, stage, run_async, shoot):
    page = open_page(PHONE)
    order_no = _open(page, stage, run_async, fen=9_999_999_999)
    page.locator("button.channel").click()
    expect(page.locator(".code-box svg")).to_be_visible()
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute("UPDATE payments_attempt SET state = 'unknown' WHERE order_no = %s", [order_no])
    expect(page.locator("[data-face=ask]")).to_be_visible()
    shoot(page, "cashier-ask-390-zh")
    run_async(stage.pay(order_no))
    expect(page.locator("[data-face=paid]")).to_be_visible()
    shoot(page, "cashier-paid-large-390-zh")


@pytest.mark.parametrize(
    ("face", "values"),
    [
        ("closed", {"state": "closed", "closed_at": clock.now()}),
        ("expired", {"expires_at": clock.now() - timedelta(minutes=1)}),
        (
            "refunded",
            {"state": "refunded", "paid_fen": 12_850, "refund_reserved_fen": 12_850, "refunded_fen": 12_850,
             "paid_at": clock.now()},
        ),
    ],
)  # fmt: skip
def test_other_faces(open_page, stage, run_async, shoot, face, values):  # noqa: PLR0917 -- fixtures come by name
    page = open_page(PHONE)
    order_no = _open(page, stage, run_async)
    run_async(stage.set_order(order_no, **values))
    page.reload()
    expect(page.locator(f"[data-face={face}]")).to_be_visible()
    shoot(page, f"cashier-{face}-390-zh")
