"""What narrows the console's lists: a hospital by its name, a day, a number, a channel; causes told in words."""

from __future__ import annotations

import re

import psycopg
import pytest
from stage import HOSPITAL, LONG_NAME, VILLAGE

from yimatong.kit.errors import catalogue
from yimatong.web.console.causes import told
from yimatong.web.console.hospitals import MATCHES_MAX, meant

NAMES = {"h1": "第一人民医院", "h2": "第二人民医院", "third": "Xi'an Third Hospital", "h4": "h1"}


@pytest.mark.parametrize(
    ("text", "institution_id", "matches"),
    [
        ("h1", "h1", set()),
        ("第二", "h2", set()),
        ("THIRD HOSP", "third", set()),
        ("人民医院", "人民医院", {"h1", "h2"}),
        ("nobody", "nobody", set()),
    ],
)
def test_whom_a_text_means(text, institution_id, matches):
    found = meant(text, NAMES)
    assert (found.institution_id, set(found.matches)) == (institution_id, matches)


def test_no_more_names_than_can_be_read():
    assert len(meant("院", {f"h{n}": f"{n}院" for n in range(100)}).matches) == MATCHES_MAX


def test_causes_are_told_and_unknown_ones_left_out():
    found = told({"ACC-4001", "XXX-0000", ""}, "zh")
    assert found == {"ACC-4001": "机构系统未接收通知"}
    assert told({"ACC-4001"}, "en") == {"ACC-4001": "the institution's system did not take the news"}
    assert not any("{" in text for text in told(catalogue(), "en").values())


def _orders(text: str) -> set[str]:
    return set(re.findall(r'href="/console/payments/(P[0-9]+)"', text))


def _kept(stage, where: str, *values: object) -> set[str]:
    with psycopg.connect(stage.settings.database_url) as connection:
        rows = connection.execute(
            f"SELECT order_no FROM (SELECT * FROM payments_order WHERE {where} ORDER BY created_at DESC, order_no DESC "
            "LIMIT 50) newest",
            values,
        )
        return {row[0] for row in rows}


def test_orders_of_a_hospital_by_its_name(visitor, stage):
    visitor.log_in("clerk")
    text = visitor.look("/console/payments?institution=西安市第一").text
    assert _orders(text) == _kept(stage, "institution_id = %s", HOSPITAL) != set()
    several = visitor.look("/console/payments?institution=演示").text
    assert "请选择一家" in several
    assert f"?institution={VILLAGE}" in several
    assert LONG_NAME in several
    assert not _orders(several)


def test_orders_of_a_day_a_number_a_channel(visitor, stage):
    visitor.log_in("clerk")
    asked = f"/console/payments?day={stage.yesterday}"
    that_day = _kept(stage, "(created_at AT TIME ZONE 'Asia/Shanghai')::date = %s", stage.yesterday)
    assert _orders(visitor.look(asked).text) == that_day != set()
    paid = _kept(stage, "paid_channel = 'wechat'")
    assert _orders(visitor.look("/console/payments?channel=wechat").text) == paid != set()
    one = min(that_day)
    assert _orders(visitor.look(f"/console/payments?number={one}").text) == {one}
    with psycopg.connect(stage.settings.database_url) as connection:
        source = connection.execute("SELECT source_id FROM payments_order WHERE order_no = %s", [one]).fetchone()[0]
    assert one in _orders(visitor.look(f"/console/payments?number={source}").text)
    assert visitor.look("/console/payments?channel=nobank").status_code == 422


def test_a_hospital_looks_for_its_own_alone(visitor, stage):
    visitor.log_in("hospital")
    page = visitor.look(f"/console/payments?institution={VILLAGE}").text
    assert not _orders(page)
    assert 'name="institution"' not in page
    assert LONG_NAME not in visitor.look("/console/payments?institution=演示").text
