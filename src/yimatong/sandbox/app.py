"""The outside world as two ASGI applications over one state: the wire (8490) and the control port (8491).

Both are served by one process and one event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.types import ASGIApp

from yimatong.sandbox import bank, bank_payments, commercial, credit, his, insurer, national, realname, receipts, signed
from yimatong.sandbox.alipay import control as alipay_control
from yimatong.sandbox.alipay import pages as alipay_pages
from yimatong.sandbox.alipay import wire as alipay_wire
from yimatong.sandbox.alipay.notify import Notifier as AlipayNotifier
from yimatong.sandbox.alipay.rows import AlipayError
from yimatong.sandbox.alipay.state import AlipayBooks
from yimatong.sandbox.bank import Bank
from yimatong.sandbox.bank_payments import QuickBank
from yimatong.sandbox.commercial import Commercial
from yimatong.sandbox.credit import Credit
from yimatong.sandbox.his import HospitalError, Hospitals
from yimatong.sandbox.insurer import Insurer
from yimatong.sandbox.medical import control as medical_control
from yimatong.sandbox.medical import hospital as medical_hospital
from yimatong.sandbox.medical import mobile as medical_mobile
from yimatong.sandbox.medical.notify import Notifier as MedicalNotifier
from yimatong.sandbox.medical.rows import InsuranceError
from yimatong.sandbox.medical.state import Insurance
from yimatong.sandbox.ncms import wire as ncms_wire
from yimatong.sandbox.ncms.agency import Agency
from yimatong.sandbox.netbank import control as netbank_control
from yimatong.sandbox.netbank import wire as netbank_wire
from yimatong.sandbox.netbank.books import NetBanks
from yimatong.sandbox.netbank.notify import Notifier as NetBankNotifier
from yimatong.sandbox.netbank.rows import BankRefusal
from yimatong.sandbox.settling.notify import Notifier as SettlingNotifier
from yimatong.sandbox.settling.rows import Refused
from yimatong.sandbox.signed import Parties, PartyError
from yimatong.sandbox.store import Store
from yimatong.sandbox.unionpay import control as unionpay_control
from yimatong.sandbox.unionpay import pages as unionpay_pages
from yimatong.sandbox.unionpay import wire as unionpay_wire
from yimatong.sandbox.unionpay.notify import Notifier as UnionPayNotifier
from yimatong.sandbox.unionpay.rows import WireError as UnionPayRefusal
from yimatong.sandbox.unionpay.state import UnionPay
from yimatong.sandbox.wechat import control, pages, wire
from yimatong.sandbox.wechat.notify import Notifier
from yimatong.sandbox.wechat.rows import WireError
from yimatong.sandbox.wechat.state import WeChat


class World:
    """Every simulated party over one journal in ``directory``."""

    def __init__(self, directory: Path) -> None:
        """Replay the journal. One process, one directory.

        Raises:
            JournalBroken: see ``sandbox.store``.
        """
        self.store = Store(directory)
        self.wechat = WeChat(self.store)
        self.alipay = AlipayBooks(self.store)
        self.his = Hospitals(self.store)
        self.parties = Parties()
        self.bank = Bank(self.store)
        self.quickpay = QuickBank(self.store, self.bank)
        self.receipts = receipts.Finance(self.store)
        self.insurer = Insurer(self.store)
        self.national = national.Index(self.store)
        self.insurance = Insurance(self.store)
        self.ncms = Agency(self.store)
        self.credit = Credit(self.store)
        self.commercial = Commercial(self.store)
        self.netbank = NetBanks(self.store)
        self.unionpay = UnionPay(self.store)

    @property
    def state(self) -> State:
        """Return what handlers find in ``request.app.state``."""
        return State(
            {
                "wechat": self.wechat,
                "alipay": self.alipay,
                "his": self.his,
                "parties": self.parties,
                "bank": self.bank,
                "quickpay": self.quickpay,
                "receipts": self.receipts,
                "insurer": self.insurer,
                "national": self.national,
                "insurance": self.insurance,
                "ncms": self.ncms,
                "credit": self.credit,
                "commercial": self.commercial,
                "netbank": self.netbank,
                "unionpay": self.unionpay,
            }
        )


@get("/health/live")
async def _live() -> dict[str, str]:
    return {"status": "ok"}


def build(world: World) -> ASGIApp:
    """Return the public wire; while it runs, notices are delivered and refunds settle."""

    @contextlib.asynccontextmanager
    async def background(_app: Litestar) -> AsyncIterator[None]:
        runs = [
            Notifier(world.wechat).run,
            AlipayNotifier(world.alipay).run,
            MedicalNotifier(world.insurance).run,
            SettlingNotifier(world.credit).run,
            SettlingNotifier(world.commercial).run,
            SettlingNotifier(world.quickpay).run,
            NetBankNotifier(world.netbank).run,
            UnionPayNotifier(world.unionpay).run,
        ]
        tasks = [asyncio.create_task(run()) for run in runs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await world.store.flush()

    handlers = [_live, *wire.HANDLERS, *pages.HANDLERS, *his.HANDLERS]
    handlers += [*alipay_wire.HANDLERS, *alipay_pages.HANDLERS]
    handlers += [*realname.HANDLERS, *bank.HANDLERS, *insurer.HANDLERS, *national.HANDLERS]
    handlers += [*credit.HANDLERS, *commercial.HANDLERS, *netbank_wire.HANDLERS, *bank_payments.HANDLERS]
    handlers += receipts.HANDLERS
    handlers += [*medical_mobile.HANDLERS, *medical_hospital.HANDLERS, *ncms_wire.HANDLERS]
    handlers += [*unionpay_wire.HANDLERS, *unionpay_pages.HANDLERS]
    return _app(handlers, world, lifespan=[background])


def build_control(world: World) -> ASGIApp:
    """Return the control port over the same world. Never exposed beyond the machine."""
    handlers = [_live, *control.HANDLERS, *his.CONTROL, *signed.CONTROL]
    handlers += alipay_control.HANDLERS
    handlers += [*credit.CONTROL, *commercial.CONTROL, *netbank_control.HANDLERS]
    handlers += [*medical_control.HANDLERS, *ncms_wire.CONTROL]
    handlers += [*unionpay_control.HANDLERS, *bank_payments.CONTROL, *receipts.CONTROL]
    return _app([*handlers, *bank.CONTROL, *insurer.CONTROL, *national.CONTROL], world)


def _app(handlers: list[Any], world: World, lifespan: list[Any] | None = None) -> Litestar:
    return Litestar(
        handlers,
        state=world.state,
        openapi_config=None,
        logging_config=None,
        lifespan=lifespan,
        exception_handlers={
            WireError: _wire_error,
            AlipayError: alipay_control.refused,
            HospitalError: _hospital_error,
            PartyError: _party_error,
            InsuranceError: _insurance_error,
            Refused: _refused,
            BankRefusal: _refused,
            UnionPayRefusal: _refused,
        },
    )


def _wire_error(_request: Request[Any, Any, Any], error: WireError) -> Response[dict[str, str]]:
    return Response({"code": error.code, "message": error.message}, status_code=error.status)


def _hospital_error(_request: Request[Any, Any, Any], error: HospitalError) -> Response[dict[str, str]]:
    return Response({"message": error.message}, status_code=error.status)


def _party_error(_request: Request[Any, Any, Any], error: PartyError) -> Response[dict[str, str]]:
    return Response({"message": error.message}, status_code=error.status, headers=error.headers)


def _insurance_error(_request: Request[Any, Any, Any], error: InsuranceError) -> Response[dict[str, str]]:
    return Response({"code": error.code, "message": error.message}, status_code=409)


def _refused(
    _request: Request[Any, Any, Any], error: Refused | BankRefusal | UnionPayRefusal
) -> Response[dict[str, str]]:
    return Response({"code": error.code, "message": error.message}, status_code=409)
