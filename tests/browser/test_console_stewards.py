"""The steward's desk in a real browser: by hand and by keys, wide and narrow, with nothing decided by accident."""

from __future__ import annotations

import asyncio
import re
import threading

import psycopg
import pytest
from index_stage import Index, many
from playwright.sync_api import expect

DESKTOP, PHONE, SMALL = {"width": 1440, "height": 900}, {"width": 390, "height": 844}, {"width": 320, "height": 640}
SIZES = {"1440": DESKTOP, "390": PHONE, "320": SMALL}
REVIEWS = "/console/reviews"


def beside(work):
    """Run a coroutine beside the browser's own loop."""
    failed: list[BaseException] = []

    def inside() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:  # noqa: BLE001 -- told to the test
            failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def settle(stage):
    sql(stage, "UPDATE empi_review SET state = 'void', decided_at = now() WHERE decided_at IS NULL")


@pytest.fixture
def index(stage):
    settle(stage)
    made = Index()
    beside(stage.act(made.build))
    return made


def state(stage, review_id):
    return sql(stage, "SELECT state FROM empi_review WHERE review_id = %s", review_id)[0][0]


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_desk_looks_right(open_page, stage, index, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    page.goto(REVIEWS)
    expect(page.locator("tr[data-review]")).to_have_count(3)
    shoot(page, f"console-reviews-{name}-{language}")
    for which in index.reviews:
        page.goto(f"{REVIEWS}/{index.reviews[which]}")
        expect(page.locator("table.compare")).to_be_visible()
        shoot(page, f"console-review-{which}-{name}-{language}", axe=which == "alike" or language == "zh")
    page.locator("#said-left summary").click()
    expect(page.locator("#said-left .statements")).to_be_visible()
    page.goto(f"{REVIEWS}/metrics")
    shoot(page, f"console-review-metrics-{name}-{language}")


def test_the_empty_desk_and_ten_thousand_rows(open_page, stage, log_in, shoot):
    settle(stage)
    page = open_page(DESKTOP)
    log_in(page, "steward")
    page.goto(REVIEWS)
    expect(page.get_by_text("没有待审核的记录")).to_be_visible()
    shoot(page, "console-reviews-empty-1440-zh")
    beside(stage.act(lambda tx, parts: many(tx, parts, rows=10_000)))
    page.goto(REVIEWS)
    expect(page.locator("[data-number=waiting]")).to_have_text("10,000")
    page.get_by_role("link", name="下一页").click()
    expect(page.get_by_role("link", name="回到第一页")).to_be_visible()
    shoot(page, "console-reviews-10000-1440-zh", axe=False)
    sql(stage, "DELETE FROM empi_review WHERE review_id LIKE 'rev_many%%'")


def test_everything_by_keys(open_page, stage, index, log_in, shoot):
    page = open_page(DESKTOP)
    log_in(page, "steward")
    page.goto(REVIEWS)
    page.keyboard.press("j")
    assert "王*明" in page.evaluate("document.activeElement.textContent")
    page.wait_for_timeout(800)
    page.keyboard.press("g")
    page.wait_for_url(re.compile(index.reviews["twins"]))
    page.wait_for_selector("html[data-armed]")
    page.keyboard.press("Shift+?")
    expect(page.locator("dialog#keys")).to_be_visible()
    shoot(page, "console-review-keys-1440-zh")
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    assert state(stage, index.reviews["twins"]) == "open"
    page.keyboard.press("m")  # two valid certificates: the tick is missing
    page.wait_for_timeout(300)
    assert state(stage, index.reviews["twins"]) == "open"
    page.keyboard.press("e")
    page.keyboard.type("nmtaw 户口簿已核对")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.wait_for_url(re.compile("last="))
    assert state(stage, index.reviews["twins"]) == "rejected"
    expect(page.locator(".undo-bar")).to_contain_text("已判定不是同一人")
    page.wait_for_selector("html[data-armed]")
    page.keyboard.press("Control+z")
    page.wait_for_url(f"**{REVIEWS}/{index.reviews['twins']}")
    assert state(stage, index.reviews["twins"]) == "open"
    expect(page.locator(".history")).to_contain_text("nmtaw 户口簿已核对")


def test_a_double_key_decides_once(open_page, stage, index, log_in):
    page = open_page(DESKTOP)
    log_in(page, "steward")
    page.goto(f"{REVIEWS}/next")
    first = page.url.rsplit("/", 1)[1].split("?")[0]
    page.wait_for_selector("html[data-armed]")
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.wait_for_url(re.compile("last="))
    assert state(stage, first) == "rejected"
    page.wait_for_selector("html[data-armed]")
    page.keyboard.down("n")
    page.wait_for_url(re.compile("last=(?!" + first + ")"))
    page.wait_for_selector("html[data-armed]")
    for _ in range(5):
        page.keyboard.down("n")  # still held: the browser says so again and again, on the next page too
    page.keyboard.up("n")
    page.wait_for_timeout(300)
    settled = sql(
        stage, "SELECT count(*) FROM empi_review WHERE review_id = ANY(%s) AND state <> 'open'",
        list(index.reviews.values()),
    )  # fmt: skip
    assert settled == [(2,)]


def test_enter_in_the_note_decides_nothing(open_page, stage, index, log_in):
    page = open_page(DESKTOP)
    log_in(page, "steward")
    page.goto(f"{REVIEWS}/{index.reviews['alike']}")
    page.wait_for_selector("html[data-armed]")
    page.locator("#note").fill("先记一笔")
    page.keyboard.press("Enter")
    expect(page.locator(".history")).to_contain_text("先记一笔")
    assert state(stage, index.reviews["alike"]) == "open"
