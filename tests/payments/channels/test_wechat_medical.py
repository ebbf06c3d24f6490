"""Mixed orders of medical insurance and own money (医保自费混合收款), from placing to refunds."""

from __future__ import annotations

import itertools
import json

import pytest
from in_our_books import placed, refund_of
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.payments.channels.base import Part, PaymentStatus, RefundStatus, Scene
from yimatong.payments.channels.wechat import medical, signing
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.channels.wechat.keys import platform_keys
from yimatong.payments.errors import AccountUnusable, ChannelAlreadyPaid, ChannelRefused
from yimatong.sandbox.wechat.notify import envelope

PROFILE = {"med_city_id": "610100", "med_inst_no": "H61010400123", "med_inst_name": "西安市第一人民医院"}
REFERENCES = {
    "pay_order_id": "ORD610100202611230001",
    "pay_auth_no": "AUTH610100202611230001",
    "geo_location": "108.94,34.26",
    "order_created_at": "2026-11-23T09:30:00+08:00",
    "payer_name": "张三丰",
    "payer_id_number": "44030019000101123x",
}
PARTS = {"fund_fen": 600, "account_fen": 300}


@pytest.fixture
def hospital(account):
    return replace(account, profile=PROFILE)


@pytest.fixture
def whole(intent):
    def make(attempt_no: str, amount_fen: int = 1234, components=None, **more):
        facts = {"scene": Scene.JSAPI, "part": Part.WHOLE, "references": REFERENCES}
        parts = PARTS if components is None else components
        return intent(attempt_no, amount_fen, **(facts | {"components": parts} | more))

    return make


@pytest.fixture
def pay(post, account):
    async def call(number: str, **how):
        return await post("med-ins/pay", {"mchid": account.merchant_id, "out_trade_no": number} | how)

    return call


def asked(number: str, amount_fen: int = 1234):
    return placed(number, amount_fen, scene=Scene.JSAPI, part=Part.WHOLE, references=REFERENCES)


def test_the_digest_of_an_id_number_is_the_published_one():
    assert medical.id_digest("44030019000101123x") == "09eb26e839ff3a2e3980352ae45ef09e"
    assert medical.id_digest(" 44030019000101123X ") == "09eb26e839ff3a2e3980352ae45ef09e"
    # GB 11643-1999 gives 11010519491231002X as its example; its first-generation form lacks century and check digit
    assert medical.id_digest("110105491231002") == medical.id_digest("11010519491231002X")


async def test_one_password_pays_both_halves(channel, hospital, whole, pay, world):
    action = await channel.start(hospital, whole("WHOLE00001"), now=clock.now())
    params = action.sdk_params
    lines = (params["appid"], params["timeStamp"], params["nonceStr"], params["package"])
    assert params["paySign"] == signing.sign(str(hospital.secrets["private_key_pem"]), *lines)
    assert world._world.wechat.order(hospital.merchant_id, "WHOLE00001").total_fen == 334
    before = await channel.query(hospital, asked("WHOLE00001"), now=clock.now())
    assert (before.status, before.amount_fen) == (PaymentStatus.PENDING, 1234)
    await pay("WHOLE00001")
    paid = await channel.query(hospital, asked("WHOLE00001"), now=clock.now())
    assert (paid.status, paid.amount_fen, paid.app_id) == (PaymentStatus.SUCCEEDED, 1234, hospital.app_id)
    assert paid.components == {"fund_fen": 600, "account_fen": 300, "cash_fen": 334}
    assert paid.channel_trade_no == params["mixTradeNo"]
    assert paid.paid_at is not None
    with pytest.raises(ChannelAlreadyPaid):
        await channel.close(hospital, asked("WHOLE00001"), now=clock.now())


@pytest.mark.parametrize(
    ("number", "parts", "kind"),
    [
        ("KIND000001", {"fund_fen": 1000, "account_fen": 234}, "INSURANCE_ONLY"),
        ("KIND000002", {}, "CASH_ONLY"),
        ("KIND000003", {"fund_fen": 1, "other_fen": 2}, "CASH_AND_INSURANCE"),
    ],
)
async def test_the_kind_follows_from_the_parts(*, channel, hospital, whole, pay, world, number, parts, kind):
    action = await channel.start(hospital, whole(number, components=parts), now=clock.now())
    assert ("paySign" in action.sdk_params) == (kind != "INSURANCE_ONLY")
    row = world._world.wechat.mixed.get(f"{hospital.merchant_id}/{number}")
    assert json.loads(row.request)["mix_pay_type"] == kind
    await pay(number)
    paid = await channel.query(hospital, asked(number), now=clock.now())
    assert paid.status is PaymentStatus.SUCCEEDED
    assert sum(paid.components.values()) == paid.amount_fen == 1234


async def test_halves_that_differ_are_pending(channel, hospital, whole, pay):
    for number, how in (
        ("HALF000001", {"own": True, "insurance": ""}),
        ("HALF000002", {"own": False, "insurance": "SUCCESS"}),
        ("HALF000003", {"own": True, "insurance": "FAIL"}),
    ):
        await channel.start(hospital, whole(number), now=clock.now())
        await pay(number, **how)
        told = await channel.query(hospital, asked(number), now=clock.now())
        assert told.status is PaymentStatus.PENDING, number


def test_only_words_that_agree_are_final():
    own = ("SELF_PAY_CREATED", "SELF_PAY_SUCCESS", "SELF_PAY_REFUND", "SELF_PAY_FAIL", "NO_SELF_PAY", "", "?")
    insured = ("MED_INS_PAY_CREATED", "MED_INS_PAY_SUCCESS", "MED_INS_PAY_FAIL", "NO_MED_INS_PAY", "", "?")
    wholes = ("MIX_PAY_CREATED", "MIX_PAY_SUCCESS", "MIX_PAY_REFUND", "MIX_PAY_FAIL", "UNKNOWN_MIX_PAY_STATUS")
    final: dict[PaymentStatus, list[tuple[str, str, str]]] = {}
    for words in itertools.product(wholes, own, insured):
        told = medical.Mixed(
            mix_trade_no="1",
            out_trade_no="1",
            mix_pay_status=words[0],
            self_pay_status=words[1],
            med_ins_pay_status=words[2],
        )
        final.setdefault(medical.status_of(told), []).append(words)
    assert all(words[0] == "MIX_PAY_SUCCESS" for words in final[PaymentStatus.SUCCEEDED])
    assert len(final[PaymentStatus.SUCCEEDED]) == 4
    assert all("SELF_PAY_REFUND" in words for words in final[PaymentStatus.REFUNDED])
    assert all(words[0] == "MIX_PAY_FAIL" for words in final[PaymentStatus.FAILED])
    assert set(final) == {
        PaymentStatus.PENDING,
        PaymentStatus.SUCCEEDED,
        PaymentStatus.REFUNDED,
        PaymentStatus.FAILED,
    }


@pytest.mark.parametrize(("fails", "status"), [(True, PaymentStatus.FAILED), (False, PaymentStatus.CLOSED)])
async def test_closing_the_own_half_ends_the_whole(*, channel, hospital, whole, post, fails, status):
    number = f"CLOSE-{status}"
    await post("conditions", {"mixed_fails_when_closed": fails})
    await channel.start(hospital, whole(number), now=clock.now())
    await channel.close(hospital, asked(number), now=clock.now())
    await channel.close(hospital, asked(number), now=clock.now())
    assert (await channel.query(hospital, asked(number), now=clock.now())).status is status


async def test_a_whole_that_the_insurer_paid_is_not_closed_by_the_own_half(channel, hospital, whole, pay, post):
    await post("conditions", {"mixed_fails_when_closed": False})
    await channel.start(hospital, whole("CLOSE00009"), now=clock.now())
    await pay("CLOSE00009", own=False)
    await channel.close(hospital, asked("CLOSE00009"), now=clock.now())
    assert (await channel.query(hospital, asked("CLOSE00009"), now=clock.now())).status is PaymentStatus.PENDING


async def test_sent_again_it_is_the_same_order_and_another_amount_is_declined(channel, hospital, whole):
    wanted = whole("AGAIN00009")
    first = await channel.start(hospital, wanted, now=clock.now())
    again = await channel.start(hospital, wanted, now=clock.now())
    assert again.sdk_params["mixTradeNo"] == first.sdk_params["mixTradeNo"]
    with pytest.raises(ChannelRefused):
        await channel.start(hospital, whole("AGAIN00009", components={"fund_fen": 700}), now=clock.now())


@pytest.mark.parametrize("path", ["/pay/transactions/jsapi", "/med-ins/orders"])
async def test_a_lost_answer_is_unknown_and_sending_again_completes_it(*, channel, hospital, whole, pay, post, path):
    wanted = whole(f"LOST-{len(path):05d}")
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5, "path": path})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.start(hospital, wanted, now=clock.now())
    told = await channel.query(hospital, asked(wanted.attempt_no), now=clock.now())
    assert told.status is (PaymentStatus.ABSENT if "jsapi" in path else PaymentStatus.PENDING)
    await channel.start(hospital, wanted, now=clock.now())
    await pay(wanted.attempt_no)
    told = await channel.query(hospital, asked(wanted.attempt_no), now=clock.now())
    assert told.status is PaymentStatus.SUCCEEDED


@pytest.mark.parametrize("fault", ["unsigned_answers", "wrong_signatures", "answer_5xx"])
async def test_answers_that_prove_nothing_are_unknown(channel, hospital, post, fault):
    await post("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.query(hospital, asked("NOBODY0001"), now=clock.now())
    told = await channel.query(hospital, asked("NOBODY0001"), now=clock.now())
    assert told.status is PaymentStatus.ABSENT


async def test_what_is_missing_is_found_before_anything_is_placed(channel, account, hospital, whole):
    with pytest.raises(AccountUnusable):
        await channel.start(account, whole("EMPTY00001"), now=clock.now())
    for name in REFERENCES:
        known = {key: value for key, value in REFERENCES.items() if key != name}
        with pytest.raises(ChannelRefused) as refused:
            await channel.start(hospital, whole("EMPTY00001", references=known), now=clock.now())
        assert name in refused.value.facts["channel_message"]
    for parts in ({"fund_fen": 1235}, {"fund_fen": -1}):
        with pytest.raises(ChannelRefused):
            await channel.start(hospital, whole("EMPTY00001", components=parts), now=clock.now())
    told = await channel.query(hospital, placed("EMPTY00001"), now=clock.now())
    assert told.status is PaymentStatus.ABSENT


async def test_the_payer_s_identity_travels_sealed_under_the_key_that_the_header_names(channel, hospital, whole, world):
    key = next(iter(medical_keys(hospital)))
    body = json.loads(
        medical.encode_mixed(hospital, whole("SEALED0001"), prepay_id="x", public_key_pem=medical_keys(hospital)[key])
    )
    assert "张三丰" not in json.dumps(body, ensure_ascii=False)
    assert "44030019000101123x" not in json.dumps(body)
    opened = [world._world.wechat.signers.opened(body["payer"][name], key) for name in ("name", "id_digest")]
    assert opened == ["张三丰", "09eb26e839ff3a2e3980352ae45ef09e"]


def medical_keys(account):
    return platform_keys(account, now=clock.now())


async def test_both_shares_go_back(channel, hospital, whole, pay, post):
    await channel.start(hospital, whole("BACK000001"), now=clock.now())
    await pay("BACK000001")
    request = refund_of(
        "BACK000001",
        "R-BACK1",
        1234,
        of=asked("BACK000001"),
        components={"fund_fen": 600, "account_fen": 300, "cash_fen": 334},
    )
    first = await channel.refund(hospital, request, now=clock.now())
    assert (first.status, first.refund_fen) == (RefundStatus.PROCESSING, 1234)
    assert (await channel.refund(hospital, request, now=clock.now())).refund_no == "R-BACK1"
    await post("settle-refund", {"mchid": hospital.merchant_id, "out_refund_no": "R-BACK1"})
    done = await channel.query_refund(hospital, request, now=clock.now())
    assert (done.status, done.refund_fen) == (RefundStatus.SUCCEEDED, 1234)
    assert done.succeeded_at is not None
    told = await channel.query(hospital, asked("BACK000001"), now=clock.now())
    assert told.status is PaymentStatus.REFUNDED


async def test_the_insurer_s_share_alone_goes_back(channel, hospital, whole, pay):
    await channel.start(hospital, whole("BACK000003"), now=clock.now())
    await pay("BACK000003")
    of = asked("BACK000003")
    request = refund_of("BACK000003", "R-BACK3", 900, of=of, components={"fund_fen": 600, "account_fen": 300})
    assert (await channel.query_refund(hospital, request, now=clock.now())).status is RefundStatus.PROCESSING
    assert (await channel.refund(hospital, request, now=clock.now())).refund_fen == 900
    assert (await channel.query_refund(hospital, request, now=clock.now())).status is RefundStatus.SUCCEEDED
    told = await channel.query(hospital, of, now=clock.now())
    assert told.status is PaymentStatus.REFUNDED
    more = refund_of("BACK000003", "R-BACK4", 700, of=of, components={"fund_fen": 700})
    with pytest.raises(ChannelRefused) as refused:
        await channel.refund(hospital, more, now=clock.now())
    assert refused.value.facts["channel_code"] == "RULE_LIMIT"


async def test_own_money_goes_back_in_parts(channel, hospital, whole, pay, post):
    await channel.start(hospital, whole("BACK000002"), now=clock.now())
    await pay("BACK000002")
    request = refund_of("BACK000002", "R-BACK2", 34, of=asked("BACK000002"), components={"cash_fen": 34})
    await channel.refund(hospital, request, now=clock.now())
    await post("settle-refund", {"mchid": hospital.merchant_id, "out_refund_no": "R-BACK2"})
    done = await channel.query_refund(hospital, request, now=clock.now())
    assert (done.status, done.refund_fen) == (RefundStatus.SUCCEEDED, 34)
    absent = refund_of("BACK000002", "R-BACK9", 34, of=asked("BACK000002"))
    assert (await channel.query_refund(hospital, absent, now=clock.now())).status is RefundStatus.ABSENT
    told = await channel.query(hospital, asked("BACK000002"), now=clock.now())
    assert told.status is PaymentStatus.SUCCEEDED


async def test_the_notice_tells_the_whole_and_the_own_half_s_notice_tells_nothing(channel, hospital, whole, pay, world):
    await channel.start(hospital, whole("NOTICE0009"), now=clock.now())
    await pay("NOTICE0009")
    wechat, told = world._world.wechat, {}
    for notice in [each for each in wechat.notices if "NOTICE0009" in each.resource]:
        body = envelope(wechat, notice)
        headers = {name.lower(): value for name, value in wechat.key.headers(body, moment=clock.now()).items()}
        told[notice.event_type] = WeChatPay(None, "").read_notice(hospital, headers, body, now=clock.now()).payment
    assert told["TRANSACTION.SUCCESS"].status is PaymentStatus.PENDING
    assert told["MEDICAL_INSURANCE.SUCCESS"] == await channel.query(hospital, asked("NOTICE0009"), now=clock.now())
    assert told["MEDICAL_INSURANCE.SUCCESS"].status is PaymentStatus.SUCCEEDED
