"""The coverage benchmark: it measures what it says, and the page shows what it measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from benchmarks import coverage
from ftcore.evaluation.rows import Ints
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

    def sample(self, rng: np.random.Generator, size: int, grouped: bool) -> tuple[Metric, ...]:
        low = 0.4 if rng.random() < 0.5 else 0.6
        return (Metric(name="x", value=0.5, n=size, ci_low=low, ci_high=0.7),)


def test_a_cell_is_the_share_of_intervals_that_hold_the_truth() -> None:
    assert coverage.coverage(Always(), 10, False, 2000)["x"] == pytest.approx(0.5, abs=0.04)  # type: ignore[arg-type]


def test_groups_are_whole_and_sizes_are_as_asked() -> None:
    seen: list[tuple[Ints, Ints | None]] = []

    def score(rows: Ints, codes: Ints | None) -> tuple[Metric, ...]:
        seen.append((rows, codes))
        return ()

    groups, owner = coverage.group_rows(np.random.default_rng(1), 500)
    assert sum(len(rows) for rows in groups) == 500 and max(len(rows) for rows in groups) <= 6
    population = coverage.Population("rows", groups, 500, score)
    population.sample(np.random.default_rng(2), 100, grouped=True)
    rows, codes = seen[0]
    assert codes is not None and 80 < len(rows) < 120
    for code in range(codes.max() + 1):
        mine = owner[rows[codes == code]]
        assert len(set(mine.tolist())) == 1 and len(mine) == len(groups[mine[0]])


def test_every_metric_is_measured() -> None:
    truth = coverage.classifier("three", 3, 1.5, num_rows=2000).truth()
    assert set(truth) == {
        "accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "roc_auc", "brier", "ece",
    }  # fmt: skip
    truth = coverage.writer(num_rows=200).truth()
    assert set(truth) == {
        "chrf", "bleu", "rouge_1", "rouge_2", "rouge_l", "exact_match", "token_f1", "inverse_perplexity", "perplexity",
        "format_valid",
    }  # fmt: skip


def test_wilson_covers_a_proportion_near_1_best() -> None:
    found = coverage.proportions(300)
    assert found["Wilson"][0] > max(found["Jeffreys"][0], found["Clopper-Pearson"][0])
    assert (
        found["Clopper-Pearson"][1] >= 0.95 > found["Wilson"][1] > 0.92
    )  # the first never errs too often, by its making


def test_the_page_shows_the_table() -> None:
    text = coverage.PAGE.read_text(encoding="utf-8")
    table = text.partition(coverage.BEGIN)[2].partition(coverage.END)[0]
    lines = [line.split("|") for line in table.splitlines() if line.startswith("| ") and "population" not in line]
    assert len(lines) == 42 and "10,000 samples per cell" in table
    for cells in lines:
        name, shares = cells[2].strip(), [float(cell) for cell in cells[4:8]]
        told = name == "ece" or (cells[1].strip(), name) in ON_PAGE
        assert told or all(94.0 <= share <= 96.0 for share in shares), cells


def test_the_table_is_put_between_its_markers(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"  # type: ignore[operator]
    page.write_text(f"before\n{coverage.BEGIN}\nold\n{coverage.END}\nafter\n")
    monkeypatch.setattr(coverage, "PAGE", page)
    found = {("coin", size, grouped): {"x": 0.95} for size in coverage.SIZES for grouped in (False, True)}
    coverage.render(coverage.table(found, {"coin": {"x": 0.5}}))
    text = page.read_text()
    assert "old" not in text and text.startswith("before") and text.endswith("after\n")
    assert "| coin | x | 0.500 | 95.0 | 95.0 | 95.0 | 95.0 |" in text
