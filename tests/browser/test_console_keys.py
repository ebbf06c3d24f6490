"""Keys and code policies in a real browser: the other custodian approves, others look; a policy is set."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from yimatong.access import operators
from yimatong.access.ceremony.schemas import Request
from yimatong.apps.keys import ceremonies
from yimatong.kit import clock

SIZES = {"1440": {"width": 1440, "height": 900}, "390": {"width": 390, "height": 844}}
REASON = "年度轮换：依据《密钥管理制度》第十二条，由省级卡管理部门与密钥保管人双人执行"


@pytest.fixture
def propose(stage, run_async):
    async def put(request, login):
        async def verb(tx, parts):
            who = await operators.log_in(parts.db, login=login, password="Correct-Horse-7", now=clock.now())
            return await ceremonies(parts).propose(request, reason=REASON, operator=who, now=clock.now())

        return await stage.act(verb)

    return lambda request, login="custodian1": run_async(put(request, login))


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_other_custodian_approves(open_page, log_in, shoot, propose, name, language):  # noqa: PLR0917 -- fixtures
    rotation = propose(Request(action="rotate", usage="protection", emergency=True))
    backup = propose(Request(action="backup", parts=3), "custodian2")
    page = open_page(SIZES[name], language=language)
    log_in(page, "custodian2")
    page.goto("/console/keys")
    row = page.locator(f"[data-proposal='{rotation}']")
    own = page.locator(f"[data-proposal='{backup}']")
    expect(row.locator("form")).to_have_count(2)
    expect(own.locator("form")).to_have_count(0)
    shoot(page, f"console-keys-{name}-{language}")
    row.locator("form[action$='/approve'] button").click()
    expect(row).to_have_count(0)
    expect(page.locator("table").last.locator("tbody tr")).not_to_have_count(0)
    looking = open_page(SIZES[name], language=language)
    log_in(looking, "security")
    looking.goto("/console/keys")
    expect(looking.locator(f"[data-proposal='{backup}']")).to_be_visible()
    expect(looking.locator("form[action^='/console/keys']")).to_have_count(0)
    shoot(looking, f"console-keys-done-{name}-{language}")


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_policy_is_set_and_taken_back(open_page, log_in, shoot, name, language):
    page = open_page(SIZES[name], language=language, quiet=False)
    log_in(page, "system")
    page.goto("/console/policies")
    shoot(page, f"console-policies-empty-{name}-{language}")
    page.locator("#p-subject").fill("inst-v1")
    page.locator("#p-ttl_visit_s").fill("5")
    page.locator("button[value='put']").click()
    expect(page.locator(".note.bad")).to_contain_text("CRD-")
    page.locator("#p-ttl_visit_s").fill("300")
    page.locator("#p-uses").fill("3")
    page.locator("input[name='purposes'][value='payment']").uncheck()
    page.locator("button[value='put']").click()
    expect(page.locator("table.list tbody tr").first).to_contain_text("300")
    expect(page.locator("#p-ttl_visit_s")).to_have_value("300")
    expect(page.locator("input[name='purposes'][value='payment']")).not_to_be_checked()
    shoot(page, f"console-policies-{name}-{language}")
    clerk = open_page(SIZES[name], language=language)
    log_in(clerk, "clerk")
    clerk.goto("/console/policies")
    expect(clerk.locator("table.list")).to_be_visible()
    expect(clerk.locator("form[action='/console/policies']")).to_have_count(0)
    page.locator("button[value='remove']").click()
    expect(page.locator("table.list")).to_have_count(0)
