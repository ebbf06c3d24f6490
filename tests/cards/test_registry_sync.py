"""Registry and accounts stay one: late and repeated messages, a worker that is down or killed, ``ymt verify cards``."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from registry_world import Office, new_number, office  # noqa: F401 -- a fixture
from rich.console import Console

from yimatong.cli import verify as cli
from yimatong.kit.settings import Settings


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def environment(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("settings") / "settings.toml"
    names = ("data", "database_url", "keystore", "keystore_passphrase", "web_session_key")
    path.write_text("".join(f'{name} = "{getattr(settings, name)}"\n' for name in names))
    return dict(os.environ) | {"YMT_SETTINGS": str(path), "COLUMNS": "120"}


@pytest.fixture(scope="module")
def command(environment: dict[str, str]) -> Callable[..., SimpleNamespace]:
    """``ymt verify cards`` in a process of its own, as an operator runs it."""

    def run(*options: str) -> SimpleNamespace:
        done = subprocess.run(
            [sys.executable, "-m", "yimatong.cli.main", "verify", "cards", *options],
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        figure = re.search(
            r"^figure: verify-cards accounts=(\d+) cards=(\d+) diverged=(\d+) repaired=(\d+) seconds=[\d.]+$",
            done.stdout,
            re.MULTILINE,
        )
        assert figure, done.stdout + done.stderr
        accounts, cards, diverged, repaired = map(int, figure.groups())
        return SimpleNamespace(
            status=done.returncode,
            text=done.stdout,
            accounts=accounts,
            cards=cards,
            diverged=diverged,
            repaired=repaired,
        )

    return run


@pytest.fixture(scope="module")
def verify(settings: Settings, run_async: Callable[..., Any]) -> Callable[..., SimpleNamespace]:
    """What the command does, in this process: a process a question would cost more than all the questions."""

    def run(*options: str) -> SimpleNamespace:
        mend = "--repair" in options
        result = run_async(cli._run(settings, mend=mend))
        printed = io.StringIO()
        cli.show(result, Console(width=120, file=printed), repaired=mend)
        return SimpleNamespace(
            status=1 if result.left else 0,
            text=printed.getvalue(),
            accounts=result.accounts,
            cards=result.cards,
            diverged=len(result.found),
            repaired=max(len(result.found) - len(result.left), 0) if mend else 0,
        )

    return run


@pytest.fixture
def worker(environment: dict[str, str]) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "yimatong.cli.main", "serve", "worker"]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def _waiting(database: psycopg.Connection[Any]) -> int:
    row = database.execute(
        "SELECT count(*) FROM kit_outbox WHERE state = 'pending' AND topic LIKE 'cards.%'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _until(true: Callable[[], bool], *, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def test_worker_down_then_up_and_killed_in_between(  # noqa: PLR0917 -- fixtures come by name
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    verify: Callable[..., SimpleNamespace],
    command: Callable[..., SimpleNamespace],
    worker: Callable[[], subprocess.Popen[bytes]],
    database: psycopg.Connection[Any],
) -> None:
    """Nothing is delivered while no worker runs; one is killed in the middle; the next one finishes what it claimed."""
    cards = [office.issue(new_resident(), with_account=True) for _ in range(25)]
    office.change(cards[0], "lost")
    assert _waiting(database) >= 25
    down = command()
    assert (down.status, down.diverged, down.accounts >= 25) == (0, 0, True)
    first = worker()
    _until(lambda: database.execute("SELECT 1 FROM cards_account_card LIMIT 1").fetchone() is not None)
    first.send_signal(signal.SIGKILL)
    first.wait()
    office.change(cards[1], "lost")
    killed = verify()
    assert (killed.status, killed.diverged) == (0, 0)
    database.execute("UPDATE kit_outbox SET next_at = now() WHERE state = 'pending'")  # the lease of a minute is over
    worker()
    _until(lambda: _waiting(database) == 0)
    after = verify()
    assert (after.status, after.diverged) == (0, 0)
    states = dict(database.execute("SELECT card_id, state FROM cards_account_card").fetchall())
    assert {states[card["card_id"]] for card in cards[:2]} == {"lost"}
    assert {states[card["card_id"]] for card in cards[2:]} == {"issued"}


def test_late_and_repeated_messages_change_nothing(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    database: psycopg.Connection[Any],
) -> None:
    card = office.issue(resident, with_account=True)
    office.his.call("POST", f"/api/v1/accounts/{card['vuid']}/state", {"state": "frozen"})
    office.deliver()
    office.change(card, "lost")
    office.deliver()

    def sides() -> list[Any]:
        return database.execute(
            "SELECT r.account_state, r.account_version, c.state, a.state, a.version FROM cards_registry_resident r"
            " JOIN cards_physical_card c USING (id_type, id_blind) JOIN cards_account_card a USING (card_id)"
            " WHERE c.card_id = %s",
            [card["card_id"]],
        ).fetchall()

    before = sides()
    assert [(row[0], row[2], row[3]) for row in before] == [("frozen", "lost", "lost")]
    for order in ("ASC", "DESC"):
        database.execute("UPDATE kit_outbox SET state = 'pending', ordering_key = id::text, next_at = now()")
        ids = database.execute(f"SELECT id FROM kit_outbox ORDER BY id {order}").fetchall()
        for (one,) in ids[-20:]:
            database.execute("UPDATE kit_outbox SET next_at = 'infinity' WHERE id <> %s", [one])
            database.execute("UPDATE kit_outbox SET next_at = now() WHERE id = %s", [one])
            office.deliver()
        assert sides() == before
        database.execute("UPDATE kit_outbox SET state = 'delivered'")


_OTHER = "(SELECT vuid FROM cards_account WHERE state <> 'alias' AND vuid <> x.vuid ORDER BY vuid LIMIT 1)"
_INDEXED = (
    "INSERT INTO empi_medium (medium_id, kind, number_blind, number_sealed, status, issuer, since, changed_at)"
    " SELECT 'pcd_' || repeat('{0}', 32), kind, number_blind, number_sealed, status, issuer, since, changed_at"
    " FROM empi_medium WHERE medium_id = %(card)s"
)
PLANTS = {
    "account_unknown": "DELETE FROM cards_registry_resident WHERE vuid = %(vuid)s",
    "entry_account": f"UPDATE cards_registry_resident x SET vuid = {_OTHER} WHERE vuid = %(vuid)s",
    "entry_state": "UPDATE cards_registry_resident SET account_state = 'frozen' WHERE vuid = %(vuid)s",
    "cancelled_account": "UPDATE cards_account SET state = 'cancelled' WHERE vuid = %(vuid)s",
    "entry_person": "UPDATE cards_registry_resident SET mpi = gen_random_uuid() WHERE vuid = %(vuid)s",
    "entry_of_nobody": "DELETE FROM cards_account WHERE vuid = %(vuid)s",
    "alias_chain": "INSERT INTO cards_account (vuid, generation, mpi, vuid_key_version, state, alias_of, opened_at,"
    " changed_at) SELECT repeat('A', 64), 1, mpi, 1, 'alias', repeat('B', 64), now(), now() FROM cards_account"
    " WHERE vuid = %(vuid)s",
    "card_without_person": "DELETE FROM cards_registry_resident WHERE vuid = %(vuid)s",
    "card_account": f"UPDATE cards_physical_card x SET vuid = {_OTHER} WHERE card_id = %(card)s",
    "link_missing": "DELETE FROM cards_account_card WHERE card_id = %(card)s",
    "link_differs": "UPDATE cards_account_card SET state = 'lost', version = 4000000000 WHERE card_id = %(card)s",
    "link_of_nobody": "INSERT INTO cards_account_card SELECT 'pcd_' || repeat('0', 32), vuid, card_type, number_end,"
    " issuer, state, version, issued_at, heard_at FROM cards_account_card WHERE card_id = %(card)s",
    "index_missing": "DELETE FROM empi_medium WHERE medium_id = %(card)s",
    "index_differs": "UPDATE empi_medium SET status = 'cancelled', version = 4000000000 WHERE medium_id = %(card)s",
    "duplicate_number": f"WITH x AS ({_INDEXED.format('1')}) INSERT INTO cards_physical_card"
    " (card_id, card_type, number_blind, number_end, sealed, issuer,"
    " state, id_type, id_blind, vuid, issued_at, changed_at) SELECT 'pcd_' || repeat('1', 32), card_type,"
    " number_blind, number_end, sealed, issuer, state, id_type, id_blind, vuid, now(), now()"
    " FROM cards_physical_card WHERE card_id = %(card)s",
    "duplicate_chip": f"WITH x AS ({_INDEXED.format('2')}) INSERT INTO cards_physical_card"
    " (card_id, card_type, number_blind, chip_blind, number_end,"
    " sealed, issuer, state, id_type, id_blind, vuid, issued_at, changed_at) SELECT 'pcd_' || repeat('2', 32),"
    " card_type, 'another', chip_blind, number_end, sealed, issuer, state, id_type, id_blind, vuid, now(), now()"
    " FROM cards_physical_card WHERE card_id = %(card)s",
}
"""How each kind of divergence is planted."""


@pytest.fixture
def defenceless(database: psycopg.Connection[Any]) -> Iterator[None]:
    """Without the indexes that forbid duplicates; after the test they can be made again."""
    rows = database.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'uq_cards_physical_card%'"
    ).fetchall()
    assert len(rows) == 2
    for name, _ in rows:
        database.execute(f"DROP INDEX {name}")
    yield
    for _, definition in rows:
        database.execute(definition)


def test_every_kind_is_planted() -> None:
    from yimatong.cards.registry.divergence import KINDS

    assert set(PLANTS) == set(KINDS)


@pytest.mark.usefixtures("defenceless")
def test_every_planted_divergence_is_found_and_mended(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    verify: Callable[..., SimpleNamespace],
    command: Callable[..., SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    from yimatong.cards.registry.divergence import KINDS

    cards = {kind: office.issue(new_resident(), new_number(), new_number("C"), with_account=True) for kind in PLANTS}
    office.deliver()
    assert verify().diverged == 0
    for kind, card in cards.items():
        database.execute(PLANTS[kind].encode(), {"vuid": card["vuid"], "card": card["card_id"]})
    found = verify()
    assert found.status == 1
    assert [kind for kind, (zh, _) in KINDS.items() if zh not in found.text] == []
    assert found.diverged >= len(KINDS)
    mended = command("--repair")
    assert (mended.status, mended.diverged, mended.repaired) == (0, found.diverged, found.diverged), mended.text
    again = verify()
    assert (again.status, again.diverged) == (0, 0), again.text


def test_version_from_the_future_is_forgotten_by_a_repair(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    verify: Callable[..., SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    """After a restored backup one side can hold versions that the other has not reached again."""
    card = office.issue(resident, with_account=True)
    office.deliver()
    where = [card["vuid"]]
    database.execute("UPDATE cards_registry_resident SET account_version = 9e15::bigint WHERE vuid = %s", where)
    office.his.call("POST", f"/api/v1/accounts/{card['vuid']}/state", {"state": "frozen"})
    office.deliver()
    assert verify().diverged == 1
    assert verify("--repair").status == 0
    office.his.call("POST", f"/api/v1/accounts/{card['vuid']}/state", {"state": "active"})
    office.deliver()
    assert verify().diverged == 0


@pytest.mark.usefixtures("defenceless")
def test_what_needs_a_person_stays_and_says_so(
    office: Office,  # noqa: F811
    new_resident: Callable[[], SimpleNamespace],
    verify: Callable[..., SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    """Two holders with one number: no machine can know whose it is."""
    one, two = (office.issue(new_resident()) for _ in range(2))
    kept = database.execute("SELECT number_blind FROM cards_physical_card WHERE card_id = %s", [two["card_id"]])
    blind = kept.fetchall()[0][0]
    database.execute(
        "UPDATE cards_physical_card SET number_blind = (SELECT number_blind FROM cards_physical_card"
        " WHERE card_id = %s) WHERE card_id = %s",
        [one["card_id"], two["card_id"]],
    )
    result = verify("--repair")
    assert (result.status, result.diverged, result.repaired) == (1, 1, 0)
    assert "人工核实" in result.text
    database.execute("UPDATE cards_physical_card SET number_blind = %s WHERE card_id = %s", [blind, two["card_id"]])


def test_parked_message_is_a_divergence(
    office: Office,  # noqa: F811
    resident: SimpleNamespace,
    verify: Callable[..., SimpleNamespace],
    database: psycopg.Connection[Any],
) -> None:
    office.issue(resident, with_account=True)
    assert verify().diverged == 0
    database.execute("UPDATE kit_outbox SET state = 'parked' WHERE state = 'pending'")
    assert verify().diverged >= 1
    assert verify("--repair").status == 0
