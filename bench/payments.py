"""``ymt bench payments``: orders placed, paid, booked and told over HTTP, against pgbench writing the same rows.

Ours: core processes and one worker of a new platform; a bare WeChat Pay and the hospitals' systems in this process
(``_payments_world``), and payers over keep-alive connections. Timed is everything from the first order to the last
hospital told, with the payers', the channel's and the hospitals' own work on the same cores. Baseline: pgbench with the
same statements and commits (``_payments_baseline``), alternating with ours on the same machine and database.

RSA is stated apart: an order costs two signatures and two verifications (ours signs the placing and verifies its answer
and the notice; the channel signs the notice, its answers to placings once a minute). ``per_s_without_rsa`` takes their
processor time, measured here, off the time of the run, divided by the cores that share it.

There is no contract for electronic receipts here: they are asked for after all this, and nobody waits for them.

At last ``--effects`` operations, orders and refunds mixed, are sent one to twenty times at once to both core processes:
each must have happened once (``_payments_effects``).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))

import _payments_baseline
import _payments_effects
import _sides
import psutil  # type: ignore[import-untyped]  # no stubs in the package
import psycopg
from _payments_payers import APP_ID, Hospital, Payers, Run
from _payments_world import KEY_ID, World, new_key, rsa_costs
from _sides import Figures, say
from _signed import settle

from yimatong.access import callers
from yimatong.access.callers import Institution
from yimatong.apps.assembly import assemble
from yimatong.cli import configuration
from yimatong.cli.binaries import find
from yimatong.cli.platform import LocalPlatform
from yimatong.crypto.gm.sm3 import HmacSm3
from yimatong.kit import clock
from yimatong.kit.masking import Secret
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount

HOSPITALS = 20
WARM_UP = 200
SIGNATURES, VERIFICATIONS = 2, 2
"""RSA operations of one order, both sides together."""
_UNSEALED = (
    "SELECT count(*) FROM kit_audit_event WHERE (txid, id) > "
    "(SELECT coalesce(max(upto_txid), '0'), coalesce(max(upto_id), 0) FROM kit_audit_seal WHERE seq = "
    "(SELECT max(seq) FROM kit_audit_seal))"
)


class Stage:
    """The platform of one run, its outside and its people."""

    def __init__(self, platform: LocalPlatform, arguments: argparse.Namespace) -> None:
        """Nothing is started before ``open``."""
        self.platform = platform
        self.arguments = arguments
        self.url = _sides.database(platform)
        self.key, self._private_pem, _ = new_key()
        self.secrets = {f"bench-his-{number:03d}": secrets.token_bytes(32) for number in range(HOSPITALS)}
        self.world = World(merchant_key=self.key, webhook_secrets=self.secrets)
        self.hospitals = [
            Hospital(name, HmacSm3(secret), f"19000{number:05d}")
            for number, (name, secret) in enumerate(self.secrets.items())
        ]
        self.cores = ["core", *(f"core@{number}" for number in range(2, arguments.processes + 1))]
        self.place = urlsplit(platform.addresses.core)

    async def open(self) -> None:
        """Start the outside, enrol the hospitals, start cores and worker."""
        await self.world.open()
        path = self.platform.settings_path
        outside = {"wechat_base_url": f"http://127.0.0.1:{self.world.port}", "receipts_secret": ""}
        configuration.put(path, {**configuration.read(path), **outside})
        await self._enrol()
        await asyncio.to_thread(self.platform.start_processes, [*self.cores, "worker"])

    async def _enrol(self) -> None:
        parts, now = assemble(self.platform.settings), clock.now()
        async with parts.db.transaction() as connection:
            for number, hospital in enumerate(self.hospitals):
                institution_id = f"bench-hospital-{number:03d}"
                found = Institution(
                    institution_id=institution_id,
                    name=f"基准医院 {number}",
                    kind="hospital",
                    org_code=f"{435628013 + number}",
                    region_code="610100",
                )
                await callers.add_institution(connection, found, now=now)
                await callers.enrol(
                    connection,
                    parts.vault,
                    caller_id=hospital.caller_id,
                    kind="institution",
                    name=hospital.caller_id,
                    institution_id=institution_id,
                    secret=self.secrets[hospital.caller_id],
                    now=now,
                    webhook_url=f"http://127.0.0.1:{self.world.port}/his/{number}",
                )
                await accounts.put_account(connection, parts.vault, self._account(number), now=now)
        await parts.close()

    def _account(self, number: int) -> ChannelAccount:
        return ChannelAccount(
            account_id=f"bench-wechat-{number:03d}",
            institution_id=f"bench-hospital-{number:03d}",
            channel="wechat",
            merchant_id=self.hospitals[number].merchant_id,
            app_id=APP_ID,
            secrets={
                "private_key_pem": Secret(self._private_pem),
                "serial_no": Secret("BENCH0001"),
                "api_v3_key": Secret(self.world.api_v3_key),
                "platform_key_id": Secret(KEY_ID),
                "platform_public_key_pem": Secret(self.world.public_pem),
            },
        )

    def payers(self, hospitals: list[Hospital]) -> Payers:
        """Return payers of so many hospitals."""
        return Payers(self.world, hospitals, host=self.place.hostname or "", port=self.place.port or 0)

    async def pay(self, hospitals: list[Hospital], number: int) -> Run:
        """Pay orders and say how fast, and whose processor time it took."""
        before = self._cpu_s()
        run = await self.payers(hospitals).run(number, connections=self.arguments.connections)
        say.print(
            f"  {number:,} orders of {len(hospitals)} hospitals: {run.per_s:,.0f}/s told, "
            f"{number / run.booked_s:,.0f}/s booked, p95 {run.p95_ms():.0f} ms, errors {run.errors}"
        )
        spent = {name: (seconds - before[name]) * 1000 / number for name, seconds in self._cpu_s().items()}
        said = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in spent.items())
        say.print(f"    处理器时间 / processor time in ms an order: {said}; together {sum(spent.values()):.2f}")
        return run

    def _cpu_s(self) -> Figures:
        """Return the seconds of processor time that each side has had so far."""

        def used(pids: Sequence[int]) -> float:
            spent = 0.0
            for pid in pids:
                with contextlib.suppress(psutil.NoSuchProcess):  # a process of the database that has ended meanwhile
                    times = psutil.Process(pid).cpu_times()
                    spent += times.user + times.system
            return spent

        register, database = self.platform.supervisor, self.platform.database
        postgres = psutil.Process(database.pid).children() if database and database.pid else []
        return {
            "cores": used([register.pid(name) for name in self.cores]),
            "worker": used([register.pid("worker")]),
            "payers, channel and hospitals": used([os.getpid()]),
            "PostgreSQL": used([each.pid for each in postgres]),
        }

    async def baseline(self, clients: int) -> float:
        """Run pgbench while our processes stand still, then let them seal its audit rows."""
        names = [*self.cores, "worker"]
        self._signal(names, signal.SIGSTOP)
        try:
            await asyncio.to_thread(settle, self.url)
            tps = await asyncio.to_thread(
                _payments_baseline.run,
                find(user=None) / "pgbench",
                self.url,
                hospitals=HOSPITALS,
                clients=clients,
                seconds=self.arguments.seconds,
            )
        finally:
            self._signal(names, signal.SIGCONT)
        say.print(f"  pgbench, {clients} clients: {tps:,.0f} orders/s")
        await asyncio.to_thread(self.sealed)
        return tps

    def sealed(self) -> None:
        """Wait until the audit is sealed, so that neither side pays for the other."""
        settle(self.url)
        with psycopg.connect(self.url, autocommit=True) as connection:
            for _ in range(600):
                row = connection.execute(_UNSEALED).fetchone()
                if row is None or not row[0]:
                    return
                connection.execute("SELECT pg_sleep(0.2)")

    def _signal(self, names: Sequence[str], number: int) -> None:
        for name in names:
            os.kill(self.platform.supervisor.pid(name), number)


async def _both(platform: LocalPlatform, arguments: argparse.Namespace) -> Figures:
    stage = Stage(platform, arguments)
    await stage.open()
    say.print("预热 / warming up")
    await stage.pay(stage.hospitals, WARM_UP)
    sweep = {clients: await stage.baseline(clients) for clients in _sides.CLIENTS if clients <= arguments.clients_max}
    clients = max(sweep, key=lambda count: sweep[count])
    runs, tps = list[Run](), list[float]()
    say.print(f"交替测量 / alternating, {arguments.rounds} rounds")
    for _ in range(arguments.rounds):
        runs.append(await stage.pay(stage.hospitals, arguments.number // arguments.rounds))
        tps.append(await stage.baseline(clients))
    hot = await stage.pay(stage.hospitals[:1], arguments.hot)
    figures = _figures(stage, runs, hot) | {"baseline_tps": sum(tps) / len(tps), "clients": clients}
    figures["ratio"] = figures["per_s"] / figures["baseline_tps"]
    paid = [order for run in runs for order in run.orders]
    figures |= await _payments_effects.run(
        stage.world, stage.hospitals, place=stage.place, paid=paid, number=arguments.effects, url=stage.url
    )
    figures["errors"] = figures["errors"] + figures.pop("effect_errors") + stage.world.wrong
    stage.world.close()
    return figures | {"processes": len(stage.cores) + 1}


def _figures(stage: Stage, runs: Sequence[Run], hot: Run) -> Figures:
    signing_s, verifying_s = rsa_costs(stage.key)
    number, seconds = sum(len(run.orders) for run in runs), sum(run.seconds for run in runs)
    rsa_s = SIGNATURES * signing_s + VERIFICATIONS * verifying_s
    say.print(
        f"RSA: {signing_s * 1000:.2f} ms a signature, {verifying_s * 1000:.3f} ms a verification, "
        f"{rsa_s * 1000:.2f} ms of processor time an order, both sides"
    )
    latencies = sorted(each for run in runs for each in run.latencies)
    everybody = [*runs, hot]
    doubled = sum(count > 1 for count in stage.world.told.values())
    return {
        "per_s": number / seconds,
        "per_s_without_rsa": number / (seconds - number * rsa_s / (os.cpu_count() or 1)),
        "hot_per_s": hot.per_s,
        "p95_ms": latencies[int(len(latencies) * 0.95)] * 1000,
        "n": number + len(hot.orders),
        "told_twice": doubled,
        "errors": sum(run.errors for run in everybody),
    }


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench payments", description=__doc__)
    parser.add_argument("--number", type=int, default=9_000, help="orders to time")
    parser.add_argument("--hot", type=int, default=2_000, help="orders of one merchant account to time")
    parser.add_argument("--rounds", type=int, default=3, help="how often ours and pgbench take turns")
    parser.add_argument("--clients-max", type=int, default=64, help="of the baseline's sweep")
    parser.add_argument("--effects", type=int, default=10_000, help="operations sent again and again at once")
    _sides.arguments_of(parser, connections=128)
    parser.set_defaults(seconds=6)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    figures = _sides.run(lambda platform: _both(platform, arguments))
    keys = ("per_s", "per_s_without_rsa", "hot_per_s", "p95_ms", "baseline_tps", "ratio", "effects", "repeats")
    return _sides.tell("payments", (*keys, "doubled", "n", "errors", "processes", "clients"), figures)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
