"""Whatever comes: only the named errors, and nothing that Alipay did not sign is believed."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from alipay_world import APP_ID, PID, account_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from yimatong.kit import clock
from yimatong.payments.channels.alipay.notices import parse_notice
from yimatong.payments.channels.alipay.replies import Garbled, decode, members
from yimatong.payments.channels.alipay.signing import Unverified
from yimatong.payments.errors import NoticeNotGenuine, NoticeNotUnderstood
from yimatong.sandbox.alipay.enrolment import EnrolledApp
from yimatong.sandbox.alipay.keys import PlatformKey

NOW = clock.now()
METHOD, NODE = "alipay.trade.query", "alipay_trade_query_response"
FACTS = {
    "notify_type": "trade_status_sync",
    "notify_id": "n-1",
    "app_id": APP_ID,
    "charset": "utf-8",
    "seller_id": PID,
    "trade_no": "2026113022001000000000000001",
    "out_trade_no": "NOTICE0001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "12.34",
}
many = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
texts = some.text(max_size=12)
nodes = some.recursive(
    some.none() | some.booleans() | some.integers() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> PlatformKey:
    return PlatformKey(tmp_path_factory.mktemp("alipay"))


@pytest.fixture(scope="module")
def account(key):
    enrolled = EnrolledApp(app_id=APP_ID, pid=PID, private_key_pem="unused", alipay_public_key_pem=key.public_pem)
    return account_of(enrolled)


@pytest.fixture(scope="module")
def genuine(key) -> bytes:
    return urlencode(key.signed_form(FACTS)).encode()


def reply(key, node, *, indent=None, more=()) -> bytes:
    text = json.dumps(node, ensure_ascii=False, indent=indent)
    pairs = [(NODE, text), ("sign", json.dumps(key.sign(text.encode()))), *more]
    return ("{" + ",".join(f" {json.dumps(name)} : {value} " for name, value in pairs) + "}").encode()


@many
@given(body=some.binary(max_size=200) | some.text(max_size=200).map(str.encode))
def test_strange_bytes_are_never_a_notice_nor_a_reply(account, key, body):
    with pytest.raises(NoticeNotGenuine):
        parse_notice(account, {}, body, NOW)
    with pytest.raises(Unverified):
        decode(body, METHOD, keys=[key.public_pem])


@many
@given(data=some.data())
def test_a_changed_notice_is_refused_or_says_the_same(account, genuine, data):
    at = data.draw(some.integers(0, len(genuine) - 1))
    put = data.draw(some.binary(max_size=4))
    cut = data.draw(some.integers(0, 4))
    body = genuine[:at] + put + genuine[at + cut :]
    try:
        told = parse_notice(account, {}, body, NOW)
    except NoticeNotGenuine:
        return
    assert told == parse_notice(account, {}, genuine, NOW)  # other spelling of the very same fields


@many
@given(more=some.dictionaries(texts, texts, max_size=4))
def test_genuine_notices_with_strange_fields_are_read_or_not_understood(account, key, more):
    facts = {**FACTS, **{name: value for name, value in more.items() if name not in ("sign", "sign_type", "charset")}}
    body = urlencode(key.signed_form(facts)).encode()
    try:
        told = parse_notice(account, {}, body, NOW)
    except NoticeNotGenuine:
        assert (facts["app_id"], facts["seller_id"]) != (APP_ID, PID)
    except NoticeNotUnderstood:
        assert more
    else:
        assert told.payment.attempt_no == facts["out_trade_no"]


@many
@given(node=nodes, indent=some.sampled_from([None, 1]), extra=nodes)
def test_the_signed_node_is_found_whatever_stands_in_it(key, node, indent, extra):
    wanted = {"code": "10000", "inner": node, "trap": f'}},"{NODE}":{{'}
    body = reply(key, wanted, indent=indent, more=[("alipay_cert_sn", json.dumps(extra, ensure_ascii=False))])
    found = decode(body, METHOD, keys=[key.public_pem])
    assert json.loads(found.node) == wanted


@many
@given(data=some.data())
def test_a_changed_reply_is_refused_or_says_the_same(key, data):
    wanted = {"code": "10000", "out_trade_no": "A1", "trade_status": "WAIT_BUYER_PAY", "url": "http://a/b"}
    genuine = reply(key, wanted)
    at = data.draw(some.integers(0, len(genuine) - 1))
    put = data.draw(
        some.binary(max_size=6) | some.sampled_from([b'"', b"\\", b"}", b"{", b'","sign":"', b"error_response"])
    )
    body = genuine[:at] + put + genuine[at + data.draw(some.integers(0, 6)) :]
    try:
        found = decode(body, METHOD, keys=[key.public_pem])
    except Unverified:
        return
    assert json.loads(found.node) == wanted


@many
@given(text=some.text(alphabet='{}[]",:\\ \nab1', max_size=40))
def test_slices_are_json_or_refused(text):
    try:
        found = members(text)
    except Unverified:
        return
    for name, value in found.items():
        assert value in text
        assert isinstance(name, str)


@pytest.mark.parametrize(
    "body",
    [
        '{{"{n}":{t},"{n}":{{"code":"10000"}},"sign":"{s}"}}',
        '{{"{n}":{{"code":"10000"}},"{n}":{t},"sign":"{s}"}}',
        '{{"{n}":{t},"error_response":{{"code":"40002"}},"sign":"{s}"}}',
        '{{"{n}":{{"code":"10000"}},"alipay_trade_close_response":{t},"sign":"{s}"}}',
        '{{"{n}":{t},"sign":"{s}","sign":"x"}}',
        '{{"{n}":{t}}}',
        '{{"{n}":{t},"sign":null}}',
        '{{"alipay_trade_close_response":{t},"sign":"{s}"}}',
        '{{"{n}":{t},"sign":"{s}"}}}}',
        '[{{"{n}":{t},"sign":"{s}"}}]',
        '{{"{n}":{t} "sign":"{s}"}}',
        '{{"{n}":"{t}","sign":"{s}"}}',
        '{{"x":{{"{n}":{t}}},"sign":"{s}"}}',
        '{{"\\u0061lipay_trade_query_response":{{"code":"10000"}},"{n}":{t},"sign":"{s}"}}',
    ],
)
def test_known_tricks_with_the_slice(key, body):
    text = '{"code":"10000","out_trade_no":"A1"}'
    made = body.format(n=NODE, t=text, s=key.sign(text.encode())).encode()
    with pytest.raises(Unverified):
        decode(made, METHOD, keys=[key.public_pem])


def test_signed_and_without_a_code(key):
    for node in ("[]", "1", '"x"', '{"code":10000}', "{}"):
        made = f'{{"{NODE}":{node},"sign":"{key.sign(node.encode())}"}}'.encode()
        with pytest.raises(Garbled):
            decode(made, METHOD, keys=[key.public_pem])


def test_an_error_reply_is_verified_too(key):
    text = '{"code":"40002","msg":"Invalid Arguments","sub_code":"isv.invalid-method","sub_msg":"\\u4e0d"}'
    made = f'{{"error_response":{text},"sign":"{key.sign(text.encode())}"}}'.encode()
    assert decode(made, METHOD, keys=[key.public_pem]).sub_code == "isv.invalid-method"
    with pytest.raises(Unverified):
        decode(made.replace(b"40002", b"10000"), METHOD, keys=[key.public_pem])
