"""The model, its weights and thresholds, what they refuse, and what they say in words."""

from __future__ import annotations

import math
import time
from datetime import date

import msgspec
import pytest

from yimatong.empi.errors import MatchModelInvalid, MatchSettingsInvalid, MatchThresholdsInvalid
from yimatong.empi.matching import explain, scoring
from yimatong.empi.matching import model as models
from yimatong.empi.matching import settings as configuration
from yimatong.empi.matching.facts import Facts, Score
from yimatong.empi.matching.model import Frequencies
from yimatong.empi.matching.scoring import Scorer, Thresholds

_WANG = Facts(
    name="王芳",
    sex="2",
    birth_date=date(1990, 1, 2),
    id_type="01",
    id_number="610102199001020028",
    phone="13812345678",
    address="陕西省西安市雁塔区长安南路199号",
)


def test_a_score_is_the_prior_and_the_weights_of_its_evidence() -> None:
    """Weights add up; the probability is that of the sum."""
    model = models.default()
    scorer = Scorer(model)
    score = scorer.score(scorer.prepare(_WANG), scorer.prepare(msgspec.structs.replace(_WANG, phone="13999999999")))
    assert score.weight == pytest.approx(model.prior_weight + sum(each.weight for each in score.evidence))
    assert score.probability == pytest.approx(2**score.weight / (1 + 2**score.weight))
    assert [each.comparison for each in score.evidence] == [each.name for each in model.settings.comparisons]


def test_what_nobody_said_weighs_nothing() -> None:
    """Against an empty record only the prior is left."""
    scorer = Scorer(models.default())
    score = scorer.score(scorer.prepare(_WANG), scorer.prepare(Facts(name="")))
    assert score.weight == pytest.approx(scorer.model.prior_weight)
    assert {each.level for each in score.evidence} == {scoring.NOT_SAID}


def test_a_rare_name_weighs_more_than_a_common_one() -> None:
    """The same name twice: by its frequency."""
    model = models.default()
    column = next(each.column for one in model.settings.comparisons for each in one.frequencies)
    prepared = Scorer(model).prepare(_WANG)
    common = Frequencies(1e-7, {str(prepared[column]): 1e-2})
    weights = []
    for frequencies in (common, Frequencies(1e-7, {})):
        told = msgspec.structs.replace(model, frequencies={**model.frequencies, column: frequencies})
        scorer = Scorer(told)
        weights.append(scorer.weight(scorer.prepare(_WANG), scorer.prepare(_WANG)))
    assert weights[1] - weights[0] == pytest.approx(math.log2(1e-2 / 1e-7))


def test_a_pair_is_scored_in_microseconds() -> None:
    """After preparation; the bar is 30 microseconds, ten times that is a defect."""
    scorer = Scorer(models.default())
    left, right = scorer.prepare(_WANG), scorer.prepare(msgspec.structs.replace(_WANG, name="王方", id_number=""))
    began = time.process_time()
    for _ in range(2000):
        scorer.score(left, right)
    assert (time.process_time() - began) / 2000 < 300e-6


def test_a_guard_forbids_a_link_whatever_the_weight() -> None:
    """It goes to a steward."""
    thresholds = Thresholds(link=10, review=0)
    assert thresholds.verdict(Score(50, 1, ())) == "link"
    assert thresholds.verdict(Score(50, 1, (), ("twins",))) == "review"
    assert thresholds.verdict(Score(5, 0.9, ())) == "review"
    assert thresholds.verdict(Score(-5, 0.1, ())) == "apart"


@pytest.mark.parametrize(("link", "review"), [(0, 1), (math.nan, 0), (math.inf, 0)])
def test_thresholds_that_make_no_sense_are_refused(link: float, review: float) -> None:
    """Review above link, or no number."""
    with pytest.raises(MatchThresholdsInvalid):
        scoring.checked(Thresholds(link=link, review=review))


@pytest.mark.parametrize("weight", [-1e5, -3.0, 0.0, 3.0, 1e5])
def test_probabilities_stay_between_0_and_1(weight: float) -> None:
    """Also where two to the power of the weight has no double."""
    assert 0 <= scoring.probability(weight) <= 1


def test_a_model_that_does_not_fit_its_settings_is_refused() -> None:
    """A level without shares, a share of 0, a prior of 1, another shape."""
    model = models.default()
    first = model.settings.comparisons[0].name
    for broken in (
        msgspec.structs.replace(model, learnt={**model.learnt, first: {}}),
        msgspec.structs.replace(model, prior=1.0),
        msgspec.structs.replace(model, frequencies={}),
    ):
        with pytest.raises(MatchModelInvalid):
            models.read(models.write(broken))
    with pytest.raises(MatchModelInvalid):
        models.read(b"{}")
    assert models.read(models.write(model)) == model


def test_settings_that_name_something_unknown_are_refused() -> None:
    """A comparator, a level, a guard, a column, a preparation."""
    good = msgspec.json.encode(configuration.shipped())
    for old, new in (
        (b'"preparation":"chinese"', b'"preparation":"klingon"'),
        (b'"comparator":"exact"', b'"comparator":"guess"'),
        (b'"level":"exact"', b'"level":"nearly"'),
        (b'"two_certificates"', b'"no_such_guard"'),
        (b'"certificate":"certificate"', b'"certificate":"shoe_size"'),
        (b'"key_id"', b'"key_shoe"'),
    ):
        assert old in good
        with pytest.raises(MatchSettingsInvalid):
            configuration.read(good.replace(old, new))


def test_a_model_is_explained_in_both_languages() -> None:
    """Every level has words, and a pair's waterfall ends at its weight."""
    model = models.default()
    for level in explain.levels(model):
        assert level.zh
        assert level.en
        assert "比特" in explain.sentence(level, "zh")
        assert "bits" in explain.sentence(level, "en")
    scorer = Scorer(model)
    other = msgspec.structs.replace(_WANG, id_number="610102199001020044")
    score = scorer.score(scorer.prepare(_WANG), scorer.prepare(other))
    lines = explain.waterfall(model, score)
    assert lines[-1].total == pytest.approx(score.weight)
    assert len(explain.guards(model, score, "zh")) == len(score.guards)
    shown = msgspec.json.encode(lines).decode()
    assert "王芳" not in shown
    assert "6101" not in shown
