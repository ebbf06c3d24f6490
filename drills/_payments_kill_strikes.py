"""Dense kills: several victims at one instant, brought back at once, and no pause that is not drawn.

What is drawn from the seed: the victims of each strike, the pause before it, how long they stay dead. A strike kills
one to four processes, or the database (its postmaster, or one of the processes that serve a connection). Two cores run
on one port, so that one is killed while the other goes on with what it left.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from _killer import Killer, Strike
from _tellers import Teller, Told

from yimatong.cli.platform import LocalPlatform

PROCESSES: Final = ("sandbox", "core", "core@2", "institution-front", "internet-front", "web", "worker")
"""What runs. The simulated outside world is never killed: it stands for what is not ours."""
_WEIGHTS: Final = {
    "core": 5,
    "core@2": 5,
    "worker": 8,
    "web": 4,
    "institution-front": 1,
    "internet-front": 1,
}
_AT_ONCE: Final = (1, 2, 3, 4)


def plan(rng: random.Random, *, kills: int, databases: int) -> list[Strike]:
    """Return the strikes, shuffled: ``kills`` of processes and ``databases`` of the database, half of them backends."""
    strikes, left = [], kills
    while left > 0:
        count = min(rng.choice(_AT_ONCE), left)
        victims: list[str] = []
        while len(victims) < count:
            name = rng.choices(list(_WEIGHTS), weights=list(_WEIGHTS.values()))[0]
            if name not in victims:
                victims.append(name)
        strikes.append(_strike(rng, tuple(victims)))
        left -= count
    strikes += [_strike(rng, ("database" if number % 2 else "backend",)) for number in range(databases)]
    rng.shuffle(strikes)
    return strikes


def _strike(rng: random.Random, victims: tuple[str, ...]) -> Strike:
    return Strike(
        victims=victims,
        in_payment=False,
        pause_s=rng.choice((rng.uniform(0.0, 0.3), rng.uniform(0.3, 1.5))),
        dead_s=rng.choice((0.0, rng.uniform(0.0, 0.3))),
    )


class DenseKiller(Killer):
    """Carries out one strike after the other until all are done or the time is over."""

    def __init__(
        self, platform: LocalPlatform, tellers: Sequence[Teller], told: Told, *, say: Callable[[str], None]
    ) -> None:
        """Keep the platform and those who use it."""
        super().__init__(platform, tellers, told, say=say)
        self.left = 0

    def run_all(self, rng: random.Random, strikes: Sequence[Strike], *, seconds: float) -> None:
        """Strike; ``left`` says how many strikes there was no time for."""
        began = time.monotonic()
        for number, strike in enumerate(strikes):
            if time.monotonic() - began > seconds:
                self.left = len(strikes) - number
                return
            self.strike(strike, rng)
