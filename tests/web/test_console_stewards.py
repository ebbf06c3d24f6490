"""The steward's desk over HTTP: queue, one review, every verb, undo, who works on it, the second look, metrics."""

from __future__ import annotations

import re

import psycopg
import pytest
from index_stage import VILLAGE, Index, drawn, many

from yimatong.access import operators
from yimatong.kit import clock

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


@pytest.fixture(scope="module")
def judges(stage, run_async):
    async def add(tx, _parts):
        await operators.add(
            tx, login="steward3", name="村主管", roles=frozenset({"steward"}), password="Correct-Horse-7",
            institution_id=VILLAGE, now=clock.now(),
        )  # fmt: skip

    run_async(stage.act(add))


def state(stage, review_id):
    return sql(stage, "SELECT state FROM empi_review WHERE review_id = %s", review_id)[0][0]


def decide(visitor, review_id, outcome, **more):
    visitor.look(f"{REVIEWS}/{review_id}")
    return visitor.submit(f"{REVIEWS}/{review_id}/decide", outcome=outcome, **more)


def test_queue_shows_masks_the_riskiest_first_and_leaves_an_audit_row(visitor, stage, index):
    visitor.log_in("steward")
    page = visitor.look(REVIEWS)
    assert page.status_code == 200
    order = re.findall(r'data-review="([^"]+)"', page.text)
    assert order[0] == index.reviews["twins"]
    assert set(order) == set(index.reviews.values())
    assert "王小明" not in page.text
    assert "王*明" in page.text
    assert "疑似双胞胎" in page.text
    rows = sql(stage, "SELECT object_id FROM kit_audit_event WHERE action = 'console:reviews' ORDER BY id DESC LIMIT 1")
    assert rows[0][0] == REVIEWS


def test_filters_and_an_unknown_one(visitor, stage, index):
    visitor.log_in("steward")
    by_place = visitor.look(f"{REVIEWS}?institution={VILLAGE}")
    assert re.findall(r'data-review="([^"]+)"', by_place.text) == [index.reviews["alike"]]
    by_kind = visitor.look(f"{REVIEWS}?kind=cluster_conflict")
    assert re.findall(r'data-review="([^"]+)"', by_kind.text) == [index.reviews["twins"]]
    assert visitor.look(f"{REVIEWS}?kind=nonsense").status_code == 422
    assert visitor.look(f"{REVIEWS}?after=nonsense").status_code == 422
    assert "没有符合条件的记录" in visitor.look(f"{REVIEWS}?state=asked").text


def test_only_stewards_and_only_their_institution(visitor, stage, index, judges):
    visitor.log_in("clerk")
    assert visitor.look(REVIEWS).status_code == 403
    visitor.log_in("steward3")
    assert re.findall(r'data-review="([^"]+)"', visitor.look(REVIEWS).text) == [index.reviews["alike"]]
    assert visitor.look(f"{REVIEWS}/{index.reviews['twins']}").status_code == 404
    visitor.look(REVIEWS)
    assert visitor.submit(f"{REVIEWS}/{index.reviews['twins']}/decide", outcome="rejected").status_code == 404


def test_a_review_shows_both_whole_with_differences_evidence_and_provenance(visitor, stage, index):
    visitor.log_in("steward")
    text = visitor.look(f"{REVIEWS}/{index.reviews['alike']}").text
    shown = re.sub(r"<[^>]+>", "", text)
    assert "阿卜杜热合曼·买买提" in shown
    assert "阿布都热合曼·买买提" in shown
    assert '<mark class="differs">' in text
    assert re.search(r'data-field="name" data-standing="differs"', text)
    assert re.search(r'data-field="birth_date" data-standing="same"', text)
    assert "姓名：同音字" in shown
    assert "+4.1" in shown
    assert "证件号（未通过校验）" in shown
    assert "医院信息系统" in shown
    assert "刷证" in shown
    assert "另有 1 种说法" in shown
    assert index.mpis["alike.left"].hex not in text
    assert str(index.mpis["alike.left"]) not in text


def test_twins_are_not_merged_by_one_key(visitor, stage, index):
    visitor.log_in("steward")
    review_id = index.reviews["twins"]
    page = visitor.look(f"{REVIEWS}/{review_id}")
    assert "疑似双胞胎" in page.text
    assert "两个不同的有效证件号" in page.text
    assert 'name="seen" value="two_certificates" required' in page.text
    refused = visitor.submit(f"{REVIEWS}/{review_id}/decide", outcome="merged")
    assert refused.status_code == 409
    assert "EMP-4001" in refused.text
    assert state(stage, review_id) == "open"
    assert decide(visitor, review_id, "twins").status_code == 303
    assert state(stage, review_id) == "rejected"
    reason = sql(stage, "SELECT reason FROM empi_review JOIN empi_decision USING (decision_id) WHERE review_id = %s",
                 review_id)  # fmt: skip
    assert reason == [("twins",)]


def test_merge_leads_to_the_next_and_is_taken_back(visitor, stage, index):
    visitor.log_in("steward")
    review_id = index.reviews["alike"]
    done = decide(visitor, review_id, "merged")
    assert done.status_code == 303
    assert state(stage, review_id) == "merged"
    following = visitor.get(done.headers["location"])
    assert following.status_code == 303
    assert following.headers["location"].startswith(f"{REVIEWS}/{index.reviews['twins']}")
    page = visitor.look(following.headers["location"])
    assert f"{REVIEWS}/{review_id}/undo" in page.text
    merged = visitor.look(f"{REVIEWS}/{review_id}").text
    assert "阿布都热合曼·买买提" in re.sub(r"<[^>]+>", "", merged)
    assert 'name="outcome"' not in merged
    assert decide(visitor, review_id, "rejected").status_code == 409
    assert visitor.submit(f"{REVIEWS}/{review_id}/undo").status_code == 303
    assert state(stage, review_id) == "open"
    states = sql(stage, "SELECT state FROM empi_person WHERE mpi = ANY(%s)",
                 [index.mpis["alike.left"], index.mpis["alike.right"]])  # fmt: skip
    assert states == [("live",), ("live",)]
    assert "撤销判定" in visitor.look(f"{REVIEWS}/{review_id}").text


def test_later_asked_and_notes(visitor, stage, index):
    visitor.log_in("steward")
    assert decide(visitor, index.reviews["newborn"], "tomorrow", note="等出生医学证明").status_code == 303
    assert index.reviews["newborn"] not in visitor.look(REVIEWS).text
    assert index.reviews["newborn"] in visitor.look(f"{REVIEWS}?state=later").text
    assert "等出生医学证明" in visitor.look(f"{REVIEWS}/{index.reviews['newborn']}").text
    assert visitor.submit(f"{REVIEWS}/{index.reviews['newborn']}/undo").status_code == 303
    assert index.reviews["newborn"] in visitor.look(REVIEWS).text
    notes = sql(stage, "SELECT note_sealed FROM empi_review_step WHERE note_sealed IS NOT NULL")
    assert all("等出生".encode() not in bytes(note) for (note,) in notes)
    assert decide(visitor, index.reviews["alike"], "asked", ask="app-1").status_code == 422
    assert decide(visitor, index.reviews["alike"], "asked", ask="term-2", note="请核对原件").status_code == 303
    assert state(stage, index.reviews["alike"]) == "asked"
    assert sql(stage, "SELECT institution_id FROM empi_review WHERE review_id = %s", index.reviews["alike"]) == [
        (VILLAGE,)
    ]
    assert decide(visitor, index.reviews["twins"], "noted", note="待看").status_code == 303
    assert state(stage, index.reviews["twins"]) == "open"
    assert decide(visitor, index.reviews["twins"], "nonsense").status_code == 422


def test_somebody_else_works_on_it(visitor, stage, index, judges):
    review_id = index.reviews["alike"]
    visitor.log_in("steward")
    visitor.look(f"{REVIEWS}/{review_id}")
    visitor.log_in("steward2")
    page = visitor.look(f"{REVIEWS}/{review_id}")
    assert "孙主管 正在处理这条记录" in page.text
    assert 'name="outcome"' not in page.text
    assert visitor.submit(f"{REVIEWS}/{review_id}/decide", outcome="rejected").status_code == 409
    following = visitor.get(f"{REVIEWS}/next?institution={VILLAGE}")
    assert following.headers["location"].startswith(f"{REVIEWS}?")
    assert visitor.submit(f"{REVIEWS}/{review_id}/take").status_code == 303
    assert 'name="outcome"' in visitor.look(f"{REVIEWS}/{review_id}").text
    visitor.log_in("steward")
    sql(stage, "UPDATE empi_review_step SET at = at - interval '11 minutes' WHERE review_id = %s", review_id)
    assert 'name="outcome"' in visitor.look(f"{REVIEWS}/{review_id}").text


def test_second_look_sees_no_answer(visitor, stage, index, judges, run_async):
    visitor.log_in("steward")
    review_id = index.reviews["alike"]
    decide(visitor, review_id, "merged", note="电话核实过")
    first = sql(stage, "SELECT operator_id FROM access_operator WHERE login = 'steward'")[0][0]
    sql(stage, "DELETE FROM empi_double_check WHERE review_id = %s", review_id)
    run_async(stage.act(lambda tx, _: drawn(tx, review_id, first=first, outcome="merged")))
    assert review_id not in visitor.look("/console/double-checks").text
    assert visitor.look(f"/console/double-checks/{review_id}").status_code == 404
    visitor.log_in("steward2")
    assert review_id in visitor.look("/console/double-checks").text
    page = visitor.look(f"/console/double-checks/{review_id}")
    shown = re.sub(r"<[^>]+>", "", page.text)
    assert "阿卜杜热合曼·买买提" in shown
    assert "阿布都热合曼·买买提" in shown
    for told in ("已合并", "电话核实过", "孙主管", "判定合并"):
        assert told not in shown
    assert visitor.submit(f"/console/double-checks/{review_id}", outcome="merged").status_code == 303
    assert visitor.look(f"/console/double-checks/{review_id}").status_code == 404
    assert state(stage, review_id) == "merged"
    numbers = visitor.look(f"{REVIEWS}/metrics")
    assert re.search(r'data-number="agreement">100\.0 %', numbers.text)


def test_metrics_as_page_and_table(visitor, stage, index):
    visitor.log_in("steward")
    decide(visitor, index.reviews["alike"], "rejected")
    page = visitor.look(f"{REVIEWS}/metrics?days=7")
    assert page.status_code == 200
    assert "孙主管" in page.text
    assert re.search(r'data-number="waiting">2<', page.text)
    table = visitor.look(f"{REVIEWS}/metrics.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert "孙主管" in table.content.decode("utf-8-sig")


def test_ten_thousand_rows_are_paged(visitor, stage, index, run_async):
    run_async(stage.act(lambda tx, parts: many(tx, parts, rows=10_000)))
    visitor.log_in("steward")
    seen, address, pages = [], REVIEWS, 0
    while address and pages < 4:
        page = visitor.look(address)
        seen += re.findall(r'data-review="([^"]+)"', page.text)
        found = re.search(r'rel="next" href="([^"]+)"', page.text)
        address, pages = found[1].replace("&amp;", "&") if found else "", pages + 1
    assert len(seen) == len(set(seen)) == 200
    risks = [sql(stage, "SELECT risk FROM empi_review WHERE review_id = %s", each)[0][0] for each in seen[::20]]
    assert risks == sorted(risks, reverse=True)
    counts = visitor.look(f"{REVIEWS}/counts").text
    assert re.search(r'data-number="waiting">10,003<', counts)
    sql(stage, "DELETE FROM empi_review WHERE review_id LIKE 'rev_many%%'")
