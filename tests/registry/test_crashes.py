"""Kill -9 and races, in small; benchmarks/promotion.py does the same at every point."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.registry.promotion import STEPS
from tests.registry.harness import check_race, crash_points, make_scene, race_round

pytestmark = pytest.mark.functional


def test_a_killed_promotion_is_finished_or_undone(tmp_path: Path, mlflow_template: Path) -> None:
    scene = make_scene(tmp_path, mlflow_template, with_champion=True)
    steps = ("prepared", "committed", "registered", "aliased")
    assert set(steps) <= set(STEPS)
    assert len(list(crash_points(scene, steps, writes=1, randoms=1, seed=5))) == 6


def test_of_racing_promotions_one_wins_and_the_others_are_told(tmp_path: Path, mlflow_template: Path) -> None:
    make_scene(tmp_path, mlflow_template, with_champion=False)
    for number in range(2):
        outcomes = race_round(range(10 + number * 8, 18 + number * 8))
        assert len(outcomes) == 8
        assert check_race(outcomes) == []
