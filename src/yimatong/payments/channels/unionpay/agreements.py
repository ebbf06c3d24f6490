"""Quick payment by a bound bank card (无跳转 token): the fields of opening, asking, ending, and of an SMS code. Pure.

Source: the vendor's published demonstrations of 无跳转支付 (token). Two ways to open. With card number and phone: an
SMS code, then the opening (后台开通; the demonstrations say: for credit cards; the contract decides which elements it
wants). Without a card number UnionPay's own page asks for them (银联侧开通). Card number and phone go out encrypted
with UnionPay's encryption certificate. ``trId`` (标记请求者) is assigned with the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial

from yimatong.payments.channels.abilities import AgreementRequest, AgreementStanding, ChannelAgreement
from yimatong.payments.channels.base import ChannelAccount
from yimatong.payments.channels.unionpay import signing
from yimatong.payments.channels.unionpay import transformers as wire

CARD_HOLDER_ID = {"01": "01"}
"""Our kind of certificate (身份证件类别 01) to UnionPay's certifTp; others are left to its page."""
PHONE_OF_BANK = "银行预留手机号"
_ORDER_MAX = 32


def order_of(request_no: str) -> str:
    """Return the orderId of an agreement: letters and digits alone, the last 32 of them (the random end of our ids)."""
    return "".join(character for character in request_no if character.isascii() and character.isalnum())[-_ORDER_MAX:]


def encode_open_sms(account: ChannelAccount, request: AgreementRequest) -> dict[str, str]:
    """Return the fields that have an SMS code sent for an opening; its number and time are the opening's."""
    return _card(account, request, wire.OPEN_SMS)


def encode_open(account: ChannelAccount, request: AgreementRequest, answer: str) -> dict[str, str]:
    """Return the fields of an opening with the SMS code ``answer``."""
    return _card(account, request, wire.OPEN, answer)


def encode_open_page(account: ChannelAccount, request: AgreementRequest) -> dict[str, str]:
    """Return the fields of an opening on UnionPay's own page."""
    fields = _asked(account, request, wire.OPEN) | _sealed_by(account)
    return fields | {"frontUrl": request.return_url, "backUrl": request.notify_url, "tokenPayData": _requestor(account)}


def encode_open_query(account: ChannelAccount, request: AgreementRequest) -> dict[str, str]:
    """Return the fields that ask how an opening stands."""
    return _asked(account, request, wire.OPEN_QUERY) | _sealed_by(account)


def encode_end(account: ChannelAccount, request: AgreementRequest, token: str) -> dict[str, str]:
    """Return the fields that delete a token."""
    return _asked(account, request, wire.DELETE_TOKEN) | _sealed_by(account) | {"tokenPayData": _token(account, token)}


def encode_pay_sms(
    account: ChannelAccount, attempt_no: str, token: str, amount_fen: int, placed_at: datetime
) -> dict[str, str]:
    """Return the fields that have an SMS code sent for a payment: number, time and amount must be the payment's."""
    fields = wire.common(account, wire.PAY_SMS, attempt_no, placed_at, wire.PC) | _sealed_by(account)
    return fields | {
        "txnAmt": str(amount_fen),
        "currencyCode": wire.CNY,
        "tokenPayData": _token(account, token),
    }


def payment_parts(account: ChannelAccount, token: str, answer: str) -> dict[str, str]:
    """Return what a payment by token carries beside the common fields."""
    parts = _sealed_by(account) | {"tokenPayData": _token(account, token)}
    if answer:
        parts["customerInfo"] = wire.customer_info(_sealing(account), smsCode=_only_word(answer))
    return parts


def decode_opening(told: Mapping[str, str], request: AgreementRequest) -> ChannelAgreement:
    """Return how an opening stands by the answer to it or to its query. Raises ``Garbled``."""
    code = told.get("respCode", "")
    if code == wire.DONE:
        if told.get("orderId") != order_of(request.request_no):
            message = "the answer is about another opening"
            raise wire.Garbled(message)
        token = wire.read_braces(told.get("tokenPayData", "")).get("token", "")
        if not token:
            message = "an opening without its token"
            raise wire.Garbled(message)
        return ChannelAgreement(request_no=request.request_no, standing=AgreementStanding.AGREED, agreement_no=token)
    if code == wire.UNKNOWN_NUMBER:
        return ChannelAgreement(request_no=request.request_no, standing=AgreementStanding.ABSENT)
    refused = code in wire.REFUSED
    return ChannelAgreement(
        request_no=request.request_no,
        standing=AgreementStanding.REFUSED if refused else AgreementStanding.WAITING,
        reason=f"{code} {told.get('respMsg', '')}"[:128] if refused else "",
    )


def sent_to(told: Mapping[str, str]) -> str:
    """Return the masked phone number that an SMS answer may name, else whose number it is. Raises ``Garbled``."""
    text = told.get("customerInfo", "")
    phone = wire.read_customer_info(text).get("phoneNo", "") if text else ""
    return phone if "*" in phone else PHONE_OF_BANK


def masked(phone: str) -> str:
    """Return a phone number with its middle hidden."""
    return f"{phone[:3]}****{phone[-4:]}"


def _asked(account: ChannelAccount, request: AgreementRequest, kind: wire.Kind) -> dict[str, str]:
    return wire.common(account, kind, order_of(request.request_no), request.placed_at, wire.PC)


def _card(account: ChannelAccount, request: AgreementRequest, kind: wire.Kind, answer: str = "") -> dict[str, str]:
    seal = _sealing(account)
    certificate = CARD_HOLDER_ID.get(request.id_type, "")
    info = wire.customer_info(
        seal,
        phone=_only_word(request.phone),
        certifTp=certificate,
        certifId=_only_word(request.id_number) if certificate else "",
        customerNm=_only_word(request.name),
        smsCode=_only_word(answer),
    )
    return (
        _asked(account, request, kind)
        | _sealed_by(account)
        | {
            "tokenPayData": _requestor(account),
            "accNo": seal(str(request.card_number)),
            "customerInfo": info,
        }
    )


def _sealing(account: ChannelAccount) -> partial[str]:
    return partial(signing.encrypt, certificate_pem=wire.secret(account, "encrypt_cert_pem"))


def _sealed_by(account: ChannelAccount) -> dict[str, str]:
    return {"encryptCertId": signing.serial(wire.secret(account, "encrypt_cert_pem"))}


def _requestor(account: ChannelAccount) -> str:
    return wire.braces(trId=account.profile.get("tr_id", ""), tokenType="01")


def _token(account: ChannelAccount, token: str) -> str:
    return wire.braces(trId=account.profile.get("tr_id", ""), token=_only_word(token))


def _only_word(text: str) -> str:
    """Take out what would end a part of a composed field."""
    return "".join(character for character in text if character not in "{}&=[]")
