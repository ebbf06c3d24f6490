"""Thresholds for a model over the records it was trained on, from pairs that valid identity numbers prove.

The pairs of the blocking are scored a second time as if their records had no numbers (``matching.thresholds`` says
why). Two numbers prove two persons only where both have a check character: a slip in 15
digits passes for another number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from yimatong.empi.linkage.preparing import add_frequencies
from yimatong.empi.matching import registry, sql, thresholds
from yimatong.empi.matching.model import Model
from yimatong.empi.matching.scoring import Thresholds

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_LIFTED: Final = ("twin_names",)
"""Guards that go where the records show that nobody needs them."""
_NUMBERS: Final = ("id_number", "id_valid", "id_checked", "certificate")


_CORRECTED: Final = "l.name = r.name AND l.birth = r.birth AND (l.phone = r.phone OR l.door = r.door)"
"""Two numbers and everything else the same: a number that the police corrected. No household gives two children of one
day one name, so such a pair is no example of two persons."""


_OWN: Final = "{0}.birth = {0}.id_valid[7:14]"
"""A number proves who somebody is where its date is hers: that of another person of the family, typed by mistake, is
none."""


class Calibrated(msgspec.Struct, frozen=True, kw_only=True):
    """A model whose guards fit the records, and thresholds for it.

    ``same`` and ``different`` say what they stand on: proven pairs of one person and of two.
    """

    model: Model
    thresholds: Thresholds
    same: int
    different: int
    lifted: tuple[str, ...]


def calibrate(connection: DuckDBPyConnection, model: Model) -> Calibrated:
    """Return thresholds for the table ``records`` (prepared by the model's settings, with numbers in ``id_valid``)."""
    add_frequencies(connection, model)
    settings = model.settings
    connection.execute(f"CREATE OR REPLACE TABLE ymt_pairs AS {sql.pairs(settings, records='records')}")
    blinded = ", ".join(f"NULL::VARCHAR AS {column}" for column in _NUMBERS)
    connection.execute(f"CREATE OR REPLACE VIEW ymt_blind AS SELECT * REPLACE ({blinded}) FROM records")  # noqa: S608
    connection.execute(
        "CREATE OR REPLACE TABLE ymt_proven AS SELECT p.l, p.r, l.id_valid = r.id_valid AS same"  # noqa: S608
        " FROM ymt_pairs p JOIN records l ON l.id = p.l JOIN records r ON r.id = p.r"
        f" WHERE {_OWN.format('l')} AND {_OWN.format('r')} AND (l.id_valid = r.id_valid"
        f" OR (l.id_checked <> r.id_checked AND NOT coalesce({_CORRECTED}, false)))"
    )
    lifted = tuple(name for name in _LIFTED if name in settings.guards and _needless(connection, name))
    guards = tuple(name for name in settings.guards if name not in lifted)
    model = msgspec.structs.replace(model, settings=msgspec.structs.replace(settings, guards=guards))
    bands, load = _counted(connection, model)
    records = int(connection.execute("SELECT count(*) FROM records").fetchall()[0][0])
    chosen = thresholds.choose(bands, load, records=records)
    for kind, name in (("VIEW", "ymt_blind"), ("TABLE", "ymt_pairs"), ("TABLE", "ymt_proven")):
        connection.execute(f"DROP {kind} {name}")
    return Calibrated(
        model=model,
        thresholds=chosen,
        same=sum(band.same for band in bands),
        different=sum(band.different for band in bands),
        lifted=lifted,
    )


def _needless(connection: DuckDBPyConnection, name: str) -> bool:
    guard = registry.GUARDS[name].sql
    rows: Any = connection.execute(
        "SELECT count(*) FILTER (same), count(*) FILTER (NOT same)"  # noqa: S608 -- SQL of our own guard
        " FROM ymt_proven p JOIN ymt_blind l ON l.id = p.l JOIN ymt_blind r ON r.id = p.r"
        f" WHERE coalesce({guard}, false)"
    ).fetchall()
    return thresholds.needless(same=rows[0][0], different=rows[0][1])


def _counted(connection: DuckDBPyConnection, model: Model) -> tuple[list[thresholds.Band], list[thresholds.Load]]:
    """Count pairs by half bits of weight."""
    connection.execute(
        "CREATE OR REPLACE TABLE ymt_blind_scored AS SELECT s.weight, s.guarded, p.same"  # noqa: S608 -- as above
        f" FROM ({sql.scored(model, records='ymt_blind', pairs='ymt_proven')}) s JOIN ymt_proven p USING (l, r)"
    )
    connection.execute(
        "CREATE OR REPLACE TABLE ymt_scored AS SELECT s.weight, s.guarded,"  # noqa: S608 -- as above
        " l.id_valid IS NOT NULL AND r.id_valid IS NOT NULL AS proven"
        f" FROM ({sql.scored(model, records='records', pairs='ymt_pairs')}) s"
        " JOIN records l ON l.id = s.l JOIN records r ON r.id = s.r"
    )
    half = "floor(weight * 2) / 2"
    found: dict[float, dict[str, int]] = {}
    by_band = f"SELECT {half}, count(*) FILTER (%s), count(*) FILTER (%s) FROM %s WHERE NOT guarded GROUP BY 1"  # noqa: S608
    for table, names in (("ymt_blind_scored", ("same", "different")), ("ymt_scored", ("proven", "unproven"))):
        statement = by_band % (names[0], f"NOT {names[0]}", table)
        for weight, *counts in connection.execute(statement).fetchall():
            found.setdefault(weight, {}).update(zip(names, counts, strict=True))
    load = connection.execute(
        f"SELECT {half}, count(*) FILTER (guarded), count(*) FILTER (NOT guarded) FROM ymt_scored"  # noqa: S608
        " GROUP BY 1"
    ).fetchall()
    connection.execute("DROP TABLE ymt_blind_scored")
    connection.execute("DROP TABLE ymt_scored")
    return (
        [thresholds.Band(weight=weight, **counts) for weight, counts in found.items()],
        [thresholds.Load(weight=weight, guarded=guarded, free=free) for weight, guarded, free in load],
    )
