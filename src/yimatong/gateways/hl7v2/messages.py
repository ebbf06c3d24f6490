"""Reading and writing HL7 v2.5 messages (chapter 2). Pure.

A message is decoded by the character set that its MSH-18 names (HL7 table 0211), taken apart by the library ``hl7``,
and read by segment, field, repetition, component and sub-component, all counted from 1. A part that is not there is an
empty text; the two quotes that mean "delete this value" (2.5.3.6) are told by ``Segment.raw``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import hl7  # type: ignore[import-untyped]  # the library has no types
import hl7.containers  # type: ignore[import-untyped]
import hl7.util  # type: ignore[import-untyped]
import msgspec

from yimatong.gateways.errors import CharacterSetUnsupported, FieldMissing, MessageUnreadable, SegmentMissing

for _module in (hl7.util, hl7.containers):
    logging.getLogger(_module.__file__).addFilter(lambda _: False)  # it logs what it stumbles over, names and all

CHARACTER_SETS: Final = {
    "": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "ASCII": "ascii",
    "GB 18030-2000": "gb18030",
    "8859/1": "latin-1",
}
"""HL7 table 0211, as far as they occur here. Without a name it is taken for UTF-8: what is ASCII is that, too."""

DELETED: Final = '""'
_SEPARATORS: Final = "|^~\\&"
_ESCAPES: Final = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "\\": "\\E\\", "&": "\\T\\"}
_FIELDS_MAX: Final = 2000


class Location(msgspec.Struct, frozen=True):
    """Where something is in a message (data type ERL, 2.A.28): zeros at the end are not written."""

    segment: str
    sequence: int = 1
    field: int = 0
    repetition: int = 0
    component: int = 0
    sub_component: int = 0

    def __str__(self) -> str:
        """Write it as ERR-2 wants it."""
        parts = [self.segment, self.sequence, self.field, self.repetition, self.component, self.sub_component]
        while len(parts) > 1 and not parts[-1]:
            parts.pop()
        return "^".join(map(str, parts))


class Received:
    """A message that came in. ``charset`` is the name in its MSH-18, for the answer."""

    __slots__ = ("_message", "charset", "raw")

    def __init__(self, raw: bytes) -> None:
        """Take a message apart.

        Raises:
            MessageUnreadable: not a message of HL7 v2, or with other separators than the recommended ones.
            CharacterSetUnsupported: MSH-18 names one that is not known here.
        """
        self.raw = raw
        body = raw.lstrip(b"\xef\xbb\xbf").replace(b"\r\n", b"\r").replace(b"\n", b"\r").strip(b"\r ")
        if not body.startswith(b"MSH|") or body[3:8] != _SEPARATORS.encode():
            raise MessageUnreadable
        header = body.split(b"\r", 1)[0].split(b"|")
        self.charset = header[17].split(b"~")[0].decode("ascii", "replace").strip() if len(header) > 17 else ""  # noqa: PLR2004
        if self.charset.upper() not in CHARACTER_SETS:
            raise CharacterSetUnsupported(charset=self.charset[:20])
        try:
            text = body.decode(CHARACTER_SETS[self.charset.upper()])
            if text.count("|") > _FIELDS_MAX or "\0" in text:
                raise MessageUnreadable
            self._message = hl7.parse(text + "\r")
        except (UnicodeDecodeError, hl7.ParseException, IndexError, ValueError) as error:
            raise MessageUnreadable(audit=repr(error)[:200]) from error

    def has(self, segment: str) -> bool:
        """Say whether there is such a segment."""
        return any(str(each[0]) == segment for each in self._message)

    def all(self, segment: str) -> list[Segment]:
        """Return the segments of a name, in order."""
        found = [each for each in self._message if str(each[0]) == segment]
        return [Segment(self._message, each, segment, number) for number, each in enumerate(found, 1)]

    def one(self, segment: str) -> Segment:
        """Return the first segment of a name.

        Raises:
            SegmentMissing: there is none.
        """
        found = self.all(segment)
        if not found:
            raise SegmentMissing(location=str(Location(segment)), segment=segment)
        return found[0]

    def text(self, segment: str) -> str:
        """Return the first segment of a name as it stands, to be repeated in an answer; empty if there is none."""
        found = [each for each in self._message if str(each[0]) == segment]
        return str(found[0]) if found else ""


class Segment:
    """One segment of a message; its name and its place among those of the same name."""

    __slots__ = ("_message", "_segment", "name", "number")

    def __init__(self, message: Any, segment: Any, name: str, number: int) -> None:
        self._message, self._segment, self.name, self.number = message, segment, name, number

    def repetitions(self, field: int) -> list[list[list[str]]]:
        """Return a field as repetitions of components of sub-components, texts with their escapes undone."""
        try:
            value = self._segment[field]
        except IndexError:
            return []
        if not str(value):
            return []
        return [self._components(each) for each in value]

    def get(self, field: int, component: int = 1, sub_component: int = 1, *, repetition: int = 1) -> str:
        """Return one part, blanks around it taken away; empty when it is not there or is to be deleted."""
        value = self.raw(field, component, sub_component, repetition=repetition)
        return "" if value == DELETED else value

    def raw(self, field: int, component: int = 1, sub_component: int = 1, *, repetition: int = 1) -> str:
        """Return one part as ``get``, with the two quotes of a deletion."""
        try:
            return self.repetitions(field)[repetition - 1][component - 1][sub_component - 1].strip()
        except IndexError:
            return ""

    def need(self, field: int, component: int = 1) -> str:
        """Return a part that must be there.

        Raises:
            FieldMissing: it is empty.
        """
        value = self.get(field, component)
        if not value:
            raise FieldMissing(location=str(self.at(field)), field=f"{self.name}-{field}")
        return value

    def at(self, field: int, repetition: int = 0, component: int = 0, sub_component: int = 0) -> Location:
        """Return where a part of this segment is."""
        return Location(self.name, self.number, field, repetition, component, sub_component)

    def _components(self, repetition: Any) -> list[list[str]]:
        if isinstance(repetition, str):
            return [[self._message.unescape(repetition)]]
        return [
            [self._message.unescape(component)]
            if isinstance(component, str)
            else [self._message.unescape(str(part)) for part in component]
            for component in repetition
        ]


Value = str | Sequence["str | Sequence[str]"]


def escaped(text: str) -> str:
    """Return a text as it may stand inside a component (2.7); line breaks become blanks."""
    flat = "".join(" " if ord(mark) < ord(" ") else mark for mark in text)
    return "".join(_ESCAPES.get(mark, mark) for mark in flat)


def components(values: Sequence[str | Sequence[str]]) -> str:
    """Join components, each a text or its sub-components; empty ones at the end are left out."""
    parts = [escaped(each) if isinstance(each, str) else "&".join(map(escaped, each)) for each in values]
    return "^".join(parts).rstrip("^")


def segment(name: str, fields: Mapping[int, str]) -> str:
    """Return a segment from fields that are written already (``escaped``, ``components``), by number from 1."""
    last = max(fields, default=0)
    return "|".join([name, *(fields.get(number, "") for number in range(1, last + 1))])


def repeated(values: Iterable[str]) -> str:
    """Join repetitions."""
    return "~".join(values)


def moment(at: datetime) -> str:
    """Write a time stamp with its offset (data type TS)."""
    return at.strftime("%Y%m%d%H%M%S%z")
