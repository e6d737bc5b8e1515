from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.calibration import calibration
from tests.evaluation.analysis.made import holdout


@given(st.integers(50, 400), st.integers(0, 3))
def test_bins_hold_every_row_once_in_order_of_confidence(num_rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sure = rng.random(num_rows)
    said = ["a" if right else "b" for right in rng.random(num_rows) < sure]
    found = calibration(holdout(["a"] * num_rows, {"candidate": said}, confidences=sure.tolist()))
    assert found is not None
    model = found["models"]["candidate"]
    assert sum(item["n"] for item in model["bins"]) == num_rows and len(model["bins"]) <= 10
    means = [item["confidence"] for item in model["bins"]]
    assert means == sorted(means)
    assert sum(item["accuracy"] * item["n"] for item in model["bins"]) == pytest.approx(said.count("a"))
    assert all(item["ci_low"] <= item["accuracy"] <= item["ci_high"] for item in model["bins"])


def test_sure_mistakes_are_counted() -> None:
    rows = holdout(["a"] * 60, {"candidate": ["b"] * 5 + ["a"] * 55}, confidences=[0.95] * 10 + [0.5] * 50)
    found = calibration(rows)
    assert found is not None
    assert (found["models"]["candidate"]["num_sure"], found["models"]["candidate"]["num_sure_wrong"]) == (10, 5)


def test_nothing_without_confidences_with_few_rows_or_for_generated_text() -> None:
    assert calibration(holdout(["a"] * 60, {"candidate": ["a"] * 60})) is None
    assert calibration(holdout(["a"] * 49, {"candidate": ["a"] * 49}, confidences=[0.5] * 49)) is None
    scored = holdout(["a"] * 60, {"candidate": ["a"] * 60}, confidences=[0.5] * 60, scores={"candidate": [1.0] * 60})
    assert calibration(scored) is None
