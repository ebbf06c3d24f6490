"""docs/channels.md, proven: a channel unknown to the platform, one file and one entry, carries an order."""

from __future__ import annotations

import asyncio
import dataclasses
import http.server
import json
import re
import sys
import threading
from pathlib import Path

import httpx
import pytest

from yimatong.access.caller import PLATFORM, Caller
from yimatong.crypto.devices.soft import SoftDevice
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.crypto.vault import Vault
from yimatong.kit import clock
from yimatong.kit.db import Database
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.kit.settings import Settings
from yimatong.payments import accounts, asking, ledger, returning
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.abilities import Agreeing, Presettling, TokenGiving
from yimatong.payments.channels.base import ChannelAccount, PaymentChannel, Scene
from yimatong.payments.channels.registry import CHANNELS
from yimatong.payments.orders import queries as orders
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund

sys.path.insert(0, str(Path(__file__).parent))
from notice_routes import notice_routes
from tiny_channel import Vouchers

SECRET = "1d" * 32
PASSPHRASE = "a passphrase of the tests"
HOSPITAL = "hospital-1"
ENTRY = {"voucher": lambda outbound, _settings: Vouchers(outbound)}
"""The one entry that ``channels/registry.py`` would get."""


class Office:
    """The office on the wire: places, shuts, returns; its page pays and tells the platform."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, object]] = {}
        self.notify: dict[str, str] = {}
        self.told: list[int] = []
        office = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers["x-sign"] != _sign(body):
                    self.send_error(401)
                    return
                self._give(json.dumps(office.work(self.path.strip("/"), json.loads(body))).encode())

            def do_GET(self) -> None:
                office.pay(self.path.rsplit("/", 1)[1])
                self._give(b"paid")

            def _give(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("x-sign", _sign(body))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def work(self, verb, asked):
        number = asked["number"]
        if verb == "place":
            self.notify[number] = asked["notify_url"]
            self.rows.setdefault(number, {"state": "waiting", "amount_fen": asked["amount_fen"]})
        if verb == "return":
            self.rows.setdefault(number, {"state": "returned", "amount_fen": asked["amount_fen"]})
        if verb == "shut" and self.rows[number]["state"] == "waiting":
            self.rows[number] |= {"state": "shut"}
        return {"number": number, "state": "none", "office_no": f"V-{number}"} | self.rows.get(number, {})

    def pay(self, number):
        if self.rows[number]["state"] == "waiting":
            self.rows[number] |= {"state": "paid"}
        body = json.dumps({"number": number, "office_no": f"V-{number}"} | self.rows[number]).encode()
        for signature in ("00" * 32, _sign(body)):  # a forgery first
            reply = httpx.post(self.notify[number], content=body, headers={"x-sign": signature}, trust_env=False)
            self.told.append(reply.status_code)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _sign(body: bytes) -> str:
    return hmac_sm3(bytes.fromhex(SECRET), body).hex()


@pytest.fixture(scope="module")
def office():
    made = Office()
    yield made
    made.close()


@pytest.fixture(scope="module")
async def voucher_desk(desk, keystore, database_url, serve, office):
    async with Outbound(read_s=2.0) as outbound:
        channels = {name: make(outbound, None) for name, make in ENTRY.items()}

        def build():
            own = dataclasses.replace(
                desk,
                db=Database(database_url),
                vault=Vault(SoftDevice.open(keystore, PASSPHRASE, production=False), issuer="610000"),
                channels=channels,
            )

            return notice_routes(own)

        account = ChannelAccount(
            account_id=f"voucher-{HOSPITAL}",
            institution_id=HOSPITAL,
            channel="voucher",
            merchant_id="V1",
            app_id="",
            secrets={"secret_hex": Secret(SECRET)},
            profile={"url": office.url},
        )
        async with desk.db.transaction() as connection:
            await accounts.put_account(connection, desk.vault, account, now=clock.now())
        yield dataclasses.replace(desk, channels=dict(desk.channels) | channels, notify_base=serve(build))


async def state(desk, order_no):
    async with desk.db.read() as connection:
        return (await orders.find(connection, order_no, scope=PLATFORM)).state


async def paid_order(desk, office, place):
    order_no = await place(1234)
    begun = await cashier.start_attempt(desk, order_no, NewAttempt(channel="voucher", scene=Scene.H5), now=clock.now())
    assert begun.redirect_url.startswith(office.url)
    office.told.clear()
    await asyncio.to_thread(httpx.get, begun.redirect_url, trust_env=False)
    return order_no


def test_the_name_is_new_and_the_file_fits_the_port():
    assert "voucher" not in CHANNELS
    verbs = [name for name in vars(PaymentChannel) if not name.startswith("_")]
    assert all(callable(getattr(Vouchers, name)) for name in verbs if name not in ("name", "scenes"))


async def test_an_order_is_paid_through_it_by_notice(voucher_desk, office, place):
    order_no = await paid_order(voucher_desk, office, place)
    assert office.told == [401, 200]  # the forged notice, the genuine one
    assert await state(voucher_desk, order_no) == "paid"
    async with voucher_desk.db.read() as connection:
        assert sum((await ledger.balances(connection)).values()) == 0


async def test_the_money_goes_back_by_the_same_way(voucher_desk, office, place):
    order_no = await paid_order(voucher_desk, office, place)
    caller = Caller(caller_id="his-1", kind="institution", name="HIS", institution_id=HOSPITAL)
    wanted = NewRefund(order_no=order_no, request_no=order_no, amount_fen=1234, reason="退号")
    async with voucher_desk.db.transaction() as connection:
        asked = await refunds.ask(connection, wanted, caller=caller, now=clock.now())
    await returning.ask_refund(voucher_desk, asked.refund_no, now=clock.now())
    assert await state(voucher_desk, order_no) == "refunded"
    assert office.rows[asked.refund_no]["state"] == "returned"


async def test_an_order_that_is_closed_cannot_be_paid_there(voucher_desk, office, place):
    order_no = await place(1234)
    begun = await cashier.start_attempt(
        voucher_desk, order_no, NewAttempt(channel="voucher", scene=Scene.H5), now=clock.now()
    )
    await asking.close_order(voucher_desk, order_no, now=clock.now())
    assert await state(voucher_desk, order_no) == "closed"
    assert office.rows[begun.attempt_no]["state"] == "shut"


def test_the_table_of_channels_is_the_registry():
    """docs/channels.md names every channel with its scenes and abilities."""
    text = (Path(__file__).parents[3] / "docs/channels.md").read_text("utf-8")
    told = {
        name: (set(re.findall(r"`(\w+)`", scenes)), set(re.findall(r"`([A-Z]\w+)`", besides)))
        for name, scenes, besides in re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|([^|]*)\|$", text, re.MULTILINE)
    }
    settings = Settings(data=Path(), database_url="", keystore=Path(), web_session_key="")
    made = {name: make(Outbound(), settings) for name, make in CHANNELS.items()}
    abilities = (Presettling, Agreeing, TokenGiving)
    assert told == {
        name: (set(map(str, channel.scenes)), {each.__name__ for each in abilities if isinstance(channel, each)})
        for name, channel in made.items()
    }
