"""The console's records beyond the list: span and card filters, charts with tables, the export, the live picture."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert

from yimatong.cards.models import code_record
from yimatong.kit import alarms, clock
from yimatong.kit.ids import new_id


def sql(stage, statement: str, *values: object) -> list[Any]:
    with psycopg.connect(stage.settings.database_url) as connection:
        return connection.execute(statement, values).fetchall()


@pytest.fixture
def busy(stage, run_async: Callable[..., Any]) -> None:
    """A minute of verifications that ends now, one hospital slower than the other."""
    now = clock.now()
    rows = [
        {
            "vuid": "A" * 64, "record_id": new_id("rec"), "at": now - timedelta(seconds=1 + n % 50),
            "event": "verified", "code_kind": "dynamic", "purpose": "visit",
            "result": "CRD-2003" if n % 10 == 0 else "ok",
            "caller_id": "term-1" if n % 2 else "term-2", "institution_id": "inst-h1" if n % 2 else "inst-v1",
            "request_id": "req_live", "took_ms": 900 if n % 2 else 12,
        }
        for n in range(200)
    ]  # fmt: skip
    run_async(stage.act(lambda tx, _: tx.execute(insert(code_record), rows)))


def test_a_span_of_days_and_one_card(visitor, stage):
    visitor.log_in("clerk")
    vuid = f"{77:064X}"
    text = visitor.get(f"/console/codes?card={vuid.lower()}").text
    assert len(re.findall(r'class="number nowrap"><time', text)) == 1
    assert vuid[-4:] in text
    record = sql(stage, "SELECT record_id FROM cards_code_record WHERE vuid = %s", vuid)[0][0]
    assert visitor.get(f"/console/codes?card={record}").text.count('class="number nowrap"><time') == 1
    total = sql(stage, "SELECT count(*) FROM cards_code_record")[0][0]
    found = visitor.get(f"/console/codes/counts?day={stage.yesterday}&to={stage.today}&by=result").text
    assert f"{total:,}" in found
    assert visitor.get("/console/codes?card=A1").status_code == 422
    assert visitor.get(f"/console/codes?day={stage.today}&to={stage.yesterday}").status_code == 400
    assert visitor.get("/console/codes/counts?day=2020-01-01&to=2026-01-01").status_code == 400
    assert visitor.get("/console/codes/counts?by=name").status_code == 422


def test_every_kind_and_result_that_is_written_has_a_filter_and_a_text(visitor, stage, run_async):
    """Plastic, certificates and the forms of codes; and the refusals that ``/api/v1/identify`` records."""
    from yimatong.cards.codec import CodeKind
    from yimatong.kit.errors import catalogue
    from yimatong.web.console import records

    assert {*CodeKind, "plastic", "certificate"} < set(records.KINDS)
    assert set(records.results()) - {"ok"} < set(catalogue())
    visitor.log_in("clerk")
    for kind, result in (("plastic", "CRD-3002"), ("certificate", "CRD-1002"), ("two_in_one", "CRD-2013")):
        row = {
            "vuid": "C" * 64, "record_id": new_id("rec"), "at": clock.now(), "event": "verified", "code_kind": kind,
            "purpose": "visit", "result": result, "caller_id": "term-1", "institution_id": "inst-h1",
            "request_id": "req_kinds",
        }  # fmt: skip
        run_async(stage.act(lambda tx, _, row=row: tx.execute(insert(code_record), [row])))
        page = visitor.get(f"/console/codes?kind={kind}&result={result}")
        assert page.text.count('class="number nowrap"><time') == 1
        assert f">{kind}<" not in page.text
    assert "实体卡" in page.text
    assert "二码合一" in page.text
    assert visitor.get("/console/codes?kind=paper").status_code == 422


@pytest.mark.parametrize("by", ["hour", "day", "institution", "terminal", "purpose", "result", "kind", "event"])
def test_groups_equal_queries(visitor, stage, by):
    visitor.log_in("hospital")
    text = visitor.get(f"/console/codes/counts?day={stage.yesterday}&to={stage.today}&by={by}").text
    numbers = sorted(int(n.replace(",", "")) for n in re.findall(r'data-group="[^"]*">([\d,]+)<', text))
    field = {
        "hour": "to_char(at AT TIME ZONE 'Asia/Shanghai', 'YYYYMMDDHH24')",
        "day": "(at AT TIME ZONE 'Asia/Shanghai')::date",
        "institution": "institution_id",
        "terminal": "caller_id",
        "kind": "code_kind",
    }.get(by, by)
    asked = sql(
        stage,
        f"SELECT count(*) FROM cards_code_record WHERE institution_id = 'inst-h1' AND (at AT TIME ZONE 'Asia/Shanghai')"
        f"::date BETWEEN %s AND %s GROUP BY {field}",
        stage.yesterday,
        stage.today,
    )
    assert numbers == sorted(row[0] for row in asked)
    assert 'aria-labelledby="heat-t heat-d"' in text
    assert text.count('<table class="list tight number">') == 2


def test_the_export_is_whole_safe_and_audited(visitor, stage):
    visitor.log_in("clerk")
    answer = visitor.get("/console/codes/export?result=refused")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    asked = sql(stage, "SELECT count(*) FROM cards_code_record WHERE result <> 'ok'")[0][0]
    assert len(rows) == asked + 1 > 500
    assert not re.search(r"[0-9A-F]{64}", answer.text), "card numbers are shortened"
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    noted = sql(stage, "SELECT detail FROM kit_audit_event WHERE action = 'records:export' ORDER BY id DESC LIMIT 1")
    assert noted == [("result=refused",)]


def test_a_hospital_exports_its_own(visitor, stage):
    visitor.log_in("hospital")
    rows = list(csv.reader(io.StringIO(visitor.get("/console/codes/export").content.decode("utf-8-sig"))))[1:]
    own = sql(stage, "SELECT count(*) FROM cards_code_record WHERE institution_id = 'inst-h1'")[0][0]
    assert len(rows) == own
    assert len({row[3] for row in rows}) == 1


def test_the_live_picture(visitor, stage, busy, run_async):
    run_async(
        stage.act(
            lambda tx, _: alarms.raise_alarm(tx, kind="records-partition", subject="x", detail="y", now=clock.now())
        )
    )
    visitor.log_in("clerk")
    text = visitor.look("/console/live").text
    slowest = text[text.index('id="slowest-h"') : text.index('id="busiest-h"')]
    assert re.findall(r">(\d+) 毫秒<", slowest) == ["900", "12"]
    assert "CRD-2003" in text[text.index('id="failures-h"') : text.index('id="slowest-h"')]
    assert "<script src=" in text
    number = re.search(r'name="alarm" value="(\d+)"', text)[1]
    assert visitor.submit("/console/live/acknowledge", alarm=number).status_code == 303
    assert visitor.submit("/console/live/acknowledge", alarm=number).status_code == 409
    assert visitor.submit("/console/live/acknowledge", alarm="x").status_code == 422
    who = sql(stage, "SELECT acknowledged_by FROM kit_alarm WHERE id = %s", int(number))
    assert who[0][0].startswith("op")


def test_the_stream_sends_the_part_again_and_again(visitor, busy):
    visitor.log_in("clerk")
    seen = []
    with visitor.stream("GET", "/console/live/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("event: "):
                seen.append(line)
            if len(seen) == 2:
                break
    assert seen == ["event: pulse", "event: pulse"]
    assert 'class="tiles"' in visitor.get("/console/live/part").text


def test_the_live_picture_is_closed_to_others(visitor):
    assert visitor.get("/console/live/stream").status_code in {303, 401}
    visitor.log_in("auditor")
    assert visitor.get("/console/live").status_code == 403


def test_a_hospital_sees_its_own_picture(visitor, busy):
    visitor.log_in("hospital")
    text = visitor.get("/console/live").text
    assert "村卫生室" not in text
    assert re.findall(r">(\d+) 毫秒<", text[text.index('id="slowest-h"') : text.index('id="busiest-h"')]) == ["900"]
