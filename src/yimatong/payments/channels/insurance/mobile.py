"""Between the port's structs and the content of the mobile payment centre (医保移动支付中心): 6201 to 6401.

Public sources: the copies of 天津 (blog.csdn.net/weixin_43585799/article/details/131508579) and of 山西 v1.3.35 in open
hospital projects for paths and fields; the table of ``ordStas`` from an open mini programme that shows it to
patients (0 已保存 … 17 退款中). Provinces differ; docs/spec/medical-insurance.md says what was found in one place only.
Profile entries read: ``med_type``, ``fee_type``, ``dept_code``, ``dept_name``, ``caty``, ``account_used``,
``psn_setlway``, ``public_hospital_reform``. Pure; amounts are texts of yuan on this wire.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import plain_yuan
from yimatong.payments.channels.abilities import PresettledPart, PresettleRequest
from yimatong.payments.channels.base import (
    ChannelAccount,
    ChannelPayment,
    ChannelRefund,
    PaymentIntent,
    PaymentStatus,
    PlacedPayment,
    RefundRequest,
    RefundStatus,
)
from yimatong.payments.channels.insurance import keys
from yimatong.payments.channels.insurance.credentials import CredentialFacts
from yimatong.payments.channels.insurance.splits import Garbled, Split, fen_in, needed, text_in

PATHS: Final = {
    "6201": "/org/local/api/hos/uldFeeInfo",
    "6202": "/org/local/api/hos/pay_order",
    "6203": "/org/local/api/hos/refund_Order",
    "6301": "/org/local/api/hos/query_order_info",
    "6401": "/org/local/api/hos/revoke_order",
}
STATUS: Final = {
    "0": PaymentStatus.PENDING,  # 已保存
    "1": PaymentStatus.PENDING,  # 预结算完成
    "2": PaymentStatus.PENDING,  # 结算中
    "3": PaymentStatus.PENDING,  # 自费完成: says nothing of the insurance's part
    "4": PaymentStatus.SUCCEEDED,  # 医保支付完成
    "5": PaymentStatus.SUCCEEDED,  # 院内结算完成
    "6": PaymentStatus.SUCCEEDED,  # 结算完成
    "7": PaymentStatus.REFUNDED,  # 已退款
    "8": PaymentStatus.REFUNDED,  # 已医保全部退款
    "9": PaymentStatus.SUCCEEDED,  # 仅自费全部退款: the insurance's part stands
    "10": PaymentStatus.SUCCEEDED,  # 仅自费部分退款: the same
    "11": PaymentStatus.REFUNDED,  # 医保全部退自费部分退款
    "12": PaymentStatus.CLOSED,  # 已撤销
    "13": PaymentStatus.CLOSED,  # 医保已撤销
    "15": PaymentStatus.FAILED,  # 结算失败
    "16": PaymentStatus.FAILED,  # 医保结算失败自费冲正失败
    "17": PaymentStatus.SUCCEEDED,  # 退款中: still paid
}
"""What an order's state says of the insurance's part; 14 (异常) and words that we do not know are pending."""

REFUND_STATUS: Final = {"SUCC": RefundStatus.SUCCEEDED, "FAIL": RefundStatus.CLOSED}
"""``EXP`` (异常) and words that we do not know are processing."""

UNDO: Final = "X"
"""Ends the number of a refund by which the adapter itself takes back a settlement that was not what was asked for."""

_PROMISED: Final = {
    "fund_fen": "fundPay",
    "account_fen": "psnAcctPay",
    "mutual_fen": "acctMulaidPay",
    "hospital_fen": "hospPartAmt",
}
_REFUNDABLE: Final = frozenset({"fund_fen", "account_fen"})
_TOKEN: Final = {"ecToken": "ecToken", "payAuthNo": "payAuthNo"}
_TIME = re.compile(r"\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}|\d{14}", re.ASCII)


def upload(account: ChannelAccount, request: PresettleRequest, shown: CredentialFacts) -> dict[str, Any]:
    """Return the content of 6201: whose bill, its lines, and the number (``medOrgOrd``) that we know it by.

    Raises:
        Garbled: the lines are not the amount.
    """
    if sum(line.amount_fen for line in request.lines) != request.amount_fen:
        message = "the lines are not the amount"
        raise Garbled(message)
    said = account.profile
    return {
        shown.token_field: str(shown.token),
        "orgCodg": keys.institution(account),
        "psnNo": shown.psn_no,
        "insutype": shown.insutype,
        "insuCode": shown.insuplc,
        "medOrgOrd": request.leg_no,
        "begntime": _stamp(request.placed_at),
        "idNo": request.insured.id_number,
        "userName": request.insured.name,
        "idType": request.insured.id_type,
        "iptOtpNo": request.visit_no,
        "mdtrtId": request.visit_no,
        "deptCode": said.get("dept_code", "A03"),
        "deptName": said.get("dept_name", "门诊"),
        "caty": said.get("caty", "A03"),
        "medType": said.get("med_type", "11"),
        "feeType": said.get("fee_type", "01"),
        "psnSetlway": said.get("psn_setlway", "01"),
        "chrgBchno": request.leg_no,
        "pubHospRfomFlag": said.get("public_hospital_reform", "0"),
        "acctUsedFlag": account_used(account),
        "medfeeSumamt": plain_yuan(request.amount_fen),
        "feedetailList": [
            {
                "feedetlSn": f"{request.leg_no}{number:04d}",
                "medListCodg": line.code,
                "medinsListName": line.name,
                "cnt": str(line.quantity),
                "detItemFeeSumamt": plain_yuan(line.amount_fen),
            }
            for number, line in enumerate(request.lines, start=1)
        ],
    }


def uploaded(told: Mapping[str, Any], request: PresettleRequest, shown: CredentialFacts) -> PresettledPart:
    """Return what 6201 says would be paid. Raises ``Garbled``."""
    split = split_of(told)
    if split.total_fen != request.amount_fen:
        message = "6201 answers for another amount"
        raise Garbled(message)
    return PresettledPart(
        amount_fen=split.insured_fen,
        components=split.components,
        references={
            "driver": "mobile",
            "payOrdId": needed(told, "payOrdId"),
            "payToken": needed(told, "payToken"),
            shown.token_field: str(shown.token),
            "mdtrtId": text_in(told, "mdtrtId") or request.visit_no,
            "chrgBchno": request.leg_no,
            "psnNo": shown.psn_no,
            "idNo": request.insured.id_number,
            "userName": request.insured.name,
            "idType": request.insured.id_type,
            "feeSumamt": plain_yuan(split.total_fen),
            "ownPayAmt": plain_yuan(split.own_fen),
            **{_PROMISED[name]: plain_yuan(fen) for name, fen in split.components.items()},
        },
    )


def account_used(account: ChannelAccount) -> str:
    """Return ``acctUsedFlag`` (``1`` or ``0``): whether the hospital lets personal accounts pay here."""
    return "0" if account.profile.get("account_used", "1") == "0" else "1"


def pay(account: ChannelAccount, intent: PaymentIntent) -> dict[str, Any]:
    """Return the content of 6202. Raises ``Garbled`` when the references are not those of a 6201."""
    known = intent.references
    return _token(known) | {
        "payOrdId": needed(known, "payOrdId"),
        "payToken": needed(known, "payToken"),
        "orgCodg": keys.institution(account),
        "orgBizSer": intent.attempt_no,
        "chrgBchno": text_in(known, "chrgBchno"),
        "feeType": account.profile.get("fee_type", "01"),
        "mdtrtId": text_in(known, "mdtrtId"),
        "acctUsedFlag": account_used(account),
    }


def about(account: ChannelAccount, known: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of 6301 and of 6401: which order, and whose. Raises ``Garbled`` as :func:`pay`."""
    return {
        "payOrdId": needed(known, "payOrdId"),
        "payToken": needed(known, "payToken"),
        "orgCodg": keys.institution(account),
        "idNo": text_in(known, "idNo"),
        "userName": text_in(known, "userName"),
        "idType": text_in(known, "idType"),
    }


def payment(account: ChannelAccount, told: Mapping[str, Any], attempt_no: str) -> ChannelPayment:
    """Return the insurance's part of an order as 6202, 6301 or a notice tells it.

    A refunded order is ``CLOSED`` when no refund of ours is among those that it lists: what we did not ask back was
    taken back by the centre, and nothing stays settled. So is one that was settled by another attempt of ours
    (``orgBizSer``, where a centre repeats it): this attempt settled nothing. Raises ``Garbled``.
    """
    status = STATUS.get(text_in(told, "ordStas"), PaymentStatus.PENDING)
    facts: dict[str, Any] = {
        "attempt_no": attempt_no,
        "merchant_id": account.merchant_id,
        "app_id": account.app_id,
        "channel_trade_no": needed(told, "payOrdId"),
    }
    another = text_in(told, "orgBizSer") not in ("", attempt_no)
    if another or (status is PaymentStatus.REFUNDED and not _asked_back(told)):
        status = PaymentStatus.CLOSED
    if status not in (PaymentStatus.SUCCEEDED, PaymentStatus.REFUNDED):
        return ChannelPayment(status=status, **facts)
    split = split_of(told)
    return ChannelPayment(
        status=status,
        amount_fen=split.insured_fen,
        components=split.components,
        paid_at=_moment(text_in(told, "traceTime")),
        **facts,
    )


def split_of(told: Mapping[str, Any]) -> Split:
    """Return the division of an order. Raises ``Garbled`` when it does not add up."""
    return Split(
        total_fen=fen_in(told, "feeSumamt"),
        fund_fen=fen_in(told, "fundPay"),
        account_fen=fen_in(told, "psnAcctPay"),
        own_fen=fen_in(told, "ownPayAmt"),
        mutual_fen=fen_in(told, "acctMulaidPay", absent=0),
        hospital_fen=fen_in(told, "hospPartAmt", absent=0),
    )


def fits(found: ChannelPayment, known: Mapping[str, str]) -> bool:
    """Say whether a settlement is what was presettled, component by component. Raises ``Garbled``."""
    promised = {name: fen_in(known, wire, absent=0) for name, wire in _PROMISED.items()}
    return dict(found.components) == {name: fen for name, fen in promised.items() if fen}


def refund(request: RefundRequest) -> dict[str, Any]:
    """Return the content of 6203. Raises ``Garbled`` when the components are not the amount."""
    known, parts = request.payment.references, request.components
    whole = request.refund_fen == request.payment.amount_fen and fen_in(known, "ownPayAmt") == 0
    if sum(parts.values()) != request.refund_fen or (set(parts) - _REFUNDABLE and not whole):
        message = "the components are not the amount, or 6203 has no field for one"
        raise Garbled(message)
    return _token(known) | {
        "payOrdId": needed(known, "payOrdId"),
        "appRefdSn": request.refund_no,
        "appRefdTime": f"{request.asked_at.astimezone(BEIJING):%Y%m%d%H%M%S}",
        "refdType": "ALL" if whole else "HI",
        "totlRefdAmt": plain_yuan(request.refund_fen),
        "cashRefdAmt": plain_yuan(0),
        "psnAcctRefdAmt": plain_yuan(parts.get("account_fen", 0)),
        "fundRefdAmt": plain_yuan(parts.get("fund_fen", 0)),
    }


def refunded(account: ChannelAccount, told: Mapping[str, Any], request: RefundRequest) -> ChannelRefund:
    """Return a refund as 6203 answers it, or as it stands in the list of 6301. Raises ``Garbled``."""
    if needed(told, "appRefdSn") != request.refund_no:
        message = "the answer is about another refund"
        raise Garbled(message)
    status = REFUND_STATUS.get(text_in(told, "refStatus"), RefundStatus.PROCESSING)
    return ChannelRefund(
        refund_no=request.refund_no,
        attempt_no=request.payment.attempt_no,
        status=status,
        merchant_id=account.merchant_id,
        channel_refund_no=text_in(told, "refdOrdId"),
        refund_fen=fen_in(told, "totlRefdAmt", absent=request.refund_fen),
        succeeded_at=_moment(text_in(told, "refdTime")) if status is RefundStatus.SUCCEEDED else None,
    )


def refund_listed(account: ChannelAccount, told: Mapping[str, Any], request: RefundRequest) -> ChannelRefund:
    """Return how a refund stands by 6301: in its list of refunds, or by the order's state where it has none.

    That 6301 lists refunds is not in the public tables. Without a list nothing is known of a part; with one, a number
    that it does not name was never taken. Raises ``Garbled``.
    """
    listed = told.get("refdOrdList")
    facts: dict[str, Any] = {
        "refund_no": request.refund_no,
        "attempt_no": request.payment.attempt_no,
        "merchant_id": account.merchant_id,
    }
    if isinstance(listed, list):
        for each in listed:
            if isinstance(each, dict) and each.get("appRefdSn") == request.refund_no:
                return refunded(account, each, request)
        return ChannelRefund(status=RefundStatus.ABSENT, **facts)
    state = STATUS.get(text_in(told, "ordStas"))
    if state is PaymentStatus.REFUNDED and request.refund_fen == request.payment.amount_fen:
        return ChannelRefund(status=RefundStatus.SUCCEEDED, refund_fen=request.refund_fen, **facts)
    return ChannelRefund(status=RefundStatus.PROCESSING, **facts)


def undoing(placed: PlacedPayment, settled: ChannelPayment, *, now: datetime) -> RefundRequest:
    """Return the refund that takes all of a settlement back that must not stand."""
    return RefundRequest(
        refund_no=f"{placed.attempt_no}{UNDO}",
        payment=placed,
        refund_fen=settled.amount_fen,
        reason="结算结果与预结算不一致",
        notify_url="",
        asked_at=now,
        components=settled.components,
    )


def _asked_back(told: Mapping[str, Any]) -> bool:
    listed = told.get("refdOrdList")
    if not isinstance(listed, list):
        return False
    done = [each for each in listed if isinstance(each, dict) and each.get("refStatus") == "SUCC"]
    return any(not str(each.get("appRefdSn", UNDO)).endswith(UNDO) for each in done)


def _token(known: Mapping[str, str]) -> dict[str, Any]:
    return {name: known[name] for name in _TOKEN if known.get(name)}


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(BEIJING):%Y-%m-%d %H:%M:%S}"


def _moment(text: str) -> datetime | None:
    """Return a time of the centre, which is Beijing's; nothing for a text of another form."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(re.sub(r"\D", "", text), "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None
