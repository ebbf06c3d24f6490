"""The kiosk in a real browser: a reader types a line, a label is printed, and nobody's name stays on the screen."""

from __future__ import annotations

import base64
import io
import json
import secrets
from itertools import count

import psycopg
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


def printed(page: Page) -> None:
    """Wait until the page printed once; asked from outside, because the page's policy forbids a waiting script."""
    for _ in range(300):
        if page.evaluate("window.printed") == 1:
            return
        page.wait_for_timeout(50)
    pytest.fail("the page did not print")


def type_line(page: Page, line: str) -> None:
    expect(page.locator("[data-wedge]")).to_be_focused()
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


_SEQUENCES = count(secrets.randbelow(1000))


def new_number() -> str:
    """Return a certificate number that nobody else of these tests has."""
    first = f"61010219910203{next(_SEQUENCES) % 1000:03d}"
    return first + id_number.check_digit(first)


def sql(stage, statement: str, *values: object) -> list:
    with psycopg.connect(stage.settings.database_url) as connection:
        return connection.execute(statement, values).fetchall()


@pytest.mark.parametrize(
    "who",
    [
        (UPRIGHT, "阿卜杜热西提·阿卜杜拉江", "阿***江", "zh"),
        (LYING, "李四", "李*", "zh"),
        (LYING, "王小明", "王*明", "en"),
    ],
)
def test_somebody_without_a_card_applies_and_takes_a_label(open_kiosk, stage, shoot, who):
    """Certificate, phone by the keypad, a look at it, done: one account of method certificate_read by this terminal."""
    size, name, shown, language = who
    number, mark = new_number(), f"{size['width']}-{language}"
    page = open_kiosk(size, language=language, quiet=False)
    shoot(page, f"kiosk-{mark}-start")
    page.locator("a[href='/kiosk/scan/apply']").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    shoot(page, f"kiosk-{mark}-apply")
    type_line(page, line_of(id_type="01", id_number=number, name=name, address="陕西省西安市碑林区…"))
    for digit in "1390013":
        page.locator(f"[data-digit='{digit}']").click()
    page.get_by_role("button", name="下一步" if language == "zh" else "Next").click()
    expect(page.locator("#phone-said[role=alert]")).to_be_visible()
    expect(page.locator("#phone")).to_have_value("1390013")
    shoot(page, f"kiosk-{mark}-phone-wrong")
    for digit in "80019":
        page.locator(f"[data-digit='{digit}']").click()
    expect(page.locator("#phone")).to_have_value("13900138001")
    page.locator("[data-back]").click()
    page.locator("[data-digit='5']").click()
    page.get_by_role("button", name="下一步" if language == "zh" else "Next").click()
    expect(page.locator(".checked")).to_contain_text("139 0013 8005")
    expect(page.locator(".checked")).to_contain_text(shown)
    assert name not in page.content()
    assert number not in page.content()
    shoot(page, f"kiosk-{mark}-confirm")
    page.locator("button[name=again]").click()
    expect(page.locator("#phone")).to_have_value("13900138005")
    page.get_by_role("button", name="下一步" if language == "zh" else "Next").click()
    page.locator("[data-once] button").click()
    expect(page.locator(".paper svg")).to_be_visible()
    printed(page)
    shoot(page, f"kiosk-{mark}-applied")
    vuid = read(page)[0].split(":")[0]
    assert number not in page.url
    rows = sql(
        stage,
        "SELECT e.what, e.actor, e.institution_id, h.holder, h.real_name_level, a.state FROM cards_account_event e"
        " JOIN cards_account a USING (vuid) JOIN cards_holder h USING (vuid) WHERE vuid = %s"
        " ORDER BY e.event_id",
        vuid,
    )
    assert rows == [(what, TERMINAL, "inst-h1", "inst-h1", 3, "active") for what in ("opened", "label_printed")]
    page.locator("a[href='/kiosk']").last.click()
    page.locator("a[href='/kiosk/scan/apply']").click()
    type_line(page, line_of(id_type="01", id_number=number, name=name))
    expect(
        page.get_by_text("您已有电子健康卡" if language == "zh" else "You have a health card already")
    ).to_be_visible()
    shoot(page, f"kiosk-{mark}-known")


def test_who_cannot_apply_here_is_told_where(open_kiosk, shoot):
    page = open_kiosk(LYING, quiet=False)
    for line in (line_of(id_type="03", id_number="E12345678", name="SMITH JOHN"), "https://example.test/x"):
        page.goto("/kiosk/scan/apply")
        expect(page.get_by_text("新生儿、没有带证件或没有证件的，请到窗口办理")).to_be_visible()
        type_line(page, line)
        expect(page.locator("[role=alert]")).to_be_visible()
        expect(page.get_by_text("窗口").first).to_be_visible()
    shoot(page, "kiosk-lying-apply-problem-zh")


def test_an_altered_or_old_application_reads_the_certificate_again(open_kiosk):
    """What the page carries is sealed: it cannot be edited, and it ends."""
    page = open_kiosk(LYING, quiet=False)
    page.goto("/kiosk/scan/apply")
    type_line(page, line_of(id_type="01", id_number=new_number(), name="赵六"))
    held = page.locator("input[name=held]").input_value()
    broken = held[:-2] + ("00" if held[-2:] != "00" else "11")
    page.evaluate("value => document.querySelector('input[name=held]').value = value", broken)
    page.locator("#phone").fill("13900138000")
    page.get_by_role("button", name="下一步").click()
    expect(page.get_by_text("CRD-2057")).to_be_visible()


def test_a_code_becomes_a_label(open_kiosk, stage, shoot):
    page = open_kiosk(LYING)
    page.get_by_text("扫健康卡码打印").click()
    expect(page.locator("[data-wedge]")).to_be_focused()
    type_line(page, static_text(stage.vuids["zhang"]))
    expect(page.locator(".paper svg")).to_be_visible()
    printed(page)
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
    printed(page)
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
