"""Records as charts and the live picture, in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import insert

from yimatong.cards.models import code_record
from yimatong.kit import alarms, clock
from yimatong.kit.ids import new_id

DESKTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def busy(stage, run_async: Callable[..., Any]) -> None:
    now = clock.now()
    rows = [
        {
            "vuid": "A" * 64, "record_id": new_id("rec"), "at": now - timedelta(milliseconds=120 * n),
            "event": "issued" if n % 7 == 0 else "verified", "code_kind": "dynamic", "purpose": "visit",
            "result": "CRD-2003" if n % 11 == 0 and n % 7 else "ok", "caller_id": "term-1" if n % 3 else "term-2",
            "institution_id": "inst-h1" if n % 3 else "inst-v1", "request_id": "req_live",
            "took_ms": None if n % 7 == 0 else 18 + n % 40 if n % 3 else 640,
        }
        for n in range(1500)
    ]  # fmt: skip
    detail = "2025-09: 3"

    async def enter(tx: Any, _parts: Any) -> None:
        await tx.execute(insert(code_record), rows)
        await alarms.raise_alarm(
            tx, kind="records-partition", subject="cards_code_record_rest", detail=detail, now=clock.now()
        )

    run_async(stage.act(enter))


@pytest.mark.parametrize(("name", "size"), [("1440", DESKTOP), ("390", PHONE)])
def test_live_and_charts_look_right(open_page, stage, log_in, shoot, busy, name, size):  # noqa: PLR0917 -- fixtures come by name
    page = open_page(size)
    log_in(page, "clerk")
    page.goto("/console/live")
    expect(page.locator("svg.chart polyline").first).to_be_attached()
    shoot(page, f"console-live-{name}-zh")
    page.goto(f"/console/codes/counts?day={stage.yesterday}&to={stage.today}&by=institution")
    expect(page.locator("svg.chart").first).to_be_visible()
    shoot(page, f"console-counts-{name}-zh")


def test_an_empty_live_picture(open_page, log_in, shoot):
    page = open_page(DESKTOP, language="en")
    log_in(page, "clerk")
    page.goto("/console/live")
    shoot(page, "console-live-1440-en")


def test_the_picture_moves_says_when_it_is_old_and_comes_back(open_page, stage, log_in, busy, run_async):
    page = open_page(DESKTOP, quiet=False)
    log_in(page, "clerk")
    page.goto("/console/live")
    before = page.locator("[data-number=minute]").inner_text()
    row = {
        "vuid": "B" * 64, "at": clock.now(), "event": "verified", "code_kind": "dynamic", "purpose": "visit",
        "result": "ok", "caller_id": "term-1", "institution_id": "inst-h1", "request_id": "req_live", "took_ms": 5,
    }  # fmt: skip
    rows = [row | {"record_id": new_id("rec")} for _ in range(2000)]
    run_async(stage.act(lambda tx, _: tx.execute(insert(code_record), rows)))
    expect(page.locator("[data-number=minute]")).not_to_have_text(before)
    page.locator("#rate-summary").click()
    page.wait_for_timeout(2500)
    assert page.locator("#rate-table[open]").count() == 1, "an opened table stays open"
    page.route("**/console/live/part", lambda route: route.abort())
    page.evaluate("window.stop()")
    page.context.set_offline(True)
    expect(page.locator("#live-state")).to_have_attribute("data-state", "stale", timeout=20_000)
    page.context.set_offline(False)
    page.unroute("**/console/live/part")
    expect(page.locator("#live-state")).not_to_have_attribute("data-state", "stale", timeout=20_000)
