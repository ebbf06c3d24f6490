"""What happens in a seed: clients, payers, workers, forgers and key keepers, as the dice have it.

Plays run side by side; a play that gets no answer asks again until it has one, which is what a client must do.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from _payments_cast import HOSPITALS, UNTURNED, his
from _payments_database import Statements
from _payments_nodes import Crashed, Node
from _payments_payers import Payers
from _payments_shared import note
from _payments_world import UNANSWERED, Placed, World

from yimatong.access.errors import IdempotencyKeyReused
from yimatong.kit.errors import PlatformError
from yimatong.payments import accounts, tasks
from yimatong.payments.cashier import service as cashier
from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.errors import OrderExists
from yimatong.payments.legs import service as legs
from yimatong.payments.legs.schemas import NewLeg
from yimatong.payments.orders import service as orders
from yimatong.payments.orders.schemas import Item, NewOrder, PlacedOrder
from yimatong.payments.orders.service import Demand
from yimatong.payments.refunds import service as refunds
from yimatong.payments.refunds.schemas import NewRefund, RefundItem, RefundPart, RefundView

_EXPIRES_S: Final = (60, 120, 300, 900)
PARTS: Final = {"commercial": "commercial", "ncms": "insurance"}
"""The part of an order that an insurer pays."""


class Plays:
    """The plays of one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dice = world.chance.random
        self.running = 0
        self.payers = Payers(world, self._start)
        self._weighted: list[tuple[int, Callable[[], Awaitable[object]]]] = [
            (13, self.place),
            (20, self.start),
            (19, self.payers.pay),
            (3, self.payers.pay_after_close),
            (17, self.tick),
            (5, self.ask),
            (4, self.close),
            (8, self.refund),
            (8, self.share),
            (3, self.forge),
            (1, self.rotate),
            (1, self.crash),
            (3, self.payers.pay_twice),
        ]
        self._weights = [weight for weight, _ in self._weighted]
        self._plays = [play for _, play in self._weighted]

    def begin(self) -> None:
        """Begin one play beside the others."""
        play = self.dice.choices(self._plays, self._weights)[0]
        self._task(play())

    def _task(self, work: Awaitable[object]) -> None:
        self.running += 1
        self.world.ops += 1
        self.world.loop.create_task(self._run(work))

    async def _run(self, work: Awaitable[object]) -> None:
        try:
            await work
        except PlatformError as error:
            self.world.note(f"refused {error.code}")
        except Crashed as error:
            self.world.note(f"no answer from {error}")
        finally:
            self.running -= 1

    def _order(self) -> Placed | None:
        known = list(self.world.book.orders.values())
        return self.dice.choice(known[-12:] if self.dice.random() < 0.8 else known) if known else None

    async def _until_answered(self, work: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await work()
            except UNANSWERED as error:
                self.world.note(f"again after {type(error).__name__}")
                await asyncio.sleep(self.dice.uniform(1, 40))

    async def place(self) -> None:
        """Place an order: perhaps twice at once, perhaps again later, perhaps with another body under the same key."""
        hospital = self.dice.choice(HOSPITALS)
        lines = [self.dice.randint(1, 30_000) for _ in range(self.dice.randint(1, 3))]
        if self.dice.random() < 0.05:
            lines = [1]
        kind = self.dice.choice(("direct", "direct", "direct", "visit", "bills"))
        known = [each for each in self.world.book.orders.values() if each.hospital == hospital]
        source = secrets.token_hex(6)
        if known and self.dice.random() < 0.15:
            again = self.dice.choice(known)
            source, kind = again.source_no, again.source_kind
        new = NewOrder(
            source_no=source,
            description="门诊缴费",
            items=[
                Item(name="自费药" if number == 2 else "检查费", amount_fen=fen) for number, fen in enumerate(lines)
            ],
            amount_fen=sum(lines),
            expires_in_s=self.dice.choice(_EXPIRES_S),
        )
        await self._place(hospital, kind, lines, new)

    async def _place(self, hospital: str, kind: str, lines: list[int], new: NewOrder) -> None:
        caller, key, body = his(hospital), secrets.token_hex(8), msgspec.json.encode(new)
        work = self._placing(hospital, kind, new)
        copies = 2 if self.dice.random() < 0.15 else 1
        together = kind == "direct" and self.dice.random() < 0.6

        async def write(body: bytes) -> bytes:
            if not together:
                return await self.world.write(caller, key, body, work)

            async def inside(node: Node) -> bytes:
                return await self.world.shared.place(caller, key, body, new, now=self.world.nodes.now(node))

            answer: bytes = await self.world.on("core", inside)
            return answer

        once = [self._until_answered(lambda: write(body)) for _ in range(copies)]
        try:
            answers = await asyncio.gather(*once)
        except OrderExists:
            self.world.note("order exists")
            return
        self._same(key, answers)
        told = msgspec.json.decode(answers[0], type=PlacedOrder)
        self.world.note(f"placed {told.order_no} {new.amount_fen} {kind}")
        self.world.book.orders[told.order_no] = Placed(
            told.order_no, hospital, caller, new.source_no, new.amount_fen, lines, kind
        )
        if self.dice.random() < 0.08:
            await self._repeat(write, key, body)

    def _placing(self, hospital: str, kind: str, new: NewOrder) -> Callable[[Statements, Node], Awaitable[bytes]]:
        async def work(connection: Statements, node: Node) -> bytes:
            desk, now = self.world.desk, self.world.nodes.now(node)
            tx: Any = connection
            if kind == "direct":
                return msgspec.json.encode(await orders.place(tx, new, desk=desk, caller=his(hospital), now=now))
            demand = Demand(
                institution_id=hospital,
                caller_id=his(hospital).caller_id,
                source_kind=kind,
                source_id=new.source_no,
                description=new.description,
                items=new.items,
                amount_fen=new.amount_fen,
                expires_in_s=new.expires_in_s,
                terminal_no="WINDOW01",
            )
            return msgspec.json.encode(await orders.create(tx, demand, desk=desk, now=now))

        return work

    def _same(self, key: str, answers: list[bytes]) -> None:
        first = self.world.book.answers.setdefault(key, answers[0])
        if any(answer != first for answer in answers):
            self.world.broken(6, f"the same key {key} had two answers")

    async def _repeat(self, write: Callable[[bytes], Awaitable[bytes]], key: str, body: bytes) -> None:
        await asyncio.sleep(self.dice.uniform(1, 300))
        self._same(key, [await self._until_answered(lambda: write(body))])
        try:
            await self._until_answered(lambda: write(body + b" "))
        except IdempotencyKeyReused:
            return
        self.world.broken(6, f"the key {key} served another body")

    async def start(self) -> None:
        """Start a payment, perhaps twice at once, perhaps while another one is open."""
        placed = self._order()
        if placed is None:
            return
        new = self.payers.attempt()
        copies = 2 if self.dice.random() < 0.15 else 1
        await asyncio.gather(*(self._start(placed, new) for _ in range(copies)), return_exceptions=True)

    async def _start(self, placed: Placed, new: NewAttempt) -> str:
        together = self.dice.random() < 0.6

        async def work(node: Node) -> Any:
            now = self.world.nodes.now(node)
            forms = self.world.shared.starts if together else None
            return await cashier.start_attempt(
                self.world.desk, placed.order_no, new, at_counter=True, note=note(now), shared=forms, now=now
            )

        try:
            started = await self.world.on("core", work)
        except PlatformError as error:
            self.world.note(f"start {placed.order_no} {new.channel} {new.scene}: {error.code}")
            raise
        self.world.note(f"started {started.attempt_no} {new.channel} {new.scene}")
        if new.channel in self.world.payable:
            self.world.payable[new.channel].give(started)
        return str(started.attempt_no)

    async def tick(self) -> None:
        """Let a worker do what is due, perhaps two at once."""
        twice = self.world.chance.strikes(23)
        await asyncio.gather(*(self.one_tick() for _ in range(1 + twice)), return_exceptions=True)

    async def one_tick(self) -> int:
        """Let one worker do what is due; return how much it was."""

        async def work(node: Node) -> int:
            done = await tasks.run_due(self.world.desk, now=self.world.nodes.now(node))
            return done + await self.world.relay.deliver_due(now=self.world.nodes.now(node))

        done: int = await self.world.on("worker", work)
        self.world.note(f"tick {done}")
        return done

    async def ask(self) -> None:
        """Ask how an order stands, or take its attempts back."""
        placed = self._order()
        if placed is None:
            return
        verb = cashier.take_back if self.dice.random() < 0.3 else cashier.refresh

        async def work(node: Node) -> Any:
            return await verb(self.world.desk, placed.order_no, now=self.world.nodes.now(node))

        seen = await self.world.on("core", work)
        self.world.note(f"{verb.__name__} {placed.order_no} {seen.state}")
        if seen.state == "paid":
            self.world.book.paid.add(placed.order_no)

    async def close(self) -> None:
        """Close an order, perhaps while its payer pays."""
        placed = self._order()
        if placed is None:
            return
        self.payers.race(placed.order_no)

        async def work(node: Node) -> Any:
            now, scope = self.world.nodes.now(node), placed.caller.scope
            return await orders.close(self.world.desk, placed.order_no, scope=scope, now=now)

        seen = await self.world.on("core", work)
        self.world.note(f"close {placed.order_no} {seen.state}")
        if seen.state == "closed":
            self.world.book.closed.add(placed.order_no)

    async def refund(self) -> None:
        """Ask for money back: parts, lines, more than there is, twice at once, the same number again."""
        placed = self._order()
        if placed is None:
            return
        if self.dice.random() < 0.7:
            paid = [number for party in self.world.payable.values() for number in party.paid()]
            if paid:
                placed = self.world.book.orders.get(self.dice.choice(paid)[:21]) or placed
        both = 2 if self.dice.random() < 0.35 else 1
        asked = [self._ask_back(placed) for _ in range(both)]
        await asyncio.gather(*asked, return_exceptions=True)

    async def _ask_back(self, placed: Placed) -> None:
        fen = placed.amount_fen if self.dice.random() < 0.35 else self.dice.randint(1, placed.amount_fen)
        items: list[RefundItem] = []
        if placed.source_kind == "bills" or self.dice.random() < 0.2:
            line = self.dice.randrange(len(placed.lines))
            fen = self.dice.randint(1, placed.lines[line])
            items = [RefundItem(line=line + 1, amount_fen=fen)]
        new = NewRefund(
            order_no=placed.order_no,
            request_no=secrets.token_hex(6),
            amount_fen=fen,
            reason="退费",
            items=items,
            parts=[RefundPart(part="cash", amount_fen=fen)] if self.dice.random() < 0.3 else [],
        )
        key, body = secrets.token_hex(8), msgspec.json.encode(new)

        async def work(connection: Statements, node: Node) -> bytes:
            tx: Any = connection
            now = self.world.nodes.now(node)
            return msgspec.json.encode(await refunds.ask(tx, new, caller=placed.caller, now=now))

        async def write(body: bytes) -> bytes:
            return await self.world.write(placed.caller, key, body, work)

        try:
            answer = await self._until_answered(lambda: write(body))
        except PlatformError as error:
            self.world.note(f"refund {placed.order_no} {fen}: {error.code}")
            return
        self._same(key, [answer])
        seen = msgspec.json.decode(answer, type=RefundView)
        self.world.note(f"refund {seen.refund_no} {fen}")
        self.world.book.refunds[new.request_no] = (placed.order_no, fen, tuple(seen.together))
        if self.dice.random() < 0.1:
            await self._repeat(write, key, body)

    async def share(self) -> None:
        """Ask an insurer to pay a part, or leave it out again."""
        placed = self._order()
        if placed is None:
            return
        drop = self.dice.random() < 0.2
        channel = self.dice.choice(("commercial", "ncms"))
        new = NewLeg(channel=channel, name="张三", id_type="01", id_number="610102198001011234")

        async def work(node: Node) -> Any:
            now = self.world.nodes.now(node)
            if drop:
                async with self.world.desk.db.transaction() as connection:
                    return await legs.drop(connection, placed.order_no, PARTS[channel], now=now)
            return await legs.presettle(self.world.desk, placed.order_no, new, at_counter=True, now=now)

        shared = await self.world.on("core", work)
        self.world.note(f"shared {placed.order_no} {shared.cash_fen} of {shared.amount_fen}")

    async def forge(self) -> None:
        """Deliver a notice that must be refused."""
        await self.world.forger.forge()

    async def rotate(self) -> None:
        """Change a hospital's keys at a channel: both sides know both until the next change."""
        turned = [channel for channel in self.world.desk.channels if channel not in UNTURNED]
        hospital, channel = self.dice.choice(HOSPITALS), self.dice.choice(turned)
        turn = self.world.turns[hospital, channel] + 1
        if turn >= 8:
            return
        self.world.chance.count(21)

        async def work(node: Node) -> None:
            async with self.world.desk.db.transaction() as connection:
                account = self.world.cast.account(hospital, channel, turn)
                now = self.world.nodes.now(node)
                await accounts.put_account(connection, self.world.cast.vault, account, now=now)

        await self._until_answered(lambda: self.world.on("core", work))
        self.world.turns[hospital, channel] = max(turn, self.world.turns[hospital, channel])
        self.world.note(f"keys of {hospital} at {channel}: {turn}")
        self.world.parties[channel].change(hospital, turn)

    async def crash(self) -> None:
        """Let a process die, whatever it does."""
        self.world.nodes.crash(self.dice.choice(self.world.nodes.all))
