"""Text metrics: the same numbers as the packages that define them, honest intervals, no silent NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from ftcore.errors import DataRefused
from ftcore.evaluation.generation.holdout import Reply, text_holdout
from ftcore.evaluation.generation.metrics import FORMULAS, influence, row_scores, score, value_of
from ftcore.evaluation.generation.row_statistics import normalised, rouge_l, row_statistics, words
from ftcore.evaluation.rows import Column

TEXTS = st.text(alphabet="ab cdé,.", max_size=24)
PAIRS = st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS), min_size=1, max_size=6)
TARGETS = [f"we send your new card number {i} today, please wait a little" for i in range(40)]
ANSWERS = [f"we send the new card number {i // 2} today" if i % 4 else TARGETS[i] for i in range(40)]


def holdout_of(targets: list[str], answers: list[str], groups: Column | None = None, **more: np.ndarray):
    return text_holdout(targets, {"candidate": Reply(answers, **more)}, groups)


@settings(max_examples=60)
@given(PAIRS)
def test_corpus_metrics_equal_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    targets, answers = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    holdout = holdout_of(targets, answers)
    assert value_of(holdout, "candidate", "chrf") == pytest.approx(CHRF().corpus_score(answers, [targets]).score / 100)
    assert value_of(holdout, "candidate", "bleu") == pytest.approx(BLEU().corpus_score(answers, [targets]).score / 100)
    for number, row in enumerate(row_scores(holdout.statistics["candidate"])["chrf"]):
        assert row == pytest.approx(CHRF().sentence_score(answers[number], [targets[number]]).score / 100)


def test_rouge_l_equals_its_package_and_knows_other_scripts() -> None:
    rouge_scorer = pytest.importorskip("rouge_score.rouge_scorer")
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    for target, answer in [*zip(TARGETS, ANSWERS, strict=True), ("a_b c", "a c!"), ("", "x"), ("Don't", "don t")]:
        assert rouge_l(words(target), words(answer)) == pytest.approx(scorer.score(target, answer)["rougeL"].fmeasure)
    assert rouge_l(words("Привет мир"), words("привет, мир!")) == 1.0
    assert rouge_l(words("Größe M"), words("Größe L")) == 0.5


def test_exact_match_sees_through_writing() -> None:
    assert normalised(" ﬁne\u00a0 \n day ") == "fine day"
    found = row_statistics(["Fine day", "fine  day"], ["fine day", "fine day"])["exact_match"][:, 0]
    assert found.tolist() == [0.0, 1.0]


def test_perplexity_is_of_all_tokens_together() -> None:
    holdout = holdout_of(TARGETS[:2], ANSWERS[:2], nll=np.array([2.0, 10.0]), num_tokens=np.array([4.0, 2.0]))
    metrics = {metric.name: metric for metric in score(holdout, "candidate")}
    assert list(metrics) == [*FORMULAS, "perplexity"]
    assert metrics["perplexity"].value == pytest.approx(math.exp(12 / 6))
    assert metrics["inverse_perplexity"].value == pytest.approx(math.exp(-2))
    assert metrics["perplexity"].ci_low <= metrics["perplexity"].value <= metrics["perplexity"].ci_high
    rows = row_scores(holdout.statistics["candidate"])["inverse_perplexity"]
    assert rows == pytest.approx([math.exp(-0.5), math.exp(-5)])


@pytest.mark.parametrize("name", FORMULAS)
def test_influence_is_what_a_row_moves(name: str) -> None:
    rng = np.random.default_rng(3)
    holdout = holdout_of(TARGETS, ANSWERS, nll=rng.uniform(5, 30, 40), num_tokens=np.full(40, 12.0))
    statistics = holdout.statistics["candidate"][name]
    effects = influence(name, statistics)
    assert effects.sum() == pytest.approx(0, abs=1e-6)
    whole = FORMULAS[name](statistics.sum(axis=0))
    moved = np.array([FORMULAS[name](statistics.sum(axis=0) + 1e-3 * row) - whole for row in statistics]) / 1e-3
    np.testing.assert_allclose(effects / 40, moved, atol=2e-4)


def test_intervals_hold_the_value_and_widen_with_groups() -> None:
    groups = Column.of([f"g{i // 8}" for i in range(40)])
    answers = [TARGETS[i] if i // 8 % 2 else "no idea" for i in range(40)]
    single, grouped = (score(holdout_of(TARGETS, answers, column), "candidate") for column in (None, groups))
    for alone, together in zip(single, grouped, strict=True):
        assert 0 <= alone.ci_low < alone.value < alone.ci_high <= 1
        assert together.ci_high - together.ci_low > 1.3 * (alone.ci_high - alone.ci_low), alone.name


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """chrF of 60 rows drawn 60 times out of 2,000; 95 % intervals, allowed down to 88 %."""
    rng = np.random.default_rng(11)
    targets = [f"{['card', 'money', 'refund', 'today', 'please'][i % 5]} is number {i % 97}" for i in range(2000)]
    answers = [text if rng.random() < 0.5 else text[: rng.integers(1, 12)] for text in targets]
    truth = value_of(holdout_of(targets, answers), "candidate", "chrf")
    covered = 0
    for _ in range(60):
        rows = rng.integers(0, 2000, 60)
        found = holdout_of([targets[row] for row in rows], [answers[row] for row in rows])
        metric = next(metric for metric in score(found, "candidate") if metric.name == "chrf")
        covered += metric.ci_low <= truth <= metric.ci_high
    assert covered >= 53


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"nll": np.array([np.nan, 1.0]), "num_tokens": np.array([2.0, 2.0])}, "1 row whose likelihood"),
        ({"nll": np.array([np.inf, -1.0]), "num_tokens": np.array([2.0, 2.0])}, "2 rows whose likelihood"),
        ({"nll": np.array([1.0, 1.0]), "num_tokens": np.array([0.0, 2.0])}, "1 rows without tokens"),
        ({"nll": np.array([1.0, 1.0])}, "without numbers of tokens"),
        ({"nll": np.array([1.0]), "num_tokens": np.array([1.0])}, "1 likelihoods, wanted 2"),
    ],
)
def test_likelihoods_that_are_no_numbers_are_refused(more: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataRefused) as caught:
        holdout_of(TARGETS[:2], ANSWERS[:2], **more)
    assert message in str(caught.value)


def test_nothing_is_measured_on_nothing() -> None:
    with pytest.raises(DataRefused, match="no rows"):
        holdout_of([], [])
    with pytest.raises(DataRefused, match="perplexity of candidate is not a finite"):
        score(holdout_of(["a"], ["a"], nll=np.array([5000.0]), num_tokens=np.array([1.0])), "candidate")
    empty = score(holdout_of(TARGETS, [""] * 40), "candidate")  # a silent model has scores: zeros
    assert [metric.value for metric in empty] == [0] * 7
