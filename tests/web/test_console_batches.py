"""Batches in the console: a file is uploaded, tried, imported, its refused rows downloaded; coverage of the list."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import assemble
from yimatong.cards.batches import service
from yimatong.kit import clock

sys.path.insert(0, str(Path(__file__).parents[1]))
from core_world import make_resident

HEADING = "姓名,身份证号,联系电话\n"


def _line(person) -> str:
    return f"{person.name},{person.id_number},{person.phone}\n"


def _upload(visitor, text: str, **form: str):
    visitor.look("/console/batches")
    files = {"file": ("名单.csv", text.encode("gb18030"), "text/csv")}
    return visitor.post(
        "/console/batches", data={"form_token": visitor.token, "kind": "residents", **form}, files=files
    )


@pytest.fixture
def work(stage, run_async):
    """Do what the worker does with a batch."""

    def go(batch_id: str, verb: str) -> None:
        async def inside() -> None:
            parts = assemble(stage.settings)
            try:
                if verb == "check":
                    say = {"scope": PLATFORM, "now": clock.now(), "say": lambda _rows: None}
                    await service.check(parts.db, parts.vault, batch_id, **say)
                else:
                    await service.run(parts.db, parts.vault, batch_id, clock=clock.now)
            finally:
                await parts.close()

        run_async(inside())

    return go


def test_upload_try_import_report_coverage(visitor, work):
    visitor.log_in("clerk")
    people = [make_resident() for _ in range(3)]
    broken = make_resident(name="李5")
    sent = _upload(visitor, HEADING + "".join(map(_line, [*people, broken])), tag="贫困人口")
    assert sent.status_code == 303, sent.text
    place = sent.headers["location"]
    batch_id = place.rsplit("/", 1)[1]
    shown = visitor.look(place).text
    assert 'data-state="received"' in shown
    assert "gb18030" in shown

    tried = visitor.submit(f"{place}/check")
    assert tried.headers["location"] == f"{place}?checking=1"
    assert "hx-trigger" in visitor.get(tried.headers["location"]).text
    work(batch_id, "check")
    shown = visitor.look(tried.headers["location"]).text
    assert "hx-trigger" not in shown
    assert re.findall(r'data-number="(\w+)">([^<]*)<', shown) == [("opened", "3"), ("known", "0"), ("bad", "1")]

    assert visitor.submit(f"{place}/start").status_code == 303
    assert 'data-state="running"' in visitor.look(place).text
    assert visitor.submit(f"{place}/stop").status_code == 303
    assert 'data-state="stopped"' in visitor.look(place).text
    visitor.submit(f"{place}/start")
    work(batch_id, "run")
    assert 'data-state="done"' in visitor.look(place).text
    assert visitor.submit(f"{place}/start").status_code == 303
    assert 'data-state="done"' in visitor.look(place).text

    report = visitor.get(f"{place}/report.csv")
    assert report.headers["content-type"].startswith("text/csv")
    lines = report.content.decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("5,")
    assert broken.id_number not in lines[1]

    covered = visitor.get("/console/coverage?tag=贫困人口").text
    assert people[0].id_number[:6] in covered
    table = visitor.get("/console/coverage?tag=贫困人口&as=csv").content.decode("utf-8-sig").splitlines()
    rows = [line.split(",") for line in table[1:]]
    assert sum(int(row[2]) for row in rows) == 4
    assert sum(int(row[3]) for row in rows) == 3


def test_a_file_that_cannot_be_taken_in_is_told_why(visitor):
    visitor.log_in("clerk")
    missing = _upload(visitor, "姓名,联系电话\n张三,13800138000\n")
    assert missing.status_code == 422
    assert "CRD-4002" in missing.text
    assert "证件号码" in missing.text
    empty = _upload(visitor, HEADING)
    assert "CRD-4003" in empty.text
    named = _upload(
        visitor, "户主,公民号码,电话\n张三丰,11010519491231002X,13800138000\n", map="name=户主\nid_number=公民号码"
    )
    assert named.status_code == 303


def test_a_hospital_sees_its_own_batches_only(visitor):
    visitor.log_in("clerk")
    own = _upload(visitor, HEADING + _line(make_resident())).headers["location"]
    visitor.cookies.clear()
    visitor.log_in("hospital")
    assert visitor.get(own).status_code == 404
    assert own not in visitor.get("/console/batches").text
    assert visitor.submit(f"{own}/start").status_code == 404
    assert visitor.get(f"{own}/report.csv").status_code == 404
