"""Quick payment by bank card: opening with an SMS code or on UnionPay's page, paying, ending."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest
from unionpay_books import placed

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import Agreeing, AgreementKind, AgreementRequest, AgreementStanding
from yimatong.payments.channels.base import PaymentStatus, Scene
from yimatong.payments.errors import ChannelRefused

CARD = "6216261000000000018"


@pytest.fixture
def request_of():
    def make(request_no: str, **more: object) -> AgreementRequest:
        facts: dict[str, object] = {
            "request_no": request_no,
            "kind": AgreementKind.BANK_CARD,
            "placed_at": clock.now(),
            "notify_url": "http://127.0.0.1:9/notify",
            "name": "全渠道",
            "id_type": "01",
            "id_number": "341126197709218366",
            "card_number": Secret(CARD),
            "phone": "13552535506",
        }
        return AgreementRequest(**(facts | more))

    return make


@pytest.fixture
def code_of(post):
    async def find(order_id: str) -> str:
        return next(each["code"] for each in await post("messages") if each["order_id"] == order_id)

    return find


@pytest.fixture
async def token(channel, account, request_of, code_of):
    request = request_of(f"OPEN{clock.now():%H%M%S%f}")
    await channel.agree(account, request, now=clock.now())
    opened = await channel.confirm_agreement(account, request, await code_of(request.request_no), now=clock.now())
    return opened.agreement_no


def test_the_adapter_has_the_ability(channel):
    assert isinstance(channel, Agreeing)


async def test_opening_with_a_code_and_ending(channel, account, request_of, code_of):
    request = request_of("OPENCARD01")
    assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.ABSENT
    action = await channel.agree(account, request, now=clock.now())
    assert action.challenge == "135****5506"
    wrong = await channel.confirm_agreement(account, request, "000000x", now=clock.now())
    assert wrong.standing is AgreementStanding.REFUSED
    assert wrong.reason.startswith("66")
    opened = await channel.confirm_agreement(account, request, await code_of("OPENCARD01"), now=clock.now())
    assert (opened.standing, opened.request_no) == (AgreementStanding.AGREED, "OPENCARD01")
    assert len(opened.agreement_no) == 19
    again = await channel.confirm_agreement(account, request, "any", now=clock.now())
    assert again == opened == await channel.query_agreement(account, request, now=clock.now())
    for _ in range(2):
        ended = await channel.end_agreement(account, request, opened.agreement_no, now=clock.now())
        assert ended.standing is AgreementStanding.ENDED
    assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.ABSENT


async def test_our_ids_become_order_numbers_of_letters_and_digits(channel, account, request_of, post):
    request = request_of("agr_019ad5c0ffee0123456789abcdef0123")
    await channel.agree(account, request, now=clock.now())
    assert "019ad5c0ffee0123456789abcdef0123" in [each["order_id"] for each in await post("messages")]
    assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.ABSENT


async def test_card_number_and_phone_do_not_leave_in_clear(account, request_of):
    from yimatong.payments.channels.unionpay import agreements, transformers

    fields = agreements.encode_open(account, request_of("OPENCARD02"), "123456")
    assert CARD not in str(fields)
    info = transformers.read_customer_info(fields["customerInfo"])
    assert set(info) == {"certifTp", "certifId", "customerNm", "smsCode", "encryptedInfo"}
    assert "13552535506" not in str(info)


async def test_a_card_that_is_refused(channel, account, request_of):
    with pytest.raises(ChannelRefused) as refused:
        await channel.agree(account, request_of("OPENCARD03", card_number=Secret(CARD[:-1] + "9")), now=clock.now())
    assert refused.value.facts["channel_code"] == "61"


async def test_opening_on_unionpay_s_page(channel, account, request_of):
    request = request_of("OPENPAGE01", card_number=Secret(""), return_url="http://127.0.0.1:9/back")
    form = (await channel.agree(account, request, now=clock.now())).form
    async with httpx.AsyncClient(trust_env=False) as browser:
        page = await browser.post(form.url, data=dict(form.fields))
        assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.WAITING
        action = page.text.split('action="/unionpay/open/')[1].split('"')[0]
        base = form.url.partition("/unionpay/")[0]
        entered = {"decision": "pay", "card": CARD, "phone": "13552535506"}
        assert "开通成功" in (await browser.post(f"{base}/unionpay/open/{action}", data=entered)).text
    assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.AGREED


async def test_paying_with_a_code(channel, account, intent, token, code_of):
    wanted = intent("TOKENPAY01", scene=Scene.AGREEMENT, agreement_no=token)
    action = await channel.start(account, wanted, now=clock.now())
    assert action.challenge == "135****5506"
    for minutes, status in ((0, PaymentStatus.PENDING), (4, PaymentStatus.PENDING), (6, PaymentStatus.ABSENT)):
        moment = clock.now() + timedelta(minutes=minutes)
        assert (await channel.query(account, placed(wanted), now=moment)).status is status
    answered = intent(
        "TOKENPAY01",
        scene=Scene.AGREEMENT,
        agreement_no=token,
        placed_at=wanted.placed_at,
        answer=await code_of("TOKENPAY01"),
    )
    for _ in range(2):  # the second is 重复交易 and moves nothing
        assert (await channel.start(account, answered, now=clock.now())).challenge == ""
    assert (await channel.query(account, placed(wanted), now=clock.now())).status is PaymentStatus.SUCCEEDED
    await channel.close(account, placed(wanted), now=clock.now())
    assert (await channel.query(account, placed(wanted), now=clock.now())).status is PaymentStatus.CLOSED


async def test_a_code_belongs_to_one_payment(channel, account, intent, token, code_of):
    first = intent("TOKENPAY02", scene=Scene.AGREEMENT, agreement_no=token)
    sent_to = (await channel.start(account, first, now=clock.now())).challenge
    assert sent_to == "135****5506"
    code = await code_of("TOKENPAY02")
    for changed in ({"amount_fen": 1235}, {"placed_at": first.placed_at + timedelta(seconds=3)}):
        facts = {"scene": Scene.AGREEMENT, "agreement_no": token, "answer": code, "placed_at": first.placed_at}
        wanted = intent("TOKENPAY02", **(facts | changed))
        with pytest.raises(ChannelRefused) as refused:
            await channel.start(account, wanted, now=clock.now())
        assert refused.value.facts["channel_code"] == "66"
        assert (await channel.query(account, placed(wanted), now=clock.now())).status is PaymentStatus.FAILED


async def test_an_ended_or_foreign_token_pays_nothing(channel, account, intent):
    wanted = intent("TOKENPAY03", scene=Scene.AGREEMENT, agreement_no="6200000000000000000")
    with pytest.raises(ChannelRefused) as refused:
        await channel.start(account, wanted, now=clock.now())
    assert refused.value.facts["channel_code"] == "40"


async def test_a_lost_answer_to_an_opening_is_asked_about(channel, account, request_of, code_of, post):
    request = request_of("OPENCARD04")
    await channel.agree(account, request, now=clock.now())
    code = await code_of("OPENCARD04")
    await post("faults", {"timeout_after_acting": 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.confirm_agreement(account, request, code, now=clock.now())
    assert (await channel.query_agreement(account, request, now=clock.now())).standing is AgreementStanding.AGREED
