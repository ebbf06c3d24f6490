"""Notices on their way, faults, and what a restart keeps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.sandbox.local import call_control, enrol
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat.keys import PlatformKey, seal
from yimatong.sandbox.wechat.requests import PlaceOrder, parse
from yimatong.sandbox.wechat.rows import Faults, Merchant, WireError
from yimatong.sandbox.wechat.state import WeChat


def place(running: WeChat, number: str, url: str = "http://127.0.0.1:9/n") -> None:
    """Place an order behind the wire."""
    merchant = next(iter(running.merchants))
    body = {"appid": merchant.appid, "mchid": merchant.mchid, "description": "d", "out_trade_no": number}
    request = parse(json.dumps(body | {"notify_url": url, "amount": {"total": 5}}).encode(), PlaceOrder)
    running.place(merchant, "NATIVE", request, now=clock.now())


@pytest.fixture
def books(world, enrolled) -> WeChat:
    return world._world.wechat


def notice_of(world, number: str):
    return next(each for each in world.control("/control/wechat/notices") if number in each["resource"])


def test_notice_is_repeated_until_it_is_taken(world, books, listener, until):
    world.control("/control/wechat/conditions", {"notice_factor": 0.01})
    listener.status = 500
    place(books, "REPEAT0001", listener.url)
    world.control("/control/wechat/pay", {"out_trade_no": "REPEAT0001"})
    listener.wait(3)
    assert notice_of(world, "REPEAT0001")["state"] == "pending"
    listener.status = 204
    until(lambda: notice_of(world, "REPEAT0001")["state"] == "delivered")
    assert len({json.loads(body)["id"] for _, body in listener.got}) == 1
    assert notice_of(world, "REPEAT0001")["tries"] == len(listener.got)


def test_notice_is_given_up_after_the_schedule(world, books, listener, until):
    world.control("/control/wechat/conditions", {"notice_factor": 0.0})
    listener.status = 404
    place(books, "GIVEUP0001", listener.url)
    world.control("/control/wechat/pay", {"out_trade_no": "GIVEUP0001"})
    until(lambda: notice_of(world, "GIVEUP0001")["state"] == "given_up", 15)
    assert len(listener.got) == 16


def test_dropped_and_duplicated_notices(world, books, listener):
    world.control("/control/wechat/faults", {"drop_notices": 1, "path": listener.url})
    place(books, "DROPPED001", listener.url)
    world.control("/control/wechat/pay", {"out_trade_no": "DROPPED001"})
    dropped = notice_of(world, "DROPPED001")
    assert dropped["state"] == "dropped"
    world.control("/control/wechat/faults", {"duplicate_notices": 1, "path": listener.url})
    world.control("/control/wechat/notices/send-again", {"notice_id": dropped["notice_id"]})
    listener.wait(2)
    assert {json.loads(body)["id"] for _, body in listener.got} == {dropped["notice_id"]}


def test_a_probe_goes_before_the_notice_and_its_answer_is_kept(world, books, listener, until):
    listener.status = 401
    world.control("/control/wechat/faults", {"probe_notices": 1})
    place(books, "PROBE00001", listener.url)
    world.control("/control/wechat/pay", {"out_trade_no": "PROBE00001"})
    until(lambda: notice_of(world, "PROBE00001")["tries"] == 1)
    assert notice_of(world, "PROBE00001")["probe_status"] == 401
    signatures = [headers["Wechatpay-Signature"] for headers, _ in listener.got]
    assert [each.startswith("WECHATPAY/SIGNTEST/") for each in signatures] == [True, False]


def test_a_row_that_crosses_the_day_is_in_the_next_bill(world, books):
    for number in ("CROSS00001", "CROSS00002"):
        place(books, number)
        world.control("/control/wechat/pay", {"out_trade_no": number})
    today = clock.business_date(clock.now())
    closed = world.control("/control/wechat/close-day", {"date": today.isoformat(), "kinds": ["cross_day"]})
    tomorrow = (today + timedelta(days=1)).isoformat()
    world.control("/control/wechat/close-day", {"date": tomorrow, "kinds": []})
    moved = closed["planted"][0]["transaction_id"]
    bills = world._directory / "bills"
    assert moved not in (bills / f"{today}-1900000109-ALL.csv").read_text()
    assert moved in (bills / f"{tomorrow}-1900000109-ALL.csv").read_text()


def test_payer_page_pays_cancels_and_explains(world, books):
    for number in ("PAGE000001", "PAGE000002"):
        place(books, number)
    prs = [books.order("1900000109", number).pr for number in ("PAGE000001", "PAGE000002")]
    with httpx.Client(base_url=world.url, trust_env=False) as browser:
        page = browser.get(f"/pay/{prs[0]}", params={"redirect_url": 'javascript:alert("x")'})
        assert "微信支付模拟器" in page.text
        assert "¥ 0.05" in page.text
        assert "javascript" not in page.text
        assert "已取消" in browser.post(f"/pay/{prs[1]}", data={"decision": "cancel"}).text
        assert books.order("1900000109", "PAGE000002").trade_state == "NOTPAY"
        assert "支付成功" in browser.post(f"/pay/{prs[0]}", data={"decision": "pay"}).text
        assert books.order("1900000109", "PAGE000001").trade_state == "SUCCESS"
        assert "已支付" in browser.post(f"/pay/{prs[0]}", data={"decision": "pay"}).text
        assert browser.get("/pay/nobody").status_code == 404


def test_faults_strike_as_often_as_asked_and_where():
    faults = Faults(path="/refund/", answer_5xx=2, read_lag=-1)
    assert [faults.strikes("answer_5xx", "/v3/refund/x") for _ in range(3)] == [True, True, False]
    assert not faults.strikes("read_lag", "/v3/pay/x")
    assert all(faults.strikes("read_lag", "/v3/refund/x") for _ in range(3))


def test_control_refuses_what_it_does_not_know(world, enrolled):
    for path, body in (
        ("/control/wechat/faults", {"weather": 1}),
        ("/control/wechat/pay", {"out_trade_no": "NOBODY0001"}),
        ("/control/wechat/merchants", {"mchid": "../x", "appid": "a", "serial_no": "s"}),
        ("/control/wechat/notices/send-again", {"notice_id": "x"}),
    ):
        with pytest.raises(httpx.HTTPStatusError):
            world.control(path, body)


def test_merchant_keys_are_checked(tmp_path):
    wechat = WeChat(Store(tmp_path))
    merchant = Merchant(mchid="1", appid="a", serial_no="s", public_key_pem=wechat.key.public_pem, api_v3_key="k" * 32)
    wechat.register(merchant)
    for wrong in ({"api_v3_key": "short"}, {"public_key_pem": "nonsense"}):
        facts = {name: getattr(merchant, name) for name in merchant.__struct_fields__} | wrong
        with pytest.raises(WireError):
            wechat.register(Merchant(**facts))
    wechat.store.close()


def test_platform_key_is_made_once_and_private(tmp_path):
    first, second = PlatformKey(tmp_path), PlatformKey(tmp_path)
    assert first.key_id == second.key_id
    assert (tmp_path / "wechat-platform-key.pem").stat().st_mode & 0o777 == 0o600
    assert seal("x", api_v3_key="k" * 32, associated_data="t") != seal("x", api_v3_key="k" * 32, associated_data="t")


_PROCESS = """
import sys, time
from pathlib import Path
from yimatong.sandbox.local import LocalWorld
with LocalWorld(Path(sys.argv[1])) as world:
    print(world.url, world.control_url, flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def process(directory) -> Iterator[tuple[str, str]]:
    """A simulator in a process of its own, killed at the end."""
    running = subprocess.Popen([sys.executable, "-c", _PROCESS, directory], stdout=subprocess.PIPE, text=True)
    try:
        url, control_url = running.stdout.readline().split()
        yield url, control_url
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()


async def place_on_the_wire(url: str, merchant, notify_url: str) -> int:
    from yimatong.payments.channels.wechat import signing

    order = {"appid": "wx88", "mchid": merchant.mchid, "description": "d", "out_trade_no": "KILLED0001"}
    body = json.dumps(order | {"notify_url": notify_url, "amount": {"total": 7}})
    authorization = signing.authorization(
        merchant_id=merchant.mchid,
        serial_no=merchant.serial_no,
        private_key_pem=merchant.private_key_pem,
        method="POST",
        target="/v3/pay/transactions/native",
        body=body,
        now=clock.now(),
        nonce="n1",
    )
    async with Outbound() as outbound:
        address = f"{url}/v3/pay/transactions/native"
        headers = {"Authorization": authorization}
        return (await outbound.send("x", "POST", address, body=body.encode(), headers=headers)).status


def test_a_killed_simulator_goes_on_where_it_was(tmp_path, listener):
    listener.status = 500
    with process(tmp_path) as (url, control):
        merchant = enrol(control, mchid="1900000109", appid="wx88")
        call_control(control, "/control/wechat/conditions", {"notice_factor": 0.01})
        assert asyncio.run(place_on_the_wire(url, merchant, listener.url)) == 200
        call_control(control, "/control/wechat/pay", {"out_trade_no": "KILLED0001"})
        listener.wait(1)
    listener.status = 204
    before = len(listener.got)
    with process(tmp_path) as (_, control):
        listener.wait(before + 1)
        orders = call_control(control, "/control/wechat/orders?trade_state=SUCCESS")
        assert [(each["out_trade_no"], each["total_fen"]) for each in orders] == [("KILLED0001", 7)]
        assert call_control(control, "/control/wechat/platform-key")["platform_key_id"] == merchant.platform_key_id
