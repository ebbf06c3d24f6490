"""Notices settled together leave what each would have left alone; whatever is not plain is left to be settled alone."""

from __future__ import annotations

import asyncio
import re

import msgspec
import pytest
from sqlalchemy import text

from yimatong.kit import clock
from yimatong.payments import asking, settlement
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Notice, PaymentStatus, Scene
from yimatong.payments.notices.sharing import Word, may_be_shared, settle

NATIVE = NewAttempt(channel="wechat", scene=Scene.NATIVE)
H5 = NewAttempt(channel="wechat", scene=Scene.H5, client_ip="203.0.113.7")
TABLES = {
    "payments_order": "order_no",
    "payments_attempt": "attempt_no",
    "payments_event": "kind, id",
    "payments_ledger_transaction": "movement",
    "payments_ledger_entry": "movement, line",
}
OWN = re.compile(r"P\d{20}|4\d{27}|\d{4}-\d\d-\d\dT[0-9:.+Z]+")


@pytest.fixture
def batch(desk):
    return desk.db.batch(settle, lanes=1)


@pytest.fixture
def pay(desk, place, account, said, batch):
    """Start an order's payment and return the word that it was paid."""

    async def make(new: NewAttempt = NATIVE, **change: object) -> Word:
        order_no = await place()
        number = (await cashier.start_attempt(desk, order_no, new, now=clock.now())).attempt_no
        told = Notice(notice_id=f"n-{number}", payment=said(number, **change))
        return Word(account=await account(), told=told, found=told.payment, now=clock.now())

    return make


async def left(desk, word: Word) -> list[object]:
    """Everything that our books say of an order, without what is its own: numbers, moments, texts drawn at random."""
    order_no = word.found.attempt_no[:21]
    found: list[object] = []
    async with desk.db.read() as connection:
        for table, by in TABLES.items():
            shown = f"to_jsonb({table}) - 'id' - 'source_id' - 'action'"
            words = f"SELECT {shown} FROM {table} WHERE order_no = :o ORDER BY {by}"
            rows = await connection.execute(text(words), {"o": order_no})
            found.append([row[0] for row in rows])
        rows = await connection.execute(
            text(
                "SELECT topic, ordering_key, payload - 'source_id', state FROM kit_outbox "
                "WHERE payload->>'order_no' = :o ORDER BY topic"
            ),
            {"o": order_no},
        )
        found.append([list(row) for row in rows])
    return msgspec.json.decode(OWN.sub("~", msgspec.json.encode(found).decode()))


async def test_together_and_alone_leave_the_same(desk, pay, batch) -> None:
    alone, *others = [await pay() for _ in range(5)]
    await settlement.settle_notice(desk.db, alone.account, alone.told, now=alone.now)
    assert await asyncio.gather(*map(batch.submit, others)) == [True] * 4
    expected = await left(desk, alone)
    assert [order["state"] for order in expected[0]] == ["paid"]
    assert [len(each) for each in expected] == [1, 1, 5, 1, 2, 2]
    for word in others:
        assert await left(desk, word) == expected


async def test_the_same_notice_counts_once(desk, pay, batch) -> None:
    word, other = await pay(), await pay()
    first = await asyncio.gather(*map(batch.submit, [word, other, msgspec.structs.replace(word)]))
    assert sorted(first) == [False, True, True]
    assert await batch.submit(word) is False
    await settlement.settle_notice(desk.db, word.account, word.told, now=clock.now())
    assert [len(each) for each in await left(desk, word)] == [1, 1, 5, 1, 2, 2]


@pytest.mark.parametrize(
    "change", [{"amount_fen": 1233}, {"merchant_id": "1900000110"}, {"app_id": "wx0000000000000000"}]
)
async def test_words_that_do_not_fit_are_left_alone(desk, pay, batch, change) -> None:
    wrong, right = await pay(**change), await pay()
    before = await left(desk, wrong)
    assert await asyncio.gather(*map(batch.submit, [wrong, right])) == [False, True]
    assert await left(desk, wrong) == before


async def test_money_that_is_not_wanted_any_more_is_left_alone(desk, pay, batch) -> None:
    closed, paid = await pay(), await pay(H5)
    await asking.close_order(desk, closed.found.attempt_no[:21], now=clock.now())
    second = await cashier.start_attempt(desk, paid.found.attempt_no[:21], NATIVE, now=clock.now())
    assert await batch.submit(paid) is True
    found = msgspec.structs.replace(paid.found, attempt_no=second.attempt_no)
    again = msgspec.structs.replace(paid, told=Notice(notice_id="n-second", payment=found), found=found)
    assert await asyncio.gather(*map(batch.submit, [closed, again])) == [False, False]


async def test_both_ways_at_once_end_the_same(desk, pay, batch) -> None:
    words = [await pay() for _ in range(6)]

    async def alone(word: Word) -> None:
        await settlement.settle_notice(desk.db, word.account, word.told, now=clock.now())

    await asyncio.gather(*(task for word in words for task in (alone(word), batch.submit(word), alone(word))))
    for word in words:
        assert [len(each) for each in await left(desk, word)] == [1, 1, 5, 1, 2, 2]


async def test_only_payments_of_attempts_are_shared(pay) -> None:
    word = await pay()
    assert may_be_shared(word.told)
    for change in ({"status": PaymentStatus.CLOSED}, {"attempt_no": "P" + "0" * 20 + "L01"}, {"attempt_no": "x"}):
        found = msgspec.structs.replace(word.found, **change)
        assert not may_be_shared(Notice(notice_id="n", payment=found))
    assert not may_be_shared(Notice(notice_id="n"))
