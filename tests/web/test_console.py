"""The console over HTTP: login, roles, numbers against SQL of the test's own, lists, discrepancies, audit."""

from __future__ import annotations

import re
import statistics
import time
from datetime import timedelta

import psycopg
import pytest

from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.money import yuan

PAGES = {
    "/console": {"clerk", "hospital", "auditor", "system", "steward"},
    "/console/accounts": {"clerk", "hospital"},
    "/console/batches": {"clerk", "hospital"},
    "/console/batch-rows": {"steward"},
    "/console/coverage": {"clerk", "hospital"},
    "/console/codes": {"clerk", "hospital"},
    "/console/payments": {"clerk", "hospital"},
    "/console/discrepancies": {"clerk", "hospital"},
    "/console/audit": {"auditor"},
}


def _sql(stage, query, *values):
    with psycopg.connect(stage.settings.database_url) as connection:
        return connection.execute(query, values).fetchall()


def _numbers(text: str) -> dict[str, str]:
    return dict(re.findall(r'data-number="([^"]+)">([^<]*)<', text))


def test_login_wants_its_form(visitor):
    assert visitor.submit("/console/login", login="clerk", password="Correct-Horse-7").status_code == 403


def test_login_and_logout(visitor):
    wrong = visitor.log_in("clerk", "nope")
    assert wrong.status_code == 401
    assert "ACC-2001" in wrong.text
    unknown = visitor.log_in("nobody", "nope")
    assert unknown.status_code == 401
    assert "ACC-2001" in unknown.text
    right = visitor.log_in("clerk")
    assert right.status_code == 303
    assert "HttpOnly" in right.headers["set-cookie"]
    cookie = visitor.cookies["ymt_console"]
    assert visitor.submit("/console/logout").status_code == 303
    visitor.cookies.set("ymt_console", cookie, path="/console")
    assert visitor.get("/console").headers["location"].startswith("/console/login?ended=1")


def test_five_failures_lock(visitor):
    for _ in range(5):
        assert visitor.log_in("locked", "nope").status_code == 401
    locked = visitor.log_in("locked")
    assert locked.status_code == 429
    assert "ACC-2002" in locked.text


@pytest.mark.parametrize(
    ("given", "led"),
    [
        ("/console/codes", "/console/codes"),
        ("//evil.example", "/console"),
        ("https://evil.example/console/", "/console"),
        ("/console/\\evil", "/console"),
        ("/console/login", "/console"),
    ],
)
def test_login_leads_back_to_own_pages_only(visitor, given, led):
    visitor.look("/console/login")
    answer = visitor.submit("/console/login", login="clerk", password="Correct-Horse-7", next=given)
    assert answer.headers["location"] == led


def test_idle_session_ends(visitor, stage):
    visitor.log_in("clerk")
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE access_session SET seen_at = now() - interval '16 minutes' WHERE purpose = 'console'"
        )
    answer = visitor.get("/console/codes")
    assert answer.headers["location"] == "/console/login?ended=1&next=/console/codes"


@pytest.mark.parametrize("who", ["clerk", "hospital", "auditor", "system"])
def test_roles_open_their_pages_only(visitor, who):
    visitor.log_in(who)
    home = visitor.get("/console").text
    for path, allowed in PAGES.items():
        answer = visitor.get(path)
        assert answer.status_code == (200 if who in allowed else 403)
        assert (f'href="{path}"' in home) == (who in allowed)
        if who not in allowed:
            assert "ACC-1006" in answer.text


def test_every_route_names_its_session_and_permission():
    from yimatong.web.routes import ROUTES

    for route in ROUTES:
        assert route.opt.get("public") or (route.opt["session"] and route.opt["permission"]), route


@pytest.mark.parametrize(("who", "own"), [("clerk", None), ("hospital", "inst-h1")])
@pytest.mark.parametrize("day_name", ["today", "yesterday"])
def test_numbers_equal_queries(visitor, stage, who, own, day_name):
    day = getattr(stage, day_name)
    start, end = day_bounds(day)
    visitor.log_in(who)
    shown = _numbers(visitor.get(f"/console?day={day}").text)
    where = "at >= %s AND at < %s AND (%s::text IS NULL OR institution_id = %s)"
    codes = _sql(
        stage,
        "SELECT count(*) FILTER (WHERE event = 'issued'), count(*) FILTER (WHERE event = 'verified' AND result = 'ok'),"
        f" count(*) FILTER (WHERE event = 'verified' AND result <> 'ok') FROM cards_code_record WHERE {where}",
        start, end, own, own,
    )[0]  # fmt: skip
    assert [shown["issued"], shown["verified"], shown["refused"]] == [f"{number:,}" for number in codes]
    assert codes[1] > 100
    for code, number in _sql(
        stage,
        f"SELECT result, count(*) FROM cards_code_record WHERE event = 'verified' AND result <> 'ok' AND {where} "
        "GROUP BY result",
        start, end, own, own,
    ):  # fmt: skip
        assert shown[f"reason-{code}"] == f"{number:,}"
    channels = _sql(
        stage,
        "SELECT paid_channel, count(*), sum(paid_fen)::bigint FROM payments_order WHERE paid_at >= %s AND paid_at < %s "
        "AND (%s::text IS NULL OR institution_id = %s) GROUP BY paid_channel",
        start, end, own, own,
    )  # fmt: skip
    assert shown["paid_orders"] == f"{sum(row[1] for row in channels):,}"
    assert shown["paid_fen"] == f"¥ {yuan(sum(row[2] for row in channels))}"
    for channel, _, fen in channels:
        assert shown[f"channel-{channel}"] == f"¥ {yuan(fen)}"
    opened = _sql(
        stage,
        "SELECT count(*) FROM cards_account WHERE opened_at >= %s AND opened_at < %s",
        start, end,
    )[0][0]  # fmt: skip
    assert shown["opened"] == (f"{opened}" if own is None else "0")
    assert ("outbox-pending" in shown) == (own is None)
    if own is None:
        states = dict(_sql(stage, "SELECT state, count(*) FROM kit_outbox GROUP BY state"))
        assert {state: int(shown[f"outbox-{state}"]) for state in states} == states


def test_chart_and_table_carry_the_same_hours(visitor, stage):
    visitor.log_in("clerk")
    text = visitor.get(f"/console?day={stage.yesterday}").text
    chart = text[text.index('aria-labelledby="codes-t') :]
    tips = re.findall(r"<title>(\d\d) (\S+) ([\d,]+)</title>", chart[: chart.index("</svg>")])
    rows = re.findall(
        r'<th scope="row">(\d\d):00</th><td class="end">([\d,]+)</td><td class="end">([\d,]+)</td>'
        r'<td class="end">([\d,]+)</td>',
        text,
    )
    names = ("生成", "验证通过", "拒绝")
    from_table = {(row[0], names[i], row[i + 1]) for row in rows for i in range(3) if row[i + 1] != "0"}
    assert set(tips) == from_table
    assert len(rows) > 15


def test_ten_thousand_codes_page_by_page(visitor, stage):
    visitor.log_in("clerk")
    total = _sql(stage, "SELECT count(*) FROM cards_code_record WHERE result = 'CRD-2004'")[0][0]
    seen, path, took = [], "/console/codes?result=CRD-2004", []
    while path:
        begun = time.perf_counter()
        text = visitor.get(path).text
        took.append(time.perf_counter() - begun)
        seen += re.findall(r'class="number nowrap"><time datetime="([^"]+)"', text)
        found = re.search(r'rel="next" href="([^"]+)"', text)
        path = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == total > 150
    assert seen == sorted(seen, reverse=True)
    assert len(took) == -(-total // 50)
    assert statistics.median(took) < 1.0


def test_codes_of_another_hospital_are_never_shown(visitor, stage):
    visitor.log_in("hospital")
    text = visitor.get("/console/codes?institution=inst-v1").text
    assert "没有符合条件的记录" in text
    assert "村卫生室扫码枪" not in visitor.get("/console/codes").text


@pytest.mark.parametrize(
    "query",
    [
        "day=2026-13-01", "day=%00", "event=drop", "result=x", "after=1", "after=9~%27", "purpose=%27",
        "institution=" + "x" * 81,
    ],
)  # fmt: skip
def test_bad_filters_are_refused_by_name(visitor, query):
    visitor.log_in("clerk")
    answer = visitor.get(f"/console/codes?{query}")
    assert answer.status_code == 422
    assert "WEB-1002" in answer.text


@pytest.mark.parametrize("path", ["/console/payments", "/console/discrepancies", "/console/audit"])
@pytest.mark.parametrize("mark", ["xx", "%F0%A0%AE%B7", "2026-01-01~%27", "1.2.3", "99999999999999999999999.1"])
def test_bad_page_marks_never_break(visitor, path, mark):
    visitor.log_in("auditor" if path.endswith("audit") else "clerk")
    assert visitor.get(f"{path}?after={mark}").status_code in {200, 422}


def test_payments_and_one_order(visitor, stage):
    visitor.log_in("clerk")
    text = visitor.get("/console/payments?state=paid").text
    assert "已支付" in text
    assert 'class="state wait"' not in text
    large = f"P{stage.yesterday:%Y%m%d}{1:012d}"
    assert "¥</small>99,999,999.99" in visitor.get(f"/console/payments/{large}").text
    assert visitor.get("/console/payments/P1").status_code == 404


def test_orders_of_another_hospital_answer_like_absent_ones(visitor, stage):
    foreign = _sql(stage, "SELECT order_no FROM payments_order WHERE institution_id = 'inst-v1' LIMIT 1")[0][0]
    visitor.log_in("hospital")
    other = visitor.get(f"/console/payments/{foreign}")
    absent = visitor.get("/console/payments/P00000000000000000000")
    assert other.status_code == absent.status_code == 404
    assert "PAY-1001" in other.text
    assert "PAY-1001" in absent.text


def test_discrepancies(visitor):
    visitor.log_in("clerk")
    text = visitor.get("/console/discrepancies").text
    assert _numbers(text) == {
        "amount": "1", "status": "1", "fee": "0", "channel_only": "1", "platform_only": "1", "duplicate": "1",
    }  # fmt: skip
    assert text.count('href="/console/discrepancies/dis_') == 5
    assert visitor.get("/console/discrepancies?state=all").text.count('href="/console/discrepancies/dis_') == 6
    assert visitor.get("/console/discrepancies?kind=amount&state=all").text.count("/discrepancies/dis_") == 1
    detail = visitor.get("/console/discrepancies/dis_0").text
    assert "¥ 128.50" in detail
    assert "¥ 125.80" in detail
    assert "-¥ 2.70" in detail
    assert "1,284" in text


def test_discrepancies_of_another_hospital(visitor):
    visitor.log_in("hospital")
    assert visitor.get("/console/discrepancies?state=all").text.count('href="/console/discrepancies/dis_') == 5
    assert visitor.get("/console/discrepancies/dis_5").status_code == 404


def test_audit_pages_and_chain(visitor, stage, run_async):
    from yimatong.apps import worker
    from yimatong.apps.assembly import assemble

    async def seal():
        parts = assemble(stage.settings)
        await worker.seal(parts)
        await parts.close()

    run_async(seal())
    visitor.log_in("auditor")
    text = visitor.look("/console/audit").text
    assert 'rel="next"' in text
    assert "console:login" in text
    assert "CRD-2003" in visitor.get("/console/audit?actor=his-1").text
    whole = visitor.submit("/console/audit/verify").text
    assert "审计链完整" in whole
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE kit_audit_event DISABLE TRIGGER USER")  # an intruder who owns the tables
        connection.execute("UPDATE kit_audit_event SET result = 'ok!' WHERE id = 5")
    try:
        assert "KIT-5101" in visitor.submit("/console/audit/verify").text
    finally:
        with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
            connection.execute("UPDATE kit_audit_event SET result = 'ok' WHERE id = 5")
            connection.execute("ALTER TABLE kit_audit_event ENABLE TRIGGER USER")


def test_day_before_is_one_click(visitor, stage):
    visitor.log_in("clerk")
    assert f"/console?day={business_date(stage.now) - timedelta(days=1)}" in visitor.get("/console").text
