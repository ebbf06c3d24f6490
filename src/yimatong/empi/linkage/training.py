"""Learns a model: Splink 5 on DuckDB estimates the shares of levels, frequencies and the prior are counted.

Splink estimates u by random sampling of pairs and m by expectation maximisation within blocks (Fellegi and Sunter 1969;
Winkler 1988). A level that was never seen keeps the share of the model given as ``fallback``, or a small one.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import msgspec

from yimatong.empi.errors import TrainingImpossible
from yimatong.empi.linkage.preparing import silence
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching import sql
from yimatong.empi.matching.model import Frequencies, Learnt, Model, check
from yimatong.empi.matching.settings import Comparison, Settings

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_RECORDS_MIN: Final = 100
_FREQUENCIES_MAX: Final = 20_000
_SHARE_MIN: Final = 1e-9
_DOUBLES_MAX: Final = 20
"""Sampled pairs hold some of one person (the prior), which all agree: taken off u, down to a twentieth of it."""
_HOT_MAX: Final = 10_000
_AGAINST_LEAST: Final = 1000
"""With nothing counted, one pair in a thousand of one person has two proven values that differ."""
_M_UNSEEN: Final = 1e-3
"""Share among pairs of one person of a level that training never saw and nobody told."""


class Trained(msgspec.Struct, frozen=True, kw_only=True):
    """A model and what it stands on: records read, records sampled, pairs that were all but certain."""

    model: Model
    records: int
    sampled: int
    certain_pairs: int
    unseen_levels: tuple[str, ...]


def train(
    connection: DuckDBPyConnection,
    settings: Settings,
    *,
    records: str = "records",
    sample: int = 200_000,
    seed: int = 1,
    across: bool = False,
    fallback: Model | None = None,
) -> Trained:
    """Return the model learnt from a table of prepared records (``id``, ``source``, columns).

    Args:
        connection: where the table stands.
        settings: what is compared.
        records: the table.
        sample: how many records expectation maximisation looks at; frequencies and the prior look at all.
        seed: makes the run repeatable.
        across: only pairs of two sources count (two sets without doubles of their own).
        fallback: a model of the same comparisons for levels that never occur.

    Raises:
        TrainingImpossible: too few records, or no pair that is all but certain.
    """
    count = _number(connection, f"SELECT count(*) FROM {records}")  # noqa: S608 -- our own table
    if count < _RECORDS_MIN:
        raise TrainingImpossible(detail=f"records: {count}")
    hot = _hot(connection, settings, records, count)
    silence(connection, settings, hot, records=records)
    certain = _number(connection, _certain(settings, records, across=across))
    if not certain:
        raise TrainingImpossible(detail="certain pairs: 0")
    prior = min(max(certain / settings.training.recall / _all_pairs(connection, records, across=across), 1e-12), 0.5)
    sampled = min(count, sample)
    table = _sampled(connection, settings, records, sampled if sampled < count else 0, seed)
    shares = _splink(connection, settings, table, prior=prior, seed=seed, across=across)
    connection.execute(f"DROP TABLE {table}")
    learnt, unseen = _learnt(settings, _bounded(connection, settings, records, shares), prior, fallback)
    frequencies = {column: _frequencies(connection, records, column) for column in settings.frequency_columns}
    model = Model(settings=settings, prior=prior, learnt=learnt, frequencies=frequencies, hot=hot)
    check(model)
    return Trained(model=model, records=count, sampled=sampled, certain_pairs=certain, unseen_levels=unseen)


def _number(connection: DuckDBPyConnection, statement: str) -> int:
    return int(connection.execute(statement).fetchall()[0][0] or 0)


def _hot(connection: DuckDBPyConnection, settings: Settings, records: str, count: int) -> tuple[tuple[str, ...], ...]:
    """Return the values of each of ``settings.hot`` that so many people share that they say nothing."""
    found = []
    for each in settings.hot:
        value = sql.joined(each.columns)
        said = " OR ".join(f"{column} IS NOT NULL" for column in each.columns)
        rows = connection.execute(
            f"SELECT value FROM (SELECT {value} AS value, count(*) AS n, count(DISTINCT {settings.hot_by}) AS people"  # noqa: S608
            f" FROM {records} WHERE {said} GROUP BY 1) WHERE people >= {int(each.people)}"
            f" AND n >= {sql.double(each.share * count)} ORDER BY n DESC, value LIMIT {_HOT_MAX}"
        ).fetchall()
        found.append(tuple(value for (value,) in rows))
    return tuple(found)


_Shares = dict[str, dict[str, tuple[float | None, float | None]]]


def _bounded(connection: DuckDBPyConnection, settings: Settings, records: str, shares: _Shares) -> _Shares:
    """Lower levels that speak against one person to what is counted of them (``Against``)."""
    for each in settings.training.against:
        alike = ", ".join(each.alike)
        whole = " AND ".join(f"{column} IS NOT NULL" for column in (each.proven, *each.alike))
        pairs = "SELECT coalesce(sum(n * (n - 1) / 2), 0) FROM (SELECT count(*) AS n FROM {0} WHERE {1} GROUP BY {2})"
        same = _number(connection, pairs.format(records, f"{each.proven} IS NOT NULL", each.proven))
        both = _number(connection, pairs.format(records, whole, f"{each.proven}, {alike}"))
        changed = _number(connection, pairs.format(records, whole, alike)) - both
        most = (changed + 1) / (same + changed + _AGAINST_LEAST)
        m, u = shares[each.comparison].get(each.level, (None, None))
        if m is not None:
            shares[each.comparison][each.level] = (min(m, most), u)
    return shares


def _certain(settings: Settings, records: str, *, across: bool) -> str:
    certain = msgspec.structs.replace(settings, blocks=settings.training.certain)
    return f"SELECT count(*) FROM ({sql.pairs(certain, records=records, across=across)})"  # noqa: S608 -- as above


def _all_pairs(connection: DuckDBPyConnection, records: str, *, across: bool) -> float:
    sizes = [
        int(row[0])
        for row in connection.execute(f"SELECT count(*) FROM {records} GROUP BY source").fetchall()  # noqa: S608
    ]
    total = sum(sizes)
    every = total * (total - 1) / 2
    return every - sum(size * (size - 1) / 2 for size in sizes) if across else every


def _sampled(connection: DuckDBPyConnection, settings: Settings, records: str, size: int, seed: int) -> str:
    """Copy what Splink looks at under the names it wants; whole groups of a certain rule would bias, rows do not."""
    columns = ", ".join(configuration.preparation(settings).columns)
    chosen = f" ORDER BY hash(id + {int(seed)}) LIMIT {size}" if size else ""
    connection.execute(
        "CREATE OR REPLACE TABLE ymt_training AS SELECT id AS unique_id, source AS source_dataset,"  # noqa: S608
        f" {columns} FROM {records}{chosen}"
    )
    return "ymt_training"


def _splink(
    connection: DuckDBPyConnection, settings: Settings, table: str, *, prior: float, seed: int, across: bool
) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """Return m and u by comparison and level, None where Splink saw none."""
    from splink import Linker  # noqa: PLC0415
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection)
    tables: Any = api.register(connection.table(table))
    if across:
        sources = [row[0] for row in connection.execute(f"SELECT DISTINCT source_dataset FROM {table}").fetchall()]  # noqa: S608
        for source in sources:
            connection.execute(
                f"CREATE OR REPLACE TABLE ymt_training_{int(source)} AS"  # noqa: S608 -- our own tables
                f" SELECT * EXCLUDE (source_dataset) FROM {table} WHERE source_dataset = {int(source)}"
            )
        tables = [api.register(connection.table(f"ymt_training_{int(source)}")) for source in sources]
    linker = Linker(tables, splink_settings(settings, prior=prior, across=across), log_level=None)
    linker.training.estimate_u_using_random_sampling(
        max_pairs=settings.training.largest_pairs, seed=seed, min_count_per_level=None, num_chunks=1
    )
    for block in settings.training.blocks:
        linker.training.estimate_parameters_using_expectation_maximisation(
            sql.splink_block(block), max_pairs=settings.training.largest_pairs
        )
    saved = linker.misc.save_model_to_json()
    return {
        comparison["output_column_name"]: {
            level["label_for_charts"]: (level.get("m_probability"), level.get("u_probability"))
            for level in comparison["comparison_levels"]
        }
        for comparison in saved["comparisons"]
    }


def splink_settings(settings: Settings, *, prior: float, across: bool) -> dict[str, Any]:
    """Return our settings as Splink's, without frequencies: those are counted by us."""
    return {
        "link_type": "link_only" if across else "dedupe_only",
        "unique_id_column_name": "unique_id",
        "probability_two_random_records_match": prior,
        "retain_matching_columns": False,
        "retain_intermediate_calculation_columns": False,
        "comparisons": [_splink_comparison(each) for each in settings.comparisons],
        "blocking_rules_to_generate_predictions": [sql.splink_block(each) for each in settings.training.certain],
    }


def _splink_comparison(comparison: Comparison) -> dict[str, Any]:
    made = configuration.comparator(comparison)
    levels: list[dict[str, Any]] = [
        {"sql_condition": sql.splink(made.missing), "label_for_charts": "missing", "is_null_level": True}
    ]
    levels += [{"sql_condition": sql.splink(each.sql) or "ELSE", "label_for_charts": each.name} for each in made.levels]
    return {"output_column_name": comparison.name, "comparison_levels": levels}


def _learnt(
    settings: Settings,
    shares: dict[str, dict[str, tuple[float | None, float | None]]],
    prior: float,
    fallback: Model | None,
) -> tuple[dict[str, dict[str, Learnt]], tuple[str, ...]]:
    learnt: dict[str, dict[str, Learnt]] = {}
    unseen = []
    for comparison in settings.comparisons:
        names = [level.name for level in configuration.comparator(comparison).levels]
        known = (fallback.learnt if fallback else {}).get(comparison.name, {})
        raw = {}
        for name in names:
            m, u = shares[comparison.name].get(name, (None, None))
            before = known.get(name)
            if m is None or u is None:
                unseen.append(f"{comparison.name}.{name}")
            m_share = _share(m, before.m if before else _M_UNSEEN)
            u_share = _share(u, before.u if before else 1 / (2 * settings.training.largest_pairs))
            raw[name] = (m_share, u_share if u is None else max(u_share - prior * m_share, u_share / _DOUBLES_MAX))
        learnt[comparison.name] = _whole(raw)
    return learnt, tuple(unseen)


def _share(found: float | None, otherwise: float) -> float:
    return max(float(found) if found else otherwise, _SHARE_MIN)


def _whole(raw: dict[str, tuple[float, float]]) -> dict[str, Learnt]:
    """Make the shares of all levels one, among pairs of one person and among pairs of two."""
    m_sum, u_sum = sum(m for m, _u in raw.values()), sum(u for _m, u in raw.values())
    return {name: Learnt(m / m_sum, u / u_sum) for name, (m, u) in raw.items()}


def _frequencies(connection: DuckDBPyConnection, records: str, column: str) -> Frequencies:
    """Count the values of a column; beyond the most frequent, a value counts as the mean of the rest."""
    rows = connection.execute(
        f"SELECT {column}::VARCHAR, count(*) AS n FROM {records} WHERE {column} IS NOT NULL"  # noqa: S608
        f" GROUP BY 1 ORDER BY n DESC, 1 LIMIT {_FREQUENCIES_MAX}"
    ).fetchall()
    total, distinct = connection.execute(
        f"SELECT count({column}), count(DISTINCT {column}) FROM {records}"  # noqa: S608 -- as above
    ).fetchall()[0]
    if not total:
        return Frequencies(1.0)
    rest = total - sum(n for _value, n in rows)
    unseen = rest / (distinct - len(rows)) / total if distinct > len(rows) else 1 / total
    return Frequencies(unseen, {value: n / total for value, n in rows if n / total > unseen})
