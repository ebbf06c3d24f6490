"""The simulated insurance by itself: its rules, its books over a restart, and whom it does not hear."""

from __future__ import annotations

import base64
import json
import secrets
from datetime import timedelta

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.crypto.gm import sm2, sm4
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.kit import clock
from yimatong.kit.clock import BEIJING
from yimatong.sandbox.medical.enrolment import institution_keys
from yimatong.sandbox.medical.requests import Charge, PayOrder, RefundOrder, UploadFees, read
from yimatong.sandbox.medical.rows import InsuranceError, Person
from yimatong.sandbox.medical.rules import divide
from yimatong.sandbox.medical.state import Insurance
from yimatong.sandbox.store import Store

NOW = clock.now()
PERCENT = st.integers(0, 100)
FEN = st.integers(0, 10**9)


@given(fund=PERCENT, account=PERCENT, deductible=FEN, balance=FEN, total=st.integers(1, 10**9), used=st.booleans())
def test_a_bill_is_divided_without_rest(*, fund, account, deductible, balance, total, used):
    person = Person(
        id_number="1",
        name="王",
        fund_percent=fund,
        account_percent=account,
        deductible_fen=deductible,
        balance_fen=balance,
    )
    division = divide(person, total, account_used=used)
    assert division.fund_fen + division.account_fen + division.own_fen == total
    assert min(division.fund_fen, division.account_fen, division.own_fen) >= 0
    assert division.account_fen <= (balance if used else 0)
    assert division.deductible_fen <= deductible


@pytest.fixture
def books(tmp_path):
    insurance = Insurance(Store(tmp_path))
    institution, _ = institution_keys(fixmedins_code="H61010000001")
    insurance.institutions.put(institution.fixmedins_code, institution)
    yield insurance, institution, tmp_path
    insurance.store.close()


def upload_of(insurance, *, amount="100.00", number="L1", name="王小明", id_number="610101"):
    person = insurance.people.find(id_number, name)
    token = insurance.people.issue(person, "ecToken", now=NOW, minutes=5).value
    texts = dict.fromkeys(
        ("insutype", "begntime", "insuCode", "iptOtpNo", "deptCode", "deptName", "caty", "medType", "feeType"), "1"
    )
    texts |= dict.fromkeys(("psnSetlway", "chrgBchno", "pubHospRfomFlag", "idType"), "01")
    return read(
        texts
        | {
            "orgCodg": "H61010000001",
            "psnNo": person.psn_no,
            "medOrgOrd": number,
            "idNo": id_number,
            "userName": name,
            "medfeeSumamt": amount,
            "feedetailList": [{"feedetlSn": "1", "detItemFeeSumamt": amount}],
            "ecToken": token,
        },
        UploadFees,
        "6201",
    )


def pay_of(order, business="A1"):
    return PayOrder(
        payOrdId=order.pay_ord_id,
        payToken=order.pay_token,
        orgCodg="H61010000001",
        orgBizSer=business,
        chrgBchno="1",
        feeType="01",
        mdtrtId="1",
        ecToken="t",
    )


def refund_of(order, number="R1", *, fund="0", account="0", cash="0", kind="HI"):
    total = sum(float(each) for each in (fund, account, cash))
    return RefundOrder(
        payOrdId=order.pay_ord_id,
        appRefdSn=number,
        appRefdTime="20261130120000",
        refdType=kind,
        totlRefdAmt=f"{total:.2f}",
        cashRefdAmt=cash,
        psnAcctRefdAmt=account,
        fundRefdAmt=fund,
        ecToken="t",
    )


async def test_the_books_survive_a_restart(books):
    insurance, institution, folder = books
    order = insurance.upload(institution, upload_of(insurance), now=NOW)
    paid = insurance.pay(institution, pay_of(order), now=NOW)
    back = insurance.refund(institution, refund_of(order, fund="1.00"), now=NOW)
    await insurance.store.flush()
    again = Insurance(Store(folder))
    try:
        assert again.key.public_hex == insurance.key.public_hex
        assert again.order(institution, order.pay_ord_id) == paid
        assert again.refunds_of(paid) == [back]
        assert again.people.by_number("610101").balance_fen == 200_000 - paid.division.account_fen
        assert again.pay(institution, pay_of(order), now=NOW) == paid
    finally:
        again.store.close()


def test_what_the_mobile_centre_refuses(books):
    insurance, institution, _ = books
    order = insurance.upload(institution, upload_of(insurance), now=NOW)
    other, _ = institution_keys(fixmedins_code="H61010000002")
    refusals = [
        lambda: insurance.order(other, order.pay_ord_id),
        lambda: insurance.order(institution, order.pay_ord_id, "wrong token"),
        lambda: insurance.refund(institution, refund_of(order, fund="1.00"), now=NOW),
        lambda: insurance.upload(institution, upload_of(insurance, amount="99.00"), now=NOW),
        lambda: upload_of(insurance, name="假名", id_number="2"),
        lambda: upload_of(insurance, name="别人", id_number="610101"),
    ]
    for refused in refusals:
        with pytest.raises(InsuranceError):
            refused()
    paid = insurance.pay(institution, pay_of(order), now=NOW)
    for refused in (
        lambda: insurance.pay(institution, pay_of(order, "A2"), now=NOW),
        lambda: insurance.revoke(institution, order.pay_ord_id, order.pay_token),
        lambda: insurance.refund(institution, refund_of(order, fund="60.01"), now=NOW),
        lambda: insurance.refund(institution, refund_of(order, account="20.01"), now=NOW),
        lambda: insurance.refund(institution, refund_of(order, fund="1.00", cash="1.00"), now=NOW),
        lambda: insurance.refund(institution, refund_of(order, fund="60.00", kind="ALL"), now=NOW),
    ):
        with pytest.raises(InsuranceError):
            refused()
    assert insurance.order(institution, order.pay_ord_id) == paid


@given(st.lists(st.tuples(st.integers(0, 7000), st.integers(0, 3000)), max_size=8))
@settings(max_examples=30, deadline=None)
def test_refunds_never_exceed_a_component(tmp_path_factory, wanted):
    insurance = Insurance(Store(tmp_path_factory.mktemp("books")))
    institution, _ = institution_keys(fixmedins_code="H61010000001")
    order = insurance.upload(institution, upload_of(insurance), now=NOW)
    paid = insurance.pay(institution, pay_of(order), now=NOW)
    for number, (fund, account) in enumerate(wanted):
        asked = refund_of(order, f"R{number}", fund=f"{fund / 100:.2f}", account=f"{account / 100:.2f}")
        try:
            insurance.refund(institution, asked, now=NOW)
        except InsuranceError:
            continue
    done = insurance.refunds_of(paid)
    assert sum(each.fund_fen for each in done) <= paid.division.fund_fen
    assert sum(each.account_fen for each in done) <= paid.division.account_fen
    back_fen = sum(each.account_fen for each in done)
    assert insurance.people.by_number("610101").balance_fen == 200_000 - paid.division.account_fen + back_fen
    insurance.store.close()


def test_a_message_settles_once_and_is_reversed_once(books):
    insurance, institution, _ = books
    person = insurance.people.find("610101", "王小明")
    asked = Charge(
        psn_no=person.psn_no,
        mdtrt_cert_type="02",
        mdtrt_cert_no="610101",
        med_type="11",
        medfee_sumamt="100.00",
        psn_setlway="01",
        mdtrt_id="V1",
        chrg_bchno="L1",
        insutype="390",
        acct_used_flag="1",
    )
    first = insurance.settle(institution, asked, person, msgid="M1", now=NOW)
    assert insurance.settle(institution, asked, person, msgid="M1", now=NOW) == first
    other = msgspec.structs.replace(asked, medfee_sumamt="1.00")
    with pytest.raises(InsuranceError):
        insurance.settle(institution, other, person, msgid="M1", now=NOW)

    def reverse(msgid="M1", psn_no=person.psn_no, infno="2207"):
        insurance.reverse(institution, psn_no=psn_no, omsgid=msgid, oinfno=infno, now=NOW)

    for wrong in ({"msgid": "M2"}, {"psn_no": "somebody"}, {"infno": "2208"}):
        with pytest.raises(InsuranceError, match="原交易不存在"):
            reverse(**wrong)
    reverse()
    with pytest.raises(InsuranceError, match="已冲正"):
        reverse()
    assert insurance.people.by_number("610101").balance_fen == 200_000
    second = insurance.settle(institution, asked, person, msgid="M3", now=NOW)
    insurance.cancel(second, msgid="M4", now=NOW)
    with pytest.raises(InsuranceError, match="不能冲正"):
        reverse("M3")


def envelope(institution, private_key, data, *, stamp=None, secret=""):
    """Seal a request as the specification says, without the adapter."""
    secret = secret or institution.app_secret
    pad = lambda octets: octets + bytes([16 - len(octets) % 16]) * (16 - len(octets) % 16)  # noqa: E731 -- three uses
    plain = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    stamp = stamp or f"{clock.now().astimezone(BEIJING):%Y%m%d%H%M%S}"
    text = (
        f"appId={institution.app_id}&data={plain}&encType=SM4&signType=SM2&timestamp={stamp}&version=2.0.1&key={secret}"
    )
    key = sm4.encrypt_blocks(institution.app_id[:16].encode(), pad(institution.app_secret.encode())).hex().upper()[:16]
    signature = sm2.sign(bytes.fromhex(private_key), text.encode())
    return {
        "appId": institution.app_id,
        "encType": "SM4",
        "signType": "SM2",
        "version": "2.0.1",
        "timestamp": stamp,
        "encData": sm4.encrypt_blocks(key.encode(), pad(plain.encode())).hex().upper(),
        "signData": base64.b64encode(signature).decode(),
    }


def test_the_wire_hears_who_signs_and_nobody_else(world):
    institution, private_key = institution_keys(fixmedins_code="H61010000005")
    world.control("/control/insurance/institutions", msgspec.to_builtins(institution))
    url = f"{world.url}/insurance/org/local/api/ec/exchange"
    data = {
        "exchType": "certificate",
        "idNo": "6101X",
        "idType": "01",
        "orgCodg": "H61010000005",
        "userName": "王小明",
    }

    def ask(body):
        return httpx.post(url, json=body, trust_env=False).json()

    assert ask(envelope(institution, private_key, data))["code"] == 0
    old = f"{clock.now().astimezone(BEIJING) - timedelta(hours=1):%Y%m%d%H%M%S}"
    stranger, other_key = institution_keys(fixmedins_code="H61010000006")
    for wrong in (
        envelope(institution, private_key, data, stamp=old),
        envelope(institution, private_key, data, secret="x" * 16),
        envelope(institution, other_key, data),
        envelope(stranger, other_key, data),
        envelope(institution, private_key, {**data, "orgCodg": "H61010000001"}),
        envelope(institution, private_key, data) | {"encData": "00"},
        envelope(institution, private_key, data) | {"timestamp": "x"},
        {},
        [],
    ):
        told = ask(wrong)
        assert (told["code"], told["success"]) != (0, True)
        assert "encData" not in told


def test_the_agency_hears_a_nonce_once(world):
    secret = secrets.token_hex(16)
    world.control("/control/ncms/hospitals", {"app_id": "ncms-nonce", "secret": secret, "institution": "H1"})
    body = json.dumps({"attempt_no": "A", "claim_no": "C", "institution": "H1"}).encode()

    def ask(nonce, *, stamp=None, sign_with=secret):
        stamp = stamp or str(int(clock.now().timestamp()))
        text = f"POST\n/ncms/v1/query\n{stamp}\n{nonce}\n".encode() + body
        headers = {
            "x-app-id": "ncms-nonce",
            "x-timestamp": stamp,
            "x-nonce": nonce,
            "x-sign": hmac_sm3(bytes.fromhex(sign_with), text).hex(),
        }
        return httpx.post(f"{world.url}/ncms/v1/query", content=body, headers=headers, trust_env=False)

    first = ask("n1")
    assert (first.status_code, first.json()["code"]) == (404, "NO_SUCH_CLAIM")
    signed = b"404\nn1\n" + first.content
    assert first.headers["X-Sign"] == hmac_sm3(bytes.fromhex(secret), signed).hex()
    assert ask("n1").status_code == 401
    assert ask("n2", stamp="1").status_code == 401
    assert ask("n3", sign_with="00" * 16).status_code == 401
