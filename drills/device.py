"""``ymt drill device``: the crypto machine is lost under load; nothing verifies falsely, nothing is lost.

A real core process works with keys in a machine behind the tests' own GM/T 0018 library. Terminals show genuine codes,
each until it is accepted and always under the same idempotency key, and forged ones between them. In the midst of it
the machine is gone for ``--seconds``. Counted are:

- ``verified_falsely``: forged codes that were accepted, ever, and codes that were accepted twice;
- ``lost``: uses that were acknowledged and are not in the records or can be used again, and genuine codes that were
  not accepted in the end;
- ``wrong``: answers during the loss that were neither of the lost device (retryable) nor a refusal of a forgery;
- ``recovered_s``: from the machine's return to the first acceptance, without a restart of anything.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import secrets
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "crypto"))

import _population
import sdf_machines

from yimatong.apps.assembly import assemble
from yimatong.cards.codec import CodeClass, Valid, dynamic_text, seal_valid
from yimatong.cards.codes import policies
from yimatong.cli import configuration
from yimatong.cli.platform import LocalPlatform, make_keys
from yimatong.cli.postgres import temporary_home
from yimatong.kit import clock
from yimatong_sdk import AnswerNotGenuine, ApiError, Client, PlatformUnreachable

ACCEPTED, USED, LOST, UNREADABLE, FORGED = "ok", "CRD-2004", "CRY-5001", "CRD-2001", "CRD-2002"
BUSY = "CRY-6002"
ACCOUNTS = 2_000
CODES = 60_000
TTL_S = 1275
SHOWN_AGAIN = 1_000
_GRACE_S = 15.0
_say = Console(stderr=True, soft_wrap=True, highlight=False)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill device", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long the machine is away")
    parser.add_argument("--before", type=float, default=5, help="seconds of load before the loss")
    parser.add_argument("--after", type=float, default=10, help="seconds of load after the return")
    parser.add_argument("--terminals", type=int, default=8, help="how many ask at once")
    parser.add_argument("--machines", type=int, default=1, help="all of them are lost; with two, first one alone")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    return parser.parse_args(argv)


class Seen:
    """What the terminals saw; shared by their threads."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.accepted: dict[str, str] = {}
        self.never: list[str] = []
        self.forged_accepted: list[str] = []
        self.answers: dict[str, Counter[str]] = {phase: Counter() for phase in ("before", "lost", "after")}
        self.phase = "before"
        self.first_after: float | None = None


class Terminal(threading.Thread):
    """Shows codes one after another; every third one is forged."""

    def __init__(self, client: Client, codes: list[str], seen: Seen, stop: threading.Event, seed: int) -> None:
        super().__init__(daemon=True)
        self._client, self._codes, self._seen, self._stop_event = client, codes, seen, stop
        self._draw = random.Random(seed)

    def run(self) -> None:
        """Work until told to stop; a code that was begun is brought to its end."""
        while self._codes and not self._stop_event.is_set():
            code = self._codes.pop()
            if self._draw.random() < 1 / 3:
                self._forge(code)
            self._redeem(code)

    def _redeem(self, code: str) -> None:
        key, until = uuid.uuid4().hex, 0.0
        while True:
            answer, record = self._ask(code, key)
            if answer == ACCEPTED:
                with self._seen.lock:
                    self._seen.accepted[code] = record
                return
            if self._stop_event.is_set():
                until = until or time.monotonic() + _GRACE_S
                if time.monotonic() > until:
                    with self._seen.lock:
                        self._seen.never.append(f"{answer}: {code}")
                    return
            time.sleep(0.02)

    def _forge(self, code: str) -> None:
        place = len(code) - 1 - self._draw.randrange(8)
        other = self._draw.choice([each for each in "0123456789ABCDEF" if each != code[place]])
        forged = code[:place] + other + code[place + 1 :]
        if self._ask(forged, uuid.uuid4().hex)[0] == ACCEPTED:
            with self._seen.lock:
                self._seen.forged_accepted.append(forged)

    def _ask(self, code: str, key: str) -> tuple[str, str]:
        phase, record = self._seen.phase, ""
        try:
            record = str(self._client.verify_code(code, purpose="visit", idempotency_key=key)["record_id"])
            answer = ACCEPTED
        except ApiError as error:
            answer = error.code
        except (AnswerNotGenuine, PlatformUnreachable) as error:
            answer = type(error).__name__
        with self._seen.lock:
            if phase == self._seen.phase:  # an answer across a change of phase belongs to neither
                self._seen.answers[phase][answer] += 1
            if answer == ACCEPTED and self._seen.phase == "after" and self._seen.first_after is None:
                self._seen.first_after = time.monotonic()
        return answer, record


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when something verified falsely, was lost, or did not recover."""
    arguments = parse(argv)
    print(f"seed {arguments.seed}", flush=True)
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=_say.print)
        machines = [sdf_machines.machine(home, f"machine-{number + 1}") for number in range(arguments.machines)]
        for each in machines:
            for place in home.glob(f"{each.library.name}*"):
                place.chmod(0o755)
        try:
            platform.start_base(["core"])
            use_machines(platform, machines)
            seen, back, secrets_of = asyncio.run(_drill(platform, machines, arguments))
            doubled, missing = _look_again(platform, seen, secrets_of)
        finally:
            platform.stop()
    return _report(seen, machines, arguments, back=back, doubled=doubled, missing=missing)


def use_machines(platform: LocalPlatform, machines: Sequence[sdf_machines.Simulated]) -> None:
    """Put the platform's keys into machines instead of the keystore."""
    path = platform.settings_path
    values = configuration.read(path) | {
        "device": "sdf",
        "crypto_machines": [msgspec.to_builtins(each.settings, enc_hook=str) for each in machines],
    }
    configuration.put(path, values)
    platform.settings.keystore.unlink()
    make_keys(platform.settings)


async def _drill(
    platform: LocalPlatform, machines: Sequence[sdf_machines.Simulated], arguments: argparse.Namespace
) -> tuple[Seen, float, dict[str, bytes]]:
    parts = assemble(platform.settings)
    secrets_of = await _population.enrol_terminals(parts, arguments.terminals)
    await _population.load(parts, ACCOUNTS)
    policy = policies.CodePolicy(subject=_population.HOSPITAL, rubbish_max=policies.RUBBISH_MAX_MAX)
    async with parts.db.transaction() as connection:
        await policies.put(connection, policy, operator_id="drill", now=clock.now())
    vuids = [_population.vuid_of(number) for number in range(ACCOUNTS)]
    by_version = await parts.vault.valid_keys(vuids)
    codes = _codes(dict(zip(vuids, by_version[max(by_version)], strict=True)), random.Random(arguments.seed))
    await asyncio.to_thread(platform.start_processes, ["core"])
    await parts.close()
    seen, back = await asyncio.to_thread(_load, platform, machines, arguments, secrets_of, codes)
    return seen, back, secrets_of


def _codes(keys: Mapping[str, bytes], draw: random.Random) -> list[str]:
    now, vuids = int(time.time()), list(keys)
    made = []
    for _ in range(CODES):
        vuid = draw.choice(vuids)
        valid = Valid(CodeClass.VISIT, now, TTL_S, draw.randbytes(5))
        made.append(dynamic_text(vuid, seal_valid(keys[vuid], valid)))
    return made


def _load(
    platform: LocalPlatform,
    machines: Sequence[sdf_machines.Simulated],
    arguments: argparse.Namespace,
    secrets_of: Mapping[str, bytes],
    codes: list[str],
) -> tuple[Seen, float]:
    seen, stop = Seen(), threading.Event()
    clients = [
        Client(platform.addresses.core, caller_id=name, secret_hex=secret.hex(), retries=0)
        for name, secret in secrets_of.items()
    ]
    terminals = [Terminal(client, codes, seen, stop, arguments.seed + number) for number, client in enumerate(clients)]
    for each in terminals:
        each.start()
    time.sleep(arguments.before)
    for number, each in enumerate(machines):
        _say.print(f"{each.settings.name} 断开 / is gone")
        each.lose(after=number)
        if number + 1 < len(machines):
            time.sleep(2)
    time.sleep(0.2)  # calls that were inside have their answer
    _turn(seen, "lost")
    time.sleep(arguments.seconds)
    _turn(seen, "after")
    back = time.monotonic()
    for each in machines:
        each.bring_back()
    _say.print("恢复 / is back")
    time.sleep(arguments.after)
    stop.set()
    for terminal in terminals:
        terminal.join(_GRACE_S + 30)
    for client in clients:
        client.close()
    seen.never += [f"stuck: {each.name}" for each in terminals if each.is_alive()]
    return seen, back


def _turn(seen: Seen, phase: str) -> None:
    with seen.lock:
        seen.phase = phase


def _look_again(platform: LocalPlatform, seen: Seen, secrets_of: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    """Return what was used twice, or can be used again, and acknowledged uses that are in no record."""
    with psycopg.connect(platform.settings.database_url) as connection:
        rows = connection.execute(
            "SELECT record_id FROM cards_code_record WHERE event = 'verified' AND result = 'ok'"
        ).fetchall()
    records, acknowledged = {str(row[0]) for row in rows}, set(seen.accepted.values())
    doubled = sorted(records - acknowledged)
    name, secret = next(iter(secrets_of.items()))
    client = Client(platform.addresses.core, caller_id=name, secret_hex=secret.hex(), retries=2)
    for code in list(seen.accepted)[:: max(len(seen.accepted) // SHOWN_AGAIN, 1)]:
        try:
            client.verify_code(code, purpose="visit")
            doubled.append(f"accepted again: {code}")
        except ApiError as error:
            if error.code != USED:
                doubled.append(f"{error.code} instead of {USED}: {code}")
    client.close()
    return doubled, [code for code, record in seen.accepted.items() if record not in records]


def _report(
    seen: Seen,
    machines: Sequence[sdf_machines.Simulated],
    arguments: argparse.Namespace,
    *,
    back: float,
    doubled: Sequence[str],
    missing: Sequence[str],
) -> int:
    for phase, answers in seen.answers.items():
        _say.print(f"{phase}: {dict(answers)}")
    allowed = {LOST, BUSY, UNREADABLE, FORGED}
    wrong = {answer: number for answer, number in seen.answers["lost"].items() if answer not in allowed}
    lines = [*seen.forged_accepted, *doubled, *missing, *seen.never, *(f"during the loss: {each}" for each in wrong)]
    lines += [f"against GM/T 0018: {breach}" for each in machines for breach in each.breaches]
    for line in lines[:20]:
        print(line)
    falsely, lost = len(seen.forged_accepted) + len(doubled), len(missing) + len(seen.never)
    recovered = seen.first_after - back if seen.first_after else None
    refused = sum(number for answer, number in seen.answers["lost"].items() if answer in {LOST, BUSY})
    print(
        f"figure: device lost_s={arguments.seconds:.0f} verified_falsely={falsely} lost={lost} "
        f"recovered_s={'never' if recovered is None else f'{recovered:.2f}'} refused={refused} "
        f"accepted={len(seen.accepted)} wrong={sum(wrong.values())} machines={len(machines)} seed={arguments.seed}"
    )
    bad = falsely or lost or wrong or recovered is None or not refused or lines
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
