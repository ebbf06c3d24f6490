"""A record goes to whose it is; what was broken behind the platform's back is found and mended."""

from __future__ import annotations

from typing import Any

import pytest
from index_world import BLINDER, SEALER, Clock, by, enter, pointers, say, state
from sqlalchemy import text

from yimatong.empi.errors import MergeConflict, SourceRecordUnknown
from yimatong.empi.merges import service as merges
from yimatong.empi.merges import verifying
from yimatong.empi.merges.relinking import relink
from yimatong.empi.persons.schemas import SealedFacts
from yimatong.kit.db import Connection

_KEYS: dict[str, Any] = {"sealer": SEALER, "blinder": BLINDER}


async def broken(connection: Connection) -> list[str]:
    found = [each.kind for each in await verifying.look(connection)]
    walk = verifying.look_at_golden(connection, **_KEYS)
    return found + [each.kind async for _, part in walk for each in part]


async def test_a_record_gets_a_person_of_its_own_and_does_not_come_back(connection: Connection) -> None:
    clock = Clock()
    person = await enter(connection, now=clock(), name="李四", source=("src:h1", "7"))
    wrong = SealedFacts(name="王五", id_type="", id_number="", phone="13700137000", address="咸阳市")
    await say(connection, person, wrong, now=clock(), source=("src:h2", "8"))
    blind = BLINDER.number_blind("src:h2", "8")
    done = await relink(
        connection, domain="src:h2", source_blind=blind, to=None, decision=by("relink"), now=clock(), **_KEYS
    )
    assert done.left == person
    assert done.right != person
    assert await broken(connection) == []
    engine = by(method="probability", operator="engine")
    with pytest.raises(MergeConflict):
        await merges.merge_pair(connection, left=person, right=done.right, decision=engine, now=clock(), **_KEYS)
    with pytest.raises(SourceRecordUnknown):
        await relink(
            connection, domain="src:h9", source_blind=blind, to=None, decision=by("relink"), now=clock(), **_KEYS
        )

    back = await relink(
        connection, domain="src:h2", source_blind=blind, to=done.right, decision=by("relink"), now=clock(), **_KEYS
    )
    assert back.again


async def test_what_somebody_broke_behind_the_platform_is_found_and_mended(connection: Connection) -> None:
    clock = Clock()
    a, b, c = [await enter(connection, now=clock(), name=name, source=("src:h1", name)) for name in "甲乙丙"]
    await merges.merge(connection, retired=b, survivor=a, decision=by(), now=clock(), **_KEYS)
    await merges.merge(connection, retired=a, survivor=c, decision=by(), now=clock(), **_KEYS)
    before = await state(connection)
    assert await broken(connection) == []

    await connection.execute(text("UPDATE empi_person SET current_mpi = :a WHERE mpi = :b"), {"a": a, "b": b})
    await connection.execute(text("UPDATE empi_person SET sex = '2' WHERE mpi = :c"), {"c": c})
    assert sorted(set(await broken(connection))) == ["golden", "pointer"]

    found = await verifying.look(connection)
    walk = verifying.look_at_golden(connection, **_KEYS)
    found += [each async for _, part in walk for each in part]
    await verifying.mend(connection, found, now=clock(), **_KEYS)
    assert await broken(connection) == []
    assert await state(connection) == before
    assert (await pointers(connection))[b] == c
