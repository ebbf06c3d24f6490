"""The records over HTTP: what callers find, page by page, and what is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

PATH = "/api/v1/codes/records"


@pytest.fixture(scope="module")
def vuid(client: Callable[[str], Client], new_resident: Callable[[], SimpleNamespace]) -> str:
    """Return a card with seven codes issued by the hospital, four of them verified there, one twice."""
    his, terminal = client("his-1"), client("term-1")
    made = his.register_account(vars(new_resident()), real_name="police_online")["vuid"]
    texts = [his.call("POST", "/api/v1/codes", {"vuid": made})["text"] for _ in range(7)]
    for text in texts[:4]:
        terminal.call("POST", "/api/v1/codes/verify", {"code": text, "purpose": "visit"})
    with pytest.raises(ApiError):
        terminal.call("POST", "/api/v1/codes/verify", {"code": texts[0], "purpose": "visit"})
    return str(made)


def walk(caller: Client, query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = caller.call("GET", f"{PATH}?{query}&cursor={cursor}")
        found += page["records"]
        cursor = page["next"]
        if not cursor:
            return found


def test_an_institution_finds_its_own_page_by_page(client: Callable[[str], Client], vuid: str) -> None:
    his = client("his-1")
    for limit in (1, 5, 200):
        rows = walk(his, f"limit={limit}")
        assert len(rows) == 12
        assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)
    assert {row["caller_id"] for row in rows} == {"his-1", "term-1"}
    assert len(walk(his, f"vuid={vuid}")) == 12
    refused = walk(his, "result=refused")
    assert [row["result"] for row in refused] == ["CRD-2004"]
    assert refused[0]["took_ms"] >= 0
    assert len(walk(his, "event=verified&terminal=term-1&purpose=visit&result=ok")) == 4
    assert walk(his, f"record_id={rows[3]['record_id']}") == [rows[3]]
    counted = his.call("GET", f"{PATH}/counts?since=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z&by=day")
    assert counted == {"by": ["day"], "counts": [], "total": 0}


def test_counts_of_the_last_hours(client: Callable[[str], Client], vuid: str) -> None:
    rows = walk(client("his-1"), "limit=200")
    since = min(row["at"] for row in rows)
    table = client("his-1").call("GET", f"{PATH}/counts?since={since}&by=event,result")
    assert {tuple(each["values"]): each["number"] for each in table["counts"]} == {
        ("issued", "ok"): 7,
        ("verified", "ok"): 4,
        ("verified", "CRD-2004"): 1,
    }


def test_others_find_nothing(client: Callable[[str], Client], vuid: str) -> None:
    assert walk(client("his-2"), f"vuid={vuid}") == []
    assert walk(client("his-2"), "institution=inst-h1") == []
    assert walk(client("app-1"), "limit=9") == []
    with pytest.raises(ApiError) as denied:
        client("term-1").call("GET", PATH)
    assert denied.value.code == "ACC-1006"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("since=2026-11-23T00:00:00", "KIT-"),
        ("since=2026-11-23T00:00:00Z&until=2026-11-22T00:00:00Z", "CRD-2040"),
        ("cursor=AAAA", "CRD-2042"),
        ("result=bad", "KIT-"),
        ("vuid=12", "KIT-"),
        ("limit=0", "KIT-"),
        ("terminal=%27", "KIT-"),
    ],
)
def test_bad_searches_are_refused_by_name(client: Callable[[str], Client], query: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        client("his-1").call("GET", f"{PATH}?{query}")
    assert refused.value.code.startswith(code)


def test_a_search_leaves_an_audit_row(client: Callable[[str], Client], settings: Settings, vuid: str) -> None:
    client("his-1").call("GET", PATH)
    with psycopg.connect(settings.database_url) as connection:
        rows = connection.execute("SELECT count(*) FROM kit_audit_event WHERE action = 'records:read'").fetchone()
    assert rows is not None
    assert rows[0] >= 1
