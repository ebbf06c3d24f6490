"""The master index id leaves the core only as the caller's own reference: no schema names it, no answer carries it."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import httpx
from sqlalchemy import text

from yimatong.apps.assembly import assemble
from yimatong_sdk.errors import ApiError


def test_no_documented_shape_has_a_raw_master_index_id(core_url):
    document = httpx.get(core_url + "/openapi/openapi.json", trust_env=False).json()
    names = {name for shape in document["components"]["schemas"].values() for name in shape.get("properties", {})}
    assert "mpi_ref" in names
    assert {name for name in names if re.search(r"mpi", name)} <= {"mpi_ref", "other_mpi_ref"}


async def test_no_answer_carries_a_raw_master_index_id(core_url, owned, client, settings):
    said = [
        answer
        for caller_id in ("his-1", "app-1", "term-1")
        for answer in _read_everything(core_url, client(caller_id), owned)
    ]
    assert any(b"mpi_ref" in answer for answer in said)
    parts = assemble(settings)
    sealer = await parts.vault.sealer("answers")
    async with parts.db.read() as connection:
        mpis = [row[0] for row in await connection.execute(text("SELECT mpi FROM empi_person"))]
        answers = (
            await connection.execute(text("SELECT caller_id, key, answer FROM access_idempotency WHERE answer <> ''"))
        ).all()
    await parts.close()
    said += [sealer.unseal(bytes(blob), f"idempotency:{caller}:{key}".encode()) for caller, key, blob in answers]
    assert mpis
    assert answers
    raw = {form for mpi in mpis for form in (mpi.hex, str(mpi), mpi.hex.upper())}
    assert not [form for form in raw if any(form.encode() in answer for answer in said)]


def _read_everything(core_url, caller, owned):
    """Ask every documented GET about what there is; refusals are somebody else's test."""
    paths = httpx.get(core_url + "/openapi/openapi.json", trust_env=False).json()["paths"]
    for path, verbs in paths.items():
        names = re.findall(r"{(\w+)}", path)
        if "get" in verbs and all(hasattr(owned, name) for name in names):
            with suppress(ApiError):
                yield json.dumps(caller.call("GET", path.format(**vars(owned)))).encode()
