from __future__ import annotations

import json
from pathlib import Path

from ftcore.registry.evaluation_metrics import cost_metrics, probe_metrics


def test_costs_of_models_are_metrics(tmp_path: Path) -> None:
    (tmp_path / "sizes.json").write_text(json.dumps({"candidate": 45.5, "champion": 46}))
    tokens = {"value": 12.5, "ci_low": 12.0, "ci_high": 13.0}
    cost = {"p50_ms": 1, "p95_ms": 2.5, "tokens_read": tokens}
    (tmp_path / "tables.json").write_text(json.dumps({"models": {"candidate": {"cost": cost}, "majority": {}}}))
    assert cost_metrics(tmp_path) == {
        "candidate.cost.size_mb": 45.5,
        "champion.cost.size_mb": 46.0,
        "candidate.cost.p50_ms": 1.0,
        "candidate.cost.p95_ms": 2.5,
        "candidate.cost.tokens_read": 12.5,
        "candidate.cost.tokens_read.ci_low": 12.0,
        "candidate.cost.tokens_read.ci_high": 13.0,
    }


def test_what_was_not_measured_is_no_metric(tmp_path: Path) -> None:
    assert cost_metrics(tmp_path) == {} and probe_metrics(tmp_path) == {}
