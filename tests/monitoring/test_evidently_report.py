"""Evidently's report comes out whatever a column holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ftcore.monitoring.evidently_report import write_evidently


@pytest.mark.functional
def test_one_bad_column_does_not_take_the_report_down(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    good = pd.DataFrame({"prediction": ["a", "b"] * 100, "confidence": rng.random(200)})
    bad = good.assign(confidence=np.nan, extra=1.0)
    result = write_evidently(good.assign(num_chars=5.0), bad.assign(num_chars=6.0), tmp_path)
    assert result.columns == ("prediction", "num_chars")
    assert result.left_out == {"confidence": "the current column holds no value"}
    answer = json.loads((tmp_path / "evidently.json").read_text(encoding="utf-8"))
    assert answer["left_out"] == dict(result.left_out)
    assert {metric["config"].get("column") for metric in answer["metrics"]} >= {"prediction", "num_chars"}
    assert "<html" in (tmp_path / "evidently.html").read_text(encoding="utf-8")[:2000].lower()


def test_nothing_to_report_writes_nothing(tmp_path: Path) -> None:
    empty = pd.DataFrame({"confidence": [np.nan, np.nan]})
    assert write_evidently(empty, empty, tmp_path).columns == ()
    assert list(tmp_path.iterdir()) == []
