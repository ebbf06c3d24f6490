"""Electronic receipts with the simulated e-bill platform on the wire: once, red ones, lost answers, drawn pages."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import httpx
import pypdfium2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from yimatong.access.caller import PLATFORM
from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.kit.outbox import Relay
from yimatong.payments import returning
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene
from yimatong.payments.errors import ChannelRefused, OrderNotFound, ReceiptNotIssued
from yimatong.payments.orders.schemas import Item
from yimatong.payments.receipts import drawing, queries, service, slips, tasks
from yimatong.payments.receipts.issuer import (
    FinancePlatform,
    Garbled,
    IssuedReceipt,
    ReceiptContent,
    ReceiptLine,
    decode,
)
from yimatong.payments.receipts.schemas import DepositSlip, NamedSlip, Stay
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund
from yimatong.sandbox.signed import APP_ID, SECRET_HEX

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
CONTENT = ReceiptContent(
    kind="blue",
    form="outpatient",
    institution_id="hospital-1",
    institution_name="第一医院",
    payer="王芳",
    insurance="自费",
    order_no="P20261123834137392902",
    request_no="P20261123834137392902",
    lines=(ReceiptLine(name="西药费", quantity=1, amount_fen=1234),),
    amount_fen=1234,
    paid_fen={"own_fen": 1234},
    at=clock.now(),
)
NUMBERS = IssuedReceipt(
    receipt_code="61060126",
    receipt_no="0000000123",
    check_code="a1b2c3",
    issued_at=clock.now(),
    check_url="https://receipts.example.gov.cn/check?code=61060126&no=0000000123&check=a1b2c3",
)


STAY = Stay(
    admission_no="A0963997720",
    department="外科",
    admitted_at=clock.now() - timedelta(days=12),
    settled_at=clock.now(),
    prepaid_fen=1500,
    due_fen=0,
    back_fen=266,
    items=(Item(name="床位费", amount_fen=1234),),
)


@pytest.fixture
async def issuer(world):
    async with Outbound(read_s=1.0) as outbound:
        yield platform(outbound, f"{world.url}/receipts")
    world.control("/control/parties/receipts/behaviour", {})


def platform(outbound, url, secret=SECRET_HEX):
    return FinancePlatform(outbound, base_url=url, app_id=APP_ID, secret_hex=Secret(secret))


@pytest.fixture
def relay(desk, issuer):
    """Deliver what receipts are due; later ones too, so that a pause of the schedule need not be waited for."""
    made = Relay(desk.db, tasks.handlers(desk.db, desk.vault, issuer, now=clock.now))

    async def deliver(later_s: float = 0) -> int:
        return await made.deliver_due(now=clock.now() + timedelta(seconds=later_s))

    return deliver


@pytest.fixture
def paid(desk, place, control):
    async def make(amount_fen: int = 1234) -> str:
        order_no = await place(amount_fen)
        begun = await cashier.start_attempt(desk, order_no, NATIVE, now=clock.now())
        await control("faults", {"drop_notices": -1})
        await control("pay", {"out_trade_no": begun.attempt_no})
        assert (await cashier.refresh(desk, order_no, now=clock.now())).state == "paid"
        return order_no

    return make


@pytest.fixture
def give_back(desk, control, callers):
    async def make(order_no: str, amount_fen: int) -> str:
        await control("faults", {"drop_notices": -1})
        new = NewRefund(order_no=order_no, request_no=f"r-{amount_fen}", amount_fen=amount_fen, reason="退药")
        async with desk.db.transaction() as connection:
            made = await refunds.ask(connection, new, caller=callers.his(1), now=clock.now())
        for _ in range(300):
            await returning.ask_refund(desk, made.refund_no, now=clock.now())
            async with desk.db.read() as connection:
                state = await connection.execute(
                    text("SELECT state FROM payments_refund WHERE refund_no = :r"), {"r": made.refund_no}
                )
                if state.scalar_one() == "succeeded":
                    return str(made.refund_no)
            await asyncio.sleep(0.1)
        pytest.fail("the refund did not succeed")

    return make


async def receipts_of(desk, order_no):
    async with desk.db.read() as connection:
        return (await queries.of_order(connection, order_no, scope=PLATFORM)).receipts


async def behave(world, **how):
    await asyncio.to_thread(world.control, "/control/parties/receipts/behaviour", how)


async def kept(world, order_no):
    issued = await asyncio.to_thread(world.control, "/control/receipts")
    return [each for each in issued if each["request_no"].startswith(order_no)]


async def test_a_paid_order_has_one_receipt_that_anybody_can_check(desk, paid, relay, world):
    order_no = await paid()
    with pytest.raises(ReceiptNotIssued):
        await receipts_of(desk, order_no)
    await relay()
    (found,) = await receipts_of(desk, order_no)
    assert (found.state, found.kind, found.amount_fen) == ("issued", "blue", 1234)
    assert found.amount_in_words == "壹拾贰元叁角肆分"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(found.check_url)).json()["genuine"] == 1
        assert (await client.get(found.check_url.replace(f"check={found.check_code}", "check=x"))).json()[
            "genuine"
        ] == 0
    await service.ask(desk.db, desk.vault, None, {"order_no": order_no}, now=clock.now())  # told again: nobody is asked
    assert len(await kept(world, order_no)) == 1


async def test_a_dead_issuer_is_asked_again_and_holds_up_nobody(desk, paid, relay, world):
    await behave(world, state="down")
    order_no = await paid()
    await relay()
    assert [each.state for each in await receipts_of(desk, order_no)] == ["asked"]
    await behave(world, lost_answers=1)
    await relay(5)
    assert [each.state for each in await receipts_of(desk, order_no)] == ["asked"]
    assert len(await kept(world, order_no)) == 1  # it was issued, and its answer was lost
    await relay(60)
    (found,) = await receipts_of(desk, order_no)
    assert (found.state, found.receipt_no) == ("issued", (await kept(world, order_no))[0]["receipt_no"])
    assert len(await kept(world, order_no)) == 1


async def test_refunds_turn_red_after_the_receipt_and_never_more(desk, paid, relay, give_back, world):
    order_no = await paid(1000)
    await behave(world, state="down")
    numbers = [await give_back(order_no, fen) for fen in (400, 600)]
    await relay()
    await behave(world)
    for later_s in (5, 10, 30, 60, 120):
        await relay(later_s)
    found = await receipts_of(desk, order_no)
    assert [(each.kind, each.amount_fen) for each in found] == [("blue", 1000), ("red", -400), ("red", -600)]
    assert {each.request_no for each in found[1:]} == set(numbers)
    assert found[1].amount_in_words == "负肆元整"
    assert sum(each["amount_fen"] for each in await kept(world, order_no)) == 0
    async with desk.db.read() as connection:
        issued = await queries.issued(connection, desk.vault, order_no, scope=PLATFORM)
    assert len(pypdfium2.PdfDocument(drawing.pdf(issued.receipts))) == 3


async def test_a_refusal_is_kept_in_sight_and_not_asked_again(desk, paid, issuer, world):
    order_no = await paid()
    sold = replace(CONTENT, request_no=order_no, order_no=order_no)
    await issuer.issue(sold, now=clock.now())  # somebody else has used the number for another content
    await service.ask(desk.db, desk.vault, issuer, {"order_no": order_no}, now=clock.now())
    (found,) = await receipts_of(desk, order_no)
    assert (found.state, found.cause) == ("refused", "NUMBER_USED")
    async with desk.db.read() as connection:
        with pytest.raises(ReceiptNotIssued):
            await queries.issued(connection, desk.vault, order_no, scope=PLATFORM)


async def test_another_hospital_sees_no_receipt(desk, paid, relay, callers):
    order_no = await paid()
    await relay()
    async with desk.db.read() as connection:
        with pytest.raises(OrderNotFound):
            await queries.of_order(connection, order_no, scope=callers.his(2).scope)


async def test_the_payer_s_name_is_sealed(desk, paid, relay):
    order_no = await paid()
    await relay()
    async with desk.db.read() as connection:
        row = await queries.row_of(connection, order_no, order_no)
    assert b"hospital-1" not in row.content_sealed
    assert service.NO_NAME.encode() not in row.content_sealed


async def test_what_the_platform_refuses(issuer):
    fresh = replace(CONTENT, request_no=f"R{clock.now().timestamp()}")
    for wrong, code in (
        (replace(fresh, amount_fen=1235), "BAD_REQUEST"),
        (replace(fresh, paid_fen={"own_fen": 1}), "BAD_REQUEST"),
        (red(fresh, "61060126", "9999999999"), "NO_ORIGINAL"),
    ):
        with pytest.raises(ChannelRefused) as refused:
            await issuer.issue(wrong, now=clock.now())
        assert refused.value.facts["channel_code"] == code
    for wrong in (
        replace(fresh, form="inpatient"),
        replace(fresh, stay=STAY),
        replace(fresh, form="inpatient", stay=replace(STAY, back_fen=265)),
    ):
        with pytest.raises(ChannelRefused):
            await issuer.issue(wrong, now=clock.now())
    stay = replace(fresh, form="inpatient", stay=STAY, request_no=f"{fresh.request_no}-stay")
    assert (await issuer.issue(stay, now=clock.now())).receipt_code.startswith("610602")
    made = await issuer.issue(fresh, now=clock.now())
    assert await issuer.issue(fresh, now=clock.now()) == made
    whole = red(fresh, made.receipt_code, made.receipt_no)
    await issuer.issue(replace(whole, request_no=f"{fresh.request_no}-1"), now=clock.now())
    with pytest.raises(ChannelRefused) as refused:
        await issuer.issue(replace(whole, request_no=f"{fresh.request_no}-2"), now=clock.now())
    assert refused.value.facts["channel_code"] == "TOO_MUCH"


def red(content, code, number):
    lines = tuple(replace(line, amount_fen=-line.amount_fen) for line in content.lines)
    return replace(
        content,
        kind="red",
        lines=lines,
        amount_fen=-content.amount_fen,
        paid_fen={name: -fen for name, fen in content.paid_fen.items()},
        original_code=code,
        original_no=number,
    )


async def test_an_answer_with_another_secret_is_not_believed(world):
    async with Outbound(read_s=1.0) as outbound:
        with pytest.raises(PartyOutcomeUnknown):
            await platform(outbound, f"{world.url}/receipts", "ab" * 32).issue(CONTENT, now=clock.now())
        with pytest.raises(PartyUnreachable):
            await platform(outbound, "http://127.0.0.1:9").issue(CONTENT, now=clock.now())


values = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.integers(), max_size=2)
TOLD = {
    "request_no": CONTENT.request_no,
    "institution_id": "hospital-1",
    "amount_fen": 1234,
    "receipt_code": "61060126",
    "receipt_no": "0000000123",
    "check_code": "a1b2c3",
    "issued_at": "2026-11-30T10:00:00+08:00",
    "check_url": "https://receipts.example.gov.cn/check",
}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=120)
    | st.dictionaries(st.sampled_from(sorted(TOLD)), values, max_size=3).map(
        lambda change: json.dumps({"code": "OK", "receipt": TOLD | change}).encode()
    )
)
def test_an_answer_is_of_this_receipt_or_garbled(body):
    try:
        found = decode(body, CONTENT)
    except Garbled:
        return
    if isinstance(found, IssuedReceipt):
        assert found.receipt_no.isdigit()
        assert found.check_url.startswith("http")
        assert found.issued_at.tzinfo is not None


LONG = "注射用头孢哌酮钠舒巴坦钠（1.5g×10瓶，进口，冷链配送，限二线用药，含处方调剂费及特殊药品登记费用，详见处方）"


@pytest.mark.parametrize("count", [1, 2, 11, 12, 40, 200])
def test_every_item_stands_on_a_page_and_nothing_leaves_it(count):
    fen = 999_999_999 // count
    lines = tuple(
        ReceiptLine(name=LONG * 2 if number % 4 == 0 else "西药费", quantity=1, amount_fen=fen)
        for number in range(count)
    )
    content = replace(
        CONTENT,
        form="inpatient",
        stay=replace(STAY, department=LONG, admission_no="A" * 64),
        lines=lines,
        amount_fen=fen * count,
        institution_name="陕西省人民医院" * 8,
        payer=LONG,
    )
    pages = drawing.pages(content, NUMBERS)
    shown = [each.text for page in pages for each in page.texts]
    assert [str(number + 1) for number in range(count)] == [
        each.text for page in pages for each in page.texts if each.x_mm == 13.5 and each.text.isdigit()
    ]
    assert sum(each.startswith("金额合计（大写）：") for each in shown) == 1
    for once in ("预缴金额：15.00", "补缴金额：0.00", "退费金额：2.66"):
        assert shown.count(once) == 1
    assert all(any(each.text.startswith("住院号：AAAA") for each in page.texts) for page in pages)
    for page in pages:
        assert all(0 < each.y_mm < page.height_mm - 3 for each in page.texts)
        assert all(rule.y_mm + rule.height_mm < page.height_mm - 8 for rule in page.rules)
    document = pypdfium2.PdfDocument(drawing.pdf([(content, NUMBERS)]))
    assert len(document) == len(pages)
    for page in document:
        picture = page.render(scale=1).to_pil().convert("L")
        wide, high = picture.size
        margins = [picture.crop((0, 0, 12, high)), picture.crop((wide - 12, 0, wide, high))]
        assert min(margin.getextrema()[0] for margin in margins) > 200  # nothing is printed there


def test_the_slip_of_a_deposit_says_that_it_is_no_receipt():
    slip = DepositSlip(
        order_no=CONTENT.order_no,
        source_id="D" * 64,
        amount_fen=3_000_000,
        amount_in_words="叁万元整",
        used_fen=2_000_000,
        returned_fen=500,
        held_fen=999_500,
        channel="wechat",
        channel_trade_no="4" * 64,
        paid_at=clock.now(),
    )
    named = NamedSlip(slip=slip, institution_name="陕西省人民医院" * 8, payer=LONG)
    shown = [each.text for each in slips.page(named).texts]
    assert {slips.NO_RECEIPT, "支付方式：微信支付", "预交金余额：¥9,995.00"} <= set(shown)
    document = pypdfium2.PdfDocument(drawing.pdf([(CONTENT, NUMBERS)], named))
    assert len(document) == 2
    picture = document[0].render(scale=1).to_pil().convert("L")
    wide, high = picture.size
    assert picture.crop((wide - 12, 0, wide, high)).getextrema()[0] > 200
