from __future__ import annotations

import msgspec
import pytest

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import Presettling
from yimatong.payments.channels.base import Part, PaymentStatus, RefundStatus, Scene
from yimatong.payments.channels.insurance.credentials import CredentialAsked, Shown
from yimatong.payments.errors import AccountUnusable, ChannelAlreadyPaid, ChannelBusy, ChannelRefused


async def presettled(channel, account, make, amount_fen=10_000, **more):
    request = make.bill_of(amount_fen, **more)
    part = await channel.presettle(account, request, now=clock.now())
    return request, part, make.intent_of(request, part)


async def settled(channel, account, make, amount_fen=10_000, **more):
    _, part, intent = await presettled(channel, account, make, amount_fen, **more)
    action = await channel.start(account, intent, now=clock.now())
    return part, intent, action.settled


def test_it_is_an_insurance(channel):
    assert isinstance(channel, Presettling)
    assert (channel.name, channel.part, channel.scenes) == ("insurance", Part.INSURANCE, {Scene.DIRECT})


async def test_whole_life(channel, account, make):
    part, intent, paid = await settled(channel, account, make)
    assert (part.amount_fen, part.components) == (8000, {"fund_fen": 6000, "account_fen": 2000})
    assert (paid.status, paid.amount_fen, paid.components) == (PaymentStatus.SUCCEEDED, 8000, part.components)
    assert (paid.merchant_id, paid.app_id, paid.attempt_no) == (
        account.merchant_id,
        account.app_id,
        intent.attempt_no,
    )
    placed = make.placed_of(intent, paid)
    assert (await channel.query(account, placed, now=clock.now())).components == part.components
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(account, placed, now=clock.now())
    first = await channel.refund(account, make.refund_of(placed, 1, fund_fen=1000), now=clock.now())
    assert (first.status, first.refund_fen) == (RefundStatus.SUCCEEDED, 1000)
    rest = make.refund_of(placed, 2, fund_fen=5000, account_fen=2000)
    assert (await channel.refund(account, rest, now=clock.now())).status is RefundStatus.SUCCEEDED
    after = await channel.query(account, placed, now=clock.now())
    assert (after.status, after.amount_fen) == (PaymentStatus.REFUNDED, 8000)


@pytest.mark.parametrize("amount_fen", [1, 2, 3, 99, 101, 12_345, 100_000_001])
async def test_total_is_fund_account_and_own_part(channel, account, make, amount_fen):
    _, part, _ = await presettled(channel, account, make, amount_fen)
    own_fen = amount_fen - part.amount_fen
    assert part.amount_fen == sum(part.components.values())
    assert own_fen >= 0
    assert part.references["ownPayAmt"] == f"{own_fen // 100}.{own_fen % 100:02d}"
    assert "account_fen" not in part.components or part.components["account_fen"] <= 200_000


async def test_account_is_left_alone_where_the_hospital_says_so(channel, account, make):
    without = msgspec.structs.replace(account, profile={**account.profile, "account_used": "0"})
    part, _, paid = await settled(channel, without, make)
    assert part.components == paid.components == {"fund_fen": 6000}


async def test_asking_and_settling_again_moves_nothing_more(channel, account, make, post):
    request, part, intent = await presettled(channel, account, make)
    again = await channel.presettle(account, request, now=clock.now())
    assert (again.components, again.references["payOrdId"]) == (part.components, part.references["payOrdId"])
    other = make.bill_of(9_999, insured=request.insured, number=request.order_no)
    with pytest.raises(ChannelRefused):
        await channel.presettle(account, other, now=clock.now())
    first = await channel.start(account, intent, now=clock.now())
    assert (await channel.start(account, intent, now=clock.now())) == first
    made = [each for each in await post("settlements") if each["memo"] == intent.attempt_no]
    assert len(made) == 1
    assert part.amount_fen == first.settled.amount_fen


async def test_who_is_not_insured_and_whose_credential_it_is_not(channel, account, make, post):
    with pytest.raises(ChannelRefused):
        await channel.presettle(account, make.bill_of(insured=make.somebody("假名字")), now=clock.now())
    other = make.somebody("李四")
    token = await post("credentials", {"id_number": other.id_number, "name": other.name})
    stolen = msgspec.structs.replace(make.somebody(), credential="ecert", credential_no=Secret(token["value"]))
    with pytest.raises(ChannelRefused) as refused:
        await channel.presettle(account, make.bill_of(insured=stolen), now=clock.now())
    assert refused.value.facts["channel_code"] == "CREDENTIAL_OF_ANOTHER"


@pytest.mark.parametrize(
    ("kind", "credential"), [("ecToken", "ecert"), ("payAuthNo", "pay_auth"), ("setlCode", "setl_code")]
)
async def test_every_credential_pays(channel, account, make, post, kind, credential):  # noqa: PLR0917 -- fixtures
    person = make.somebody()
    shown = await post("credentials", {"id_number": person.id_number, "name": person.name, "kind": kind})
    insured = msgspec.structs.replace(person, credential=credential, credential_no=Secret(shown["value"]))
    part, _, paid = await settled(channel, account, make, insured=insured)
    assert paid.components == part.components
    if kind == "payAuthNo":
        assert part.references["payAuthNo"] == shown["value"]


async def test_credentials_are_exchanged_both_ways(channel, account, make):
    person = make.somebody()
    asked = CredentialAsked(
        shown=Shown.CERTIFICATE, name=person.name, id_type=person.id_type, id_number=person.id_number
    )
    facts = await channel.exchange(account, asked, now=clock.now())
    assert facts.expires_at > clock.now()
    for shown, value in ((Shown.TOKEN, facts.token), (Shown.SETTLEMENT_CODE, facts.settlement_code)):
        back = await channel.exchange(account, CredentialAsked(shown=shown, value=value), now=clock.now())
        assert (str(back.name), str(back.id_number), back.psn_no) == (person.name, person.id_number, facts.psn_no)
    assert person.id_number not in repr(facts)
    with pytest.raises(ChannelRefused):
        await channel.exchange(account, CredentialAsked(shown=Shown.TOKEN, value=Secret("nobody's")), now=clock.now())


async def test_an_expired_credential_does_not_pay(channel, account, make, post):
    person = make.somebody()
    shown = await post("credentials", {"id_number": person.id_number, "name": person.name, "minutes": 0})
    insured = msgspec.structs.replace(person, credential="ecert", credential_no=Secret(shown["value"]))
    with pytest.raises(ChannelRefused):
        await channel.presettle(account, make.bill_of(insured=insured), now=clock.now())


async def test_a_lost_answer_is_found_by_asking(channel, account, make, post):
    _, part, intent = await presettled(channel, account, make)
    await post("faults", {"lost_answers": 1, "hang_s": 2.0, "path": "pay_order"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, intent, now=clock.now())
    found = await channel.query(account, make.placed_of(intent), now=clock.now())
    assert (found.status, found.components) == (PaymentStatus.SUCCEEDED, part.components)


async def test_a_request_that_never_arrived_is_pending_and_can_be_revoked(channel, account, make):
    _, _, intent = await presettled(channel, account, make)
    placed = make.placed_of(intent)
    assert (await channel.query(account, placed, now=clock.now())).status is PaymentStatus.PENDING
    await channel.close(account, placed, now=clock.now())
    await channel.close(account, placed, now=clock.now())
    assert (await channel.query(account, placed, now=clock.now())).status is PaymentStatus.CLOSED
    with pytest.raises(ChannelRefused):
        await channel.start(account, intent, now=clock.now())


async def test_an_order_that_nobody_uploaded_is_absent(channel, account, make):
    _, _, intent = await presettled(channel, account, make)
    unknown = msgspec.structs.replace(
        make.placed_of(intent), references={**intent.references, "payOrdId": "ORD-NOBODY"}
    )
    assert (await channel.query(account, unknown, now=clock.now())).status is PaymentStatus.ABSENT


@pytest.mark.parametrize("fault", ["answer_5xx", "garbage", "unsigned_answers", "wrong_signatures", "old_answers"])
@pytest.mark.parametrize("path", ["pay_order", "query_order_info", "refund_Order", "uldFeeInfo"])
async def test_what_is_not_signed_is_not_believed(channel, account, make, post, fault, path):  # noqa: PLR0917 -- fixtures
    if path == "uldFeeInfo":
        await post("faults", {fault: 1, "path": path})
        with pytest.raises(PartyOutcomeUnknown):
            await presettled(channel, account, make)
        return
    _, _, intent = await presettled(channel, account, make)
    placed = make.placed_of(intent)
    if path != "pay_order":
        await channel.start(account, intent, now=clock.now())
    await post("faults", {fault: 1, "path": path})
    calls = {
        "pay_order": lambda: channel.start(account, intent, now=clock.now()),
        "query_order_info": lambda: channel.query(account, placed, now=clock.now()),
        "refund_Order": lambda: channel.refund(account, make.refund_of(placed, fund_fen=100), now=clock.now()),
    }
    with pytest.raises(PartyOutcomeUnknown):
        await calls[path]()
    await post("faults", {})
    assert (await channel.query(account, placed, now=clock.now())).status in (
        PaymentStatus.PENDING,
        PaymentStatus.SUCCEEDED,
    )


async def test_a_busy_centre_did_nothing(channel, account, make, post):
    _, _, intent = await presettled(channel, account, make)
    await post("faults", {"busy": 1})
    with pytest.raises(ChannelBusy):
        await channel.start(account, intent, now=clock.now())


async def test_another_split_is_taken_back_before_anybody_is_told(channel, account, make, post):
    _, _, intent = await presettled(channel, account, make)
    await post("faults", {"split_changes": 1})
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, intent, now=clock.now())
    assert refused.value.facts["channel_code"] == "SPLIT_CHANGED"
    (made,) = [each for each in await post("settlements") if each["memo"] == intent.attempt_no]
    assert made["state"] == "cancelled"
    assert (await channel.query(account, make.placed_of(intent), now=clock.now())).status is PaymentStatus.CLOSED


async def test_another_split_that_cannot_surely_be_taken_back_is_unknown_until_closed(channel, account, make, post):
    _, _, intent = await presettled(channel, account, make)
    await post("faults", {"split_changes": 1, "refund_exceptional": 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(account, intent, now=clock.now())
    placed = make.placed_of(intent)
    with pytest.raises(PartyOutcomeUnknown):
        await channel.close(account, placed, now=clock.now())
    await post("finish-refund", {"app_refd_sn": f"{intent.attempt_no}X"})
    await channel.close(account, placed, now=clock.now())
    assert (await channel.query(account, placed, now=clock.now())).status is PaymentStatus.CLOSED


async def test_a_changed_balance_changes_the_split(channel, account, make, post):
    person = make.somebody()
    _, _, intent = await presettled(channel, account, make, insured=person)
    known = next(each for each in await post("people") if each["id_number"] == person.id_number)
    await post("people", {**known, "balance_fen": 5})
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, intent, now=clock.now())
    assert refused.value.facts["channel_code"] == "SPLIT_CHANGED"
    after = next(each for each in await post("people") if each["id_number"] == person.id_number)
    assert after["balance_fen"] == 5


async def test_a_deductible_counts_once_and_comes_back(channel, account, make, post):
    person = make.somebody()
    await post(
        "people", {"id_number": person.id_number, "name": person.name, "deductible_fen": 4000, "account_percent": 0}
    )
    part, intent, paid = await settled(channel, account, make, insured=person)
    assert part.components == {"fund_fen": 3600}
    again, _, _ = await settled(channel, account, make, insured=person)
    assert again.components == {"fund_fen": 6000}
    placed = make.placed_of(intent, paid)
    await channel.refund(account, make.refund_of(placed, fund_fen=3600), now=clock.now())
    third, _, _ = await settled(channel, account, make, insured=person)
    assert third.components == {"fund_fen": 3600}


async def test_settling_later_is_pending_until_then(channel, account, make, post):
    _, part, intent = await presettled(channel, account, make)
    await post("faults", {"settles_later": 1})
    action = await channel.start(account, intent, now=clock.now())
    assert action.settled.status is PaymentStatus.PENDING
    with pytest.raises(ChannelRefused):
        await channel.close(account, make.placed_of(intent), now=clock.now())
    await post("settle", {"pay_ord_id": part.references["payOrdId"]})
    assert (await channel.query(account, make.placed_of(intent), now=clock.now())).status is PaymentStatus.SUCCEEDED


async def test_a_lagging_reader_says_pending_and_then_succeeded(channel, account, make, post):
    _, intent, paid = await settled(channel, account, make)
    await post("faults", {"read_lag": 1})
    placed = make.placed_of(intent, paid)
    assert (await channel.query(account, placed, now=clock.now())).status is PaymentStatus.PENDING
    assert (await channel.query(account, placed, now=clock.now())).status is PaymentStatus.SUCCEEDED


async def test_settled_and_then_taken_back_by_the_centre_is_closed(channel, account, make, post):
    part, intent, paid = await settled(channel, account, make)
    await post("take-back", {"pay_ord_id": part.references["payOrdId"]})
    assert (await channel.query(account, make.placed_of(intent, paid), now=clock.now())).status is PaymentStatus.CLOSED


async def test_another_attempt_of_the_same_order_is_not_this_one(channel, account, make):
    request, part, first = await presettled(channel, account, make)
    second = make.intent_of(request, part, 2)
    assert (await channel.start(account, second, now=clock.now())).settled.status is PaymentStatus.SUCCEEDED
    assert (await channel.query(account, make.placed_of(first), now=clock.now())).status is PaymentStatus.CLOSED
    with pytest.raises(ChannelRefused):
        await channel.start(account, first, now=clock.now())


async def test_refunds_stay_within_each_component(channel, account, make, post):
    _, intent, paid = await settled(channel, account, make)
    placed = make.placed_of(intent, paid)
    twice = make.refund_of(placed, 1, account_fen=1500)
    assert await channel.refund(account, twice, now=clock.now()) == await channel.refund(
        account, twice, now=clock.now()
    )
    for parts in ({"account_fen": 501}, {"fund_fen": 6001}):
        with pytest.raises(ChannelRefused):
            await channel.refund(account, make.refund_of(placed, 2, **parts), now=clock.now())
    with pytest.raises(ChannelRefused):
        await channel.refund(account, make.refund_of(placed, 1, account_fen=400), now=clock.now())
    wrong = msgspec.structs.replace(make.refund_of(placed, 3, fund_fen=10), refund_fen=11)
    with pytest.raises(ChannelRefused) as refused:
        await channel.refund(account, wrong, now=clock.now())
    assert refused.value.facts["channel_code"] == "INVALID_REQUEST"
    assert (
        sum(each["account_fen"] for each in await post("refunds") if each["pay_ord_id"] == paid.channel_trade_no)
        == 1500
    )


async def test_how_a_refund_stands(channel, account, make, post):
    _, intent, paid = await settled(channel, account, make)
    placed = make.placed_of(intent, paid)
    lost, failed, odd = (make.refund_of(placed, number, fund_fen=100) for number in (1, 2, 3))
    assert (await channel.query_refund(account, lost, now=clock.now())).status is RefundStatus.ABSENT
    await post("faults", {"lost_answers": 1, "hang_s": 2.0, "path": "refund_Order"})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.refund(account, lost, now=clock.now())
    found = await channel.query_refund(account, lost, now=clock.now())
    assert (found.status, found.refund_fen) == (RefundStatus.SUCCEEDED, 100)
    await post("faults", {"refund_fails": 1})
    assert (await channel.refund(account, failed, now=clock.now())).status is RefundStatus.CLOSED
    await post("faults", {"refund_exceptional": 1})
    assert (await channel.refund(account, odd, now=clock.now())).status is RefundStatus.PROCESSING
    await post("finish-refund", {"app_refd_sn": odd.refund_no})
    assert (await channel.query_refund(account, odd, now=clock.now())).status is RefundStatus.SUCCEEDED


async def test_without_a_list_of_refunds_only_the_whole_is_known(channel, account, make, post):
    _, intent, paid = await settled(channel, account, make)
    placed = make.placed_of(intent, paid)
    part, whole = make.refund_of(placed, 1, fund_fen=100), make.refund_of(placed, 2, fund_fen=6000, account_fen=2000)
    await post("faults", {"no_list": -1})
    assert (await channel.query_refund(account, part, now=clock.now())).status is RefundStatus.PROCESSING
    await channel.refund(account, whole, now=clock.now())
    assert (await channel.query_refund(account, whole, now=clock.now())).status is RefundStatus.SUCCEEDED


async def test_an_account_that_lacks_a_key_sends_nothing(channel, account, make):
    for name in account.secrets:
        poor = msgspec.structs.replace(account, secrets={k: v for k, v in account.secrets.items() if k != name})
        with pytest.raises(AccountUnusable):
            await channel.presettle(poor, make.bill_of(), now=clock.now())
    odd = msgspec.structs.replace(account, profile={"driver": "carrier pigeon"})
    with pytest.raises(AccountUnusable):
        await channel.presettle(odd, make.bill_of(), now=clock.now())


async def test_the_secret_may_be_the_signer_id(channel, account, make, world):
    institution = {
        "fixmedins_code": "H61010000009",
        "app_id": "A" * 32,
        "app_secret": str(account.secrets["app_secret"]),
        "public_key": world_public(account),
        "signer": "app_secret",
    }
    world.control("/control/insurance/institutions", institution)
    other = msgspec.structs.replace(
        account, merchant_id="H61010000009", app_id="A" * 32, profile={"sm2_user_id": "app_secret"}
    )
    part, _, paid = await settled(channel, other, make)
    assert paid.components == part.components
    with pytest.raises(PartyOutcomeUnknown):  # the centre's refusal is signed for the other id
        await presettled(channel, msgspec.structs.replace(other, profile={}), make)


def world_public(account) -> str:
    from yimatong.crypto.gm import sm2

    return sm2.public_key(bytes.fromhex(str(account.secrets["private_key"]))).hex()
