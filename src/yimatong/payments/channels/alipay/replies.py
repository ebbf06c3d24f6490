r"""Synchronous replies: find the signed part in the raw text, verify it, read it. Pure.

A reply is ``{"<method_with_underscores>_response":{...},"sign":"..."}``, or ``error_response`` in its place. The
signature is over the raw text of that node, so it is sliced out and never written again (opendocs.alipay.com,
同步返回验签). Alipay's own SDKs verify a second time with ``\/`` read as ``/``; so do we, and then read that text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import msgspec

from yimatong.payments.channels.alipay.signing import Unverified, verify

MEMBERS_MAX = 16
_BLANK = " \t\r\n"
Shape = TypeVar("Shape", bound=msgspec.Struct)


class Garbled(Exception):
    """A signed message that does not have the published shape; the text says where, for the audit only."""


class Reply(NamedTuple):
    """A verified reply: Alipay's code, the finer code and text of a refusal, and the node as it was signed."""

    code: str
    sub_code: str
    message: str
    node: str


class _Head(msgspec.Struct, frozen=True):
    code: str
    msg: str = ""
    sub_code: str = ""
    sub_msg: str = ""


def read(node: str, shape: type[Shape]) -> Shape:
    """Read a verified node. Raises ``Garbled``."""
    try:
        return msgspec.json.decode(node, type=shape)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Garbled(str(error)[:200]) from error


def decode(body: bytes, method: str, *, keys: Sequence[str]) -> Reply:
    """Return the verified reply to ``method`` (``alipay.trade.query``).

    Raises:
        Unverified: not a reply, not signed, not signed by one of ``keys``, or a reply to something else.
        Garbled: signed and without a code.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        message = "not UTF-8"
        raise Unverified(message) from error
    found = members(text)
    wanted = [name for name in (f"{method.replace('.', '_')}_response", "error_response") if name in found]
    if len(wanted) != 1:
        message = f"{len(wanted)} replies to {method}"
        raise Unverified(message)
    node = _verified(found[wanted[0]], _signature(found), keys)
    head = read(node, _Head)
    return Reply(head.code, head.sub_code, head.sub_msg or head.msg, node)


def members(text: str) -> dict[str, str]:
    """Return the members of a JSON object as raw slices, blanks around them left out.

    Raises:
        Unverified: not one object, a name twice, or more than ``MEMBERS_MAX`` members.
    """
    found: dict[str, str] = {}
    at = _expect(text, _skip(text, 0), "{")
    while True:
        at = _skip(text, at)
        end = _string(text, at)
        name = _plain(text[at:end])
        at = _skip(text, _expect(text, _skip(text, end), ":"))
        end = _value(text, at)
        if name in found or len(found) == MEMBERS_MAX:
            message = "a member twice, or too many members"
            raise Unverified(message)
        found[name] = text[at:end]
        at = _skip(text, end)
        if text[at : at + 1] != ",":
            break
        at += 1
    if text[_expect(text, at, "}") :].strip(_BLANK):
        message = "something follows the reply"
        raise Unverified(message)
    return found


def _verified(node: str, signature: str, keys: Sequence[str]) -> str:
    try:
        verify(node.encode(), signature, keys=keys)
    except Unverified:
        if "\\/" not in node:
            raise
        node = node.replace("\\/", "/")
        verify(node.encode(), signature, keys=keys)
    return node


def _signature(found: dict[str, str]) -> str:
    if "sign" not in found:
        message = "not signed"
        raise Unverified(message)
    return _plain(found["sign"])


def _plain(token: str) -> str:
    try:
        return msgspec.json.decode(token, type=str)
    except (msgspec.DecodeError, UnicodeError) as error:
        message = "not a string"
        raise Unverified(message) from error


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _BLANK:
        at += 1
    return at


def _expect(text: str, at: int, mark: str) -> int:
    if text[at : at + 1] != mark:
        message = f"{mark!r} is missing at {at}"
        raise Unverified(message)
    return at + 1


def _string(text: str, at: int) -> int:
    """Return where the string that starts at ``at`` ends."""
    at = _expect(text, at, '"')
    while text[at : at + 1] not in ("", '"'):
        at += 2 if text[at] == "\\" else 1
    return _expect(text, at, '"')


def _value(text: str, at: int) -> int:
    """Return where the value that starts at ``at`` ends; brackets inside strings do not count."""
    if text[at : at + 1] == '"':
        return _string(text, at)
    depth, start = 0, at
    while text[at : at + 1]:
        mark = text[at]
        if mark == '"':
            at = _string(text, at)
            continue
        if mark in "{[":
            depth += 1
        elif mark in "}]":
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and mark in _BLANK + ",":
            break
        at += 1
        if depth == 0 and mark in "}]":
            break
    if depth > 0 or at == start:
        message = "a value does not end"
        raise Unverified(message)
    return at
