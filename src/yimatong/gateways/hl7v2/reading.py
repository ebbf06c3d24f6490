"""What an HL7 v2 message says of a patient, in the index's own words. Pure.

PID by IHE ITI TF-2 3.8.4.1.2.3 and 3.30.4.1.2.4; sex by HL7 table 0001, marital status by table 0002. Chinese systems
often send the whole name as the family name, and the number of the identity card in PID-19; both are read.
"""

from __future__ import annotations

import unicodedata
from datetime import date, datetime
from typing import Final

import msgspec

from yimatong.empi.registration.schemas import Stated
from yimatong.gateways.errors import FieldMissing, FieldUnreadable, TableValueUnknown
from yimatong.gateways.hl7v2.messages import DELETED, Location, Received, Segment
from yimatong.standards.codes import ID_CARD

SEXES: Final = {
    "M": "1",
    "F": "2",
    "U": "0",
    "": "0",
    "O": "9",
    "A": "9",
    "N": "9",
    "1": "1",
    "2": "2",
    "0": "0",
    "9": "9",
}
"""HL7 table 0001 to GB/T 2261.1; systems that send the national codes are understood, too."""

SEXES_OUT: Final = {"1": "M", "2": "F", "0": "U", "9": "O"}
MARITAL: Final = {"S": "10", "M": "20", "W": "30", "D": "40", "U": "90", "A": "40", "E": "40", "O": "90"}
"""HL7 table 0002 to GB/T 2261.2."""

MARITAL_OUT: Final = {"1": "S", "2": "M", "3": "W", "4": "D", "9": "U"}
_NUMBER_MAX, _TEXT_MAX, _NAME_MAX, _IDENTIFIERS_MAX = 64, 200, 100, 20
_ID_LENGTHS = (15, 18)


class Authority(msgspec.Struct, frozen=True):
    """An assigning authority (data type HD): a name of our own, a universal id and its kind."""

    namespace: str = ""
    universal_id: str = ""
    kind: str = ""

    @property
    def empty(self) -> bool:
        """Say whether nothing was said."""
        return not (self.namespace or self.universal_id)


class Numbered(msgspec.Struct, frozen=True):
    """One identifier (data type CX) with where it stood."""

    number: str
    authority: Authority
    type_code: str
    location: Location


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """What a PID says: every identifier in its order, and the facts. ``deceased`` by PID-29 and PID-30."""

    identifiers: tuple[Numbered, ...]
    stated: Stated
    died_on: date | None
    deceased: bool


def patient(pid: Segment) -> Patient:
    """Read a PID.

    Raises:
        FieldMissing: no identifier or no name. FieldUnreadable: a date, or something longer than it may be.
        TableValueUnknown: a sex that table 0001 does not have.
    """
    numbers = identifiers(pid, 3)
    if not numbers:
        raise FieldMissing(location=str(pid.at(3)), field="PID-3")
    if len(numbers) > _IDENTIFIERS_MAX:
        raise FieldUnreadable(location=str(pid.at(3)), field="PID-3")
    name = person_name(pid, 5)
    if not name:
        raise FieldMissing(location=str(pid.at(5)), field="PID-5")
    sex = SEXES.get(pid.get(8).upper())
    if sex is None:
        raise TableValueUnknown(location=str(pid.at(8)), field="PID-8")
    id_number = "".join(pid.get(19).split())
    stated = Stated(
        name=name,
        sex=sex,
        birth_date=day(pid, 7),
        id_type=ID_CARD if len(id_number) in _ID_LENGTHS else "",
        id_number=id_number if len(id_number) in _ID_LENGTHS else "",
        phone=phone(pid),
        address=address(pid, 11),
        marital=MARITAL.get(pid.get(16).upper(), ""),
        mother_name=person_name(pid, 6),
    )
    died_on = day(pid, 29)
    return Patient(
        identifiers=numbers, stated=stated, died_on=died_on, deceased=died_on is not None or pid.get(30) == "Y"
    )


def identifiers(segment: Segment, field: int) -> tuple[Numbered, ...]:
    """Read a repeating field of identifiers (CX); repetitions without a number are passed over.

    Raises:
        FieldUnreadable: a number is longer than 64 characters.
    """
    found = []
    for index, parts in enumerate(segment.repetitions(field), 1):
        number = _part(parts, 1)
        if not number or number == DELETED:
            continue
        if len(number) > _NUMBER_MAX:
            raise FieldUnreadable(location=str(segment.at(field, index)), field=f"{segment.name}-{field}")
        found.append(Numbered(number, _authority(parts), _part(parts, 5).upper(), segment.at(field, index)))
    return tuple(found)


def authorities(segment: Segment, field: int) -> tuple[tuple[Authority, Location], ...]:
    """Read a repeating field of which only the assigning authorities count (CX.4), as QPD-4 and QPD-8 have it."""
    found = []
    for index, parts in enumerate(segment.repetitions(field), 1):
        authority = _authority(parts)
        if not authority.empty:
            found.append((authority, segment.at(field, index)))
    return tuple(found)


def person_name(segment: Segment, field: int) -> str:
    """Read a name (XPN): the ideographic one where several are sent, else the first that is not a phonetic one.

    Family and given name are put together without a blank where they are Chinese, with one where they are not.

    Raises:
        FieldUnreadable: longer than 100 characters.
    """
    written = []
    for parts in segment.repetitions(field):
        family, given, middle = _part(parts, 1), _part(parts, 2), _part(parts, 3)
        pieces = [piece for piece in (family, given, middle) if piece and piece != DELETED]
        if pieces:
            representation = _part(parts, 8).upper()
            written.append((representation != "I", representation == "P", _joined(pieces)))
    if not written:
        return ""
    name = min(written, key=lambda each: each[:2])[2]
    if len(name) > _NAME_MAX:
        raise FieldUnreadable(location=str(segment.at(field)), field=f"{segment.name}-{field}")
    return name


def _joined(pieces: list[str]) -> str:
    whole = "".join(pieces)
    latin = all("LATIN" in unicodedata.name(mark, "") for mark in whole if mark.isalpha())
    return " ".join(pieces) if latin else whole


def day(segment: Segment, field: int) -> date | None:
    """Read the day of a time stamp (TS), of which the year and the month may be all that is known.

    Raises:
        FieldUnreadable: no such day.
    """
    written = segment.get(field)
    if not written:
        return None
    digits = written.split("+")[0].split("-")[0].split(".")[0]
    padded = {4: digits + "0101", 6: digits + "01"}.get(len(digits), digits[:8])
    try:
        return datetime.strptime(padded, "%Y%m%d").date()  # noqa: DTZ007 -- a day has no zone
    except ValueError as error:
        raise FieldUnreadable(location=str(segment.at(field)), field=f"{segment.name}-{field}") from error


def estimated(segment: Segment, field: int) -> bool:
    """Say whether a time stamp names no day."""
    return 0 < len(segment.get(field)) < 8  # noqa: PLR2004 -- YYYYMMDD


def phone(pid: Segment) -> str:
    """Return the first telephone number of PID-13, else of PID-14 (XTN): the old form, or area code and number."""
    for field in (13, 14):
        for parts in pid.repetitions(field):
            if _part(parts, 3).upper() in ("INTERNET", "X.400"):
                continue
            whole = _part(parts, 1) or _part(parts, 12) or _part(parts, 6) + _part(parts, 7)
            digits = "".join(mark for mark in whole if mark.isdigit() or mark == "+")
            if digits:
                return digits[:30]
    return ""


def address(segment: Segment, field: int) -> str:
    """Return an address (XAD) in the Chinese order: province, city, county, street.

    Raises:
        FieldUnreadable: longer than 200 characters.
    """
    for parts in segment.repetitions(field):
        pieces = [_part(parts, 4), _part(parts, 3), _part(parts, 9), _part(parts, 1), _part(parts, 2)]
        kept: list[str] = []
        for piece in pieces:
            if piece and piece != DELETED and not any(piece in before for before in kept):
                kept.append(piece)
        if kept:
            whole = "".join(kept)
            if len(whole) > _TEXT_MAX:
                raise FieldUnreadable(location=str(segment.at(field)), field=f"{segment.name}-{field}")
            return whole
    return ""


def _authority(parts: list[list[str]]) -> Authority:
    if len(parts) < 4:  # noqa: PLR2004 -- CX.4
        return Authority()
    namespace, universal, kind = ([*(each.strip() for each in parts[3]), "", "", ""])[:3]
    return Authority(namespace, universal, kind.upper())


def _part(parts: list[list[str]], number: int) -> str:
    return parts[number - 1][0].strip() if len(parts) >= number and parts[number - 1] else ""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What the answer needs of an MSH."""

    application: str
    facility: str
    to_application: str
    to_facility: str
    kind: str
    event: str
    control_id: str
    processing_id: str
    version: str


def header(message: Received) -> Header:
    """Read the MSH, whose field numbers the library counts as the standard does."""
    msh = message.one("MSH")
    return Header(
        application=msh.get(3),
        facility=msh.get(4),
        to_application=msh.get(5),
        to_facility=msh.get(6),
        kind=msh.get(9, 1).upper(),
        event=msh.get(9, 2).upper(),
        control_id=msh.get(10)[:199],
        processing_id=msh.get(11).upper(),
        version=msh.get(12),
    )
