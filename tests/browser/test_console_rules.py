"""Rules and models of matching in a real browser: an empty list, a draft, a dry run under way, 200 pairs, approval."""

from __future__ import annotations

import asyncio
import threading

import psycopg
import pytest
from index_stage import Index
from playwright.sync_api import expect
from rules_stage import LONG_NOTE, made_up, trained

RULES = "/console/rules"
SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
sized = pytest.mark.parametrize("name", SIZES)
spoken = pytest.mark.parametrize("language", ["zh", "en"])


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


def sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        connection.execute(query, values)


@pytest.fixture(scope="module")
def index(stage):
    made = Index()
    beside(stage.act(made.build))
    return made


@pytest.fixture(autouse=True)
def no_rules(stage):
    for table in ("empi_dry_run", "empi_rule_set", "empi_match_model"):
        sql(stage, f"DELETE FROM {table}")


def drafted(page, *, link="14", note=LONG_NOTE):
    """Fill in the form as a person does, the slider once; return the address of the draft and its version."""
    page.goto(f"{RULES}/draft")
    page.locator("#r-link").fill(link)
    page.locator("#r-order-phone").select_option("newest")
    page.locator("input[name=trust_provider]").first.fill("his-1")
    page.locator("input[name=trust_value]").first.fill("5")
    page.locator("#r-note").fill(note)
    page.locator("form[action='/console/rules'] button").click()
    expect(page.locator("#run")).to_be_attached()
    place = page.url.split("?")[0]
    return place, int(place.rsplit("/", 1)[1])


@sized
@spoken
def test_the_empty_list_and_the_form(open_page, log_in, shoot, name, language):
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    page.goto(RULES)
    shoot(page, f"console-rules-empty-{name}-{language}")
    page.goto(f"{RULES}/draft")
    slider = page.locator("[data-threshold=link] input[type=range]")
    expect(slider).to_be_visible()
    slider.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#r-link")).to_have_value("10.5")
    output = page.locator("[data-threshold=link] output")
    expect(output).to_contain_text("1,449")
    page.locator("#r-link").fill("-3")
    expect(output).to_contain_text("11.11 %")
    page.locator("#r-link").fill("x")
    expect(output).to_have_text("—")
    page.locator("#r-link").fill("14")
    shoot(page, f"console-rules-draft-{name}-{language}")


@sized
@spoken
def test_a_run_under_way_its_end_and_two_hundred_pairs(open_page, stage, index, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures by name
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    place, version = drafted(page)
    shoot(page, f"console-rules-set-draft-{name}-{language}")
    moving = {"state": "running", "stage": "prepare", "rows_done": 402_118, "rows_total": 1_204_331, "ended_at": None}
    pair = (index.mpis["twins.left"], index.mpis["twins.right"])
    beside(stage.act(lambda tx, _: made_up(tx, version, [pair], **moving, result=None)))
    page.goto(place)
    expect(page.locator("[role=progressbar]")).to_have_attribute("aria-valuenow", "16")
    shoot(page, f"console-rules-moving-{name}-{language}")
    sql(stage, "UPDATE empi_dry_run SET stage = 'cluster'")
    expect(page.locator("[role=progressbar]")).to_have_attribute("aria-valuenow", "85")
    page.goto(RULES)  # what is shown no longer asks for the run that goes away
    sql(stage, "DELETE FROM empi_dry_run")
    beside(stage.act(lambda tx, _: made_up(tx, version, [pair])))
    page.goto(place)
    expect(page.locator("[data-number=merge]")).to_contain_text("12,408")
    page.locator("#samples-merge summary").click()
    shoot(page, f"console-rules-difference-{name}-{language}")
    page.locator("#samples-merge a").first.click()
    expect(page.locator("[data-verdict=then]")).to_be_visible()
    shoot(page, f"console-rules-pair-{name}-{language}")


@sized
@spoken
def test_proposed_by_one_and_approved_by_another(open_page, stage, index, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures by name
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    place, version = drafted(page)
    pair = (index.mpis["twins.left"], index.mpis["twins.right"])
    beside(stage.act(lambda tx, _: made_up(tx, version, [pair])))
    page.goto(place)
    page.locator("#p-reason").fill(LONG_NOTE)
    page.locator("form[action$='/propose'] button").click()
    expect(page.locator("[data-state=proposed]")).to_be_visible()
    expect(page.locator("[name=outcome]")).to_have_count(0)
    shoot(page, f"console-rules-own-proposal-{name}-{language}")
    other = open_page(SIZES[name], language=language)
    log_in(other, "reviewer")
    other.goto(place)
    shoot(other, f"console-rules-approve-{name}-{language}")
    other.locator("[name=seen]").check()
    other.locator("[value=approve]").click()
    expect(other.locator("[data-state=active]")).to_be_visible()
    shoot(other, f"console-rules-applying-{name}-{language}")
    other.goto(RULES)
    shoot(other, f"console-rules-list-{name}-{language}")


@sized
@spoken
def test_models(open_page, stage, log_in, shoot, name, language):  # noqa: PLR0917 -- fixtures by name
    page = open_page(SIZES[name], language=language)
    log_in(page, "steward")
    version = beside(stage.act(trained))
    page.goto("/console/rule-models")
    shoot(page, f"console-rule-models-{name}-{language}")
    page.goto(f"/console/rule-models/{version}")
    expect(page.locator("[data-comparison=name] svg.step").first).to_be_visible()
    shoot(page, f"console-rule-model-{name}-{language}")
