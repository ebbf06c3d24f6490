from __future__ import annotations

import io
import zipfile
from datetime import date

import pytest
from alipay_world import PID

from yimatong.payments.channels.alipay import bills
from yimatong.payments.errors import BillBroken

DAY = date(2026, 11, 30)
NAME = f"{PID}0156_20261130_details.csv"
GATEWAY = "https://openapi.alipay.com/gateway.do"


def packed(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def check(content: bytes, day: date = DAY) -> bytes:
    return bills.checked_zip(content, merchant_id=PID, day=day)


def test_a_whole_zip_comes_back_as_it_came():
    made = packed((NAME, b"#1\r\n" * 100), (NAME.replace("details", "summary"), b""))
    assert check(made) == made


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"#" * 100,
        packed(),
        packed(("2088000000000009" + NAME[16:], b"x")),
        packed(("../" + NAME, b"x")),
        packed((NAME.replace("20261130", "20261129"), b"x")),
        packed((NAME + "/../../x", b"x")),
        packed(*((f"{NAME}{number}", b"x") for number in range(17))),
        packed((NAME, b"x" * 100), method=zipfile.ZIP_STORED).replace(b"x" * 100, b"y" * 100),
        packed((NAME, b"x" * 100))[:-1],
    ],
)
def test_what_is_not_this_day_s_bill(content):
    with pytest.raises(BillBroken):
        check(content)


def test_a_bomb_is_not_unpacked():
    with pytest.raises(BillBroken) as refused:
        check(packed((NAME, b"\0" * (32 << 20))))
    assert "unpacks" in str(refused.value.facts["detail"])


def test_a_bomb_that_lies_about_its_length_is_not_believed():
    made = bytearray(packed((NAME, b"\0" * (32 << 20))))
    at = made.index(b"PK\x01\x02")
    made[at + 24 : at + 28] = (100).to_bytes(4, "little")
    with pytest.raises(BillBroken):
        check(bytes(made))


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://dwbillcenter.alipay.com/downloadBillFile.resource?bizType=X&userId=2088", True),
        ("https://dwbillcenter.alipay.com:443/x", True),
        ("https://openapi.alipay.com/x", True),
        ("http://dwbillcenter.alipay.com/x", False),
        ("http://openapi.alipay.com/x", False),
        ("https://dwbillcenter.alipay.com:8443/x", False),
        ("https://dwbillcenter.alipay.com.evil.example/x", False),
        ("https://dwbillcenter.alipay.com@127.0.0.1/x", False),
        ("https://someone@dwbillcenter.alipay.com/x", False),
        ("http://127.0.0.1:8491/control", False),
        ("gopher://gateway.test/x", False),
        ("https://[::1", False),
        ("https://dwbillcenter.alipay.com:x/", False),
        ("", False),
    ],
)
def test_bills_come_from_known_places_only(url, good):
    known = frozenset({bills.HOST})
    if good:
        assert bills.checked_address(url, gateway_url=GATEWAY, hosts=known) == url
    else:
        with pytest.raises(BillBroken):
            bills.checked_address(url, gateway_url=GATEWAY, hosts=known)
