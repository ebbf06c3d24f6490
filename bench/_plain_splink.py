"""A plain Splink over persons, as its documentation configures one: independent fields from the comparison library."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

Shares = Callable[[Sequence[Any], Sequence[str]], tuple[float, float, float]]
PRECISION = 0.999
CLUSTERED_AT = 0.99


def run(facts: list[list[str]], truth: Sequence[str], shares: Shares) -> dict[str, float]:
    """Return its greatest recall at precision .999, F1 of its clusters, and seconds.

    Args:
        facts: columns of ``Facts`` in their order.
        truth: of each row, the person.
        shares: gives precision, recall and F1 of groups.
    """
    import duckdb  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415
    import splink.comparison_library as cl  # noqa: PLC0415
    from splink import Linker, SettingsCreator, block_on  # noqa: PLC0415
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    logging.getLogger("splink").setLevel(logging.ERROR)
    begun = time.perf_counter()
    names = ("name", "sex", "birth_date", "id_type", "id_number", "phone", "address")
    table = {name: [each or None for each in column] for name, column in zip(names, facts, strict=True)}
    connection = duckdb.connect()
    connection.register("given_rows", pa.table({"unique_id": list(range(len(truth))), **table}))
    connection.execute("CREATE TABLE rows AS SELECT * FROM given_rows")
    settings = SettingsCreator(
        link_type="dedupe_only",
        comparisons=[
            cl.JaroWinklerAtThresholds("name", [0.9, 0.7]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("sex"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.DamerauLevenshteinAtThresholds("id_number", [1, 2]),
            cl.ExactMatch("phone"),
            cl.JaroWinklerAtThresholds("address", [0.95, 0.88]),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("id_number"),
            block_on("name", "birth_date"),
            block_on("phone", "birth_date"),
            block_on("phone", "name"),
            block_on("name", "address"),
            block_on("birth_date", "address"),
        ],
    )
    linker = Linker(DuckDBAPI(connection).register(connection.table("rows")), settings, log_level=None)
    certain = [block_on("id_number"), block_on("name", "birth_date", "phone")]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for block in (block_on("name", "birth_date"), block_on("id_number"), block_on("phone")):
        linker.training.estimate_parameters_using_expectation_maximisation(block)
    predicted = linker.inference.predict(threshold_match_probability=0.01)
    seconds = time.perf_counter() - begun
    pairs = predicted.as_duckdbpyrelation().select("unique_id_l, unique_id_r, match_weight").fetchall()
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, CLUSTERED_AT)
    group: list[Any] = list(range(len(truth)))
    for name, row in clustered.as_duckdbpyrelation().select("cluster_id, unique_id").fetchall():
        group[row] = name
    return {
        "splink_recall_at_p999": _recall(pairs, truth),
        "splink_f1": shares(group, truth)[2],
        "splink_seconds": seconds,
    }


def _recall(pairs: list[tuple[int, int, float]], truth: Sequence[str]) -> float:
    """Return the greatest recall at any threshold with the precision asked for."""
    people: dict[str, int] = {}
    for person in truth:
        people[person] = people.get(person, 0) + 1
    real = sum(number * (number - 1) // 2 for number in people.values())
    pairs.sort(key=lambda pair: -pair[2])
    best = right = 0
    for number, (one, other, weight) in enumerate(pairs, 1):
        right += truth[one] == truth[other]
        last = number == len(pairs) or pairs[number][2] < weight
        if last and right >= PRECISION * number:
            best = right
    return best / max(real, 1)
