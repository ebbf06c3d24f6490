"""``ymt drill codes``: forged, swapped and replayed codes are refused, genuine ones never; over two nodes, none twice.

Every forgery and every swap goes through the real parsing, the crypto device and the judgement; a part of them, all
genuine codes and every replay go as signed requests over HTTP to two core processes on one database, the copies of a
code side by side. Then five bugs are planted, one at a time, each in a process of its own: the drill must see each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

import _codes_texts as texts
import _population
from _codes_nodes import ACCEPTED, HttpNodes, LocalNodes, Nodes, item
from _codes_plants import PLANTS
from _codes_texts import Shown, Wallet

from yimatong.access.caller import PLATFORM, Caller
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.codes import policies, service
from yimatong.cards.codes.issuing import Order
from yimatong.cards.codes.item import Found
from yimatong.cards.codes.judgement import KnownAccount, Policy
from yimatong.cards.codes.schemas import NewCode
from yimatong.cards.codes.verification import Verifier, decide
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home
from yimatong.kit import clock
from yimatong.kit.settings import load

TERMINALS = 60
COPIES = 41
"""One use and forty replays of it."""

_CHUNK = 500
_NOBODY = UUID(int=0)
_say = Console(stderr=True, soft_wrap=True, highlight=False)


class Sizes(NamedTuple):
    """How many of each; ``sent`` of the forged and swapped go to the nodes as well."""

    forged: int
    swapped: int
    replayed: int
    good: int
    sent: int
    tokens: int
    accounts: int


FULL = Sizes(1_000_000, 100_000, 100_000, 10_000, 20_000, 200, 5_000)
QUICK = Sizes(4_000, 1_000, 1_000, 300, 600, 10, 500)
TINY = Sizes(800, 400, 410, 60, 400, 6, 60)


class Seen(NamedTuple):
    """What came of it. ``wrong`` are a few of the texts that were taken or refused against the rule."""

    accepted: int
    refused_good: int
    double_use: int
    wrong: tuple[str, ...]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill codes", description=__doc__)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--quick", action="store_true", help="a small run, for tests")
    parser.add_argument("--no-self-test", action="store_true", help="plant no bugs")
    parser.add_argument("--plant", choices=sorted(PLANTS), help=argparse.SUPPRESS)
    parser.add_argument("--settings", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when something was taken that must not be, or the reverse."""
    arguments = parse(argv)
    if arguments.plant:
        return _planted(arguments)
    began, sizes = time.monotonic(), QUICK if arguments.quick else FULL
    print(f"seed {arguments.seed}", flush=True)
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start_base(["core", "core@2"])
            seen = asyncio.run(_drill(platform, sizes, arguments.seed))
            caught = [] if arguments.no_self_test else _self_test(platform, arguments.seed)
        finally:
            platform.stop()
    for line in seen.wrong:
        print(line)
    planted = 0 if arguments.no_self_test else len(PLANTS)
    print(
        f"figure: codes forged={sizes.forged} swapped={sizes.swapped} replayed={sizes.replayed} good={sizes.good} "
        f"accepted={seen.accepted} refused_good={seen.refused_good} double_use={seen.double_use} nodes=2 "
        f"planted={planted} caught={len(caught)} seconds={time.monotonic() - began:.0f} seed={arguments.seed}"
    )
    return 0 if not seen.accepted + seen.refused_good + seen.double_use and len(caught) == planted else 1


async def _drill(platform: LocalPlatform, sizes: Sizes, seed: int) -> Seen:
    parts = assemble(platform.settings)
    terminals = await _population.enrol_terminals(parts, TERMINALS)
    await _population.load(parts, sizes.accounts)
    await _let_them_send_rubbish(parts)
    await asyncio.to_thread(platform.start_processes, ["core", "core@2"])
    nodes = HttpNodes(platform.addresses.core, terminals)
    try:
        return await run(parts, nodes, sizes, seed)
    finally:
        await parts.close()


async def _let_them_send_rubbish(parts: Parts) -> None:
    """Terminals that forge would be throttled, and a throttled terminal proves nothing about forgeries."""
    policy = policies.CodePolicy(subject=_population.HOSPITAL, rubbish_max=policies.RUBBISH_MAX_MAX)
    async with parts.db.transaction() as connection:
        await policies.put(connection, policy, operator_id="drill", now=clock.now())


async def run(parts: Parts, nodes: Nodes, sizes: Sizes, seed: int) -> Seen:
    """Run every phase and count; the same for two processes and for a planted bug."""
    vuids = [_population.vuid_of(number) for number in range(sizes.accounts)]
    by_version = await parts.vault.valid_keys(vuids)
    wallet = Wallet(random.Random(seed), dict(zip(vuids, by_version[max(by_version)], strict=True)))
    issued = await _issued_with_tokens(parts, wallet, sizes.tokens)
    accepted, wrong = 0, list[str]()

    def take(name: str, shown: Sequence[Shown], results: Sequence[str]) -> None:
        nonlocal accepted
        bad = [each.text for each, result in zip(shown, results, strict=True) if result == ACCEPTED]
        accepted += len(bad)
        wrong.extend(f"accepted, {name}: {text}" for text in bad[:5])

    now = int(time.time())
    for name, made in (
        ("forged", texts.forged(wallet, sizes.forged, now=now)),
        ("swapped", texts.swapped(wallet, sizes.swapped, now=now)),
    ):
        _say.print(f"判断 / judging: {name}")
        async for shown, results in _judged(parts, made):
            take(name, shown, results)
    for name, make, number in (
        ("forged", texts.forged, sizes.sent),
        ("swapped", texts.swapped, sizes.sent // 4),
        ("stale", texts.stale, sizes.sent // 4),
    ):
        _say.print(f"送往两个节点 / sending to both nodes: {number} {name}")
        shown = list(make(wallet, number, now=int(time.time())))
        take(name, shown, await nodes.redeem(shown))
    shown = list(texts.tokens_swapped(issued))
    take("token", shown, await nodes.redeem(shown))
    refused, doubled, more = await _good_and_replayed(wallet, nodes, sizes, issued)
    return Seen(accepted + doubled, refused, doubled, (*wrong, *more))


async def _good_and_replayed(
    wallet: Wallet, nodes: Nodes, sizes: Sizes, issued: Sequence[str]
) -> tuple[int, int, tuple[str, ...]]:
    """Return how many genuine codes were refused, and how many uses there were beyond each code's one."""
    _say.print(f"有效码 {sizes.good}，重放 {sizes.replayed} / good codes and replays")
    refused, doubled, wrong = 0, 0, list[str]()
    genuine = [Shown(text, texts.Purpose.VISIT) for text in issued]
    genuine += texts.good(wallet, sizes.good - len(genuine), now=int(time.time()))
    for part in _parts(iter(genuine), 2_000):
        results = await nodes.redeem(part)
        bad = [(each, result) for each, result in zip(part, results, strict=True) if result != ACCEPTED]
        refused += len(bad)
        wrong += [f"refused with {result}: {each.text}" for each, result in bad[:5]]
    for _ in range(0, sizes.replayed, 10_000):
        codes = list(texts.good(wallet, min(10_000, sizes.replayed) // (COPIES - 1), now=int(time.time())))
        copies = [each for each in codes for _ in range(COPIES)]
        results = await nodes.redeem(copies)
        uses = Counter(each.text for each, result in zip(copies, results, strict=True) if result == ACCEPTED)
        doubled += sum(number - 1 for number in uses.values())
        refused += sum(each.text not in uses for each in codes)
        wrong += [f"used {number} times: {text}" for text, number in uses.items() if number > 1][:5]
    return refused, doubled, tuple(wrong)


async def _issued_with_tokens(parts: Parts, wallet: Wallet, number: int) -> list[str]:
    """Issue two-in-one and offline codes by the platform's own verbs, to as many people: a swap is then one."""
    made = []
    for position, vuid in enumerate(wallet.draw.sample(wallet.vuids, number)):
        wanted = NewCode(vuid=vuid, code_class="visit", ttl_s=1275, kind="offline" if position % 2 else "dynamic")
        token = "" if position % 2 else f"P.{wallet.draw.randbytes(20).hex()}"
        common = {"scope": PLATFORM, "issuer_id": "drill", "request_id": "drill", "now": clock.now()}
        order = Order(wanted=wanted, token=token, **common)
        verb = service.issue_with_token if token else service.issue
        async with parts.db.transaction() as connection:
            code = await verb(connection, parts.vault, order)
        made.append(code.text)
    return made


async def _judged(parts: Parts, made: Iterable[Shown]) -> AsyncIterator[tuple[list[Shown], list[str]]]:
    """Read and judge without the database, as if every account were there and every code fresh."""
    verifier = Verifier(parts.vault)
    terminal = Caller(caller_id="drill", kind="terminal", name="drill", institution_id=None)
    for part in _parts(iter(made), _CHUNK):
        items = [item(each, terminal) for each in part]
        await verifier.read(items)
        for each in items:
            each.found = Found(
                fresh=True,
                caller_state="approved",
                throttled_until=None,
                account=_account(each.code.vuid) if each.code else None,
                earlier=None,
                policy=Policy(),
                person=(),
            )
        decide(items)
        yield part, [each.refusal.code if each.refusal else ACCEPTED for each in items]


def _account(vuid: str) -> KnownAccount:
    return KnownAccount(vuid, _NOBODY, "active", static_allowed=True, codes_valid_from=None)


def _parts(made: Iterator[Shown], size: int) -> Iterator[list[Shown]]:
    while part := list(islice(made, size)):
        yield part


def _self_test(platform: LocalPlatform, seed: int) -> list[str]:
    """Run the drill once for each planted bug; return the bugs that it saw."""
    caught = []
    for name in PLANTS:
        done = subprocess.run(
            [sys.executable, __file__, "--plant", name, "--settings", str(platform.settings_path), "--seed", str(seed)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode == 1 and "seen:" in done.stdout:
            caught.append(name)
        _say.print(f"植入 / planted {name}: {done.stdout.strip() or done.stderr[-600:]}")
    return caught


def _planted(arguments: argparse.Namespace) -> int:
    PLANTS[arguments.plant]()
    seen = asyncio.run(_run_planted(arguments))
    bad = seen.accepted + seen.refused_good + seen.double_use
    print(f"seen: accepted={seen.accepted} refused_good={seen.refused_good} double_use={seen.double_use}")
    return 1 if bad else 0


async def _run_planted(arguments: argparse.Namespace) -> Seen:
    parts = assemble(load(arguments.settings))
    names = [f"bench-terminal-{number:03d}" for number in range(TERMINALS)]
    nodes = LocalNodes(parts, names, institution_id=_population.HOSPITAL)
    try:
        return await run(parts, nodes, TINY, arguments.seed)
    finally:
        await nodes.close()
        await parts.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
