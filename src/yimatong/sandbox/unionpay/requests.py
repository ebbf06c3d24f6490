"""What merchants send: the limits that 5.1.0 publishes for each field, and transactions made from requests."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta

from yimatong.kit.clock import BEIJING
from yimatong.sandbox.unionpay.authority import Authority
from yimatong.sandbox.unionpay.rows import Transaction, WireError
from yimatong.sandbox.unionpay.state import digest_of

_ORDER = re.compile(r"[0-9A-Za-z]{8,40}", re.ASCII)
_TIME = re.compile(r"\d{14}", re.ASCII)
_AMOUNT = re.compile(r"[1-9]\d{0,11}", re.ASCII)
_URL = re.compile(r"https?://[^\s#]{1,250}", re.ASCII)
_PERIOD = timedelta(hours=1)
PRODUCTS = {
    ("01", "01"): frozenset({"000201", "000902"}),
    ("01", "06"): frozenset({"000000"}),
    ("01", "07"): frozenset({"000000"}),
    ("04", "00"): frozenset({"000000", "000201", "000902"}),
    ("31", "00"): frozenset({"000000", "000201", "000902"}),
    ("99", "01"): frozenset({"000000", "000902"}),
    ("77", "00"): frozenset({"000902"}),
    ("77", "02"): frozenset({"000902"}),
    ("79", "00"): frozenset({"000902"}),
    ("78", "02"): frozenset({"000902"}),
    ("74", "01"): frozenset({"000902"}),
    ("00", "00"): frozenset({"000000", "000201", "000902"}),
    ("76", "01"): frozenset({"000000"}),
}


def check(fields: Mapping[str, str]) -> None:
    """Check what every request must have. Raises ``WireError`` 10, 13, 32."""
    kind = (fields.get("txnType", ""), fields.get("txnSubType", ""))
    wrong = ""
    if fields.get("version") != "5.1.0" or fields.get("encoding", "").upper() != "UTF-8":
        wrong = "version, encoding"
    elif kind[0] != "76" and not _ORDER.fullmatch(fields.get("orderId", "")):
        wrong = "orderId"
    elif parse_time(fields.get("txnTime", "")) is None:
        wrong = "txnTime"
    elif fields.get("channelType") not in ("07", "08") or fields.get("accessType") != "0":
        wrong = "channelType, accessType"
    if wrong:
        raise WireError(code="10", detail=f"报文格式错误[{wrong}]")
    if fields.get("bizType", "") not in PRODUCTS.get(kind, frozenset()):
        raise WireError(code="32", detail=f"无此交易权限[{kind[0]}/{kind[1]}/{fields.get('bizType', '')}]")


def transaction(fields: Mapping[str, str], *, front: bool, token: str, now: datetime) -> Transaction:
    """Return the transaction that a request asks for; ``now`` is business time. Raises ``WireError`` 10, 13, 39."""
    amount, back_url = fields.get("txnAmt", ""), fields.get("backUrl", "")
    sent, until = parse_time(fields["txnTime"]), parse_time(fields.get("payTimeout", ""))
    if not _AMOUNT.fullmatch(amount) or fields.get("currencyCode", "156") != "156":
        raise WireError(code="10", detail="报文格式错误[txnAmt, currencyCode]")
    if not _URL.fullmatch(back_url):
        raise WireError(code="13", detail="报文交易要素缺失[backUrl]")
    if (until is None and fields.get("payTimeout")) or (until is not None and until <= now):
        raise WireError(code="10", detail="报文格式错误[payTimeout]")
    if sent is None or abs(sent - now) > _PERIOD:
        raise WireError(code="39")
    return Transaction(
        mer_id=fields["merId"],
        order_id=fields["orderId"],
        txn_time=fields["txnTime"],
        txn_type=fields["txnType"],
        sub_type=fields["txnSubType"],
        biz_type=fields["bizType"],
        amount_fen=int(amount),
        back_url=back_url,
        front_url=fields.get("frontUrl", ""),
        description=braces(fields.get("riskRateInfo", "{}")).get("commodityName", ""),
        req_reserved=fields.get("reqReserved", ""),
        digest=digest_of(fields),
        created_at=now,
        pay_timeout=until,
        front=front,
        token=token,
        orig_query_id=fields.get("origQryId", ""),
    )


def parse_time(text: str) -> datetime | None:
    """Return the moment of ``YYYYMMDDhhmmss`` (Beijing), or ``None``."""
    if not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
    except ValueError:
        return None


def braces(text: str) -> dict[str, str]:
    """Read ``{name=value&name=value}``. Raises ``WireError`` 10."""
    if not (text.startswith("{") and text.endswith("}")):
        raise WireError(code="10", detail="报文格式错误[{}]")
    return dict(part.partition("=")[::2] for part in text[1:-1].split("&") if part)


def customer_info(fields: Mapping[str, str], authority: Authority) -> dict[str, str]:
    """Return the parts of ``customerInfo``, the encrypted ones opened. Raises ``WireError`` 10."""
    try:
        parts = braces(base64.b64decode(fields.get("customerInfo", ""), validate=True).decode())
    except ValueError as error:  # of base64 or of UTF-8
        raise WireError(code="10", detail="报文格式错误[customerInfo]") from error
    sealed = parts.pop("encryptedInfo", "")
    return parts | (braces("{" + authority.decrypt(sealed) + "}") if sealed else {})


def new_tn() -> str:
    """Return 银联受理订单号 (tn): 21 digits."""
    return f"{secrets.randbelow(9 * 10**20) + 10**20}"
