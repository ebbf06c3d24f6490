"""``ymt bench import``: a list of residents becomes accounts by the path of ``ymt import``, against bare COPY.

Ours: reading and staging the CSV, checking every row, blinds and search tokens, VUIDs by the crypto device, sealed
persons and contributions, accounts with their history, announcements; chunk by chunk, each resumable. ``registry_s``:
how long the worker then needs until the registry has heard of everybody. Baseline: the
same final rows copied (binary COPY, one transaction a table) into the same emptied tables with their indexes.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _residents
from _signed import settle

from yimatong.access.caller import PLATFORM
from yimatong.apps.assembly import assemble
from yimatong.cards.batches import service
from yimatong.cards.batches.schemas import BatchView
from yimatong.cards.batches.service import Options
from yimatong.cards.registry import tasks as registry
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home
from yimatong.kit import clock
from yimatong.kit.outbox import Relay
from yimatong.kit.settings import Settings

TABLES = (
    *("empi_certificate", "empi_person", "empi_contribution"),
    *("cards_account", "cards_account_event", "cards_tag", "kit_outbox"),
)
HEADING = ("姓名", "性别", "出生日期", "证件类型", "证件号码", "联系电话", "家庭住址")
_say = Console(stderr=True)


def write_list(path: Path, count: int) -> None:
    """Write the list as a county would send it."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADING)
        writer.writerows(person.values() for person in _residents.residents(0, count))


async def ours(settings: Settings, path: Path) -> BatchView:
    """Import the list as the command does, and return its batch."""
    parts = assemble(settings)
    taken = await service.receive(
        parts.db,
        parts.vault,
        path,
        Options(kind="residents", tag="贫困人口"),
        file_name=path.name,
        made_by="bench",
        now=clock.now(),
    )
    async with parts.db.transaction() as tx:
        await service.start(tx, taken.batch_id, scope=PLATFORM, now=clock.now(), queue=False)
    started, done = time.perf_counter(), 0

    def say(rows: int, _bad: int) -> None:
        nonlocal done
        done += rows
        if done % 50_000 < rows:
            _say.print(f"  {done:,}  {done / (time.perf_counter() - started):,.0f}/s")

    found = await service.run(parts.db, parts.vault, taken.batch_id, clock=clock.now, say=say)
    await parts.close()
    return found


async def heard(settings: Settings) -> float:
    """Carry the news of the import to the registry as the worker does; return the seconds until nothing waits."""
    parts = assemble(settings)
    relay = Relay(parts.db, registry.handlers(parts.db, parts.vault))
    started = time.perf_counter()
    while await relay.deliver_due(now=clock.now()):
        pass
    seconds = time.perf_counter() - started
    await parts.close()
    return seconds


def copied(url: str, folder: Path) -> float:
    """Copy the rows out, empty the tables, copy them in again; return the seconds of copying in."""
    seconds = 0.0
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            with (
                (folder / table).open("wb") as file,
                connection.cursor().copy(f"COPY {table} TO STDOUT WITH (FORMAT BINARY)") as copy,
            ):
                for block in copy:
                    file.write(block)
        connection.execute("SET session_replication_role = replica")  # histories refuse to be emptied otherwise
        connection.execute(f"TRUNCATE {', '.join(TABLES)}")
        connection.execute("CHECKPOINT")
        connection.execute("SET session_replication_role = origin")
        for table in TABLES:
            started = time.perf_counter()
            with (
                (folder / table).open("rb") as file,
                connection.cursor().copy(f"COPY {table} FROM STDIN WITH (FORMAT BINARY)") as copy,
            ):
                while block := file.read(1 << 20):
                    copy.write(block)
            seconds += time.perf_counter() - started
            _say.print(f"  {table}  {time.perf_counter() - started:.1f} s")
    return seconds


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt bench import", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure."""
    arguments = parse(argv)
    with temporary_home("ymt-bench-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start_base()
            url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
            path = home / "list.csv"
            write_list(path, arguments.rows)
            settle(url)
            _say.print(f"导入 / importing {arguments.rows:,} residents")
            started = time.perf_counter()
            found = asyncio.run(ours(platform.settings, path))
            seconds = time.perf_counter() - started
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT count(*) FROM cards_account").fetchone()
            registry_s = asyncio.run(heard(platform.settings))
            with psycopg.connect(url) as connection:
                told = connection.execute(
                    "SELECT count(*) FROM cards_registry_resident WHERE vuid IS NOT NULL"
                ).fetchone()
            everybody = (arguments.rows,)
            good = (found.state, found.opened, found.bad) == ("done", arguments.rows, 0) and row == told == everybody
            settle(url)
            _say.print("基线 COPY / baseline: the same rows into the same tables")
            base = copied(url, home)
        finally:
            platform.stop()
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    per_s, base_per_s = arguments.rows / seconds, arguments.rows / base
    print(
        f"figure: import rows={arguments.rows} errors={0 if good else 1} rows_per_s={per_s:.0f}"
        f" minutes_per_million={1e6 / per_s / 60:.2f} copy_baseline_rows_per_s={base_per_s:.0f}"
        f" ratio={per_s / base_per_s:.3f} registry_s={registry_s:.1f} memory_mb={memory_mb:.0f}"
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
