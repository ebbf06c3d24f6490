"""Batches in the console: a file is uploaded, tried, imported, its refused rows downloaded; coverage of the list."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest
from python_calamine import CalamineWorkbook

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
    headless = _upload(visitor, "张三丰,11010519491231002X,13800138000\n李四,11010519491231002X,13800138000\n")
    assert headless.status_code == 422
    assert "CRD-4002" in headless.text
    assert "张三丰" not in headless.text
    empty = _upload(visitor, HEADING)
    assert "CRD-4003" in empty.text
    visitor.look("/console/batches")
    nothing = visitor.post(
        "/console/batches", data={"form_token": visitor.token, "kind": "residents"}, files={"x": b""}
    )
    assert nothing.status_code == 422


def test_columns_are_chosen_once(visitor, work):
    """Unusual headings: the page shows masked samples; the choice is used again by itself, and only where it fits."""
    visitor.log_in("hospital")
    person, other = make_resident(), make_resident()
    heading = "户主,公民号码,电话,就诊编号\n"
    lines = [
        f"{each.name},{each.id_number},{each.phone},{number}\n" for each, number in ((person, 1001), (other, 1002))
    ]
    sent = _upload(visitor, heading + lines[0], kind="visit-cards")
    place = sent.headers["location"]
    assert place.startswith("/console/batch-columns/")
    shown = visitor.look(place).text
    assert person.id_number not in shown
    assert person.name not in shown
    assert person.phone not in shown
    assert person.id_number[:6] in shown
    assert re.findall(r'<option value="(\w+)" selected>', shown) == ["phone"]

    few = visitor.submit(place, **{"column-0": "name", "column-1": "id_number"})
    assert few.status_code == 422
    assert "CRD-4002" in few.text
    assert re.findall(r'<option value="(\w+)" selected>', few.text) == ["name", "id_number"]
    fields = {"column-0": "name", "column-1": "id_number", "column-2": "phone"}
    twice = visitor.submit(place, **fields, **{"column-3": "name"})
    assert twice.status_code == 422
    assert "户主、就诊编号" in twice.text
    taken = visitor.submit(place, **fields, **{"column-3": "visit_card"})
    assert taken.status_code == 303
    batch = taken.headers["location"]
    assert batch.startswith("/console/batches/bat_")
    assert visitor.get(place).status_code == 404
    visitor.submit(f"{batch}/start")
    work(batch.rsplit("/", 1)[1], "run")
    assert 'data-number="opened">1<' in visitor.look(batch).text

    again = _upload(visitor, heading + lines[1], kind="visit-cards").headers["location"]
    assert again.startswith("/console/batches/")
    asked = _upload(visitor, heading + lines[1], kind="visit-cards", columns="1").headers["location"]
    assert re.findall(r'<option value="(\w+)" selected>', visitor.look(asked).text) == [*fields.values(), "visit_card"]
    visitor.cookies.clear()
    visitor.log_in("clerk")
    assert visitor.get(asked).status_code == 404
    others = _upload(visitor, heading + lines[1], kind="visit-cards", institution="inst-h9").headers["location"]
    assert others.startswith("/console/batch-columns/")


def test_nothing_of_an_upload_touches_a_disk(visitor, stage, database_url, tmp_path, monkeypatch):
    """The framework would keep a file above one megabyte in a temporary one: none is opened, and no table holds it."""
    visitor.log_in("clerk")

    def refuse(*_args, **_kwargs):
        message = "a temporary file was opened"
        raise AssertionError(message)

    for name in ("SpooledTemporaryFile", "TemporaryFile", "NamedTemporaryFile", "mkstemp"):
        monkeypatch.setattr(tempfile, name, refuse)
    monkeypatch.setattr("litestar.datastructures.upload_file.SpooledTemporaryFile", refuse)
    marked = make_resident(name="欧阳明日")
    text = HEADING.strip() + ",备注\n" + "".join(_line(marked).strip() + "," + "注" * 30_000 + "\n" for _ in range(40))
    place = _upload(visitor, text, columns="1").headers["location"]
    assert "batch-columns" in place
    with psycopg.connect(database_url) as connection:
        tables = connection.execute(
            "SELECT u::text, b.sealed FROM cards_batch_upload u JOIN cards_batch_upload_block b USING (upload_id)"
            " WHERE u.upload_id = %s",
            [place.rsplit("/", 1)[1]],
        ).fetchall()
    assert len(tables) > 1
    for about, sealed in tables:
        assert marked.id_number not in about
        assert marked.name not in about
        assert marked.id_number.encode() not in sealed
        assert marked.name.encode("gb18030") not in sealed


def test_limits_and_forms_of_others(visitor, web_url, stage):
    visitor.log_in("clerk")
    visitor.look("/console/batches")
    most = stage.settings.upload_bytes_max
    large = visitor.post(
        "/console/batches",
        data={"form_token": visitor.token, "kind": "residents"},
        files={"file": ("a.csv", b"\0" * (most + 1), "text/csv")},
    )
    assert large.status_code == 413
    assert "WEB-1003" in large.text
    forged = visitor.post(
        "/console/batches",
        data={"form_token": "00" * 32, "kind": "residents"},
        files={"file": ("a.csv", b"x", "text/csv")},
    )
    assert forged.status_code == 403
    boundary = {"content-type": "multipart/form-data; boundary=b"}
    file_first = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--\r\n'
    assert visitor.post("/console/batches", content=file_first, headers=boundary).status_code == 403
    cut = f'--b\r\ncontent-disposition: form-data; name="form_token"\r\n\r\n{visitor.token}\r\n--b\r\n'.encode()
    assert visitor.post("/console/batches", content=cut, headers=boundary).status_code == 400


def test_refused_rows_are_handed_out_whole_to_stewards_only(visitor, work, database_url):
    visitor.log_in("clerk")
    broken = make_resident(name="=李5")
    batch = _upload(visitor, HEADING + _line(broken)).headers["location"]
    batch_id = batch.rsplit("/", 1)[1]
    visitor.submit(f"{batch}/start")
    work(batch_id, "run")
    masked = visitor.get(f"{batch}/report.csv").content.decode("utf-8-sig")
    assert ",'=*5," in masked
    sheet = load(visitor.get(f"{batch}/report.xlsx").content)
    assert sheet[1][4] == "=*5"
    assert visitor.get(f"/console/batch-rows/{batch_id}").status_code == 403
    visitor.cookies.clear()
    visitor.log_in("steward")
    assert batch_id in visitor.get("/console/batch-rows").text
    rows = load(visitor.get(f"/console/batch-rows/{batch_id}").content)
    assert rows[0][:3] == ["姓名", "身份证号", "联系电话"]
    assert rows[1][:4] == ["=李5", broken.id_number, broken.phone, "2"]
    with psycopg.connect(database_url) as connection:
        seen = connection.execute(
            "SELECT count(*) FROM kit_audit_event WHERE action = 'console:batch-rows' AND object_id LIKE %s",
            [f"%{batch_id}"],
        ).fetchone()
    assert seen == (1,)


def load(content: bytes) -> list[list[str]]:
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()


def test_a_hospital_sees_its_own_batches_only(visitor):
    visitor.log_in("clerk")
    own = _upload(visitor, HEADING + _line(make_resident())).headers["location"]
    visitor.cookies.clear()
    visitor.log_in("hospital")
    assert visitor.get(own).status_code == 404
    assert own not in visitor.get("/console/batches").text
    assert visitor.submit(f"{own}/start").status_code == 404
    assert visitor.get(f"{own}/report.csv").status_code == 404
