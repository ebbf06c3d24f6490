"""The worker: delivers the outbox, asks channels for what is open, seals the audit, and runs scheduled jobs.

Loops do what must happen within seconds; procrastinate runs what happens by the clock. Any number of workers may run:
claims are leases in the database, the sealer holds an advisory lock, scheduled jobs are queued once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from procrastinate import App

from yimatong.apps import counting, parties
from yimatong.apps.assembly import Parts, assemble
from yimatong.apps.person_index import person_index
from yimatong.apps.schedule import schedule
from yimatong.cards.bindings import tasks as bindings
from yimatong.cards.registry import tasks as registry
from yimatong.cards.standing import tasks as standing
from yimatong.care import tasks as care
from yimatong.crypto.gm.sm3 import hmac_sm3
from yimatong.empi.national import tasks as national
from yimatong.empi.registration import comparing
from yimatong.empi.subscriptions import tasks as subscriptions
from yimatong.empi.topics import SOURCE_ASKED
from yimatong.gateways.fhir import delivering
from yimatong.gateways.fhir.capability import PREFIX
from yimatong.kit import audit, clock, jobs, log
from yimatong.kit.errors import DatabaseUnavailable
from yimatong.kit.outbox import Handler, Relay
from yimatong.kit.settings import Settings
from yimatong.payments import tasks as payments
from yimatong.payments import webhooks
from yimatong.payments.health import service as health
from yimatong.payments.receipts import tasks as receipts

Step = Callable[[], Awaitable[int]]

SEAL_PAUSE_S = 0.5
RELAY_PAUSE_S = 0.2
FOLLOW_UP_PAUSE_S = 1.0
HEALTH_PAUSE_S = 10.0
COMPARING_PAUSE_S = 2.0
NATIONAL_PAUSE_S = 3.0
REVIVE_PAUSE_S = 10.0


async def run(settings: Settings) -> None:
    """Run until cancelled."""
    parts = assemble(settings)
    scheduled = schedule(parts)
    told = handlers(parts)
    issued = {receipts.TOPIC: told.pop(receipts.TOPIC)}  # an issuer that is away holds up nobody
    relay, issuing = Relay(parts.db, told), Relay(parts.db, issued)
    try:
        async with scheduled.open_async(), asyncio.TaskGroup() as group:
            group.create_task(loop("relay", lambda: relay.deliver_due(now=clock.now()), pause_s=RELAY_PAUSE_S))
            group.create_task(loop("receipts", lambda: issuing.deliver_due(now=clock.now()), pause_s=RELAY_PAUSE_S))
            group.create_task(loop("seal", lambda: seal(parts), pause_s=SEAL_PAUSE_S))
            group.create_task(loop("follow-up", lambda: follow_up(parts), pause_s=FOLLOW_UP_PAUSE_S))
            group.create_task(loop("health", lambda: judge_channels(parts), pause_s=HEALTH_PAUSE_S))
            group.create_task(loop("tally", lambda: store_tally(parts), pause_s=counting.PAUSE_S))
            group.create_task(loop("bindings", lambda: follow_bindings(parts), pause_s=FOLLOW_UP_PAUSE_S))
            group.create_task(loop("subscriptions", lambda: fan_out(parts), pause_s=RELAY_PAUSE_S))
            group.create_task(loop("comparing", lambda: compare(parts), pause_s=COMPARING_PAUSE_S))
            group.create_task(loop("national", lambda: exchange(parts), pause_s=NATIONAL_PAUSE_S))
            group.create_task(loop("jobs", lambda: work(scheduled), pause_s=5.0))
            group.create_task(loop("revive", lambda: jobs.revive(scheduled), pause_s=REVIVE_PAUSE_S))
    finally:
        await parts.close()


def handlers(parts: Parts) -> dict[str, Handler]:
    """Return who delivers which topic of the outbox."""
    return {
        **webhooks.handlers(
            parts.db, parts.vault, parts.outbound, destinations=parts.destinations, more=(SOURCE_ASKED,)
        ),
        **subscriptions.handlers(parts.db, parts.vault, parts.outbound, parts.destinations),
        **delivering.handlers(
            parts.db,
            parts.vault,
            parts.outbound,
            parts.destinations,
            index=person_index(parts),
            base=parts.settings.health_url + PREFIX,
        ),
        **care.handlers(parts.db, parts.vault, parts.outbound),
        **receipts.handlers(parts.db, parts.vault, parties.receipts(parts.outbound, parts.settings), now=clock.now),
        **registry.handlers(parts.db, parts.vault),
        **standing.handlers(parts.db, parts.vault),
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
            await audit.write_anchor(connection, parts.audit_anchor)
    return sealed


async def fan_out(parts: Parts) -> int:
    """Write what subscribers are told of the changes since the last time."""
    return await subscriptions.fan_out(parts.db, now=clock.now())


async def compare(parts: Parts) -> int:
    """Compare persons who were entered without being compared with everybody else."""
    return await comparing.compare_due(parts.db, parts.vault, now=clock.now())


async def exchange(parts: Parts) -> int:
    """Exchange persons with the national index, where there is one."""
    connected = parties.national(parts.db, parts.vault, parts.outbound, parts.settings)
    return 0 if connected is None else await national.run(connected, now=clock.now())


async def follow_up(parts: Parts) -> int:
    """Ask the channels for payments and refunds that are due."""
    return await payments.run_due(parts.desk, now=clock.now())


async def judge_channels(parts: Parts) -> int:
    """Judge how the channels answer, and ask those again that did not; the pause follows whatever was done."""
    await health.judge_all(parts.desk, now=clock.now())
    return 0


async def store_tally(parts: Parts) -> int:
    """Store what this process counted of the channels' answers."""
    await health.flush(parts.db, parts.tally)
    return 0


async def follow_bindings(parts: Parts) -> int:
    """Ask banks and insurers about bound cards that are due."""
    desk = parties.bindings(parts.db, parts.vault, parts.outbound, parts.settings)
    return await bindings.run_due(desk, now=clock.now())


async def work(scheduled: App) -> int:
    """Run jobs until the worker is stopped."""
    await scheduled.run_worker_async(install_signal_handlers=False, listen_notify=True, concurrency=2)
    return 0
