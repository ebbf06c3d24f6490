"""The online scorer and bulk linkage give one pair one score, whatever is missing, tied or rare."""

from __future__ import annotations

import random
from datetime import date, timedelta

import msgspec
import pyarrow as pa
import pytest

from yimatong.empi.linkage import duck, preparing
from yimatong.empi.linkage.preparing import FACTS
from yimatong.empi.matching import model as models
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching import sql
from yimatong.empi.matching.facts import Facts
from yimatong.empi.matching.model import Frequencies, Learnt, Model
from yimatong.empi.matching.scoring import Scorer
from yimatong.empi.matching.settings import Block, Comparison, Frequency, Settings, Training

_RECORDS, _PAIRS = 1500, 8000
_NAMES = (
    *("王芳", "王方", "王芳芳", "芳王", "張偉", "张伟", "李娜", "买买提·吐尔逊", "买买提吐尔逊"),
    *("欧阳修", "王芳之子", "ZHANGWEI", "Zhang-Wei", "𠮷田", "李"),
)
_ADDRESSES = (
    "陕西省西安市雁塔区长安南路199号",
    "西安市雁塔区长安南路199号3单元",
    "陕西省榆林市榆阳区青山路1号",
    "青山路１号",
)


def _slip(text: str, chance: random.Random) -> str:
    """Return the text as somebody mistyped it: once, twice, or not at all."""
    signs = list(text)
    for _ in range(chance.randint(0, 2)):
        place = chance.randrange(len(signs)) if signs else 0
        match chance.randint(0, 3):
            case 0 if signs:
                signs[place] = chance.choice("0123456789X")
            case 1 if signs:
                del signs[place]
            case 2:
                signs.insert(place, chance.choice("0123456789"))
            case _:
                signs[place : place + 2] = signs[place : place + 2][::-1]
    return "".join(signs)


def _facts(chance: random.Random, base: list[Facts]) -> Facts:
    """Return a new record, or one before it as another provider wrote it; anything may be missing."""
    if base and chance.random() < 0.6:
        old = chance.choice(base)
    else:
        old = Facts(
            name=chance.choice(_NAMES) + chance.choice(("", "", "伟", "芳")),
            sex=chance.choice("0129"),
            birth_date=date(1950, 1, 1) + timedelta(days=chance.randrange(400)),
            id_type=chance.choice(("01", "01", "03", "")),
            id_number=f"61010{chance.randrange(3)}1990{chance.randrange(100, 104)}{chance.randrange(10**5):05d}"[:18],
            phone=f"138{chance.randrange(50):08d}",
            address=chance.choice(_ADDRESSES),
        )
    return Facts(
        name=chance.choice((old.name, old.name, _slip(old.name, chance), "")),
        sex=chance.choice((old.sex, old.sex, "0")),
        birth_date=chance.choice((old.birth_date, old.birth_date, None)),
        id_type=old.id_type,
        id_number=chance.choice((old.id_number, _slip(old.id_number, chance), "")),
        phone=chance.choice((old.phone, _slip(old.phone, chance), "")),
        address=chance.choice((old.address, _slip(old.address, chance), "")),
    )


def _pair(chance: random.Random) -> tuple[int, int]:
    """Return two records: mostly near each other in time, where one may be a copy of the other."""
    left = chance.randrange(_RECORDS)
    return (left, chance.randrange(_RECORDS)) if chance.random() < 0.2 else (left, max(0, left - chance.randrange(60)))


def _with_frequencies(model: Model, facts: list[Facts]) -> Model:
    """Return the model with frequencies of half of the values: the others are rare to it."""
    scorer = Scorer(model)
    found = {}
    for column in model.settings.frequency_columns:
        values = sorted({str(value) for each in facts if (value := scorer.prepare(each)[column]) is not None})
        found[column] = Frequencies(1e-5, {value: 10.0 ** -(1 + n % 5) for n, value in enumerate(values) if n % 2})
    return msgspec.structs.replace(model, frequencies=found)


_PLAIN = Settings(
    name="plain",
    preparation="plain",
    comparisons=(
        Comparison(name="id", comparator="slips", columns=("id_number",)),
        Comparison(
            name="name",
            comparator="similar",
            columns=("name", "address"),
            frequencies=(Frequency(level="exact", column="name"), Frequency(level="close", column="name", share=0.5)),
        ),
        Comparison(name="sex", comparator="exact", columns=("sex",)),
        Comparison(name="birth", comparator="slips", columns=("birth",)),
        Comparison(name="phone", comparator="slips", columns=("phone",)),
        Comparison(name="address", comparator="similar", columns=("address",)),
    ),
    blocks=(Block(left=("name",)),),
    training=Training(blocks=(Block(left=("name",)),), certain=(Block(left=("id_number",)),)),
    guards=("two_certificates",),
    certificate="certificate",
)


def _made_up(settings: Settings) -> Model:
    """Return a model of these settings with shares out of thin air, every level with another weight."""
    learnt = {}
    for comparison in settings.comparisons:
        names = [level.name for level in configuration.comparator(comparison).levels]
        whole = len(names) * (len(names) + 1) / 2
        learnt[comparison.name] = {
            name: Learnt((len(names) - n) / whole, (n + 1) ** 2 / whole**2) for n, name in enumerate(names)
        }
    return Model(settings=settings, prior=1e-5, learnt=learnt)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("which", ["shipped", "chinese", "plain"])
def test_online_and_bulk_give_the_same_score(seed: int, which: str) -> None:
    """Of thousands of pairs: weight within 1e-9, the same levels, the same guards."""
    chance = random.Random(seed)
    facts: list[Facts] = []
    while len(facts) < _RECORDS:
        facts.append(_facts(chance, facts[-40:]))
    given = {"shipped": models.default(), "chinese": _made_up(configuration.shipped()), "plain": _made_up(_PLAIN)}
    model = _with_frequencies(given[which], facts)
    if model.settings.hot:  # values that too many share
        common = ("13800000007", "13800000011")
        model = msgspec.structs.replace(model, hot=(common, ("长安南路||199",), ("19500303",)))
    scorer = Scorer(model)
    prepared = [scorer.prepare(each) for each in facts]
    wanted = [_pair(chance) for _ in range(_PAIRS)]
    bulk = _bulk(model, facts, wanted)
    levels_seen = set()
    for number, (left, right) in enumerate(wanted):
        score = scorer.score(prepared[left], prepared[right])
        weight, guarded, levels = bulk[number]
        assert levels == [each.level for each in score.evidence], (prepared[left], prepared[right])
        assert weight == pytest.approx(score.weight, abs=1e-9)
        assert guarded == bool(score.guards)
        assert scorer.score(prepared[right], prepared[left]).weight == pytest.approx(score.weight, abs=1e-9)
        levels_seen.update((each.comparison, each.level) for each in score.evidence)
    assert len(levels_seen) >= 0.6 * sum(len(each) + 1 for each in model.learnt.values()), "pairs too much alike"


def _bulk(model: Model, facts: list[Facts], wanted: list[tuple[int, int]]) -> list[tuple[float, bool, list[str]]]:
    names = {
        each.name: ["missing", *(level.name for level in configuration.comparator(each).levels)]
        for each in model.settings.comparisons
    }
    with duck.opened(memory_mb=500) as connection:
        raw = [[getattr(each, name) for each in facts] for name in FACTS]
        assert preparing.load(connection, model.settings, [raw]) == len(facts)
        preparing.add_frequencies(connection, model)
        connection.execute("CREATE TABLE wanted (n INTEGER, l INTEGER, r INTEGER)")
        lefts, rights = zip(*wanted, strict=True)
        connection.register("drawn", pa.table({"n": range(len(wanted)), "l": lefts, "r": rights}))
        connection.execute("INSERT INTO wanted SELECT n, l, r FROM drawn")
        shown = ", ".join(f"s.g_{name}" for name in names)
        rows = connection.execute(
            f"SELECT n, s.weight, s.guarded, {shown} FROM wanted JOIN"
            f" ({sql.scored(model, records='records', pairs='(SELECT DISTINCT l, r FROM wanted)')}) s USING (l, r)"
            " ORDER BY n"
        ).fetchall()
    return [
        (weight, guarded, [names[name][level + 1] for name, level in zip(names, levels, strict=True)])
        for _n, weight, guarded, *levels in rows
    ]
