"""Residents whose every fact is unique, and the search for those facts in whatever an attacker may get hold of.

A fact is found in clear text, in UTF-8, GB18030 and JSON escapes, as hex (how a dump writes bytes), in base64, and in
compressed files. What is found is told by kind and place, never by value.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

from yimatong.standards.id_number import check_digit

_RARE: Final = [
    "".join(chr(0x9000 + 7 * number + offset) for offset in (0, 3)) for number in range(101)
]  # pairs of characters that no page, log or table of ours has beside each other
_NAMES: Final = [
    re.compile(b"(?:" + b"|".join(re.escape(pair.encode(encoding)) for pair in _RARE) + b"){2}")
    for encoding in ("utf-8", "gb18030")
]
"""A planted name is two of the rare pairs."""
_PIECE: Final = 1 << 22
_OVERLAP: Final = 4096

_DIGITS: Final = re.compile(rb"[0-9]{11,}[Xx]?")
_HEX: Final = re.compile(rb"(?:[0-9a-fA-F]{2}){8,}")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_ESCAPES: Final = re.compile(rb"(?:\\+u[0-9a-fA-F]{4}){4,}")
_ESCAPE: Final = re.compile(rb"\\+u([0-9a-fA-F]{4})")


class Resident(NamedTuple):
    """One planted resident."""

    name: str
    sex: str
    birth_date: date
    id_number: str
    phone: str
    address: str
    bank_card: str

    @property
    def facts(self) -> dict[str, Any]:
        """Return her as the API takes her."""
        return {
            "name": self.name,
            "sex": self.sex,
            "birth_date": self.birth_date.isoformat(),
            "id_type": "01",
            "id_number": self.id_number,
            "phone": self.phone,
            "address": self.address,
        }


def residents(count: int) -> list[Resident]:
    """Return up to 10,000 residents, all different in every fact."""
    made = []
    for number in range(count):
        born = date(1941, 3, 5) + timedelta(days=2 * number)
        first17 = f"610{3 + number % 7}2{1 + number % 9}{born:%Y%m%d}{number % 1000:03d}"
        name = _RARE[number // 100] + _RARE[number % 100]
        card = f"62220217{number:010d}"
        made.append(
            Resident(
                name=name,
                sex="1" if number % 2 else "2",
                birth_date=born,
                id_number=first17 + check_digit(first17),
                phone=f"1{(3, 5, 7, 8, 9)[number % 5]}{number * 8_641 % 1_000_000_000:09d}",
                address=f"陕西省西安市长安区{name}巷 {number + 1} 号院",
                bank_card=card + _luhn(card),
            )
        )
    return made


def _luhn(digits: str) -> str:
    doubled = [int(digit) * (2 if index % 2 == 0 else 1) for index, digit in enumerate(reversed(digits))]
    return str(-sum(value - 9 if value > 9 else value for value in doubled) % 10)


class Needles:
    """What is looked for. ``mpis`` are raw master index ids, looked for in what callers got."""

    def __init__(self, planted: Iterable[Resident]) -> None:
        self._digits: dict[bytes, str] = {}
        for each in planted:
            self._digits[each.id_number.encode()] = "id_number"
            self._digits[each.id_number[:6].encode() + each.id_number[8:17].encode()] = "id_number"  # 15 digits
            self._digits[each.phone.encode()] = "phone"
            self._digits[each.bank_card.encode()] = "bank_card"
        self._sizes = sorted({len(value) for value in self._digits})

    def find(self, data: bytes, *, deeper: int = 1) -> Counter[str]:
        """Count the planted facts in ``data`` by kind; ``deeper`` layers of encoding are opened, 0 for raw pages."""
        found: Counter[str] = Counter()
        for run in _DIGITS.findall(data):
            for size in self._sizes:
                for start in range(len(run) - size + 1):
                    kind = self._digits.get(run[start : start + size].upper())
                    if kind:
                        found[kind] += 1
        for pattern in _NAMES if deeper else _NAMES[:1]:
            found["name"] += len(pattern.findall(data))
        if deeper:
            for plain in _opened(data):
                found += self.find(plain, deeper=deeper - 1)
        return +found

    def in_file(self, path: Path, *, deeper: int = 1) -> Counter[str]:
        """Search a file, in pieces that overlap (a hit in the overlap counts twice); a packed file is unpacked too."""
        found: Counter[str] = Counter()
        for data in _contents(path):
            with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as source:
                tail = b""
                while piece := source.read(_PIECE):
                    found += self.find(tail + piece, deeper=deeper)
                    tail = piece[-_OVERLAP:]
        return found


def _opened(data: bytes) -> Iterator[bytes]:
    """Return what hex, base64 and JSON escapes in ``data`` stand for."""
    for run in _HEX.findall(data):
        yield bytes.fromhex(run.decode())
    for run in _ESCAPES.findall(data):
        try:
            yield "".join(chr(int(code, 16)) for code in _ESCAPE.findall(run)).encode()
        except UnicodeEncodeError:
            continue
    for run in _BASE64.findall(data):
        if _HEX.fullmatch(run):
            continue
        try:
            text = run.translate(bytes.maketrans(b"-_", b"+/"))
            yield base64.b64decode(text + b"=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            continue


def _contents(path: Path) -> Iterator[bytes | Path]:
    yield path
    try:
        with path.open("rb") as source:
            head = source.read(4)
        if head.startswith(b"\x1f\x8b"):
            yield gzip.decompress(path.read_bytes())
        elif head == b"PK\x03\x04":
            with zipfile.ZipFile(path) as packed:
                for name in packed.namelist():
                    yield packed.read(name)
    except (OSError, zlib.error, zipfile.BadZipFile):
        return
