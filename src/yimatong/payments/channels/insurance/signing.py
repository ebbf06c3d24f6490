"""Signatures and sealed content of the national insurance's interfaces. Pure: time is an argument; verification raises.

Public sources: the security chapter that provinces copy from the national specification (签名算法 SM2, 加密算法 SM4:
blog.csdn.net/wdsfeisng/article/details/125608019; the copy of 天津 at blog.csdn.net/weixin_43585799) and the scripts of
fuwu.nhsa.gov.cn, whose published signature ``tests/vectors/insurance_signing.json`` repeats. The rule: leave out
``signData``, ``encData``, ``extra`` and whatever is empty; sort by ASCII; ``k=v`` joined by ``&``, an object as compact
JSON sorted in the same way; then ``&key=`` and the application's secret; SM3withSM2, ``r || s`` in base64. Content is
SM4-ECB with PKCS #7 in upper-case hexadecimal, under a key drawn from the application's id and secret.

Not settled by public sources: the SM2 user id. The national service platform and 山西 use the algorithm's default;
a public copy of the centres' own tool uses the application's secret. An account's profile chooses (``sm2_user_id``).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from yimatong.crypto.errors import SignatureInvalid
from yimatong.crypto.gm import sm2, sm4
from yimatong.kit.clock import BEIJING

VERSION: Final = "2.0.1"
WINDOW_S: Final = 300
_UNSIGNED: Final = frozenset({"signData", "encData", "extra"})
_EMPTY: Final[tuple[Any, ...]] = (None, "", [], {})
_CONTENT = re.compile(r"([0-9A-Fa-f]{32})+", re.ASCII)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
_STAMP: Final = 14


class Unverified(Exception):
    """What came is not proven to come from the insurance; the text says why, for the audit only."""


class Number(str):
    """A JSON number as it was written: it is signed as it was written, and money is never a float."""

    __slots__ = ()


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """The keys of one application: ours for signing, the insurance's for verifying (the current one first)."""

    app_id: str
    app_secret: str
    private_key: bytes
    platform_keys: tuple[bytes, ...]
    signer_id: bytes
    content_key: bytes


def derive_content_key(app_id: str, app_secret: str) -> bytes:
    """Return the SM4 key of the content: the secret under the first 16 bytes of the id, its hexadecimal's first 16.

    Raises:
        ValueError: the id is shorter than 16 bytes.
    """
    key = app_id.encode()[: sm4.KEY_SIZE]
    if len(key) != sm4.KEY_SIZE:
        message = "an application id has at least 16 bytes"
        raise ValueError(message)
    return sm4.encrypt_blocks(key, _padded(app_secret.encode())).hex().upper()[:16].encode()


def encrypt(key: bytes, text: str) -> str:
    """Return SM4-ECB with PKCS #7 of a text, upper-case hexadecimal."""
    return sm4.encrypt_blocks(key, _padded(text.encode())).hex().upper()


def decrypt(key: bytes, content: str) -> str:
    """Return the text of :func:`encrypt`.

    Raises:
        Unverified: not encrypted under this key, or altered.
    """
    message = "the content is not encrypted with this account's key"
    if not _CONTENT.fullmatch(content):
        raise Unverified(message)
    plain = sm4.decrypt_blocks(key, bytes.fromhex(content))
    size = plain[-1]
    if not 1 <= size <= sm4.BLOCK_SIZE or plain[-size:] != bytes([size]) * size:
        raise Unverified(message)
    try:
        return plain[:-size].decode()
    except UnicodeDecodeError as error:
        raise Unverified(message) from error


def read_json(body: bytes | str) -> dict[str, Any]:
    """Return a JSON object whose numbers are kept as they were written.

    Raises:
        Unverified: not JSON, not an object, a name twice, or something that JSON does not have.
    """
    try:
        text = body.decode() if isinstance(body, bytes) else body
        read = json.loads(
            text, parse_float=Number, parse_int=Number, parse_constant=_refused, object_pairs_hook=_once_each
        )
        text.encode()
        compact(read).encode()
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {type(error).__name__}"
        raise Unverified(message) from error
    if not isinstance(read, dict):
        message = "not a JSON object"
        raise Unverified(message)
    return read


def cleaned(value: Any) -> Any:
    """Return ``value`` without anything empty inside, however deep."""
    if isinstance(value, Mapping):
        kept = {name: cleaned(each) for name, each in value.items()}
        return {name: each for name, each in kept.items() if each not in _EMPTY}
    if isinstance(value, list | tuple):
        return [each for each in (cleaned(item) for item in value) if each not in _EMPTY]
    return value


def compact(value: Any) -> str:
    """Return JSON without spaces, names sorted by ASCII, Chinese as it is, numbers as they were written."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quoted(name)}:{compact(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(compact(each) for each in value) + "]"
    return _quoted(value)


def sign_text(fields: Mapping[str, Any], app_secret: str) -> str:
    """Return the text that is signed."""
    kept = cleaned({name: value for name, value in fields.items() if name not in _UNSIGNED})
    shown = ((name, kept[name] if isinstance(kept[name], str) else compact(kept[name])) for name in sorted(kept))
    return "&".join(f"{name}={value}" for name, value in shown) + f"&key={app_secret}"


def sign(keys: Keys, fields: Mapping[str, Any]) -> str:
    """Return the base64 signature over ``fields``."""
    text = sign_text(fields, keys.app_secret).encode()
    return base64.b64encode(sm2.sign(keys.private_key, text, signer_id=keys.signer_id)).decode()


def verify(keys: Keys, fields: Mapping[str, Any], signature: Any) -> None:
    """Check a signature over ``fields`` against each of the insurance's keys.

    Raises:
        Unverified: it was made by none of them, or is none.
    """
    message = "the signature does not fit"
    if not isinstance(signature, str) or not signature:
        message = "no signature"
        raise Unverified(message)
    try:
        octets = base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise Unverified(message) from error
    text = sign_text(fields, keys.app_secret).encode()
    for public in keys.platform_keys:
        try:
            sm2.verify(public, text, octets, signer_id=keys.signer_id)
        except SignatureInvalid:
            continue
        return
    raise Unverified(message)


def seal(keys: Keys, data: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the message that carries ``data`` to the mobile payment centre, signed and then encrypted."""
    plain = cleaned(data)
    head = {
        "appId": keys.app_id,
        "encType": "SM4",
        "signType": "SM2",
        "version": VERSION,
        "timestamp": f"{now.astimezone(BEIJING):%Y%m%d%H%M%S}",
    }
    signature = sign(keys, head | {"data": plain})
    return head | {"encData": encrypt(keys.content_key, compact(plain)), "signData": signature}


def unseal(keys: Keys, message: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """Return the content of a message of the mobile payment centre: decrypted, signature and age checked.

    Raises:
        Unverified: not encrypted or signed for this application, or older than five minutes.
    """
    data: dict[str, Any] = {}
    content = message.get("encData")
    if content not in _EMPTY:
        if not isinstance(content, str):
            problem = "the content is no text"
            raise Unverified(problem)
        data = read_json(decrypt(keys.content_key, content))
    outer = {name: value for name, value in message.items() if name != "data"}
    for name, value in outer.items():
        # Names and values are not escaped in the signed text: a field must not be able to swallow its neighbours.
        if not _NAME.fullmatch(name) or (isinstance(value, str) and "&" in value and name != "message"):
            problem = f"the field {name[:20]!r} is not plain"
            raise Unverified(problem)
    verify(keys, outer | {"data": data}, message.get("signData"))
    if message.get("appId", keys.app_id) != keys.app_id:
        problem = "the message is for another application"
        raise Unverified(problem)
    check_age(message.get("timestamp"), now=now)
    return data


def check_age(stamp: Any, *, now: datetime) -> None:
    """Check that a time stamp (``yyyyMMddHHmmss`` in Beijing, or Unix seconds or milliseconds) is of these minutes.

    Raises:
        Unverified: it is not, or cannot be read.
    """
    moment = _moment(str(stamp))
    if moment is None or abs((moment - now).total_seconds()) > WINDOW_S:
        message = f"time stamp {str(stamp)[:20]} is not within {WINDOW_S} s"
        raise Unverified(message)


def _moment(stamp: str) -> datetime | None:
    if not (stamp.isascii() and stamp.isdigit()):
        return None
    try:
        if len(stamp) == _STAMP:
            return datetime.strptime(stamp, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        return datetime.fromtimestamp(int(stamp[:10]), UTC) if len(stamp) in (10, 13) else None
    except (ValueError, OverflowError):
        return None


def _padded(octets: bytes) -> bytes:
    size = sm4.BLOCK_SIZE - len(octets) % sm4.BLOCK_SIZE
    return octets + bytes([size]) * size


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _refused(constant: str) -> Any:
    raise ValueError(constant)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    read = dict(pairs)
    if len(read) != len(pairs):
        message = "a name stands twice"
        raise ValueError(message)
    return read
