"""``ymt bench linkage-hard [--seed S | --file F] [--rows N]``: a Chinese population linked without knowing the truth.

Our training, thresholds, scoring and clustering on the rows, judged afterwards by their column ``person``; a plain
Splink of the kind its documentation shows for persons beside it, on the same rows in the same run. ``--file`` takes any
CSV or Parquet with the columns of ``population.py``: dates in the usual written forms, empty cells for what is not
known, sex as a code of GB/T 2261.1 or in words. Keys of the figure (a true pair: two records of one person):

- ``auto_precision``: of the pairs inside automatic clusters, the share of true ones.
- ``auto_recall``: of all true pairs, the share that is inside one automatic cluster.
- ``twins_merged``: automatic clusters that hold two persons who were born on one day (by their records' most frequent
  birth date) and share a phone or an address, or the surname before another given name.
- ``f1_clustered``: harmonic mean of precision and recall over the pairs inside the likeliest clusters: every pair at
  even odds or better is joined, stewards' pairs too, save those that a guard or two certificates keep apart. No truth
  is used. ``f1_automatic`` is that of the automatic clusters, ``f1_reviewed`` that of these after stewards decided each
  pair they were sent, rightly.
- ``review_rate``: pairs for stewards (between the thresholds, with a guard above the lower one, or refused by the
  cluster check), a record.
- ``splink_recall_at_p999``: the plain Splink's greatest share of true pairs among those it predicts at any threshold
  that keeps precision at .999; ``splink_f1`` is that of its clusters at probability .99.

``--explain`` prints what was missed, what was wrong and what stewards get, by levels of the comparisons.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))

import _plain_splink
from population import COLUMNS, Population, add_levels, levels_of

from yimatong.standards import variants

Columns = dict[str, list[str]]
BARS = {"auto_precision": 0.999, "auto_recall": 0.97, "f1_clustered": 0.99}
MOST = {"twins_merged": 0.0, "review_rate": 0.03}
_SEXES = {
    **dict.fromkeys(("1", "男", "m", "male", "男性", "1.0"), "1"),
    **dict.fromkeys(("2", "女", "f", "female", "女性", "2.0"), "2"),
}
_NUMBERS = re.compile(r"[0-9]+")
_IDENTITY_NUMBER = re.compile(r"[0-9]{15}|[0-9]{17}[0-9Xx]")
_CARDS = frozenset(("01", "1", "身份证", "居民身份证", "id", "idcard", "id_card", "resident"))
_NOTHING = frozenset(("", "nan", "none", "null", "nat", "na", "n/a", "-", "无", "不详", "未知"))


def read(path: Path) -> Columns:
    """Return the columns of a file as text."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq  # noqa: PLC0415 -- heavy, and CSV needs it not

        table = pq.read_table(path, columns=list(COLUMNS))
        return {name: [_text(each) for each in table[name].to_pylist()] for name in COLUMNS}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [_text(row[name]) for row in rows] for name in COLUMNS}


def _text(value: object) -> str:
    text = "" if value is None else str(value).strip()
    return "" if text.casefold() in _NOTHING else text


def facts_columns(columns: Columns) -> list[list[str]]:
    """Return the columns of ``Facts``: dates as ISO text, sex and kind of certificate as codes."""
    return [
        columns["name"],
        [_SEXES.get(each.casefold(), "0") for each in columns["sex"]],
        [iso_date(each) for each in columns["birth_date"]],
        [_kind(kind, number) for kind, number in zip(columns["id_type"], columns["id_number"], strict=True)],
        columns["id_number"],
        columns["phone"],
        columns["address"],
    ]


def iso_date(text: str) -> str:
    """Return a written date (``1990-1-2``, ``1990/01/02``, ``19900102``, ``1990年1月2日``) as ISO text, or nothing."""
    parts = _NUMBERS.findall(unicodedata.normalize("NFKC", text))
    if parts and len(parts[0]) >= 8:
        parts = [parts[0][:4], parts[0][4:6], parts[0][6:8]]
    if len(parts) < 3:
        return ""
    year, month, day = parts[:3] if len(parts[0]) == 4 else (parts[2], parts[1], parts[0])
    return f"{int(year):04d}-{int(month):02d}-{int(day):02d}"


def _kind(kind: str, number: str) -> str:
    if not number or kind.casefold() in _CARDS:
        return "01" if number else ""
    return "01" if not kind and _IDENTITY_NUMBER.fullmatch(number) else kind


class Result:
    """What our engine made of the rows: groups of records, pairs for stewards, the thresholds, seconds by stage."""

    def __init__(self, columns: list[list[str]], *, memory_mb: int) -> None:
        """Train, choose thresholds, score and cluster; the truth is not here."""
        from yimatong.empi.linkage import bulk, calibrating, duck, preparing, training  # noqa: PLC0415
        from yimatong.empi.matching import clusters  # noqa: PLC0415
        from yimatong.empi.matching import model as models  # noqa: PLC0415

        shipped = models.default()
        named = dict(zip(preparing.FACTS, columns, strict=True))
        rows = len(columns[0])
        begun = time.perf_counter()
        with duck.opened(memory_mb=memory_mb) as connection:
            batches = preparing.batches_of(named, preparing.FACTS)
            preparing.load(connection, shipped.settings, batches, rows=rows, processes=2)
            trained = training.train(connection, shipped.settings, fallback=shipped)
            chosen = calibrating.calibrate(connection, trained.model)
            self.model, self.thresholds, self.chosen = chosen.model, chosen.thresholds, chosen
            found = bulk.link(connection, chosen.model, chosen.thresholds)
            self.group = dict(connection.execute("SELECT id, person FROM groups").fetchall())
            judged = f"guarded OR weight < {chosen.thresholds.link!r}"
            pairs = connection.execute(f"SELECT l, r FROM scored WHERE {judged}").fetchall()  # noqa: S608
            likely = connection.execute("SELECT l, r, weight FROM scored WHERE weight >= 0 AND NOT apart").fetchall()
            apart = connection.execute("SELECT l, r FROM scored WHERE apart").fetchall()
            held = connection.execute("SELECT id, certificate FROM records WHERE certificate IS NOT NULL").fetchall()
        certificates = {record: (certificate,) for record, certificate in held}
        self.likeliest = clusters.cluster(likely, certificates=certificates, apart=apart).group
        refused = [(each.left, each.right) for each in found.clusters.conflicts]
        self.reviews = sorted({pair for pair in (*pairs, *refused) if self.group[pair[0]] != self.group[pair[1]]})
        self.seconds = time.perf_counter() - begun


def pairs_in(groups: Iterable[Sequence[int]]) -> int:
    """Return how many pairs are inside groups."""
    return sum(len(group) * (len(group) - 1) // 2 for group in groups)


def by(labels: Sequence[Any]) -> list[list[int]]:
    """Return the rows of each label."""
    found: dict[Any, list[int]] = defaultdict(list)
    for row, label in enumerate(labels):
        found[label].append(row)
    return list(found.values())


def shares(groups: Sequence[Any], truth: Sequence[str]) -> tuple[float, float, float]:
    """Return precision, recall and F1 over the pairs inside groups."""
    both = pairs_in(by(list(zip(groups, truth, strict=True))))
    found, real = pairs_in(by(groups)), pairs_in(by(truth))
    precision, recall = both / max(found, 1), both / max(real, 1)
    return precision, recall, 2 * both / max(found + real, 1)


def reviewed(group: Sequence[int], reviews: Iterable[tuple[int, int]], truth: Sequence[str]) -> list[int]:
    """Return the groups after stewards decided each pair they were sent."""
    parent: dict[int, int] = {}

    def root(label: int) -> int:
        while parent.get(label, label) != label:
            label = parent[label]
        return label

    for left, right in reviews:
        if truth[left] == truth[right]:
            parent[root(group[left])] = root(group[right])
    return [root(label) for label in group]


def twins_merged(group: Sequence[int], columns: Columns, births: Sequence[str], truth: Sequence[str]) -> int:
    """Return how many clusters hold two persons who look like twins: ``_twins``."""
    of_person = {truth[rows[0]]: rows for rows in by(truth)}
    merged = 0
    for rows in by(group):
        persons = sorted({truth[row] for row in rows})
        if len(persons) > 1:
            known = [_as_known(of_person[person], columns, births) for person in persons]
            merged += any(_twins(one, other) for number, one in enumerate(known) for other in known[number + 1 :])
    return merged


class Known(NamedTuple):
    """What the records of a person say most often, and every phone and address of hers."""

    birth: str
    name: str
    home: set[str]


def _as_known(rows: Sequence[int], columns: Columns, births: Sequence[str]) -> Known:
    birth, name = (Counter(column[row] for row in rows).most_common(1)[0][0] for column in (births, columns["name"]))
    return Known(
        birth,
        variants.canonical(name),
        {each for key in ("phone", "address") for row in rows if (each := columns[key][row])},
    )


def _twins(one: Known, other: Known) -> bool:
    if one.birth != other.birth:
        return False
    return bool(one.home & other.home) or (one.name[:1] == other.name[:1] and one.name != other.name)


def explain(result: Result, facts: list[list[str]], truth: Sequence[str]) -> None:
    """Print misses, false links and reviews by levels and guards, the most frequent first, with the median weight."""
    from yimatong.empi.linkage import preparing  # noqa: PLC0415
    from yimatong.empi.matching.scoring import Scorer  # noqa: PLC0415

    scorer, group = Scorer(result.model), result.group
    rows = list(zip(*facts, strict=True))

    def told(pairs: Iterable[tuple[int, int]], title: str) -> None:
        found: dict[tuple[str, str, bool], list[float]] = defaultdict(list)
        for left, right in pairs:
            score = scorer.score(*(scorer.prepare(preparing.facts_of(rows[row])) for row in (left, right)))
            levels = " ".join(f"{each.comparison}:{each.level}" for each in score.evidence)
            found[levels, " ".join(score.guards), truth[left] == truth[right]].append(score.weight)
        print(f"{title}: {sum(map(len, found.values()))}")
        for (levels, guards, same), weights in sorted(found.items(), key=lambda each: -len(each[1]))[:25]:
            median = sorted(weights)[len(weights) // 2]
            print(f"  {len(weights):6d}  {'one' if same else 'two'}  {median:6.1f}  {levels}  [{guards}]")

    def inside(groups: list[list[int]]) -> Iterable[tuple[int, int]]:
        return ((one, other) for rows in groups for number, one in enumerate(rows) for other in rows[number + 1 :])

    told((pair for pair in inside(by(truth)) if group[pair[0]] != group[pair[1]]), "漏 missed")
    told((pair for pair in inside(by(_listed(group))) if truth[pair[0]] != truth[pair[1]]), "错 wrong")
    told(result.reviews, "审 reviews")


def _listed(group: dict[int, int]) -> list[int]:
    return [group[row] for row in range(len(group))]


def judge(result: Result, columns: Columns, births: Sequence[str]) -> dict[str, float]:
    """Return the keys of the figure that are about our engine."""
    truth, group = columns["person"], _listed(result.group)
    precision, recall, f1 = shares(group, truth)
    return {
        "auto_precision": precision,
        "auto_recall": recall,
        "twins_merged": twins_merged(group, columns, births, truth),
        "f1_clustered": shares([result.likeliest.get(row, row) for row in range(len(group))], truth)[2],
        "f1_automatic": f1,
        "f1_reviewed": shares(reviewed(group, result.reviews, truth), truth)[2],
        "review_rate": len(result.reviews) / len(group),
    }


def main(argv: Sequence[str]) -> int:
    """Run both sides and print the figure; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(
        prog="ymt bench linkage-hard", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--file", type=Path, help="*.csv or *.parquet instead of a generated population")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=2000)
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--only", choices=("ours",), help="without the plain Splink")
    add_levels(parser)
    arguments = parser.parse_args(argv)
    if arguments.file:
        columns = read(arguments.file)
    else:
        drawn = Population(seed=arguments.seed, levels=levels_of(arguments)).rows(arguments.rows)
        columns = {name: list(each) for name, each in zip(COLUMNS, zip(*drawn, strict=True), strict=True)}
    facts = facts_columns(columns)
    result = Result(facts, memory_mb=arguments.memory_mb)
    figures = judge(result, columns, facts[2]) | {"seconds": result.seconds}
    print(f"rows {len(facts[0])}, thresholds {result.thresholds}, proven pairs {result.chosen.same} of one person,")
    print(f"{result.chosen.different} of two, guards lifted: {', '.join(result.chosen.lifted) or '-'}")
    if arguments.explain:
        explain(result, facts, columns["person"])
    if arguments.only is None:
        figures |= _plain_splink.run(facts, columns["person"], shares)
    print("figure: linkage-hard " + " ".join(f"{key}={round(value, 5)}" for key, value in figures.items()))
    low = [key for key, bar in BARS.items() if figures[key] < bar]
    high = [key for key, bar in MOST.items() if figures[key] > bar]
    return 1 if low or high else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
