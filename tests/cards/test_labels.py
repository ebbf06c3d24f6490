"""Printed labels: a serial for every print, one print for a key, a label revoked alone; and what is on the paper."""

from __future__ import annotations

import base64
import io
import re
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import psycopg
import pypdfium2
import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from yimatong.cards.codec import dynamic_text, static_text
from yimatong.cards.errors import SymbolDoesNotFit
from yimatong.cards.symbologies import glyphs, layout, paper
from yimatong.cards.symbologies.drawn import DRAWN, HAN_XIN, PDF417, QR
from yimatong_sdk import ApiError, Client

A4_POINTS = (595, 842)


def register(client: Client, who: SimpleNamespace) -> str:
    body = {
        "resident": vars(who),
        "real_name": "police_online",
    }
    return str(client.call("POST", "/api/v1/accounts", body, idempotency_key=uuid.uuid4().hex)["vuid"])


def send(client: Client, path: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
    return dict(client.call("POST", path, body, idempotency_key=key or uuid.uuid4().hex))


def painted(document: str, dpi: int = 300) -> list[Image.Image]:
    pdf = pypdfium2.PdfDocument(base64.b64decode(document))
    return [page.render(scale=dpi / 72).to_pil() for page in pdf]


def read(image: Image.Image) -> list[str]:
    formats = [zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.PDF417]
    return [found.text for found in zxingcpp.read_barcodes(image, formats=formats)]


@pytest.fixture
def hospital(client: Callable[[str], Client]) -> Client:
    return client("his-1")


@pytest.mark.parametrize("symbology", ["qr", "pdf417"])
def test_the_printed_page_carries_the_code_with_its_serial(
    hospital: Client, resident: SimpleNamespace, symbology: str
) -> None:
    vuid = register(hospital, resident)
    answer = send(hospital, "/api/v1/labels", {"vuid": vuid, "symbology": symbology})
    printed = answer["labels"][0]
    assert re.fullmatch("L[0-9A-HJKMNP-TV-Z]{9}", printed["serial"])
    assert printed["text"] == f"{static_text(vuid)}::{printed['serial']}"
    (page,) = painted(answer["document"])
    assert read(page) == [printed["text"]]
    assert abs(page.width / 300 * 25.4 - 50) < 0.2


def test_a_repeat_prints_the_same_label_and_a_new_key_a_new_one(
    hospital: Client, resident: SimpleNamespace, database_url: str
) -> None:
    vuid, key = register(hospital, resident), uuid.uuid4().hex
    first = send(hospital, "/api/v1/labels", {"vuid": vuid}, key)
    assert send(hospital, "/api/v1/labels", {"vuid": vuid}, key) == first
    second = send(hospital, "/api/v1/labels", {"vuid": vuid})
    assert second["labels"][0]["serial"] != first["labels"][0]["serial"]
    with psycopg.connect(database_url) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table} WHERE vuid = %s AND {what}", (vuid,)).fetchone()[0]
            for table, what in (
                ("cards_label", "state = 'live'"),
                ("cards_code_record", "event = 'issued' AND code_kind = 'static' AND purpose = 'label'"),
                ("cards_account_event", "what = 'label_printed'"),
            )
        ]
    assert counts == [2, 2, 2]


def test_one_label_is_revoked_and_the_other_stays_good(
    hospital: Client, client: Callable[[str], Client], resident: SimpleNamespace
) -> None:
    vuid = register(hospital, resident)
    lost, kept = (send(hospital, "/api/v1/labels", {"vuid": vuid})["labels"][0] for _ in range(2))
    path = f"/api/v1/labels/{lost['serial']}/revoke"
    assert send(hospital, path, {"vuid": vuid, "reason": "lost"})["state"] == "revoked"
    again = send(hospital, path, {"vuid": vuid, "reason": "torn"})
    assert again["state"] == "revoked"
    states = {
        each["serial"]: each["state"] for each in hospital.call("GET", f"/api/v1/accounts/{vuid}/labels")["labels"]
    }
    assert states == {lost["serial"]: "revoked", kept["serial"]: "live"}
    verify = {"purpose": "visit"}
    assert send(client("term-1"), "/api/v1/codes/verify", verify | {"code": kept["text"]})["vuid"] == vuid
    with pytest.raises(ApiError) as refused:
        send(client("term-1"), "/api/v1/codes/verify", verify | {"code": lost["text"]})
    assert refused.value.code == "CRD-2006"


def test_a_terminal_prints_for_whom_it_verified_and_for_nobody_else(
    client: Callable[[str], Client], resident: SimpleNamespace
) -> None:
    vuid = register(client("app-1"), resident)
    terminal = client("term-2")
    with pytest.raises(ApiError) as refused:
        send(terminal, "/api/v1/labels", {"vuid": vuid})
    assert refused.value.code == "CRD-1001"
    code = send(client("app-1"), "/api/v1/codes", {"vuid": vuid})["text"]
    seen = send(terminal, "/api/v1/codes/verify", {"code": code, "purpose": "register"})
    wanted = {"vuid": vuid, "verification_id": seen["record_id"]}
    assert send(terminal, "/api/v1/labels", wanted)["labels"][0]["vuid"] == vuid
    with pytest.raises(ApiError) as elsewhere:
        send(client("term-1"), "/api/v1/labels", wanted)
    assert elsewhere.value.code == "CRD-2009"


def test_a_sheet_is_printed_whole_or_not_at_all(
    hospital: Client, new_resident: Callable[[], SimpleNamespace], database_url: str
) -> None:
    vuids = [register(hospital, new_resident()) for _ in range(3)]
    answer = send(hospital, "/api/v1/labels/sheets", {"labels": [{"vuid": each} for each in vuids], "sheet": "a4_21"})
    (page,) = painted(answer["document"])
    assert sorted(read(page)) == sorted(each["text"] for each in answer["labels"])
    assert [each["vuid"] for each in answer["labels"]] == vuids
    send(hospital, f"/api/v1/accounts/{vuids[1]}/state", {"state": "frozen"})
    with pytest.raises(ApiError) as refused:
        send(
            hospital, "/api/v1/labels/sheets", {"labels": [{"vuid": vuids[0]}, {"vuid": vuids[1]}, {"vuid": "F" * 64}]}
        )
    assert refused.value.code == "CRD-2056"
    assert "2 (CRD-1002), 3 (CRD-1001)" in refused.value.detail
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM cards_label WHERE vuid = %s", (vuids[0],)).fetchone()
    assert row == (1,)


@pytest.mark.parametrize(
    ("change", "code"),
    [({"symbology": "cm"}, "CRD-2051"), ({"symbology": "nothing"}, "CRD-2050"), ({"size": "1x1"}, "KIT-1001"),
     ({"symbology": "pdf417", "size": "60x40", "form": "jpeg"}, "KIT-1001")],
)  # fmt: skip
def test_what_cannot_be_printed_is_refused_by_name(
    hospital: Client, resident: SimpleNamespace, change: dict[str, str], code: str
) -> None:
    vuid = register(hospital, resident)
    with pytest.raises(ApiError) as refused:
        send(hospital, "/api/v1/labels", {"vuid": vuid} | change)
    assert refused.value.code == code
    assert hospital.call("GET", f"/api/v1/accounts/{vuid}/labels")["labels"] == []


@pytest.mark.parametrize("form", ["svg", "png"])
def test_any_code_is_drawn_for_an_app(client: Callable[[str], Client], form: str) -> None:
    text = static_text("0F" * 32)
    body = {"code": text, "symbology": "pdf417", "form": form, "module_px": 3}
    answer = client("app-1").call("POST", "/api/v1/codes/drawings", body)
    if form == "png":
        image = Image.open(io.BytesIO(base64.b64decode(answer["image"])))
        assert (image.width, image.height) == (answer["width_px"], answer["height_px"])
        assert read(image) == [text]
    else:
        assert answer["image"].startswith("<?xml")
    with pytest.raises(ApiError) as refused:
        client("app-1").call("POST", "/api/v1/codes/drawings", body | {"code": "hello"})
    assert refused.value.code == "CRD-2001"


def test_the_list_says_what_is_missing(client: Callable[[str], Client]) -> None:
    listed = {each["name"]: each for each in client("term-1").call("GET", "/api/v1/symbologies")["symbologies"]}
    assert [name for name, each in listed.items() if each["available"]] == ["qr", "pdf417", "grid_matrix", "han_xin"]
    assert "GB/T 27767-2011" in listed["cm"]["missing_en"]


NAMES = ["张*", "阿***木", "·*·", "A***z", "𠮷*", "王", ""]


def content(symbology: Any, name: str = "张*") -> layout.LabelContent:
    return layout.LabelContent(
        modules=symbology.draw(static_text("0F" * 32) + "::L7K2M9QX4T", "paper"),
        symbology=symbology.title,
        title="电子健康卡",
        name=name,
        number="0F0F…0F0F L7K2M9QX4T",
        institution="西安交通大学第一附属医院长安区韦曲街道办事处社区卫生服务中心（含下设村卫生室）",
        day="2026-11-23",
    )


def boxes(page: paper.Paper) -> list[tuple[float, float, float, float]]:
    found = [
        (each.x_mm, each.y_mm, each.x_mm + each.modules.width * each.module_mm,
         each.y_mm + each.modules.height * each.module_mm)
        for each in page.symbols
    ]  # fmt: skip
    return found + [
        (line.x_mm, line.y_mm - line.size_mm * 0.88, line.x_mm + glyphs.width(line.text, line.size_mm),
         line.y_mm + line.size_mm * 0.12)
        for line in page.texts if line.text
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", layout.SIZES)
@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
def test_everything_stays_on_the_label_and_apart(symbology: Any, size: str, name: str) -> None:
    form = layout.SIZES[size]
    page = layout.label(content(symbology, name), form)
    assert page.symbols[0].module_mm >= layout.MODULE_MM_MIN
    assert page.texts[0].text == "0F0F…0F0F L7K2M9QX4T" or symbology is PDF417
    placed = boxes(page)
    for left, top, right, bottom in placed:
        assert left >= -0.01
        assert top >= -0.01
        assert right <= form.width_mm + 0.01
        assert bottom <= form.height_mm + 0.01
    for number, one in enumerate(placed):
        for other in placed[number + 1 :]:
            apart = one[2] <= other[0] + 0.05 or other[2] <= one[0] + 0.05
            assert apart or one[3] <= other[1] + 0.3 or other[3] <= one[1] + 0.3


@pytest.mark.parametrize("sheet", layout.SHEETS)
def test_a_hundred_labels_on_sheets_are_all_read_back(sheet: str) -> None:
    texts = [f"{static_text(f'{number:064X}')}::L7K2M9QX4T" for number in range(100)]
    one = content(QR)
    contents = [
        layout.LabelContent(
            modules=QR.draw(text, "paper"), symbology="QR", title=one.title, name=NAMES[number % 7], number=one.number,
            institution="第一医院", day=one.day,
        )
        for number, text in enumerate(texts)
    ]  # fmt: skip
    form = layout.SHEETS[sheet]
    pages = layout.sheets(contents, form)
    assert len(pages) == -(-100 // (form.columns * form.rows))
    found = [text for page in painted(base64.b64encode(paper.pdf(pages)).decode(), 200) for text in read(page)]
    assert sorted(found) == texts


def test_a_character_that_the_font_lacks_prints_the_mark_for_it() -> None:
    assert glyphs.glyph("𠮷") == glyphs.glyph("〓")
    assert glyphs.glyph("张") != glyphs.glyph("〓")
    assert glyphs.width("张三", 4) == pytest.approx(8)


def test_modules_too_small_to_read_are_refused_by_name() -> None:
    one = content(PDF417)
    long = msgspec.structs.replace(
        one, modules=PDF417.draw(dynamic_text("0F" * 32, bytes(16), "S." + "a" * 150), "paper")
    )
    with pytest.raises(SymbolDoesNotFit):
        layout.label(long, layout.SIZES["40x30"])


@pytest.mark.parametrize("symbology", DRAWN, ids=lambda each: each.name)
@settings(max_examples=40, deadline=None)
@given(
    vuid=st.text("0123456789ABCDEF", min_size=64, max_size=64),
    serial=st.text("0123456789ABCDEFGHJK", min_size=9, max_size=9),
)
def test_any_account_fits_the_smallest_label(symbology: Any, vuid: str, serial: str) -> None:
    modules = symbology.draw(f"{static_text(vuid)}::L{serial}", "paper")
    layout.label(msgspec.structs.replace(content(symbology), modules=modules), layout.SIZES["40x30"])


def test_svg_has_the_same_text_and_grid_and_no_font() -> None:
    svg = paper.svg(layout.label(content(HAN_XIN), layout.SIZES["60x40"]))
    assert "<text" not in svg
    assert 'width="60mm" height="40mm"' in svg
    assert HAN_XIN.draw(static_text("0F" * 32) + "::L7K2M9QX4T", "paper").path() in svg
