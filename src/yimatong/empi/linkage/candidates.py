"""Who may be the person of a record: candidates by blocking tokens, for many records in one statement, and scored.

Tokens lead to the ids that records were entered under, those to the persons of today, and those to what was said of
them. A token that too many share (a hot key) gives only its first ids: such a key tells little, and the others lead to
the same person. Every table is reached by its key, row by row (LATERAL), whatever the statistics say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from yimatong.crypto.errors import SealBroken
from yimatong.crypto.sealing import Sealer
from yimatong.crypto.tokens import Blinder
from yimatong.empi.golden import service as golden
from yimatong.empi.golden.service import Said
from yimatong.empi.linkage.engine import Engine
from yimatong.empi.matching import blocking
from yimatong.empi.matching.comparators import Prepared
from yimatong.empi.matching.facts import Facts, Score
from yimatong.kit.arrays import plain
from yimatong.kit.db import RawConnection

PER_TOKEN: Final = 48
"""Ids taken of one token."""
PER_RECORD: Final = 32
"""Persons compared with one record: those who share most tokens."""
PER_PERSON: Final = 6
"""Statements compared of one person: the newest."""

FIND: Final = f"""
    WITH hits AS (
        SELECT i.ord, coalesce(p.current_mpi, p.mpi) AS mpi, count(*) AS shared
        FROM unnest(%s::int[], %s::bigint[]) AS i (ord, t)
        JOIN LATERAL (SELECT mpi FROM empi_block WHERE token = i.t LIMIT {PER_TOKEN}) b ON true
        JOIN LATERAL (SELECT mpi, current_mpi FROM empi_person WHERE mpi = b.mpi LIMIT 1) p ON true
        GROUP BY 1, 2
    ), best AS (
        SELECT ord, mpi FROM (SELECT ord, mpi, row_number() OVER (PARTITION BY ord ORDER BY shared DESC, mpi) AS place
                              FROM hits) r WHERE place <= {PER_RECORD}
    )
    SELECT h.ord, h.mpi, c.mpi, c.contribution_id, c.provider, c.kind, c.sealed, c.sex, c.birth_date, c.real_name_level,
           c.at, c.domain, c.source_blind
    FROM best h
    JOIN LATERAL (SELECT 1 FROM empi_person WHERE mpi = h.mpi AND state = 'live' LIMIT 1) q ON true
    JOIN LATERAL (SELECT s.* FROM (SELECT h.mpi AS mpi UNION ALL SELECT mpi FROM empi_person
                                   WHERE current_mpi = h.mpi) g
                  JOIN LATERAL (SELECT * FROM empi_contribution WHERE mpi = g.mpi AND current
                                ORDER BY at DESC LIMIT {PER_PERSON}) s ON true
                  ORDER BY s.at DESC LIMIT {PER_PERSON}) c ON true
"""  # noqa: S608 -- constants of this module


class Candidate(NamedTuple):
    """A person of today and how strongly a record speaks for being her: by the statement that fits it best.

    The score carries the guards of that statement, and of all her others those that speak against one person
    (``Guard.apart``): one that fits cannot hide one that contradicts, and one that proves too little spoils no other.
    """

    mpi: UUID
    score: Score


def facts_of(said: Said) -> Facts:
    """Return what a stored statement says, for matching: a number that identifies nobody is a fact, too."""
    facts, statement = said.facts, said.statement
    number = facts.said_number or ("" if facts.id_type == _DOMAIN_INDEX else facts.id_number)
    return Facts(
        name=facts.name,
        sex=statement.sex,
        birth_date=statement.birth_date,
        id_type=(facts.said_type or facts.id_type) if number else "",
        id_number=number,
        phone=facts.phone,
        address=facts.address,
    )


_DOMAIN_INDEX: Final = "98"


def block_tokens(blinder: Blinder, facts: Facts) -> list[int]:
    """Return the tokens under which a record is found by similar ones, each once."""
    return sorted({blinder.block_token(key) for key in blocking.block_keys(facts)})


async def find(
    connection: RawConnection,
    records: Sequence[tuple[Facts, Sequence[int]]],
    *,
    sealer: Sealer,
    engine: Engine,
    but: Sequence[UUID] = (),
) -> list[list[Candidate]]:
    """Return the candidates of each record, given as (facts, block tokens), the likeliest first.

    ``but``: persons whom the records are of already, in their order (empty: none is in the index).
    """
    found: list[dict[UUID, list[Prepared]]] = [{} for _ in records]
    pairs = [(index, token) for index, (_, tokens) in enumerate(records) for token in tokens]
    if not pairs:
        return [[] for _ in records]
    ords, tokens = zip(*pairs, strict=True)
    rows: Sequence[Any] = await (await connection.execute(FIND, (plain(ords), plain(tokens)))).fetchall()
    opened: dict[str, Prepared] = {}
    for row in rows:
        index, mpi, key = row[0], row[1], row[3]
        if but and but[index] == mpi:
            continue
        prepared = opened.get(key)
        if prepared is None:
            try:
                prepared = opened[key] = engine.scorer.prepare(facts_of(golden.opened(sealer, row[2:])))
            except SealBroken:  # an edited row is nobody's candidate; the worker raises the alarm
                continue
        found[index].setdefault(mpi, []).append(prepared)
    return [
        _ranked(engine.scorer.prepare(facts), persons, engine) if persons else []
        for (facts, _), persons in zip(records, found, strict=True)
    ]


def _ranked(record: Prepared, persons: dict[UUID, list[Prepared]], engine: Engine) -> list[Candidate]:
    ranked = []
    for mpi, statements in persons.items():
        scores = [engine.scorer.score(record, each) for each in statements]
        best = max(scores, key=lambda score: (engine.verdict(score) == "link", score.weight))
        apart = (name for score in scores for name in score.guards if name in engine.scorer.apart)
        guards = tuple(dict.fromkeys((*best.guards, *apart)))
        ranked.append(Candidate(mpi, msgspec.structs.replace(best, guards=guards) if guards != best.guards else best))
    ranked.sort(key=lambda each: (-each.score.weight, each.mpi))
    return ranked
