"""Person page, statistics and identifier domains over HTTP."""

from __future__ import annotations

import re

import psycopg
import pytest
from index_stage import Index

REVIEWS = "/console/reviews"


def sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        cursor = connection.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def index(stage, run_async):
    sql(stage, "UPDATE empi_review SET state = 'void', decided_at = now() WHERE decided_at IS NULL")
    made = Index()
    run_async(stage.act(made.build))
    return made


def ref(stage, run_async, mpi):
    return run_async(stage.act(lambda _tx, parts: parts.vault.mpi_ref("console", mpi.hex)))


def test_person_with_provenance_merge_and_unmerge(visitor, stage, index, run_async):
    visitor.log_in("steward")
    visitor.look(f"{REVIEWS}/{index.reviews['alike']}")
    visitor.submit(f"{REVIEWS}/{index.reviews['alike']}/decide", outcome="merged")
    address = f"/console/persons/{ref(stage, run_async, index.mpis['alike.right'])}"
    page = visitor.look(address)
    shown = re.sub(r"<[^>]+>", "", page.text)
    assert page.status_code == 200
    assert "阿卜杜热合曼·买买提" in shown
    assert "医院信息系统" in shown
    assert "刷证" in shown
    assert 'data-decision="merge"' in page.text
    assert "人工" in shown
    assert str(index.mpis["alike.left"]) not in page.text
    merge_id = re.search(r'data-merge="([^"]+)"', page.text)[1]
    assert visitor.submit(f"{address}/unmerge", merge_id=merge_id, reason="wrong_person").status_code == 422
    assert visitor.submit(f"{address}/unmerge", merge_id="mrg_other", reason="twins", confirm="1").status_code == 404
    done = visitor.submit(f"{address}/unmerge", merge_id=merge_id, reason="wrong_person", confirm="1")
    assert done.status_code == 303
    states = sql(stage, "SELECT state FROM empi_person WHERE mpi = ANY(%s)",
                 [index.mpis["alike.left"], index.mpis["alike.right"]])  # fmt: skip
    assert states == [("live",), ("live",)]
    kept = sql(stage, "SELECT action FROM kit_audit_event WHERE object_id = %s", address)
    assert ("console:persons",) in kept


def test_cancel_and_restore(visitor, stage, index, run_async):
    visitor.log_in("steward")
    address = f"/console/persons/{ref(stage, run_async, index.mpis['newborn.left'])}"
    visitor.look(address)
    assert visitor.submit(f"{address}/cancel", reason="death", confirm="1").status_code == 422
    assert visitor.submit(f"{address}/cancel", reason="error", confirm="1").status_code == 303
    page = visitor.look(address)
    assert "已注销" in page.text
    assert visitor.submit(f"{address}/restore", confirm="1").status_code == 303
    assert sql(stage, "SELECT state FROM empi_person WHERE mpi = %s", index.mpis["newborn.left"]) == [("live",)]


def test_strangers_and_unknown_persons(visitor, stage, index, run_async):
    visitor.log_in("clerk")
    assert visitor.look(f"/console/persons/{ref(stage, run_async, index.mpis['alike.left'])}").status_code == 403
    visitor.log_in("steward")
    assert visitor.look(f"/console/persons/{'0' * 32}").status_code == 404
    assert visitor.look("/console/persons/nonsense").status_code in {404, 422}


def test_statistics_hide_small_cells_and_say_why(visitor, stage, index):
    visitor.log_in("steward")
    visitor.look("/console/statistics")
    page = visitor.submit("/console/statistics", group="sex", second="age10", state="live")
    assert page.status_code == 200
    assert "✱" in page.text
    assert "少于 10 人的格子不显示" in page.text
    assert "<svg" in page.text
    down = visitor.submit("/console/statistics", group="region", region_code="61", state="live")
    assert 'data-key="6101"' in down.text
    table = visitor.submit("/console/statistics", group="sex", state="live", **{"as": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    refused = visitor.submit("/console/statistics", name="张伟", group="age5", region_code="610102", state="live")
    assert refused.status_code == 422
    assert "EMP-3" in refused.text
    assert visitor.submit("/console/statistics", group="nonsense").status_code == 422


def test_domains_are_listed_made_changed_and_suspended(visitor, stage):
    visitor.log_in("steward")
    page = visitor.look("/console/domains")
    assert "certificate:01" in page.text
    assert "居民身份证" in page.text
    assert "visit-card:inst-h1:01" in visitor.look("/console/domains?institution=inst-h1").text
    made = {"code": "card:88", "kind": "card", "name_zh": "老年优待卡", "name_en": "senior card", "format": "[0-9]{8}"}
    assert visitor.submit("/console/domains", **made).status_code == 422
    assert visitor.submit("/console/domains", **made, reason="省老龄办来函").status_code == 303
    again = visitor.submit("/console/domains", **made, reason="又一次")
    assert again.status_code == 409
    page = visitor.look("/console/domains?code=card:88")
    assert "省老龄办来函" in page.text
    changed = {"code": "card:88", "version": "1", "reason": "停发", "state": "suspended"}
    assert visitor.submit("/console/domains", **changed).status_code == 303
    assert visitor.submit("/console/domains", **changed).status_code == 409
    assert sql(stage, "SELECT state, version FROM empi_identifier_domain WHERE code = 'card:88'") == [("suspended", 2)]


def test_search_shows_masks_and_leads_to_the_person(visitor, stage):
    visitor.log_in("steward")
    visitor.look("/console/persons")
    found = visitor.submit("/console/persons", name="张三丰")
    assert found.status_code == 200
    assert "张*丰" in found.text
    assert "张三丰" not in re.sub(r'value="[^"]*"', "", found.text)
    address = re.search(r'href="(/console/persons/[0-9a-f]{32})"', found.text)[1]
    assert "张三丰" in visitor.look(address).text
    visitor.look("/console/persons")
    assert "张*丰" in visitor.submit("/console/persons", phone="13800138000", name="张三风", name_match="pinyin").text
    assert "没有符合条件的记录" in visitor.submit("/console/persons", name="查无此人").text
    refused = visitor.submit("/console/persons", sex="1")
    assert refused.status_code == 422
    assert "EMP-3" in refused.text
    assert visitor.submit("/console/persons", born_from="nonsense").status_code == 422
    number = sql(stage, "SELECT count(*) FROM kit_audit_event WHERE object_id = '/console/persons'")
    assert number[0][0] >= 3


def test_a_number_of_a_domain_leads_to_its_person(visitor, stage):
    visitor.log_in("steward")
    visitor.look("/console/persons")
    known = visitor.submit("/console/persons", domain="certificate:01", number="610102198001020114")
    assert known.status_code in {200, 303}
    nobody = visitor.submit("/console/persons", domain="card:02", number="ZZZZ9999")
    assert nobody.status_code == 200
    assert "没有人登记这个号码" in nobody.text
