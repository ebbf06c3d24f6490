"""What the cashier decides without looking anywhere: device, scene, face, whose code, where a form may go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.payments.cashier.offers import SCENES_OF, offers
from yimatong.payments.cashier.schemas import CashierView, ChannelOffer, Pulse
from yimatong.payments.channels.base import Scene
from yimatong.payments.channels.registry import CHANNELS
from yimatong.payments.states import OrderState
from yimatong.web.cashier.device import Device, Kind, channel_of_code, device_of, scanned, ways
from yimatong.web.cashier.leaving import origin_of
from yimatong.web.cashier.standing import FINAL, face_of, mark_of

NOW = datetime(2026, 11, 30, 10, tzinfo=UTC)
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"
WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36"


class Adapter:
    def __init__(self, *scenes: Scene, part: str = "cash") -> None:
        self.scenes = frozenset(scenes)
        if part != "cash":
            self.part, self.presettle = part, lambda: None


ADAPTERS = {
    "wechat": Adapter(Scene.NATIVE, Scene.H5, Scene.JSAPI, Scene.APP, Scene.BARCODE),
    "alipay": Adapter(Scene.NATIVE, Scene.H5, Scene.PAGE, Scene.APP, Scene.JSAPI, Scene.BARCODE),
    "netbank": Adapter(Scene.PAGE, Scene.H5),
    "credit": Adapter(Scene.DIRECT),
    "insurance": Adapter(Scene.DIRECT, part="insurance"),
}


def view(*, troubled: str = "", kind: str | None = None, allowed: frozenset[str] | None = None) -> CashierView:
    found = offers(ADAPTERS, ADAPTERS, kind=kind, allowed=allowed)
    marked = [ChannelOffer(channel=o.channel, part=o.part, scenes=o.scenes, troubled=o.channel == troubled)
              for o in found]  # fmt: skip
    return CashierView(
        order_no="P20261130000000000001", institution_name="", description="", items=[], amount_fen=1, cash_fen=1,
        state="created", expires_at=NOW, app_until=None, channels=[], offers=marked, legs=[], paid_at=None,
        refunded_fen=0, return_url="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (WINDOWS, Device(kind=Kind.COMPUTER)),
        (IPHONE, Device(kind=Kind.PHONE)),
        (f"{IPHONE} MicroMessenger/8.0.50", Device(kind=Kind.PHONE, inside="wechat")),
        (f"{IPHONE} AliApp(AP/10.6) AlipayClient/10.6", Device(kind=Kind.PHONE, inside="alipay")),
        (f"{WINDOWS} MicroMessenger/7.0", Device(kind=Kind.COMPUTER, inside="wechat")),
        ("", Device(kind=Kind.COMPUTER)),
    ],
)
def test_device(agent, device):
    assert device_of(agent) == device
    assert device_of(agent, kiosk=True) == Device(kind=Kind.KIOSK)


@pytest.mark.parametrize(
    ("device", "scenes"),
    [
        (Device(kind=Kind.COMPUTER), {"wechat": "native", "alipay": "native", "netbank": "page", "credit": "direct"}),
        (Device(kind=Kind.PHONE), {"wechat": "h5", "alipay": "h5", "netbank": "h5", "credit": "direct"}),
        (Device(kind=Kind.PHONE, inside="wechat"),
         {"wechat": "native", "alipay": "native", "netbank": "h5", "credit": "direct"}),
        (Device(kind=Kind.PHONE, inside="alipay"),
         {"wechat": "native", "alipay": "h5", "netbank": "h5", "credit": "direct"}),
        (Device(kind=Kind.KIOSK), {"wechat": "native", "alipay": "native"}),
    ],
)  # fmt: skip
def test_scene_by_device(device, scenes):
    assert {way.channel: str(way.scene) for way in ways(view(), device)} == scenes


def test_preferred_first_troubled_never_insurers_apart():
    computer = Device(kind=Kind.COMPUTER)
    assert [way.channel for way in ways(view(), computer)] == ["wechat", "alipay", "netbank", "credit"]
    assert ways(view(), computer, preferred="netbank")[0].channel == "netbank"
    assert "alipay" not in {way.channel for way in ways(view(troubled="alipay"), computer, preferred="alipay")}
    assert scanned(view()) == ["wechat", "alipay"]
    assert scanned(view(troubled="wechat")) == ["alipay"]


def test_service_channel_decides_the_scenes():
    found = {each.channel: set(each.scenes) for each in view(kind="mini_program").offers}
    assert found == {
        "wechat": {Scene.JSAPI}, "alipay": {Scene.JSAPI}, "credit": {Scene.DIRECT}, "insurance": {Scene.DIRECT}
    }  # fmt: skip
    assert [each.channel for each in view(allowed=frozenset({"alipay"})).offers] == ["alipay"]
    assert [each.channel for each in view(kind="a kind of tomorrow").offers] == []
    assert {each.part for each in view().offers} == {"cash", "insurance"}


def test_every_kind_of_service_channel_is_known():
    from sqlalchemy import CheckConstraint

    from yimatong.payments.models import service_channel

    texts = [str(each.sqltext) for each in service_channel.constraints if isinstance(each, CheckConstraint)]
    named = next(text for text in texts if "kind IN" in text)
    assert {f"'{kind}'" for kind in SCENES_OF} == set(named.split("(")[1].rstrip(")").split(", "))


def test_every_channel_has_a_name_for_people():
    from yimatong.web.routes import make_pages

    assert {f"cashier.channel.{name}" for name in CHANNELS} <= make_pages().texts.keys()


@pytest.mark.parametrize(
    ("code", "channel"),
    [
        ("134000000000000001", "wechat"),
        ("164000000000000001", ""),
        ("13400000000000000", ""),
        ("281234567890123456", "alipay"),
        ("3012345678901234", "alipay"),
        ("6212345678901234567", "unionpay"),
        ("１34000000000000001", ""),
        ("134000000000000001\n", ""),
        ("", ""),
    ],
)
def test_whose_code(code, channel):
    assert channel_of_code(code) == channel


def pulse(**facts: object) -> Pulse:
    plain: dict[str, object] = {
        "state": "created", "expires_at": NOW + timedelta(minutes=5), "app_until": None, "cash_fen": 1,
        "refunded_fen": 0, "landed": 0, "attempt_no": "", "attempt_part": "", "unknown": False, "ready": False,
    }  # fmt: skip
    return Pulse(**(plain | facts))


@pytest.mark.parametrize(
    ("facts", "face"),
    [
        ({}, "choose"),
        ({"state": "paying", "attempt_no": "A"}, "wait"),
        ({"state": "paying", "attempt_no": "A", "unknown": True}, "ask"),
        ({"state": "paying", "attempt_no": "A", "expires_at": NOW}, "ask"),
        ({"state": "paying", "attempt_no": "A", "attempt_part": "insurance"}, "settling"),
        ({"state": "paying", "attempt_no": "A", "attempt_part": "commercial", "unknown": True}, "settling"),
        ({"state": "closing"}, "ask"),
        ({"expires_at": NOW}, "expired"),
        ({"app_until": NOW}, "counter"),
    ],
)
def test_faces_by_facts(facts, face):
    assert face_of(pulse(**facts), at_counter=False, now=NOW) == face


def test_a_kiosk_may_when_an_app_may_not():
    assert face_of(pulse(app_until=NOW), at_counter=True, now=NOW) == "choose"


@given(
    state=st.sampled_from([str(each) for each in OrderState]),
    part=st.sampled_from(["", "cash", "insurance", "commercial", "whole"]),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    late=st.integers(-(10**6), 10**6),
    counter=st.booleans(),
)
def test_waiting_never_becomes_an_outcome(state, part, flags, late, counter):
    """Only the order's own state makes a final face, whatever time it is and however long an attempt is open."""
    seen = pulse(
        state=state, attempt_no="A" if part else "", attempt_part=part, unknown=flags[0], ready=flags[1],
        expires_at=NOW - timedelta(seconds=late), app_until=NOW if flags[2] else None,
    )  # fmt: skip
    face = face_of(seen, at_counter=counter, now=NOW)
    done = {"paid", "partly_refunded", "refunded", "closed"}
    assert (face in FINAL) == (state in done)
    if part and state not in done:
        assert face in {"wait", "ask", "settling"}
    assert mark_of(seen, at_counter=counter, now=NOW).startswith(f"{face}.{state}.")


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("https://gateway.95516.com/gateway/api/frontTransReq.do", "https://gateway.95516.com"),
        ("http://127.0.0.1:8490/netbank/icbc/pay?x=1", "http://127.0.0.1:8490"),
    ],
)
def test_origin(address, origin):
    assert origin_of(address) == origin


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "//evil.test/x", "https://", "https://a.test;script-src *", "https://a.test *", "data:x",
     "https://用户.test/"],
)  # fmt: skip
def test_what_no_form_goes_to(address):
    with pytest.raises(ValueError, match="not an address"):
        origin_of(address)
