"""The books of mixed orders of medical insurance and own money (医保自费混合收款), and the verbs that change them.

The own half is an ordinary order under the same number; its state and refunds are read from there. The insurer's half
is a state of its own: this party plays WeChat Pay alone, and the control port says what the insurer answered. Rules for
the fields and amounts of each ``mix_pay_type``: pay.weixin.qq.com, 医保自费混合收款下单 (4016781466). Whether a whole
fails when its own half is closed is not published; the condition ``mixed_fails_when_closed`` plays either way.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from msgspec.structs import replace

from yimatong.kit.clock import BEIJING, rfc3339
from yimatong.sandbox.wechat.requests import Url
from yimatong.sandbox.wechat.rows import Merchant, MixedRow, Order, WireError
from yimatong.sandbox.wechat.state import WeChat

Money = Annotated[int, Meta(ge=0, le=10**10)]
_DIGEST = re.compile(r"[0-9a-f]{32}", re.ASCII)
_SELF = {
    "NOTPAY": "SELF_PAY_CREATED",
    "SUCCESS": "SELF_PAY_SUCCESS",
    "REFUND": "SELF_PAY_SUCCESS",
    "CLOSED": "SELF_PAY_FAIL",
}
_INSURANCE = ("pay_order_id", "pay_auth_no", "geo_location", "med_ins_order_create_time")
_GOOD = frozenset({"SELF_PAY_SUCCESS", "NO_SELF_PAY", "MED_INS_PAY_SUCCESS", "NO_MED_INS_PAY"})
_BACK = frozenset({"SELF_PAY_REFUND", "MED_INS_PAY_REFUND"})


class Person(msgspec.Struct, frozen=True):
    """Who pays, name and digest under the platform's key."""

    name: str
    id_digest: str
    card_type: Literal[
        "ID_CARD",
        "HOUSEHOLD_REGISTRATION",
        "FOREIGNER_PASSPORT",
        "MAINLAND_TRAVEL_PERMIT_FOR_TW",
        "MAINLAND_TRAVEL_PERMIT_FOR_MO",
        "MAINLAND_TRAVEL_PERMIT_FOR_HK",
        "FOREIGN_PERMANENT_RESIDENT",
    ]


class PlaceMixed(msgspec.Struct, frozen=True, kw_only=True):
    """Body of 医保自费混合收款下单."""

    mix_pay_type: Literal["CASH_ONLY", "INSURANCE_ONLY", "CASH_AND_INSURANCE"]
    order_type: Literal[
        "REG_PAY",
        "DIAG_PAY",
        "COVID_EXAM_PAY",
        "IN_HOSP_PAY",
        "PHARMACY_PAY",
        "INSURANCE_PAY",
        "INT_REG_PAY",
        "INT_RE_DIAG_PAY",
        "INT_RX_PAY",
        "COVID_ANTIGEN_PAY",
        "MED_PAY",
    ]
    appid: str
    openid: Annotated[str, Meta(min_length=1, max_length=128)]
    payer: Person
    out_trade_no: Annotated[str, Meta(min_length=1, max_length=64)]
    serial_no: Annotated[str, Meta(min_length=1, max_length=20)]
    city_id: Annotated[str, Meta(min_length=1, max_length=8)]
    med_inst_name: Annotated[str, Meta(min_length=1, max_length=128)]
    med_inst_no: Annotated[str, Meta(min_length=1, max_length=32)]
    total_fee: Annotated[int, Meta(ge=1, le=10**10)]
    callback_url: Url
    pay_order_id: Annotated[str, Meta(max_length=64)] = ""
    pay_auth_no: Annotated[str, Meta(max_length=40)] = ""
    geo_location: Annotated[str, Meta(max_length=40)] = ""
    med_ins_order_create_time: str = ""
    med_ins_gov_fee: Money | None = None
    med_ins_self_fee: Money | None = None
    med_ins_other_fee: Money | None = None
    med_ins_cash_fee: Money | None = None
    wechat_pay_cash_fee: Money = 0
    prepay_id: Annotated[str, Meta(max_length=64)] = ""
    passthrough_request_content: Annotated[str, Meta(max_length=2048)] = ""
    attach: Annotated[str, Meta(max_length=128)] = ""
    channel_no: Annotated[str, Meta(max_length=32)] = ""
    med_ins_test_env: bool = False


class TellRefund(msgspec.Struct, frozen=True, kw_only=True):
    """Body of 医保退款通知, by which the merchant tells WeChat Pay what the insurer took back."""

    med_refund_total_fee: Money
    med_refund_gov_fee: Money
    med_refund_self_fee: Money
    med_refund_other_fee: Money
    refund_time: datetime
    out_refund_no: str


def place(wechat: WeChat, merchant: Merchant, request: PlaceMixed, *, key_id: str, now: datetime) -> MixedRow:
    """Place a mixed order; ``key_id`` names the key under which the identity is.

    Raises:
        WireError: ``PARAM_ERROR``, ``RULE_LIMIT``, ``ALREADY_EXISTS``.
    """
    if request.appid not in {merchant.appid, merchant.mini_appid}:
        raise WireError(400, "PARAM_ERROR", "请确认AppID与OpenID是否正确")
    opened = wechat.signers.opened(request.payer.name, key_id), wechat.signers.opened(request.payer.id_digest, key_id)
    if not opened[0] or not _DIGEST.fullmatch(opened[1]):
        raise WireError(400, "PARAM_ERROR", "payer 的姓名或个人身份ID摘要不合法")
    key = f"{merchant.mchid}/{request.out_trade_no}"
    if wechat.mixed.get(key) is not None:
        raise WireError(400, "ALREADY_EXISTS", "订单已存在")
    _check(request)
    if request.prepay_id:
        half = wechat.order_of(request.prepay_id)
        if half.key != key or half.total_fen != request.wechat_pay_cash_fee or half.appid != request.appid:
            raise WireError(400, "RULE_LIMIT", "自费预下单与混合订单不一致")
    moment = wechat.business_time(now)
    row = MixedRow(
        mchid=merchant.mchid,
        out_trade_no=request.out_trade_no,
        mix_trade_no=f"10{moment.astimezone(BEIJING):%Y%m%d}{secrets.randbelow(10**18):018d}",
        request=msgspec.json.encode({**msgspec.to_builtins(request), "payer": None}).decode(),
        created_at=moment,
        med_status="NO_MED_INS_PAY" if request.mix_pay_type == "CASH_ONLY" else "MED_INS_PAY_CREATED",
    )
    wechat.mixed.put(row.key, row)
    return row


def _check(request: PlaceMixed) -> None:
    """Check fields and amounts of the type; raises ``RULE_LIMIT``."""
    insured = (request.med_ins_gov_fee, request.med_ins_self_fee, request.med_ins_other_fee)
    given, cash = [fee for fee in (*insured, request.med_ins_cash_fee) if fee is not None], request.wechat_pay_cash_fee
    wrong = ""
    if request.mix_pay_type == "CASH_ONLY":
        if any(given) or any(getattr(request, name) for name in _INSURANCE):
            wrong = "纯自费单字段校验失败"
    elif len(given) != len(insured) + 1 or not all(getattr(request, name) for name in _INSURANCE):
        wrong = "合支付单字段校验失败"
    elif request.med_ins_cash_fee != cash:
        wrong = "自费金额校验不通过"
    if (request.mix_pay_type == "INSURANCE_ONLY") != (not cash) or bool(cash) != bool(request.prepay_id):
        wrong = wrong or "合支付单字段校验失败"
    if sum(fee for fee in insured if fee) + cash != request.total_fee:
        wrong = wrong or "订单总金额校验不通过"
    if wrong:
        raise WireError(400, "RULE_LIMIT", wrong)


def named(wechat: WeChat, mchid: str, *, out_trade_no: str = "", mix_trade_no: str = "") -> MixedRow:
    """Return a mixed order by either number. Raises ``NOT_FOUND``."""
    row = wechat.mixed.get(f"{mchid}/{out_trade_no}")
    if mix_trade_no:
        row = next((each for each in wechat.mixed if (each.mchid, each.mix_trade_no) == (mchid, mix_trade_no)), None)
    if row is None:
        raise WireError(404, "NOT_FOUND", "未找到订单，请确认订单号是否正确")
    return row


def pay(wechat: WeChat, row: MixedRow, *, own: bool, insurance: str, now: datetime) -> MixedRow:
    """Let the payer confirm: the own half is paid if ``own``, the insurer answers SUCCESS, FAIL or nothing."""
    half = _half(wechat, row)
    if own and half is not None:
        wechat.pay(half, now=now)
    if insurance and row.med_status == "MED_INS_PAY_CREATED":
        row = replace(row, med_status=f"MED_INS_PAY_{insurance}")
    return _kept(wechat, row, now=now)


def take_back(wechat: WeChat, row: MixedRow, told: TellRefund) -> MixedRow:
    """Note what the insurer took back. Raises ``RULE_LIMIT`` when it does not add up or was never paid."""
    request = msgspec.json.decode(row.request)
    parts = {
        "med_ins_gov_fee": told.med_refund_gov_fee,
        "med_ins_self_fee": told.med_refund_self_fee,
        "med_ins_other_fee": told.med_refund_other_fee,
    }
    adds_up = sum(parts.values()) == told.med_refund_total_fee > 0
    if not adds_up or any(back > (request.get(name) or 0) for name, back in parts.items()):
        raise WireError(400, "RULE_LIMIT", "医保退款金额校验不通过")
    if row.med_status not in ("MED_INS_PAY_SUCCESS", "MED_INS_PAY_REFUND"):
        raise WireError(400, "RULE_LIMIT", "当前订单状态不允许退款")
    taken = replace(row, med_status="MED_INS_PAY_REFUND", refunded_fen=told.med_refund_total_fee)
    wechat.mixed.put(taken.key, taken)
    return taken


def states(wechat: WeChat, row: MixedRow) -> tuple[str, str, str]:
    """Return the states of the whole, of the own half and of the insurer's half."""
    half = _half(wechat, row)
    own, insured = _own_state(wechat, half), row.med_status
    ends = wechat.conditions.mixed_fails_when_closed
    if ends and half is not None and own == "SELF_PAY_FAIL" and insured == "MED_INS_PAY_CREATED":
        insured = "MED_INS_PAY_FAIL"
    pair = {own, insured}
    if pair <= _BACK | {"NO_SELF_PAY", "NO_MED_INS_PAY"} and pair & _BACK:
        return "MIX_PAY_REFUND", own, insured
    if pair <= _GOOD | _BACK:
        return "MIX_PAY_SUCCESS", own, insured
    if pair <= {"SELF_PAY_FAIL", "NO_SELF_PAY", "MED_INS_PAY_FAIL", "NO_MED_INS_PAY"}:
        return "MIX_PAY_FAIL", own, insured
    return "MIX_PAY_CREATED", own, insured


def answer(wechat: WeChat, row: MixedRow) -> dict[str, Any]:
    """Return the JSON of a placed order, of a query and of the resource in the notice."""
    whole, own, insured = states(wechat, row)
    request = {name: value for name, value in msgspec.json.decode(row.request).items() if value not in (None, "")}
    facts = request | {
        "mix_trade_no": row.mix_trade_no,
        "mix_pay_status": whole,
        "self_pay_status": own,
        "med_ins_pay_status": insured,
    }
    if row.paid_at is not None:
        facts["paid_time"] = rfc3339(row.paid_at)
    return facts


def _kept(wechat: WeChat, row: MixedRow, *, now: datetime) -> MixedRow:
    """Store a row; the first time that the whole is a success the merchant is told."""
    wechat.mixed.put(row.key, row)
    if states(wechat, row)[0] == "MIX_PAY_SUCCESS" and not row.told:
        row = replace(row, told=True, paid_at=wechat.business_time(now))
        wechat.mixed.put(row.key, row)
        facts = answer(wechat, row)
        event = ("MEDICAL_INSURANCE.SUCCESS", "medical_insurance", "医保混合收款成功")
        wechat.notify(row.mchid, facts["callback_url"], event, facts, now)
    return row


def _half(wechat: WeChat, row: MixedRow) -> Order | None:
    prepay_id = msgspec.json.decode(row.request).get("prepay_id", "")
    return wechat.orders.get(row.key) if prepay_id else None


def _own_state(wechat: WeChat, half: Order | None) -> str:
    if half is None:
        return "NO_SELF_PAY"
    back = sum(refund.refund_fen for refund in wechat.refunds_of(half) if refund.status == "SUCCESS")
    return "SELF_PAY_REFUND" if back == half.total_fen else _SELF.get(half.trade_state, "SELF_PAY_CREATED")
