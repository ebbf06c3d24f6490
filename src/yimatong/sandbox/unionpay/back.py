"""What a back transaction (backTransReq.do) does, by kind: 二维码, token, 退货, 撤销, 冲正, SMS codes and openings."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from yimatong.sandbox.unionpay import cards
from yimatong.sandbox.unionpay.requests import braces, customer_info, transaction
from yimatong.sandbox.unionpay.rows import Merchant, Message, Opening, Transaction, WireError
from yimatong.sandbox.unionpay.state import UnionPay

Fields = dict[str, str]
Verb = Callable[[UnionPay, Merchant, Fields, datetime], Fields]
_CODE_DIGITS = range(16, 25)


def _apply_code(unionpay: UnionPay, _merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """申请消费二维码 (主扫): the payer scans what comes back."""
    wanted = transaction(fields, front=True, token=secrets.token_hex(12), now=unionpay.business_time(now))
    return {"qrCode": f"https://qr.95516.com/00010000/{unionpay.place(wanted).token}"}


def _scanned(unionpay: UnionPay, _merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """消费 (被扫) with the payer's code: decided at once, unless a fault lets it wait or fail."""
    if not (fields.get("qrNo", "").isdecimal() and len(fields["qrNo"]) in _CODE_DIGITS) or not fields.get("termId"):
        raise WireError(code="13", detail="报文交易要素缺失[qrNo, termId]")
    wanted = transaction(fields, front=False, token=secrets.token_hex(12), now=unionpay.business_time(now))
    placed = unionpay.place(wanted)
    if unionpay.faults.strikes("barcode_refused"):
        unionpay.fail(placed, "64", now=now)
    elif not unionpay.faults.strikes("barcode_waits"):
        unionpay.pay(placed, now=now)
    return {}


def _by_token(unionpay: UnionPay, merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """消费 by token and SMS code; a wrong code is a failed payment."""
    wanted = transaction(fields, front=False, token=secrets.token_hex(12), now=unionpay.business_time(now))
    token = _own_token(unionpay, merchant, fields)
    info = customer_info(fields, unionpay.authority)
    known = unionpay.transactions.get(wanted.key)
    if known is not None:
        raise WireError(code="12")
    try:
        unionpay.cards.code_fits(
            wanted.key, info.get("smsCode", ""), amount_fen=wanted.amount_fen, token=token, now=now
        )
    except WireError as error:
        unionpay.fail(unionpay.place(wanted), error.code, now=now)
        raise
    placed = unionpay.place(wanted)
    return _told(unionpay.pay(placed, now=now))


def _give_back(unionpay: UnionPay, _merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """退货, 消费撤销: the answer is acceptance."""
    wanted = transaction(fields, front=False, token="", now=unionpay.business_time(now))
    return _told(unionpay.give_back(wanted, now=now))


def _reverse(unionpay: UnionPay, merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """冲正, by the number and time of the payment."""
    unionpay.reverse(merchant.mer_id, fields["orderId"], fields["txnTime"], now=now)
    return {}


def _open_sms(unionpay: UnionPay, merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """开通短信."""
    number = _card_number(unionpay, merchant, fields)
    cards.check_card(number)
    phone = customer_info(fields, unionpay.authority).get("phoneNo", "")
    if not (phone.isdecimal() and len(phone) == 11):  # noqa: PLR2004 -- a mobile number
        raise WireError(code="13", detail="报文交易要素缺失[phoneNo]")
    return _send(unionpay, merchant, fields, phone, now=now)


def _pay_sms(unionpay: UnionPay, merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """消费短信: the code holds for this number, time, amount and token alone."""
    token = _own_token(unionpay, merchant, fields)
    amount = fields.get("txnAmt", "")
    if not (amount.isascii() and amount.isdecimal()):
        raise WireError(code="13", detail="报文交易要素缺失[txnAmt]")
    phone = unionpay.cards.with_token(merchant.mer_id, token).phone
    return _send(unionpay, merchant, fields, phone, now=now, amount_fen=int(amount), token=token)


def _open(unionpay: UnionPay, merchant: Merchant, fields: Fields, now: datetime) -> Fields:
    """后台开通: card number and the code that was sent."""
    opening = _opening(merchant, fields)
    known = unionpay.cards.openings.get(opening.key)
    if known is not None:
        raise WireError(code="12")
    number = _card_number(unionpay, merchant, fields)
    info = customer_info(fields, unionpay.authority)
    sent = unionpay.cards.code_fits(opening.key, info.get("smsCode", ""), now=now)
    if sent.phone != info.get("phoneNo"):
        raise WireError(code="66")
    return _token_data(merchant, unionpay.cards.open(opening, number, sent.phone))


def _ask_opening(unionpay: UnionPay, merchant: Merchant, fields: Fields, _now: datetime) -> Fields:
    """开通查询. Public sources say that it answers for openings on UnionPay's page; here it answers for all."""
    known = unionpay.cards.openings.get(_opening(merchant, fields).key)
    if known is None or known.state == "deleted":
        raise WireError(code="34")
    if known.state == "waiting":
        return {"respCode": "05"}
    return _token_data(merchant, known)


def _delete(unionpay: UnionPay, merchant: Merchant, fields: Fields, _now: datetime) -> Fields:
    """删除 token."""
    unionpay.cards.delete(merchant.mer_id, _own_token(unionpay, merchant, fields))
    return {}


def _opening(merchant: Merchant, fields: Fields) -> Opening:
    return Opening(mer_id=merchant.mer_id, order_id=fields["orderId"], txn_time=fields["txnTime"])


def _card_number(unionpay: UnionPay, merchant: Merchant, fields: Fields) -> str:
    asked = braces(fields.get("tokenPayData", ""))
    if (asked.get("trId"), asked.get("tokenType")) != (merchant.tr_id, "01"):
        raise WireError(code="40", detail="绑定关系检查失败[trId]")
    if fields.get("encryptCertId") != unionpay.authority.encrypt_cert_id:
        raise WireError(code="10", detail="报文格式错误[encryptCertId]")
    return unionpay.authority.decrypt(fields.get("accNo", ""))


def _own_token(unionpay: UnionPay, merchant: Merchant, fields: Fields) -> str:
    asked = braces(fields.get("tokenPayData", ""))
    if asked.get("trId") != merchant.tr_id:
        raise WireError(code="40", detail="绑定关系检查失败[trId]")
    return unionpay.cards.with_token(merchant.mer_id, asked.get("token", "")).token


def _send(
    unionpay: UnionPay,
    merchant: Merchant,
    fields: Fields,
    phone: str,
    *,
    now: datetime,
    amount_fen: int = 0,
    token: str = "",
) -> Fields:
    unionpay.cards.send_code(
        Message(
            mer_id=merchant.mer_id,
            order_id=fields["orderId"],
            txn_time=fields["txnTime"],
            code=cards.new_code(),
            phone=phone,
            sent_at=now,
            amount_fen=amount_fen,
            token=token,
        )
    )
    shown = f"{{phoneNo={phone[:3]}****{phone[-4:]}}}"
    return {"customerInfo": base64.b64encode(shown.encode()).decode()}


def _token_data(merchant: Merchant, opening: Opening) -> Fields:
    data = f"{{trId={merchant.tr_id}&token={opening.token}&tokenLevel=80&tokenBegin=20260101000000&tokenType=01}}"
    return {"tokenPayData": data, "activateStatus": "1"}


def _told(made: Transaction) -> Fields:
    """Return what the answer to an accepted transaction names; what becomes of it is for notice and query."""
    return {name: value for name, value in replace(made, done_at=None).facts().items() if value}


BACK: dict[tuple[str, str, str], Verb] = {
    ("01", "07", "000000"): _apply_code,
    ("01", "06", "000000"): _scanned,
    ("01", "01", "000902"): _by_token,
    ("04", "00", ""): _give_back,
    ("31", "00", ""): _give_back,
    ("99", "01", ""): _reverse,
    ("77", "00", "000902"): _open_sms,
    ("77", "02", "000902"): _pay_sms,
    ("79", "00", "000902"): _open,
    ("78", "02", "000902"): _ask_opening,
    ("74", "01", "000902"): _delete,
}
"""By txnType, txnSubType and bizType; an empty bizType stands for any."""
