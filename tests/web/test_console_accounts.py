"""The card office's pages over HTTP: search in the body, what is masked, acts that are kept in the history."""

from __future__ import annotations

import re

import psycopg


def _sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        return connection.execute(query, values).fetchall()


def _search(visitor, **form):
    visitor.look("/console/accounts")
    return visitor.submit("/console/accounts", **form)


def test_search_by_name_and_phone_shows_masks_only(visitor, stage):
    visitor.log_in("clerk")
    found = _search(visitor, way="name_and_phone", name="张三丰", phone="13800138000")
    assert found.status_code == 200
    assert "张*丰" in found.text
    assert "张三丰" not in re.sub(r'value="[^"]*"', "", found.text)
    assert f"/console/accounts/{stage.vuids['zhang']}" in found.text
    assert "没有符合条件的记录" in _search(visitor, way="name_and_phone", name="无此人", phone="13800138000").text


def test_search_is_refused_by_name(visitor, stage):
    visitor.log_in("clerk")
    assert _search(visitor, way="vuid", vuid="x").status_code == 422
    assert _search(visitor, way="nothing").status_code == 422
    assert visitor.post("/console/accounts", data={"way": "vuid"}).status_code == 403


def test_hospital_sees_what_it_holds_only(visitor, stage):
    visitor.log_in("hospital")
    found = _search(visitor, way="name_and_phone", name="张三丰", phone="13800138000")
    assert "未在本机构办理" in found.text
    assert visitor.look(f"/console/accounts/{stage.vuids['zhang']}").status_code == 404


def test_clerk_freezes_and_releases_and_it_is_in_the_history(visitor, stage):
    visitor.log_in("clerk")
    vuid = stage.vuids["long"]
    path = f"/console/accounts/{vuid}"
    assert visitor.look(path).status_code == 200
    assert visitor.submit(f"{path}/state", state="frozen", reason="found").status_code == 422
    assert visitor.submit(f"{path}/state", state="frozen", reason="lost_phone").status_code == 303
    page = visitor.look(path)
    assert "手机丢失" in page.text
    assert "王敏" in page.text
    assert _sql(stage, "SELECT state, frozen_by FROM cards_account WHERE vuid = %s", vuid) == [("frozen", "platform")]
    assert visitor.submit(f"{path}/state", state="active", reason="found").status_code == 303
    assert _sql(stage, "SELECT state, frozen_by FROM cards_account WHERE vuid = %s", vuid) == [("active", None)]
    whats = _sql(stage, "SELECT what FROM cards_account_event WHERE vuid = %s ORDER BY event_id", vuid)
    assert whats[-2:] == [("frozen",), ("active",)]


def test_death_is_reported_and_taken_back(visitor, stage):
    visitor.log_in("clerk")
    path = f"/console/accounts/{stage.vuids['long']}"
    visitor.look(path)
    assert visitor.submit(f"{path}/state", state="cancelled", reason="deceased").status_code == 403
    done = visitor.submit(f"{path}/state", state="cancelled", reason="deceased", died_on="2026-02-03")
    assert done.status_code == 303
    assert "2026-02-03" in visitor.look(path).text
    assert visitor.submit(f"{path}/death").status_code == 303
    assert "更正死亡登记" in visitor.look(path).text


def test_no_address_of_the_pages_holds_what_was_looked_for(visitor, stage):
    visitor.log_in("clerk")
    found = _search(visitor, way="name_and_phone", name="张三丰", phone="13800138000")
    assert "13800138000" not in str(found.url)
    assert not re.search(r'(href|action)="[^"]*13800138000', found.text)
