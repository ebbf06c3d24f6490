"""The exchange against the simulated national index on the wire, over the core's database."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from registration_world import Tables, record, someone

from yimatong.apps import parties
from yimatong.apps.assembly import assemble
from yimatong.empi.national import queries, tasks
from yimatong.kit import clock
from yimatong.kit.http import Outbound

ID_CARD = "2.16.156.10011.1.3"
START = clock.now().replace(microsecond=0)
"""The platform's own facts carry the wall clock; what the national index says is later or earlier than that."""


class NationalWorld:
    """Registers residents over HTTP, lets virtual time pass, and runs rounds of the exchange."""

    def __init__(self, settings: Any, world: Any, client: Any, tables: Tables) -> None:
        self.settings, self.world, self.client, self.tables = settings, world, client, tables
        self.now = START

    def register(self, resident: dict[str, Any] | None = None, **more: Any) -> SimpleNamespace:
        body = record(resident or someone(), **more)
        answer = self.client("his-1").call("POST", "/api/v1/persons", body)
        contribution = self.tables.one("SELECT mpi FROM empi_contribution ORDER BY contribution_id DESC LIMIT 1")
        return SimpleNamespace(body=body, mpi=contribution.mpi, answer=answer, resident=body["resident"])

    def say_again(self, who: SimpleNamespace, **changed: Any) -> None:
        body = {**who.body, "resident": {**who.body["resident"], **changed}}
        self.client("his-1").call("POST", "/api/v1/persons", body)
        who.body, who.resident = body, body["resident"]

    def run(self, *, rounds: int = 4, later: timedelta = timedelta(minutes=10)) -> list[int]:
        """Run rounds of the worker's loop, some minutes of virtual time apart."""
        done = []

        async def go() -> None:
            parts = assemble(self.settings)
            quick = Outbound(connect_s=0.5, read_s=1.0)
            exchange = parties.national(parts.db, parts.vault, quick, self.settings)
            assert exchange is not None
            try:
                for _ in range(rounds):
                    done.append(await tasks.run(exchange, now=self.now, sleep=_no_sleep))
                    self.now += later
            finally:
                await quick.close()
                await parts.close()

        in_thread(go)
        return done

    def within(self, work: Callable[[Any], Any]) -> Any:
        """Run something of the exchange's own on its parts."""
        result: list[Any] = []

        async def go() -> None:
            parts = assemble(self.settings)
            exchange = parties.national(parts.db, parts.vault, parts.outbound, self.settings)
            try:
                result.append(await work(exchange))
            finally:
                await parts.close()

        in_thread(go)
        return result[0]

    def progress(self) -> Any:
        async def ask(exchange: Any) -> Any:
            async with exchange.db.read() as connection:
                return await queries.progress(connection, now=self.now)

        return self.within(ask)

    def ref(self, mpi: Any) -> str:
        async def ask(exchange: Any) -> Any:
            return await exchange.vault.mpi_ref("national", mpi.hex)

        return str(self.within(ask))

    def items(self, who: SimpleNamespace) -> list[SimpleNamespace]:
        return self.tables.rows("SELECT * FROM empi_national_item WHERE mpi = %s ORDER BY item_id", who.mpi)

    def there(self, who: SimpleNamespace) -> list[dict[str, Any]]:
        """Return the persons whom the national index knows by our reference."""
        own = self.ref(who.mpi)
        return [
            each
            for each in self.world.control("/control/national/persons")
            if any(ref["extension"] == own for ref in each["refs"]) and not each["merged_into"]
        ]

    def heard(self, who: SimpleNamespace) -> list[dict[str, Any]]:
        own = self.ref(who.mpi)
        return [each for each in self.world.control("/control/national/heard") if own in each["content"]]

    def behave(self, **how: Any) -> None:
        self.world.control("/control/parties/national/behaviour", how)

    def moods(self, **how: Any) -> None:
        self.world.control("/control/national/moods", how)

    def elsewhere(self, who: SimpleNamespace, *, ref: str = "", at: datetime | None = None, **changed: Any) -> Any:
        """Let another province say something of the same resident."""
        said = said_of(who.resident, **changed)
        body = {"ref": ref or f"gs-{who.mpi.hex}", "said": said}
        return self.world.control("/control/national/elsewhere", body | ({"at": at.isoformat()} if at else {}))

    def notice(self, kind: str) -> list[SimpleNamespace]:
        return self.tables.rows("SELECT * FROM empi_national_inbox WHERE kind = %s ORDER BY seq", kind)


async def _no_sleep(_seconds: float) -> None:
    """Pass no time."""


def in_thread(go: Any) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(go())
        except BaseException as error:  # noqa: BLE001 -- handed to the test
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def said_of(resident: dict[str, Any], **changed: Any) -> dict[str, Any]:
    number = resident.get("id_number", "")
    made = {
        "name": resident["name"],
        "sex": resident["sex"],
        "birth": str(resident["birth_date"]).replace("-", ""),
        "certificate": number,
        "certificate_root": ID_CARD if number else "",
        "phone": resident["phone"],
        "address": resident["address"],
    }
    return {**made, **changed}


@pytest.fixture(scope="module")
def national(settings: Any, world: Any, client: Any, core_url: str) -> NationalWorld:
    return NationalWorld(settings, world, client, Tables(settings.database_url))


@pytest.fixture(autouse=True)
def _calm(national: NationalWorld) -> Iterator[None]:
    """Each test begins with nothing due and ends with a well-behaved national index."""
    national.run(rounds=8)
    yield
    national.behave()
    national.moods()
