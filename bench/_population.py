"""Loads accounts for a benchmark by COPY: sealed persons, card accounts, one hospital with its reading terminals.

VUIDs are drawn as SHA-256 of the account number instead of from the crypto device, so that pgbench can name an account
without a table of its own; verification reads a VUID, it never decrypts it. Everything else is as in service.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import date, timedelta
from uuid import UUID

import msgspec
import psycopg

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.apps.assembly import Parts
from yimatong.crypto.sealing import Sealer
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit import clock
from yimatong.standards.id_number import check_digit

HOSPITAL = "bench-hospital"
_FAMILY = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超霞平刚桂英玉兰建华国庆子涵梓轩欣怡"


def vuid_of(number: int) -> str:
    """Return the VUID of the account with this number: the same text that the baseline computes in SQL."""
    return hashlib.sha256(str(number).encode()).hexdigest().upper()


def mpi_of(number: int) -> UUID:
    """Return the master index id of the account with this number."""
    return UUID(bytes=hashlib.sha256(b"mpi %d" % number).digest()[:16])


async def enrol_terminals(parts: Parts, count: int) -> dict[str, bytes]:
    """Enrol the hospital and its terminals; return each terminal's secret."""
    made = {f"bench-terminal-{number:03d}": secrets.token_bytes(32) for number in range(count)}
    async with parts.db.transaction() as connection:
        await callers.add_institution(
            connection,
            Institution(
                institution_id=HOSPITAL, name="基准医院", kind="hospital", org_code="435628013", region_code="610100"
            ),
            now=clock.now(),
        )
        for caller_id, secret in made.items():
            await callers.enrol(
                connection,
                parts.vault,
                caller_id=caller_id,
                kind="terminal",
                name=caller_id,
                institution_id=HOSPITAL,
                secret=secret,
                now=clock.now(),
            )
    return made


async def load(parts: Parts, count: int, *, first: int = 0) -> None:
    """Load the persons and accounts with the numbers ``first`` to ``count`` - 1; the hospital holds all accounts."""
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    now = clock.now()
    with psycopg.connect(parts.settings.database_url) as connection:
        with connection.cursor().copy(
            "COPY empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, state, version, created_at,"
            " changed_at) FROM STDIN WITH (FORMAT BINARY)"
        ) as copy:
            copy.set_types(
                ["uuid", "bytea", "bigint[]", "text", "date", "text", "text", "int4", "timestamptz", "timestamptz"]
            )
            for mpi, sealed, name, birth_date in _persons(first, count, sealer):
                tokens = [blinder.name_token(name), *blinder.character_tokens(name)]
                copy.write_row((mpi, sealed, tokens, "1", birth_date, "610102", "live", 1, now, now))
        with connection.cursor().copy(
            "COPY cards_account (vuid, generation, mpi, vuid_key_version, state, opened_at, changed_at)"
            " FROM STDIN WITH (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["text", "int2", "uuid", "int2", "text", "timestamptz", "timestamptz"])
            for number in range(first, count):
                copy.write_row((vuid_of(number), 1, mpi_of(number), 1, "active", now, now))
        with connection.cursor().copy(
            "COPY cards_holder (vuid, holder, real_name_level, since) FROM STDIN WITH (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["text", "text", "int2", "timestamptz"])
            for number in range(first, count):
                copy.write_row((vuid_of(number), HOSPITAL, 3, now))
    with psycopg.connect(parts.settings.database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) empi_person")
        connection.execute("VACUUM (ANALYZE) cards_holder")
        connection.execute("VACUUM (ANALYZE) cards_account")


def _persons(first: int, count: int, sealer: Sealer) -> Iterator[tuple[UUID, bytes, str, date]]:
    for number in range(first, count):
        mpi = mpi_of(number)
        draw = hashlib.sha256(b"name %d" % number).digest()
        name = _FAMILY[draw[0] % len(_FAMILY)] + _GIVEN[draw[1] % len(_GIVEN)] + _GIVEN[draw[2] % len(_GIVEN)]
        birth_date = date(1940, 1, 1) + timedelta(days=int.from_bytes(draw[3:5]) % 29000)
        first17 = f"610102{birth_date:%Y%m%d}{number % 1000:03d}"
        facts = SealedFacts(
            name=name,
            id_type="01",
            id_number=first17 + check_digit(first17),
            phone=f"138{number % 10**8:08d}",
            address="",
        )
        yield mpi, sealer.seal(msgspec.json.encode(facts), aad(mpi)), name, birth_date
