"""Loads the person index for ``empi-register`` by COPY, as it stands after years of service.

Everybody has a golden record with all its search tokens, one sealed statement of the hospital under a record number, a
claimed identity card, a cross index and blocking keys. What a person is made of follows from her number alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import date, datetime, timedelta
from multiprocessing import get_context
from typing import Any

import msgspec
import psycopg
from _population import HOSPITAL, mpi_of

from yimatong.apps.assembly import Parts, assemble
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.survivorship import survive
from yimatong.empi.identifiers import catalogue, rules
from yimatong.empi.identifiers.queries import aad as number_aad
from yimatong.empi.linkage import candidates
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit import clock
from yimatong.kit.settings import Settings
from yimatong.standards.id_number import check_digit

SOURCE = catalogue.source(HOSPITAL)
_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英玉兰建华国庆子涵梓轩欣怡文博雅琪浩宇思远佳慧晨曦俊楠雪莲海燕志鹏"
_ROADS = ("和平路", "雁塔路", "长安路", "友谊路", "科技路", "丰庆路", "文艺路", "太华路", "幸福路", "咸宁路")
_DAYS = 29_000
_COPIES = {
    "empi_person": (
        "mpi, sealed, search_tokens, sex, birth_date, region_code, created_at, changed_at, compared_at",
        ("uuid", "bytea", "bigint[]", "text", "date", "text", "timestamptz", "timestamptz", "timestamptz"),
    ),
    "empi_contribution": (
        (
            "mpi, contribution_id, provider, kind, domain, source_blind, sealed, sex, birth_date, real_name_method,"
            " real_name_level, real_name_at, at"
        ),
        ("uuid", *("text",) * 4, "bytea", "bytea", "text", "date", "text", "int2", "timestamptz", "timestamptz"),
    ),
    "empi_certificate": ("id_type, id_blind, mpi, claimed_at", ("text", "bytea", "uuid", "timestamptz")),
    "empi_identifier": (
        "relation_id, domain, number_blind, number_sealed, mpi, application_domain, provider, since",
        ("text", "text", "bytea", "bytea", "uuid", "text", "text", "timestamptz"),
    ),
    "empi_block": ("token, mpi", ("int8", "uuid")),
}


def facts_of(number: int) -> dict[str, Any]:
    """Return what the hospital says of a person; no two have the same identity number or telephone."""
    draw = hashlib.sha256(b"resident %d" % number).digest()
    born = date(1940, 1, 1) + timedelta(days=int.from_bytes(draw[:3]) % _DAYS)
    place, serial = divmod(number // 2, 499)
    sex = 1 + number % 2
    first17 = f"61{place // 89 % 89 + 10:02d}{place % 89 + 10:02d}{born:%Y%m%d}{serial * 2 + sex:03d}"
    name = _FAMILY[draw[3] % len(_FAMILY)] + _GIVEN[draw[4] % len(_GIVEN)] + _GIVEN[draw[5] % len(_GIVEN)]
    door = (
        f"{draw[7] % 200 + 1}号{draw[8] % 30 + 1}号楼{draw[9] % 4 + 1}单元{draw[10] % 33 + 1}{draw[11] % 4 + 1:02d}室"
    )
    return {
        "name": name,
        "sex": "1" if int(first17[16]) % 2 else "2",
        "birth_date": born.isoformat(),
        "id_type": "01",
        "id_number": first17 + check_digit(first17),
        "phone": f"13{number % 10**9:09d}",
        "address": f"陕西省西安市碑林区{_ROADS[draw[6] % len(_ROADS)]}{door}",
    }


def born(given: dict[str, Any]) -> date:
    """Return the birth date of somebody."""
    return date.fromisoformat(given["birth_date"])


def record_number(number: int) -> str:
    """Return the hospital's record number of a loaded person."""
    return f"P{number:09d}"


def blinds_of(number: int, blinder: Blinder) -> tuple[bytes, bytes]:
    """Return the blinds of a loaded person's record number and of her identity number."""
    facts = facts_of(number)
    return rules.blind(blinder, SOURCE, record_number(number)), blinder.id_blind("01", facts["id_number"])


async def load(parts: Parts, count: int, *, first: int = 0, processes: int = 2) -> None:
    """Load the persons with the numbers ``first`` to ``count`` - 1."""
    cuts = [first + (count - first) * part // processes for part in range(processes + 1)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            *(
                loop.run_in_executor(pool, load_part, parts.settings, begin, end)
                for begin, end in itertools.pairwise(cuts)
            )
        )
    with psycopg.connect(parts.settings.database_url, autocommit=True) as connection:
        for table in _COPIES:
            connection.execute(f"VACUUM (ANALYZE) {table}")


def load_part(settings: Settings, first: int, end: int) -> None:
    """Load a range of persons; one process of several."""
    asyncio.run(_load(settings, first, end))


async def _load(settings: Settings, first: int, end: int) -> None:
    parts = assemble(settings)
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    await parts.close()
    now, step = clock.now(), 20_000
    for start in range(first, end, step):
        made = [_rows(number, sealer, blinder, now) for number in range(start, min(start + step, end))]
        with psycopg.connect(settings.database_url) as connection:
            for table, (columns, kinds) in _COPIES.items():
                statement = f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT BINARY)"
                with connection.cursor().copy(statement) as copy:
                    copy.set_types(kinds)
                    for row in _of_table(made, table):
                        copy.write_row(row)


def _of_table(made: Sequence[dict[str, list[tuple[Any, ...]]]], table: str) -> Iterator[tuple[Any, ...]]:
    for each in made:
        yield from each[table]


def _rows(number: int, sealer: Sealer, blinder: Blinder, now: datetime) -> dict[str, list[tuple[Any, ...]]]:
    given, mpi, contribution_id = facts_of(number), mpi_of(number), f"ctb_{number:032x}"
    day = born(given)
    facts = SealedFacts(**{key: given[key] for key in ("name", "id_type", "id_number", "phone", "address")})
    statement = golden.stated(
        facts,
        contribution_id=contribution_id,
        provider=HOSPITAL,
        kind="feed",
        level=3,
        at=now,
        sex=given["sex"],
        birth_date=day,
    )
    record = survive([statement])
    row = golden.row_of(mpi, record, sealer=sealer, blinder=blinder)
    source, certificate = blinds_of(number, blinder)
    own = f"xid_{number:032x}"
    told = sealer.seal(msgspec.json.encode(facts), aad(mpi))
    block = candidates.block_tokens(blinder, candidates.facts_of(golden.Said(mpi, facts, statement, None)))
    return {
        "empi_person": [
            (mpi, row.sealed, golden.tokens_of(blinder, record), row.sex, day, row.region_code, now, now, now)
        ],
        "empi_contribution": [
            (
                *(mpi, contribution_id, HOSPITAL, "feed", SOURCE, source, told, given["sex"], day),
                *("certificate_read", 3, now, now),
            )
        ],
        "empi_certificate": [("01", certificate, mpi, now)],
        "empi_identifier": [
            (
                *(own, SOURCE, source, sealer.seal(record_number(number).encode(), number_aad(own)), mpi),
                *(rules.application_of(SOURCE), HOSPITAL, now),
            )
        ],
        "empi_block": [(token, mpi) for token in block],
    }
