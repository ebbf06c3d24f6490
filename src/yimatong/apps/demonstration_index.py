"""Demonstration data for the steward's desk: records of two hospitals that leave the person index in doubt.

They come through registration like any others; what is linked, and what a steward must judge, the index decides.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from yimatong.apps.assembly import Parts
from yimatong.empi.identifiers import catalogue
from yimatong.empi.identifiers.schemas import SourceNumber
from yimatong.empi.registration import service as registration
from yimatong.empi.registration.schemas import PersonToRegister, Stated
from yimatong.empi.registration.service import Provider, Registered
from yimatong.kit.db import raw
from yimatong.standards.id_number import check_digit

_ADDRESS: Final = "陕西省西安市莲湖区桃园路 128 号院 3 单元 502 室"
_OTHER: Final = "陕西省咸阳市秦都区人民中路 66 号"
_BEILIN: Final = "陕西省西安市碑林区友谊西路 127 号 8 号楼"


def _number(first17: str) -> str:
    return first17 + check_digit(first17)


def _pairs(today: date) -> list[tuple[Stated, Stated]]:
    """Return pairs of what the first and the second hospital say."""
    born = date(today.year, 1, 15)
    twins, child, namesake = _number("61010420150329011"), date(2015, 3, 29), date(1978, 12, 2)
    conflict = _number("61040219880808046")
    return [
        (  # twins: one with her number, the other without
            _said("王子轩", "1", child, "13991200001", _ADDRESS, id_number=twins),
            _said("王子涵", "1", child, "13991200001", _ADDRESS),
        ),
        (  # one certificate, two names
            _said("刘芳", "2", date(1988, 8, 8), "13991200002", _OTHER, id_number=conflict),
            _said("郭红霞", "2", date(1988, 8, 8), "13991200003", _OTHER, id_number=conflict),
        ),
        (  # a newborn under its mother's name, and under its own
            _said("李秀兰之女", "2", born, "13991200004", _ADDRESS, mother="李秀兰"),
            _said("张安琪", "2", born, "13991200004", _ADDRESS, mother="李秀兰"),
        ),
        (  # one name written in two ways, the number missing
            _said("阿卜杜热合曼·买买提", "1", namesake, "13991200005", _BEILIN, id_number=_number("65312519781202305")),
            _said("阿布都热合曼·买买提", "1", namesake, "13991200005", _BEILIN),
        ),
        (  # the same person with a birth date that slipped and another phone
            _said("赵雪梅", "2", date(1965, 3, 12), "13991200007", _OTHER, id_number=_number("61040219650312002")),
            _said("赵雪梅", "2", date(1965, 3, 21), "13991200007", "咸阳市秦都区"),
        ),
    ]


def _said(
    name: str, sex: str, born: date, phone: str, address: str, *, id_number: str = "", mother: str = ""
) -> Stated:
    return Stated(
        name=name,
        sex=sex,
        birth_date=born,
        id_type="01" if id_number else "",
        id_number=id_number,
        phone=phone,
        address=address,
        mother_name=mother,
    )


async def load(parts: Parts, *, first: Provider, second: Provider, now: datetime) -> list[Registered]:
    """Register every pair, the first hospital's record before the second one's; return what became of the second.

    Raises:
        PlatformError: a record was refused.
    """
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    done: list[Registered] = []
    for index, pair in enumerate(_pairs(now.date()), start=1):
        for said, provider in zip(pair, (first, second), strict=True):
            wanted = PersonToRegister(
                source=SourceNumber(
                    domain=catalogue.source(provider.institution_id or provider.caller_id), number=f"M{index:08d}"
                ),
                resident=said,
            )
            record = registration.checked(wanted, provider, now=now)
            async with parts.db.transaction() as connection:
                (result,) = await registration.register_many(
                    await raw(connection), [record], sealer=sealer, blinder=blinder, now=now
                )
            if isinstance(result, Exception):
                raise result
            if provider is second:
                done.append(result)
    return done
