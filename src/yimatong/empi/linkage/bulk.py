"""Bulk linkage: block, score, cluster. The SQL is made from the settings and weights of the online scorer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from yimatong.empi.linkage.preparing import add_frequencies
from yimatong.empi.matching import sql
from yimatong.empi.matching.clusters import Clusters, Link, cluster
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import Thresholds

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Say = Callable[[str], None]


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """What a run found; the tables ``scored`` (pairs from the review threshold on) and ``groups`` hold it in full.

    ``reviews`` counts pairs that a steward should judge: between the thresholds, or above them with a guard;
    ``clusters.conflicts`` are links that were refused because of what their groups hold.
    """

    pairs: int
    links: int
    reviews: int
    clusters: Clusters


def link(
    connection: DuckDBPyConnection,
    model: Model,
    thresholds: Thresholds,
    *,
    across: bool = False,
    rejected: Iterable[tuple[int, int]] = (),
    say: Say = lambda _stage: None,
) -> Linked:
    """Link the table ``records`` (prepared, see ``preparing.load``).

    Args:
        connection: where the table stands.
        model: settings and weights.
        thresholds: bits from which a pair is linked, and from which it is reviewed.
        across: only pairs of two sources count.
        rejected: pairs of record numbers that a steward said are two persons.
        say: told of each stage as it begins: ``frequencies``, ``block``, ``score``, ``cluster``, ``write``.
    """
    say("frequencies")
    add_frequencies(connection, model)
    say("block")
    connection.execute(
        f"CREATE OR REPLACE TABLE pairs AS {sql.pairs(model.settings, records='records', across=across)}"
    )
    pairs = _count(connection, "pairs")
    say("score")
    connection.execute(
        "CREATE OR REPLACE TABLE scored AS SELECT * FROM"  # noqa: S608 -- made from settings that were checked
        f" ({sql.scored(model, records='records', pairs='pairs')}) WHERE weight >= {sql.double(thresholds.review)}"
    )
    connection.execute("DROP TABLE pairs")
    say("cluster")
    links = _links(connection, f"weight >= {sql.double(thresholds.link)} AND NOT guarded")
    found = cluster(
        links,
        certificates=_certificates(connection, model),
        apart=[*rejected, *_guarded(connection)],
        rivals=_links(connection, f"weight >= {sql.double(thresholds.link)} AND guarded AND NOT apart"),
    )
    say("write")
    _write(connection, found)
    return Linked(pairs=pairs, links=len(links), reviews=_count(connection, "scored") - len(links), clusters=found)


def _count(connection: DuckDBPyConnection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])  # noqa: S608 -- our own tables


def _links(connection: DuckDBPyConnection, which: str) -> list[Link]:
    found = connection.execute(f"SELECT l, r, weight FROM scored WHERE {which}").fetchnumpy()  # noqa: S608 -- ours
    return list(zip(found["l"].tolist(), found["r"].tolist(), found["weight"].tolist(), strict=True))


_ENDS: Final = "(SELECT l AS id FROM scored UNION SELECT r FROM scored)"


def _certificates(connection: DuckDBPyConnection, model: Model) -> dict[int, tuple[str, ...]]:
    column = model.settings.certificate
    if not column:
        return {}
    rows = connection.execute(
        f"SELECT id, {column} FROM records SEMI JOIN {_ENDS} USING (id) WHERE {column} IS NOT NULL"  # noqa: S608
    ).fetchall()
    return {record: tuple(held) if isinstance(held, list) else (held,) for record, held in rows}


def _guarded(connection: DuckDBPyConnection) -> list[tuple[int, int]]:
    """Return pairs that must not come together by a chain over others either."""
    return [(left, right) for left, right in connection.execute("SELECT l, r FROM scored WHERE apart").fetchall()]


def _write(connection: DuckDBPyConnection, found: Clusters) -> None:
    """Make ``groups``: of each record (``id``) the smallest record of its group (``person``); singles included."""
    import pyarrow as pa  # noqa: PLC0415

    connection.register(
        "found",
        pa.table({"id": pa.array(found.group, pa.int32()), "person": pa.array(found.group.values(), pa.int32())}),
    )
    connection.execute(
        "CREATE OR REPLACE TABLE groups AS SELECT id, coalesce(found.person, id) AS person"
        " FROM records LEFT JOIN found USING (id)"
    )
    connection.unregister("found")
