"""The coverage benchmark: it measures what it says, and the page shows what it measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks.coverage import __main__ as command
from benchmarks.coverage import paired, single
from benchmarks.coverage.populations import Population, classifier, group_rows, writer
from benchmarks.coverage.proportions import proportions
from ftcore.evaluation.rows import Holdout, Ints
from ftcore.records import Metric

ON_PAGE = {
    *(("5 classes, few errors", name) for name in ("accuracy", "macro_recall")),
    *(("3 classes, one rare", name) for name in ("macro_recall", "macro_f1", "roc_auc")),
}
"""Lines with a cell below 94 or above 96 % that the page explains, beside those of the calibration error."""


@dataclass(frozen=True)
class Always:
    """A population whose intervals are right on half of the samples."""

    name: str = "coin"

    def truth(self) -> dict[str, float]:
        return {"x": 0.5}

    def draw(self, rng: np.random.Generator, size: int, grouped: bool) -> tuple[float, int]:
        return rng.random(), size

    def score(self, luck: float, size: int) -> tuple[Metric, ...]:
        return (Metric(name="x", value=0.5, n=size, ci_low=0.4 if luck < 0.5 else 0.6, ci_high=0.7),)


def test_a_cell_is_the_share_of_intervals_that_hold_the_truth() -> None:
    assert single.coverage(Always(), 10, False, 2000)["x"] == pytest.approx(0.5, abs=0.04)  # type: ignore[arg-type]


def test_groups_are_whole_and_sizes_are_as_asked() -> None:
    groups, owner = group_rows(np.random.default_rng(1), 500)
    assert sum(len(rows) for rows in groups) == 500 and max(len(rows) for rows in groups) <= 6
    target = np.zeros(500, dtype=np.int64)
    population = Population("rows", groups, Holdout(("a",), target, {"candidate": target}))
    rows, codes = population.draw(np.random.default_rng(2), 100, grouped=True)
    assert codes is not None and 80 < len(rows) < 120
    for code in range(codes.max() + 1):
        mine: Ints = owner[rows[codes == code]]
        assert len(set(mine.tolist())) == 1 and len(mine) == len(groups[mine[0]])
    rows, codes = population.draw(np.random.default_rng(2), 100, grouped=False)
    assert codes is None and len(rows) == 100


def test_every_metric_is_measured() -> None:
    truth = classifier("three", 3, 1.5, num_rows=2000).truth()
    assert set(truth) == {
        "accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "roc_auc", "brier", "ece",
    }  # fmt: skip
    truth = writer(num_rows=200).truth()
    assert set(truth) == {
        "chrf", "bleu", "rouge_1", "rouge_2", "rouge_l", "exact_match", "token_f1", "inverse_perplexity", "perplexity",
        "format_valid",
    }  # fmt: skip


@pytest.mark.parametrize("metric", ["accuracy", "brier"])
def test_a_gain_that_is_wrong_is_missed_on_the_side_where_it_is(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    population = classifier("three", 3, 1.5, num_rows=2000)
    true = paired.true_gains(population)
    assert true["accuracy"] > 0 and true["brier"] > 0  # the champion sees less
    for shift, expected in ((-0.5, (1.0, 0.0)), (0.5, (0.0, 1.0))):
        monkeypatch.setattr(paired, "true_gains", lambda _, shift=shift: {metric: true[metric] + shift})
        assert paired.missed(population, 200, True, 5)[metric] == expected
    monkeypatch.setattr(paired, "true_gains", lambda _: {metric: true[metric]})
    below, above = paired.missed(population, 300, False, 400)[metric]
    assert 0.01 < below < 0.1 and 0.01 < above < 0.1


def test_wilson_covers_a_proportion_near_1_best() -> None:
    found = proportions(300)
    assert found["Wilson"][0] > max(found["Jeffreys"][0], found["Clopper-Pearson"][0])
    assert (
        found["Clopper-Pearson"][1] >= 0.95 > found["Wilson"][1] > 0.92
    )  # the first never errs too often, by its making


def on_page(name: str) -> tuple[str, list[list[str]]]:
    """The text between the markers, and the cells of its lines."""
    begin, end = command.markers(name)
    text = command.PAGE.read_text(encoding="utf-8").partition(begin)[2].partition(end)[0]
    lines = [line.split("|") for line in text.splitlines() if line.startswith("| ") and "population" not in line]
    return text, [[cell.strip() for cell in cells[1:-1]] for cells in lines]


def test_the_page_shows_the_intervals_and_explains_what_is_not_as_wanted() -> None:
    text, lines = on_page("coverage")
    assert len(lines) == 42 and "10,000 samples per cell" in text
    for population, name, _, *shares in lines:
        missed = [cell for cell in shares if cell.startswith("**")]
        assert all((94.0 <= float(cell.strip("*")) <= 96.0) != (cell in missed) for cell in shares), shares
        assert not missed or name == "ece" or (population, name) in ON_PAGE, (population, name, shares)


def test_the_page_shows_the_bounds_of_the_gate() -> None:
    """One cell of 1,000 samples at nominal 5 % is between 3 and 7 nineteen times in twenty; what is higher is explained there."""
    text, lines = on_page("bounds")
    assert len(lines) == 24 and "1,000 samples per cell" in text
    below = {
        (population, name): [float(cell.split("/")[0]) for cell in shares] for population, name, _, *shares in lines
    }
    assert max(max(shares) for shares in below.values()) <= 9
    assert {name for (_, name), shares in below.items() if max(shares) > 7} <= {"macro_f1", "macro_recall"}


def test_the_table_is_put_between_its_markers(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    begin, end = command.markers("coverage")
    page = tmp_path / "page.md"  # type: ignore[operator]
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(command, "PAGE", page)
    found = {("coin", *column): {"x": 0.95 + column[1] / 50} for column in single.COLUMNS}
    command.render("coverage", single.table(found, {"coin": {"x": 0.5}}))
    text = page.read_text()
    assert "old" not in text and text.startswith("before") and text.endswith("after\n")
    assert "| coin | x | 0.500 | 95.0 | 95.0 | **97.0** | **97.0** |" in text
    bounds = {("coin", *column): {"x": (0.05, 0.041)} for column in single.COLUMNS}
    assert "| coin | x | -1.0 | 5.0 / 4.1 | 5.0 / 4.1 |" in paired.table(bounds, {"coin": {"x": -0.01}})
