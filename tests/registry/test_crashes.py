"""Kill -9 and races, in small; benchmarks/promotion.py does the same at every point."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from ftcore.records import Promotion
from ftcore.registry.promotion import STEPS
from tests.registry.harness import Failed, check_race, crash_points, make_scene, race_round

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
        assert check_race(outcomes) == []
        assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Promotion": 1, "Failed": 7}
        assert {outcome.kind for outcome in outcomes if isinstance(outcome, Failed)} == {"StaleChampion"}
    [loser, *others] = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    winner = next(outcome for outcome in outcomes if isinstance(outcome, Promotion))
    assert check_race([winner, None, *others]) == ["a loser ended as None"]  # one that a signal ended is no loser
    assert check_race([winner, replace(loser, kind="ServiceUnavailable"), *others])
    assert check_race([winner, winner, *others]) == ["2 winners"]
