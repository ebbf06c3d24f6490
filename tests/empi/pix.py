"""Persons for the tests of cross indexes, entered straight into the index."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.changes import service as changes
from yimatong.empi.identifiers import service
from yimatong.empi.identifiers.service import Entered, NewNumber
from yimatong.empi.merges import service as merges
from yimatong.empi.merges.service import NewDecision
from yimatong.empi.persons import queries as persons
from yimatong.empi.persons.schemas import Demographics, RealNameMark
from yimatong.kit.db import Connection, raw
from yimatong.kit.errors import PlatformError
from yimatong.standards import id_number

NOW = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
SEALER = Sealer({1: b"s" * 16}, 1)
BLINDER = Blinder(b"b" * 32)


def identity_number(*, born: date = date(1980, 2, 3), sex: str = "2") -> str:
    """Return a fresh valid number of somebody born that day."""
    serial = secrets.randbelow(400) * 2 + (1 if sex == "1" else 0)
    first17 = f"6101{secrets.randbelow(90) + 10}{born:%Y%m%d}{serial:03d}"
    return first17 + id_number.check_digit(first17)


async def person(
    connection: Connection, *, id_type: str = "01", number: str = "", born: date = date(1980, 2, 3), sex: str = "2"
) -> UUID:
    """Enter a person with a certificate of her own and return her id."""
    mpi = uuid4()
    given = Demographics(
        name="李小红",
        sex=sex,
        birth_date=born,
        id_type=id_type,
        id_number=number or identity_number(born=born, sex=sex),
        phone="13800138000",
    )
    mark = RealNameMark(method="window", level=3, at=NOW)
    await changes.claim(connection, id_type=id_type, id_number=given.id_number, mpi=mpi, blinder=BLINDER, now=NOW)
    await changes.enter(
        connection, given, mpi=mpi, provider="his-1", mark=mark, sealer=SEALER, blinder=BLINDER, now=NOW
    )
    return mpi


async def enter(
    connection: Connection, *numbers: tuple[str, str, UUID], now: datetime = NOW
) -> list[Entered | PlatformError]:
    """Enter (domain, number, person) of the provider his-1."""
    wanted = [NewNumber(domain, number, mpi, "his-1") for domain, number, mpi in numbers]
    return await service.enter_many(await raw(connection), wanted, sealer=SEALER, blinder=BLINDER, now=now)


async def codes(connection: Connection, *numbers: tuple[str, str, UUID], now: datetime = NOW) -> list[str]:
    """Enter numbers and return for each ``new``, ``known`` or the public code of its refusal."""
    return [
        ("new" if each.fresh else "known") if isinstance(each, Entered) else each.code
        for each in await enter(connection, *numbers, now=now)
    ]


async def merge(connection: Connection, retired: UUID, survivor: UUID) -> None:
    """Let one person retire into another."""
    nobody = UUID(int=0)
    decision = NewDecision(kind="merge", method="steward", left=nobody, operator="opr-1")
    await merges.merge(
        connection, retired=retired, survivor=survivor, decision=decision, sealer=SEALER, blinder=BLINDER, now=NOW
    )


def domains(numbers: Sequence[object]) -> list[str]:
    """Return the domains of resolved numbers, in order."""
    return [number.domain for number in numbers]  # type: ignore[attr-defined]


__all__ = ["BLINDER", "NOW", "SEALER", "codes", "domains", "enter", "identity_number", "merge", "person", "persons"]
