"""Loads the person index for a benchmark by COPY: sealed persons with their claims and cross indexes, and callers.

Everybody has an identity card, a visit card of the hospital and a record number there, and every second one a
social-insurance card; all of it as it is in service. What a person is made of follows from her number alone.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import msgspec
import psycopg
from _population import HOSPITAL, mpi_of

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.apps.assembly import Parts
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.identifiers import catalogue, rules
from yimatong.empi.identifiers.queries import aad as number_aad
from yimatong.empi.persons.queries import aad
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit import clock
from yimatong.standards.id_number import check_digit

VISIT = catalogue.visit_cards(HOSPITAL)
SOURCE = catalogue.source(HOSPITAL)
SOCIAL = "card:02"
_DAYS = 29_000
_IDENTIFIERS = (
    "COPY empi_identifier (relation_id, domain, number_blind, number_sealed, mpi, application_domain, provider, since)"
    " FROM STDIN WITH (FORMAT BINARY)"
)
_PERSONS = (
    "COPY empi_person (mpi, sealed, search_tokens, sex, birth_date, region_code, state, version, created_at,"
    " changed_at, compared_at) FROM STDIN WITH (FORMAT BINARY)"
)
_CLAIMS = "COPY empi_certificate (id_type, id_blind, mpi, claimed_at) FROM STDIN WITH (FORMAT BINARY)"


def born(number: int) -> date:
    """Return the birth date of a person."""
    return date(1940, 1, 1) + timedelta(days=number % _DAYS)


def id_number(number: int) -> str:
    """Return the identity number of a person; no two have the same."""
    place, serial = divmod(number // _DAYS, 1000)
    first17 = f"6101{place:02d}{born(number):%Y%m%d}{serial:03d}"
    return first17 + check_digit(first17)


def visit_card(number: int) -> str:
    """Return the visit card of a person."""
    return f"V{number:09d}"


def numbers_of(number: int) -> Iterator[tuple[str, str]]:
    """Yield (domain, number) of a person's cross indexes."""
    yield VISIT, visit_card(number)
    yield SOURCE, f"P{number:09d}"
    if number % 2 == 0:
        yield SOCIAL, f"A{number:08d}"


async def enrol(parts: Parts, count: int) -> dict[str, bytes]:
    """Enrol the hospital and so many of its systems; return each one's secret."""
    made = {f"bench-his-{number:03d}": secrets.token_bytes(32) for number in range(count)}
    async with parts.db.transaction() as connection:
        hospital = Institution(
            institution_id=HOSPITAL, name="基准医院", kind="hospital", org_code="435628013", region_code="610100"
        )
        await callers.add_institution(connection, hospital, now=clock.now())
        for caller_id, secret in made.items():
            await callers.enrol(
                connection,
                parts.vault,
                caller_id=caller_id,
                kind="institution",
                name=caller_id,
                institution_id=HOSPITAL,
                secret=secret,
                now=clock.now(),
            )
    return made


async def load(parts: Parts, count: int, *, first: int = 0) -> None:
    """Load the persons with the numbers ``first`` to ``count`` - 1."""
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    now = clock.now()
    with psycopg.connect(parts.settings.database_url) as connection:
        with connection.cursor().copy(_PERSONS) as copy:
            kinds = ["uuid", "bytea", "bigint[]", "text", "date", "text", "text", "int4"]
            copy.set_types([*kinds, "timestamptz", "timestamptz", "timestamptz"])
            for number in range(first, count):
                sealed, token = _person(number, sealer, blinder)
                row = (mpi_of(number), sealed, [token], "1", born(number), "610102", "live", 1, now, now, now)
                copy.write_row(row)
        with connection.cursor().copy(_CLAIMS) as copy:
            copy.set_types(["text", "bytea", "uuid", "timestamptz"])
            for number in range(first, count):
                copy.write_row(("01", blinder.id_blind("01", id_number(number)), mpi_of(number), now))
        with connection.cursor().copy(_IDENTIFIERS) as copy:
            copy.set_types(["text", "text", "bytea", "bytea", "uuid", "text", "text", "timestamptz"])
            for row in _identifiers(range(first, count), sealer, blinder, now):
                copy.write_row(row)
    with psycopg.connect(parts.settings.database_url, autocommit=True) as connection:
        for table in ("empi_person", "empi_certificate", "empi_identifier"):
            connection.execute(f"VACUUM (ANALYZE) {table}")


def _person(number: int, sealer: Sealer, blinder: Blinder) -> tuple[bytes, int]:
    draw = hashlib.sha256(b"name %d" % number).digest()
    name = "王李张刘陈杨赵黄"[draw[0] % 8] + "伟芳娜敏静丽强磊"[draw[1] % 8] + "军洋勇艳杰娟涛明"[draw[2] % 8]
    facts = SealedFacts(
        name=name, id_type="01", id_number=id_number(number), phone=f"138{number % 10**8:08d}", address=""
    )
    return sealer.seal(msgspec.json.encode(facts), aad(mpi_of(number))), blinder.name_token(name)


def _identifiers(numbers: range, sealer: Sealer, blinder: Blinder, now: datetime) -> Iterator[tuple[object, ...]]:
    for number in numbers:
        for place, (domain, text) in enumerate(numbers_of(number)):
            own = f"xid_{number:031x}{place}"
            blind = rules.blind(blinder, domain, text)
            sealed = sealer.seal(text.encode(), number_aad(own))
            application = rules.application_of(domain)
            yield own, domain, blind, sealed, mpi_of(number), application, HOSPITAL, now
