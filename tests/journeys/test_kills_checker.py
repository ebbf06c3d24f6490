"""The drill's checker finds what it is there to find: one tale is told, then one fault after the other is planted."""

from __future__ import annotations

import importlib
import random
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

pytestmark = pytest.mark.slow

DRILLS = Path(__file__).parents[2] / "drills"
NOTHING = (Counter(), "")


@pytest.fixture(scope="module")
def drill():
    """The modules of the drill."""
    sys.path.insert(0, str(DRILLS))
    try:
        names = ("books", "faults", "killer", "tellers")
        yield SimpleNamespace(**{name: importlib.import_module(f"_{name}") for name in names})
    finally:
        sys.path.remove(str(DRILLS))


class World:
    """A platform on which one tale was told to its end, and the checker over its books."""

    def __init__(self, drill, platform, told, cast, before):
        self.drill, self.settings, self.told, self.cast, self.before = drill, platform.settings, told, cast, before
        self.clean = self.books()
        self.admin_url = platform.database.admin_url("yimatong")

    def books(self):
        """Read the books when the audit of what was read before is sealed."""
        assert self.drill.books.await_settled(self.settings.database_url, seconds=20) == {}
        return self.drill.books.read(self.settings, self.cast, self.told)

    def judge(self, books, told=None):
        """Count the faults by kind, and tell them."""
        found = self.drill.faults.find(told or self.told, books, before=self.before)
        return Counter(fault.kind for fault in found), "\n".join(fault.text for fault in found)

    def planted(self, statement, *values):
        """Judge with rows changed in a transaction that is rolled back."""
        with psycopg.connect(self.settings.database_url) as connection:
            try:
                assert connection.execute(statement, values).rowcount >= 1
                return self.judge(replace(self.clean, tables=self.drill.books.tables(connection)))
            finally:
                connection.rollback()

    def answer(self, kind):
        return self.told.of(kind)[0].answer


@pytest.fixture(scope="module")
def world(drill):
    with temporary_home("ymt-test-") as home, LocalPlatform(home) as platform:
        settings, told = platform.settings, drill.tellers.Told()
        with psycopg.connect(settings.database_url) as connection:
            before = frozenset(row[0] for row in connection.execute("SELECT vuid FROM cards_account"))
        until = time.monotonic() + 60
        teller = drill.tellers.Teller(settings, told, name="self-test", until=until, enough=threading.Event())
        cast = drill.tellers.WitnessCast(settings, told, until=until)
        teller.tell(cast, "one")
        teller.await_arrivals(cast)
        yield World(drill, platform, told, cast, before)
        cast.close()


def test_a_tale_without_faults_has_none(world):
    assert world.judge(world.clean) == NOTHING
    assert world.drill.faults.acknowledged(world.told) == dict.fromkeys(
        ("account", "code", "verification", "visit", "bill", "payment", "refund", "arrival"), 1
    )


@pytest.mark.parametrize(
    ("table", "kind_and_column"),
    [
        ("cards_account", "account vuid"),
        ("cards_code_record", "code record_id"),
        ("cards_code_record", "verification record_id"),
        ("care_bill", "bill bill_no"),
        ("payments_refund", "refund refund_no"),
    ],
)
def test_a_row_that_vanished_is_lost(world, table, kind_and_column):
    kind, column = kind_and_column.split()
    counts, said = world.planted(f"DELETE FROM {table} WHERE {column} = %s", world.answer(kind)[column])
    assert counts["lost"] >= 1
    assert any(line.startswith(f"{kind} ") and line.endswith("not there") for line in said.splitlines()), said


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE payments_order SET paid_fen = 0, refunded_fen = 0, refund_reserved_fen = 0", "paid_fen is 0"),
        ("UPDATE payments_order SET channel_trade_no = 'another'", "channel_trade_no is 'another'"),
        ("UPDATE payments_order SET late_fen = 1", "the second payment is not back with its payer"),
        ("UPDATE payments_refund SET state = 'processing'", "acknowledged as arrived, is processing"),
        ("UPDATE payments_attempt SET state = 'unknown', landed = NULL", "with 0 effective payments"),
        ("UPDATE care_visit SET doctor = 'another'", "doctor is 'another'"),
        ("UPDATE care_bill SET state = 'unpaid'", "says ['unpaid'"),
        ("UPDATE cards_code_use SET record_id = 'another'", "record_id is 'another'"),
        ("UPDATE kit_outbox SET state = 'parked'", "is parked"),
    ],
)
def test_a_row_that_changed_is_found(world, statement, said):
    assert said in world.planted(statement)[1]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            (
                "INSERT INTO cards_account (vuid, generation, mpi, vuid_key_version, state, opened_at, changed_at) "
                "VALUES (repeat('A', 64), 1, gen_random_uuid(), 1, 'active', now(), now())"
            ),
            "accounts that nobody was told of",
        ),
        (
            (
                "INSERT INTO cards_code_record SELECT vuid, record_id || 'x', at, event, code_kind, purpose, result, "
                "caller_id, institution_id, front_id, request_id FROM cards_code_record WHERE event = 'verified'"
            ),
            "verified 2 times, asked for 1",
        ),
        (
            (
                "INSERT INTO payments_refund (order_no, refund_no, attempt_no, account_id, kind, request_no, "
                "amount_fen, reason, state, requested_by, created_at, updated_at) "
                "SELECT order_no, refund_no || 'x', attempt_no, account_id, kind, request_no || 'x', amount_fen, "
                "reason, state, requested_by, created_at, updated_at FROM payments_refund"
            ),
            "2 refunds, asked for 1",
        ),
        (
            (
                "INSERT INTO kit_outbox (topic, ordering_key, payload, created_at, next_at, state) "
                "SELECT topic, ordering_key, payload, created_at, next_at, state FROM kit_outbox"
            ),
            "payments.order_paid written 2 times",
        ),
        (
            (
                "WITH again AS (INSERT INTO payments_ledger_transaction SELECT order_no, 'paid:again', at "
                "FROM payments_ledger_transaction WHERE movement LIKE 'paid:%%' RETURNING order_no) "
                "INSERT INTO payments_ledger_entry SELECT order_no, 'paid:again', line, account, amount_fen, at "
                "FROM payments_ledger_entry JOIN again USING (order_no) WHERE movement LIKE 'paid:%%'"
            ),
            ": channel ",
        ),
    ],
)
def test_a_row_too_many_is_doubled(world, statement, said):
    counts, told = world.planted(statement)
    assert counts["doubled"] >= 1
    assert said in told


def test_the_hospitals_second_booking_is_doubled_and_a_forgotten_one_lost(world):
    path = f"/control/his/{world.cast.hospital.institution_id}/"
    event = world.clean.booked[0]
    world.cast.control(f"{path}correct", {"invent": [event]})
    counts, said = world.judge(world.books())
    assert counts["doubled"] == 1
    assert "2 times" in said
    rows = [row for row in world.cast.control(f"{path}booked") if row["event"] == event]
    world.cast.control(f"{path}correct", {"forget": [row["idempotency_key"] for row in rows]})
    counts, said = world.judge(world.books())
    assert counts["lost"] == 1
    assert f"the hospital did not book {event['event']}" in said
    world.cast.control(f"{path}correct", {"invent": [event]})


def test_money_that_the_channel_knows_otherwise_is_found(world):
    books = world.clean
    assert world.judge(replace(books, wechat_orders=[]))[0] == {"doubled": 1}
    assert world.judge(replace(books, wechat_refunds=books.wechat_refunds * 2))[0] == {"lost": 1}
    stranger = books.wechat_orders[0] | {"out_trade_no": "P20260101000000000000A01"}
    assert "which we do not know" in world.judge(replace(books, wechat_orders=[*books.wechat_orders, stranger]))[1]


def test_an_account_that_reads_otherwise_is_lost(world):
    books = world.clean
    read = {vuid: view | {"name": "另一人"} for vuid, view in books.accounts_read.items()}
    assert "name reads otherwise" in world.judge(replace(books, accounts_read=read))[1]


def test_answers_that_must_not_be_given_are_wrong(world):
    told = replace(world.told, surprises=["500: GET /"])
    assert world.judge(world.clean, told) == (Counter(wrong=1), "500: GET /")


def test_a_changed_audit_row_is_found(world):
    change = "UPDATE kit_audit_event SET actor = reverse(actor) WHERE id = (SELECT min(id) FROM kit_audit_event)"
    with psycopg.connect(world.admin_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # the table refuses changes by anybody else
        connection.execute(change)
        try:
            assert "the audit chain is broken: seal 1 " in world.judge(world.books())[1]
        finally:
            connection.execute(change)


def test_a_plan_meets_the_quotas_and_follows_its_seed(drill):
    for seed in range(200):
        victims = [name for strike in drill.killer.plan(random.Random(seed), 24) for name in strike.victims]
        assert len(victims) == 24
        assert victims[:20].count("database") >= 3
        assert "backend" in victims[:20]
        assert "sandbox" not in victims
    assert drill.killer.plan(random.Random(7), 24) == drill.killer.plan(random.Random(7), 24)
    assert drill.killer.plan(random.Random(7), 24) != drill.killer.plan(random.Random(8), 24)
    assert len(drill.killer.plan(random.Random(7), 1)) == 1
