"""The plain preparation of a person's facts, and the guard over certificates; the Chinese one builds upon it. Pure."""

from __future__ import annotations

import unicodedata
from typing import Any, Final

from yimatong.empi.matching.comparators import Guard, Preparation, PreparationFactory, Prepared
from yimatong.empi.matching.facts import Facts

_COLUMNS: Final = {
    "name": "VARCHAR",
    "sex": "VARCHAR",
    "birth": "VARCHAR",
    "id_number": "VARCHAR",
    "phone": "VARCHAR",
    "address": "VARCHAR",
    "certificate": "VARCHAR",
}


def plain(_columns: tuple[str, ...]) -> Preparation:
    """Return the preparation of ``Facts`` without any knowledge of names or places."""
    return Preparation(columns=dict(_COLUMNS), prepare=_prepare)


def _prepare(facts: Facts) -> dict[str, Any]:
    number = _ascii(facts.id_number).upper()
    return {
        "name": unicodedata.normalize("NFKC", facts.name).strip() or None,
        "sex": facts.sex if facts.sex in ("1", "2") else None,
        "birth": None if facts.birth_date is None else facts.birth_date.strftime("%Y%m%d"),
        "id_number": number or None,
        "phone": _ascii(facts.phone) or None,
        "address": facts.address.strip() or None,
        "certificate": f"{facts.id_type}:{number}" if number and facts.id_type else None,
    }


def _ascii(text: str) -> str:
    """Return full-width digits and letters in ASCII, and nothing else that edit distances could count in two ways."""
    return unicodedata.normalize("NFKC", text).encode("ascii", "ignore").decode().strip()


def _two_certificates(left: Prepared, right: Prepared) -> bool:
    ours, theirs = left["certificate"], right["certificate"]
    return (
        ours is not None
        and theirs is not None
        and ours != theirs
        and ours.partition(":")[0] == theirs.partition(":")[0]
    )


GUARDS: Final = {
    "two_certificates": Guard(
        columns=("certificate",),
        sql="l.certificate <> r.certificate AND split_part(l.certificate, ':', 1) = split_part(r.certificate, ':', 1)",
        holds=_two_certificates,
        zh="两个不同的同类证件",
        en="two different certificates of one type",
    )
}
PREPARATIONS: Final[dict[str, PreparationFactory]] = {"plain": plain}
