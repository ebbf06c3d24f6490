"""A card office over the core on loopback, and the worker's part of the registry at hand."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from yimatong.apps.assembly import assemble
from yimatong.cards.registry import arrivals, tasks
from yimatong.kit import clock
from yimatong.kit.outbox import Relay
from yimatong.kit.settings import Settings
from yimatong_sdk import Client


def new_number(prefix: str = "6101") -> str:
    return prefix + secrets.token_hex(7).upper()


class Office:
    """What a card office does, by the callers of hospital 1."""

    def __init__(self, client: Callable[[str], Client], settings: Settings, run_async: Callable[..., Any]) -> None:
        self.his, self.app, self.terminal, self.other = map(client, ("his-1", "app-1", "term-1", "his-2"))
        self.settings = settings
        self._run = run_async
        self.numbers: dict[str, str] = {}

    def issue(self, holder: SimpleNamespace, number: str = "", chip: str = "", **more: Any) -> Any:
        body = {
            "card_number": number or new_number(),
            "card_type": "01",
            "issuer": "435628013",
            "holder": vars(holder),
            "real_name": "certificate_read",
            **({"chip_number": chip} if chip else {}),
            **more,
        }
        card = self.his.call("POST", "/api/v1/physical-cards", body)
        self.numbers[card["card_id"]] = body["card_number"]
        return card

    def change(self, card: Any, state: str) -> Any:
        return self.his.call("POST", f"/api/v1/physical-cards/{card['card_id']}/state", {"state": state})

    def replace(self, card: Any, number: str, chip: str = "") -> Any:
        body = {"card_number": number, **({"chip_number": chip} if chip else {})}
        made = self.his.call("POST", f"/api/v1/physical-cards/{card['card_id']}/replace", body)
        self.numbers[made["card_id"]] = number
        return made

    def identify(self, *, purpose: str = "visit", key: str = "", **medium: str) -> Any:
        body = {"purpose": purpose, **medium}
        return self.terminal.call("POST", "/api/v1/identify", body, idempotency_key=key or secrets.token_hex(8))

    def deliver(self) -> None:
        """Do what the worker does for the registry, to the end."""
        self._run(self._deliver())

    async def _deliver(self) -> None:
        parts = assemble(self.settings)
        relay = Relay(parts.db, tasks.handlers(parts.db, parts.vault))
        while await relay.deliver_due(now=clock.now(), most=500):
            pass
        await parts.close()

    def register_arrivals(self) -> int:
        return int(self._run(self._register()))

    async def _register(self) -> int:
        parts = assemble(self.settings)
        done = await arrivals.register_due(parts.db, parts.vault, now=clock.now())
        await parts.close()
        return done


@pytest.fixture(scope="module")
def office(client: Callable[[str], Client], settings: Settings, run_async: Callable[..., Any]) -> Office:
    return Office(client, settings, run_async)
