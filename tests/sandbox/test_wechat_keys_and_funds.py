"""The simulator's certificates, payment codes, mixed orders and fund-flow bills, also after a restart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from yimatong.kit import clock
from yimatong.sandbox.store import Store
from yimatong.sandbox.wechat import funds, medical
from yimatong.sandbox.wechat.rows import CodeRow, Merchant, WireError
from yimatong.sandbox.wechat.state import WeChat

NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)


def opened(directory) -> WeChat:
    wechat = WeChat(Store(directory))
    if not len(wechat.merchants):
        keys = {"public_key_pem": wechat.key.public_pem, "api_v3_key": "k" * 32}
        wechat.register(Merchant(mchid="1", appid="wx1", serial_no="s", **keys))
    return wechat


async def test_certificates_are_kept_with_their_keys_and_the_newest_signs(tmp_path):
    wechat = opened(tmp_path)
    first = wechat.signers.valid(moment=NOW)[-1]
    second = wechat.signers.rotate(moment=NOW, days=1)
    headers = wechat.signers.for_notice(100, moment=NOW).headers(b"x", moment=NOW)
    assert headers["Wechatpay-Serial"] == second.serial_no
    await wechat.store.flush()
    wechat.store.close()
    again = opened(tmp_path)
    assert [row.serial_no for row in again.signers.valid(moment=NOW)] == [first.serial_no, second.serial_no]
    later = NOW + timedelta(days=2)
    assert [row.serial_no for row in again.signers.valid(moment=later)] == [first.serial_no]
    assert again.signers.for_notice(100, moment=later).key_id == first.serial_no
    for serial in (first.serial_no, second.serial_no):
        assert (tmp_path / f"wechat-platform-cert-{serial}.pem").stat().st_mode & 0o777 == 0o600
        assert again.signers.named(serial).headers(b"x", moment=NOW)["Wechatpay-Serial"] == serial
    assert again.signers.named("nobody").key_id == again.key.key_id
    again.store.close()


def test_the_share_of_notices_that_certificates_sign(tmp_path):
    wechat = opened(tmp_path)
    drawn = [wechat.signers.for_notice(20, moment=NOW).key_id for _ in range(2000)]
    by_certificate = sum(key_id != wechat.key.key_id for key_id in drawn)
    assert 280 < by_certificate < 520  # 400 expected; beyond six standard deviations either way
    wechat.store.close()


def test_sealed_identities_open_under_their_own_key_only(tmp_path):
    wechat = opened(tmp_path)
    with pytest.raises(WireError) as refused:
        wechat.signers.opened("AAAA", wechat.key.key_id)
    assert refused.value.code == "PARAM_ERROR"
    with pytest.raises(WireError):
        wechat.signers.opened("AAAA", "PUB_KEY_ID_0")
    wechat.store.close()


def mixed(**more):
    facts = {
        "mix_pay_type": "INSURANCE_ONLY",
        "order_type": "DIAG_PAY",
        "appid": "wx1",
        "openid": "o",
        "payer": {"name": "x", "id_digest": "x", "card_type": "ID_CARD"},
        "out_trade_no": "MIXED00001",
        "serial_no": "1",
        "city_id": "610100",
        "med_inst_name": "h",
        "med_inst_no": "1",
        "total_fee": 10,
        "callback_url": "http://127.0.0.1:9/n",
        "pay_order_id": "o",
        "pay_auth_no": "a",
        "geo_location": "1,2",
        "med_ins_order_create_time": "2026-11-23T09:30:00+08:00",
        "med_ins_gov_fee": 4,
        "med_ins_self_fee": 6,
        "med_ins_other_fee": 0,
        "med_ins_cash_fee": 0,
    }
    kept = {name: value for name, value in (facts | more).items() if value is not None}
    return msgspec.convert(kept, medical.PlaceMixed)


@pytest.mark.parametrize(
    "change",
    [
        {"total_fee": 11},
        {"med_ins_cash_fee": 1},
        {"med_ins_other_fee": None},
        {"pay_auth_no": ""},
        {"wechat_pay_cash_fee": 1},
        {"prepay_id": "wx"},
        {"mix_pay_type": "CASH_ONLY"},
        {"mix_pay_type": "CASH_AND_INSURANCE"},
    ],
)
def test_fields_and_amounts_must_fit_the_kind(change):
    medical._check(mixed())
    with pytest.raises(WireError) as refused:
        medical._check(mixed(**change))
    assert refused.value.code == "RULE_LIMIT"


async def test_codes_are_used_once_also_after_a_restart(tmp_path):
    wechat = opened(tmp_path)
    code = CodeRow(auth_code="130000000000000001", openid="o", ends="pays", expires_at=NOW, used_by="1/x")
    wechat.codes.put(code.auth_code, code)
    await wechat.store.flush()
    wechat.store.close()
    again = opened(tmp_path)
    assert again.codes.get(code.auth_code) == code
    again.store.close()


def test_the_balance_of_a_fund_flow_bill_goes_on_from_day_to_day():
    def moved(day: int, amount_fen: int, number: str) -> funds.Movement:
        moment = datetime(2026, 11, day, 2, tzinfo=UTC)
        texts = dict.fromkeys(("business_no", "name", "kind", "actor", "memo", "voucher"), "x")
        return funds.Movement(moment=moment, flow_no=number, amount_fen=amount_fen, **texts)

    made = [moved(22, 1000, "1"), moved(23, 500, "2"), moved(23, -3, "3")]
    day = clock.business_date(made[1].moment)
    lines = funds.render(made, day).split("\r\n")
    assert [line.split(",`")[7] for line in lines[1:3]] == ["15.00", "14.97"]
    assert lines[4] == "`2,`1,`5.00,`1,`0.03"
    assert funds.render(made, day + timedelta(days=1)) == ""
