"""Reading CSV and XLSX files of any size, row by row, as people and hospital systems write them.

CSV: UTF-8 with or without a mark, UTF-16 with one, else GB18030; comma, tab or semicolon; CRLF or LF; quotes. XLSX and
XLS: the first sheet that is not hidden; whole numbers are written as such, dates as ``2026-11-23``, and a number too
long for a float is marked, because its last digits are lost.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime, time
from pathlib import Path
from typing import IO, Final
from zipfile import BadZipFile, ZipFile

import msgspec
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, PasswordError, SheetTypeEnum

from yimatong.cards.errors import BatchEmpty, BatchFileUnreadable
from yimatong.crypto.gm.sm3 import Sm3

BROKEN_NUMBER: Final = "\ufffdE"
"""Stands in a cell whose number a spreadsheet broke."""

_EXACT_MAX: Final = 10**15
_SCIENTIFIC: Final = re.compile(r"\d(\.\d+)?[Ee]\+\d{2,3}", re.ASCII)
_BLOCK: Final = 1 << 20
_MARKS: Final = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_UNPACKED_MAX: Final = 1 << 30
"""A spreadsheet of a million rows unpacks to some 400 MiB."""
_ZIP: Final = b"PK\x03\x04"
_OLE: Final = b"\xd0\xcf\x11\xe0"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file, or its bytes: its SM3 digest, what it is, its heading, and in which row that stands (from 1)."""

    content: Path | bytes
    digest: bytes
    encoding: str
    heading: tuple[str, ...]
    heading_row: int


def look(content: Path | bytes) -> Source:
    """Look at a file or its bytes once: digest, encoding, heading (the first row with at least two texts).

    Raises:
        BatchFileUnreadable: neither CSV nor a spreadsheet. BatchEmpty: nothing in it.
    """
    digest, encoding = _inspect(content)
    for number, cells in _cells(content, encoding):
        if sum(bool(cell) for cell in cells) >= 2:  # noqa: PLR2004 -- a title above the table is one cell
            heading = tuple(cells)
            return Source(content=content, digest=digest, encoding=encoding, heading=heading, heading_row=number)
    raise BatchEmpty


def rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Yield (row number in the file, cells) of every row below the heading that is not empty."""
    for number, cells in _cells(source.content, source.encoding):
        if number > source.heading_row and any(cells):
            yield number, cells


def _opened(content: Path | bytes) -> IO[bytes]:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")


def _inspect(content: Path | bytes) -> tuple[bytes, str]:
    """Return the digest and the encoding (``xlsx`` for a spreadsheet), reading the file once."""
    state = Sm3()
    head = b""
    strict: codecs.IncrementalDecoder | None = codecs.getincrementaldecoder("utf-8")()
    with _opened(content) as file:
        while block := file.read(_BLOCK):
            head = head or block[:8]
            state.update(block)
            try:
                if strict is not None:
                    strict.decode(block)
            except UnicodeDecodeError:
                strict = None
    if not head:
        raise BatchEmpty
    if head.startswith((_ZIP, _OLE)):
        return state.digest(), "xlsx"
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return state.digest(), encoding
    return state.digest(), "utf-8" if strict is not None else "gb18030"


def _cells(content: Path | bytes, encoding: str) -> Iterator[tuple[int, list[str]]]:
    if encoding == "xlsx":
        yield from _spreadsheet(content)
        return
    try:
        with io.TextIOWrapper(_opened(content), encoding=encoding, newline="") as file:
            first = file.readline()
            file.seek(0)
            if "\0" in first:
                raise BatchFileUnreadable(detail="二进制内容 (binary content)")
            delimiter = max(",\t;", key=first.count)
            reader = csv.reader(file, delimiter=delimiter)
            for cells in reader:
                yield reader.line_num, [_text(cell) for cell in cells]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BatchFileUnreadable(detail=f"{encoding}: {type(error).__name__}") from None


def _text(cell: str) -> str:
    text = cell.strip(" \t\r\n\u3000\ufeff'")
    if text.startswith('="') and text.endswith('"'):  # how spreadsheets are told to keep a number as text
        text = text[2:-1]
    return BROKEN_NUMBER if _SCIENTIFIC.fullmatch(text) else text


def _spreadsheet(content: Path | bytes) -> Iterator[tuple[int, list[str]]]:
    sheet = _first_sheet(content)
    offset = (sheet.start or (0, 0))[0]
    for number, cells in enumerate(sheet.iter_rows(), start=1 + offset):
        yield number, [_value(cell) for cell in cells]


def _first_sheet(content: Path | bytes) -> CalamineSheet:
    try:
        _check_size(content)
        kept = io.BytesIO(content) if isinstance(content, bytes) else content
        book = CalamineWorkbook.from_object(kept)
        for about in book.sheets_metadata:
            if about.typ == SheetTypeEnum.WorkSheet and str(about.visible).endswith("Visible"):
                return book.get_sheet_by_name(about.name)
    except PasswordError:
        raise BatchFileUnreadable(detail="文件有密码 (it has a password)") from None
    except (CalamineError, BadZipFile, OSError, ValueError) as error:
        raise BatchFileUnreadable(detail=type(error).__name__) from None
    raise BatchEmpty


def _check_size(content: Path | bytes) -> None:
    """Refuse a spreadsheet that says of itself that it unpacks to more than a list ever needs, before it does so."""
    with _opened(content) as file:
        if file.read(len(_ZIP)) != _ZIP:
            return
        with ZipFile(file) as parts:
            if sum(part.file_size for part in parts.infolist()) > _UNPACKED_MAX:
                raise BatchFileUnreadable(detail=f"> {_UNPACKED_MAX >> 20} MiB 解压后过大 (too large when unpacked)")


def _value(cell: object) -> str:
    """Write a cell as a person would type it."""
    if isinstance(cell, str):
        return _text(cell)
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        if abs(cell) >= _EXACT_MAX:
            return BROKEN_NUMBER
        return str(int(cell)) if cell == int(cell) else repr(cell)
    if isinstance(cell, date | time):
        return (cell.date() if isinstance(cell, datetime) else cell).isoformat()
    return "" if cell is None else str(cell)
