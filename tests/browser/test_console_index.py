"""Person page, statistics and identifier domains in a real browser."""

from __future__ import annotations

import asyncio
import threading
from datetime import date

import pytest
from index_stage import Index, facts, put
from playwright.sync_api import expect

from yimatong.kit import clock

SIZES = {
    "1440": {"width": 1440, "height": 900},
    "390": {"width": 390, "height": 844},
    "320": {"width": 320, "height": 640},
}


def beside(work):
    """Run a coroutine beside the browser's own loop and return what it returned."""
    told: dict[str, object] = {}

    def inside() -> None:
        try:
            told["done"] = asyncio.run(work)
        except BaseException as error:  # noqa: BLE001 -- told to the test
            told["failed"] = error

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if "failed" in told:
        raise told["failed"]
    return told.get("done")


@pytest.fixture(scope="module")
def index(stage):
    made = Index()
    beside(stage.act(made.build))

    async def crowd(tx, parts):
        for at in range(240):
            year = 1940 + at % 80
            said = facts(f"张伟{at}", phone="13800138009", address="陕西省西安市雁塔区")
            await put(tx, parts, [(said, "his-1", 1)], sex=str(1 + at % 2), born=date(year, 1, 1), at=clock.now())
        await tx.exec_driver_sql("UPDATE empi_person SET region_code = '610113' WHERE region_code IS NULL")

    beside(stage.act(crowd))
    return made


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_person_whole(open_page, stage, index, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures by name
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    ref = beside(stage.act(lambda _tx, parts: parts.vault.mpi_ref("console", index.mpis["alike.left"].hex)))
    page.goto(f"/console/persons/{ref}")
    expect(page.locator("[data-field=name]")).to_be_visible()
    shoot(page, f"console-person-{name}-{language}")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_statistics(open_page, stage, index, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures by name
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    page.goto("/console/statistics")
    page.locator("#s-group").select_option("age10")
    page.locator("#s-second").select_option("sex")
    page.locator("form.filters button").click()
    expect(page.locator("svg.chart")).to_be_visible()
    shoot(page, f"console-statistics-pyramid-{name}-{language}")
    page.locator("#s-group").select_option("region")
    page.locator("#s-second").select_option("")
    page.locator("#s-region_code").fill("61")
    page.locator("form.filters button").click()
    page.locator("tr[data-key='6101'] button").click()
    expect(page.locator("tr[data-key='610113']")).to_be_visible()
    shoot(page, f"console-statistics-region-{name}-{language}")


@pytest.mark.parametrize("name", SIZES)
def test_domains(open_page, log_in, shoot, name):
    page = open_page(SIZES[name])
    log_in(page, "steward")
    page.goto("/console/domains?institution=inst-v1")
    shoot(page, f"console-domains-{name}-zh")
    page.goto("/console/domains?code=certificate:01")
    page.locator("details summary").first.click()
    shoot(page, f"console-domain-{name}-zh")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_looking_for_a_person(open_page, log_in, shoot, name, language):
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    page.goto("/console/persons")
    shoot(page, f"console-persons-empty-{name}-{language}")
    page.locator("#p-name").fill("买买提江·阿不都热合曼·吾守尔·托合提")
    page.keyboard.press("Enter")
    expect(page.locator("table.list a").first).to_be_visible()
    shoot(page, f"console-persons-{name}-{language}")
    page.locator("table.list a").first.click()
    expect(page.locator("[data-field=name]")).to_be_visible()
