"""PIX and PDQ queries read, and their responses (IHE ITI TF-2 3.9 and 3.21). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec

from yimatong.empi.identifiers.schemas import ResolvedNumber, SourceNumber
from yimatong.empi.search.schemas import PersonHit, PersonQuery
from yimatong.gateways.errors import FieldMissing, FieldUnreadable, KeyUnknown, TableValueUnknown
from yimatong.gateways.hl7v2.messages import Received, Segment, components, escaped, repeated, segment
from yimatong.gateways.hl7v2.reading import MARITAL_OUT, SEXES, SEXES_OUT, Authority, Numbered, authorities, identifiers
from yimatong.gateways.hl7v2.writing import Answer
from yimatong.kit.errors import PlatformError

LIMIT_MAX: Final = 100
_PSEUDONYM: Final = "~^^^^^^S"
"""PID-5 of a PIX answer: an empty name, and the mark that the other one is a pseudonym (3.9.4.2.2.5)."""

AuthorityOf = Callable[[str], Authority]
"""Returns the assigning authority of an identifier domain, by its code."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a PDQ query asks for, with the identifiers that it names and the domains whose numbers are wanted."""

    query: PersonQuery
    identifiers: tuple[tuple[str, Authority], ...]
    domains: tuple[tuple[Authority, str], ...]


def tag(message: Received) -> str:
    """Return the query tag (QPD-2), which the answer repeats."""
    return message.one("QPD").get(2)[:32]


def pix(message: Received) -> tuple[Numbered, tuple[tuple[Authority, str], ...]]:
    """Read QPD-3 (whose) and QPD-4 (in which domains; none: in all), each domain with where it stood.

    Raises:
        FieldMissing: no identifier. FieldUnreadable: it is too long.
    """
    qpd = message.one("QPD")
    numbers = identifiers(qpd, 3)
    if not numbers:
        raise FieldMissing(location=str(qpd.at(3)), field="QPD-3")
    return numbers[0], tuple((authority, str(place)) for authority, place in authorities(qpd, 4))


def pdq(message: Received) -> Wanted:
    """Read the demographics of QPD-3 (``@PID.5.1^...``), RCP-2, and the pointer of a continuation (DSC-1).

    A family name without a given one finds every name that begins with it; ``*`` stands for any characters.

    Raises:
        FieldMissing: nothing is asked. FieldUnreadable, TableValueUnknown: a parameter.
    """
    qpd = message.one("QPD")
    asked = _parameters(qpd)
    if not asked:
        raise FieldMissing(location=str(qpd.at(3)), field="QPD-3")
    name, name_match = _name(asked)
    sex = SEXES.get(asked.get("8", "").upper())
    if sex is None:
        raise TableValueUnknown(location=str(qpd.at(3)), field="QPD-3 @PID.8")
    born = _born(qpd, asked.get("7", ""))
    number = asked.get("3.1", "")
    numbers = ((number, _authority(asked)),) if number else ()
    query: dict[str, Any] = {
        "name": name,
        "name_match": name_match,
        "sex": sex if asked.get("8") else "",
        "id_number": asked.get("19", ""),
        "born_from": born[0],
        "born_to": born[1],
        "phone": re.sub(r"[^0-9+]", "", asked.get("13", "")),
        "address": "".join(asked.get(part, "") for part in ("11.4", "11.3", "11.1")),
        "mother_name": asked.get("6", ""),
        "limit": _limit(message),
        "cursor": message.one("DSC").get(1) if message.has("DSC") else "",
    }
    try:
        wanted = msgspec.convert(query, PersonQuery)
    except msgspec.ValidationError as error:
        raise FieldUnreadable(location=str(qpd.at(3)), field="QPD-3", audit=str(error)[:200]) from error
    places = tuple((authority, str(place)) for authority, place in authorities(qpd, 8))
    return Wanted(query=wanted, identifiers=numbers, domains=places)


def pix_answer(message: Received, found: Sequence[ResolvedNumber], authority_of: AuthorityOf) -> Answer:
    """Return RSP^K23: the numbers, or that there are none in the domains that were asked for.

    A number that the caller may see masked only is none to it.
    """
    numbers = [SourceNumber(domain=each.domain, number=each.number) for each in found if not each.masked]
    if not numbers:
        return _response(message, "K23", "NF", ())
    pid = segment("PID", {3: repeated(_cx(each, authority_of) for each in numbers), 5: _PSEUDONYM})
    return _response(message, "K23", "OK", (pid,))


def pdq_answer(
    message: Received,
    hits: Sequence[PersonHit],
    *,
    authority_of: AuthorityOf,
    own: Authority,
    wanted: frozenset[str],
    pointer: str,
    total: int | None,
) -> Answer:
    """Return RSP^K22 with one PID a person, best first; ``pointer`` leads to the rest (DSC, 2.10.2)."""
    pids = [_pid(place, hit, authority_of, own, wanted) for place, hit in enumerate(hits, 1)]
    rest = (segment("DSC", {1: escaped(pointer), 2: "I"}),) if pointer else ()
    counts = ("", "", "")
    if total is not None:
        counts = (str(total), str(len(hits)), str(max(total - len(hits), 0)))
    return _response(message, "K22", "OK" if hits else "NF", (*pids, *rest), counts=counts)


def refused(message: Received, event: str, faults: Sequence[PlatformError]) -> Answer:
    """Return the response to a query that cannot be answered: AE, and where the fault is (3.9.4.2.2.6)."""
    return _response(message, event, "AE", (), faults=tuple(faults))


def unknown_number(place: str) -> KeyUnknown:
    """Return the fault of an identifier that nobody knows: its first component."""
    return KeyUnknown(location=f"{place}^1")


def _response(
    message: Received,
    event: str,
    status: str,
    segments: Iterable[str],
    *,
    faults: tuple[PlatformError, ...] = (),
    counts: tuple[str, str, str] = ("", "", ""),
) -> Answer:
    qpd = message.one("QPD")
    name = [part[0] if part else "" for part in (qpd.repetitions(1) or [[]])[0]]
    qak = segment(
        "QAK", {1: escaped(qpd.get(2)), 2: status, 3: components(name), **dict(zip((4, 5, 6), counts, strict=True))}
    )
    body = (qak.rstrip("|"), message.text("QPD"), *segments)
    return Answer(kind="RSP", event=event, code="AE" if faults else "AA", faults=faults, segments=body)


def _pid(place: int, hit: PersonHit, authority_of: AuthorityOf, own: Authority, wanted: frozenset[str]) -> str:
    numbers = [each for each in hit.identifiers if not wanted or each.domain in wanted]
    reference = components([hit.mpi_ref, "", "", [own.namespace, own.universal_id, own.kind], "PI"])
    listed = [_cx(each, authority_of) for each in numbers]
    family, given = _split(hit.name)
    fields = {
        1: str(place),
        3: repeated([*listed, *([] if wanted and listed else [reference])]),
        5: components([family, given, "", "", "", "", "L"]),
        7: f"{hit.birth_date:%Y%m%d}" if hit.birth_date else "",
        8: SEXES_OUT.get(hit.sex, "U"),
        11: components([hit.address, "", "", "", "", "CHN", "H"]) if hit.address else "",
        13: components([hit.phone, "PRN", "PH"]) if hit.phone else "",
        16: MARITAL_OUT.get(hit.marital[:1], ""),
        19: escaped(hit.id_number),
        29: f"{hit.deceased_on:%Y%m%d}" if hit.deceased_on else "",
        30: "Y" if hit.deceased_on else "",
    }
    return segment("PID", fields).rstrip("|")


def _cx(number: SourceNumber, authority_of: AuthorityOf) -> str:
    authority = authority_of(number.domain)
    return components([number.number, "", "", [authority.namespace, authority.universal_id, authority.kind]])


def _split(name: str) -> tuple[str, str]:
    """Return family and given name: of a Chinese name the first character is a good guess, and both are shown."""
    if " " in name:
        family, _, given = name.partition(" ")
        return family, given
    return (name, "") if "·" in name else (name[:1], name[1:])


_PLACE: Final = re.compile(r"@?PID\.([0-9]{1,2})((?:\.[0-9]{1,2}){0,2})")


def _parameters(qpd: Segment) -> dict[str, str]:
    """Return what is asked by place: the field, for fields of one part, else field and component."""
    asked = {}
    for parts in qpd.repetitions(3):
        name = parts[0][0].strip() if parts and parts[0] else ""
        value = parts[1][0].strip() if len(parts) > 1 and parts[1] else ""
        found = _PLACE.fullmatch(name)
        if found is None:
            raise FieldUnreadable(location=str(qpd.at(3)), field="QPD-3")
        if not value:
            continue
        field, below = found[1], found[2].strip(".").split(".")
        key = f"{field}.{below[0] or '1'}" if field in ("3", "5", "11") else field
        if field == "3" and below[:1] == ["4"]:
            key = f"3.4.{below[1] if len(below) > 1 else '1'}"
        asked[key] = value
    return asked


def _name(asked: dict[str, str]) -> tuple[str, str]:
    family, given = asked.get("5.1", ""), asked.get("5.2", "")
    if not family and not given:
        return "", "exact"
    if not given:
        return f"{family.rstrip('*')}*", "part"
    joined = f"{family or '*'} {given}" if (family + given).replace("*", "").isascii() else f"{family or '*'}{given}"
    return joined, "part" if "*" in joined else "exact"


def _authority(asked: dict[str, str]) -> Authority:
    return Authority(asked.get("3.4.1", ""), asked.get("3.4.2", ""), asked.get("3.4.3", "").upper())


def _born(qpd: Segment, written: str) -> tuple[date | None, date | None]:
    if not written:
        return None, None
    try:
        if len(written) == 4:  # noqa: PLR2004 -- a year
            return date(int(written), 1, 1), date(int(written), 12, 31)
        day = datetime.strptime(written[:8], "%Y%m%d").date()  # noqa: DTZ007 -- a day has no zone
    except ValueError as error:
        raise FieldUnreadable(location=str(qpd.at(3)), field="QPD-3 @PID.7") from error
    return day, day


def _limit(message: Received) -> int:
    quantity = message.one("RCP").get(2)[:9] if message.has("RCP") else ""
    return min(int(quantity), LIMIT_MAX) if quantity.isascii() and quantity.isdigit() and int(quantity) else 20
