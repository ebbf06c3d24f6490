"""The texts and the VALID field: round trips, field variants, and that nothing pasted, altered or guessed opens."""

from __future__ import annotations

import contextlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yimatong.cards.codec import (
    CodeClass,
    CodeKind,
    Valid,
    dynamic_text,
    open_valid,
    parse,
    seal_valid,
    static_text,
)
from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable

VUID = "0123456789ABCDEF" * 4
KEYS = st.binary(min_size=16, max_size=16)
VALIDS = st.builds(
    Valid,
    code_class=st.sampled_from(CodeClass),
    issued_at=st.integers(0, 2**32 - 1),
    ttl_s=st.integers(1, 255).map(lambda units: units * 5),
    nonce=st.binary(min_size=5, max_size=5),
)


@given(KEYS, VALIDS)
def test_valid_opens_under_its_own_key(key: bytes, valid: Valid) -> None:
    assert open_valid(key, seal_valid(key, valid)) == valid


@given(KEYS, KEYS, VALIDS)
def test_valid_does_not_open_under_another_key(key: bytes, other: bytes, valid: Valid) -> None:
    if key != other:
        with pytest.raises(CodeNotGenuine):
            open_valid(other, seal_valid(key, valid))


def test_no_altered_bit_opens() -> None:
    key, valid = secrets.token_bytes(16), Valid(CodeClass.VISIT, 1_790_000_000, 60, b"nonce")
    sealed = seal_valid(key, valid)
    for bit in range(128):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CodeNotGenuine):
            open_valid(key, bytes(altered))


def test_no_random_block_opens() -> None:
    key = secrets.token_bytes(16)
    for _ in range(20_000):
        with pytest.raises(CodeNotGenuine):
            open_valid(key, secrets.token_bytes(16))


@given(VALIDS, KEYS)
def test_dynamic_text_round_trip(valid: Valid, key: bytes) -> None:
    sealed = seal_valid(key, valid)
    text = dynamic_text(VUID, sealed)
    assert len(text) == 99
    code = parse(text)
    assert (code.kind, code.vuid, code.valid) == (CodeKind.DYNAMIC, VUID, sealed)


@pytest.mark.parametrize(
    "text",
    [
        static_text(VUID),
        static_text(VUID) + "\r\n",
        static_text(VUID) + "\n",
        static_text(VUID.lower()),
        VUID,
        f"{VUID}：1",
        f"85:{VUID}:1",
        f"{VUID}:1::5100A0013",
        VUID[:48],
    ],
)
def test_static_variants_of_the_field_are_read(text: str) -> None:
    code = parse(text)
    assert code.kind is CodeKind.STATIC
    assert VUID.startswith(code.vuid)


@pytest.mark.parametrize("token", ["P.abc-123", "S." + "A" * 124])
def test_token_is_opaque(token: str) -> None:
    assert parse(dynamic_text(VUID, bytes(16), token)).token == token


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        VUID + ":2",
        VUID + ":0",
        VUID + ":0:",
        VUID + ":0:" + "A" * 31,
        VUID + ":0:" + "A" * 33,
        VUID + ":0:" + "A" * 32 + ":X.abc",
        VUID + ":0:" + "A" * 32 + ":P.a:b",
        VUID + ":1\n\n",
        " " + VUID + ":1",
        VUID + "\x00:1",
        VUID[:-1] + "Ａ:1",
        VUID[:-1] + "٠:1",
        "G" * 64 + ":1",
        VUID + ":1:" + "A" * 300,
        "1" * 1_000_000,
    ],
)
def test_everything_else_is_refused_by_name(text: str) -> None:
    with pytest.raises(CodeUnreadable):
        parse(text)


@given(st.text(max_size=400))
def test_parser_never_fails_otherwise(text: str) -> None:
    with contextlib.suppress(CodeUnreadable):
        parse(text)
