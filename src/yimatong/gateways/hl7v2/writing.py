"""Answers of HL7 v2.5: acknowledgements and the responses to queries, with their errors to the letter. Pure.

ACK (2.14.1), RSP^K23^RSP_K23 (IHE ITI TF-2 3.9), RSP^K22^RSP_K21 (3.21). Errors stand in ERR-2 to ERR-8 from version
2.5 on, in ERR-1 (data type ELD) before.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec

from yimatong.gateways.errors import MessageFault
from yimatong.gateways.hl7v2.messages import CHARACTER_SETS, components, escaped, moment, segment
from yimatong.gateways.hl7v2.reading import Header
from yimatong.kit.errors import PlatformError

CONDITIONS: Final = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "202": "Unsupported processing id",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}
"""HL7 table 0357."""

_ERR_BY_FIELDS_SINCE: Final = (2, 5)
_STRUCTURES: Final = {"ACK": "ACK", "K22": "RSP_K21", "K23": "RSP_K23"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One answer: its kind and event (MSH-9), the code of MSA-1, and the segments behind MSA and ERR."""

    kind: str
    event: str
    code: str = "AA"
    faults: tuple[PlatformError, ...] = ()
    segments: tuple[str, ...] = ()


def written(answer: Answer, to: Header, *, charset: str, control_id: str, now: datetime) -> bytes:
    """Return an answer as it goes out, segments ended by CR, in the character set in which was asked."""
    structure = _STRUCTURES.get(answer.event if answer.kind == "RSP" else answer.kind, "ACK")
    msh = segment(
        "MSH",
        {
            1: "^~\\&",
            2: escaped(to.to_application),
            3: escaped(to.to_facility),
            4: escaped(to.application),
            5: escaped(to.facility),
            6: moment(now),
            8: components([answer.kind, answer.event, structure]),
            9: escaped(control_id),
            10: escaped(to.processing_id) or "P",
            11: escaped(to.version) or "2.5",
            17: charset or "UNICODE UTF-8",
        },
    )
    msa = segment("MSA", {1: answer.code, 2: escaped(to.control_id)})
    errors = [error(fault, version=to.version) for fault in answer.faults]
    text = "".join(f"{each}\r" for each in [msh, msa, *errors, *answer.segments])
    return text.encode(CHARACTER_SETS[charset.upper()], "replace")


def error(fault: PlatformError, *, version: str) -> str:
    """Return the ERR segment of a fault; our public code stands in ERR-5, what happened in ERR-7 and ERR-8."""
    condition = fault.condition if isinstance(fault, MessageFault) else "207"
    location = str(fault.facts.get("location", ""))
    if not since_2_5(version):
        place = [*location.split("^"), "", "", ""][:3]
        return segment("ERR", {1: components([*place, [condition, CONDITIONS[condition], "HL70357"]])})
    return segment(
        "ERR",
        {
            2: location,
            3: components([condition, CONDITIONS[condition], "HL70357"]),
            4: "E",
            5: components([fault.code, fault.text("en"), "YMT"]),
            7: escaped(fault.text("en")),
            8: escaped(fault.text("zh")),
        },
    )


def since_2_5(version: str) -> bool:
    """Say whether a version is 2.5 or later; one that cannot be read counts as 2.5."""
    numbers = [part for part in version.split(".")[:2] if part.isdigit()]
    return len(numbers) < 2 or tuple(map(int, numbers)) >= _ERR_BY_FIELDS_SINCE  # noqa: PLR2004 -- major, minor


def code_of(faults: Sequence[PlatformError]) -> str:
    """Return MSA-1: AR when one of the faults is a reason to reject, AE for any other, AA for none."""
    if not faults:
        return "AA"
    return "AR" if any(isinstance(fault, MessageFault) and fault.acknowledgement == "AR" for fault in faults) else "AE"


def acknowledged(event: str, faults: Sequence[PlatformError] = ()) -> Answer:
    """Return the general acknowledgement of a message (ACK)."""
    return Answer(kind="ACK", event=event, code=code_of(faults), faults=tuple(faults))
