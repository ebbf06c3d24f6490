"""What ``payments-fuzz`` breaks of commercial insurers: all that is signed, and the answer to a pre-settlement."""

from __future__ import annotations

from typing import Any

import _fuzzsigned
from _fuzz import Target
from _fuzzsigned import MERCHANT, NOW, another

from yimatong.payments.channels.abilities import BillLine as Line
from yimatong.payments.channels.abilities import Insured, PresettleRequest
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.commercial import transformers as claims
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.signed import transformers as wire

ORDER = "P20261123000000000001"
ASKED = PresettleRequest(
    leg_no=f"{ORDER}L01",
    order_no=ORDER,
    institution_id="h",
    visit_no="V1",
    description="门诊缴费",
    lines=(Line(name="西药费", amount_fen=10_000),),
    amount_fen=10_000,
    insured=Insured(name="王小明", id_type="01", id_number="1"),
    placed_at=NOW,
)
PRESETTLED: dict[str, Any] = {
    "leg_no": ASKED.leg_no,
    "merchant_id": MERCHANT,
    "presettle_no": "PS0001",
    "covered_fen": 6_500,
    "expires_at": "2026-11-23T10:00:00+08:00",
}
REPLIES: tuple[dict[str, Any], ...] = (
    {"code": "OK", "presettlement": PRESETTLED},
    {"code": "OK", "presettlement": PRESETTLED | {"covered_fen": 0, "expires_at": None}},
)


def targets() -> list[Target]:
    """Return every way in."""
    channel = CommercialInsurer(None, "")  # type: ignore[arg-type]
    return [
        *_fuzzsigned.targets(channel),
        _fuzzsigned.answers(channel.name, "presettle-answer", REPLIES, another("presettlement", "presettle_no"), _read),
    ]


def _read(who: ChannelAccount, body: bytes) -> object:
    reply = wire.read(body, claims.PresettleReply)
    return reply.code, claims.decode_presettled(reply, who, ASKED)
