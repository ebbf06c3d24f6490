"""The cashier over HTTP with every channel on the wire: insurers, forms, return, live result, what is remembered."""

from __future__ import annotations

import re
import threading
import time

import httpx
import psycopg
import pytest
from cashier_world import (
    CREDIT_PAYER,
    POLICY,
    RICH,
    bind_card,
    care_bills,
    certificate_line,
    enrol_everywhere,
    issue_receipt,
    kiosk_link,
    policy_for,
    sms_code,
)

from yimatong.sandbox.medical.state import SETTLING
from yimatong.standards import id_number

PHONE = {"user-agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148"}
NAME, NUMBER = "张三丰", "61010219800102011" + id_number.check_digit("61010219800102011")
EVIL = "https://evil.example.test/take"


@pytest.fixture(scope="module", autouse=True)
def _rich(stage, run_async) -> None:
    run_async(enrol_everywhere(stage))


@pytest.fixture
def cashier(visitor, stage, run_async):
    def opened(**bill):
        order_no = run_async(stage.bill(**({"institution_id": RICH} | bill)))
        assert visitor.look(f"/cashier/open/{run_async(stage.link('cashier', order_no))}").status_code == 303
        assert visitor.look("/cashier").status_code == 200
        return order_no

    return opened


def _sql(stage, statement, *values):
    with psycopg.connect(stage.settings.database_url, autocommit=True) as connection:
        return connection.execute(statement, values)


def _mark(text: str) -> str:
    found = re.search(r'data-events="/cashier/events\?seen=([^"]+)"', text)
    assert found is not None
    return found[1]


def _first(text: str) -> str:
    found = re.search(r'action="/cashier/pay".*?name="channel" value="([a-z]+)"', text)
    assert found is not None
    return found[1]


def test_every_channel_is_offered_by_its_name(visitor, cashier):
    cashier()
    text = visitor.look("/cashier").text
    for name in ("微信支付", "支付宝", "云闪付", "网上银行", "先诊疗后付费", "使用医保支付", "使用商业保险支付"):
        assert name in text, name


def test_insurer_shares_is_left_out_and_settles_first(visitor, cashier, stage):
    order_no = cashier(fen=20_000, vuid=stage.vuids["zhang"])
    assert visitor.submit("/cashier/insurance", channel="insurance").headers["location"] == "/cashier"
    text = visitor.look("/cashier").text
    legs, cash = _sql(stage, "SELECT sum(amount_fen), (SELECT cash_fen FROM payments_order WHERE order_no = %s) "
                             "FROM payments_leg WHERE order_no = %s AND state = 'presettled'",
                      order_no, order_no).fetchone()  # fmt: skip
    assert legs + cash == 20_000
    assert 0 < cash < 20_000
    for part in ("个人应付", "其中统筹基金", "其中个人账户", f"¥ {cash / 100:.2f}", "不使用医保"):
        assert part in text, part
    assert visitor.submit("/cashier/insurance/drop", part="insurance").headers["location"] == "/cashier"
    assert "应付金额" in visitor.look("/cashier").text
    visitor.submit("/cashier/insurance", channel="insurance")
    visitor.look("/cashier")
    visitor.submit("/cashier/pay", channel="wechat")
    rows = _sql(stage, "SELECT part, state, amount_fen FROM payments_attempt WHERE order_no = %s ORDER BY attempt_no",
                order_no).fetchall()  # fmt: skip
    assert rows == [("insurance", "succeeded", legs), ("cash", "started", cash)]
    text = visitor.look("/cashier").text
    assert 'data-face="wait"' in text
    assert "已结算" in text


def test_insurer_that_takes_its_time_is_waited_for_and_then_it_goes_on(visitor, cashier, stage):
    order_no = cashier(fen=20_000, vuid=stage.vuids["zhang"])
    visitor.submit("/cashier/insurance", channel="insurance")
    visitor.look("/cashier")
    stage.world.control("/control/insurance/faults", {"settles_later": 1})
    answer = visitor.submit("/cashier/pay", channel="wechat")
    assert answer.headers["location"] == "/cashier?go_on=wechat"
    text = visitor.look("/cashier?go_on=wechat").text
    assert 'data-face="settling"' in text
    assert "正在确认医保结算" in text
    assert "data-go-on" not in text
    waiting = [each for each in stage.world.control("/control/insurance/orders") if each["ord_stas"] == SETTLING]
    stage.world.control("/control/insurance/settle", {"pay_ord_id": waiting[-1]["pay_ord_id"]})
    visitor.submit("/cashier/ask")
    text = visitor.look("/cashier?go_on=wechat").text
    assert 'data-face="choose"' in text
    assert "data-go-on" in text
    rows = _sql(stage, "SELECT part, state FROM payments_attempt WHERE order_no = %s", order_no).fetchall()
    assert rows == [("insurance", "succeeded")]


def test_stranger_is_asked_for_name_and_number_and_nothing_of_it_is_kept_open(visitor, cashier, stage):
    order_no = cashier(fen=20_000)
    form = visitor.look("/cashier/insurance?channel=insurance").text
    assert 'name="id_number"' in form
    assert visitor.submit("/cashier/insurance", channel="insurance", name="", id_number="").status_code == 422
    stated = {"name": "王小明", "id_type": "01", "id_number": "610102199001011239"}
    assert visitor.submit("/cashier/insurance", channel="insurance", **stated).status_code == 303
    assert "个人应付" in visitor.look("/cashier").text
    row = _sql(stage, "SELECT l::text, o::text FROM payments_leg l JOIN payments_order o USING (order_no) "
                      "WHERE order_no = %s", order_no).fetchone()  # fmt: skip
    assert "王小明" not in "".join(row)
    assert stated["id_number"] not in "".join(row)


def test_commercial_insurer_pays_all(visitor, cashier, stage):
    policy_for(stage.world, name=NAME, id_number=NUMBER)
    order_no = cashier(fen=10_000, vuid=stage.vuids["zhang"])
    answer = visitor.submit("/cashier/insurance", channel="commercial", credential_no="PO-none")
    assert answer.status_code >= 400
    assert "PAY-3001" in answer.text
    visitor.submit("/cashier/insurance", channel="commercial", credential_no=POLICY)
    text = visitor.look("/cashier").text
    assert "商保赔付" in text
    cash = _sql(stage, "SELECT cash_fen FROM payments_order WHERE order_no = %s", order_no).fetchone()[0]
    if cash == 0:
        assert "确认结算" in text
        visitor.submit("/cashier/pay", channel="commercial", scene="direct")
        assert 'data-face="paid"' in visitor.look("/cashier").text


@pytest.mark.parametrize("channel", ["unionpay", "netbank"])
def test_form_leaves_for_the_channel_alone(visitor, cashier, stage, channel):
    cashier()
    answer = visitor.submit("/cashier/pay", channel=channel, scene="page")
    assert answer.headers["location"] == "/cashier/leave"
    page = visitor.look("/cashier/leave")
    assert f"form-action {stage.world.url};" in page.headers["content-security-policy"]
    assert f'action="{stage.world.url}/' in page.text
    assert "<script>" not in page.text
    assert "form-action 'self';" in visitor.look("/cashier").headers["content-security-policy"]


def test_leaving_without_a_form_leads_back(visitor, cashier):
    cashier()
    assert visitor.look("/cashier/leave").headers["location"] == "/cashier"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_return_believes_nothing_and_leads_nowhere_else(web_url, method):
    """A post from the channel's page has no cookie of ours; nothing in it decides where the browser goes."""
    with httpx.Client(base_url=web_url, trust_env=False) as stranger:
        answer = stranger.request(
            method, f"/cashier/return?next={EVIL}&return_url={EVIL}&respCode=00",
            data={"next": EVIL, "respCode": "00"} if method == "POST" else None, headers={"origin": EVIL},
        )  # fmt: skip
        assert answer.status_code == 303
        assert answer.headers["location"] == "/cashier?back=1"
        assert stranger.get(answer.headers["location"]).status_code == 401


def test_return_asks_once_and_shows_what_is_known(visitor, cashier):
    cashier()
    visitor.submit("/cashier/pay", channel="wechat")
    text = visitor.look("/cashier?back=1").text
    assert "data-ask-once" in text
    assert 'data-face="wait"' in text
    assert "data-ask-once" not in visitor.look("/cashier").text


def test_way_back_is_the_orders_own(visitor, cashier, stage, run_async):
    order_no = cashier(return_url="https://app.example.cn/orders/7")
    run_async(stage.set_order(order_no, state="closed"))
    text = visitor.look(f"/cashier?return_url={EVIL}&next={EVIL}").text
    assert 'href="https://app.example.cn/orders/7"' in text
    assert f'href="{EVIL}' not in text


def test_preferred_channel_of_a_known_payer_is_kept_on_the_server(visitor, cashier, stage):
    cashier(vuid=stage.vuids["long"])
    assert _first(visitor.look("/cashier").text) == "wechat"
    answer = visitor.submit("/cashier/pay", channel="alipay")
    assert "ymt_channel" not in answer.headers.get("set-cookie", "")
    visitor.cookies.clear()
    cashier(vuid=stage.vuids["long"])
    text = visitor.look("/cashier").text
    assert _first(text) == "alipay"
    assert "上次使用" in text
    cashier(vuid=stage.vuids["zhang"], payer_vuid=stage.vuids["long"])
    assert _first(visitor.look("/cashier").text) == "alipay"


def test_preferred_channel_of_a_stranger_is_kept_by_her_browser_signed(visitor, cashier):
    cashier()
    visitor.submit("/cashier/pay", channel="unionpay")
    cashier()
    assert _first(visitor.look("/cashier").text) == "unionpay"
    kept = visitor.cookies["ymt_channel"]
    assert kept.startswith("unionpay.")
    forged = {"ymt_cashier": visitor.cookies["ymt_cashier"], "ymt_channel": kept.replace("unionpay", "alipay")}
    with httpx.Client(base_url=str(visitor.base_url), trust_env=False, cookies=forged) as other:
        assert _first(other.get("/cashier").text) == "wechat"


IN_WECHAT = {"user-agent": f"{PHONE['user-agent']} MicroMessenger/8.0.50"}


def test_from_wechats_browser_to_the_phones(visitor, cashier, web_url):
    """The address that WeChat hands over opens the cashier once elsewhere; WeChat itself uses nothing up by looking."""
    order_no = cashier()
    visitor.headers.update(IN_WECHAT)
    assert "换到浏览器付款" in visitor.look("/cashier").text
    address = visitor.submit("/cashier/elsewhere").headers["location"]
    for _ in range(2):
        assert "在浏览器打开" in visitor.look(address).text
    with httpx.Client(base_url=web_url, trust_env=False, headers=PHONE) as browser:
        assert browser.get("/cashier").status_code == 401
        assert browser.get(address).headers["location"] == "/cashier"
        assert order_no in browser.get("/cashier").text
        browser.cookies.clear()
        assert browser.get(address).status_code == 410


def test_receipt_of_a_paid_order(visitor, cashier, stage, run_async):
    order_no = cashier(vuid=stage.vuids["zhang"])
    visitor.submit("/cashier/pay", channel="wechat")
    assert visitor.look("/cashier/receipt.pdf").status_code == 404
    run_async(stage.pay(order_no))
    assert "receipt.pdf" not in visitor.look("/cashier").text
    run_async(issue_receipt(stage, order_no))
    assert 'href="/cashier/receipt.pdf"' in visitor.look("/cashier").text
    drawn = visitor.look("/cashier/receipt.pdf")
    assert drawn.headers["content-type"] == "application/pdf"
    assert drawn.content.startswith(b"%PDF-")


def test_large_print_is_kept_and_taken_back(visitor, cashier):
    cashier()
    assert 'class="large"' not in visitor.look("/cashier").text
    visitor.look("/cashier/size?large=1")
    assert 'class="large"' in visitor.look("/cashier").text
    visitor.look("/cashier/size?large=0")
    assert 'class="large"' not in visitor.look("/cashier").text


def test_credit_pays_by_the_number_of_the_agreement(visitor, cashier):
    cashier()
    assert "PAY-3001" in visitor.submit("/cashier/pay", channel="credit", payer_id="nobody").text
    visitor.look("/cashier")
    visitor.submit("/cashier/pay", channel="credit", payer_id=CREDIT_PAYER)
    assert re.search('data-face="(paid|wait)"', visitor.look("/cashier").text)


def test_another_way_closes_the_open_one_first(visitor, cashier, stage):
    order_no = cashier()
    visitor.submit("/cashier/pay", channel="wechat")
    assert visitor.submit("/cashier/other").headers["location"] == "/cashier"
    assert 'data-face="choose"' in visitor.look("/cashier").text
    assert _sql(stage, "SELECT state FROM payments_attempt WHERE order_no = %s", order_no).fetchall() == [("failed",)]


def test_events_tell_of_the_payment(visitor, cashier, stage, run_async):
    order_no = cashier()
    visitor.submit("/cashier/pay", channel="wechat")
    mark = _mark(visitor.look("/cashier").text)
    payer = threading.Timer(1.5, lambda: run_async(stage.pay(order_no)))
    begun = time.monotonic()
    payer.start()
    lines = []
    with visitor.stream("GET", f"/cashier/events?seen={mark}", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line]
    payer.join()
    assert time.monotonic() - begun >= 1
    assert "event: changed" in lines
    assert any(line.startswith("data: paid.paid") for line in lines)


def test_events_need_the_session(web_url):
    with httpx.Client(base_url=web_url, trust_env=False) as stranger:
        assert stranger.get("/cashier/events").status_code == 401


def test_kiosk_opens_only_what_is_hers_and_here(visitor, stage, run_async):
    hers = run_async(stage.bill(fen=5_000, description="她的检查费", institution_id=RICH, vuid=stage.vuids["zhang"]))
    others = run_async(stage.bill(fen=5_000, institution_id=RICH, vuid=stage.vuids["long"]))
    elsewhere = run_async(stage.bill(fen=5_000, vuid=stage.vuids["zhang"]))
    visitor.look(f"/kiosk/open/{run_async(kiosk_link(stage))}")
    key = re.search(r'name="key" value="([0-9a-f]{32})"', visitor.look("/kiosk/scan/pay").text)[1]
    text = visitor.submit("/kiosk/pay", key=key, line=certificate_line(NAME, NUMBER)).text
    assert "她的检查费" in text
    assert hers in text
    assert others not in text
    assert elsewhere not in text
    held = re.search(r'name="held" value="([0-9a-f]+)"', text)[1]
    for order_no in (others, elsewhere, "P00000000000000000000"):
        assert visitor.submit("/kiosk/pay/open", held=held, order_no=order_no).status_code == 404
    broken = held[:-2] + ("00" if held[-2:] != "00" else "11")
    assert visitor.submit("/kiosk/pay/open", held=broken, order_no=hers).status_code == 403
    assert visitor.submit("/kiosk/pay/open", held=held, order_no=hers).headers["location"] == "/cashier"
    page = visitor.look("/cashier").text
    assert "出示手机付款码" in page
    assert 'class="kiosk till"' in page
    assert visitor.submit("/cashier/elsewhere").headers["location"] == "/cashier"
    visitor.look("/cashier/size?large=1")
    assert 'class="large"' in visitor.look("/cashier").text
    visitor.look("/kiosk")
    assert visitor.look("/cashier").status_code == 401
    visitor.look("/kiosk/scan/pay")
    assert visitor.submit("/kiosk/pay/open", held=held, order_no=hers).headers["location"] == "/cashier"
    assert 'class="large"' not in visitor.look("/cashier").text


def test_kiosk_takes_several_bills_together_and_never_another_persons(visitor, stage, run_async):
    hers = run_async(care_bills(stage, stage.vuids["zhang"], ("检查费", 2_800), ("药费", 3_350)))
    others = run_async(care_bills(stage, stage.vuids["long"], ("药费", 9_900)))
    visitor.look(f"/kiosk/open/{run_async(kiosk_link(stage))}")
    key = re.search(r'name="key" value="([0-9a-f]{32})"', visitor.look("/kiosk/scan/pay").text)[1]
    text = visitor.submit("/kiosk/pay", key=key, line=certificate_line(NAME, NUMBER)).text
    assert set(re.findall(r'name="bill" value="([^"]+)"', text)) >= set(hers)
    assert others[0] not in text
    held = re.search(r'name="held" value="([0-9a-f]+)"', text)[1]
    form = {"form_token": visitor.token, "held": held}
    assert visitor.post("/kiosk/pay/open", data=form | {"bill": [hers[0], others[0]]}).status_code == 404
    assert visitor.post("/kiosk/pay/open", data=form | {"bill": hers}).headers["location"] == "/cashier"
    page = visitor.look("/cashier").text
    assert "¥</small>61.50" in page
    for number in hers:
        assert number in page


def test_scanned_code_is_for_kiosks(visitor, cashier):
    cashier()
    assert "PAY-1007" in visitor.submit("/cashier/scan", line="134000000000000001").text


@pytest.fixture
def bound_card(stage, run_async):
    run_async(bind_card(stage))


def test_bound_card_is_paid_with_by_the_code_that_was_sent(visitor, cashier, stage, bound_card):
    cashier(vuid=stage.vuids["zhang"])
    text = visitor.look("/cashier").text
    assert "银行卡快捷支付" in text
    agreement_id = re.search(r'name="agreement_id" value="([^"]+)"', text)[1]
    asked = visitor.submit("/cashier/quick", agreement_id=agreement_id)
    assert asked.status_code == 200
    assert 'autocomplete="one-time-code"' in asked.text
    wrong = visitor.submit("/cashier/quick/pay", agreement_id=agreement_id, answer="12")
    assert wrong.status_code == 422
    assert 'role="alert"' in wrong.text
    paid = visitor.submit("/cashier/quick/pay", agreement_id=agreement_id, answer=sms_code(stage))
    assert paid.headers["location"] == "/cashier"
    visitor.submit("/cashier/ask")
    assert 'data-face="paid"' in visitor.look("/cashier").text


def test_somebody_elses_card_is_not_offered(visitor, cashier, stage):
    cashier(vuid=stage.vuids["long"])
    assert "银行卡快捷支付" not in visitor.look("/cashier").text
    assert visitor.submit("/cashier/quick", agreement_id="agr_none").status_code == 404
