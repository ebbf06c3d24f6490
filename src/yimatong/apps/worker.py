"""The worker: delivers the outbox, asks channels for what is open, seals the audit, and runs scheduled jobs.

Loops do what must happen within seconds; procrastinate runs what happens by the clock. Any number of workers may run:
claims are leases in the database, the sealer holds an advisory lock, scheduled jobs are queued once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from procrastinate import App

from yimatong.access import callers, idempotency, sessions
from yimatong.access.caller import PLATFORM
from yimatong.apps import keys, parties
from yimatong.apps.assembly import Parts, assemble
from yimatong.apps.person_index import person_index
from yimatong.cards.batches import service as batches
from yimatong.cards.bindings import tasks as bindings
from yimatong.cards.codes import service as codes
from yimatong.cards.codes import uploads
from yimatong.cards.records import retention
from yimatong.cards.registry import arrivals
from yimatong.cards.registry import tasks as registry
from yimatong.cards.standing import tasks as standing
from yimatong.care import tasks as care
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.empi.registration import comparing
from yimatong.empi.rules import running as rule_runs
from yimatong.empi.rules import service as rules
from yimatong.empi.subscriptions import tasks as subscriptions
from yimatong.empi.topics import SOURCE_ASKED
from yimatong.gateways.fhir import delivering
from yimatong.gateways.fhir.capability import PREFIX
from yimatong.kit import audit, clock, jobs, log, outbox
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.outbox import Handler, Relay
from yimatong.kit.settings import Settings
from yimatong.payments import tasks as payments
from yimatong.payments import webhooks
from yimatong.reconciliation import service as reconciliation

Step = Callable[[], Awaitable[int]]

SEAL_PAUSE_S = 0.5
RELAY_PAUSE_S = 0.2
FOLLOW_UP_PAUSE_S = 1.0
COMPARING_PAUSE_S = 2.0
REVIVE_PAUSE_S = 10.0


async def run(settings: Settings) -> None:
    """Run until cancelled."""
    parts = assemble(settings)
    scheduled = schedule(parts)
    relay = Relay(parts.db, handlers(parts))
    try:
        async with scheduled.open_async(), asyncio.TaskGroup() as group:
            group.create_task(loop("relay", lambda: relay.deliver_due(now=clock.now()), pause_s=RELAY_PAUSE_S))
            group.create_task(loop("seal", lambda: seal(parts), pause_s=SEAL_PAUSE_S))
            group.create_task(loop("follow-up", lambda: follow_up(parts), pause_s=FOLLOW_UP_PAUSE_S))
            group.create_task(loop("bindings", lambda: follow_bindings(parts), pause_s=FOLLOW_UP_PAUSE_S))
            group.create_task(loop("subscriptions", lambda: fan_out(parts), pause_s=RELAY_PAUSE_S))
            group.create_task(loop("comparing", lambda: compare(parts), pause_s=COMPARING_PAUSE_S))
            group.create_task(loop("jobs", lambda: work(scheduled), pause_s=5.0))
            group.create_task(loop("revive", lambda: jobs.revive(scheduled), pause_s=REVIVE_PAUSE_S))
    finally:
        await parts.close()


def handlers(parts: Parts) -> dict[str, Handler]:
    """Return who delivers which topic of the outbox."""
    return {
        **webhooks.handlers(parts.db, parts.vault, parts.outbound),
        **subscriptions.handlers(parts.db, parts.vault, parts.outbound, parts.destinations),
        **delivering.handlers(
            parts.db,
            parts.vault,
            parts.outbound,
            parts.destinations,
            index=person_index(parts),
            base=parts.settings.health_url + PREFIX,
        ),
        **care.handlers(parts.db),
        **registry.handlers(parts.db, parts.vault),
        **standing.handlers(parts.db, parts.vault),
        SOURCE_ASKED: partial(webhooks.tell, parts.db, parts.vault, parts.outbound),
    }


async def loop(name: str, step: Step, *, pause_s: float) -> None:
    """Run a step again and again; a failure is logged and the step is tried again after a pause that grows."""
    failures = 0
    own = asyncio.current_task()
    while not (own and own.cancelling()):  # the job queue takes a cancellation for a normal end and returns
        try:
            done = await step()
            failures = 0
        except DatabaseUnavailable as error:
            failures += 1
            done = 0
            log.KitLog.DATABASE_AWAY.emit(loop=name, cause=error.audit)
        except Exception as error:  # noqa: BLE001 -- a worker outlives any one failure
            failures += 1
            done = 0
            log.KitLog.LOOP_FAILED.emit(loop=name, cause=repr(error))
        if not done:
            await asyncio.sleep(min(pause_s * 2 ** min(failures, 6), 10.0))


async def seal(parts: Parts) -> int:
    """Chain the audit rows since the last seal, then copy the new end of the chain out of the database."""
    key = await parts.vault.audit_key()
    async with parts.db.transaction() as connection:
        sealed = await audit.seal(connection, lambda text: hmac_sm3(key, text), now=clock.now())
    if sealed:
        async with parts.db.read() as connection:
            await audit.write_anchor(connection, anchor_of(parts.settings))
    return sealed


async def forget_delivered(parts: Parts, *, now: datetime) -> int:
    """Forget what was delivered longer ago than the settings keep it, in transactions of a few thousand messages."""
    before = now - timedelta(days=parts.settings.outbox_keep_days)
    forgotten = 0
    while True:
        async with parts.db.transaction() as connection:
            some = await outbox.forget(connection, before=before)
        forgotten += some
        if some < outbox.FORGET_ROWS:
            return forgotten


def anchor_of(settings: Settings) -> Path:
    """Return the file outside the database that the ends of the audit chain are written to."""
    return settings.data / "audit-anchor.log"


async def fan_out(parts: Parts) -> int:
    """Write what subscribers are told of the changes since the last time."""
    return await subscriptions.fan_out(parts.db, now=clock.now())


async def compare(parts: Parts) -> int:
    """Compare persons who were entered without being compared with everybody else."""
    return await comparing.compare_due(parts.db, parts.vault, now=clock.now())


async def follow_up(parts: Parts) -> int:
    """Ask the channels for payments and refunds that are due."""
    return await payments.run_due(parts.desk, now=clock.now())


async def follow_bindings(parts: Parts) -> int:
    """Ask banks and insurers about bound cards that are due."""
    desk = parties.bindings(parts.db, parts.vault, parts.outbound, parts.settings)
    return await bindings.run_due(desk, now=clock.now())


async def work(scheduled: App) -> int:
    """Run jobs until the worker is stopped."""
    await scheduled.run_worker_async(install_signal_handlers=False, listen_notify=True, concurrency=2)
    return 0


def schedule(parts: Parts) -> App:
    """Return the job app with everything that happens by the clock (times in UTC; Beijing is eight hours ahead)."""
    app = jobs.app(parts.settings.database_url)

    @app.periodic(cron="30 2 * * *")
    @app.task(name="reconciliation.yesterday", queueing_lock="reconciliation.yesterday", retry=jobs.RETRY)
    async def reconcile_yesterday(timestamp: int) -> None:
        day = clock.business_date(datetime.fromtimestamp(timestamp, UTC) - timedelta(days=1))
        await reconciliation.run_day(
            parts.db, parts.vault, parts.channels, day=day, data=parts.settings.data, now=clock.now()
        )
        log.KitLog.JOB_DONE.emit(job="reconciliation.yesterday", timestamp=timestamp)

    @app.periodic(cron="0 18 * * *")
    @app.task(name="registry.nightly", queueing_lock="registry.nightly", retry=jobs.RETRY)
    async def register_nightly(timestamp: int) -> None:
        done = await arrivals.register_due(parts.db, parts.vault, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="registry.nightly", timestamp=timestamp, rows=done)

    @app.task(name=rules.JOB)
    async def run_rules(run_id: str) -> None:
        ended = await rule_runs.run(
            parts.db, parts.vault, run_id, database_url=parts.settings.database_url, now=clock.now()
        )
        log.KitLog.JOB_DONE.emit(job=rules.JOB, run=run_id, state=ended.state)

    @app.task(name=arrivals.JOB, retry=jobs.RETRY)
    async def register_arrivals(delivery: str) -> None:
        done = await arrivals.register_due(parts.db, parts.vault, now=clock.now())
        log.KitLog.JOB_DONE.emit(job=arrivals.JOB, delivery=delivery, rows=done)

    @app.task(name=batches.JOB, retry=jobs.RETRY)
    async def run_batch(batch_id: str) -> None:
        found = await batches.run(parts.db, parts.vault, batch_id, clock=clock.now)
        log.KitLog.JOB_DONE.emit(job=batches.JOB, batch=batch_id, state=found.state, rows=found.done, bad=found.bad)

    @app.task(name=batches.CHECK_JOB)
    async def check_batch(batch_id: str) -> None:
        found = await batches.check(
            parts.db, parts.vault, batch_id, scope=PLATFORM, now=clock.now(), say=lambda _rows: None
        )
        log.KitLog.JOB_DONE.emit(job=batches.CHECK_JOB, batch=batch_id, rows=found.rows)

    @app.periodic(cron="*/5 * * * *")
    @app.task(name="kit.forget", queueing_lock="kit.forget")
    async def forget(timestamp: int) -> None:
        now = clock.now()
        async with parts.db.transaction() as connection:
            nonces = await callers.forget_nonces(connection, before=now - timedelta(minutes=15))
            ended = await sessions.forget_ended(connection, now=now)
            uses = await codes.forget_uses(connection, now=now)
            await uploads.forget_sightings(connection, before=now - timedelta(days=30))
            await batches.forget(connection, now=now)
        news = await forget_delivered(parts, now=now)
        log.KitLog.JOB_DONE.emit(
            job="kit.forget", timestamp=timestamp, nonces=nonces, sessions=ended, uses=uses, messages=news
        )

    _schedule_retention(app, parts)
    keys.add_jobs(app, parts)
    return app


def _schedule_retention(app: App, parts: Parts) -> None:
    """Add what keeps tables from growing for ever; the chain of the audit is never shortened."""

    @app.periodic(cron="50 17 * * *")
    @app.task(name="access.forget-answers", queueing_lock="access.forget-answers", retry=jobs.RETRY)
    async def forget_answers(timestamp: int) -> None:
        before = clock.now() - idempotency.KEPT
        answers = 0
        while True:
            async with parts.db.transaction() as connection:
                some = await idempotency.forget(connection, before=before)
            answers += some
            if not some:
                break
        log.KitLog.JOB_DONE.emit(job="access.forget-answers", timestamp=timestamp, answers=answers)

    @app.periodic(cron="20 17 * * *")
    @app.task(name="empi.forget-changes", queueing_lock="empi.forget-changes", retry=jobs.RETRY)
    async def forget_changes(timestamp: int) -> None:
        keep = parts.settings.changes_keep_days
        changes = await subscriptions.forget_changes(parts.db, keep_days=keep, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="empi.forget-changes", timestamp=timestamp, changes=changes)

    @app.periodic(cron="10 * * * *")
    @app.task(name="records.partitions", queueing_lock="records.partitions", retry=jobs.RETRY)
    async def make_partitions(timestamp: int) -> None:
        async with parts.db.transaction() as connection:
            made, stray = await retention.keep_partitions(connection, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="records.partitions", timestamp=timestamp, made=len(made), stray=stray)

    @app.periodic(cron="40 18 2 * *")
    @app.task(name="records.archive", queueing_lock="records.archive", retry=jobs.RETRY)
    async def archive_records(timestamp: int) -> None:
        keep = parts.settings.records_keep_months
        done = []
        if keep:
            done = await retention.archive_months(parts.db, parts.archive, before=None, keep=keep, now=clock.now())
        log.KitLog.JOB_DONE.emit(
            job="records.archive", timestamp=timestamp, months=len(done), rows=sum(month.rows for month in done)
        )
