"""Several platform keys at once, certificates and their download, keys that cannot be used."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from in_our_books import placed
from msgspec.structs import replace

from yimatong.kit import clock
from yimatong.kit.errors import PartyOutcomeUnknown
from yimatong.kit.masking import Secret
from yimatong.payments.channels.base import PaymentStatus
from yimatong.payments.channels.wechat import keys
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.errors import AccountUnusable, ChannelRefused, NoticeNotGenuine
from yimatong.sandbox.wechat.notify import envelope

PUBLIC = ("platform_key_id", "platform_public_key_pem")


def holding(account, *without: str, **secrets: str):
    """Return the account with other secrets."""
    kept = {name: value for name, value in account.secrets.items() if name not in without}
    return replace(account, secrets=kept | {name: Secret(value) for name, value in secrets.items()})


@pytest.fixture
async def certificate(post) -> dict[str, str]:
    return (await post("certificates"))[-1]


@pytest.fixture
async def changing(account, certificate):
    """An account in the middle of the change: public key and certificate."""
    return holding(account, platform_cert_pem=certificate["pem"])


async def test_requests_name_the_public_key_or_else_the_certificate_and_answers_follow(
    channel, account, changing, certificate
):
    old = holding(account, *PUBLIC, platform_cert_pem=certificate["pem"])
    assert keys.current_key_id(changing, now=clock.now()) == str(account.secrets["platform_key_id"])
    assert keys.current_key_id(old, now=clock.now()) == certificate["serial_no"]
    for held in (changing, old):
        told = await channel.query(held, placed("NOBODY0001"), now=clock.now())
        assert told.status is PaymentStatus.ABSENT


async def test_notices_of_either_key_are_read_in_any_mixture(account, changing, certificate, world):
    reader, wechat = WeChatPay(None, ""), world._world.wechat
    told = {"mchid": account.merchant_id, "appid": account.app_id, "out_trade_no": "MIXED00001"}
    body = envelope_of(wechat, told | {"trade_state": "SUCCESS", "amount": {"total": 5}})
    seen: dict[str, int] = {}
    for percent in (0, 50, 100):
        for _ in range(40):
            signer = wechat.signers.for_notice(percent, moment=clock.now())
            headers = {name.lower(): value for name, value in signer.headers(body, moment=clock.now()).items()}
            assert reader.read_notice(changing, headers, body, now=clock.now()).payment.amount_fen == 5
            seen[f"{percent} {signer.key_id}"] = seen.get(f"{percent} {signer.key_id}", 0) + 1
    public, serial = str(account.secrets["platform_key_id"]), certificate["serial_no"]
    assert (seen[f"0 {public}"], seen[f"100 {serial}"]) == (40, 40)
    assert min(seen[f"50 {public}"], seen[f"50 {serial}"]) > 0
    headers = {name.lower(): value for name, value in signer.headers(body, moment=clock.now()).items()}
    with pytest.raises(NoticeNotGenuine) as refused:
        reader.read_notice(account, headers, body, now=clock.now())
    assert "unknown key id" in refused.value.audit
    with pytest.raises(NoticeNotGenuine):  # a genuine signature under the other key's name
        reader.read_notice(changing, headers | {"wechatpay-serial": public}, body, now=clock.now())


def envelope_of(wechat, resource) -> bytes:

    wechat.notify(
        "1900000109", "http://127.0.0.1:9/n", ("TRANSACTION.SUCCESS", "transaction", "x"), resource, clock.now()
    )
    return envelope(wechat, list(wechat.notices)[-1])


async def test_certificates_are_fetched_and_put_in_before_they_are_used(channel, account, certificate, post):
    fresh = await post("certificates", {"days": 3650})
    bare = holding(account, *PUBLIC)
    for held in (account, bare):
        fetched = await channel.platform_certificates(held, now=clock.now())
        assert fetched[0].serial_no == fresh["serial_no"]
        assert certificate["serial_no"] in {each.serial_no for each in fetched}
    rotated = holding(bare, platform_cert_pem=certificate["pem"], platform_cert_pem_2=fetched[0].pem)
    assert keys.current_key_id(rotated, now=clock.now()) == fresh["serial_no"]
    assert (await channel.query(rotated, placed("NOBODY0001"), now=clock.now())).status is PaymentStatus.ABSENT
    stranger = holding(account, api_v3_key="k" * 32)
    with pytest.raises(PartyOutcomeUnknown):
        await channel.platform_certificates(stranger, now=clock.now())


@pytest.mark.parametrize("fault", ["unsigned_answers", "wrong_signatures", "answer_5xx"])
async def test_a_list_of_certificates_that_proves_nothing_is_not_taken(channel, account, post, fault):
    await post("faults", {fault: 1})
    with pytest.raises(PartyOutcomeUnknown):
        await channel.platform_certificates(account, now=clock.now())


def test_a_certificate_counts_between_its_dates_only(account, world):
    row = world._world.wechat.signers.rotate(moment=clock.now(), days=10)
    held = holding(account, *PUBLIC, platform_cert_pem=row.pem)
    for days, counts in ((1, True), (9, True), (11, False), (-1, False)):
        moment = clock.now() + timedelta(days=days)
        if counts:
            assert list(keys.platform_keys(held, now=moment)) == [row.serial_no]
        else:
            with pytest.raises(AccountUnusable):
                keys.platform_keys(held, now=moment)
    both = holding(account, platform_cert_pem=row.pem)
    assert row.serial_no not in keys.platform_keys(both, now=clock.now() + timedelta(days=11))


@pytest.mark.parametrize("name", ["private_key_pem", "serial_no", "platform_public_key_pem", "platform_cert_pem"])
@pytest.mark.parametrize("value", ["", "nonsense", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
async def test_an_account_without_usable_keys_says_which(channel, account, name, value):
    without = ("platform_key_id",) if name == "platform_public_key_pem" and not value else ()
    if name == "serial_no" and value:
        return  # any text may be a serial number: WeChat Pay alone knows
    held = holding(account, *without, **{name: value})
    with pytest.raises(AccountUnusable) as refused:
        await channel.query(held, placed("NOBODY0001"), now=clock.now())
    assert refused.value.facts["name"] == name


async def test_the_merchant_s_own_key_is_changed_with_its_number(channel, account, world):
    other = await asyncio.to_thread(world.enrol, mchid="1900000777", appid="wx777")
    mine = replace(account, merchant_id="1900000777", app_id="wx777")
    first = holding(mine, private_key_pem=other.private_key_pem, serial_no=other.serial_no, api_v3_key=other.api_v3_key)
    assert (await channel.query(first, placed("NOBODY0001"), now=clock.now())).status is PaymentStatus.ABSENT
    renewed = await asyncio.to_thread(world.enrol, mchid="1900000777", appid="wx777")
    with pytest.raises(ChannelRefused) as refused:
        await channel.query(first, placed("NOBODY0001"), now=clock.now())
    assert refused.value.facts["channel_code"] == "SIGN_ERROR"
    second = holding(first, private_key_pem=renewed.private_key_pem, serial_no=renewed.serial_no)
    assert (await channel.query(second, placed("NOBODY0001"), now=clock.now())).status is PaymentStatus.ABSENT
