"""``ymt bench payments-fuzz``: breaks what payment channels send, some hundred thousand times, and counts what happens.

Every channel has a file ``_fuzz_<channel>.py`` with its ways in: notices, signed answers, decoders, bills. The engine
and what counts as a crash or as a forgery stand in ``_fuzz.py``. Seeded: the same seed finds the same.

    ymt bench payments-fuzz --executions 1000000 --channel wechat
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from _fuzz import Fuzzer, Target

PREFIX = "_fuzz_"


def channels() -> list[str]:
    """Return the channels that have a file here."""
    return sorted(path.stem.removeprefix(PREFIX) for path in Path(__file__).parent.glob(f"{PREFIX}*.py"))


def main(argv: Sequence[str]) -> int:
    """Fuzz one channel or all; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="ymt bench payments-fuzz", description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000, help="of each channel, over all its ways in")
    parser.add_argument("--channel", choices=[*channels(), "all"], default="all")
    parser.add_argument("--seed", type=int, default=20_261_123)
    arguments = parser.parse_args(argv)
    names = channels() if arguments.channel == "all" else [arguments.channel]
    found = [run(name, executions=arguments.executions, seed=arguments.seed) for name in names]
    return int(any(found))


def run(channel: str, *, executions: int, seed: int) -> int:
    """Fuzz a channel, print its figures; return how much was found."""
    ways: list[Target] = importlib.import_module(PREFIX + channel).targets()
    weights = sum(way.weight for way in ways)
    began = time.perf_counter()
    tallies = {way.name: Fuzzer(way, seed=seed).run(executions * way.weight // weights) for way in ways}
    seconds = time.perf_counter() - began
    done = sum(tally.executions for tally in tallies.values())
    refused: Counter[str] = Counter()
    for name, tally in tallies.items():
        refused += tally.refusals
        say(f"{channel} {name}: {tally.executions:,} executions, {tally.accepted:,} taken, {tally.crashes} crashes, "
            f"{tally.forgeries} forgeries")  # fmt: skip
        for text in tally.found:
            say(text)
    say(f"{channel} refusals: " + ", ".join(f"{code} {count:,}" for code, count in sorted(refused.items())))
    crashes, forgeries = (sum(getattr(tally, name) for tally in tallies.values()) for name in ("crashes", "forgeries"))
    say(
        f"figure: payments-fuzz channel={channel} executions={done} crashes={crashes} forgeries={forgeries} "
        f"per_s={done / seconds:.0f} seed={seed}"
    )
    return crashes + forgeries


def say(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(text.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
