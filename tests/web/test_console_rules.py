"""Rules and models of matching over HTTP: draft, dry run, difference, proposal, another's approval, progress, pairs."""

from __future__ import annotations

import re

import psycopg
import pytest
from index_stage import Index
from rules_stage import LONG_NOTE, made_up, trained, work

RULES = "/console/rules"
FORM = {"model": "0", "link": "14", "review": "2", "note": "试点抽查后提高阈值"}


def sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


def shown(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.text))


@pytest.fixture(autouse=True)
def no_rules(stage):
    sql(stage, "DELETE FROM empi_dry_run")
    sql(stage, "DELETE FROM empi_rule_set")
    sql(stage, "DELETE FROM empi_match_model")


@pytest.fixture
def index(stage, run_async):
    sql(stage, "UPDATE empi_review SET state = 'void', decided_at = now() WHERE decided_at IS NULL")
    made = Index()
    run_async(stage.act(made.build))
    return made


def drafted(visitor, **more):
    visitor.look(f"{RULES}/draft")
    done = visitor.submit(RULES, **(FORM | more))
    assert done.status_code == 303, done.text
    return done.headers["location"]


def tried(visitor, stage, run_async, place):
    visitor.look(place)
    assert visitor.submit(f"{place}/try").status_code == 303
    (run,) = sql(stage, "SELECT run_id FROM empi_dry_run WHERE state = 'waiting'")
    run_async(work(stage, run[0]))
    return run[0]


def test_without_rules_of_its_own_the_shipped_ones_are_shown(visitor, stage):
    visitor.log_in("steward")
    page = visitor.look(RULES)
    assert page.status_code == 200
    assert "产品自带规则" in page.text
    assert "还没有自己的规则版本" in page.text
    assert "10 比特" in page.text
    assert "约每 1,025 对有 1 对不是同一人" in page.text
    assert "about 1 pair in 1,025 is two persons" in visitor.look(f"{RULES}?lang=en").text


def test_from_a_draft_to_rules_in_force_by_two_persons(visitor, stage, index, run_async):
    visitor.log_in("steward")
    place = drafted(visitor, link="5", note=LONG_NOTE, **{"order.phone": "newest"})
    page = visitor.look(place)
    text = shown(page)
    assert LONG_NOTE in text
    assert "电话" in text
    assert "最新者优先" in text
    assert "试运行完成后才能提交批准" in text
    assert visitor.submit(f"{place}/propose", reason="先").status_code == 409
    tried(visitor, stage, run_async, place)
    page = visitor.look(place)
    assert 'data-run="done"' in page.text
    persons = sql(stage, "SELECT count(*) FROM empi_person WHERE state = 'live'")[0][0]
    assert f"共评估 {persons} 人" in page.text
    assert visitor.submit(f"{place}/propose", reason="").status_code == 422
    assert visitor.submit(f"{place}/propose", reason="三所医院抽查无误并").status_code == 303
    page = visitor.look(place)
    assert "须由另一位数据管理员或审核员批准" in page.text
    assert 'value="approve"' not in page.text
    refused = visitor.submit(f"{place}/decide", outcome="approve", seen="1")
    assert (refused.status_code, "ACC-" in refused.text) == (403, True)
    visitor.log_in("reviewer")
    page = visitor.look(place)
    assert "三所医院抽查无误并" in page.text
    assert "以此版本新建草稿" not in page.text
    assert visitor.submit(f"{place}/decide", outcome="approve").status_code == 422  # not seen
    assert visitor.submit(f"{place}/decide", outcome="approve", seen="1").status_code == 303
    page = visitor.look(place)
    assert 'data-state="active"' in page.text
    assert 'data-run="waiting"' in page.text
    assert 'hx-trigger="every 1s"' in page.text
    assert "等待比对的居民" in page.text
    (run,) = sql(stage, "SELECT run_id FROM empi_dry_run WHERE kind = 'apply'")[0]
    run_async(work(stage, run))
    part = visitor.get(place, headers={"hx-request": "true"})
    assert "<html" not in part.text
    assert "hx-trigger" not in part.text
    waiting = sql(stage, "SELECT count(*) FROM empi_person WHERE compared_at IS NULL AND state = 'live'")[0][0]
    assert f'data-number="to_compare">{waiting:,}<' in part.text
    told = dict(sql(stage, "SELECT action, object_id FROM kit_audit_event WHERE action ~ '^matching-rules:'"))
    version = place.rsplit("/", 1)[1]
    assert told == {f"matching-rules:{what}": version for what in ("draft", "try", "propose", "approve")}


def test_a_proposal_that_is_sent_back_is_a_draft_again(visitor, stage, run_async):
    visitor.log_in("steward")
    place = drafted(visitor)
    tried(visitor, stage, run_async, place)
    visitor.submit(f"{place}/propose", reason="请批准")
    visitor.log_in("steward2")
    visitor.look(place)
    assert visitor.submit(f"{place}/decide", outcome="reject").status_code == 303
    page = visitor.look(place)
    assert 'data-state="draft"' in page.text
    assert "已退回" in page.text
    assert "周复核" in page.text


def test_what_is_wrong_is_told_and_what_was_typed_stays(visitor, stage):
    visitor.log_in("steward")
    visitor.look(f"{RULES}/draft")
    for wrong, code in (
        ({"link": "1", "review": "2"}, "EMP-5003"),
        ({"link": "nan"}, "KIT-1001"),
        ({"link": "1e5"}, "KIT-1001"),
        ({"review": "-41"}, "KIT-1001"),
        ({"model": "77"}, "EMP-5008"),
        ({"model": "99999999999"}, "KIT-1001"),
        ({"note": ""}, "KIT-1001"),
        ({"note": "长" * 501}, "KIT-1001"),
        ({"order.phone": "kept"}, "KIT-1001"),
        ({"trust_provider": "nobody", "trust_value": "3"}, "KIT-1001"),
        ({"trust_provider": "his-1", "trust_value": "101"}, "KIT-1001"),
        ({"trust_provider": "his-1", "trust_value": "²"}, "KIT-1001"),
        ({"trust_provider": "his-1"}, "KIT-1001"),
    ):
        refused = visitor.submit(RULES, **({"note": "留着这句话"} | FORM | {"note": "留着这句话"} | wrong))
        assert refused.status_code in {400, 404, 422}, wrong
        assert code in refused.text, wrong
        if "note" not in wrong:
            assert "留着这句话" in refused.text
    assert sql(stage, "SELECT count(*) FROM empi_rule_set") == [(0,)]
    for address in ("0", "abc", "99999999999", "7"):
        assert visitor.look(f"{RULES}/{address}").status_code in {404, 422}, address
    assert visitor.look(f"{RULES}/draft?from=x").status_code == 422


def test_orders_and_trust_are_kept_and_a_draft_starts_from_any_version(visitor, stage, run_async):
    visitor.log_in("steward")
    place = drafted(visitor, trust_provider="his-1", trust_value="7", **{"order.address": "residents"})
    version = place.rsplit("/", 1)[1]
    body = sql(stage, "SELECT body->'survivorship' FROM empi_rule_set")[0][0]
    assert body == {"fields": {"address": ["registered", "trust", "newest"]}, "trust": {"his-1": 7}}
    strange = '{"survivorship": {"fields": {"phone": ["oldest", "level"]}}, "thresholds": {"link": 14, "review": 2}}'
    sql(stage, "UPDATE empi_rule_set SET body = %s::jsonb", strange)
    form = visitor.look(f"{RULES}/draft?from={version}")
    assert 'value="kept" selected' in form.text
    again = visitor.submit(RULES, start=version, **(FORM | {"order.phone": "kept", "link": "15"}))
    assert again.status_code == 303
    kept = sql(stage, "SELECT body#>>'{survivorship,fields,phone}' FROM empi_rule_set ORDER BY version DESC LIMIT 1")
    assert kept == [('["oldest", "level"]',)]


def test_who_may_do_what(visitor, stage):
    visitor.log_in("steward")
    place = drafted(visitor)
    visitor.log_in("reviewer")
    visitor.look(place)
    assert visitor.submit(f"{place}/try").status_code == 403
    assert visitor.submit(RULES, **FORM).status_code == 403
    visitor.log_in("hospital-steward")
    assert visitor.look(place).status_code == 200
    assert "试运行</button>" not in visitor.look(place).text
    assert visitor.look(f"{RULES}/draft").status_code == 403
    visitor.look(RULES)
    for path in (RULES, f"{place}/try", f"{place}/propose", f"{place}/decide"):
        assert visitor.submit(path, **FORM, outcome="reject", reason="x").status_code == 403, path
    visitor.log_in("clerk")
    assert visitor.look(RULES).status_code == 403


def test_a_sample_pair_is_shown_side_by_side_with_both_judgements(visitor, stage, index, run_async):
    visitor.log_in("steward")
    place = drafted(visitor, link="40", review="-30")
    version = int(place.rsplit("/", 1)[1])
    pair = (index.mpis["twins.left"], index.mpis["twins.right"])
    run = run_async(stage.act(lambda tx, _: made_up(tx, version, [pair])))
    page = visitor.look(place)
    assert "12,408" in page.text
    assert page.text.count(f"{place}/{run}/merge/") == 200
    assert pair[0].hex not in page.text
    page = visitor.look(f"{place}/{run}/merge/1")
    text = shown(page)
    assert page.status_code == 200
    assert "王小明" in text
    assert "王小亮" in text
    assert 'data-verdict="then"' in page.text
    assert "送人工审核" in text
    assert 'data-comparison="household"' in page.text
    assert "两条记录现在是同一个居民" not in text
    assert sql(stage, "SELECT count(*) FROM kit_audit_event WHERE object_id = %s", f"{place}/{run}/merge/1") == [(1,)]
    for wrong in (f"{run}/merge/201", f"{run}/merge/0", f"{run}/nonsense/1", "run_other/merge/1"):
        assert visitor.look(f"{place}/{wrong}").status_code in {404, 422}, wrong
    other = drafted(visitor, link="41", review="-30")
    assert visitor.look(f"{other}/{run}/merge/1").status_code == 404
    assert visitor.look(f"{other}?run={run}").status_code == 404
    visitor.log_in("hospital-steward")
    assert visitor.look(f"{place}/{run}/merge/1").status_code == 403
    assert f"{place}/{run}/merge/" not in visitor.look(place).text


def test_a_pair_that_was_merged_shows_what_each_brought(visitor, stage, index, run_async):
    visitor.log_in("steward")
    visitor.look(f"/console/reviews/{index.reviews['alike']}")
    visitor.submit(f"/console/reviews/{index.reviews['alike']}/decide", outcome="merged")
    place = drafted(visitor, link="70", review="0")
    pair = (index.mpis["alike.left"], index.mpis["alike.right"])
    run = run_async(stage.act(lambda tx, _: made_up(tx, int(place.rsplit("/", 1)[1]), [pair])))
    page = visitor.look(f"{place}/{run}/split/1")
    assert "两条记录现在是同一个居民" in page.text
    assert "阿布都热合曼·买买提" in shown(page)
    assert 'data-comparison="name"' in page.text


def test_progress_is_told_in_words_and_a_failed_run_by_its_code(visitor, stage, run_async):
    visitor.log_in("steward")
    place = drafted(visitor)
    version = int(place.rsplit("/", 1)[1])
    half = {"state": "running", "stage": "prepare", "rows_done": 500_000, "rows_total": 1_000_000, "result": None}
    run_async(stage.act(lambda tx, _: made_up(tx, version, [], ended_at=None, **half)))
    part = visitor.get(place, headers={"hx-request": "true"}).text
    assert 'aria-valuenow="25"' in part
    assert "读取并整理居民档案" in part
    assert "500,000 / 1,000,000 人" in part
    assert "Read and prepare the records" in visitor.get(f"{place}?lang=en", headers={"hx-request": "true"}).text
    assert "25 %" in visitor.look(f"{RULES}?lang=zh").text
    sql(stage, "UPDATE empi_dry_run SET stage = 'cluster'")
    later = visitor.get(place, headers={"hx-request": "true"}).text
    assert int(re.search(r'aria-valuenow="(\d+)"', later)[1]) > 80
    sql(stage, "UPDATE empi_dry_run SET state = 'failed', stage = 'EMP-5004 内存不足', ended_at = now()")
    failed = visitor.look(place)
    assert "EMP-5004 内存不足" in failed.text
    assert "没有改动任何数据" in failed.text
    assert "再次试运行" in failed.text
    assert f"{place}/propose" not in failed.text


def test_models_are_listed_and_explained_in_both_languages(visitor, stage, run_async):
    visitor.log_in("steward")
    assert "还没有训练自己的模型" in visitor.look("/console/rule-models").text
    version = run_async(stage.act(trained))
    listed = visitor.look("/console/rule-models").text
    assert f"/console/rule-models/{version}" in listed
    assert "1,204,331" in listed
    page = visitor.look(f"/console/rule-models/{version}")
    assert "有 2 个级别在训练数据中没有出现过" in page.text
    assert page.text.count("训练数据中没有出现过：权重沿用") == 2
    assert "证件有效且相同" in page.text or "证件号有效且相同" in page.text
    assert "valid and the same" in page.text  # both languages stand beside each other
    assert 'class="step"' in page.text
    assert "同一人的记录对中占" in page.text
    english = visitor.look(f"/console/rule-models/{version}?lang=en").text
    assert "of pairs of one person" in english
    shipped = visitor.look("/console/rule-models/0?lang=zh").text
    assert "随产品提供" in shipped
    assert visitor.look("/console/rule-models/7777").status_code == 404
    assert visitor.look("/console/rule-models/-1").status_code in {404, 422}
    form = visitor.look(f"{RULES}/draft?model={version}").text
    assert 'name="link" type="text"' in form
    assert 'value="11.5"' in form
    assert visitor.look(f"{RULES}/draft?model=7777").status_code == 404


def test_a_model_that_does_not_fit_this_release_is_told_by_its_code(visitor, stage, run_async):
    visitor.log_in("steward")
    version = run_async(stage.act(trained))
    sql(stage, "UPDATE empi_match_model SET body = jsonb_set(body, '{prior}', '7')")
    refused = visitor.look(f"/console/rule-models/{version}")
    assert refused.status_code < 500
    assert "EMP-5002" in refused.text


def test_errors_of_rules_have_a_page(visitor, stage):
    visitor.log_in("steward")
    place = drafted(visitor)
    visitor.look(place)
    assert visitor.submit(f"{place}/try").status_code == 303
    again = visitor.submit(f"{place}/try")
    assert (again.status_code, "EMP-5105" in again.text) == (409, True)
