"""``ymt drill keys``: keys rotate under load, and everything sealed is sealed anew through SIGKILLs; nothing is lost.

Two core processes issue and verify codes without a pause while two custodians work with ``ymt keys``: generate, rotate,
rotate again, switch the oldest off. Every version that the records name is compared with the one that opens the code.
Then stored data is sealed anew by the worker and by ``ymt keys reseal``, both killed again and again in the middle,
while others update and insert, some under the old key still; then the old version is destroyed. Counted are:

- ``refused_good``: valid codes that were refused; ``wrong_version``: records that name another version;
- ``vuids_changed``: accounts whose card ID changed; ``accepted_after_switch_off``: codes of the version that is off;
- ``lost_updates``: rows that hold something else than was last written; ``unopened``: sealed values that do not open.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))

sys.path.insert(0, str(Path(__file__).parent))

import _population
from _keys_cast import CUSTODIANS, Custodians, Load, Seen, Writer, say

from yimatong.access import callers, operators, resealing
from yimatong.access.ceremony.destroying import SETTLE
from yimatong.access.resealing import SealedColumn
from yimatong.apps.assembly import Parts, assemble
from yimatong.apps.sealed import places
from yimatong.cards.codec import open_valid
from yimatong.cards.codec import parse as parse_code
from yimatong.cli.platform import LocalPlatform
from yimatong.cli.postgres import temporary_home
from yimatong.crypto import keys
from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.errors import SealBroken
from yimatong.crypto.sealing import Sealer
from yimatong.kit import clock
from yimatong_sdk import ApiError, Client

HIS: Final = "drill-his"
PROTECTION: Final = KeyUsage.PROTECTION


class Sizes(NamedTuple):
    """How many accounts, clients and codes kept for the switch-off, kills, and seconds of load between two steps."""

    accounts: int
    clients: int
    held: int
    kills: int
    pause_s: float


FULL = Sizes(40_000, 6, 400, 12, 10.0)
QUICK = Sizes(6_000, 3, 40, 3, 0.5)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(prog="ymt drill keys", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small run, for tests")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run the drill and print the figure; 1 when anything was lost or wrongly refused or taken."""
    sizes = QUICK if parse(argv).quick else FULL
    seen, began = Seen(), time.monotonic()
    with temporary_home("ymt-drill-") as home:
        platform = LocalPlatform(home, report=say.print)
        names = ["core", "core@2", "worker"]
        try:
            platform.start_base(names)
            custodians = Custodians(platform)
            terminals, his = asyncio.run(_people(platform, custodians, sizes))
            platform.start_processes(names)
            with_clients = _clients(platform, terminals, his, sizes)
            _rotate_under_load(platform, custodians, with_clients, seen, sizes)
            asyncio.run(_judge_versions(platform, seen))
            asyncio.run(_reseal(platform, custodians, seen, sizes))
        finally:
            platform.stop()
    for line in seen.bad[:20]:
        print(line)
    print(
        f"figure: keys rotations={seen.rotations} codes={len(seen.codes)} refused_good={len(seen.refused)} "
        f"vuids_changed={len(seen.changed)} accepted_after_switch_off={len(seen.accepted_off)} "
        f"wrong_version={len(seen.wrong_version)} reseal_rows={seen.rows} reseal_kills={seen.kills} "
        f"lost_updates={len(seen.lost)} unopened={len(seen.unopened)} nodes=2 "
        f"seconds={time.monotonic() - began:.0f}"
    )
    return 1 if seen.bad or not seen.codes or not seen.rows else 0


async def _people(platform: LocalPlatform, custodians: Custodians, sizes: Sizes) -> tuple[dict[str, bytes], bytes]:
    parts = assemble(platform.settings)
    try:
        terminals = await _population.enrol_terminals(parts, sizes.clients)
        await _population.load(parts, sizes.accounts)
        secret = secrets.token_bytes(32)
        async with parts.db.transaction() as connection:
            await callers.enrol(
                connection,
                parts.vault,
                caller_id=HIS,
                kind="institution",
                name="演练医院信息系统",
                institution_id=_population.HOSPITAL,
                secret=secret,
                now=clock.now(),
            )
            for login in CUSTODIANS:
                await operators.add(
                    connection,
                    login=login,
                    name=login,
                    roles=frozenset({"key_custodian"}),
                    password=custodians.password,
                    institution_id=None,
                    now=clock.now(),
                )
        return terminals, secret
    finally:
        await parts.close()


def _clients(
    platform: LocalPlatform, terminals: dict[str, bytes], his: bytes, sizes: Sizes
) -> Callable[[int], tuple[Client, Client]]:
    names = sorted(terminals)

    def make(number: int) -> tuple[Client, Client]:
        name = names[number % sizes.clients]
        core = platform.addresses.core
        return (
            Client(core, caller_id=HIS, secret_hex=his.hex()),
            Client(core, caller_id=name, secret_hex=terminals[name].hex()),
        )

    return make


def _rotate_under_load(
    platform: LocalPlatform,
    custodians: Custodians,
    make: Callable[[int], tuple[Client, Client]],
    seen: Seen,
    sizes: Sizes,
) -> None:
    vuids = [_population.vuid_of(number) for number in range(sizes.accounts)]
    before = _accounts(platform)
    stop = threading.Event()
    threads = [Load(seen, *make(number), vuids, stop) for number in range(sizes.clients)]
    his, _ = make(0)

    def hold() -> list[str]:
        return [his.issue_code(vuid, code_class="visit", ttl_s=1275)["text"] for vuid in vuids[: sizes.held]]

    first = hold()
    for thread in threads:
        thread.start()
    try:
        for request in (["generate", "protection"], ["rotate", "protection"]):
            time.sleep(sizes.pause_s)
            custodians.agree(*request)
        for text in first:  # made before the rotation, shown after it: the other version is tried
            if (code := _verify(make, text)) != "ok":
                seen.refused.append(f"refused with {code} after a rotation: {text}")
        second = hold()
        time.sleep(sizes.pause_s)
        custodians.agree("rotate", "protection", "--emergency")
        seen.rotations = 2
        time.sleep(sizes.pause_s)
        custodians.agree("switch-off", "protection", "2", "--emergency")
        for text in second:
            if _verify(make, text) == "ok":
                seen.accepted_off.append(f"accepted though its version is off: {text}")
        time.sleep(sizes.pause_s)
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    after = _accounts(platform)
    seen.changed += [f"account of {mpi} changed" for mpi in before if before[mpi] != after.get(mpi)]


def _verify(make: Callable[[int], tuple[Client, Client]], text: str) -> str:
    _, terminal = make(secrets.randbelow(100))  # a connection of its own: either process may answer
    with terminal:
        try:
            terminal.verify_code(text, purpose="visit")
        except ApiError as refusal:
            return refusal.code
    return "ok"


def _accounts(platform: LocalPlatform) -> dict[UUID, str]:
    with psycopg.connect(platform.settings.database_url) as connection:
        return dict(connection.execute("SELECT mpi, vuid FROM cards_account").fetchall())


async def _judge_versions(platform: LocalPlatform, seen: Seen) -> None:
    """Compare the version that each record names with the one whose key opens the code."""
    with psycopg.connect(platform.settings.database_url) as connection:
        named = dict(connection.execute("SELECT record_id, key_version FROM cards_code_record").fetchall())
    parts = assemble(platform.settings)
    try:
        device, issuer = parts.vault.device, parts.vault.issuer
        versions = [info.version for info in device.key_versions(PROTECTION)]
        blocks = {
            version: _code_keys(device, version, issuer, [code[1] for code in seen.codes]) for version in versions
        }
        for position, (text, _, issued, verified) in enumerate(seen.codes):
            opens = [version for version in versions if _opens(blocks[version][position], text)]
            if opens != [named.get(issued)] or opens != [named.get(verified)]:
                seen.wrong_version.append(f"{text}: opened by {opens}, recorded {named.get(issued)}")
    finally:
        await parts.close()


def _code_keys(device: Any, version: int, issuer: str, vuids: Sequence[str]) -> list[bytes]:
    """Derive as ``keys.valid_keys`` does, also for a version that is off: a judge may look."""
    blocks = keys._valid_blocks(issuer, vuids)  # noqa: SLF001 -- the drill judges what the platform did
    return keys._cut(device.encrypt_blocks(PROTECTION, version, blocks))  # noqa: SLF001


def _opens(key: bytes, text: str) -> bool:
    try:
        return bool(open_valid(key, parse_code(text).valid))
    except Exception:  # noqa: BLE001 -- another key: whatever it says, it does not open
        return False


async def _reseal(platform: LocalPlatform, custodians: Custodians, seen: Seen, sizes: Sizes) -> None:
    parts = assemble(platform.settings)
    try:
        stop = threading.Event()
        new = await parts.vault.sealer()
        old = await _sealer_of(parts, 2)
        writer = Writer(platform.settings.database_url, new, old, sizes.accounts, stop)
        writer.start()
        await asyncio.to_thread(_kill_often, platform, custodians, seen, sizes, parts.settings.database_url)
        stop.set()
        await asyncio.to_thread(writer.join)
        if writer.failure:
            seen.lost.append(writer.failure)
        while True:  # what the slow writer sealed under the old key is found by the next walk
            await asyncio.to_thread(custodians.run, "reseal")
            left = await resealing.remaining(parts.db, places(parts.settings), 2)
            if not any(left.values()):
                break
        async with parts.db.read() as connection:
            seen.rows = sum(each.resealed for each in await resealing.progress(connection))
        await _open_everything(parts, seen, writer.written)
        await asyncio.sleep(SETTLE.total_seconds())  # counted from the rotation; nothing is asked for before
        await asyncio.to_thread(custodians.agree, "destroy", "protection", "2", "--emergency")
        await _open_everything(parts, seen, writer.written)
    finally:
        await parts.close()


async def _sealer_of(parts: Parts, version: int) -> Sealer:
    """Return the sealer of somebody who has not heard of the newest version yet."""
    return Sealer({version: keys.data_key(parts.vault.device, "seal:personal", version)}, version)


def _kill_often(platform: LocalPlatform, custodians: Custodians, seen: Seen, sizes: Sizes, url: str) -> None:
    """Let the worker and a command seal anew, and kill both in the middle, again and again."""
    step = sizes.accounts // (sizes.kills + 1)
    for number in range(1, sizes.kills + 1):
        with custodians.start("reseal") as process:
            _wait_until(url, step * number, process)
            process.kill()
            platform.kill("worker")
            seen.kills += 2
        platform.restart("worker")


def _wait_until(url: str, rows: int, process: subprocess.Popen[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while process.poll() is None:
            row = connection.execute(
                "SELECT resealed FROM access_resealing WHERE place = 'empi_person.sealed' AND version = 3"
            ).fetchone()
            if row is not None and row[0] >= rows:
                return
            time.sleep(0.02)


async def _open_everything(parts: Parts, seen: Seen, written: dict[UUID, bytes]) -> None:
    for place in places(parts.settings):
        if not isinstance(place, SealedColumn):
            continue
        sealer = await parts.vault.sealer(place.purpose)
        columns = [place.table.c[name] for name in (*place.key, place.column)]
        async with parts.db.read() as connection:
            rows = (await connection.execute(select(*columns))).all()
        for row in rows:
            if not row[-1]:
                continue
            try:
                plain = sealer.unseal(bytes(row[-1]), place.aad(*row[:-1]))
            except SealBroken:
                seen.unopened.append(f"does not open: {place.name} {row[:-1]}")
                continue
            if place.name == "empi_person.sealed" and written.get(row[0], plain) != plain:
                seen.lost.append(f"holds something else than was written last: {row[0]}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
