"""Reading and writing the XML documents that banks exchange. Pure.

Documents are read without entities, DTD or network, up to a size; every element that is asked for must stand exactly
once. Amounts are whole fen or exact yuan, times are Beijing time ``YYYYMMDDhhmmss``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from xml.sax.saxutils import escape

from yimatong.kit.clock import BEIJING
from yimatong.kit.money import AMOUNT_FEN_MAX, AmountInvalid, parse_yuan, plain_yuan
from yimatong.payments.channels.netbank.profiles import Profile

DOCUMENT_BYTES_MAX: Final = 64 * 1024
_DECLARATION: Final = re.compile(r"\A\s*<\?xml[^>]{0,200}\?>")
_FEN: Final = re.compile(r"[0-9]{1,13}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{14}", re.ASCII)
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Tree = Mapping[str, "str | Tree"]


class Garbled(Exception):
    """A signed document that does not have the published shape; the text says where, for the audit only."""


def write(profile: Profile, root: str, tree: Tree) -> bytes:
    """Return a document in the bank's character set, on one line; what the set lacks becomes a character reference."""
    head = f'<?xml version="1.0" encoding="{profile.charset}" standalone="no"?>'
    return (head + _written(root, tree)).encode(profile.charset, "xmlcharrefreplace")


def _written(name: str, content: str | Tree) -> str:
    if isinstance(content, str):
        return f"<{name}>{escape(_NOT_XML.sub('', content))}</{name}>"
    return f"<{name}>{''.join(_written(inner, value) for inner, value in content.items())}</{name}>"


class Document:
    """A document that was read; its elements are asked for by path."""

    def __init__(self, profile: Profile, body: bytes, *, root: str) -> None:
        """Read ``body``, whose outermost element must be ``root``.

        Raises:
            Garbled: too long, not in the bank's character set, not XML, with a DTD, or another document.
        """
        from lxml import etree  # type: ignore[import-untyped]  # noqa: PLC0415 -- no types; most processes read no XML

        if len(body) > DOCUMENT_BYTES_MAX:
            message = f"longer than {DOCUMENT_BYTES_MAX} bytes"
            raise Garbled(message)
        parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
        try:
            text = _DECLARATION.sub("", body.decode(profile.charset), count=1)
            self._root: Any = etree.fromstring(text, parser)
        except (UnicodeDecodeError, ValueError, etree.XMLSyntaxError) as error:
            message = f"not XML in {profile.charset}: {type(error).__name__}"
            raise Garbled(message) from error
        if self._root.getroottree().docinfo.doctype or self._root.tag != root:
            message = f"not a {root}, or with a DTD"
            raise Garbled(message)
        self._profile = profile

    def text(self, path: str) -> str:
        """Return the text of the one element at ``path``. Raises ``Garbled``."""
        found = self._root.findall(path)
        if len(found) != 1 or len(found[0]):
            message = f"{path} stands {len(found)} times, or is not a text"
            raise Garbled(message)
        return (found[0].text or "").strip()

    def amount_fen(self, path: str) -> int:
        """Return an amount in fen. Raises ``Garbled``."""
        text = self.text(path)
        if not self._profile.in_yuan:
            if not _FEN.fullmatch(text) or int(text) > AMOUNT_FEN_MAX:
                message = f"{path} is not an amount in fen"
                raise Garbled(message)
            return int(text)
        try:
            amount_fen = parse_yuan(text)
        except AmountInvalid as error:
            raise Garbled(str(error)) from error
        if amount_fen < 0:
            message = f"{path} is below zero"
            raise Garbled(message)
        return amount_fen

    def moment(self, path: str) -> datetime | None:
        """Return a time, or ``None`` where the element is empty. Raises ``Garbled``."""
        text = self.text(path)
        if not text:
            return None
        try:
            if not _TIME.fullmatch(text):
                raise ValueError(text)  # noqa: TRY301 -- the one way out is below
            return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        except ValueError as error:
            message = f"{path} is not a time"
            raise Garbled(message) from error

    def currency(self, path: str) -> str:
        """Return the currency; the bank's own word for renminbi becomes ``CNY``. Raises ``Garbled``."""
        text = self.text(path)
        return "CNY" if text == self._profile.currency else text


def amount(profile: Profile, amount_fen: int) -> str:
    """Return an amount as the bank writes it."""
    return plain_yuan(amount_fen) if profile.in_yuan else str(amount_fen)


def stamp(moment: datetime) -> str:
    """Return a time as banks write it."""
    return f"{moment.astimezone(BEIJING):%Y%m%d%H%M%S}"
