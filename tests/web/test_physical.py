"""The console's page of physical cards: ten thousand rows, filters, one card by its number, deliveries."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from physical_stage import NUMBER, lay_out

PATH = "/console/physical-cards"


@pytest.fixture(scope="module")
def laid_out(stage: Any, web_url: str, run_async: Any) -> None:
    run_async(stage.act(lay_out))


@pytest.fixture
def clerk(visitor: Any, laid_out: None) -> Any:
    visitor.log_in("clerk")
    return visitor


def test_pages_follow_each_other_to_the_end_of_a_filter(clerk: Any) -> None:
    seen: list[str] = []
    address = f"{PATH}?state=lost&type=04"
    while address:
        text = clerk.look(address).text
        rows = re.findall(r'<td data-label="发卡时间"[^>]*><time datetime="([^"]+)"', text)
        assert 0 < len(rows) <= 50
        assert set(re.findall(r'class="state bad">([^<]+)<', text)) <= {"已挂失", *map(str, range(300))}
        seen += rows
        found = re.search(r'rel="next" href="([^"]+)"', text)
        address = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) > 200
    assert seen == sorted(seen, reverse=True)


def test_number_is_found_by_form_and_stands_in_no_address(clerk: Any, stage: Any) -> None:
    clerk.look(PATH)
    text = clerk.submit(f"{PATH}/find", number=f" {NUMBER} ", type="01").text
    assert re.findall(r'nowrap">…(\d+)<', text) == ["4567"]
    assert NUMBER not in text
    assert "没有符合条件的记录" in clerk.submit(f"{PATH}/find", number="0" * 18, type="01").text
    with psycopg.connect(stage.settings.database_url) as connection:
        audited = connection.execute(
            "SELECT count(*) FROM kit_audit_event WHERE action = 'console:physical' AND object_id = %s",
            [f"{PATH}/find"],
        ).fetchone()
    assert audited == (2,)


def test_deliveries_with_their_numbers(clerk: Any) -> None:
    text = clerk.look(PATH).text
    assert "批量制卡" in text
    assert text.count('data-label="批次"') == 3


def test_hospitals_own_cards_only(visitor: Any, laid_out: None) -> None:
    visitor.log_in("hospital")
    text = visitor.look(PATH).text
    assert text.count('data-label="批次"') == 1


def test_wrong_filter_and_missing_right(clerk: Any, visitor: Any) -> None:
    assert clerk.look(f"{PATH}?state=stolen").status_code == 422
    visitor.cookies.clear()
    visitor.log_in("auditor")
    assert visitor.look(PATH).status_code == 403
