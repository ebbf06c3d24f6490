"""Cross indexes (PIX): numbers entered, kept, ended, moved and resolved, and what never happens to them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pix
import pytest
from pix import BLINDER, NOW, SEALER, codes, enter, identity_number, merge, person
from sqlalchemy import select, text, update

from yimatong.crypto.errors import SealBroken
from yimatong.empi.identifiers import queries, rules, service, statements
from yimatong.empi.identifiers.queries import Asked, Found
from yimatong.empi.identifiers.service import EndedNumber
from yimatong.empi.models import certificate, identifier, identifier_domain
from yimatong.empi.models import person as person_table
from yimatong.kit.db import Connection, Database, raw

VISIT = "visit-card:inst-h1:01"
SOURCE = "source:inst-h1"
SOCIAL = "card:02"


async def resolve(connection: Connection, domain: str, number: str, *targets: str) -> Found | str:
    found = (
        await queries.resolve(
            await raw(connection), [Asked(domain, number, targets)], sealer=SEALER, blinder=BLINDER, now=NOW
        )
    )[0]
    return found if isinstance(found, Found) else found.code


async def pairs(connection: Connection, domain: str, number: str, *targets: str) -> set[tuple[str, str]]:
    found = await resolve(connection, domain, number, *targets)
    assert isinstance(found, Found), found
    return {(each.domain, each.number) for each in found.numbers}


async def test_a_number_of_one_domain_finds_her_numbers_in_others(connection: Connection) -> None:
    own = identity_number()
    mpi = await person(connection, number=own)
    assert (
        await codes(connection, (VISIT, "A001", mpi), (SOURCE, "p/17", mpi), (SOCIAL, "A1234-5678", mpi)) == ["new"] * 3
    )
    everything = {("certificate:01", own), (VISIT, "A001"), (SOURCE, "P/17"), (SOCIAL, "A12345678")}
    for domain, number in everything:
        assert await pairs(connection, domain, number) == everything - {(domain, number)}
    assert await pairs(connection, VISIT, " a001 ", SOCIAL) == {(SOCIAL, "A12345678")}
    assert await pairs(connection, SOCIAL, "a1234-5678", VISIT, "certificate:01") == {
        (VISIT, "A001"),
        ("certificate:01", own),
    }


async def test_a_taken_number_is_told_and_never_stolen(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    assert await codes(connection, (VISIT, "1", first)) == ["new"]
    assert await codes(connection, (VISIT, "1", second), (VISIT, "2", second)) == ["EMP-2005", "new"]
    assert await codes(connection, (VISIT, "1", first)) == ["known"]
    found = await resolve(connection, VISIT, "1")
    assert isinstance(found, Found)
    assert found.mpi == first


async def test_the_same_number_twice_in_one_call(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    assert await codes(connection, (VISIT, "1", first), (VISIT, "1", second), (VISIT, "１", first)) == [
        "new",
        "EMP-2005",
        "known",
    ]
    bad = ("certificate:01", "610102198002030000", first)
    assert await codes(connection, bad, bad) == ["STD-1002", "STD-1002"]


async def test_an_ended_number_keeps_its_history_and_is_given_out_again(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    inside = await raw(connection)
    await enter(connection, (VISIT, "7", first), (SOURCE, "7", first))
    ended = await service.end(
        inside,
        [EndedNumber(VISIT, "7", "lost"), EndedNumber(SOURCE, "7", "wrong", first), EndedNumber(VISIT, "8", "lost")],
        blinder=BLINDER,
        provider="his-1",
        now=NOW + timedelta(days=1),
    )
    assert ended[:2] == [first, first]
    assert getattr(ended[2], "code", "") == "EMP-2007"
    assert await resolve(connection, VISIT, "7") == "EMP-2007"
    later = NOW + timedelta(days=2)
    assert await codes(connection, (VISIT, "7", second), (SOURCE, "7", second), now=later) == ["new", "EMP-2013"]
    assert await codes(connection, (SOURCE, "7", first), now=later) == ["new"]
    told = await queries.history(inside, VISIT, "7", blinder=BLINDER)
    assert [(each.mpi, each.state, each.ended_reason) for each in told] == [
        (first, "ended", "lost"),
        (second, "active", None),
    ]
    assert told[0].ended_at == NOW + timedelta(days=1)


async def test_nobody_ends_the_number_of_another_person(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    await enter(connection, (VISIT, "9", first))
    ended = await service.end(
        await raw(connection), [EndedNumber(VISIT, "9", "wrong", second)], blinder=BLINDER, provider="x", now=NOW
    )
    assert getattr(ended[0], "code", "") == "EMP-2007"
    assert isinstance(await resolve(connection, VISIT, "9"), Found)


async def test_merged_persons_resolve_to_one_and_unmerged_ones_to_two(connection: Connection) -> None:
    first, second = await person(connection), await person(connection, id_type="03", number="E12345678")
    await enter(connection, (VISIT, "1", first), (SOURCE, "2", second))
    await merge(connection, second, first)
    for domain, number in ((VISIT, "1"), (SOURCE, "2"), ("certificate:03", "e12345678")):
        found = await resolve(connection, domain, number)
        assert isinstance(found, Found)
        assert found.mpi == first
        numbers = {(each.domain, each.number) for each in found.numbers}
        assert len(numbers) == len(found.numbers) == 3, "each number once"
        assert numbers | {(domain, number.upper())} >= {(VISIT, "1"), (SOURCE, "2"), ("certificate:03", "E12345678")}
    assert await codes(connection, (VISIT, "1", second)) == ["known"], "she is the same person now"
    await connection.execute(
        update(person_table).where(person_table.c.mpi == second).values(state="live", current_mpi=None)
    )
    assert {each for each, _ in await pairs(connection, VISIT, "1")} == {"certificate:01"}
    assert await pairs(connection, SOURCE, "2") == {("certificate:03", "E12345678")}
    assert await codes(connection, (VISIT, "1", second)) == ["EMP-2005"]


async def test_a_registered_certificate_is_an_identifier_without_a_row(connection: Connection) -> None:
    own = identity_number()
    mpi = await person(connection, number=own)
    assert (await connection.execute(select(identifier).where(identifier.c.mpi == mpi))).first() is None
    found = await resolve(connection, "certificate:01", own)
    assert isinstance(found, Found)
    assert found.mpi == mpi
    assert await codes(connection, ("certificate:01", own, await person(connection))) == ["EMP-2005"]


async def test_a_certificate_entered_as_a_cross_index_is_a_claim(connection: Connection) -> None:
    mpi, other = await person(connection), await person(connection)
    assert await codes(connection, ("certificate:03", "e 1234 5678", mpi)) == ["new"]
    blind = BLINDER.id_blind("03", "E12345678")
    claim = await connection.execute(select(certificate.c.mpi).where(certificate.c.id_blind == blind))
    assert claim.scalar_one() == mpi
    assert await codes(connection, ("certificate:03", "E12345678", other)) == ["EMP-2005"]
    assert ("certificate:03", "E12345678") in await pairs(
        connection, "certificate:01", await _number_of(connection, mpi)
    )
    ended = await service.end(
        await raw(connection),
        [EndedNumber("certificate:03", "E12345678", "wrong")],
        blinder=BLINDER,
        provider="x",
        now=NOW,
    )
    assert getattr(ended[0], "code", "") == "EMP-2012"


async def _number_of(connection: Connection, mpi: UUID) -> str:
    return str.__str__((await pix.persons.read(connection, SEALER, mpi)).id_number)


async def test_fifteen_and_eighteen_digits_are_one_number(connection: Connection) -> None:
    own = identity_number()
    mpi = await person(connection, number=own)
    short = own[:6] + own[8:17]
    found = await resolve(connection, "certificate:01", short)
    assert isinstance(found, Found)
    assert found.mpi == mpi
    assert found.numbers == ()


async def test_one_number_for_each_person(connection: Connection) -> None:
    mpi, other = await person(connection), await person(connection)
    first, second = ("health-record", "1" * 17), ("health-record", "2" * 17)
    assert await codes(connection, (*first, mpi), (*second, mpi)) == ["new", "EMP-2006"]
    assert await codes(connection, (*second, mpi), (*second, other), (*second, mpi)) == ["EMP-2006", "new", "EMP-2005"]
    assert await codes(connection, ("certificate:01", identity_number(), mpi)) == ["EMP-2006"]


async def test_an_identity_number_of_somebody_else_is_refused(connection: Connection) -> None:
    mpi = await person(connection, id_type="03", number="E87654321", sex="2")
    assert await codes(connection, ("certificate:01", identity_number(sex="1"), mpi)) == ["EMP-1003"]
    born = identity_number().replace("19800203", "19810203", 1)
    wrong = born[:17] + pix.id_number.check_digit(born[:17])
    assert await codes(connection, ("certificate:01", wrong, mpi)) == ["EMP-1002"]
    assert await codes(connection, ("certificate:01", identity_number(), mpi)) == ["new"]


async def test_a_suspended_domain_neither_takes_nor_gives(connection: Connection) -> None:
    mpi = await person(connection)
    await enter(connection, (VISIT, "1", mpi), (SOCIAL, "A12345678", mpi))
    stored = {"code": VISIT, "kind": "visit_card", "name_zh": "卡", "name_en": "card", "institution_id": "inst-h1"}
    await connection.execute(
        identifier_domain.insert().values(**stored, state="suspended", version=2, created_at=NOW, changed_at=NOW)
    )
    assert await codes(connection, (VISIT, "2", mpi)) == ["EMP-2002"]
    assert await resolve(connection, VISIT, "1") == "EMP-2002"
    assert await resolve(connection, SOCIAL, "A12345678", VISIT) == "EMP-2002"
    assert {domain for domain, _ in await pairs(connection, SOCIAL, "A12345678")} == {"certificate:01"}


async def test_a_number_past_its_validity_is_free_again(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    await connection.execute(
        identifier_domain.insert().values(
            code="temporary:1",
            kind="card",
            name_zh="临时卡",
            name_en="temporary card",
            valid_days=3,
            reusable=True,
            created_at=NOW,
            changed_at=NOW,
        )
    )
    assert await codes(connection, ("temporary:1", "1", first), now=NOW - timedelta(days=4)) == ["new"]
    assert await resolve(connection, "temporary:1", "1") == "EMP-2007"
    assert await codes(connection, ("temporary:1", "1", second)) == ["new"]
    told = await queries.history(await raw(connection), "temporary:1", "1", blinder=BLINDER)
    assert [(each.mpi, each.ended_reason) for each in told] == [(first, "expired"), (second, None)]


async def test_relinked_numbers_follow_their_record(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    await enter(connection, (SOURCE, "55", first))
    inside = await raw(connection)
    place = SOURCE, BLINDER.number_blind(SOURCE, "55")
    done = await service.relink(inside, [place], mpi=second, sealer=SEALER, blinder=BLINDER, now=NOW)
    assert [each.fresh for each in done] == [True]  # type: ignore[union-attr]
    found = await resolve(connection, SOURCE, "55")
    assert isinstance(found, Found)
    assert found.mpi == second
    assert await service.relink(inside, [place], mpi=second, sealer=SEALER, blinder=BLINDER, now=NOW) == []
    told = await queries.history(inside, SOURCE, "55", blinder=BLINDER)
    assert [(each.mpi, each.ended_reason) for each in told] == [(first, "relinked"), (second, None)]


async def test_a_cancelled_person_loses_her_numbers_and_gets_them_back(connection: Connection) -> None:
    first, second = await person(connection), await person(connection)
    await enter(connection, (VISIT, "1", first), (VISIT, "2", first))
    inside = await raw(connection)
    assert await service.end_of_persons(inside, [first], now=NOW) == 2
    assert await resolve(connection, VISIT, "1") == "EMP-2007"
    await enter(connection, (VISIT, "2", second))
    await service.restore_of_persons(inside, [first], sealer=SEALER, blinder=BLINDER, now=NOW)
    found = [await resolve(connection, VISIT, number) for number in "12"]
    assert [each.mpi for each in found if isinstance(each, Found)] == [first, second]


async def test_unknown_domains_and_bad_numbers(connection: Connection) -> None:
    mpi = await person(connection)
    asked = [
        ("visit-card:inst-h1", "1", mpi),
        ("certificate:77", "1234", mpi),
        ("certificate:98", "D20260506123456789012", mpi),
        ("certificate:01", "123", mpi),
        ("certificate:06", "H1234567", mpi),
        (VISIT, "", mpi),
        (VISIT, "a\nb\x00", mpi),
        (VISIT, "1" * 65, mpi),
        ("region:000000", "1", mpi),
        ("card:\x0002", "1", mpi),
        ("card:electronic", "Z" * 64, mpi),
    ]
    assert await codes(connection, *asked) == [
        "EMP-2001",
        "EMP-2001",
        "EMP-2003",
        "STD-1001",
        "EMP-2003",
        "EMP-2003",
        "EMP-2003",
        "EMP-2003",
        "EMP-2001",
        "EMP-2001",
        "EMP-2003",
    ]
    assert await resolve(connection, "card:\x0002", "1") == "EMP-2001"
    assert await resolve(connection, "card:02", "1", "card:\x0002") == "EMP-2001"
    assert await resolve(connection, "nonsense", "1") == "EMP-2001"
    assert await resolve(connection, VISIT, "1", "nonsense") == "EMP-2001"
    assert await resolve(connection, VISIT, "no such") == "EMP-2007"


async def test_a_moved_number_does_not_open_in_another_row(connection: Connection) -> None:
    mpi = await person(connection)
    await enter(connection, (VISIT, "1", mpi), (VISIT, "2", mpi))
    swap = """
        UPDATE empi_identifier a SET number_sealed = b.number_sealed FROM empi_identifier b
        WHERE a.mpi = b.mpi AND a.relation_id <> b.relation_id AND a.mpi = :mpi
    """
    await connection.execute(text(swap).bindparams(mpi=mpi))
    assert await resolve(connection, VISIT, "1") == SealBroken.code


async def test_sixteen_at_once_enter_one_number_for_one_person(database: Database) -> None:
    async with database.transaction() as connection:
        everybody = [await person(connection) for _ in range(16)]
    number = uuid4().hex

    async def one(mpi: UUID) -> str:
        async with database.transaction() as connection:
            return (await codes(connection, (VISIT, number, mpi)))[0]

    outcomes = await asyncio.gather(*(one(mpi) for mpi in everybody))
    assert sorted(outcomes) == ["EMP-2005"] * 15 + ["new"]


@pytest.mark.parametrize("code", ["certificate:01", VISIT])
async def test_the_query_uses_the_keys(connection: Connection, code: str) -> None:
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    inside = await raw(connection)
    plan = await (
        await inside.execute(
            "EXPLAIN " + statements.RESOLVE,
            ("{0}", f'{{"{code}"}}', '{"\\\\x00"}', f'{{"{rules.claimed_type(code)}"}}'),
        )
    ).fetchall()
    said = "\n".join(str(row[0]) for row in plan)
    assert "Seq Scan" not in said, said
