"""One seed's world: the platform's services over the seed's database, the parties, the hospital's system, and a client.

The client's book holds what was acknowledged; at the end it must all be there. A client that got no answer asks again
with the same idempotency key, as the interface asks it to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from _payments_alipay import AlipayParty
from _payments_cast import HOSPITALS, Cast
from _payments_chance import Chance
from _payments_courier import Courier
from _payments_database import SeedDatabase, Statements
from _payments_forger import Forger
from _payments_loop import VirtualLoop
from _payments_ncms import NcmsParty
from _payments_network import Network, Request
from _payments_nodes import Crashed, Node, Nodes
from _payments_parties import Surroundings, WeChatParty
from _payments_shared import SharedForms
from _payments_signed import signed_parties
from _payments_unionpay import UnionPayParty
from sqlalchemy import Connection

from yimatong.access import idempotency
from yimatong.access.caller import Caller
from yimatong.access.idempotency import Slot
from yimatong.kit import clock
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.http import Answer
from yimatong.kit.outbox import Message, Relay
from yimatong.payments import news, webhooks
from yimatong.payments.channels.alipay.channel import Alipay
from yimatong.payments.channels.commercial.channel import CommercialInsurer
from yimatong.payments.channels.credit.channel import CreditPayment
from yimatong.payments.channels.ncms.channel import CooperativeMedical
from yimatong.payments.channels.unionpay.channel import UnionPay
from yimatong.payments.channels.wechat.channel import WeChatPay
from yimatong.payments.desk import Desk

INSIDE: Final = (news.SOURCE_CHANGED, news.RECEIPT_DUE)
"""Topics that other parts of the platform take; here it is noted that they came."""
NAMES: Final = ("core-1", "core-2", "worker-1", "worker-2")
UNANSWERED: Final = (Crashed, DatabaseUnavailable)


@dataclass
class Placed:
    """An order as its client knows it."""

    order_no: str
    hospital: str
    caller: Caller
    source_no: str
    amount_fen: int
    lines: list[int]
    source_kind: str


@dataclass
class Book:
    """What was acknowledged to clients."""

    orders: dict[str, Placed] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int, tuple[str, ...]]] = field(default_factory=dict)
    """By request number: order, fen, refund numbers."""
    closed: set[str] = field(default_factory=set)
    paid: set[str] = field(default_factory=set)
    answers: dict[str, bytes] = field(default_factory=dict)


class Hospital:
    """The hospitals' own systems: they book each message once, by its idempotency key."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self.booked: dict[str, bytes] = {}
        self.order: list[str] = []

    def __call__(self, request: Request) -> Answer:
        """Book, or not; answer, or not with what was done."""
        if self._chance.strikes(20):
            if self._chance.random.random() < 0.5:
                return Answer(503, {}, b"down")
            self._book(request)
            return Answer(500, {}, b"booked, and an error")
        self._book(request)
        return Answer(200, {}, b"{}")

    def _book(self, request: Request) -> None:
        key = request.headers["idempotency-key"]
        if key not in self.booked:
            self.booked[key] = request.body
            self.order.append(key)


class World:
    """Everything of one seed."""

    def __init__(self, seed: int, cast: Cast, connection: Connection) -> None:
        self.loop = VirtualLoop()
        self.chance = Chance(seed)
        self.nodes = Nodes(self.loop, self.chance, NAMES)
        for node in self.nodes.all:
            far = self.chance.strikes(19)
            node.skew_s = self.chance.random.uniform(-10, 10) if far else self.chance.random.uniform(-0.5, 0.5)
        self.db = SeedDatabase(connection, self.nodes, self.chance)
        self.network = Network(self.loop, self.chance, self.nodes, self.db)
        self.cast = cast
        self.around = Surroundings(self.loop, self.chance)
        self.wechat = WeChatParty(cast, self.around)
        self.alipay = AlipayParty(cast, self.around)
        self.unionpay = UnionPayParty(cast, self.around)
        self.ncms = NcmsParty(cast, self.around)
        self.signed = signed_parties(cast, self.around)
        self.his = Hospital(self.chance)
        self.payable: dict[str, Any] = {each.name: each for each in (self.wechat, self.alipay, self.unionpay)}
        """Channels at which a payer acts; the others take the money by themselves."""
        self.parties: dict[str, Any] = {**self.payable, "ncms": self.ncms, **self.signed}
        self.network.parties = {**self.parties, "his": self.his}
        outbound: Any = self.network
        self.desk = Desk(
            db=self.db,  # type: ignore[arg-type]  # the same methods
            vault=cast.vault,
            channels={
                "wechat": WeChatPay(outbound, "http://wechat"),
                "alipay": Alipay(outbound, "http://alipay/alipay/gateway.do"),
                "unionpay": UnionPay(outbound, "http://unionpay", "http://unionpay-files"),
                "ncms": CooperativeMedical(outbound, "http://ncms"),
                "credit": CreditPayment(outbound, "http://credit"),
                "commercial": CommercialInsurer(outbound, "http://commercial"),
            },
            notify_base="http://core",
            web_base="http://web",
        )
        self.courier = Courier(
            loop=self.loop,
            chance=self.chance,
            nodes=self.nodes,
            desk=self.desk,
            parties=self.parties,
            around=self.around,
        )
        self.forger = Forger(self.courier, self.parties, self.chance, self.loop)
        self.around.deliver = self.courier.deliver
        self.shared = SharedForms(self.db, self.desk, cast.vault)
        told = webhooks.handlers(self.db, cast.vault, outbound)  # type: ignore[arg-type]
        self.sources: dict[int, dict[str, Any]] = {}
        self.relay = Relay(self.db, {**told, **dict.fromkeys(INSIDE, self._source)})  # type: ignore[arg-type]
        self.book = Book()
        self.turns = {(hospital, channel): 0 for hospital in HOSPITALS for channel in self.desk.channels}
        self.breaks: list[tuple[int, str]] = self.courier.breaks
        self.ops = 0

    async def _source(self, message: Message) -> None:
        await self.nodes.pause()
        self.sources[message.id] = message.payload

    def note(self, line: str) -> None:
        """Add a line with the time to the trace."""
        self.chance.note(f"{self.loop.time():.3f} {line}")

    def broken(self, invariant: int, what: str) -> None:
        """Note that an invariant does not hold."""
        self.breaks.append((invariant, what))

    async def on(self, kind: str, work: Callable[[Node], Awaitable[Any]]) -> Any:
        """Run work in a living process of a kind; what it raises is raised.

        Raises:
            Crashed: it died, or none lives.
        """
        node = self.nodes.pick(kind)
        if node is None:
            raise Crashed(kind)

        async def inside() -> Any:
            return await work(node)

        return await self.nodes.run(node, inside())

    async def write(
        self, caller: Caller, key: str, body: bytes, work: Callable[[Statements, Node], Awaitable[bytes]]
    ) -> bytes:
        """Serve a write of a client as the edge does: first answer kept beside the write, given again to a repeat."""
        sealer = await self.cast.vault.sealer("idempotency")
        slot = Slot(caller.caller_id, key, idempotency.digest("POST", "/drill", body), sealer)

        async def inside(node: Node) -> bytes:
            return await serve(self, slot, node, work)

        answer: bytes = await self.on("core", inside)
        return answer

    @contextmanager
    def time(self) -> Iterator[None]:
        """Let the wall clock of the process be the loop's."""
        before = clock.now
        clock.now = self.loop.moment
        try:
            yield
        finally:
            clock.now = before


async def serve(world: World, slot: Slot, node: Node, work: Callable[[Statements, Node], Awaitable[bytes]]) -> bytes:
    """Do a write in one transaction with its answer."""
    async with world.db.transaction() as connection:
        first = await slot.take(connection, now=world.nodes.now(node))  # type: ignore[arg-type]
        if first is not None:
            return first[1]
        answer = await work(connection, node)
        await slot.keep(connection, 200, answer)  # type: ignore[arg-type]
    return answer
