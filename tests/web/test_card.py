"""The resident's card over HTTP."""

from __future__ import annotations

import re
from datetime import timedelta

import psycopg
import zxingcpp


def _read(svg: str) -> str:
    """Read a QR code back from the SVG of a page: its modules are rectangles that one path steps through."""
    from PIL import Image, ImageDraw

    size = int(re.search(r'viewBox="0 0 (\d+) \d+" shape', svg)[1])
    image = Image.new("L", (size, size), 255)
    draw = ImageDraw.Draw(image)
    x = y = 0
    for step, across, down, width, height in re.findall(r"([Mm])(\d+) (\d+)|h(\d+)v(\d+)h-\d+z", svg):
        if step:
            x, y = (0 if step == "M" else x) + int(across), (0 if step == "M" else y) + int(down)
        else:
            draw.rectangle((x, y, x + int(width) - 1, y + int(height) - 1), fill=0)
    return zxingcpp.read_barcodes(image.resize((size * 3, size * 3)))[0].text


def test_link_opens_once(visitor, stage, run_async):
    link = run_async(stage.link("card", stage.vuids["zhang"]))
    first = visitor.get(f"/card/open/{link}")
    assert first.status_code == 303
    assert first.headers["location"] == "/card"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/card" in cookie
    again = visitor.get(f"/card/open/{link}")
    assert again.status_code == 410
    assert "ACC-2006" in again.text
    assert again.headers["ymt-request-id"] in again.text


def test_card_without_session_says_what_to_do(visitor):
    answer = visitor.get("/card")
    assert answer.status_code == 401
    assert "ACC-2003" in answer.text
    assert "请回到打开本页的应用" in answer.text


def test_card_is_masked_and_not_stored(open_card):
    page = open_card("zhang")
    assert "张*丰" in page.text
    assert "张三丰" not in page.text
    assert "610102**********" in page.text
    assert "13800138000" not in page.text
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|style=", page.text)
    assert re.search(r"https?://", re.sub(r'xmlns="[^"]+"', "", page.text)) is None


def test_code_is_genuine_single_purpose_and_fresh(visitor, open_card, stage):
    open_card("zhang")
    texts = []
    for purpose in ("visit", "records", "payment", "visit"):
        answer = visitor.submit("/card/code", purpose=purpose)
        assert answer.status_code == 200
        assert 50 < float(re.search(r'data-lives-s="([\d.]+)"', answer.text)[1]) <= 60
        texts.append(_read(answer.text))
    assert len(set(texts)) == 4
    assert all(text.startswith(f"{stage.vuids['zhang']}:0:") for text in texts)
    with psycopg.connect(stage.settings.database_url) as connection:
        rows = connection.execute(
            "SELECT purpose FROM cards_code_record WHERE vuid = %s AND event = 'issued' AND caller_id = 'web' "
            "ORDER BY at",
            [stage.vuids["zhang"]],
        ).fetchall()
    assert [row[0] for row in rows] == ["visit", "records", "payment", "visit"]


def test_unknown_purpose_is_refused(visitor, open_card):
    open_card("zhang")
    answer = visitor.submit("/card/code", purpose="general; drop")
    assert answer.status_code == 422
    assert "WEB-1002" in answer.text


def test_code_needs_the_form_token(visitor, open_card):
    open_card("zhang")
    assert "WEB-1001" in visitor.post("/card/code", data={"purpose": "visit"}).text
    visitor.token = "0" * 64
    assert visitor.submit("/card/code", purpose="visit").status_code == 403


def test_foreign_origin_is_refused(visitor, open_card):
    open_card("zhang")
    answer = visitor.post(
        "/card/code",
        data={"purpose": "visit", "form_token": visitor.token},
        headers={"origin": "https://evil.example"},
    )
    assert answer.status_code == 403


def test_frozen_card_shows_no_code(visitor, open_card):
    page = open_card("frozen")
    assert "已冻结" in page.text
    assert "code-form" not in page.text
    answer = visitor.submit("/card/code", purpose="visit")
    assert answer.status_code == 409
    assert "CRD-1002" in answer.text


def test_last_uses_name_the_hospital(visitor, open_card, stage, run_async):
    assert "还没有使用记录" in open_card("long").text
    run_async(stage.use_code(stage.vuids["long"]))
    uses = visitor.get("/card/uses").text
    assert "西安市第一人民医院" in uses
    assert 'data-good="yes"' in uses


def test_uses_under_an_earlier_vuid_are_seen_too(visitor, open_card, stage, run_async):
    """A certificate was renewed: what was used under the earlier VUID stays in sight, for her and for the clerk."""
    today, before = stage.vuids["zhang"], "E" * 64
    with psycopg.connect(stage.settings.database_url) as connection:
        connection.execute(
            "INSERT INTO cards_account (vuid, generation, mpi, vuid_key_version, state, alias_of, opened_at,"
            " changed_at) SELECT %s, 1, mpi, 1, 'alias', vuid, opened_at, now() FROM cards_account WHERE vuid = %s",
            [before, today],
        )
    run_async(stage.use_code(before, result="CRD-3002"))
    open_card("zhang")
    assert 'data-good="no"' in visitor.get("/card/uses").text
    visitor.log_in("clerk")
    for card in (today, before):
        assert "EEEE" in visitor.get(f"/console/codes?card={card}&result=CRD-3002").text


def test_static_label_for_paper(visitor, open_card, stage):
    open_card("zhang")
    page = visitor.get("/card/label")
    assert _read(page.text) == f"{stage.vuids['zhang']}:1"


def test_english_and_back(visitor, open_card):
    open_card("zhang")
    page = visitor.get("/card?lang=en")
    assert '<html lang="en">' in page.text
    assert "My health card" in page.text
    assert "My health card" in visitor.get("/card").text
    assert '<html lang="zh-CN">' in visitor.get("/card?lang=zh").text
    assert visitor.get("/card?lang=xx").status_code == 200


def test_personal_page_leaves_an_audit_row(open_card, stage):
    open_card("zhang")
    with psycopg.connect(stage.settings.database_url) as connection:
        row = connection.execute(
            "SELECT action, at FROM kit_audit_event WHERE actor = %s AND action = 'card:show' ORDER BY id DESC",
            [f"card:{stage.vuids['zhang']}"],
        ).fetchone()
    assert row is not None
    assert row[1] > stage.now - timedelta(minutes=10)


def test_ended_session(visitor, open_card, stage):
    open_card("zhang")
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute("UPDATE access_session SET expires_at = now() WHERE purpose = 'card'")
    answer = visitor.submit("/card/code", purpose="visit")
    assert answer.status_code == 401
    assert "ACC-2003" in answer.text
