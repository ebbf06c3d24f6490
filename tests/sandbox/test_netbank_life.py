"""The simulated banks, met by a merchant and a browser that are written here, without the platform's adapter."""

from __future__ import annotations

import base64
import re
import secrets
from datetime import datetime, timedelta, timezone
from urllib.parse import parse_qs

import httpx
import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from yimatong.sandbox.local import LocalWorld
from yimatong.sandbox.netbank.enrolment import merchant_keys

BEIJING = timezone(timedelta(hours=8))


class Shop:
    """A merchant of the simulated ICBC."""

    def __init__(self, world) -> None:
        self.world = world
        self.row, pem = merchant_keys(bank="icbc", mer_id="0200EC20000001", mer_acct="0200", name="示范医院")
        self.key = load_pem_private_key(pem.encode(), password=None)
        shown = world.control("/control/netbank/merchants", msgspec.to_builtins(self.row))
        self.bank_key = load_pem_public_key(shown["bank_public_key_pem"].encode())

    def order(self, mer_url, *, orderid="", moment=None, amount="1234"):
        stamp = f"{moment or datetime.now(BEIJING):%Y%m%d%H%M%S}"
        return (
            '<?xml version="1.0" encoding="GBK" standalone="no"?><B2CReq>'
            "<interfaceName>ICBC_PERBANK_B2C</interfaceName><interfaceVersion>1.0.0.11</interfaceVersion>"
            f"<orderInfo><orderDate>{stamp}</orderDate><curType>001</curType><merID>{self.row.mer_id}</merID>"
            f"<subOrderInfoList><subOrderInfo><orderid>{orderid or secrets.token_hex(8)}</orderid>"
            f"<amount>{amount}</amount><installmentTimes>1</installmentTimes><merAcct>0200</merAcct><goodsID/>"
            "<goodsName>门诊缴费</goodsName></subOrderInfo></subOrderInfoList></orderInfo>"
            f"<message><merURL>{mer_url}</merURL><merVAR>v1</merVAR></message></B2CReq>"
        ).encode("gbk")

    def bring(self, document, **change):
        fields = {
            "interfaceName": "ICBC_PERBANK_B2C",
            "interfaceVersion": "1.0.0.11",
            "tranData": base64.b64encode(document).decode(),
            "merSignMsg": base64.b64encode(self.key.sign(document, padding.PKCS1v15(), SHA256())).decode(),
            "merCert": self.row.mer_cert,
        }
        return httpx.post(f"{self.world.url}/netbank/icbc/pay", data=fields | change, trust_env=False)

    def decide(self, page, decision="pay"):
        action = re.search(r'action="([^"]+)"', page.text)[1]
        return httpx.post(self.world.url + action, data={"decision": decision}, trust_env=False, timeout=15)

    def opened(self, body):
        form = {name: value[0] for name, value in parse_qs(body.decode()).items()}
        document = base64.b64decode(form["notifyData"])
        self.bank_key.verify(base64.b64decode(form["signMsg"]), document, padding.PKCS1v15(), SHA256())
        with pytest.raises(InvalidSignature):
            self.bank_key.verify(base64.b64decode(form["signMsg"]), document + b" ", padding.PKCS1v15(), SHA256())
        return form["merVAR"], document.decode("gbk")


@pytest.fixture
def shop(world):
    world.control("/control/netbank/faults", {})
    world.control("/control/netbank/conditions", {})
    return Shop(world)


def test_the_payer_waits_for_the_merchant_and_the_notice_is_signed(shop, listener):
    listener.status = 200
    page = shop.bring(shop.order(listener.url))
    assert "¥ 12.34" in page.text
    assert "模拟工商银行" in page.text
    result = shop.decide(page)
    assert "支付成功" in result.text
    mer_var, document = shop.opened(listener.got[0][1])  # it is here before the page was shown
    assert mer_var == "v1"
    assert "<amount>1234</amount>" in document
    assert "<tranStat>1</tranStat><comment>交易成功！</comment>" in document


def test_the_merchant_that_does_not_answer_makes_the_payer_wait_and_hears_again(shop, listener, until):
    listener.status = 500
    shop.world.control("/control/netbank/conditions", {"notice_factor": 0.001})
    assert "支付成功" in shop.decide(shop.bring(shop.order(listener.url))).text
    listener.wait(2)
    listener.status = 200
    until(lambda: shop.world.control("/control/netbank/notices")[-1]["state"] == "delivered")


def test_a_dropped_notice_is_sent_by_hand(shop, listener):
    shop.world.control("/control/netbank/faults", {"drop_notices": 1, "path": listener.url})
    shop.decide(shop.bring(shop.order(listener.url)))
    assert listener.got == []
    notice = shop.world.control("/control/netbank/notices")[-1]
    assert notice["state"] == "dropped"
    shop.world.control("/control/netbank/notices/send-again", {"notice_id": notice["notice_id"]})
    listener.wait(1)


def test_orders_out_of_their_hour_twice_or_changed_are_not_taken(shop, listener):
    now = datetime.now(BEIJING)
    assert "ORDER_EXPIRED" in shop.bring(shop.order(listener.url, moment=now - timedelta(minutes=61))).text
    assert "ORDER_EXPIRED" in shop.bring(shop.order(listener.url, moment=now + timedelta(hours=13))).text
    number = secrets.token_hex(8)
    assert shop.bring(shop.order(listener.url, orderid=number)).status_code == 200
    assert "NUMBER_USED" in shop.bring(shop.order(listener.url, orderid=number, amount="1")).text
    assert "SIGN_ERROR" in shop.bring(shop.order(listener.url), merCert="AAAA").text
    assert "SIGN_ERROR" in shop.bring(shop.order(listener.url), merSignMsg=base64.b64encode(b"1").decode()).text
    assert "FORMAT_ERROR" in shop.bring(shop.order(listener.url, amount="0")).text
    assert "FORMAT_ERROR" in shop.bring(b"<B2CReq/>").text
    assert "FORMAT_ERROR" in shop.bring(shop.order(listener.url), tranData="!").text


def test_cancelling_pays_nothing(shop, listener):
    page = shop.bring(shop.order(listener.url))
    assert "已取消支付" in shop.decide(page, "cancel").text
    assert listener.got == []
    assert shop.world.control("/control/netbank/orders")[-1]["state"] == "unpaid"


def test_late_notices_do_not_hold_the_page(shop, listener):
    shop.world.control("/control/netbank/conditions", {"notice_delay_s": 3600})
    assert "支付成功" in shop.decide(shop.bring(shop.order(listener.url))).text
    assert listener.got == []
    late = shop.world.control("/control/netbank/notices")[-1]
    assert late["state"] == "pending"
    shop.world.control("/control/netbank/notices/send-again", {"notice_id": late["notice_id"]})
    listener.wait(1)


def test_books_and_key_outlive_a_restart(tmp_path, listener):
    with LocalWorld(tmp_path) as world:
        shop = Shop(world)
        world.control("/control/netbank/faults", {"drop_notices": -1})
        shop.decide(shop.bring(shop.order(listener.url)))
    with LocalWorld(tmp_path) as world:
        assert [order["state"] for order in world.control("/control/netbank/orders")] == ["paid"]
        notice = world.control("/control/netbank/notices")[0]
        world.control("/control/netbank/notices/send-again", {"notice_id": notice["notice_id"]})
        listener.wait(1)
        shop.opened(listener.got[0][1])
