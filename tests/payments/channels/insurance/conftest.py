"""A hospital at the simulated insurance and our adapter; real HTTP between them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta

import msgspec
import pytest

from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import BillLine, Insured, PresettledPart, PresettleRequest
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    Part,
    PaymentIntent,
    PlacedPayment,
    RefundRequest,
    Scene,
)
from yimatong.payments.channels.insurance.channel import MedicalInsurance
from yimatong.sandbox.medical.enrolment import institution_keys

CODE = "H61010000001"


@pytest.fixture(scope="module")
def account(world) -> ChannelAccount:
    """A hospital's account at the insurance, by default with the mobile payment centre."""
    institution, private_key = institution_keys(fixmedins_code=CODE)
    shown = world.control("/control/insurance/institutions", msgspec.to_builtins(institution))
    return ChannelAccount(
        account_id="insurance-1",
        institution_id="hospital-1",
        channel="insurance",
        merchant_id=CODE,
        app_id=institution.app_id,
        secrets={
            "private_key": Secret(private_key),
            "app_secret": Secret(institution.app_secret),
            "platform_public_key": Secret(shown["platform_public_key"]),
        },
        profile={"fixmedins_code": CODE},
    )


@pytest.fixture(scope="module")
def hospital(account) -> ChannelAccount:
    """The same hospital with the hospital interface."""
    return msgspec.structs.replace(account, profile={"fixmedins_code": CODE, "driver": "hospital"})


@pytest.fixture(params=["mobile", "hospital"])
def either(request, account, hospital) -> ChannelAccount:
    return {"mobile": account, "hospital": hospital}[request.param]


@pytest.fixture(autouse=True)
def _quiet(world) -> Iterator[None]:
    yield
    world.control("/control/insurance/faults", {})


@pytest.fixture
async def channel(world) -> AsyncIterator[MedicalInsurance]:
    async with Outbound(read_s=1.0) as outbound:
        yield MedicalInsurance(outbound, f"{world.url}/insurance")


@pytest.fixture
def post(world) -> Callable[..., object]:
    async def call(path: str, body: object = None) -> object:
        return await asyncio.to_thread(world.control, f"/control/insurance/{path}", body)

    return call


def somebody(name: str = "王小明") -> Insured:
    return Insured(name=name, id_type="01", id_number=f"6101{secrets.randbelow(10**14):014d}", credential="id")


def order_no() -> str:
    return f"P{secrets.randbelow(10**20):020d}"


def bill_of(amount_fen: int = 10_000, *, insured: Insured | None = None, number: str = "") -> PresettleRequest:
    number = number or order_no()
    first = amount_fen // 3
    return PresettleRequest(
        leg_no=f"{number}L01",
        order_no=number,
        institution_id="hospital-1",
        visit_no=f"V{number[1:12]}",
        description="门诊缴费",
        lines=(
            BillLine(name="西药费", amount_fen=first, code="XA01"),
            BillLine(name="检查费", amount_fen=amount_fen - first, code="001"),
        ),
        amount_fen=amount_fen,
        insured=insured or somebody(),
        placed_at=clock.now(),
    )


def intent_of(request: PresettleRequest, part: PresettledPart, sequence: int = 1) -> PaymentIntent:
    return PaymentIntent(
        attempt_no=f"{request.order_no}A{sequence:02d}",
        amount_fen=part.amount_fen,
        description="门诊缴费",
        expires_at=clock.now() + timedelta(minutes=30),
        notify_url="",
        scene=Scene.DIRECT,
        placed_at=clock.now(),
        part=Part.INSURANCE,
        references=part.references,
        components=part.components,
    )


def placed_of(intent: PaymentIntent, settled: ChannelPayment | None = None, *, ago_s: int = 0) -> PlacedPayment:
    return PlacedPayment(
        attempt_no=intent.attempt_no,
        amount_fen=intent.amount_fen,
        scene=intent.scene,
        placed_at=intent.placed_at - timedelta(seconds=ago_s),
        expires_at=intent.expires_at,
        part=intent.part,
        channel_trade_no=settled.channel_trade_no if settled else "",
        references=intent.references,
    )


def refund_of(payment: PlacedPayment, number: int = 1, **parts: int) -> RefundRequest:
    return RefundRequest(
        refund_no=f"{payment.attempt_no[:21]}R{number:02d}",
        payment=payment,
        refund_fen=sum(parts.values()),
        reason="退费",
        notify_url="",
        asked_at=clock.now(),
        components=parts,
    )


def later(moment: datetime | None = None) -> datetime:
    """More than a minute on: what was sent is not on its way any more. Both sides bear five minutes."""
    return (moment or clock.now()) + timedelta(seconds=61)


class Tools:
    """What tests make their questions with."""

    somebody = staticmethod(somebody)
    bill_of = staticmethod(bill_of)
    intent_of = staticmethod(intent_of)
    placed_of = staticmethod(placed_of)
    refund_of = staticmethod(refund_of)
    later = staticmethod(later)
    order_no = staticmethod(order_no)


@pytest.fixture(scope="session")
def make() -> type[Tools]:
    return Tools
