"""``ymt bench default-model [FILE]``: makes the model that is shipped with the product anew, from a made-up population.

Shares of levels are learnt from a generated population of ``--rows`` records; nobody's data are in it. An index that
has records of its own trains its own model (``ymt match train``) and chooses its own thresholds.

The prior is that of a province. A pair drawn from the whole index and a record that asks an index of N persons who it
is start from about the same odds: of the N candidates at most one is the person, and she is there more often than not,
so 1/N, here 1/40,000,000. In a smaller index the same evidence means more, so this prior errs on the side of review:
name, birth date and sex alone, which make a link among 100,000 records, go to a steward in a province.

Only names that are frequent in the population are listed; all others count as frequent as the rarest listed would be,
which makes a rare name weigh less than it might, never more.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parent))

from population import COLUMNS, Levels, Population

PRIOR = 1 / 40_000_000
FREQUENT = 2e-5
DIGITS = 4
TWO_NUMBERS = 0.0005
"""Share of pairs of one person with two valid numbers: few get another number in their lives. Training cannot tell this
from twins, whom the other fields make look alike."""


def main(argv: Sequence[str]) -> int:
    """Train and write."""
    from yimatong.empi.linkage import duck, preparing, training  # noqa: PLC0415
    from yimatong.empi.matching import model as models  # noqa: PLC0415
    from yimatong.empi.matching import settings as configuration  # noqa: PLC0415
    from yimatong.empi.matching.model import Frequencies, Learnt  # noqa: PLC0415

    data = resources.files("yimatong.empi.matching").joinpath("data")
    parser = argparse.ArgumentParser(
        prog="ymt bench default-model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, nargs="?", default=Path(str(data.joinpath("default.json"))))
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seed", type=int, default=20_261)
    arguments = parser.parse_args(argv)
    settings = configuration.read(data.joinpath("chinese.json").read_bytes())
    drawn = Population(seed=arguments.seed, levels=Levels()).rows(arguments.rows)
    columns = dict(zip(COLUMNS, zip(*drawn, strict=True), strict=True))
    with duck.opened(memory_mb=4000) as connection:
        batches = preparing.batches_of(columns, preparing.FACTS)
        preparing.load(connection, settings, batches, rows=arguments.rows, processes=2)
        trained = training.train(connection, settings).model
    learnt = {
        comparison: {level: Learnt(_short(each.m), _short(each.u)) for level, each in levels.items()}
        for comparison, levels in trained.learnt.items()
    }
    learnt["id"]["two_valid"] = Learnt(TWO_NUMBERS, learnt["id"]["two_valid"].u)
    frequencies = {
        column: Frequencies(
            FREQUENT, {value: _short(share) for value, share in each.values.items() if share > FREQUENT}
        )
        for column, each in trained.frequencies.items()
    }
    model = msgspec.structs.replace(trained, prior=PRIOR, learnt=learnt, frequencies=frequencies)
    models.check(model)
    text = json.dumps(json.loads(models.write(model)), ensure_ascii=False, indent=1)
    arguments.file.write_text(text + "\n", encoding="utf-8")
    names = len(frequencies["name"].values)
    print(f"figure: default-model rows={arguments.rows} names={names} bytes={len(text.encode())}")
    return 0


def _short(share: float) -> float:
    return float(f"{share:.{DIGITS}g}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
