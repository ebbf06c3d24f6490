"""An order that an insurer shares: settled first, paid when both parts are there, taken back when one half fails."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets

import msgspec
import pytest
from sqlalchemy import text

from yimatong.access.caller import PLATFORM
from yimatong.kit import clock
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments import accounts, asking, ledger, returning, settlement
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import ChannelAccount, Scene
from yimatong.payments.channels.insurance.channel import MedicalInsurance
from yimatong.payments.errors import (
    AttemptUnderWay,
    LegNotOffered,
    LegPending,
    LegSettled,
    RefundExceedsPart,
)
from yimatong.payments.legs import queries as legs
from yimatong.payments.legs import service as presettling
from yimatong.payments.legs.schemas import NewLeg
from yimatong.payments.orders import queries as orders
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund, RefundPart
from yimatong.sandbox.medical.enrolment import institution_keys

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)


@pytest.fixture(scope="module")
async def insured_desk(desk, world):
    """The desk with the insurance beside WeChat Pay."""
    keys, private_key = institution_keys(fixmedins_code="H61010000077")
    shown = await asyncio.to_thread(world.control, "/control/insurance/institutions", msgspec.to_builtins(keys))
    account = ChannelAccount(
        account_id="insurance-hospital-1",
        institution_id="hospital-1",
        channel="insurance",
        merchant_id=keys.fixmedins_code,
        app_id=keys.app_id,
        secrets={
            "private_key": Secret(private_key),
            "app_secret": Secret(keys.app_secret),
            "platform_public_key": Secret(shown["platform_public_key"]),
        },
        profile={"fixmedins_code": keys.fixmedins_code},
    )
    async with desk.db.transaction() as connection:
        await accounts.put_account(connection, desk.vault, account, now=clock.now())
    async with Outbound(read_s=1.5) as way:
        insurance = MedicalInsurance(way, f"{world.url}/insurance")
        yield dataclasses.replace(desk, channels={**desk.channels, "insurance": insurance})


@pytest.fixture(autouse=True)
def quiet(world):
    yield
    world.control("/control/insurance/faults", {})


@pytest.fixture
def faults(world):
    async def put(**faults):
        await asyncio.to_thread(world.control, "/control/insurance/faults", faults)

    return put


def somebody() -> NewLeg:
    number = f"6101{secrets.randbelow(10**14):014d}"
    return NewLeg(channel="insurance", name="王小明", id_type="01", id_number=number)


async def shared(desk, order_no: str):
    return await presettling.presettle(desk, order_no, somebody(), now=clock.now())


async def view(desk, order_no: str):
    async with desk.db.read() as connection:
        return await orders.find(connection, order_no, scope=PLATFORM)


async def stands(desk, order_no: str):
    async with desk.db.read() as connection:
        return (await legs.shared(connection, order_no, scope=PLATFORM)).legs[0].state


async def balances(desk, order_no: str) -> dict[str, int]:
    async with desk.db.read() as connection:
        rows = await connection.execute(
            text("SELECT account, sum(amount_fen) FROM payments_ledger_entry WHERE order_no = :o GROUP BY 1"),
            {"o": order_no},
        )
        found = {row[0]: int(row[1]) for row in rows}
        assert sum((await ledger.balances(connection)).values()) == 0
    return {name: fen for name, fen in found.items() if fen}


async def paid(desk, control, order_no: str) -> None:
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await control("pay", {"out_trade_no": begun.attempt_no})
    await asking.ask_attempt(desk, begun.attempt_no, now=clock.now())


async def test_both_parts_pay_the_order(insured_desk, place, control) -> None:
    desk, order_no = insured_desk, await place(10_000)
    split = await shared(desk, order_no)
    assert (split.cash_fen, split.legs[0].components) == (2000, {"fund_fen": 6000, "account_fen": 2000})
    await paid(desk, control, order_no)
    found = await view(desk, order_no)
    assert (found.state, found.paid_fen, found.channel) == ("paid", 10_000, "wechat")
    assert await stands(desk, order_no) == "settled"
    assert await balances(desk, order_no) == {
        "channel:wechat:hospital-1": 2000,
        "channel:insurance:hospital-1": 8000,
        "hospital:hospital-1:receivable": -10_000,
    }


async def test_the_payers_part_waits_for_the_insurer(insured_desk, place, faults, control) -> None:
    desk, order_no = insured_desk, await place(10_000)
    await shared(desk, order_no)
    await faults(lost_answers=1, hang_s=3.0, path="pay_order")
    with pytest.raises((LegPending, *asking.SILENT)):
        await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    with pytest.raises(AttemptUnderWay):
        await shared(desk, order_no)
    assert (await view(desk, order_no)).state == "paying"
    await cashier.refresh(desk, order_no, now=clock.now())
    assert await stands(desk, order_no) == "settled"
    with pytest.raises(LegSettled):
        await shared(desk, order_no)
    await paid(desk, control, order_no)
    assert (await view(desk, order_no)).state == "paid"


async def closed(desk, order_no: str) -> str:
    for _ in range(5):
        state = await asking.close_order(desk, order_no, now=clock.now())
        if state == "closed":
            break
        for each in (await view(desk, order_no)).refunds:
            await returning.ask_refund(desk, each.refund_no, now=clock.now())
    return state


async def test_closing_takes_the_insurers_part_back(insured_desk, place) -> None:
    desk, order_no = insured_desk, await place(10_000)
    await shared(desk, order_no)
    await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    assert await closed(desk, order_no) == "closed"
    found = await view(desk, order_no)
    assert [(each.kind, each.part, each.amount_fen, each.state) for each in found.refunds] == [
        ("reversal", "insurance", 8000, "succeeded")
    ]
    assert (found.paid_fen, found.refunded_fen) == (0, 0)
    assert await stands(desk, order_no) == "reversed"
    assert await balances(desk, order_no) == {}


async def test_money_that_comes_while_the_insurers_part_goes_back_is_late(
    insured_desk, place, account, said, faults
) -> None:
    desk, order_no = insured_desk, await place(10_000)
    await shared(desk, order_no)
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    assert await asking.close_order(desk, order_no, now=clock.now()) == "closing"
    money = said(begun.attempt_no, 2000)
    await settlement.settle(desk.db, await account(), money, cause="query", now=clock.now())
    found = await view(desk, order_no)
    assert (found.state, found.paid_fen, found.late_fen) == ("closing", 0, 2000)
    assert {each.kind for each in found.refunds} == {"reversal", "late"}


async def test_an_insurer_is_left_out_again(insured_desk, place, control) -> None:
    desk, order_no = insured_desk, await place(10_000)
    await shared(desk, order_no)
    async with desk.db.transaction() as connection:
        again = await presettling.drop(connection, order_no, "insurance", now=clock.now())
    assert (again.cash_fen, again.legs[0].state) == (10_000, "dropped")
    await paid(desk, control, order_no)
    assert (await view(desk, order_no)).state == "paid"
    other = msgspec.structs.replace(somebody(), channel="wechat")
    with pytest.raises(LegNotOffered):
        await presettling.presettle(desk, order_no, other, now=clock.now())


async def test_an_old_attempt_of_the_whole_amount_is_not_taken_for_the_rest(
    insured_desk, place, account, said, control
) -> None:
    desk, order_no = insured_desk, await place(10_000)
    begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
    await cashier.take_back(desk, order_no, now=clock.now())
    await shared(desk, order_no)
    await settlement.settle(desk.db, await account(), said(begun.attempt_no, 10_000), cause="query", now=clock.now())
    found = await view(desk, order_no)
    assert (found.state, found.late_fen) == ("created", 10_000)
    await paid(desk, control, order_no)
    assert (await view(desk, order_no)).state == "paid"


async def test_refunds_by_part(insured_desk, place, control, callers) -> None:
    desk, order_no = insured_desk, await place(10_000)
    await shared(desk, order_no)
    await paid(desk, control, order_no)

    async def ask(number: str, amount_fen: int, **more):
        new = NewRefund(order_no=order_no, request_no=number, amount_fen=amount_fen, reason="退费", **more)
        async with desk.db.transaction() as connection:
            return await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())

    with pytest.raises(RefundExceedsPart):
        await ask("r-0", 2001)
    wanted = [RefundPart(part="insurance", amount_fen=1500, components={"fund_fen": 1500})]
    first = await ask("r-1", 1500, parts=wanted)
    rest = await ask("r-2", 8500)
    assert (first.part, len(rest.together)) == ("insurance", 2)
    assert await ask("r-2", 8500) == rest
    for _ in range(300):
        for number in (*first.together, *rest.together):
            await returning.ask_refund(desk, number, now=clock.now())
        found = await view(desk, order_no)
        if found.state == "refunded":
            break
        await asyncio.sleep(0.1)
    assert (found.state, found.refunded_fen) == ("refunded", 10_000)
    assert await balances(desk, order_no) == {}
