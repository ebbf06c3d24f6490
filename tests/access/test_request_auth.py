"""The signature of the native API as pure functions; the SDK, written apart, makes the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.access import request_auth
from yimatong.access.errors import CallerUnknown, NotSigned, TimestampOutOfWindow
from yimatong_sdk.signing import Signer

KEY = bytes(range(32))
NOW = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)


def test_the_texts_that_are_signed() -> None:
    text = request_auth.request_text(
        method="POST", target="/a?b=1", timestamp=17, nonce="n" * 8, bound="key", body=b"{}"
    )
    assert text == b"POST\n/a?b=1\n17\nnnnnnnnn\nkey\n{}\n"
    assert request_auth.answer_text(status=201, timestamp=17, nonce="n" * 8, body=b"{}") == b"201\n17\nnnnnnnnn\n{}\n"


def test_the_signature_is_hmac_sm3_of_another_library() -> None:
    from cryptography.hazmat.primitives.hashes import SM3
    from cryptography.hazmat.primitives.hmac import HMAC

    code = HMAC(KEY, SM3())
    code.update(b"abc")
    assert request_auth.sign(KEY, b"abc") == code.finalize().hex()


@given(st.sampled_from(["GET", "POST"]), st.binary(max_size=200), st.sampled_from(["", "key-1"]))
def test_the_sdk_signs_what_the_platform_checks(method: str, body: bytes, key: str) -> None:
    headers, nonce = Signer("his-1", KEY.hex()).headers(method, "/x?y=%20", body, idempotency_key=key)
    given_ = request_auth.parse(headers["authorization"])
    assert (given_.caller_id, given_.nonce) == ("his-1", nonce)
    text = request_auth.request_text(
        method=method, target="/x?y=%20", timestamp=given_.timestamp, nonce=nonce, bound=key, body=body
    )
    request_auth.check_signature(KEY, text, given_.signature)
    with pytest.raises(CallerUnknown):
        request_auth.check_signature(KEY, text + b" ", given_.signature)
    with pytest.raises(CallerUnknown):
        request_auth.check_signature(bytes(32), text, given_.signature)


@given(st.text(max_size=200))
def test_any_other_header_is_refused(header: str) -> None:
    with pytest.raises(NotSigned):
        request_auth.parse(header)
    with pytest.raises(NotSigned):
        request_auth.parse(f"{request_auth.SCHEME} {header}")


def test_header_there_and_back() -> None:
    header = request_auth.header(caller_id="a.B-1_2", timestamp=17, nonce="n" * 64, signature="0" * 64)
    assert request_auth.parse(header) == ("a.B-1_2", 17, "n" * 64, "0" * 64)


@pytest.mark.parametrize(("seconds", "good"), [(0, True), (300, True), (-300, True), (301, False), (-301, False)])
def test_the_window(seconds: int, *, good: bool) -> None:
    timestamp = int((NOW + timedelta(seconds=seconds)).timestamp())
    if good:
        request_auth.check_window(timestamp, now=NOW)
    else:
        with pytest.raises(TimestampOutOfWindow):
            request_auth.check_window(timestamp, now=NOW)
