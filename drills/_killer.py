"""The killer: ends processes with SIGKILL at instants drawn from a seed, and brings them back.

What is drawn: the victims and their order, the pauses between strikes, how long each stays dead, and which strikes wait
for a payment to be under way. What is under way at that instant is left to the machine. The simulated outside world is
spared: it stands for what is not ours.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import psycopg
from _tellers import Teller, Told

from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import DATABASE
from yimatong.cli.processes import PROCESSES, kind_of

DATABASES: Final = ("database", "backend")
PAYING: Final = ("core", "web", "worker", *DATABASES)
"""Victims that take part in a payment; killing a front while somebody pays does not count as inside payment."""

_ORDER: Final = (*DATABASES, *PROCESSES)
"""In which they are brought back: a front is ready only when the core is, and that when the database is."""

PAYMENTS_LEAST: Final = 5
DATABASES_LEAST: Final = 3
_ALWAYS: Final = ("database",) * DATABASES_LEAST + ("backend", "core", "core", "core", "web", "web", "worker", "worker")
_OTHERS: Final = {"core": 6, "web": 3, "worker": 4, "institution-front": 2, "internet-front": 2, "database": 2}
KILLS_LEAST: Final = 20
_PAIR: Final = 0.35
_WAIT_S: Final = 8.0


@dataclass(frozen=True)
class Strike:
    """One plan: whom, after which pause, in a payment or anywhere, and dead for how long."""

    victims: tuple[str, ...]
    in_payment: bool
    pause_s: float
    dead_s: float


@dataclass
class Kills:
    """What was done."""

    victims: list[str] = field(default_factory=list)
    inside: list[str] = field(default_factory=list)
    """``victim at stage`` of the kills inside a payment."""
    restart_s: list[float] = field(default_factory=list)

    @property
    def databases(self) -> int:
        """Return how many were of the database."""
        return sum(victim in DATABASES for victim in self.victims)

    def enough(self, wanted: int) -> bool:
        """Say whether the quotas are met."""
        met = len(self.inside) >= PAYMENTS_LEAST and self.victims.count("database") >= DATABASES_LEAST
        return met and len(self.victims) >= min(wanted, KILLS_LEAST)


def plan(rng: random.Random, kills: int) -> list[Strike]:
    """Draw the strikes of a run: ``kills`` victims; those that must be among them are among the first twenty."""
    rest = rng.choices(list(_OTHERS), weights=list(_OTHERS.values()), k=max(kills - len(_ALWAYS), 0))
    first = [*_ALWAYS, *rest[: KILLS_LEAST - len(_ALWAYS)]]
    rng.shuffle(first)
    victims = [*rest[KILLS_LEAST - len(_ALWAYS) :], *first][-max(kills, 1) :]
    strikes = []
    while victims:
        taken = [victims.pop()]
        if victims and victims[-1] != taken[0] and rng.random() < _PAIR:
            taken.append(victims.pop())
        strikes.append(
            Strike(
                victims=tuple(taken),
                in_payment=any(victim in PAYING for victim in taken) and rng.random() < 0.6,
                pause_s=rng.uniform(0.1, 1.2),
                dead_s=rng.uniform(0.0, 0.8),
            )
        )
    return strikes


class Killer:
    """Carries out strikes against one platform."""

    def __init__(
        self, platform: LocalPlatform, tellers: Sequence[Teller], told: Told, *, say: Callable[[str], None]
    ) -> None:
        """Keep the platform and those who use it."""
        self._platform = platform
        self._tellers = tellers
        self._told = told
        self._say = say
        self._began = time.monotonic()
        self.kills = Kills()

    def run(self, rng: random.Random, *, wanted: int, seconds: float) -> Kills:
        """Strike as planned for ``seconds``; while the quotas are not met, for a third of that again."""
        self._began = time.monotonic()
        strikes = plan(rng, wanted)
        while strikes or not self.kills.enough(wanted):
            spent_s = time.monotonic() - self._began
            if spent_s > seconds * (1.0 if self.kills.enough(wanted) else 1.3):
                break
            self.strike(strikes.pop(0) if strikes else plan(rng, 1)[0], rng)
        return self.kills

    def strike(self, strike: Strike, rng: random.Random) -> None:
        """Kill and bring back."""
        time.sleep(strike.pause_s)
        self.bring_back_the_dead()
        if strike.in_payment:
            self._await_payment()
            time.sleep(rng.uniform(0.0, 0.25))
        for victim in strike.victims:
            stages = sorted({teller.stage for teller in self._tellers} - {""})
            self._kill(victim, rng)
            self.kills.victims.append(victim)
            if stages and victim in PAYING:
                self.kills.inside.append(f"{victim} at {'+'.join(stages)}")
            self._say(
                f"{time.monotonic() - self._began:6.1f} s  {len(self.kills.victims):>3}  kill -9 {victim:<17} "
                f"{'支付中 / in payment: ' + ', '.join(stages) if stages else ''}"
            )
        time.sleep(strike.dead_s)
        started = time.monotonic()
        for victim in sorted(strike.victims, key=lambda name: _ORDER.index(kind_of(name))):
            self._restart(victim)
        self.kills.restart_s.append(time.monotonic() - started)

    def bring_back_the_dead(self) -> None:
        """Look for processes that ended though nobody killed them: each is a finding, and is started again."""
        living = self._platform.supervisor.register.living()
        for name in self._platform.supervisor.names:
            if name not in living:
                self._told.surprise(f"{name} ended by itself")
                self._platform.restart(name)

    def _kill(self, victim: str, rng: random.Random) -> None:
        if victim == "database":
            self._platform.kill_database()
        elif victim == "backend":
            kill_backend(self._platform, rng)
        else:
            self._platform.kill(victim)

    def _restart(self, victim: str) -> None:
        if victim == "database":
            self._platform.start_database()
        elif victim == "backend":
            await_database(self._platform)
        else:
            self._platform.restart(victim)

    def _await_payment(self) -> None:
        until = time.monotonic() + _WAIT_S
        while time.monotonic() < until and not any(teller.stage for teller in self._tellers):
            time.sleep(0.01)


def kill_backend(platform: LocalPlatform, rng: random.Random) -> None:
    """Kill one of the processes that serve our connections; the database restarts itself after that."""
    if platform.database is None:
        return
    with psycopg.connect(platform.database.admin_url(), autocommit=True) as connection:
        rows = connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend' ORDER BY pid",
            [DATABASE],
        ).fetchall()
    if rows:
        os.kill(rng.choice(rows)[0], signal.SIGKILL)


def await_database(platform: LocalPlatform) -> None:
    """Return when the database accepts connections again.

    Raises:
        psycopg.OperationalError: not within 30 s.
    """
    until = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(platform.settings.database_url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
        else:
            return
