r"""The text of a code and the sealed VALID field, byte by byte (docs/spec/codes.md). Pure.

``VUID:1`` static; ``VUID:0:VALID`` dynamic; ``VUID:0:VALID:TOKEN`` two-in-one (``P.``) or offline (``S.``).
VALID = SM4-ECB(K_vuid, version 1 | class 1 | issued_at 4 | ttl 1 | nonce 5 | zero 4): one block under a key that
belongs to this VUID alone, so a VALID pasted onto another VUID decrypts to rubbish, and 40 fixed bits (version and
zeros) and the window make a guess hopeless.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum, StrEnum
from typing import NamedTuple

from yimatong.cards.errors import CodeNotGenuine, CodeUnreadable
from yimatong.crypto.gm.sm4 import decrypt_blocks, encrypt_blocks

TEXT_LENGTH_MAX = 320
VALID_VERSION = 1
TTL_UNIT_S = 5
TTL_S_MAX = 255 * TTL_UNIT_S
NONCE_BYTES = 5

_LAYOUT = struct.Struct(">BBIB5s4s")
_ZERO = bytes(4)

_STATIC = re.compile(r"(?:85:)?([0-9A-Fa-f]{64}|[0-9A-Fa-f]{48})(?::1(?:::([A-Za-z0-9._-]{1,64}))?)?", re.ASCII)
_DYNAMIC = re.compile(r"([0-9A-Fa-f]{64}):0:([0-9A-Fa-f]{32})(?::((?:P|S)\.[A-Za-z0-9._~=/+-]{1,210}))?", re.ASCII)


class CodeClass(IntEnum):
    """What a dynamic code was made for. A code of one class never serves another's purpose."""

    GENERAL = 0
    VISIT = 1
    RECORDS = 2
    PAYMENT = 3


class Purpose(StrEnum):
    """What a reading terminal wants the code for."""

    REGISTER = "register"
    VISIT = "visit"
    RECORDS = "records"
    PAYMENT = "payment"


SERVES: dict[Purpose, frozenset[CodeClass]] = {
    Purpose.REGISTER: frozenset({CodeClass.GENERAL, CodeClass.VISIT}),
    Purpose.VISIT: frozenset({CodeClass.GENERAL, CodeClass.VISIT}),
    Purpose.RECORDS: frozenset({CodeClass.RECORDS}),
    Purpose.PAYMENT: frozenset({CodeClass.PAYMENT}),
}
STATIC_SERVES: frozenset[Purpose] = frozenset({Purpose.REGISTER, Purpose.VISIT})
"""A static code finds a person for registration and a visit; it never opens records or moves money."""


class CodeKind(StrEnum):
    """The forms of a code."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    TWO_IN_ONE = "two_in_one"
    OFFLINE = "offline"


_KIND_OF_TOKEN = {"": CodeKind.DYNAMIC, "P.": CodeKind.TWO_IN_ONE, "S.": CodeKind.OFFLINE}


class CodeText(NamedTuple):
    """A code as it was read, not yet believed. ``valid`` is 16 bytes for every kind but the static."""

    kind: CodeKind
    vuid: str
    valid: bytes = b""
    token: str = ""
    label: str = ""


class Valid(NamedTuple):
    """What the VALID field says once its key has opened it. ``issued_at`` is Unix seconds."""

    code_class: CodeClass
    issued_at: int
    ttl_s: int
    nonce: bytes


def parse(text: str) -> CodeText:
    """Read the text of a code, in the national form or one of the forms met in the field.

    One trailing CR, LF or CR LF of a wedge scanner is dropped, a full-width colon is read as a colon, lower case as
    upper case; everything else that is not exactly a known form is refused.

    Raises:
        CodeUnreadable: not a code.
    """
    if len(text) > TEXT_LENGTH_MAX:
        raise CodeUnreadable(audit="too long")
    cleaned = text.removesuffix("\n").removesuffix("\r").replace("：", ":")
    dynamic = _DYNAMIC.fullmatch(cleaned)
    if dynamic is not None:
        vuid, valid, token = dynamic.groups(default="")
        return CodeText(_KIND_OF_TOKEN[token[:2]], vuid.upper(), bytes.fromhex(valid), token)
    static = _STATIC.fullmatch(cleaned)
    if static is not None:
        vuid, label = static.groups(default="")
        return CodeText(CodeKind.STATIC, vuid.upper(), label=label)
    raise CodeUnreadable(audit="no known form")


def static_text(vuid: str) -> str:
    """Return the text of a static code."""
    return f"{vuid}:1"


def dynamic_text(vuid: str, valid: bytes, token: str = "") -> str:
    """Return the text of a dynamic code; ``valid`` is 16 bytes, ``token`` opaque."""
    return f"{vuid}:0:{valid.hex().upper()}" + (f":{token}" if token else "")


def seal_valid(key: bytes, valid: Valid) -> bytes:
    """Return the 16 bytes of VALID under ``K_vuid``. ``ttl_s`` is a multiple of 5, at most 1,275."""
    block = _LAYOUT.pack(
        VALID_VERSION, valid.code_class, valid.issued_at, valid.ttl_s // TTL_UNIT_S, valid.nonce, _ZERO
    )
    return encrypt_blocks(key, block)


def open_valid(key: bytes, sealed: bytes) -> Valid:
    """Open the 16 bytes of VALID with ``K_vuid``.

    Raises:
        CodeNotGenuine: another card's, altered, forged, or made under another key version.
    """
    version, code_class, issued_at, ttl, nonce, zero = _LAYOUT.unpack(decrypt_blocks(key, sealed))
    if version != VALID_VERSION or zero != _ZERO or code_class > CodeClass.PAYMENT or ttl == 0:
        raise CodeNotGenuine(audit="VALID does not open")
    return Valid(CodeClass(code_class), issued_at, ttl * TTL_UNIT_S, nonce)
