"""Bugs planted on purpose, each a mistake that somebody could make: the drill must find every one.

A plant replaces one function of the real services by one with the mistake in it, while a seed runs, or takes a
constraint out of the seed's database. What is written here is wrong on purpose and used nowhere else.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import _payments_world as world
from _payments_chance import ALL_PAIRS, pair_of
from msgspec import structs
from sqlalchemy import Connection, text

from yimatong.kit.errors import PlatformError
from yimatong.payments import asking, history, news, parts, returning, settlement
from yimatong.payments.cashier import service as cashier
from yimatong.payments.channels.base import ChannelPayment, PaymentStatus
from yimatong.payments.errors import ChannelRefused
from yimatong.payments.models import attempt
from yimatong.payments.refunds import queries as refund_queries
from yimatong.payments.refunds import service as refunds
from yimatong.payments.states import ATTEMPT_OPEN

Patch = tuple[Any, str, Callable[..., Any]]
Prepare = Callable[[Connection], list[str]]
"""Changes the schema, and returns the statements that restore it."""


def _nothing(_connection: Connection) -> list[str]:
    """Leave the schema as it is."""
    return []


def _acknowledged_before_commit() -> tuple[list[Patch], Prepare]:
    """The edge answers first and commits after it: a process that dies in between has promised what is not there."""

    async def serve(place: world.World, slot: Any, node: Any, work: Callable[[Any, Any], Awaitable[bytes]]) -> bytes:
        answer = b""
        try:
            async with place.db.transaction() as connection:
                first = await slot.take(connection, now=place.nodes.now(node))
                answer = first[1] if first is not None else await work(connection, node)
                if first is None:
                    await slot.keep(connection, 200, answer)
        except world.UNANSWERED:
            if not answer:
                raise
        return answer

    return [(world, "serve", serve)], _nothing


def _unique_key_missing() -> tuple[list[Patch], Prepare]:
    """The key that allows one open order a source is not there."""

    def prepare(connection: Connection) -> list[str]:
        again = connection.execute(text("SELECT pg_get_indexdef('uq_payments_order_source'::regclass)")).scalar_one()
        connection.execute(text("DROP INDEX uq_payments_order_source"))
        return [again]

    return [], prepare


def _refund_race() -> tuple[list[Patch], Prepare]:
    """What is left is read before the order is locked, and written as it was read."""
    real_earlier, seen = refund_queries.earlier, dict[str, Any]()

    async def earlier(connection: Any, held: Any) -> Any:
        """Return what another request saw shortly before: a read without a lock."""
        found = await real_earlier(connection, held)
        before = seen.get(held.order_no)
        seen[held.order_no] = found
        return found if before is None else before

    def prepare(connection: Connection) -> list[str]:
        seen.clear()
        name, table = "ck_payments_order_refunds", "payments_order"
        found = text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name")
        again = connection.execute(found, {"name": name}).scalar_one()
        connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT {name}"))
        return [f"ALTER TABLE {table} ADD CONSTRAINT {name} {again}"]

    return [(refund_queries, "earlier", earlier)], prepare


def _closed_without_asking() -> tuple[list[Patch], Prepare]:
    """Closing an order ends its attempts in our books and tells no channel."""

    async def close_attempt(desk: Any, tried: Any, *, now: Any) -> None:
        async with desk.db.transaction() as connection:
            held = await history.lock_order(connection, tried.row.order_no, scope=asking.PLATFORM)
            found = await connection.execute(attempt.select().where(attempt.c.attempt_no == tried.row.attempt_no))
            row = found.one()
            if row.state in ATTEMPT_OPEN:
                await settlement.fail(connection, held, row, cause="close", now=now)

    return [(asking, "_close_attempt", close_attempt)], _nothing


def _silence_is_failure() -> tuple[list[Patch], Prepare]:
    """A channel that does not answer is taken for one that says no, once the attempt's time is over."""
    real = asking._query  # noqa: SLF001 -- it is what the mistake is planted in

    async def query(desk: Any, tried: Any, *, now: Any) -> Any:
        said = await real(desk, tried, now=now)
        if said is None and tried.row.expires_at <= now:
            ended = ChannelPayment(
                attempt_no=tried.row.attempt_no,
                status=PaymentStatus.FAILED,
                merchant_id=tried.account.merchant_id,
                app_id=tried.account.app_id,
            )
            await settlement.settle(desk.db, tried.account, ended, cause="time", now=now)
        return said

    return [(asking, "_query", query)], _nothing


def _late_money_dropped() -> tuple[list[Patch], Prepare]:
    """Money for an order that no longer waits is noted and not sent back."""

    async def return_late(_connection: Any, _held: Any, _tried: Any, *, now: Any) -> None:
        """Forget it."""

    return [(refunds, "return_late", return_late)], _nothing


def _notice_amount_trusted() -> tuple[list[Patch], Prepare]:
    """What a notice says was paid is believed, whatever was asked for."""
    real = settlement.check

    def check(account: Any, found: Any, tried: Any) -> None:
        real(account, structs.replace(found, amount_fen=tried.amount_fen), tried)

    return [(settlement, "check", check)], _nothing


def _booked_twice() -> tuple[list[Patch], Prepare]:
    """A payment that a query finds is booked again under a name of its own, beside the notice's."""
    real = settlement.together

    async def together(connection: Any, *pieces: Any) -> Any:
        done = await real(connection, *pieces)
        for piece in pieces:
            if str(piece.values.get("movement", "")).startswith("paid:"):
                again = {**piece.values, "movement": f"query-{piece.values['movement']}"}
                await real(connection, piece._replace(values=again))
        return done

    return [(settlement, "together", together)], _nothing


def _news_after_the_commit() -> tuple[list[Patch], Prepare]:
    """The outbox is written after the transaction, from a list in memory, which dies with its process."""
    real, real_settle, real_notice = settlement.together, settlement.settle, settlement.settle_notice
    waiting: list[Any] = []

    async def together(connection: Any, *pieces: Any) -> Any:
        late = [piece for piece in pieces if news.ORDER_PAID in piece.values.get("topics", ())]
        waiting.extend(late)
        return await real(connection, *(piece for piece in pieces if piece not in late))

    async def flush(db: Any) -> None:
        kept, waiting[:] = list(waiting), []
        for piece in kept:
            async with db.transaction() as connection:
                await real(connection, piece)

    async def settle(db: Any, account: Any, found: Any, *, cause: str, now: Any) -> None:
        await real_settle(db, account, found, cause=cause, now=now)
        await flush(db)

    async def settle_notice(db: Any, account: Any, told: Any, *, now: Any) -> None:
        await real_notice(db, account, told, now=now)
        await flush(db)

    def prepare(_connection: Connection) -> list[str]:
        waiting.clear()
        return []

    patches: list[Patch] = [(settlement, "together", together), (settlement, "settle", settle)]
    return [*patches, (settlement, "settle_notice", settle_notice)], prepare


def _own_part_first() -> tuple[list[Patch], Prepare]:
    """The payer's own part is taken, and the insurer is asked for its part only when the order is paid without it."""
    real_complete = parts.complete

    async def unsettled(_connection: Any, _held: Any) -> list[Any]:
        return []

    async def complete(connection: Any, held: Any) -> bool:
        return True if parts.shared(held) else await real_complete(connection, held)

    return [(cashier, "_unsettled", unsettled), (parts, "complete", complete)], _nothing


def _insurance_kept() -> tuple[list[Patch], Prepare]:
    """An order whose own part failed is closed, and the insurer's part stays taken."""

    async def reverse_parts(_connection: Any, _held: Any, *, now: Any) -> bool:
        return bool(now)

    return [(refunds, "reverse_parts", reverse_parts)], _nothing


def _refund_number_anew() -> tuple[list[Patch], Prepare]:
    """A refund whose answer is missing is put down as failed at once and its money given free."""

    async def silent(desk: Any, refund_no: str, _error: PlatformError, *, now: Any) -> None:
        refused = ChannelRefused(channel_code="TIMEOUT", channel_message="no answer")
        await returning._refused(desk, refund_no[:21], refund_no, refused, now=now)  # noqa: SLF001 -- as above

    return [(returning, "_silent", silent)], _nothing


PLANTS: Final[dict[str, Callable[[], tuple[list[Patch], Prepare]]]] = {
    "acknowledged-before-commit": _acknowledged_before_commit,
    "unique-key-missing": _unique_key_missing,
    "refund-race": _refund_race,
    "closed-without-asking": _closed_without_asking,
    "silence-is-failure": _silence_is_failure,
    "late-money-dropped": _late_money_dropped,
    "notice-amount-trusted": _notice_amount_trusted,
    "booked-twice": _booked_twice,
    "news-after-the-commit": _news_after_the_commit,
    "own-part-first": _own_part_first,
    "insurance-kept": _insurance_kept,
    "refund-silence-is-failure": _refund_number_anew,
}
NAMES: Final = tuple(PLANTS)
_BROUGHT_OUT_BY: Final[dict[str, set[int]]] = {
    "acknowledged-before-commit": {12},
    "unique-key-missing": {11, 12},
    "refund-race": {17, 20},
    "closed-without-asking": {8, 9},
    "silence-is-failure": {13, 14},
    "late-money-dropped": {8, 16},
    "notice-amount-trusted": {7},
    "booked-twice": {1},
    "news-after-the-commit": {11, 12},
    "own-part-first": {14, 15},
    "insurance-kept": {9, 13},
    "refund-silence-is-failure": {13, 14},
}
"""The faults under which a mistake shows: seeds in which they strike often come first, so that it is found sooner."""


def seeds(name: str, most: int) -> list[int]:
    """Return the seeds in which a planted bug is looked for, in their order."""
    faults = _BROUGHT_OUT_BY[name]
    return sorted(range(ALL_PAIRS), key=lambda seed: (-len(faults & set(pair_of(seed))), seed))[:most]


@contextmanager
def planted(name: str) -> Iterator[Prepare]:
    """Plant a bug; gives what must be done to a seed's database before it runs."""
    patches, prepare = PLANTS[name]()
    before = [(place, attribute, getattr(place, attribute)) for place, attribute, _ in patches]
    for place, attribute, function in patches:
        setattr(place, attribute, function)
    try:
        yield prepare
    finally:
        for place, attribute, function in before:
            setattr(place, attribute, function)
