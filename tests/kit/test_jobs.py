"""Jobs survive what ends their worker."""

from __future__ import annotations

import subprocess
import sys

import psycopg
import pytest

from yimatong.kit import jobs

WORKER = """
import asyncio, sys
from yimatong.kit import jobs

app = jobs.app(sys.argv[1])

@app.task(name="slow", queueing_lock="slow")
async def slow(day):
    print("started", flush=True)
    await asyncio.sleep(600)

async def main():
    async with app.open_async():
        await app.run_worker_async(install_signal_handlers=False)

asyncio.run(main())
"""


@pytest.fixture
async def app(database_url):
    made = jobs.app(database_url)
    made.done = []

    @made.task(name="slow", queueing_lock="slow")
    async def slow(day):
        made.done.append(day)

    async with made.open_async():
        yield made
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")


async def run_until_empty(app):
    await app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)


async def queue(app, day):
    await app.configure_task("slow", queueing_lock="slow").defer_async(day=day)


def kill_in_the_middle(database_url):
    """Run a worker until it has begun a job, kill it, and let half a minute and more pass for the database."""
    command = [sys.executable, "-c", WORKER, database_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "started\n"
        worker.kill()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 minute'")


async def test_a_job_whose_worker_was_killed_is_done_by_the_next_one(app, database_url):
    await queue(app, "2026-11-22")
    kill_in_the_middle(database_url)
    await run_until_empty(app)
    assert app.done == []
    assert await jobs.revive(app) == 1
    assert await jobs.revive(app) == 0
    await run_until_empty(app)
    assert app.done == ["2026-11-22"]


async def test_a_killed_job_waits_for_a_younger_one_with_its_lock(app, database_url):
    await queue(app, "2026-11-22")
    kill_in_the_middle(database_url)
    await queue(app, "2026-11-23")
    assert await jobs.revive(app) == 0
    await run_until_empty(app)
    assert await jobs.revive(app) == 1
    await run_until_empty(app)
    assert app.done == ["2026-11-23", "2026-11-22"]


async def test_a_job_that_runs_is_left_alone(app, database_url):
    await queue(app, "2026-11-22")
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        connection.execute(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT max(id) FROM procrastinate_workers)"
        )
    assert await jobs.revive(app) == 0
