"""Reconciles a business day: fetch the bill, read our own movements, match, keep.

The bill is fetched before any transaction opens, the matching runs in a thread, and the books change in one
transaction at the end. A bill is kept on disk as it came, compressed and sealed (it carries payers' ids), under its
own SHA-256, so that any result can be proved later.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from time import monotonic

import msgspec

from yimatong.crypto.gm.sm3 import sm3
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.vault import Vault
from yimatong.kit.clock import business_date, day_bounds
from yimatong.kit.db import Database
from yimatong.kit.errors import PlatformError
from yimatong.payments import accounts
from yimatong.payments.channels.base import ChannelAccount, PaymentChannel
from yimatong.payments.errors import BillNotReady
from yimatong.payments.queries import day_movements
from yimatong.reconciliation import books, engine
from yimatong.reconciliation.bills.registry import bill_format
from yimatong.reconciliation.books import Day
from yimatong.reconciliation.errors import AccountUnknown, DayInFuture
from yimatong.reconciliation.log import ReconciliationLog
from yimatong.reconciliation.matching import DIFFERENCES, MATCHED, Finding, Movement, Tally

Say = Callable[[str], None]
"""Hears what is being done, Chinese and English in one line."""

_PURPOSE = "bills"


class AccountResult(msgspec.Struct, frozen=True, kw_only=True):
    """A day of one merchant account. ``state`` is done, empty (no bill, no movement) or failed (see ``error``)."""

    channel: str
    account_id: str
    institution_id: str
    state: str
    seconds: float
    version: int = 0
    bill_sha256: str = ""
    read_fast: bool = False
    tallies: list[Tally] = []
    findings: list[Finding] = []
    error: PlatformError | None = None

    @property
    def matched_rows(self) -> int:
        """Return how many pairs agree."""
        return sum(tally.bill_rows for tally in self.tallies if tally.klass == MATCHED)

    @property
    def differences(self) -> list[Finding]:
        """Return the findings that a person must work on."""
        return [finding for finding in self.findings if finding.klass in DIFFERENCES]


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A business day over all accounts that were asked for."""

    day: date
    accounts: list[AccountResult]

    @property
    def failed(self) -> list[AccountResult]:
        """Return the accounts that could not be reconciled."""
        return [account for account in self.accounts if account.error is not None]


async def run_day(
    db: Database,
    vault: Vault,
    channels: Mapping[str, PaymentChannel],
    *,
    day: date,
    data: Path,
    now: datetime,
    account_id: str | None = None,
    say: Say = lambda _text: None,
) -> RunResult:
    """Reconcile a Beijing calendar day of one merchant account, or of all; one that fails does not stop the others.

    Running a day again replaces its result. ``data``: the installation's folder; bills go to ``data/bills``.

    Raises:
        AccountUnknown: no such account. DayInFuture: the day has not begun at ``now``.
    """
    if day > business_date(now):
        raise DayInFuture(day=day)
    async with db.read() as connection:
        known = [account for name in sorted(channels) for account in await accounts.all_of(connection, vault, name)]
    wanted = [account for account in known if account_id in (None, account.account_id)]
    if account_id is not None and not wanted:
        raise AccountUnknown(account_id=account_id)
    results = []
    for account in wanted:
        desk = _Desk(db=db, vault=vault, channel=channels[account.channel], account=account, folder=data / "bills")
        results.append(await desk.reconcile(day, now=now, say=say))
    return RunResult(day=day, accounts=results)


def open_bill(path: Path, sealer: Sealer) -> bytes:
    """Return a kept bill as it came from the channel; ``sealer`` is the vault's for the purpose ``bills``.

    Raises:
        SealBroken: the file was altered or belongs to another name.
    """
    return gzip.decompress(sealer.unseal(path.read_bytes(), path.name.encode()))


class _Desk(msgspec.Struct, frozen=True, kw_only=True):
    """What one account's day needs."""

    db: Database
    vault: Vault
    channel: PaymentChannel
    account: ChannelAccount
    folder: Path

    async def reconcile(self, day: date, *, now: datetime, say: Say) -> AccountResult:
        began = monotonic()
        account = self.account
        base = Day(
            channel=account.channel,
            account_id=account.account_id,
            institution_id=account.institution_id,
            bill_date=day,
        )
        try:
            done = await self._reconcile(base, now=now, say=say)
        except PlatformError as error:
            ReconciliationLog.FAILED.emit(account_id=account.account_id, day=day.isoformat(), cause=error.code)
            async with self.db.transaction() as connection:
                await books.note_failure(connection, base, cause=error.code, started_at=now, now=now)
            done = self._result("failed", error=error)
        done = msgspec.structs.replace(done, seconds=round(monotonic() - began, 3))
        ReconciliationLog.DONE.emit(
            account_id=account.account_id,
            day=day.isoformat(),
            state=done.state,
            matched=done.matched_rows,
            differences=len(done.differences),
            read_fast=done.read_fast,
            seconds=done.seconds,
        )
        return done

    async def _reconcile(self, day: Day, *, now: datetime, say: Say) -> AccountResult:
        form = bill_format(day.channel)
        say(f"{day.account_id}：下载账单 / downloading the bill")
        content = await self._fetch(day.bill_date, now=now)
        say(f"{day.account_id}：读取平台流水 / reading the platform's movements")
        platform = await self._movements(day)
        if content is None:
            if platform or day.bill_date == business_date(now):
                raise BillNotReady(day=day.bill_date)
            async with self.db.transaction() as connection:
                await books.keep(connection, day, tallies=[], findings=[], started_at=now, now=now)
            return self._result("empty")
        sealer = await self.vault.sealer(_PURPOSE)
        day = await asyncio.to_thread(_keep_bill, day, content, self.folder, sealer)
        say(f"{day.account_id}：核对 {len(platform)} 笔流水 / matching {len(platform)} movements")
        outcome = await asyncio.to_thread(
            engine.reconcile, platform, content, form, merchant_id=self.account.merchant_id
        )
        say(f"{day.account_id}：保存结果 / keeping the result")
        async with self.db.transaction() as connection:
            kept = await books.keep(
                connection, day, tallies=outcome.tallies, findings=outcome.findings, started_at=now, now=now
            )
        return msgspec.structs.replace(
            self._result("done"),
            version=kept.version,
            bill_sha256=day.bill_sha256,
            read_fast=outcome.read_fast,
            tallies=kept.tallies,
            findings=kept.findings,
        )

    async def _fetch(self, day: date, *, now: datetime) -> bytes | None:
        """Return the bill, or None when the channel has none: before it is made, and for a day without any payment."""
        try:
            return await self.channel.bill(self.account, day, now=now)
        except BillNotReady:
            return None

    async def _movements(self, day: Day) -> list[Movement]:
        start, end = day_bounds(day.bill_date)
        async with self.db.read() as connection:
            found = await day_movements(
                connection, channel=day.channel, account_id=day.account_id, start=start, end=end
            )
        return [
            Movement(
                kind=each.kind,
                number=each.number,
                channel_no=each.channel_no,
                amount_fen=each.amount_fen,
                state=each.state,
                at=each.at,
            )
            for each in found
        ]

    def _result(self, state: str, *, error: PlatformError | None = None) -> AccountResult:
        return AccountResult(
            channel=self.account.channel,
            account_id=self.account.account_id,
            institution_id=self.account.institution_id,
            state=state,
            seconds=0.0,
            error=error,
        )


def _keep_bill(day: Day, content: bytes, folder: Path, sealer: Sealer) -> Day:
    """Write the bill under its own digest, once, and return the day with its digests."""
    sha256 = hashlib.sha256(content).hexdigest()
    place = folder / day.channel / day.account_id
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = place / f"{day.bill_date}-{sha256}.csv.gz.sealed"
    if not path.exists():
        draft = path.with_suffix(f".{os.getpid()}")
        packed = gzip.compress(content, compresslevel=1, mtime=0)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(sealer.seal(packed, path.name.encode()))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return msgspec.structs.replace(day, bill_sha256=sha256, bill_sm3=sm3(content).hex(), bill_bytes=len(content))
