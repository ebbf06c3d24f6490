"""Rotation on the real core: codes go on verifying, VUIDs stay, and what is sealed is sealed anew."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest
from core_world import make_resident
from sqlalchemy import text

from yimatong.access import resealing
from yimatong.access.ceremony import steps
from yimatong.access.ceremony.schemas import Given, Request
from yimatong.apps.assembly import assemble
from yimatong.apps.sealed import places
from yimatong.crypto.devices.base import KeyUsage
from yimatong.crypto.devices.choice import open_device
from yimatong.kit import clock
from yimatong.kit.db import metadata
from yimatong_sdk.errors import ApiError

PROTECTION = KeyUsage.PROTECTION
COUNTED_ONLY = {"archive/records", "bills"}


def rotate(device):
    """Rotate as a ceremony does."""
    request = Request(action="rotate", usage="protection")
    return steps.run(device, request, steps.version_of(device, request), Given(), pause_s=1.0).info.version


def test_every_sealed_column_has_a_place(settings):
    named = {place.name for place in places(settings)}
    sealed = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.c
        if (column.type.python_type is bytes and column.name.endswith("sealed"))
        or f"{table.name}.{column.name}"
        in {"access_idempotency.answer", "cards_binding.agreement", "empi_merge.before"}
    }
    assert sealed == named - COUNTED_ONLY


def test_rotation_under_load_refuses_no_code_and_changes_no_vuid(core_url, client, settings):
    app, terminal = client("app-1"), client("term-1")
    vuid = _register(app)
    device, before = open_device(settings), open_device(settings).key_versions(PROTECTION)[0].version
    stop, versions = threading.Event(), []

    def rotating():
        while not stop.wait(2):
            versions.append(rotate(device))

    earlier = app.issue_code(vuid, code_class="visit")["text"]
    thread = threading.Thread(target=rotating)
    thread.start()
    try:
        seen = set()
        for _ in range(2000):
            seen.add(terminal.verify_code(earlier, purpose="visit")["vuid"])  # at most one rotation old
            earlier = app.issue_code(vuid, code_class="visit")["text"]
            if len(versions) >= 2:
                break
    finally:
        stop.set()
        thread.join()
    assert len(versions) >= 2
    assert seen == {vuid}
    active = device.key_versions(PROTECTION)[0].version
    assert active >= before + 2
    assert app.register_account(vars(PERSONS[vuid]), real_name="police_online")["vuid"] == vuid


def test_a_version_that_is_switched_off_refuses_its_codes_from_the_next_call(client, settings):
    app, terminal = client("app-1"), client("term-1")
    vuid = _register(app)
    old, device = app.issue_code(vuid, code_class="visit")["text"], open_device(settings)
    version = device.key_versions(PROTECTION)[0].version
    rotate(device)
    kept = app.issue_code(vuid, code_class="visit")["text"]
    device.switch_off(PROTECTION, version)
    with pytest.raises(ApiError):
        terminal.verify_code(old, purpose="visit")
    assert terminal.verify_code(kept, purpose="visit")["vuid"] == vuid


PERSONS = {}


def _register(app):
    person = make_resident()
    vuid = app.register_account(vars(person), real_name="police_online")["vuid"]
    PERSONS[vuid] = person
    return vuid


@pytest.fixture
async def parts(settings):
    made = assemble(settings)
    yield made
    await made.close()


async def test_sealing_anew_goes_on_where_it_was_killed_and_ends(client, settings, parts):
    for _ in range(3):
        await asyncio.to_thread(_register, client("app-1"))
    old = open_device(settings).key_versions(PROTECTION)[0].version
    await asyncio.to_thread(rotate, open_device(settings))
    everywhere = places(settings)
    before = await resealing.remaining(parts.db, everywhere, old)
    assert (await resealing.remaining(parts.db, everywhere, 1))["access_caller.secret_sealed"] >= 1
    assert before["empi_person.sealed"] >= 3
    assert before["empi_contribution.sealed"] >= 3
    person = next(place for place in everywhere if place.name == "empi_person.sealed")
    pages = resealing._pages(parts.db, parts.vault, person, now=clock.now, rows_max=1)
    for _ in range(2):
        await anext(pages)
    await pages.aclose()  # a worker that is killed here has lost nothing

    def later():
        return datetime.now(UTC) + timedelta(minutes=5)

    await asyncio.gather(
        *(resealing.reseal(parts.db, parts.vault, everywhere, now=clock.now, rows_max=2) for _ in range(3))
    )
    await resealing.reseal(parts.db, parts.vault, everywhere, now=later, rows_max=2)
    for version in (await parts.vault.sealer()).older:
        assert not any((await resealing.remaining(parts.db, everywhere, version)).values())
    async with parts.db.read() as connection:
        through = {each.place for each in await resealing.progress(connection) if each.done_at is not None}
        broken = await connection.execute(text("SELECT mpi, sealed FROM empi_person"))
        rows = broken.all()
    assert through == {place.name for place in everywhere}
    device = open_device(settings)
    device.destroy(PROTECTION, old) if old != parts.vault.anchor else device.switch_off(PROTECTION, old)
    sealer = await parts.vault.sealer()
    assert all(sealer.unseal(bytes(blob), person.aad(mpi)) for mpi, blob in rows)
    assert await asyncio.to_thread(_register, client("app-1"))  # callers' secrets and answers open as before


async def test_an_update_between_the_read_and_the_write_of_a_page_wins(client, settings, parts):
    await asyncio.to_thread(_register, client("app-1"))
    await asyncio.to_thread(rotate, open_device(settings))
    person = next(place for place in places(settings) if place.name == "empi_person.sealed")
    sealer = await parts.vault.sealer()
    async with parts.db.transaction() as writer:
        mpi = (await writer.execute(text("SELECT mpi FROM empi_person ORDER BY mpi LIMIT 1"))).scalar_one()
        fresh = sealer.seal(b"written by somebody else", person.aad(mpi))
        where = {"sealed": fresh, "mpi": mpi}
        await writer.execute(text("UPDATE empi_person SET sealed = :sealed WHERE mpi = :mpi"), where)

        async def page():
            async with parts.db.transaction() as connection:
                return await person.page(connection, sealer, None, 500)

        sealing = asyncio.create_task(page())  # it has read the old value and waits for the row
        for _ in range(200):
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            async with parts.db.read() as watch:
                if (await watch.execute(waiting)).scalar_one():
                    break
            await asyncio.sleep(0.05)
        else:
            pytest.fail("the page did not meet the row")
    await asyncio.wait_for(sealing, 30)
    async with parts.db.read() as connection:
        kept = await connection.execute(text("SELECT sealed FROM empi_person WHERE mpi = :mpi"), {"mpi": mpi})
        assert bytes(kept.scalar_one()) == fresh
