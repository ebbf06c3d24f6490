"""The kiosk in a real browser: a reader types a line, a label is printed, and nobody's name stays on the screen."""

from __future__ import annotations

import base64
import io
import json

import pypdfium2
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Page, expect

from yimatong.cards.codec import static_text
from yimatong.cards.labels import kiosk
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.standards import id_number

UPRIGHT, LYING = {"width": 1080, "height": 1920}, {"width": 1280, "height": 1024}
TERMINAL = "term-1"
NAME, NUMBER = "张三丰", "61010219800102011" + id_number.check_digit("61010219800102011")


def line_of(*, secret: bytes = bytes(32), at: int | None = None, **facts: str) -> str:
    """Type what a certificate reader's program types."""
    payload = base64.urlsafe_b64encode(json.dumps(facts).encode()).decode().rstrip("=")
    at = int(clock.now().timestamp()) if at is None else at
    return f"{kiosk.LINE_MARK}{payload}.{at}.{kiosk.line_signature(HmacSm3(secret), payload, at)}"


@pytest.fixture
def open_kiosk(open_page, stage, run_async):
    def go(size: dict[str, int], *, staff: bool = False, language: str = "zh", quiet: bool = True) -> Page:
        page = open_page(size, language=language, quiet=quiet)
        page.add_init_script("window.print = () => { window.printed = (window.printed || 0) + 1; };")
        wanted = kiosk.Kiosk(caller_id=TERMINAL, size="50x30", symbology="qr", staff=staff)
        token = run_async(stage.act(lambda tx, _: kiosk.make_link(tx, wanted, now=clock.now())))
        page.goto(f"/kiosk/open/{token}")
        return page

    return go


def type_line(page: Page, line: str) -> None:
    page.keyboard.insert_text(line)
    page.keyboard.press("Enter")


def read(page: Page) -> list[str]:
    picture = Image.open(io.BytesIO(page.locator(".paper").first.screenshot()))
    return [found.text for found in zxingcpp.read_barcodes(picture, formats=zxingcpp.BarcodeFormat.QRCode)]


@pytest.mark.parametrize(("name", "size"), [("upright", UPRIGHT), ("lying", LYING)])
def test_start_and_scan_look_right(open_kiosk, shoot, name, size):
    page = open_kiosk(size)
    expect(page.get_by_text("刷身份证打印")).to_be_visible()
    assert page.get_by_text("批量打印").count() == 0
    shoot(page, f"kiosk-{name}-start-zh")
    page.get_by_text("刷身份证打印").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    shoot(page, f"kiosk-{name}-certificate-zh")


def test_a_code_becomes_a_label(open_kiosk, stage, shoot):
    page = open_kiosk(LYING)
    page.get_by_text("扫健康卡码打印").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    type_line(page, static_text(stage.vuids["zhang"]))
    expect(page.locator(".paper svg")).to_be_visible()
    page.wait_for_function("window.printed === 1")
    text = read(page)[0]
    assert text.startswith(static_text(stage.vuids["zhang"]) + "::L")
    assert stage.vuids["zhang"] not in page.url
    shoot(page, "kiosk-lying-label-zh")
    paper = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True))
    assert len(paper) == 1
    width, height = paper[0].get_size()
    assert (round(width / 72 * 25.4), round(height / 72 * 25.4)) == (50, 30)
    image = paper[0].render(scale=300 / 72).to_pil()
    assert [found.text for found in zxingcpp.read_barcodes(image)] == [text]


def test_a_certificate_becomes_a_label_and_the_page_ends(open_kiosk, stage, shoot):
    page = open_kiosk(UPRIGHT)
    page.clock.install()
    page.get_by_text("刷身份证打印").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    type_line(page, line_of(id_type="01", id_number=NUMBER, name=NAME, address="…"))
    expect(page.locator(".paper svg")).to_be_visible()
    assert NAME not in page.content()
    assert NUMBER not in page.content()
    shoot(page, "kiosk-upright-label-zh")
    page.clock.run_for(31_000)
    page.wait_for_url("**/kiosk")


@pytest.mark.parametrize("forged", [{"secret": b"\1" * 32}, {"at": 1_700_000_000}])
def test_a_certificate_that_nobody_laid_on_the_reader_is_refused(open_kiosk, stage, forged):
    """The scanner of codes types into the same field: a QR code with somebody's number and name is no certificate."""
    page = open_kiosk(LYING, quiet=False)
    page.goto("/kiosk/scan/certificate")
    expect(page.locator("[data-wedge]")).to_be_focused()
    type_line(page, line_of(id_type="01", id_number=NUMBER, name=NAME, **forged))
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.locator(".paper").count() == 0


def test_what_cannot_be_read_says_what_to_do(open_kiosk, stage, shoot):
    page = open_kiosk(LYING, quiet=False)
    page.get_by_text("扫健康卡码打印").click()
    type_line(page, "https://example.test/pay?code=1")
    expect(page.get_by_text("二维码内容无法识别")).to_be_visible()
    expect(page.get_by_text("不是付款码或其他码")).to_be_visible()
    shoot(page, "kiosk-lying-problem-zh")
    page.get_by_text("再试一次").click()
    type_line(page, static_text(stage.vuids["frozen"]))
    expect(page.locator("[role=alert]")).to_be_visible()


def test_a_clinic_gathers_and_prints_a_sheet(open_kiosk, stage, shoot):
    page = open_kiosk(LYING, staff=True, quiet=False)
    shoot(page, "kiosk-lying-staff-start-zh")
    page.get_by_text("批量打印（工作人员）").click()
    expect(page.get_by_text("还没有加入任何人")).to_be_visible()
    shoot(page, "kiosk-lying-sheet-empty-zh")
    for who in ("zhang", "long"):
        type_line(page, static_text(stage.vuids[who]))
        expect(page.locator(".gathered li").filter(has_text=stage.vuids[who][-4:])).to_be_visible()
    type_line(page, static_text(stage.vuids["zhang"]))
    expect(page.get_by_text("已在列表中")).to_be_visible()
    assert page.locator(".gathered li").count() == 2
    shoot(page, "kiosk-lying-sheet-zh")
    page.get_by_text("打印 2 张标签").click()
    expect(page.get_by_text("2 张标签，共 1 页")).to_be_visible()
    page.wait_for_function("window.printed === 1")
    shoot(page, "kiosk-lying-sheet-done-zh")
    paper = pypdfium2.PdfDocument(page.pdf(prefer_css_page_size=True))
    assert [round(side / 72 * 25.4) for side in paper[0].get_size()] == [210, 297]
    image = paper[0].render(scale=300 / 72).to_pil()
    assert len(zxingcpp.read_barcodes(image, formats=zxingcpp.BarcodeFormat.QRCode)) == 2
    assert len(paper) == 1


def test_a_public_kiosk_has_no_sheet_and_english_works(open_kiosk, shoot):
    page = open_kiosk(LYING, language="en", quiet=False)
    shoot(page, "kiosk-lying-start-en")
    page.goto("/kiosk/sheet")
    expect(page.get_by_text("KIT-1002")).to_be_visible()
