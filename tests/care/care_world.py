"""What happens in a hospital and at a resident's phone, on the wire: codes, visits, bills, payments, and the worker.

``Ward`` drives hospital 1 and one app by the client that integrators get; money comes by the simulated WeChat Pay. The
worker's outbox is delivered when a test says so.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest
from core_world import HOSPITAL, make_resident

from yimatong.apps import worker
from yimatong.apps.assembly import assemble
from yimatong.kit import clock
from yimatong.kit.outbox import Relay
from yimatong.kit.settings import Settings
from yimatong.payments import ledger
from yimatong.payments import tasks as payments
from yimatong.sandbox.local import LocalWorld
from yimatong_sdk import ApiError, Client


@pytest.fixture(scope="module")
def settings(plain_settings: Settings, world: LocalWorld) -> Settings:
    """Every channel that the journeys use is in this module's own world."""
    return msgspec.structs.replace(
        plain_settings,
        alipay_gateway_url=f"{world.url}/alipay/gateway.do",
        credit_base_url=f"{world.url}/credit",
        commercial_base_url=f"{world.url}/commercial",
    )


@pytest.fixture(scope="module")
def client(core_url: str, secrets_of: dict[str, str]) -> Iterator[Callable[[str], Client]]:
    """Return a client of a caller that waits long: sixteen ask at once on a machine that has other work."""
    opened: dict[str, Client] = {}

    def of(caller_id: str) -> Client:
        if caller_id not in opened:
            secret = secrets_of[caller_id]
            opened[caller_id] = Client(core_url, caller_id=caller_id, secret_hex=secret, retries=0, timeout_s=180)
        return opened[caller_id]

    yield of
    for each in opened.values():
        each.close()


class Ward:
    """Hospital 1 (``his``, ``kiosk``), another hospital, and two apps. Amounts in fen."""

    def __init__(self, client: Callable[[str], Client], settings: Settings, world: LocalWorld, run: Any) -> None:
        self.his, self.kiosk, self.app = client("his-1"), client("term-1"), client("app-1")
        self.other_his, self.other_app = client("his-2"), client("app-2")
        self.settings, self.world = settings, world
        self._run: Callable[[Coroutine[Any, Any, Any]], Any] = run

    def resident(self, name: str = "张三丰", *, apps: tuple[Client, ...] = ()) -> str:
        """Register somebody at the app (and others) and return her VUID."""
        who = vars(make_resident(name))
        for each in (*apps, self.app):
            made = each.register_account(who, real_name="police_online")
        return str(made["vuid"])

    def mother_and_child(self) -> tuple[str, str]:
        """Register a mother at the app and at the hospital, where her child is born."""
        mother = self.resident("张大丰", apps=(self.his,))
        body = {"kind": "newborn", "sex": "1", "birth_date": "2026-03-04", "guardian_vuid": mother}
        return mother, str(self.his.call("POST", "/api/v1/accounts/without-certificate", body)["vuid"])

    def verify(self, vuid: str, purpose: str = "visit") -> str:
        """Let the hospital read a resident's code; return the record of it."""
        issuer = self.app
        try:
            code = issuer.issue_code(vuid, code_class="visit")
        except ApiError:
            code = self.his.issue_code(vuid, code_class="visit")
        return str(self.his.verify_code(code["text"], purpose=purpose)["record_id"])

    def visit(self, vuid: str, **more: Any) -> Any:
        body = {
            "visit_no": f"V{secrets.token_hex(5)}",
            "verification_id": self.verify(vuid),
            "vuid": vuid,
            "department": "内科",
        }
        return self.his.call("POST", "/api/v1/visits", body | more)

    def admit(self, vuid: str) -> Any:
        body = {
            "admission_no": f"A{secrets.token_hex(5)}",
            "verification_id": self.verify(vuid),
            "vuid": vuid,
            "department": "外科",
            "ward": "三病区",
            "bed": "12",
        }
        return self.his.call("POST", "/api/v1/admissions", body)

    def deposit(self, admission_no: str, amount_fen: int) -> Any:
        body = {"bill_no": f"D{secrets.token_hex(5)}", "amount_fen": amount_fen}
        return self.his.call("POST", f"/api/v1/admissions/{admission_no}/deposits", body)

    def settle(self, admission_no: str, total_fen: int, settlement_no: str = "") -> Any:
        body = {"settlement_no": settlement_no or f"S{secrets.token_hex(5)}", "total_fen": total_fen}
        return self.his.call("POST", f"/api/v1/admissions/{admission_no}/settlement", body)

    def bill(self, visit_no: str, total_fen: int = 10000, **more: Any) -> Any:
        body = {
            "visit_no": visit_no,
            "bill_no": f"B{secrets.token_hex(5)}",
            "description": "门诊缴费",
            "items": [{"name": "西药费", "amount_fen": total_fen}],
            "total_fen": total_fen,
        }
        return self.his.create_bill(body | more)

    def of_resident(self, vuid: str, total_fen: int = 10000, **more: Any) -> Any:
        return self.bill(self.visit(vuid)["visit_no"], total_fen, **more)

    def start(self, client: Client, order_no: str) -> Any:
        return client.call("POST", f"/api/v1/orders/{order_no}/attempts", {"channel": "wechat", "scene": "native"})

    def pay(self, order_no: str, client: Client | None = None) -> None:
        """Pay an order with WeChat, and deliver what the rest is told of it."""
        started = self.start(client or self.his, order_no)
        self.world.control("/control/wechat/pay", {"out_trade_no": started["attempt_no"]})
        assert self.his.call("POST", f"/api/v1/orders/{order_no}/refresh")["state"] == "paid"
        self.work()

    def work(self, *, until_refunded: bool = False) -> None:
        """Run the worker's steps until nothing is left to deliver; refunds are taken to their end if wanted."""
        self._run(self._work(until_refunded=until_refunded))

    async def _work(self, *, until_refunded: bool) -> None:
        parts = assemble(self.settings)
        relay = Relay(parts.db, worker.handlers(parts))
        try:
            if until_refunded:
                await payments.run_due(parts.desk, now=clock.now())
                for each in self.world.control("/control/wechat/refunds"):
                    if each["status"] == "PROCESSING":
                        body = {"mchid": each["mchid"], "out_refund_no": each["out_refund_no"], "status": "SUCCESS"}
                        self.world.control("/control/wechat/settle-refund", body)
                self.sql("UPDATE payments_refund SET next_ask_at = now() WHERE next_ask_at IS NOT NULL")
                await payments.run_due(parts.desk, now=clock.now())
            while await relay.deliver_due(now=clock.now()):
                pass
        finally:
            await parts.close()

    def bill_state(self, bill_no: str) -> str:
        return str(self.his.call("GET", f"/api/v1/bills/{bill_no}")["state"])

    def read_stay(self, admission_no: str) -> Any:
        return self.his.call("GET", f"/api/v1/admissions/{admission_no}")

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.settings.database_url, autocommit=True) as connection:
            done = connection.execute(statement, values)
            return done.fetchall() if done.description else []

    def balances(self) -> dict[str, int]:
        """Return what the ledger's accounts of hospital 1 hold."""

        async def read() -> dict[str, int]:
            parts = assemble(self.settings)
            async with parts.db.read() as connection:
                found = await ledger.balances(connection, institution_id=HOSPITAL)
            await parts.close()
            return found

        return dict(self._run(read()))


@pytest.fixture(scope="module")
def ward(
    client: Callable[[str], Client], settings: Settings, world: LocalWorld, merchant: None, run_async: Any
) -> Ward:
    return Ward(client, settings, world, run_async)


def refused(call: Callable[[], Any]) -> tuple[int, str]:
    """Return (status, code) of a call that must be refused."""
    with pytest.raises(ApiError) as error:
        call()
    return error.value.http_status, error.value.code


def together(calls: list[Callable[[], Any]]) -> list[Any]:
    """Make calls at once, each in its own thread, and return what each gave: an answer, or the refusal."""
    gate = threading.Barrier(len(calls))

    def one(call: Callable[[], Any]) -> Any:
        gate.wait()
        try:
            return call()
        except ApiError as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))
