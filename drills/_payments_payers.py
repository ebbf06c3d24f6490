"""What payers do at the channels: pay, pay what was closed, pay twice by two ways, pay while somebody closes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from _payments_parties import NotPayable
from _payments_world import Placed, World

from yimatong.payments.cashier.schemas import NewAttempt
from yimatong.payments.channels.base import Scene

SCENES: Final = {
    "wechat": (Scene.NATIVE, Scene.H5, Scene.JSAPI, Scene.APP),
    "alipay": (Scene.NATIVE, Scene.H5, Scene.PAGE, Scene.JSAPI, Scene.APP),
    "unionpay": (Scene.NATIVE, Scene.H5, Scene.PAGE, Scene.APP),
}
Start = Callable[[Placed, NewAttempt], Awaitable[str]]


class Payers:
    """The payers of one world; ``start`` begins a payment at the platform."""

    def __init__(self, world: World, start: Start) -> None:
        self._world = world
        self._dice = world.chance.random
        self._start = start

    def attempt(self) -> NewAttempt:
        """Draw a channel and a scene."""
        if self._dice.random() < 0.2:
            return NewAttempt(channel="credit", scene=Scene.DIRECT, payer_id="resident-1")
        return self._cash("payer-1")

    def _cash(self, payer: str) -> NewAttempt:
        channel = self._dice.choice(tuple(SCENES))
        if self._dice.random() < 0.2:
            code = self._world.payable[channel].code()
            return NewAttempt(channel=channel, scene=Scene.BARCODE, auth_code=code)
        return NewAttempt(channel=channel, scene=self._dice.choice(SCENES[channel]), payer_id=payer)

    def _some(self, numbers: Callable[[str], list[str]], last: int = 10) -> tuple[str, str] | None:
        """Choose one of the last few of a channel that has any."""
        found = [(name, numbers(name)) for name in self._world.payable]
        known = [(name, each[-last:]) for name, each in found if each]
        if not known:
            return None
        name, each = self._dice.choice(known)
        return name, self._dice.choice(each)

    def _waiting(self, channel: str) -> list[str]:
        return self._world.payable[channel].waiting()

    def _pay(self, channel: str, number: str) -> None:
        try:
            self._world.payable[channel].pay(number)
        except NotPayable as error:
            self._world.note(f"cannot pay {number}: {error}")
        else:
            self._world.note(f"paid {number}")

    async def pay(self) -> None:
        """Let a payer pay what waits somewhere."""
        found = self._some(self._waiting)
        if found is not None:
            self._pay(*found)

    async def pay_after_close(self) -> None:
        """Let the bank's word about something closed come late."""
        found = self._some(lambda channel: self._world.payable[channel].closed(), last=1000)
        if found is not None:
            self._world.chance.count(8)
            self._world.note(f"paid after all {found[1]}")
            self._world.payable[found[0]].pay_after_all(found[1])

    async def pay_twice(self) -> None:
        """Start a second way beside what is open, and pay both."""
        found = self._some(self._waiting, last=1000)
        placed = self._world.book.orders.get(found[1][:21]) if found else None
        if found is None or placed is None:
            return
        self._world.chance.count(16)
        other = self._cash("payer-2")
        if self._dice.random() < 0.2:
            other = NewAttempt(channel="credit", scene=Scene.DIRECT, payer_id="resident-2")
        number = await self._start(placed, other)
        self._pay(*found)
        if other.channel in self._world.payable:
            self._pay(other.channel, number)

    def race(self, order_no: str) -> None:
        """Perhaps let a payer pay within a moment."""
        racing = [
            (channel, number)
            for channel in self._world.payable
            for number in self._waiting(channel)
            if number.startswith(order_no)
        ]
        if racing and self._dice.random() < 0.6:
            self._world.chance.count(9)
            self._world.around.later(self._dice.uniform(0, 0.8), self._pay, *racing[0])
