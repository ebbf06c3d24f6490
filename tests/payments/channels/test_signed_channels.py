"""Credit payment and commercial insurance against their simulators: what both protocols promise alike."""

from __future__ import annotations

import asyncio
import http.server
import secrets
import threading
import time
from datetime import timedelta

import pytest
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown, PartyUnreachable
from yimatong.kit.http import Outbound
from yimatong.kit.masking import Secret
from yimatong.payments.channels.abilities import BillLine, Insured, PresettleRequest, Presettling
from yimatong.payments.channels.base import (
    BillKind,
    ChannelAccount,
    Part,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
    Scene,
)
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.credit.channel import CreditPayment
from yimatong.payments.errors import (
    BillBroken,
    BillNotOffered,
    BillNotReady,
    ChannelAlreadyPaid,
    ChannelBusy,
    ChannelRefused,
    NoticeNotGenuine,
    NoticeNotUnderstood,
)

KINDS = {"credit": CreditPayment, "commercial": CommercialInsurer}
SECRET = "5f" * 32
HOLDER = Insured(name="王芳", id_type="01", id_number="610102198808080460")


class Listener:
    """A merchant's server that keeps every notice and answers ``status``."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[dict[str, str], bytes]] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(listener.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/notify"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    async def wait(self, count: int) -> None:
        end = time.monotonic() + 20
        while len(self.got) < count:
            assert time.monotonic() < end, "no notice came"
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Party:
    """One channel, its account, and its control port."""

    def __init__(self, kind, world, outbound) -> None:
        self.kind, self.world = kind, world
        self.channel = KINDS[kind](outbound, f"{world.url}/{kind}")
        self.account = ChannelAccount(
            account_id=f"{kind}-1",
            institution_id="hospital-1",
            channel=kind,
            merchant_id="H0001",
            app_id="app-h0001",
            secrets={"secret_hex": Secret(SECRET)},
        )

    async def control(self, path, body=None):
        return await asyncio.to_thread(self.world.control, f"/control/{self.kind}/{path}", body)

    async def ready(self) -> None:
        await self.control("merchants", {"merchant_id": "H0001", "app_id": "app-h0001", "secret_hex": SECRET})
        await self.control("faults", {})
        await self.control("conditions", {"refund_settles_s": 0.05})
        if self.kind == "credit":
            line = {"agreement_no": "CR01", "payer_id": "resident-1", "limit_fen": 10**9}
            await self.control("lines", line)
        else:
            facts = {"name": HOLDER.name, "id_number": HOLDER.id_number, "left_fen": 10**9}
            await self.control("policies", {"policy_no": "PO01"} | facts)

    async def intent(self, amount_fen=1234, number="", notify_url="http://127.0.0.1:9/notify", **more):
        facts = {
            "attempt_no": number or f"P{secrets.token_hex(10)}",
            "amount_fen": amount_fen,
            "description": "门诊缴费",
            "placed_at": clock.now(),
            "expires_at": clock.now() + timedelta(minutes=30),
            "notify_url": notify_url,
            "scene": Scene.DIRECT,
        }
        if self.kind == "credit":
            return PaymentIntent(**(facts | {"payer_id": "resident-1"} | more))
        part = await self.channel.presettle(self.account, bill(amount_fen * 5 // 4), now=clock.now())
        facts |= {"part": Part.COMMERCIAL, "amount_fen": part.amount_fen}
        return PaymentIntent(**(facts | {"references": part.references, "components": part.components} | more))

    async def start(self, intent):
        return await self.channel.start(self.account, intent, now=clock.now())

    async def query(self, intent):
        return await self.channel.query(self.account, placed(intent), now=clock.now())

    async def close(self, intent):
        await self.channel.close(self.account, placed(intent), now=clock.now())

    def refund_of(self, intent, refund_no, refund_fen, notify_url="http://127.0.0.1:9/notify"):
        return RefundRequest(
            refund_no=refund_no,
            payment=placed(intent),
            refund_fen=refund_fen,
            reason="退号",
            notify_url=notify_url,
            asked_at=intent.placed_at,
            components=dict.fromkeys(intent.components, refund_fen),
        )


def placed(intent):
    names = ("attempt_no", "amount_fen", "scene", "placed_at", "expires_at", "part", "references")
    return PlacedPayment(**{name: getattr(intent, name) for name in names})


def bill(amount_fen, leg_no="", lines=(), insured=HOLDER):
    return PresettleRequest(
        leg_no=leg_no or f"L{secrets.token_hex(10)}",
        order_no="P1",
        institution_id="hospital-1",
        visit_no="V1",
        description="门诊缴费",
        lines=lines or (BillLine(name="西药费", amount_fen=amount_fen),),
        amount_fen=amount_fen,
        insured=insured,
        placed_at=clock.now(),
    )


@pytest.fixture(params=sorted(KINDS))
async def party(request, world):
    async with Outbound(read_s=1.0) as outbound:
        made = Party(request.param, world, outbound)
        await made.ready()
        yield made
        await made.control("faults", {})


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.close()


async def test_settled_in_the_same_answer_and_told_of_once_more(party, listener):
    intent = await party.intent(notify_url=listener.url)
    action = await party.start(intent)
    assert action.settled is not None
    assert action.settled.status is PaymentStatus.SUCCEEDED
    assert action.settled.amount_fen == intent.amount_fen
    assert action.settled.components == intent.components
    assert action.settled == await party.query(intent)
    await listener.wait(1)
    notice = party.channel.read_notice(party.account, *listener.got[0], now=clock.now())
    assert notice.payment == action.settled
    assert (await party.start(intent)).settled == action.settled


async def test_a_number_cannot_be_used_for_another_payment(party):
    intent = await party.intent()
    await party.start(intent)
    with pytest.raises(PartyOutcomeUnknown):
        await party.start(await party.intent(4321, number=intent.attempt_no))
    assert (await party.query(intent)).amount_fen == intent.amount_fen


async def test_pending_until_settled_by_hand(party):
    await party.control("conditions", {"settles_s": -1})
    intent = await party.intent()
    action = await party.start(intent)
    assert action.settled is not None
    assert action.settled.status is PaymentStatus.PENDING
    await party.control("settle", {"merchant_id": "H0001", "payment_no": intent.attempt_no})
    assert (await party.query(intent)).status is PaymentStatus.SUCCEEDED


async def test_declined_later_is_a_failure_and_stays_one(party):
    await party.control("conditions", {"settles_s": -1})
    intent = await party.intent()
    await party.start(intent)
    await party.control("settle", {"merchant_id": "H0001", "payment_no": intent.attempt_no, "reason": "SUSPENDED"})
    assert (await party.query(intent)).status is PaymentStatus.FAILED
    with pytest.raises(ChannelRefused):
        await party.start(intent)
    await party.close(intent)


async def test_revoked_while_pending_and_never_after_settling(party):
    await party.control("conditions", {"settles_s": -1})
    pending = await party.intent()
    await party.start(pending)
    await party.close(pending)
    await party.close(pending)
    assert (await party.query(pending)).status is PaymentStatus.CLOSED
    with pytest.raises(ChannelRefused):
        await party.start(pending)
    await party.control("conditions", {})
    settled = await party.intent()
    await party.start(settled)
    with pytest.raises(ChannelAlreadyPaid):
        await party.close(settled)


async def test_a_request_that_arrives_after_its_revocation_settles_nothing(party):
    intent = await party.intent()
    assert (await party.query(intent)).status is PaymentStatus.ABSENT
    await party.close(intent)
    with pytest.raises(ChannelRefused) as refused:
        await party.start(intent)
    assert refused.value.facts["channel_code"] == "REVOKED"
    assert (await party.query(intent)).status is PaymentStatus.CLOSED


async def test_refunds_in_parts_up_to_what_was_settled(party, listener):
    intent = await party.intent(1000)
    early = party.refund_of(intent, f"R{secrets.token_hex(8)}", 1)
    with pytest.raises(ChannelRefused):
        await party.channel.refund(party.account, early, now=clock.now())
    await party.start(intent)
    first = party.refund_of(intent, f"R{secrets.token_hex(8)}", 600, listener.url)
    assert (await party.channel.query_refund(party.account, first, now=clock.now())).status is RefundStatus.ABSENT
    asked = await party.channel.refund(party.account, first, now=clock.now())
    assert (asked.status, asked.refund_fen) == (RefundStatus.PROCESSING, 600)
    again = await party.channel.refund(party.account, first, now=clock.now())
    assert again.channel_refund_no == asked.channel_refund_no
    too_much = party.refund_of(intent, f"R{secrets.token_hex(8)}", 401)
    with pytest.raises(ChannelRefused) as refused:
        await party.channel.refund(party.account, too_much, now=clock.now())
    assert refused.value.facts["channel_code"] == "REFUND_TOO_MUCH"
    await listener.wait(1)
    told = party.channel.read_notice(party.account, *listener.got[0], now=clock.now()).refund
    assert told is not None
    assert told.status is RefundStatus.SUCCEEDED
    assert told == await party.channel.query_refund(party.account, first, now=clock.now())
    assert (await party.query(intent)).status is PaymentStatus.REFUNDED


async def test_a_refund_that_fails_is_abnormal(party):
    intent = await party.intent()
    await party.start(intent)
    await party.control("faults", {"refund_fails": 1})
    await party.control("conditions", {"refund_settles_s": 0})
    asked = party.refund_of(intent, f"R{secrets.token_hex(8)}", 100)
    assert (await party.channel.refund(party.account, asked, now=clock.now())).status is RefundStatus.ABNORMAL


@pytest.mark.parametrize(
    "fault", ["answer_5xx", "lost_answers", "garbage", "unsigned_answers", "wrong_signatures", "timeout_after_acting"]
)
async def test_answers_that_prove_nothing_are_unknown_and_the_query_tells(party, fault):
    intent = await party.intent()
    await party.control("faults", {fault: 1, "hang_s": 1.5})
    with pytest.raises(PartyOutcomeUnknown):
        await party.start(intent)
    acted = fault != "answer_5xx"
    assert (await party.query(intent)).status is (PaymentStatus.SUCCEEDED if acted else PaymentStatus.ABSENT)
    assert (await party.start(intent)).settled is not None


async def test_busy_did_nothing(party):
    intent = await party.intent()
    await party.control("faults", {"busy": 1})
    with pytest.raises(ChannelBusy):
        await party.start(intent)
    assert (await party.query(intent)).status is PaymentStatus.ABSENT


async def test_read_lag_is_pending_and_then_settled(party):
    intent = await party.intent()
    await party.start(intent)
    await party.control("faults", {"read_lag": 1})
    assert (await party.query(intent)).status is PaymentStatus.PENDING
    assert (await party.query(intent)).status is PaymentStatus.SUCCEEDED


async def test_notices_dropped_duplicated_late_and_refused(party, listener):
    await party.control("faults", {"drop_notices": 1, "path": listener.url})
    await party.start(await party.intent(notify_url=listener.url))
    await party.control("faults", {"duplicate_notices": 1, "path": listener.url})
    await party.start(await party.intent(notify_url=listener.url))
    await listener.wait(2)
    ids = {party.channel.read_notice(party.account, *got, now=clock.now()).notice_id for got in listener.got}
    assert len(ids) == 1
    listener.status = 500
    await party.control("conditions", {"notice_delay_s": 0.3, "notice_factor": 0.01})
    began = time.monotonic()
    await party.start(await party.intent(notify_url=listener.url))
    await listener.wait(4)
    assert time.monotonic() - began > 0.3
    states = [notice["state"] for notice in await party.control("notices") if notice["url"] == listener.url]
    assert sorted(states) == ["delivered", "dropped", "pending"]


async def test_forged_notices_are_not_genuine(party, listener):
    await party.start(await party.intent(notify_url=listener.url))
    await listener.wait(1)
    headers, body = listener.got[0]
    read = party.channel.read_notice
    for name in ("x-app-id", "x-timestamp", "x-nonce", "x-sign"):
        for value in ("", "0", headers[name][:-1] + "x"):
            with pytest.raises(NoticeNotGenuine):
                read(party.account, headers | {name: value}, body, now=clock.now())
    with pytest.raises(NoticeNotGenuine):
        read(party.account, headers, body.replace(b'"settled"', b'"revoked"'), now=clock.now())
    with pytest.raises(NoticeNotGenuine):
        read(party.account, headers, body, now=clock.now() + timedelta(minutes=6))


async def test_a_changed_secret_is_believed_beside_the_previous_one(party, listener):
    await party.start(await party.intent(notify_url=listener.url))
    await listener.wait(1)
    changed = {"secret_hex": Secret("ab" * 32)}
    facts = {name: getattr(party.account, name) for name in party.account.__struct_fields__}
    alone = ChannelAccount(**(facts | {"secrets": changed}))
    both = ChannelAccount(**(facts | {"secrets": changed | {"previous_secret_hex": Secret(SECRET)}}))
    with pytest.raises(NoticeNotGenuine):
        party.channel.read_notice(alone, *listener.got[0], now=clock.now())
    assert party.channel.read_notice(both, *listener.got[0], now=clock.now()).payment is not None
    with pytest.raises(PartyOutcomeUnknown):
        await party.channel.query(alone, placed(await party.intent()), now=clock.now())


async def test_another_merchant_gets_nothing(party):
    other = {"merchant_id": "H0002", "app_id": "app-h0002", "secret_hex": "ab" * 32}
    await party.control("merchants", other)
    intent = await party.intent()
    await party.start(intent)
    facts = {name: getattr(party.account, name) for name in party.account.__struct_fields__}
    stranger = ChannelAccount(**(facts | {"app_id": "app-h0002", "secrets": {"secret_hex": Secret("ab" * 32)}}))
    with pytest.raises(ChannelRefused):
        await party.channel.query(stranger, placed(intent), now=clock.now())
    own = ChannelAccount(
        **(facts | {"merchant_id": "H0002", "app_id": "app-h0002", "secrets": {"secret_hex": Secret("ab" * 32)}})
    )
    assert (await party.channel.query(own, placed(intent), now=clock.now())).status is PaymentStatus.ABSENT


async def test_bill_of_a_day(party, monkeypatch):
    intent = await party.intent(1000)
    await party.start(intent)
    await party.control("conditions", {"refund_settles_s": 0})
    asked = party.refund_of(intent, f"R{secrets.token_hex(8)}", 300)
    await party.channel.refund(party.account, asked, now=clock.now())
    day = clock.business_date(clock.now())
    with pytest.raises(BillNotReady):
        await party.channel.bill(party.account, day, now=clock.now())
    with pytest.raises(BillNotOffered):
        await party.channel.bill(party.account, day, kind=BillKind.FUNDS, now=clock.now())
    tomorrow = clock.now() + timedelta(days=1)
    monkeypatch.setattr("yimatong.sandbox.settling.wire.clock", _Clock(tomorrow))
    text = (await party.channel.bill(party.account, day, now=tomorrow)).decode()
    assert f'"payment_no":"{intent.attempt_no}"' in text
    assert f'"refund_no":"{asked.refund_no}"' in text
    await party.control("faults", {"broken_bills": 1})
    with pytest.raises(BillBroken):
        await party.channel.bill(party.account, day, now=tomorrow)


class _Clock:
    """The simulator's clock, a day later: it runs in this process, in a thread of its own."""

    def __init__(self, moment) -> None:
        self.moment = moment

    def now(self):
        return self.moment


async def test_nothing_listens_means_nothing_was_sent(party):
    async with Outbound() as outbound:
        lost = KINDS[party.kind](outbound, "http://127.0.0.1:9")
        with pytest.raises(PartyUnreachable):
            await lost.query(party.account, placed(await party.intent()), now=clock.now())


def test_answers_to_notices(party):
    assert party.channel.answer_notice(problem="", status=200).body == b'{"code":"OK"}'
    told = party.channel.answer_notice(problem="稍后再试", status=503)
    assert (told.status, told.body) == (503, '{"code":"FAIL","message":"稍后再试"}'.encode())


def test_a_genuine_notice_of_another_shape_is_not_understood(party):
    from yimatong.sandbox.settling.notify import signed
    from yimatong.sandbox.settling.rows import Merchant

    merchant = Merchant(merchant_id="H0001", app_id="app-h0001", secret_hex=SECRET)
    for body in (b"{}", b"[]", b"\xff", b'{"notice_id":"12345678","kind":"payment"}'):
        headers = {name.lower(): value for name, value in signed(merchant, body).items()}
        with pytest.raises(NoticeNotUnderstood):
            party.channel.read_notice(party.account, headers, body, now=clock.now())


@pytest.mark.parametrize("party", ["credit"], indirect=True)
async def test_credit_needs_a_signature_and_keeps_its_limit(party):
    for payer, code in (("nobody", "NOT_SIGNED"), ("resident-2", "SUSPENDED"), ("resident-3", "OVER_LIMIT")):
        number = f"CR-{payer}"
        if payer != "nobody":
            state = "suspended" if payer == "resident-2" else "signed"
            await party.control("lines", {"agreement_no": number, "payer_id": payer, "limit_fen": 1233, "state": state})
        intent = await party.intent(payer_id=payer)
        with pytest.raises(ChannelRefused) as refused:
            await party.start(intent)
        assert refused.value.facts["channel_code"] == code
        assert (await party.query(intent)).status is PaymentStatus.FAILED
    by_number = await party.intent(1000, payer_id="", agreement_no="CR-resident-3")
    assert (await party.start(by_number)).settled is not None
    with pytest.raises(ChannelRefused):
        await party.start(await party.intent(234, payer_id="resident-3"))
    await party.control("conditions", {"refund_settles_s": 0})
    back = party.refund_of(by_number, f"R{secrets.token_hex(8)}", 1)
    await party.channel.refund(party.account, back, now=clock.now())
    assert (await party.start(await party.intent(234, payer_id="resident-3"))).settled is not None


@pytest.mark.parametrize("party", ["commercial"], indirect=True)
async def test_presettlement_covers_what_the_policy_covers(party):
    assert isinstance(party.channel, Presettling)
    lines = (BillLine(name="西药费", amount_fen=10_001), BillLine(name="自费材料", amount_fen=5_000))
    asked = bill(15_001, lines=lines)
    part = await party.channel.presettle(party.account, asked, now=clock.now())
    assert part.amount_fen == 8000  # 80 % of 100.01 yuan, whole fen, rounded down
    assert part.components == {"claim_fen": 8000}
    assert part == await party.channel.presettle(party.account, asked, now=clock.now())
    stranger = Insured(name="李四", id_type="01", id_number="610102199001010011")
    for wrong, code in (
        (bill(100, insured=stranger), "POLICY_UNKNOWN"),
        (bill(100, lines=(BillLine(name="自费材料", amount_fen=100),)), "NOT_COVERED"),
        (bill(100, leg_no=asked.leg_no), "NUMBER_USED"),
        (bill(100, lines=(BillLine(name="西药费", amount_fen=99),)), "BAD_REQUEST"),
    ):
        with pytest.raises(ChannelRefused) as refused:
            await party.channel.presettle(party.account, wrong, now=clock.now())
        assert refused.value.facts["channel_code"] == code


@pytest.mark.parametrize("party", ["commercial"], indirect=True)
async def test_a_claim_carries_out_its_presettlement_and_no_other(party):
    fine = await party.intent()
    for change, code in (
        ({"references": {"presettle_no": "PS-none"}}, "PRESETTLE_UNKNOWN"),
        ({"references": {}}, "PRESETTLE_UNKNOWN"),
        ({"amount_fen": fine.amount_fen + 1, "components": {}}, "AMOUNT_DIFFERS"),
    ):
        number = f"P{secrets.token_hex(10)}"
        wrong = replace(fine, **({"attempt_no": number} | change))
        with pytest.raises(ChannelRefused) as refused:
            await party.start(wrong)
        assert refused.value.facts["channel_code"] == code
    before = (await party.control("policies"))[0]["left_fen"]
    await party.start(fine)
    assert (await party.control("policies"))[0]["left_fen"] == before - fine.amount_fen
    with pytest.raises(ChannelRefused) as refused:
        await party.start(replace(fine, attempt_no=f"P{secrets.token_hex(10)}"))
    assert refused.value.facts["channel_code"] == "PRESETTLE_USED"


@pytest.mark.parametrize("party", ["commercial"], indirect=True)
async def test_a_withdrawn_claim_gives_its_presettlement_back(party):
    await party.control("conditions", {"settles_s": -1})
    first = await party.intent()
    await party.start(first)
    await party.close(first)
    second = replace(first, attempt_no=f"P{secrets.token_hex(10)}")
    action = await party.start(second)
    assert action.settled is not None
    assert action.settled.status is PaymentStatus.PENDING
