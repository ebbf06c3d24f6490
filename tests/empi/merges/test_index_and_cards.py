"""What cards see when the index merges, separates, cancels and restores, through the signed API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from index_world import by
from registration_world import Tables, bare, record, someone

from yimatong.apps import worker
from yimatong.apps.assembly import Parts, assemble
from yimatong.cards.standing import tasks
from yimatong.empi.cancelling import service as cancelling
from yimatong.empi.merges import service as merges
from yimatong.kit import clock
from yimatong.kit.outbox import Relay
from yimatong.kit.settings import Settings
from yimatong_sdk import ApiError, Client

Of = Callable[[str], Client]
MERGE = "/api/v1/persons/merge"


@pytest.fixture
async def parts(settings: Settings, core_url: str) -> AsyncIterator[Parts]:
    made = assemble(settings)
    yield made
    await made.close()


@pytest.fixture(scope="module")
def tables(settings: Settings, core_url: str) -> Tables:
    return Tables(settings.database_url)


async def deliver(parts: Parts) -> None:
    relay = Relay(parts.db, tasks.handlers(parts.db, parts.vault))
    while await relay.deliver_due(now=clock.now()):
        pass


def account(client: Of, resident: dict[str, Any]) -> str:
    return str(client("app-1").register_account(resident, real_name="police_online")["vuid"])


def verified(client: Of, text: str) -> str:
    """Return the VUID that a code verifies as, or the code of its refusal."""
    try:
        return str(client("term-1").verify_code(text, purpose="visit")["vuid"])
    except ApiError as refused:
        return refused.code


def fresh(client: Of, vuid: str) -> str:
    return str(client("app-1").issue_code(vuid, code_class="visit")["text"])


def mpi_of(tables: Tables, vuid: str) -> UUID:
    found: UUID = tables.one("SELECT mpi FROM cards_account WHERE vuid = %s", vuid).mpi
    return found


async def test_a_code_of_the_retired_person_before_during_and_after(
    client: Of, new_resident: Callable[[], SimpleNamespace], tables: Tables, parts: Parts
) -> None:
    older, younger = (account(client, vars(new_resident())) for _ in range(2))
    assert verified(client, fresh(client, younger)) == younger
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as connection:
        done = await merges.merge(
            connection,
            retired=mpi_of(tables, younger),
            survivor=mpi_of(tables, older),
            decision=by(),
            over={"two_certificates"},
            sealer=sealer,
            blinder=blinder,
            now=clock.now(),
        )
    during = fresh(client, younger)
    assert verified(client, during) == older, "the elder account in force is master"
    async with parts.db.transaction() as connection:
        await merges.unmerge(
            connection,
            merge_id=done.merge_id,
            decision=by("unmerge"),
            sealer=sealer,
            blinder=blinder,
            now=clock.now(),
        )
    await deliver(parts)
    assert verified(client, fresh(client, younger)) == younger
    assert verified(client, fresh(client, older)) == older
    assert tables.rows("SELECT 1 FROM cards_account WHERE state = 'alias'") == []


async def test_a_cancelled_person_freezes_her_card_and_a_steward_restores_both(
    client: Of, new_resident: Callable[[], SimpleNamespace], tables: Tables, parts: Parts
) -> None:
    resident = vars(new_resident())
    vuid = account(client, resident)
    ref = client("his-1").call("POST", "/api/v1/accounts", {"resident": resident, "real_name": "certificate_read"})
    code = fresh(client, vuid)
    path = f"/api/v1/persons/{ref['mpi_ref']}/cancel"

    died = {"reason": "death", "died_on": "2026-01-02"}
    with pytest.raises(ApiError) as unknown:
        client("his-2").call("POST", path, died)
    assert unknown.value.code == "EMP-1005", "another institution's reference means nobody"
    with pytest.raises(ApiError) as incomplete:
        client("his-1").call("POST", path, {"reason": "death"})
    assert incomplete.value.code == "EMP-4204"
    done = client("his-1").call("POST", path, died)
    assert (done["extent"], done["mpi_ref"]) == ("person", ref["mpi_ref"])
    assert client("his-1").call("POST", path, died)["cancelled_at"] == done["cancelled_at"], "again is the same"
    await deliver(parts)
    assert verified(client, code).startswith("CRD-")
    assert tables.one("SELECT state FROM cards_account WHERE vuid = %s", vuid).state == "frozen"
    with pytest.raises(ApiError) as dead:
        account(client, resident)
    assert dead.value.code == "EMP-1010"

    mpi = mpi_of(tables, vuid)
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as connection:
        await cancelling.restore(
            connection, mpi, operator="opr_1", reason="wrong", sealer=sealer, blinder=blinder, now=clock.now()
        )
    await deliver(parts)
    assert tables.one("SELECT state FROM cards_account WHERE vuid = %s", vuid).state == "active"
    await asyncio.sleep(1.1)  # a code of the very second of the freeze stays revoked
    assert verified(client, fresh(client, vuid)) == vuid
    kinds = [each.kind for each in tables.rows("SELECT kind FROM empi_change WHERE mpi = %s ORDER BY txid, id", mpi)]
    assert [kind for kind in kinds if kind in ("cancelled", "restored")] == ["cancelled", "restored"]


async def test_nobody_is_made_twice_because_she_was_cancelled(
    client: Of, new_resident: Callable[[], SimpleNamespace], tables: Tables, parts: Parts
) -> None:
    resident = vars(new_resident())
    mpi = mpi_of(tables, account(client, resident))
    wanted = cancelling.Wanted(reason="error", died_on=None, operator="opr_1", method="steward")
    async with parts.db.transaction() as connection:
        await cancelling.cancel(connection, mpi, wanted, now=clock.now())
    with pytest.raises(ApiError) as refused:
        account(client, resident)
    assert refused.value.code == "EMP-4201"


async def test_restoring_releases_only_what_the_cancellation_froze(
    client: Of, new_resident: Callable[[], SimpleNamespace], tables: Tables, parts: Parts
) -> None:
    vuid = account(client, vars(new_resident()))
    client("app-1").call("POST", f"/api/v1/accounts/{vuid}/state", {"state": "frozen", "reason": "request"})
    mpi = mpi_of(tables, vuid)
    wanted = cancelling.Wanted(reason="error", died_on=None, operator="opr_1", method="steward")
    sealer, blinder = await parts.vault.sealer(), await parts.vault.blinder()
    async with parts.db.transaction() as connection:
        await cancelling.cancel(connection, mpi, wanted, now=clock.now())
        await cancelling.restore(
            connection, mpi, operator="opr_1", reason="wrong", sealer=sealer, blinder=blinder, now=clock.now()
        )
    await deliver(parts)
    assert tables.one("SELECT state FROM cards_account WHERE vuid = %s", vuid).state == "frozen"


def register(client: Of, caller: str, body: dict[str, Any]) -> Any:
    return client(caller).call("POST", "/api/v1/persons", body)


def test_a_provider_merges_two_records_of_its_own(client: Of, tables: Tables) -> None:
    one, two = record(someone()), record(bare(name="独孤求败", phone="13700001111"))
    kept, gone = register(client, "his-1", one), register(client, "his-1", two)
    assert kept["mpi_ref"] != gone["mpi_ref"]
    body = {"surviving": one["source"], "retired": two["source"]}
    with pytest.raises(ApiError) as strange:
        client("his-2").call("POST", MERGE, body)
    assert strange.value.code == "EMP-4004"
    done = client("his-1").call("POST", MERGE, body)
    assert (done["outcome"], done["mpi_ref"]) == ("merged", kept["mpi_ref"])
    assert client("his-1").call("POST", MERGE, body)["outcome"] == "same"
    again = register(client, "his-1", two)
    assert again["mpi_ref"] == kept["mpi_ref"], "the retired number goes on leading to her"


def test_a_merge_that_would_join_two_certificates_goes_to_a_steward(client: Of, tables: Tables) -> None:
    first = someone()
    one, two = record(first), record(someone(name=first["name"]))
    register(client, "his-1", one)
    register(client, "his-1", two)
    done = client("his-1").call("POST", MERGE, {"surviving": one["source"], "retired": two["source"]})
    assert done["outcome"] == "review"
    row = tables.one("SELECT * FROM empi_review WHERE review_id = %s", done["review_id"])
    assert (row.kind, row.because, row.institution_id) == ("cluster_conflict", "provider_merge", "inst-h1")


def test_only_the_record_moves_where_others_speak_of_her_too(client: Of, tables: Tables) -> None:
    known, kept = someone(), record(bare(name="东方不败", phone="13700002222"))
    theirs, own = record(known, owner="inst-h2"), record(known)
    register(client, "his-2", theirs)
    shared = register(client, "his-1", own)
    register(client, "his-1", kept)
    done = client("his-1").call("POST", MERGE, {"surviving": kept["source"], "retired": own["source"]})
    assert done["outcome"] == "moved"
    assert done["mpi_ref"] != shared["mpi_ref"]
    assert register(client, "his-1", own)["mpi_ref"] == done["mpi_ref"]


def test_an_institution_cancels_its_own_record_while_others_know_her(client: Of, tables: Tables) -> None:
    known = someone()
    theirs, own = record(known, owner="inst-h2"), record(known)
    register(client, "his-2", theirs)
    ref = register(client, "his-1", own)["mpi_ref"]
    done = client("his-1").call("POST", f"/api/v1/persons/{ref}/cancel", {"reason": "error"})
    assert done["extent"] == "record"
    mine = tables.rows("SELECT current FROM empi_contribution WHERE domain = 'source:inst-h1' ORDER BY at DESC LIMIT 1")
    assert [each.current for each in mine] == [False]
    with pytest.raises(ApiError) as none_left:
        client("his-1").call("POST", f"/api/v1/persons/{ref}/cancel", {"reason": "error"})
    assert none_left.value.code == "EMP-4202"


def test_the_worker_hears_what_the_index_tells(settings: Settings, core_url: str) -> None:
    topics = worker.handlers(assemble(settings))
    assert {"empi.person_cancelled", "empi.person_restored", "empi.person_unmerged", "empi.source_asked"} <= set(topics)
