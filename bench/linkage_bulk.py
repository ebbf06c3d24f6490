"""``ymt bench linkage-bulk [--rows N]``: N rows trained, linked, clustered and written by us, and by bare Splink.

Both read one Parquet file of a made-up population (``population.py``) and write one of (record, person), each in a
process of its own, one after the other. Splink is configured as its documentation does for persons: ordinary
comparisons of name, birth date, number, phone and address, several blocking rules. Keys: ``ratio`` our seconds by
Splink's, of each the seconds in all, peak memory (MB) and clustered F1. Unsealing is outside the
time: both sides read a file in clear (``ymt match run database`` unseals in its stream and says what that took).

5,000,000 rows within 8 GB: ``ymt bench linkage-bulk --rows 5000000 --memory-mb 6000 --only ours``.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from population import COLUMNS, Levels, Population

LINK_PROBABILITY = 0.99
LINK_BITS = 6.6293566200796095
_BATCH = 50_000
_SAMPLE = 200_000


class Stages:
    """Seconds of each stage of a side."""

    def __init__(self) -> None:
        """Start the first stage: reading."""
        self.seconds: dict[str, float] = {}
        self._name, self._since = "read", time.perf_counter()

    def begin(self, name: str) -> None:
        """End the stage before and start this one."""
        now = time.perf_counter()
        self.seconds[self._name] = self.seconds.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now


def make(path: Path, rows: int, seed: int) -> None:
    """Write the population as Parquet, in batches."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    drawn = Population(seed=seed, levels=Levels()).rows(rows)
    with pq.ParquetWriter(path, schema) as writer:
        while batch := [row for row, _n in zip(drawn, range(_BATCH), strict=False)]:
            columns = [
                pa.array([value or None for value in column], pa.string()) for column in zip(*batch, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def raw_batches(path: Path) -> Iterator[list[list[Any]]]:
    """Yield the columns of ``preparing.FACTS`` batch by batch."""
    import pyarrow.parquet as pq  # noqa: PLC0415

    from yimatong.empi.linkage.preparing import FACTS  # noqa: PLC0415

    for batch in pq.ParquetFile(path).iter_batches(batch_size=20_000, columns=list(FACTS)):
        yield [batch.column(name).to_pylist() for name in FACTS]


def ours(path: Path, out: Path, *, rows: int, memory_mb: int) -> dict[str, float]:
    """Train, link, cluster, write."""
    from yimatong.empi.linkage import bulk, duck, preparing, training  # noqa: PLC0415
    from yimatong.empi.matching import settings as configuration  # noqa: PLC0415
    from yimatong.empi.matching.scoring import Thresholds  # noqa: PLC0415

    stages = Stages()
    settings = configuration.shipped()
    with duck.opened(memory_mb=memory_mb) as connection:
        stages.begin("prepare")
        preparing.load(connection, settings, raw_batches(path), rows=rows, processes=2)
        stages.begin("train")
        trained = training.train(connection, settings, sample=_SAMPLE)
        thresholds = Thresholds(link=LINK_BITS, review=LINK_BITS)
        bulk.link(connection, trained.model, thresholds, say=stages.begin)
        connection.execute(
            "COPY (SELECT record_id, person FROM groups JOIN (SELECT row_number() OVER () - 1 AS id, record_id"  # noqa: S608
            f" FROM read_parquet('{path}')) USING (id)) TO '{out}' (FORMAT parquet)"
        )
        stages.begin("end")
    return stages.seconds


def bare_splink(path: Path, out: Path, *, memory_mb: int) -> dict[str, float]:
    """Do the same with Splink alone."""
    import duckdb  # noqa: PLC0415
    import splink.comparison_library as cl  # noqa: PLC0415
    from splink import Linker, SettingsCreator, block_on  # noqa: PLC0415
    from splink.backends.duckdb import DuckDBAPI  # noqa: PLC0415

    logging.getLogger("splink").setLevel(logging.ERROR)
    stages = Stages()
    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{memory_mb}MB'")
    connection.execute(f"CREATE TABLE people AS SELECT * EXCLUDE (person) FROM read_parquet('{path}')")  # noqa: S608
    stages.begin("train")
    api = DuckDBAPI(connection)
    settings = SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_id",
        comparisons=[
            cl.JaroWinklerAtThresholds("name", [0.9, 0.7]).configure(term_frequency_adjustments=True),
            cl.ExactMatch("sex"),
            cl.DateOfBirthComparison("birth_date", input_is_string=True),
            cl.DamerauLevenshteinAtThresholds("id_number", [1, 2]),
            cl.LevenshteinAtThresholds("phone", [1, 2]),
            cl.JaroWinklerAtThresholds("address", [0.9, 0.7]),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("id_number"),
            block_on("name", "birth_date"),
            block_on("phone", "name"),
            block_on("phone", "birth_date"),
            block_on("name", "address"),
            block_on("birth_date", "address"),
            block_on("substr(id_number, 1, 14)", "sex"),
            block_on("substr(name, 1, 1)", "birth_date", "sex"),
        ],
    )
    linker = Linker(api.register(connection.table("people")), settings, log_level=None)
    certain = [block_on("id_number"), block_on("name", "birth_date", "phone")]
    linker.training.estimate_probability_two_random_records_match(certain, recall=0.8)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for block in (block_on("name", "birth_date"), block_on("id_number")):
        linker.training.estimate_parameters_using_expectation_maximisation(block)
    stages.begin("predict")
    found = linker.inference.predict(threshold_match_probability=LINK_PROBABILITY)
    stages.begin("cluster")
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(found, LINK_PROBABILITY)
    stages.begin("write")
    table = clustered.physical_name
    connection.execute(f"COPY (SELECT record_id, cluster_id AS person FROM {table}) TO '{out}' (FORMAT parquet)")  # noqa: S608
    stages.begin("end")
    return stages.seconds


def f1(path: Path, out: Path) -> float:
    """Return the F1 over all pairs inside the groups, judged by the truth."""
    import duckdb  # noqa: PLC0415

    with duckdb.connect() as connection:
        both, found, true = connection.execute(
            "WITH j AS (SELECT t.person AS truth, o.person AS ours FROM"  # noqa: S608 -- our own files
            f" read_parquet('{path}') t JOIN read_parquet('{out}') o USING (record_id)),"
            " n AS (SELECT count(*) AS c FROM j GROUP BY truth, ours),"
            " o AS (SELECT count(*) AS c FROM j GROUP BY ours),"
            " t AS (SELECT count(*) AS c FROM j GROUP BY truth) SELECT (SELECT sum(c * (c - 1)) FROM n),"
            " (SELECT sum(c * (c - 1)) FROM o), (SELECT sum(c * (c - 1)) FROM t)"
        ).fetchall()[0]
    return float(2 * both / (found + true))


def one_side(side: str, path: Path, out: Path, arguments: argparse.Namespace) -> None:
    """Run one side in this process and print what it took as JSON."""
    if side == "ours":
        seconds = ours(path, out, rows=arguments.rows, memory_mb=arguments.memory_mb)
    else:
        seconds = bare_splink(path, out, memory_mb=arguments.splink_memory_mb)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024 * 2
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_s = sum(each.ru_utime + each.ru_stime for each in both)
    sys.stdout.write(json.dumps({"seconds": seconds, "memory_mb": own + workers, "cpu_s": cpu_s}) + "\n")


def in_process(side: str, path: Path, out: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "--rows", str(arguments.rows), "--memory-mb", str(arguments.memory_mb)]
    command += ["--splink-memory-mb", str(arguments.splink_memory_mb), "--side", side, "--files", str(path), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(1)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    result["total"] = sum(result["seconds"].values())
    result["f1"] = f1(path, out)
    stages = " ".join(f"{name}={value:.1f}" for name, value in result["seconds"].items())
    took = f"{result['total']:.1f} s ({stages}), {result['cpu_s']:.1f} s of processors"
    print(f"{side}: {took}, {result['memory_mb']:.0f} MB, f1 {result['f1']:.4f}", flush=True)
    return result


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ymt bench linkage-bulk", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=1_300, help="DuckDB's share on our side")
    parser.add_argument("--splink-memory-mb", type=int, default=8_000)
    parser.add_argument("--only", choices=("ours", "splink"))
    parser.add_argument("--side", choices=("ours", "splink"), help=argparse.SUPPRESS)
    parser.add_argument("--files", nargs=2, type=Path, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Run both sides; print one figure."""
    arguments = _arguments(argv)
    if arguments.side:
        one_side(arguments.side, *arguments.files, arguments)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.parquet"
        make(path, arguments.rows, arguments.seed)
        sides = [side for side in ("splink", "ours") if arguments.only in (None, side)]
        found = {side: in_process(side, path, Path(folder) / f"{side}.parquet", arguments) for side in sides}
    shown = {"rows": f"{arguments.rows}"}
    if len(found) > 1:
        shown["ratio"] = f"{found['ours']['total'] / found['splink']['total']:.2f}"
    for side, suffix in (("ours", ""), ("splink", "_splink")):
        if side in found:
            shown[f"seconds{suffix}"] = f"{found[side]['total']:.1f}"
            shown[f"cpu_s{suffix}"] = f"{found[side]['cpu_s']:.1f}"
            shown[f"memory_mb{suffix}"] = f"{found[side]['memory_mb']:.0f}"
            shown[f"f1{suffix}"] = f"{found[side]['f1']:.4f}"
    print("figure: linkage-bulk " + " ".join(f"{key}={value}" for key, value in shown.items()) + " unsealing=outside")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
