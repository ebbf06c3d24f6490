from __future__ import annotations

import asyncio
import base64
import http.server
import json
import os
import threading
import time

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import ChannelAccount, PaymentStatus
from yimatong.payments.channels.insurance.channel import MedicalInsurance
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong.sandbox.medical.notify import sealed
from yimatong.sandbox.medical.rows import Notice
from yimatong.sandbox.medical.state import Insurance
from yimatong.sandbox.store import Store

EXAMPLES = int(os.environ.get("YMT_FUZZ_EXAMPLES", "150"))
NOW = clock.now()
TOLD = {
    "payOrdId": "ORD610100202611301200000000001",
    "medOrgOrd": "P00000000000000000001L01",
    "orgBizSer": "P00000000000000000001A01",
    "ordStas": "4",
    "callType": "02",
    "setlType": "HI",
    "traceTime": "2026-11-30 12:00:00",
    "feeSumamt": "100.00",
    "ownPayAmt": "20.00",
    "psnAcctPay": "20.00",
    "fundPay": "60.00",
    "revsToken": "R",
}


@pytest.fixture(scope="module")
def sender(tmp_path_factory):
    """The simulator's own sender."""
    insurance = Insurance(Store(tmp_path_factory.mktemp("sender")))
    institution, private_key = institution_keys(fixmedins_code="H61010000001")
    insurance.institutions.put(institution.fixmedins_code, institution)
    yield insurance, institution, private_key
    insurance.store.close()


@pytest.fixture(scope="module")
def receiver(sender) -> ChannelAccount:
    insurance, institution, private_key = sender
    return ChannelAccount(
        account_id="insurance-1",
        institution_id="hospital-1",
        channel="insurance",
        merchant_id=institution.fixmedins_code,
        app_id=institution.app_id,
        secrets={
            "private_key": Secret(private_key),
            "app_secret": Secret(institution.app_secret),
            "platform_public_key": Secret(insurance.key.public_hex),
        },
    )


@pytest.fixture(scope="module")
def made(sender):
    insurance, institution, _ = sender

    def make(told=TOLD, *, now=NOW, broken=False) -> bytes:
        content = json.dumps(told, ensure_ascii=False)
        notice = Notice(notice_id="n", app_id=institution.app_id, url="", content=content, due_at=now)
        return sealed(insurance, notice, now=now, broken=broken)

    return make


@pytest.fixture(scope="module")
def read(receiver):
    channel = MedicalInsurance(None, "")
    return lambda body, now=NOW: channel.read_notice(receiver, {}, body, now=now)


def test_a_genuine_notice(made, read):
    notice = read(made())
    assert notice.refund is None
    assert (notice.payment.attempt_no, notice.payment.status) == (TOLD["orgBizSer"], PaymentStatus.SUCCEEDED)
    assert (notice.payment.amount_fen, notice.payment.components) == (8000, {"fund_fen": 6000, "account_fen": 2000})
    assert notice.notice_id == read(made()).notice_id
    assert notice.payment.paid_at.isoformat() == "2026-11-30T12:00:00+08:00"


def test_the_published_fields_alone_say_nothing_final(made, read):
    bare = {name: value for name, value in TOLD.items() if name not in ("ordStas", "orgBizSer")}
    notice = read(made(bare))
    assert (notice.payment.attempt_no, notice.payment.status) == (TOLD["medOrgOrd"], PaymentStatus.PENDING)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        *((str(state), PaymentStatus.PENDING) for state in (0, 1, 2, 3, 14, 18, 99)),
        *((str(state), PaymentStatus.SUCCEEDED) for state in (4, 5, 6, 9, 10, 17)),
        *((str(state), PaymentStatus.CLOSED) for state in (7, 8, 11, 12, 13)),
        *((str(state), PaymentStatus.FAILED) for state in (15, 16)),
    ],
)
def test_only_explicit_states_are_final(made, read, state, status):
    assert read(made({**TOLD, "ordStas": state})).payment.status is status


def test_a_refund_that_we_asked_for_keeps_the_payment_paid(made, read):
    listed = [{"appRefdSn": "P00000000000000000001R01", "refStatus": "SUCC"}]
    assert read(made({**TOLD, "ordStas": "8", "refdOrdList": listed})).payment.status is PaymentStatus.REFUNDED
    undone = [{"appRefdSn": "P00000000000000000001A01X", "refStatus": "SUCC"}]
    assert read(made({**TOLD, "ordStas": "8", "refdOrdList": undone})).payment.status is PaymentStatus.CLOSED


@pytest.mark.parametrize(
    "change",
    [
        {"feeSumamt": "100.01"},
        {"fundPay": "-60.00", "ownPayAmt": "140.00"},
        {"fundPay": "60.001"},
        {"fundPay": ""},
        {"payOrdId": ""},
        {"orgBizSer": "", "medOrgOrd": ""},
        {"fundPay": {"yuan": "60.00"}},
    ],
)
def test_genuine_and_not_understood(made, read, change):
    with pytest.raises(NoticeNotUnderstood):
        read(made({**TOLD, **change}))


def test_forged_old_and_foreign_notices(made, read, receiver):
    for body in (made(broken=True), made(now=NOW.replace(year=NOW.year - 1)), b"", b"{}", b"[]", b"\xff"):
        with pytest.raises(NoticeNotGenuine):
            read(body)
    stranger = msgspec.structs.replace(receiver, app_id="B" * 32)
    with pytest.raises(NoticeNotGenuine):
        MedicalInsurance(None, "").read_notice(stranger, {}, made(), now=NOW)


def test_content_of_one_notice_under_the_signature_of_another(made, read):
    one, other = json.loads(made()), json.loads(made({**TOLD, "fundPay": "80.00", "psnAcctPay": "0.00"}))
    with pytest.raises(NoticeNotGenuine):
        read(json.dumps({**one, "encData": other["encData"]}).encode())
    with pytest.raises(NoticeNotGenuine):
        read(json.dumps({**one, "signData": other["signData"]}).encode())
    content = one["encData"]
    moved = {**one, "encData": content[32:64] + content[:32] + content[64:]}
    with pytest.raises(NoticeNotGenuine):  # blocks of ECB can be moved, the signature cannot
        read(json.dumps(moved).encode())


@given(st.data())
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_altered_notice_is_accepted(made, read, data):
    genuine = made()
    body = bytearray(genuine)
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "value"]))
    place = data.draw(st.integers(0, len(body) - 1))
    if kind == "flip":
        body[place] ^= data.draw(st.integers(1, 255))
    elif kind == "cut":
        del body[place : place + data.draw(st.integers(1, 40))]
    elif kind == "insert":
        body[place:place] = data.draw(st.binary(min_size=1, max_size=20))
    else:
        fields = json.loads(genuine)
        name = data.draw(st.sampled_from(sorted(fields)))
        fields[name] = data.draw(st.text(max_size=20) | st.none() | st.integers() | st.lists(st.text(max_size=3)))
        body = bytearray(json.dumps(fields).encode())
    try:
        told = read(bytes(body))
    except NoticeNotGenuine:
        return
    assert told.payment == read(genuine).payment


@given(st.binary(max_size=64))
@settings(max_examples=EXAMPLES, deadline=None)
def test_signatures_of_any_octets_are_refused(made, read, octets):
    forged = json.loads(made()) | {"signData": base64.b64encode(octets).decode()}
    with pytest.raises(NoticeNotGenuine):
        read(json.dumps(forged).encode())


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.lists(st.text(max_size=3), max_size=2)


@given(st.dictionaries(st.sampled_from(sorted([*TOLD, "refdOrdList"])), VALUES, max_size=8))
@settings(max_examples=EXAMPLES, deadline=None)
def test_genuine_notices_of_any_shape_raise_named_errors_only(made, read, change):
    try:
        read(made({**TOLD, **change}))
    except NoticeNotUnderstood:
        return


def test_what_the_centre_hears(read):
    channel = MedicalInsurance(None, "")
    taken = channel.answer_notice(problem="", status=200)
    assert (taken.status, json.loads(taken.body)["code"]) == (200, 0)
    refused = channel.answer_notice(problem="支付通知验证失败", status=401)
    assert (refused.status, json.loads(refused.body)["success"]) == (401, False)


class Listener:
    """A hospital's server that keeps every notice."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        listener = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                listener.got.append(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Say nothing."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/notify"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int, seconds: float = 10.0) -> None:
        end = time.monotonic() + seconds
        while len(self.got) < count:
            assert time.monotonic() < end, "it did not come in time"
            time.sleep(0.02)


@pytest.fixture
def listener():
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


async def test_a_notice_comes_over_the_wire(world, channel, account, make, listener):
    institution, private_key = institution_keys(fixmedins_code="H61010000007", notify_url=listener.url)
    await asyncio.to_thread(world.control, "/control/insurance/institutions", msgspec.to_builtins(institution))
    own = msgspec.structs.replace(
        account,
        merchant_id="H61010000007",
        app_id=institution.app_id,
        secrets={
            **account.secrets,
            "private_key": Secret(private_key),
            "app_secret": Secret(institution.app_secret),
        },
        profile={},
    )
    faults = {"duplicate_notices": 1, "forged_notices": 1, "path": listener.url}
    await asyncio.to_thread(world.control, "/control/insurance/faults", faults)
    request = make.bill_of()
    part = await channel.presettle(own, request, now=clock.now())
    intent = make.intent_of(request, part)
    await channel.start(own, intent, now=clock.now())
    await asyncio.to_thread(listener.wait, 3)
    forged, *genuine = listener.got
    with pytest.raises(NoticeNotGenuine):
        channel.read_notice(own, {}, forged, now=clock.now())
    told = {channel.read_notice(own, {}, body, now=clock.now()).notice_id for body in genuine}
    assert len(told) == 1
    assert channel.read_notice(own, {}, genuine[0], now=clock.now()).payment.attempt_no == intent.attempt_no
