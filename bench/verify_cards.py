"""``ymt bench verify-cards``: ``ymt verify cards`` over a province's registry and accounts that agree, with its memory.

Every account has its entry in the registry, every fourth resident a physical card that both sides know. The command
runs as an operator runs it, in a process of its own; ``memory_mb`` is the most memory that process had.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))

import _population
from _signed import settle

from yimatong.apps.assembly import assemble
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home

_say = Console(stderr=True)
_REGISTRY = """
    INSERT INTO cards_registry_resident (id_type, id_blind, mpi, vuid, account_state, account_version, synchronised_at)
    SELECT '01', substr(sha256(vuid::bytea), 1, 16), mpi, vuid, state, 1, now() FROM cards_account
"""
_CARDS = """
    INSERT INTO cards_physical_card (card_id, card_type, number_blind, number_end, sealed, issuer, state, id_type,
                                     id_blind, vuid, issued_at, changed_at)
    SELECT 'pcd_' || md5(vuid), '01', substr(sha256(('n' || vuid)::bytea), 1, 16), right(vuid, 4),
           decode(repeat('ab', 60), 'hex'), '435628013', 'issued', id_type, id_blind, vuid, now(), now()
    FROM cards_registry_resident WHERE vuid < '4'
"""
_LINKS = """
    INSERT INTO cards_account_card (card_id, vuid, card_type, number_end, issuer, state, version, issued_at, heard_at)
    SELECT card_id, vuid, card_type, number_end, issuer, state, version, issued_at, now() FROM cards_physical_card
"""


def main(argv: Sequence[str]) -> int:
    """Load both sides, run the command and print the figure."""
    parser = argparse.ArgumentParser(prog="ymt bench verify-cards", description=__doc__)
    parser.add_argument("--number", type=int, default=100_000, help="accounts")
    arguments = parser.parse_args(argv)
    with temporary_home("ymt-bench-") as home:
        platform = LocalPlatform(home, report=_say.print)
        try:
            platform.start_base()
            asyncio.run(_load(platform, arguments.number))
            found = _verified(platform)
            memory_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024  # the database still runs
        finally:
            platform.stop()
    print(f"figure: verify-cards {found} memory_mb={memory_mb:.0f}")
    return 0


async def _load(platform: LocalPlatform, number: int) -> None:
    parts = assemble(platform.settings)
    await _population.enrol_terminals(parts, 1)
    await _population.load(parts, number)
    await parts.close()
    with psycopg.connect(platform.settings.database_url, autocommit=True) as connection:
        for statement in (_REGISTRY, _CARDS, _LINKS):
            connection.execute(statement)
    url = platform.database.admin_url("yimatong") if platform.database else platform.settings.database_url
    await asyncio.to_thread(settle, url)


def _verified(platform: LocalPlatform) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "yimatong.cli.main", "verify", "cards"],
        env=dict(os.environ) | {"YMT_SETTINGS": str(platform.settings_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    figure = re.search(r"^figure: verify-cards (.*)$", done.stdout, re.MULTILINE)
    if done.returncode or figure is None:
        message = f"ymt verify cards: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise SystemExit(message)
    return figure[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
