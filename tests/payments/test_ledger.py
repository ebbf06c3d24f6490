"""The ledger balances by construction, by one function and by the database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from yimatong.kit import clock
from yimatong.payments import ledger
from yimatong.payments.errors import LedgerUnbalanced
from yimatong.payments.ledger import Entry, Posting

amounts = st.integers(1, 10**12)


@given(amounts, st.sampled_from([True, False]))
def test_every_posting_adds_up_to_zero(amount_fen, late) -> None:
    of = {"institution_id": "h", "amount_fen": amount_fen}
    postings = [
        ledger.payment_arrived(attempt_no="A", shares={"wechat": amount_fen}, institution_id="h", late=late),
        ledger.refund_asked(refund_no="R", late=late, **of),
        ledger.refund_arrived(refund_no="R", channel="wechat", **of),
        ledger.refund_dropped(refund_no="R", late=late, **of),
    ]
    for posting in postings:
        assert sum(entry.amount_fen for entry in posting.entries) == 0
    accounts: dict[str, int] = {}
    for posting in postings[:3]:
        for entry in posting.entries:
            accounts[entry.account] = accounts.get(entry.account, 0) + entry.amount_fen
    assert set(accounts.values()) == {0}, "paid and returned leaves nothing anywhere"


@given(amounts, amounts, st.sampled_from([True, False]))
def test_money_of_two_payers_is_owed_by_each(own_fen, insured_fen, late) -> None:
    shares = {"wechat": own_fen, "insurance": insured_fen}
    posting = ledger.payment_arrived(attempt_no="W", shares=shares, institution_id="h", late=late)
    owed = {entry.account: entry.amount_fen for entry in posting.entries if entry.amount_fen > 0}
    assert owed == {"channel:wechat:h": own_fen, "channel:insurance:h": insured_fen}
    assert sum(entry.amount_fen for entry in posting.entries) == 0


ONE_SIDED = (Entry(account="a", amount_fen=5),)
UNEQUAL = (*ONE_SIDED, Entry(account="b", amount_fen=-4))


@pytest.mark.parametrize("entries", [(), ONE_SIDED, UNEQUAL])
async def test_an_unbalanced_posting_is_refused(desk, place, entries) -> None:
    order_no = await place()
    with pytest.raises(LedgerUnbalanced):
        async with desk.db.transaction() as connection:
            await ledger.post(connection, order_no, Posting(movement="m", entries=entries), now=clock.now())


async def test_the_database_refuses_what_the_code_would_let_through(desk, place) -> None:
    order_no = await place()
    good = ledger.transfer("m", debit="a", credit="b", amount_fen=7)
    one_more = "INSERT INTO payments_ledger_entry VALUES (:o, 'm', 3, 'c', 1, now())"
    lone = "INSERT INTO payments_ledger_transaction VALUES (:o, 'lone', now())"

    async def run(*statements: str, posting: Posting | None = None) -> None:
        async with desk.db.transaction() as connection:
            if posting is not None:
                await ledger.post(connection, order_no, posting, now=clock.now())
            for statement in statements:
                await connection.execute(text(statement), {"o": order_no} if ":o" in statement else {})

    with pytest.raises(IntegrityError, match="does not balance"):
        await run(one_more, posting=good)
    with pytest.raises(IntegrityError, match="does not balance"):
        await run(lone)
    await run(posting=good)
    with pytest.raises(IntegrityError, match="duplicate key"):
        await run(posting=good)
    for change in ("UPDATE payments_ledger_entry SET amount_fen = 8", "DELETE FROM payments_event"):
        with pytest.raises(IntegrityError, match="only ever inserted"):
            await run(change)
