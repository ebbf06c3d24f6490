"""Many at once, neighbours in one batch, a crash in the middle: one person each, and nothing half done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
import psycopg
import pytest
from registration_world import Tables, another_number, bare, new_phone, record, someone

from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.errors import NumberInvalid, NumberTaken, PersonDisagrees, RegistrationOverlapped
from yimatong.empi.linkage import candidates
from yimatong.empi.registration import service, statements
from yimatong.empi.registration.schemas import PersonToRegister
from yimatong.empi.registration.service import Provider, Registered, checked
from yimatong.kit.db import Answers, Database, RawConnection
from yimatong.kit.errors import PlatformError
from yimatong.kit.settings import Settings
from yimatong_sdk import Client

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
SEALER, BLINDER = Sealer({1: b"\x11" * 16}, 1), Blinder(b"\x22" * 32)
H1 = Provider(caller_id="his-1", institution_id="inst-h1", refuses=False)
APP = Provider(caller_id="app-1", institution_id=None, refuses=True)


def made(body: dict[str, Any], provider: Provider = H1) -> service.Record:
    return checked(msgspec.convert(body, PersonToRegister), provider, now=NOW)


@pytest.fixture
async def register(database: Database) -> AsyncIterator[Callable[..., Any]]:
    """Register bodies (or records) in one transaction, as a gateway does."""

    async def work(connection: RawConnection, items: Sequence[Any]) -> Answers[Any]:
        (records,) = items
        done = await service.register_many(connection, records, sealer=SEALER, blinder=BLINDER, now=NOW)

        async def answers() -> Sequence[Any]:
            return [done]

        return answers

    batch = database.batch(work, items_max=1, lanes=16)

    async def run(*bodies: Any) -> list[Registered | PlatformError]:
        records = [made(each) if isinstance(each, dict) else each for each in bodies]
        answer: list[Registered | PlatformError] = await batch.submit(records)
        return answer

    yield run
    await batch.close()


@pytest.mark.parametrize("certified", [True, False])
async def test_sixteen_transactions_at_once_make_one_person(
    register: Callable[..., Any], database_url: str, *, certified: bool
) -> None:
    resident = someone() if certified else bare()
    done = [one for (one,) in await asyncio.gather(*(register(record(resident)) for _ in range(16)))]
    assert len({one.mpi for one in done}) == 1
    assert sorted(one.outcome for one in done) == ["created", *["linked"] * 15]
    tables = Tables(database_url)
    assert tables.count("empi_contribution", "mpi = %s AND current", done[0].mpi) == 16
    assert tables.count("empi_identifier", "mpi = %s AND state = 'active'", done[0].mpi) == 16


async def test_sixteen_at_once_under_one_number_are_one_record(register: Callable[..., Any], database_url: str) -> None:
    resident, number = bare(), "ONE-NUMBER"
    done = [
        one
        for (one,) in await asyncio.gather(
            *(register(record({**resident, "phone": new_phone()}, number=number)) for _ in range(16))
        )
    ]
    assert len({one.mpi for one in done}) == 1
    tables = Tables(database_url)
    assert tables.count("empi_contribution", "mpi = %s", done[0].mpi) == 16
    assert tables.count("empi_contribution", "mpi = %s AND current", done[0].mpi) == 1


@pytest.mark.parametrize("certified", [True, False])
def test_sixteen_callers_over_http_make_one_person(
    client: Callable[[str], Client], settings: Settings, *, certified: bool
) -> None:
    resident = someone() if certified else bare()
    callers = ("his-1", "his-2")
    tables = Tables(settings.database_url)
    before = tables.count("empi_person")

    def one(index: int) -> Any:
        his = callers[index % 2]
        return client(his).call("POST", "/api/v1/persons", record(resident, owner=f"inst-h{index % 2 + 1}"))

    for his in callers:
        client(his)
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(one, range(16)))
    assert tables.count("empi_person") == before + 1
    assert {each["outcome"] for each in done} == {"created", "linked"}


async def test_neighbours_of_one_batch_see_one_another(register: Callable[..., Any]) -> None:
    resident, stranger = someone(), someone()
    same = {key: value for key, value in resident.items() if key not in ("id_type", "id_number")}
    done = await register(
        record(resident), record(stranger), record(resident), record(same), record(resident, number="AGAIN"),
        record({**resident, "marital": "20"}, number="AGAIN"),
    )  # fmt: skip
    assert [each.outcome for each in done] == ["created", "created", "linked", "linked", "linked", "updated"]
    assert len({each.mpi for each in done}) == 2


async def test_a_refused_neighbour_leaves_nothing_and_fails_nobody(
    register: Callable[..., Any], database_url: str
) -> None:
    resident, other = someone(), someone()
    bad_number = record(someone())
    bad_number["source"]["number"] = "\x7f"
    app_record = made(record({**resident, "name": "另有其人"}, owner="app-1"), APP)
    done = await register(record(resident), made(bad_number), app_record, record(other))
    assert isinstance(done[1], NumberInvalid)
    assert isinstance(done[2], PersonDisagrees)
    assert [done[0].outcome, done[3].outcome] == ["created", "created"]
    tables = Tables(database_url)
    assert tables.count("empi_certificate", "mpi <> ALL (SELECT mpi FROM empi_person)") == 0, "a claim of nobody"
    assert tables.count("empi_contribution", "provider = 'app-1'") == 0


async def test_an_edited_row_refuses_its_own_record_only(register: Callable[..., Any], database_url: str) -> None:
    resident = someone()
    (first,) = await register(record(resident, number="EDITED"))
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE empi_contribution SET sealed = set_byte(sealed, 40, get_byte(sealed, 40) # 1) WHERE mpi = %s",
            (first.mpi,),
        )
    done = await register(record({**resident, "phone": new_phone()}, number="EDITED"), record(someone()))
    assert isinstance(done[0], PlatformError)
    assert done[1].outcome == "created"


async def test_lookalikes_of_one_round_are_left_for_the_worker(register: Callable[..., Any], database_url: str) -> None:
    resident = someone()
    sister = {**resident, "id_number": another_number(resident), "name": resident["name"][:-1] + "珑"}
    done = await register(record(resident), record(sister))
    tables = Tables(database_url)
    waiting = tables.rows(
        "SELECT mpi FROM empi_person WHERE compared_at IS NULL AND mpi = ANY(%s)", [each.mpi for each in done]
    )
    assert len(waiting) == 1


async def test_a_crash_in_the_middle_leaves_nothing(database_url: str) -> None:
    """The process dies after the last statement and before the commit: everything or nothing, and again is once."""
    resident, tables = someone(), Tables(database_url)
    names = ("empi_person", "empi_contribution", "empi_certificate", "empi_identifier", "empi_block", "empi_change")
    before = {table: tables.count(table) for table in names}
    raw = await psycopg.AsyncConnection.connect(database_url)
    records = [made(record(resident, number="CRASH"))]
    await service.register_many(raw, records, sealer=SEALER, blinder=BLINDER, now=NOW)
    await raw.close()  # no commit: the server rolls back, as it does when the process is killed
    assert {table: tables.count(table) for table in names} == before
    async with await psycopg.AsyncConnection.connect(database_url) as again:
        (done,) = await service.register_many(again, records, sealer=SEALER, blinder=BLINDER, now=NOW)
    assert isinstance(done, Registered)
    assert done.outcome == "created"
    async with await psycopg.AsyncConnection.connect(database_url) as twice:
        (update,) = await service.register_many(twice, records, sealer=SEALER, blinder=BLINDER, now=NOW)
    assert isinstance(update, Registered)
    assert (update.outcome, update.mpi, update.version) == ("updated", done.mpi, 1)


async def test_candidates_are_found_by_keys_whatever_the_statistics(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url) as connection:
        await connection.execute("SET enable_seqscan = off")
        cursor = await connection.execute("EXPLAIN " + candidates.FIND, ("{0,0}", "{1,2}"))
        plan = "\n".join(str(row[0]) for row in await cursor.fetchall())
    assert "Seq Scan" not in plan, plan
    assert "empi_block" in plan


async def test_a_refused_neighbours_claim_goes_to_the_next_record_of_the_certificate(
    register: Callable[..., Any], database_url: str
) -> None:
    """An app's record is refused for its number; the hospital's behind it in the batch has the same certificate."""
    resident = someone()
    taken = {"domain": "card:01", "number": "6100000000000000017"}
    await register(record(someone(), identifiers=[taken]))
    app_record = made(record(resident, owner="app-1", identifiers=[taken]), APP)
    refused, done = await register(app_record, record(resident))
    assert isinstance(refused, NumberTaken)
    assert (done.outcome, done.domain_id) == ("created", "")
    assert Tables(database_url).count("empi_certificate", "mpi = %s AND id_type = '01'", done.mpi) == 1
    (later,) = await register(record(resident))
    assert later.mpi == done.mpi


@pytest.mark.parametrize("move", ["record", "certificate"])
async def test_a_record_that_is_moved_while_it_is_registered_is_not_torn(
    register: Callable[..., Any], database_url: str, monkeypatch: pytest.MonkeyPatch, move: str
) -> None:
    """A steward gives the record (or the certificate) to somebody else between looking her up and holding her."""
    resident = someone()
    (hers,) = await register(record(resident, number="TORN-" + move))
    (other,) = await register(record(someone()))
    held = statements.hold

    async def hold(connection: RawConnection, mpis: Sequence[Any]) -> Any:
        table = {"record": "empi_contribution", "certificate": "empi_certificate"}[move]
        async with await psycopg.AsyncConnection.connect(database_url) as steward:
            await steward.execute(f"UPDATE {table} SET mpi = %s WHERE mpi = %s", (other.mpi, hers.mpi))
        return await held(connection, mpis)

    monkeypatch.setattr(statements, "hold", hold)
    number = "TORN-record" if move == "record" else "TORN-other"
    done, neighbour = await register(record({**resident, "phone": new_phone()}, number=number), record(someone()))
    assert isinstance(done, RegistrationOverlapped)
    assert neighbour.outcome == "created"
