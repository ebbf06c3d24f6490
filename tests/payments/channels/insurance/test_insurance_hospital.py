from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from yimatong.kit import clock
from yimatong.kit.clock import business_date
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import BillKind, PaymentStatus, RefundStatus
from yimatong.payments.channels.insurance.bills import COLUMNS
from yimatong.payments.channels.insurance.hospital import msgid
from yimatong.payments.errors import BillBroken, BillNotOffered, BillNotReady, ChannelAlreadyPaid, ChannelRefused


async def presettled(channel, hospital, make, amount_fen=10_000, **more):
    request = make.bill_of(amount_fen, **more)
    part = await channel.presettle(hospital, request, now=clock.now())
    return request, part, make.intent_of(request, part)


async def settled(channel, hospital, make, amount_fen=10_000, **more):
    _, part, intent = await presettled(channel, hospital, make, amount_fen, **more)
    action = await channel.start(hospital, intent, now=clock.now())
    return part, intent, action.settled


async def test_whole_life(channel, hospital, make, post):
    part, intent, paid = await settled(channel, hospital, make)
    assert part.components == paid.components == {"fund_fen": 6000, "account_fen": 2000}
    assert (paid.status, paid.amount_fen) == (PaymentStatus.SUCCEEDED, 8000)
    placed = make.placed_of(intent, paid)
    assert (await channel.query(hospital, placed, now=clock.now())) == paid
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(hospital, placed, now=clock.now())
    with pytest.raises(ChannelRefused) as refused:
        await channel.refund(hospital, make.refund_of(placed, fund_fen=6000), now=clock.now())
    assert refused.value.facts["channel_code"] == "WHOLE_ONLY"
    whole = make.refund_of(placed, fund_fen=6000, account_fen=2000)
    assert (await channel.query_refund(hospital, whole, now=clock.now())).status is RefundStatus.PROCESSING
    assert (await channel.query_refund(hospital, whole, now=make.later())).status is RefundStatus.ABSENT
    back = await channel.refund(hospital, whole, now=clock.now())
    assert (back.status, back.refund_fen) == (RefundStatus.SUCCEEDED, 8000)
    assert (await channel.refund(hospital, whole, now=clock.now())).status is RefundStatus.SUCCEEDED
    assert (await channel.query_refund(hospital, whole, now=clock.now())).status is RefundStatus.SUCCEEDED
    assert (await channel.query(hospital, placed, now=clock.now())).status is PaymentStatus.REFUNDED
    (made,) = [each for each in await post("settlements") if each["setl_id"] == paid.channel_trade_no]
    assert made["state"] == "cancelled"


@pytest.mark.parametrize("amount_fen", [1, 3, 101, 54_321])
async def test_total_is_fund_account_and_own_part(channel, hospital, account, make, amount_fen):
    person = make.somebody()
    _, part, _ = await presettled(channel, hospital, make, amount_fen, insured=person)
    own_fen = amount_fen - part.amount_fen
    assert part.amount_fen == sum(part.components.values())
    assert own_fen >= 0
    by_mobile = await channel.presettle(account, make.bill_of(amount_fen, insured=person), now=clock.now())
    assert by_mobile.components == part.components


async def test_settling_again_moves_nothing_more(channel, hospital, make, post):
    request, _, intent = await presettled(channel, hospital, make)
    assert (await channel.presettle(hospital, request, now=clock.now())).components == intent.components
    first = await channel.start(hospital, intent, now=clock.now())
    assert await channel.start(hospital, intent, now=clock.now()) == first
    made = [each for each in await post("settlements") if each["memo"] == request.leg_no]
    assert len(made) == 1


async def test_a_lost_answer_is_reversed_and_never_found_settled(channel, hospital, make, post):
    request, _, intent = await presettled(channel, hospital, make)
    await post("faults", {"lost_answers": 1, "hang_s": 2.0, "path": "2207"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(hospital, intent, now=clock.now())
    young, old = make.placed_of(intent), make.later()
    assert (await channel.query(hospital, young, now=clock.now())).status is PaymentStatus.PENDING
    (made,) = [each for each in await post("settlements") if each["memo"] == request.leg_no]
    assert made["state"] == "settled"
    assert (await channel.query(hospital, young, now=old)).status is PaymentStatus.CLOSED
    assert (await channel.query(hospital, young, now=old)).status is PaymentStatus.CLOSED
    (made,) = [each for each in await post("settlements") if each["memo"] == request.leg_no]
    assert made["state"] == "reversed"
    with pytest.raises(ChannelRefused):
        await channel.start(hospital, intent, now=clock.now())


async def test_a_lost_answer_is_reversed_by_closing(channel, hospital, make, post):
    person = make.somebody()
    _, _, intent = await presettled(channel, hospital, make, insured=person)
    await post("faults", {"lost_answers": 1, "hang_s": 2.0, "path": "2207"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(hospital, intent, now=clock.now())
    await channel.close(hospital, make.placed_of(intent), now=clock.now())
    await channel.close(hospital, make.placed_of(intent), now=clock.now())
    known = next(each for each in await post("people") if each["id_number"] == person.id_number)
    assert known["balance_fen"] == 200_000
    assert (await channel.query(hospital, make.placed_of(intent), now=make.later())).status is PaymentStatus.CLOSED


async def test_what_never_arrived_is_absent_once_it_cannot_arrive_any_more(channel, hospital, make):
    _, _, intent = await presettled(channel, hospital, make)
    placed = make.placed_of(intent)
    assert (await channel.query(hospital, placed, now=clock.now())).status is PaymentStatus.PENDING
    assert (await channel.query(hospital, placed, now=make.later())).status is PaymentStatus.ABSENT


async def test_words_of_a_reversal_that_we_do_not_know_are_pending(channel, hospital, make, post):
    _, intent, paid = await settled(channel, hospital, make)
    placed = make.placed_of(intent, paid)
    whole = make.refund_of(placed, fund_fen=6000, account_fen=2000)
    await channel.refund(hospital, whole, now=clock.now())
    nameless = make.placed_of(intent)  # as if its setl_id had never been told: 2601 answers 该交易不能冲正
    assert (await channel.query(hospital, nameless, now=make.later())).status is PaymentStatus.PENDING
    with pytest.raises(PartyOutcomeUnknown):
        await channel.close(hospital, nameless, now=clock.now())
    said = msgspec.structs.replace(hospital, profile={**hospital.profile, "reversal_absent": "该交易不能冲正"})
    assert (await channel.query(said, nameless, now=make.later())).status is PaymentStatus.ABSENT


async def test_another_split_is_reversed_before_anybody_is_told(channel, hospital, make, post):
    request, _, intent = await presettled(channel, hospital, make)
    await post("faults", {"split_changes": 1})
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(hospital, intent, now=clock.now())
    assert refused.value.facts["channel_code"] == "SPLIT_CHANGED"
    (made,) = [each for each in await post("settlements") if each["memo"] == request.leg_no]
    assert made["state"] == "reversed"


async def test_another_split_whose_reversal_gets_lost_is_unknown_and_then_reversed(channel, hospital, make, post):
    person = make.somebody()
    _, _, intent = await presettled(channel, hospital, make, insured=person)
    known = next(each for each in await post("people") if each["id_number"] == person.id_number)
    await post("people", {**known, "balance_fen": 5})
    await post("faults", {"answer_5xx": 1, "path": "2601"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(hospital, intent, now=clock.now())
    assert (await channel.query(hospital, make.placed_of(intent), now=make.later())).status is PaymentStatus.CLOSED
    after = next(each for each in await post("people") if each["id_number"] == person.id_number)
    assert after["balance_fen"] == 5


@pytest.mark.parametrize(
    "fault", ["answer_5xx", "garbage", "unsigned_answers", "wrong_signatures", "old_answers", "lost_answers"]
)
@pytest.mark.parametrize("infno", ["1101", "2206", "2207", "2208", "5203"])
async def test_what_is_not_signed_is_not_believed(channel, hospital, make, post, fault, infno):  # noqa: PLR0917 -- fixtures
    if infno in ("1101", "2206"):
        await post("faults", {fault: 1, "path": infno, "hang_s": 1.2})
        with pytest.raises(PartyOutcomeUnknown):
            await presettled(channel, hospital, make)
        return
    _, _, intent = await presettled(channel, hospital, make)
    if infno == "2207":
        await post("faults", {fault: 1, "path": infno, "hang_s": 1.2})
        with pytest.raises(PartyOutcomeUnknown):
            await channel.start(hospital, intent, now=clock.now())
        return
    paid = (await channel.start(hospital, intent, now=clock.now())).settled
    placed = make.placed_of(intent, paid)
    whole = make.refund_of(placed, fund_fen=6000, account_fen=2000)
    await post("faults", {fault: 1, "path": infno, "hang_s": 1.2})
    asked = channel.refund(hospital, whole, now=clock.now()) if infno == "2208" else None
    with pytest.raises(PartyOutcomeUnknown):
        await (asked or channel.query(hospital, placed, now=clock.now()))
    await post("faults", {})
    after = await channel.refund(hospital, whole, now=clock.now())
    assert after.status is RefundStatus.SUCCEEDED


async def test_credentials_that_the_interface_takes(channel, hospital, make, post):
    person = make.somebody()
    for kind, credential in (("ecToken", "ecert"), ("setlCode", "setl_code")):
        shown = await post("credentials", {"id_number": person.id_number, "name": person.name, "kind": kind})
        insured = msgspec.structs.replace(person, credential=credential, credential_no=Secret(shown["value"]))
        part, _, _ = await settled(channel, hospital, make, insured=insured)
        assert part.references["mdtrt_cert_type"] == "01"
    odd = msgspec.structs.replace(person, credential="policy", credential_no=Secret("P1"))
    with pytest.raises(ChannelRefused) as refused:
        await presettled(channel, hospital, make, insured=odd)
    assert refused.value.facts["channel_code"] == "CREDENTIAL_NOT_TAKEN"
    other = make.somebody("李四")
    token = await post("credentials", {"id_number": other.id_number, "name": other.name})
    stolen = msgspec.structs.replace(person, credential="ecert", credential_no=Secret(token["value"]))
    with pytest.raises(PartyOutcomeUnknown):  # 1101 tells of somebody else: nothing is asked in her name
        await presettled(channel, hospital, make, insured=stolen)


def test_message_numbers_have_thirty_characters_and_are_the_same_again(hospital):
    moment = clock.now()
    numbers = {msgid(hospital, infno, "P1A01", moment=moment) for infno in ("2207", "2208", "2207")}
    assert len(numbers) == 2
    assert all(re.fullmatch(r"H61010000001\d{18}", number) for number in numbers)


async def test_the_detail_file_of_a_day_has_both_interfaces(channel, hospital, account, make, post):
    day = business_date(clock.now())
    _, first, paid = await settled(channel, hospital, make)
    _, second, by_mobile = await settled(channel, account, make, 4_000)
    await channel.refund(account, make.refund_of(make.placed_of(second, by_mobile), 1, fund_fen=400), now=clock.now())
    _, third, gone = await settled(channel, hospital, make, 2_000)
    whole = make.refund_of(make.placed_of(third, gone), 1, **dict(gone.components))
    await channel.refund(hospital, whole, now=clock.now())
    with pytest.raises(BillNotReady):
        await channel.bill(hospital, day + timedelta(days=1), now=clock.now())
    with pytest.raises(BillNotOffered):
        await channel.bill(hospital, day, kind=BillKind.FUNDS, now=clock.now())
    await post("close-day", {"date": day.isoformat()})
    text = (await channel.bill(account, day, now=clock.now())).decode()
    head, *lines = text.splitlines()
    assert head.split("\t") == list(COLUMNS)
    rows = [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]
    by_setl = [row for row in rows if row["setl_id"] == paid.channel_trade_no]
    assert [(row["fund_pay_sumamt"], row["acct_pay"], row["cash_payamt"]) for row in by_setl] == [
        ("60.00", "20.00", "20.00")
    ]
    assert by_setl[0]["msgid"] == msgid(hospital, "2207", first.attempt_no, moment=first.placed_at)
    assert [row["fund_pay_sumamt"] for row in rows if row["memo"] == second.attempt_no] == ["24.00"]
    assert [row["fund_pay_sumamt"] for row in rows if row["memo"] == f"{second.attempt_no[:21]}R01"] == ["-4.00"]
    both = [row["medfee_sumamt"] for row in rows if row["setl_id"] == gone.channel_trade_no]
    assert sorted(both) == ["-20.00", "20.00"]
    await post("faults", {"broken_bills": 1})
    with pytest.raises(BillBroken):
        await channel.bill(account, day, now=clock.now())
