"""The rules that can be read off the source hold, and each of them can fail."""

from __future__ import annotations

import pytest
from house_rules import CLOCK_READERS, PACKAGE, PURE, RULES, Module, Rule, all_modules, package_modules, short

MODULES = package_modules()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_holds(rule: Rule) -> None:
    assert [f"{module.path}: {fault}" for module in MODULES for fault in rule(module)] == []


def test_lengths_hold_outside_the_package_too() -> None:
    assert [f"{module.path}: {fault}" for module in all_modules() for fault in short(module)] == []


PLANTED = [
    ("short", "cards.long", "x = 1\n" * 401),
    ("short", "cards.long", "def f():\n" + "    x = 1\n" * 60),
    ("across_rooms", "care.bills.service", "from yimatong.cards.models import account"),
    ("across_rooms", "apps.core", "from yimatong.cards import models"),
    ("across_rooms", "web.console.pages", "from yimatong.payments.orders.endpoints import ROUTES"),
    ("across_rooms", "care.bills.service", "from yimatong.cards.codes import statements"),
    ("across_rooms", "care.bills.service", "from yimatong.payments import ledger"),
    ("pure", "reconciliation.matching", "from sqlalchemy import select"),
    ("pure", "cards.codec", "import time"),
    ("pure", "standards.names", "import httpx"),
    ("pure", "reconciliation.bills.wechat", "from datetime import datetime\nx = datetime.now()"),
    ("pure", "payments.channels.wechat.signing", "from yimatong.kit import http"),
    ("pure", "cards.codes.judgement", "from yimatong.kit import clock\nx = clock.now()"),
    ("commits", "payments.orders.service", "await connection.commit()"),
    ("commits", "cards.accounts.service", "async with connection.begin_nested(): pass"),
    (
        "outside_transactions",
        "cards.accounts.real_name",
        "async def f():\n async with db.transaction() as tx:\n  await self._outbound.send('x')",
    ),
    (
        "outside_transactions",
        "payments.asking",
        "async def f():\n async with desk.db.transaction():\n  await desk.channels['wechat'].ask(x)",
    ),
    ("reads_clock", "cards.accounts.service", "now = clock.now()"),
    ("reads_clock", "payments.settlement", "import time\nx = time.time()"),
    ("reads_clock", "care.tasks", "from yimatong.kit.clock import now"),
    ("whole_money", "payments.settlement", "x = amount_fen / 100"),
    ("whole_money", "sandbox.his", "x: int = total_fen / 3"),
    ("whole_money", "care.bills.service", "x = 0.5"),
    ("whole_money", "payments.ledger", "def f(amount: float): pass"),
    ("whole_money", "web.console.today", "paid_fen: float = 1"),
    ("whole_money", "reconciliation.books", "x = float(y)"),
    ("whole_patterns", "care.visits.schemas", 'x = Meta(pattern="^[0-9]{6}$")'),
    ("whole_patterns", "care.visits.schemas", r'x = Meta(pattern="[0-9](?!\n)$")'),
    ("prints", "payments.settlement", "print(1)"),
    ("narrow_names", "payments.utils", ""),
    ("narrow_names", "payments.a.b.c.d", ""),
]


@pytest.mark.parametrize(("rule", "name", "text"), PLANTED, ids=[f"{case[0]}-{case[1]}" for case in PLANTED])
def test_planted_fault_is_found(rule: str, name: str, text: str) -> None:
    asked = {found.__name__: found for found in RULES}[rule]
    assert list(asked(Module(name, f"src/yimatong/{name.replace('.', '/')}.py", text)))


def test_every_rule_has_a_planted_fault() -> None:
    assert {case[0] for case in PLANTED} == {rule.__name__ for rule in RULES}


def test_every_named_module_exists() -> None:
    names = {module.name for module in MODULES}
    for name in (*PURE, *CLOCK_READERS):
        assert any(found == name or found.startswith(name) for found in names), name
    assert PACKAGE.is_dir()


@pytest.mark.parametrize("name", sorted(CLOCK_READERS))
def test_argued_clock_reader_still_reads_the_clock(name: str) -> None:
    module = next(module for module in MODULES if module.name == name)
    assert "clock.now()" in module.text
