from __future__ import annotations

import base64
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yimatong.crypto.gm import sm2
from yimatong.kit import clock
from yimatong.payments.channels.insurance import signing
from yimatong.payments.channels.insurance.signing import Keys, Unverified
from yimatong.payments.channels.insurance.splits import Garbled, Split, fen_in

EXAMPLES = int(os.environ.get("YMT_FUZZ_EXAMPLES", "150"))
VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "insurance_signing.json").read_text("utf-8"))
PRIVATE, PUBLIC = sm2.generate_keypair()
NOW = clock.now()
KEYS = Keys(
    app_id="43AF047BBA47FC8A1AE8EFB232BDBBCB",
    app_secret="4117E877F5FA0A0188891283E4B617D5",
    private_key=PRIVATE,
    platform_keys=(PUBLIC,),
    signer_id=sm2.DEFAULT_ID,
    content_key=signing.derive_content_key("43AF047BBA47FC8A1AE8EFB232BDBBCB", "4117E877F5FA0A0188891283E4B617D5"),
)


@pytest.mark.parametrize("vector", VECTORS["sign_texts"], ids=lambda vector: vector["name"])
def test_published_text_to_sign(vector):
    assert signing.sign_text(vector["message"], vector["app_secret"]) == vector["text"]


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["name"])
def test_published_signature_verifies(vector):
    keys = Keys(
        app_id=vector["message"]["appCode"],
        app_secret=vector["app_secret"],
        private_key=PRIVATE,
        platform_keys=(base64.b64decode(vector["public_key"]),),
        signer_id=sm2.DEFAULT_ID,
        content_key=bytes(16),
    )
    signing.verify(keys, vector["message"], vector["signature"])
    with pytest.raises(Unverified):
        signing.verify(keys, vector["message"] | {"timestamp": "1739624112"}, vector["signature"])


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,8}", fullmatch=True)
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
CONTENTS = st.dictionaries(NAMES, VALUES, max_size=5)


def opened(message, *, now=NOW, keys=KEYS):
    body = signing.compact(message).encode()
    return signing.unseal(keys, signing.read_json(body), now=now)


@given(CONTENTS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_is_sealed_is_opened_without_the_empty(content):
    assert opened(signing.seal(KEYS, content, now=NOW)) == signing.cleaned(content)


@given(st.integers(0, 10**6), st.integers(1, 255))
@settings(max_examples=EXAMPLES, deadline=None)
def test_no_changed_octet_is_accepted(position, change):
    content = {"payOrdId": "ORD1", "ordStas": "6", "fundPay": "12.30"}
    genuine = signing.compact(signing.seal(KEYS, content, now=NOW)).encode()
    forged = bytearray(genuine)
    forged[position % len(forged)] ^= change
    try:
        told = signing.unseal(KEYS, signing.read_json(bytes(forged)), now=NOW)
    except Unverified:
        return
    # Only what does not count may differ: hexadecimal digits in lower case, or a name that is left out of the text.
    assert told == content


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_octets_are_refused_by_name(octets):
    with pytest.raises(Unverified):
        signing.unseal(KEYS, signing.read_json(octets), now=NOW)


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["appId", "encData", "signData", "timestamp", "code", "data", "x&y"]), JSONS))
@settings(max_examples=EXAMPLES, deadline=None)
def test_any_envelope_is_refused_by_name(envelope):
    with pytest.raises(Unverified):
        signing.unseal(KEYS, signing.read_json(json.dumps(envelope).encode()), now=NOW)


def test_a_field_cannot_swallow_its_neighbours():
    """The signed text does not escape: the same text must not be readable as other fields."""
    sealed = signing.seal(KEYS, {"payOrdId": "ORD1"}, now=NOW)
    plain = signing.compact({"payOrdId": "ORD1"})
    swallowed = {
        "appId&x": "",
        "signType": "SM2",
        "signData": sealed["signData"],
        "timestamp": sealed["timestamp"],
        "version": sealed["version"],
        "encType": "SM4",
        "appId": f"{KEYS.app_id}&data={plain}",
    }
    for message in (swallowed, {**swallowed, "appId&x": "y"}, {k: v for k, v in swallowed.items() if k != "appId&x"}):
        with pytest.raises(Unverified):
            opened(message)


@pytest.mark.parametrize("off_s", [-301, 301, 86_400])
def test_an_old_message_is_refused(off_s):
    sealed = signing.seal(KEYS, {"a": "1"}, now=NOW + timedelta(seconds=off_s))
    with pytest.raises(Unverified):
        opened(sealed)


@pytest.mark.parametrize("stamp", ["", "x", "20260230000000", "99999999999999", "9" * 13, None, "２０２６"])
def test_a_stamp_that_is_none_is_refused(stamp):
    with pytest.raises(Unverified):
        signing.check_age(stamp, now=NOW)


def test_seconds_and_milliseconds_are_stamps():
    signing.check_age(str(int(NOW.timestamp())), now=NOW)
    signing.check_age(str(int(NOW.timestamp() * 1000)), now=NOW)


def test_another_applications_message_and_another_key_are_refused():
    sealed = signing.seal(KEYS, {"a": "1"}, now=NOW)
    stranger = Keys(
        app_id="B" * 32,
        app_secret=KEYS.app_secret,
        private_key=PRIVATE,
        platform_keys=(PUBLIC,),
        signer_id=sm2.DEFAULT_ID,
        content_key=KEYS.content_key,
    )
    with pytest.raises(Unverified):
        opened(sealed, keys=stranger)
    _, other = sm2.generate_keypair()
    for platform in ((other,), ()):
        with pytest.raises(Unverified):
            opened(
                sealed,
                keys=Keys(
                    **{name: getattr(KEYS, name) for name in KEYS.__struct_fields__} | {"platform_keys": platform}
                ),
            )


def test_the_old_key_counts_beside_the_new_one():
    _, fresh = sm2.generate_keypair()
    both = Keys(**{name: getattr(KEYS, name) for name in KEYS.__struct_fields__} | {"platform_keys": (fresh, PUBLIC)})
    assert opened(signing.seal(KEYS, {"a": "1"}, now=NOW), keys=both) == {"a": "1"}


@pytest.mark.parametrize("text", ["", "-0.01", "1.001", "1e2", "NaN", "1,000.00", "１", " "])
def test_amounts_that_are_none(text):
    with pytest.raises(Garbled):
        fen_in({"x": text}, "x")


def test_numbers_are_read_as_they_were_written():
    assert fen_in(signing.read_json(b'{"x": 0.10, "y": 12345678.90}'), "y") == 1_234_567_890
    assert signing.compact(signing.read_json(b'{"x": 0.10, "z": 1}')) == '{"x":0.10,"z":1}'


@given(st.integers(0, 10**9), st.integers(-5, 10**9), st.integers(-5, 10**9), st.integers(-5, 10**9))
def test_a_split_adds_up_or_is_none(total, fund, account, own):
    if min(fund, account, own) >= 0 and fund + account + own == total:
        split = Split(total_fen=total, fund_fen=fund, account_fen=account, own_fen=own)
        assert sum(split.components.values()) == split.insured_fen == total - own
    else:
        with pytest.raises(Garbled):
            Split(total_fen=total, fund_fen=fund, account_fen=account, own_fen=own)
