"""What happens by the clock or is queued as a job, by theme; procrastinate runs it in the worker.

Times are UTC; Beijing is eight hours ahead. A job that is due by the clock is queued once however many workers run.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from procrastinate import App

from yimatong.access import callers, idempotency, sessions
from yimatong.access.caller import PLATFORM
from yimatong.apps import keys, parties
from yimatong.apps.assembly import Parts
from yimatong.cards.batches import service as batches
from yimatong.cards.codes import service as codes
from yimatong.cards.codes import uploads
from yimatong.cards.records import retention
from yimatong.cards.registry import arrivals
from yimatong.empi.national import tasks as national
from yimatong.empi.rules import running as rule_runs
from yimatong.empi.rules import service as rules
from yimatong.empi.subscriptions import tasks as subscriptions
from yimatong.kit import clock, jobs, log, outbox
from yimatong.reconciliation import service as reconciliation


def schedule(parts: Parts) -> App:
    """Return the job app with every job there is."""
    app = jobs.app(parts.settings.database_url)
    _reconciliation(app, parts)
    _index(app, parts)
    _arrivals(app, parts)
    _batches(app, parts)
    _forgetting(app, parts)
    _records(app, parts)
    keys.add_jobs(app, parts)
    return app


def _reconciliation(app: App, parts: Parts) -> None:
    """Add what compares the books of yesterday with the channels."""

    @app.periodic(cron="30 2 * * *")
    @app.task(name="reconciliation.yesterday", queueing_lock="reconciliation.yesterday", retry=jobs.RETRY)
    async def reconcile_yesterday(timestamp: int) -> None:
        day = clock.business_date(datetime.fromtimestamp(timestamp, UTC) - timedelta(days=1))
        await reconciliation.run_day(
            parts.db, parts.vault, parts.channels, day=day, data=parts.settings.data, now=clock.now()
        )
        log.KitLog.JOB_DONE.emit(job="reconciliation.yesterday", timestamp=timestamp)


def _index(app: App, parts: Parts) -> None:
    """Add what tries and applies rules of matching, forgets the news of the index, and watches the exchange."""

    @app.task(name=rules.JOB)
    async def run_rules(run_id: str) -> None:
        ended = await rule_runs.run(
            parts.db, parts.vault, run_id, database_url=parts.settings.database_url, now=clock.now()
        )
        log.KitLog.JOB_DONE.emit(job=rules.JOB, run=run_id, state=ended.state)

    @app.periodic(cron="*/5 * * * *")
    @app.task(name="empi.national-watch", queueing_lock="empi.national-watch")
    async def watch_national(timestamp: int) -> None:
        connected = parties.national(parts.db, parts.vault, parts.outbound, parts.settings)
        waiting = 0 if connected is None else await national.watch(connected, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="empi.national-watch", timestamp=timestamp, waiting=waiting)

    @app.periodic(cron="20 17 * * *")
    @app.task(name="empi.forget-changes", queueing_lock="empi.forget-changes", retry=jobs.RETRY)
    async def forget_changes(timestamp: int) -> None:
        keep = parts.settings.changes_keep_days
        changes = await subscriptions.forget_changes(parts.db, keep_days=keep, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="empi.forget-changes", timestamp=timestamp, changes=changes)


def _arrivals(app: App, parts: Parts) -> None:
    """Add what registers the people whom institutions delivered."""

    @app.periodic(cron="0 18 * * *")
    @app.task(name="registry.nightly", queueing_lock="registry.nightly", retry=jobs.RETRY)
    async def register_nightly(timestamp: int) -> None:
        done = await arrivals.register_due(parts.db, parts.vault, now=clock.now())
        log.KitLog.JOB_DONE.emit(job="registry.nightly", timestamp=timestamp, rows=done)

    @app.task(name=arrivals.JOB, retry=jobs.RETRY)
    async def register_arrivals(delivery: str) -> None:
        done = await arrivals.register_due(parts.db, parts.vault, now=clock.now())
        log.KitLog.JOB_DONE.emit(job=arrivals.JOB, delivery=delivery, rows=done)


def _batches(app: App, parts: Parts) -> None:
    """Add what works through uploaded files."""

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


def _forgetting(app: App, parts: Parts) -> None:
    """Add what keeps tables from growing for ever; the chain of the audit is never shortened."""

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


def _records(app: App, parts: Parts) -> None:
    """Add what makes room for records of codes and moves old months into the archive."""

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
